from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.template.errors import IntrinsicFault, ReferenceFault, TemplateError
from local.template.intrinsics import Resolver


class Dictionary:
    """Names that mean what a mapping says; attributes are keys with a dot."""

    def __init__(self, meanings):
        self.meanings = meanings

    def ref(self, name, trail):
        if name not in self.meanings:
            raise ReferenceFault(f"no {name}", trail)
        return self.meanings[name]

    def attribute(self, logical_id, attribute, trail):
        return self.ref(f"{logical_id}.{attribute}", trail)


def resolver(meanings=None, *, mappings=None, conditions=None):
    return Resolver(
        Dictionary(meanings or {}), region="eu-west-1", mappings=mappings or {}, conditions=conditions or {}
    )


def resolve(value, meanings=None, **kinds):
    return resolver(meanings, **kinds).resolve(value)


NAMES = {"A": "a", "B": "b", "List": ["x", "y", "z"], "AWS::Region": "eu-west-1", "Api.Endpoint": "ws://here"}


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        ({"Ref": "A"}, "a"),
        ({"Ref": "List"}, ["x", "y", "z"]),
        ({"Fn::GetAtt": ["Api", "Endpoint"]}, "ws://here"),
        ({"Fn::GetAtt": "Api.Endpoint"}, "ws://here"),
        ({"Fn::GetAtt": ["Api", {"Fn::Join": ["", ["End", "point"]]}]}, "ws://here"),
        ({"Fn::Sub": "${A}-${AWS::Region}-${Api.Endpoint}-${!A}-$A"}, "a-eu-west-1-ws://here-${A}-$A"),
        ({"Fn::Sub": ["${A}${C}${B}", {"C": {"Ref": "B"}, "A": {"Fn::Sub": "<${B}>"}}]}, "<b>bb"),
        ({"Fn::Sub": "${AWS::NoValue}nothing"}, "nothing"),
        ({"Fn::Join": ["-", ["1", {"Ref": "A"}, 2, True]]}, "1-a-2-true"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "x,y,z"),
        ({"Fn::Join": [",", {"Fn::Split": ["|", "p|q"]}]}, "p,q"),
        ({"Fn::Join": ["", ["a", {"Ref": "AWS::NoValue"}, "b"]]}, "ab"),
        ({"Fn::Split": [",", {"Fn::Sub": "${A},${B}"}]}, ["a", "b"]),
        ({"Fn::Select": [1, ["p", "q"]]}, "q"),
        ({"Fn::Select": ["2", {"Ref": "List"}]}, "z"),
        ({"Fn::Select": [{"Fn::Select": [0, ["1"]]}, {"Fn::Split": [".", "p.q"]}]}, "q"),
        ({"Fn::Base64": {"Ref": "A"}}, "YQ=="),
        ({"Fn::FindInMap": ["M", "eu-west-1", "k"]}, 5),
        ({"Fn::FindInMap": ["M", {"Ref": "AWS::Region"}, {"Fn::Sub": "list"}]}, ["p", "q"]),
        ({"Fn::FindInMap": ["M", "mars", "k", {"DefaultValue": {"Ref": "A"}}]}, "a"),
        ({"Fn::GetAZs": ""}, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ({"Fn::GetAZs": {"Ref": "AWS::Region"}}, ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::Length": {"Ref": "List"}}, 3),
        ({"Fn::ToJsonString": {"a": {"Ref": "A"}}}, '{"a":"a"}'),
        ({"Fn::If": ["Yes", {"Ref": "A"}, {"Ref": "Nowhere"}]}, "a"),
        ({"Fn::If": ["No", {"Ref": "Nowhere"}, ["p", {"Ref": "B"}]]}, ["p", "b"]),
        ({"Ref": "AWS::NoValue"}, None),
        ({"kept": 1, "left out": {"Ref": "AWS::NoValue"}}, {"kept": 1}),
        ([1, {"Fn::If": ["No", 2, {"Ref": "AWS::NoValue"}]}, 3], [1, 3]),
        ({"Ref": "A", "beside": 1}, {"Ref": "A", "beside": 1}),
        ({"Condition": {"StringEquals": {"a": "b"}}}, {"Condition": {"StringEquals": {"a": "b"}}}),
    ],
)
def test_functions_mean_what_cloudformation_says(value, meaning):
    mappings = {"M": {"eu-west-1": {"k": 5, "list": ["p", "q"]}}}
    conditions = {"Yes": {"Fn::Equals": ["1", 1]}, "No": {"Fn::Equals": ["1", "2"]}}
    assert resolve(value, NAMES, mappings=mappings, conditions=conditions) == meaning


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"Fn::Equals": [{"Ref": "A"}, "a"]}, True),
        ({"Fn::Equals": [True, "true"]}, True),
        ({"Fn::Equals": [["1"], [1]]}, True),
        ({"Fn::Equals": ["a", "A"]}, False),
        ({"Fn::Not": [{"Condition": "Yes"}]}, False),
        ({"Fn::And": [{"Condition": "Yes"}, {"Fn::Not": [{"Condition": "No"}]}]}, True),
        ({"Fn::And": [{"Condition": "Yes"}, {"Condition": "No"}]}, False),
        ({"Fn::Or": [{"Condition": "No"}, {"Fn::Equals": [{"Ref": "B"}, "b"]}]}, True),
        ({"Fn::Or": [{"Condition": "No"}, {"Condition": "No"}]}, False),
        ({"Condition": "Yes"}, True),
        ({"Fn::Equals": [{"Fn::Select": [0, {"Ref": "List"}]}, "x"]}, True),
    ],
)
def test_conditions_are_made_of_each_other(condition, holds):
    conditions = {"Yes": {"Fn::Equals": ["a", "a"]}, "No": {"Fn::Equals": ["a", "b"]}, "Asked": condition}
    assert resolver(NAMES, conditions=conditions).holds("Asked") is holds


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"Ref": ["A"]}, "Ref wants the name of a parameter or a resource"),
        ({"Ref": "Nowhere"}, "no Nowhere"),
        ({"Fn::GetAtt": ["Api"]}, "Fn::GetAtt wants a resource and one of its attributes"),
        ({"Fn::GetAtt": "Api"}, "Fn::GetAtt wants a resource and one of its attributes"),
        ({"Fn::Sub": ["${A}"]}, "Fn::Sub wants a text, or a list of a text and a mapping"),
        ({"Fn::Sub": 5}, "Fn::Sub wants a text, or a list of a text and a mapping"),
        ({"Fn::Sub": "${List}"}, "${List} in Fn::Sub must be a text, and it is a list"),
        ({"Fn::Sub": "${}"}, "no "),
        ({"Fn::Join": ["-", "text"]}, "Fn::Join wants a delimiter and a list"),
        ({"Fn::Join": ["-", [["a"]]]}, "an item of Fn::Join must be a text, and it is a list"),
        ({"Fn::Split": ["", "text"]}, "Fn::Split wants a delimiter and a text"),
        ({"Fn::Split": ["-", {"a": 1}]}, "what Fn::Split splits must be a text, and it is a mapping"),
        ({"Fn::Select": [3, ["p", "q"]]}, "Fn::Select wants item 3 of a list of 2; the first is 0"),
        ({"Fn::Select": [-1, ["p"]]}, "Fn::Select wants an index and a list"),
        ({"Fn::Select": "p"}, "Fn::Select wants an index and a list"),
        ({"Fn::FindInMap": ["Nope", "a", "b"]}, "Fn::FindInMap finds no mapping 'Nope' in the template's Mappings"),
        ({"Fn::FindInMap": ["M", "nope", "b"]}, "Fn::FindInMap finds no key 'nope' in the template's Mappings"),
        ({"Fn::If": ["Yes", 1]}, "Fn::If wants a condition's name and two values"),
        ({"Fn::If": ["Unheard", 1, 2]}, "there is no condition named Unheard"),
        (
            {"Fn::ImportValue": {"Fn::Sub": "${A}-vpc"}},
            "Fn::ImportValue wants 'a-vpc' of another stack, which is not here; a parameter could give it instead",
        ),
        ({"Fn::Transform": {"Name": "Own"}}, "Fn::Transform wants the macro 'Own', which runs only in AWS"),
        ({"Fn::Frobnicate": 1}, "Fn::Frobnicate is no function that can be evaluated here"),
        ({"Fn::Sub": "a", "Other": 1}, "Fn::Sub must stand alone in its mapping, not beside Other"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 99]}, "Fn::Cidr wants an address block, a count and how many bits"),
        ({"Fn::Length": "abc"}, "Fn::Length wants a list"),
        ({"Fn::Base64": ["a"]}, "what Fn::Base64 encodes must be a text, and it is a list"),
        ({"Fn::Not": []}, "Fn::Not wants a list of one condition"),
        ({"Fn::And": "x"}, "Fn::And wants a list of conditions"),
        ({"Fn::Or": ["x", "y"]}, "a condition must be made of"),
        ({"Fn::Equals": ["x"]}, "Fn::Equals wants two values"),
    ],
)
def test_a_function_that_is_used_wrongly_says_how_it_wants_to_be_used(value, sentence):
    with pytest.raises(TemplateError) as caught:
        resolve({"Place": [value]}, NAMES, mappings={"M": {}}, conditions={"Yes": {"Fn::Equals": [1, 1]}})
    assert str(caught.value).startswith(sentence)
    assert caught.value.trail[0] in {"Place", "Conditions"}


