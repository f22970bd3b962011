"""Read a template's text, YAML with CloudFormation's short forms or JSON, and find places in it again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from local.template.errors import TemplateMalformed, Trail

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml: the same result, some ten times slower
    from yaml import SafeLoader as Loader  # type: ignore[assignment]  # both are loaders

_SHORT_FORMS = {
    "And", "Base64", "Cidr", "Condition", "Equals", "FindInMap", "GetAZs", "GetAtt", "If", "ImportValue", "Join",
    "Length", "Not", "Or", "Ref", "Select", "Split", "Sub", "ToJsonString", "Transform",
}  # fmt: skip

#: What the SAM transform makes of a property, and the name that the template has for it.
_BEFORE_SAM: dict[str | int, str] = {"Code": "CodeUri", "Content": "ContentUri"}

_CORE = "tag:yaml.org,2002:"


def parse(text: str) -> tuple[dict[str, Any], list[str]]:
    """
    Read a template; returns it with every short form in its long form, and what is odd but not wrong.

    As in CloudFormation the keys of mappings are strings, and dates (``2012-10-17``) stay the text they are.

    Raises:
        TemplateMalformed: The text is no YAML or JSON, with line and column; or it is no mapping.
    """
    warnings: list[str] = []
    document = _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text, warnings)
    if document is None:
        raise TemplateMalformed("the file is empty")
    if not isinstance(document, dict):
        raise TemplateMalformed("this is no template: it is not a mapping of sections such as Resources")
    return document, warnings


def locate(text: str, trail: Trail) -> tuple[int, int] | None:
    """
    Find the line and column, both from 1, of the deepest value on the trail that the text has.

    None when not even the trail's first section is there, or the text cannot be read.
    """
    try:
        node = yaml.compose(text.replace("\t", " ") if text.lstrip().startswith("{") else text, Loader=Loader)
    except (yaml.YAMLError, RecursionError):
        return None
    place = None
    for step in trail:
        if node is None or node.tag == _tag_of(step):
            continue  # in a short form the function's name is a tag and no key
        found = _step_into(node, step)
        if found is None and place and len(place) == 1 and isinstance(step, str):
            found = _origin(node, step)
        if found is None:
            break
        mark, node = found
        place = (*(place or ()), (mark.line + 1, mark.column + 1))
    return place[-1] if place else None


def _read_json(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise TemplateMalformed(f"this is no valid JSON: {error.msg}", line=error.lineno, column=error.colno) from error
    except RecursionError as error:
        raise TemplateMalformed("the template is nested too deeply") from error


def _read_yaml(text: str, warnings: list[str]) -> object:
    try:
        node = yaml.compose(text, Loader=Loader)
        return None if node is None else _Builder(warnings).build(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        raise TemplateMalformed(
            f"this is no valid YAML: {reason}",
            line=mark.line + 1 if mark else None,
            column=mark.column + 1 if mark else None,
        ) from error
    except yaml.YAMLError as error:
        raise TemplateMalformed(f"this is no valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise TemplateMalformed("the template is nested too deeply") from error


class _Builder:
    """Makes plain values of YAML nodes; a place met again while it is being built is an anchor inside itself."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings
        self._scalars = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> object:
        if id(node) in self._open:
            raise _malformed(node, "this anchor contains itself")
        self._open.add(id(node))
        try:
            return self._value(node)
        finally:
            self._open.remove(id(node))

    def _value(self, node: yaml.Node) -> object:
        if node.tag.startswith("!") and node.tag != "!":
            return self._function(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item) for item in node.value]
        return self._scalar(node) if isinstance(node, yaml.ScalarNode) else None

    def _scalar(self, node: yaml.ScalarNode) -> object:
        try:
            match node.tag.removeprefix(_CORE):
                case "int":
                    return self._scalars.construct_yaml_int(node)
                case "float":
                    return self._scalars.construct_yaml_float(node)
                case "bool":
                    return self._scalars.construct_yaml_bool(node)
                case "null":
                    return None
        except (ValueError, KeyError) as error:
            raise _malformed(node, f"{node.value!r} is not what its tag says") from error
        return str(node.value)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, object]:
        merged: dict[str, object] = {}
        own: dict[str, object] = {}
        for key, value in node.value:
            if key.tag == f"{_CORE}merge":
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if not isinstance(built := self.build(source), dict):
                        raise _malformed(source, "only mappings can be merged")
                    merged = built | merged
            elif not isinstance(key, yaml.ScalarNode):
                raise _malformed(key, "the key of a mapping must be a text")
            else:
                if key.value in own:
                    line, column = key.start_mark.line + 1, key.start_mark.column + 1
                    self._warnings.append(
                        f"{line}:{column}: the key {key.value} stands twice in one mapping; only the last one counts"
                    )
                own[key.value] = self.build(value)
        return merged | own

    def _function(self, node: yaml.Node) -> dict[str, object]:
        name = node.tag[1:]
        if name not in _SHORT_FORMS:
            raise _malformed(node, f"{node.tag} is no function of CloudFormation")
        argument: object
        if isinstance(node, yaml.MappingNode):
            argument = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode):
            argument = [self.build(item) for item in node.value]
        else:
            argument = node.value.split(".", 1) if name == "GetAtt" else node.value
        return {name if name in {"Ref", "Condition"} else f"Fn::{name}": argument}


def _malformed(node: yaml.Node, sentence: str) -> TemplateMalformed:
    return TemplateMalformed(sentence, line=node.start_mark.line + 1, column=node.start_mark.column + 1)


def _tag_of(step: str | int) -> str:
    return f"!{str(step).removeprefix('Fn::')}"


def _step_into(node: yaml.Node, step: str | int) -> tuple[yaml.Mark, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for wanted in (step, _BEFORE_SAM.get(step)):
            for key, value in node.value:
                if key.value == wanted:
                    return key.start_mark, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark, node.value[step]
    return None


def _origin(resources: yaml.Node, generated: str) -> tuple[yaml.Mark, yaml.Node] | None:
    """Find the resource that the SAM transform made ``generated`` of: it puts something behind the name."""
    sources = [key.value for key in _keys(resources) if generated.startswith(key.value)]
    return _step_into(resources, max(sources, key=len)) if sources else None


def _keys(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.MappingNode):
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield key
