"""Mapping templates: the language, and what API Gateway puts into it."""

import json

import pytest

from local.velocity.language import compile_template
from local.velocity.variables import variables_of, with_input
from local.velocity.words import BadTemplate

CONTEXT = {"connectionId": "L0SM9cOFvHcCIhw=", "connectedAt": 12, "identity": {"sourceIp": "192.0.2.1"}}
BODY = '{"action":"say","text":"he said \\"hi\\"","n":3,"list":[{"id":1},{"id":2}],"map":{"a-b":true},"nothing":null}'


def fill(template, body=BODY):
    variables = variables_of(context=CONTEXT, stage={"colour": "green"})
    return compile_template(template)(with_input(variables, body))


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{"type":"pong"}', '{"type":"pong"}'),
        ("to $context.connectionId!", "to L0SM9cOFvHcCIhw=!"),
        ("${context.identity.sourceIp}:1 $context.connectedAt", "192.0.2.1:1 12"),
        ("[$context.nothing.here][$stageVariables.colour][$stageVariables.none]", "[][green][]"),
        ("$input.body", BODY),
        ("$input.json('$.text')", '"he said \\"hi\\""'),
        ("$input.json('$')", json.dumps(json.loads(BODY), separators=(",", ":"))),
        ("$input.json('$.list[1]') $input.json('$.list[*].id')", '{"id":2} [1,2]'),
        ("$input.path('$.text') $input.path('$.list[0].id')", 'he said "hi" 1'),
        ("$input.path(\"$['map']['a-b']\")", "true"),
        ("[$input.json('$.none')][$input.path('$.none')]", '[""][]'),
        ("$util.escapeJavaScript($input.path('$.text'))", 'he said \\"hi\\"'),
        ("$util.urlEncode('a b&c') $util.urlDecode('a+b%26c')", "a+b%26c a b&c"),
        ("$util.base64Encode('grüß') $util.base64Decode('Z3LDvMOf')", "Z3LDvMOf grüß"),
        ("$util.parseJson('{\"a\":[1]}').a[0]", "1"),
        ("#set($x = $input.path('$'))$x.n $x.list.size() $x.text.length()", "3 2 12"),
        ("#set($x = \"n is $input.path('$.n')\")$x", "n is 3"),
        ("#set($x = 'it''s')$x", "it's"),
        ("#set( $x = 7 % 4 + 2 * 3 )$x", "9"),
        ("#set($x = {'a': 1, 'b': [2, 3]})$x.a $x.b[1] $x", "1 3 {a=1, b=[2, 3]}"),
        ("#if($input.path('$.n') > 2)many#{else}few#end", "many"),
        ("#if($context.nothing)a#elseif($input.path('$.n') == 3 && !false)b#{else}c#end", "b"),
        ("#foreach($one in $input.path('$.list'))$one.id#if($foreach.hasNext),#end#end", "1,2"),
        ("#foreach($n in [1..5])#if($n == 3)#break#end$n#end", "12"),
        ("#foreach($e in $input.path('$.map').entrySet())$e.key=$e.value#end", "a-b=true"),
        ("a#stop b", "a"),
        ('{\n  #set($a = 1)\n  ## a comment\n  #if($a == 1)\n  "a": $a\n  #end\n}', '{\n  "a": 1\n}'),
        ("{\n  #if($no)\n  1\n  #elseif($input.body)\n  2\n  #else\n  3\n  #end\n}", "{\n  2\n}"),
        ("a #* b\nc *# d", "a  d"),
        ("$unknown ${unknown.x} $!unknown \\$input costs 5$ #1", "$unknown ${unknown.x}  $input costs 5$ #1"),
        ("$input.path('$.text').replaceAll('\"', '')", "he said hi"),
        ("$input.path('$.text').noSuchMethod()", "$input.path('$.text').noSuchMethod()"),
        ("#set($a.b.c = 2)$a.b.c #set($context.own.text = $input.path('$.n'))$context.own.text", "2 3"),
        ("#set($m = {})#set($ignored = $m.put('a', 1))$m", "{a=1}"),
    ],
)
def test_a_template_is_filled(template, text):
    assert fill(template) == text


@pytest.mark.parametrize(("body", "text"), [("plain", "plain"), ('"text"', "text"), ("", "")])
def test_a_payload_that_is_no_object_is_one_text(body, text):
    assert fill("$input.path('$')", body) == text


def test_what_is_not_ascii_is_escaped_as_utf_16():
    assert fill("$util.escapeJavaScript($input.body)", "é😀/'\n") == "\\u00E9\\uD83D\\uDE00\\/\\'\\n"


def test_a_loop_ends_after_a_thousand_rounds():
    assert len(fill("#foreach($n in [1..1000000])x#end")) == 1_000


def test_one_message_leaves_nothing_to_the_next():
    filled = compile_template("[$!x]#set($x = 1)")
    variables = variables_of(context={}, stage={})
    assert [filled(variables), filled(variables)] == ["[]", "[]"]


@pytest.mark.parametrize(
    "template",
    [
        "#if($a)x",
        "#end",
        "#else",
        "#set($a[0] = 1)",
        "#set($a = )",
        "#foreach($a of $b)x#end",
        "#macro(m)x#end",
        "#* no end",
        "#set($a = 'x)",
        "${a",
        "$a.b(",
    ],
)
def test_what_cannot_be_read_is_named(template):
    with pytest.raises(BadTemplate):
        compile_template(template)


@pytest.mark.parametrize("name", ["__class__", "_find", "_read"])
def test_a_template_reaches_nothing_of_ours(name):
    assert fill(f"$input.{name}") == f".{name}"
    assert fill(f"$input['{name}']") == f"$input['{name}']"
    assert fill("$util.urlEncode.__globals__ $util.urlEncode") == "$util.urlEncode.__globals__ $util.urlEncode"