def test_a_condition_that_depends_on_itself_names_the_circle():
    circle = {"A": {"Condition": "B"}, "B": {"Fn::Not": [{"Condition": "C"}]}, "C": {"Condition": "A"}}
    with pytest.raises(ReferenceFault, match="A → B → C → A"):
        resolver(conditions=circle).holds("A")


def test_the_part_that_a_condition_does_not_choose_is_never_looked_at():
    trap = {"Fn::ImportValue": "other"}
    conditions = {"Yes": {"Fn::Equals": [1, 1]}}
    assert resolve({"Fn::If": ["Yes", "fine", trap]}, conditions=conditions) == "fine"
    with pytest.raises(IntrinsicFault):
        resolve({"Fn::If": ["Yes", trap, "fine"]}, conditions=conditions)


FEW = settings(max_examples=30, deadline=None)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text())
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: key != "Ref" and not key.startswith("Fn::")), inner, max_size=4)
    ),
    max_leaves=20,
)


@FEW
@given(plain)
def test_what_holds_no_function_stays_as_it_is(value):
    assert resolve(value) == value


@FEW
@given(st.lists(st.text(alphabet="abc$.{}!"), max_size=6))
def test_what_is_joined_can_be_split_again(items):
    joined = {"Fn::Join": ["|", items]}
    assert resolve({"Fn::Split": ["|", joined]}) == (items or [""])


