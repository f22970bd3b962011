import pytest

from local.rules.selection import BadExpression, compile_selection


@pytest.mark.parametrize(
    ("expression", "text", "key"),
    [
        ("$request.body.action", '{"action":"join"}', "join"),
        ("$request.body.action", '{"other":1}', None),
        ("$request.body.action", "no json", None),
        ("$request.body.action", '{"action":null}', None),
        ("$request.body.action", '{"action":1}', "1"),
        ("$request.body.action", '{"action":true}', "true"),
        ("$request.body.action", '{"action":["item1","item2"]}', "[item1, item2]"),
        ("${request.body.action}", '{"action":"join"}', "join"),
        ("$request.body.a.$request.body.b", '{"a":"x","b":"y"}', "x.y"),
        ("$request.body.gruß", '{"gruß":"hallo"}', "hallo"),
        ("$request.body.a.b", '{"a":{"b":"deep"}}', "deep"),
        ("$request.body.a[1].b", '{"a":[0,{"b":"second"}]}', "second"),
        ("${request.body['a-b']}", '{"a-b":"quoted"}', "quoted"),
        ("${request.body.action}-${request.body.nope}", '{"action":"join"}', "join-"),
        ("v1/${request.body.action}", '{"action":"join"}', "v1/join"),
        ("always", "no json", "always"),
        (r"\$default", '{"action":"join"}', "$default"),
        ("$request.body.action", '{"action":"join","n":1e400}', "join"),
        ("$request.body.action", '{"action":"join","half":"\\ud800"}', "join"),
        ("$request.body.action", '{"action":"join","n":NaN}', None),
        ("$request.body.action", "[" * 50_000 + "]" * 50_000, None),
        ("$request.body.action", '{"action":"${request.body.b}","b":"x"}', "${request.body.b}"),
    ],
)
def test_a_message_selects_a_route(expression, text, key):
    assert compile_selection(expression)(text) == key


@pytest.mark.parametrize(
    "expression",
    [
        *("", "$request.header.x", "${context.routeKey}", "$foo", "$request.body..a", "$request.body.a[*]"),
        *("$request.body.a[", "$request.body.a.", "${request.body.a..b}"),
    ],
)
def test_other_expressions_are_refused(expression):
    with pytest.raises(BadExpression):
        compile_selection(expression)


@pytest.mark.parametrize(
    ("text", "key"),
    [('{"action":1}', None), ('{"action":false}', None), ('{"action":"1"}', "1"), ('{"action":["a"]}', "[a]")],
)
def test_numbers_and_truth_values_may_select_nothing(text, key):
    assert compile_selection("$request.body.action", numbers_select=False)(text) == key