@FEW
@given(st.text())
def test_a_text_without_variables_survives_sub_and_base64(text):
    harmless = text.replace("${", "$ {")
    assert resolve({"Fn::Sub": harmless}) == harmless
    encoded = resolve({"Fn::Base64": harmless})
    assert base64.b64decode(encoded).decode() == harmless


@FEW
@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.text(alphabet="xyz-")), max_size=8))
def test_sub_replaces_every_variable_by_its_value(parts):
    meanings = {name: name.lower() * 2 for name in "ABCD"}
    template = "".join(f"{text}${{{name}}}" for name, text in parts)
    wanted = "".join(f"{text}{meanings[name]}" for name, text in parts)
    assert resolve({"Fn::Sub": template}, meanings) == wanted
    assert resolve({"Fn::Sub": [template, meanings]}) == wanted


@FEW
@given(st.recursive(st.booleans(), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=12))
def test_and_or_not_agree_with_python(tree):
    def build(node, depth):
        if isinstance(node, bool):
            return {"Fn::Equals": ["x", "x" if node else "y"]}, node
        conditions, answers = zip(*(build(part, depth + 1) for part in node), strict=True)
        if depth % 3 == 2:
            return {"Fn::Not": [conditions[0]]}, not answers[0]
        combine = any if depth % 3 else all
        return {"Fn::Or" if depth % 3 else "Fn::And": list(conditions)}, combine(answers)

    condition, answer = build(tree, 0)
    assert resolver(conditions={"C": condition}).holds("C") is answer


FUNCTIONS = (
    "Ref Fn::GetAtt Fn::Sub Fn::Join Fn::If Fn::Select Fn::Split Fn::FindInMap Fn::Base64 Fn::And Fn::Or Fn::Not "
    "Fn::Equals Fn::GetAZs Fn::Cidr Fn::Length another"
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FUNCTIONS.split()), inner, max_size=2),
    max_leaves=15,
)


@FEW
@given(anything)
def test_nonsense_is_refused_in_a_sentence_or_has_a_value(value):
    try:
        outcome = json.dumps(resolve(value, NAMES, conditions={"": {"Fn::Equals": [1, 1]}}))
    except TemplateError as error:
        outcome = str(error)
    assert outcome
    assert "\n" not in outcome
