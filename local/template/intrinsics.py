"""Evaluate CloudFormation's intrinsic functions and conditions; what names mean is told from outside."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from local.template.errors import IntrinsicFault, ReferenceFault, Trail

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Any part of a template: what JSON can hold, checked where it is used.
Part: TypeAlias = Any

#: The most parts that Fn::Cidr makes (its reference page).
_MOST_BLOCKS = 256

_VARIABLE = re.compile(r"\$\{([^}]*)\}")


class Names(Protocol):
    """What ``Ref`` and ``Fn::GetAtt`` mean; both raise ReferenceFault for a name that means nothing."""

    def ref(self, name: str, trail: Trail) -> Part:
        """Give a parameter's value or a resource's physical id."""

    def attribute(self, logical_id: str, attribute: str, trail: Trail) -> Part:
        """Give an attribute of a resource."""


class _NoValue:
    """What ``Ref: AWS::NoValue`` gives: the member or item that has it is left out."""


NO_VALUE: Final = _NoValue()


class Resolver:
    """
    Replaces intrinsic functions by their values; only what is asked for is evaluated.

    Args:
        names: What the names in ``Ref`` and ``Fn::GetAtt`` mean.
        region: What ``Fn::GetAZs`` counts its zones from.
        mappings: The template's Mappings.
        conditions: The template's Conditions, unevaluated.
    """

    def __init__(
        self, names: Names, *, region: str, mappings: Mapping[str, Part], conditions: Mapping[str, Part]
    ) -> None:
        self._names = names
        self._region = region
        self._mappings = mappings
        self._conditions = conditions
        self._known: dict[str, bool] = {}
        self._asked: list[str] = []
        self._functions: dict[str, Callable[[Part, Trail], Part]] = {
            "Ref": self._ref,
            "Fn::And": self._and,
            "Fn::Base64": self._base64,
            "Fn::Cidr": self._cidr,
            "Fn::Equals": self._equals,
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAZs": self._zones,
            "Fn::GetAtt": self._attribute,
            "Fn::If": self._if,
            "Fn::ImportValue": self._import,
            "Fn::Join": self._join,
            "Fn::Length": self._length,
            "Fn::Not": self._not,
            "Fn::Or": self._or,
            "Fn::Select": self._select,
            "Fn::Split": self._split,
            "Fn::Sub": self._sub,
            "Fn::ToJsonString": self._to_json,
            "Fn::Transform": self._macro,
        }

    def resolve(self, value: Part, trail: Trail = ()) -> Part:
        """
        Return ``value`` with every function in it evaluated; what is ``AWS::NoValue`` is left out, or None at the top.

        Raises:
            IntrinsicFault: A function is used wrongly, or cannot be evaluated outside of AWS.
            ReferenceFault: A name in it means nothing.
        """
        resolved = self._resolve(value, trail)
        return None if resolved is NO_VALUE else resolved

    def holds(self, condition: str, trail: Trail = ()) -> bool:
        """
        Tell whether a condition of the template is true.

        Raises:
            ReferenceFault: There is no such condition, or it depends on itself.
        """
        if condition in self._known:
            return self._known[condition]
        if condition not in self._conditions:
            raise ReferenceFault(f"there is no condition named {condition}", trail)
        if condition in self._asked:
            circle = " → ".join([*self._asked[self._asked.index(condition) :], condition])
            raise ReferenceFault(f"conditions depend on each other in a circle: {circle}", trail)
        self._asked.append(condition)
        try:
            answer = self._truth(self._conditions[condition], ("Conditions", condition))
        finally:
            self._asked.pop()
        self._known[condition] = answer
        return answer

    def _resolve(self, value: Part, trail: Trail) -> Part:
        if isinstance(value, dict):
            if (name := function_of(value, trail)) is not None:
                if (function := self._functions.get(name)) is None:
                    raise IntrinsicFault(f"{name} is no function that can be evaluated here", (*trail, name))
                return function(value[name], (*trail, name))
            members = {key: self._resolve(member, (*trail, key)) for key, member in value.items()}
            return {key: member for key, member in members.items() if member is not NO_VALUE}
        if isinstance(value, list):
            items = [self._resolve(item, (*trail, index)) for index, item in enumerate(value)]
            return [item for item in items if item is not NO_VALUE]
        return value

    def _ref(self, name: Part, trail: Trail) -> Part:
        if not isinstance(name, str):
            raise IntrinsicFault("Ref wants the name of a parameter or a resource", trail)
        return NO_VALUE if name == "AWS::NoValue" else self._names.ref(name, trail)

    def _attribute(self, argument: Part, trail: Trail) -> Part:
        parts = argument.split(".", 1) if isinstance(argument, str) else self._resolve(argument, trail)
        if not isinstance(parts, list) or len(parts) < 2 or not all(isinstance(part, str) for part in parts):  # noqa: PLR2004 - a resource and an attribute
            raise IntrinsicFault("Fn::GetAtt wants a resource and one of its attributes", trail)
        return self._names.attribute(parts[0], ".".join(parts[1:]), trail)

    def _sub(self, argument: Part, trail: Trail) -> str:
        variables: dict[str, Part] = {}
        if isinstance(argument, list):
            match argument:
                case [str() as text, dict() as variables]:
                    pass
                case _:
                    raise IntrinsicFault("Fn::Sub wants a text, or a list of a text and a mapping", trail)
        elif isinstance(argument, str):
            text = argument
        else:
            raise IntrinsicFault("Fn::Sub wants a text, or a list of a text and a mapping", trail)

        def value_of(match: re.Match[str]) -> str:
            name: str = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in variables:
                value = self._resolve(variables[name], (*trail, 1, name))
            elif "." in name:
                logical_id, _, attribute = name.partition(".")
                value = self._names.attribute(logical_id, attribute, trail)
            else:
                value = self._ref(name, trail)
            return text_of(value, f"${{{name}}} in Fn::Sub", trail)

        return _VARIABLE.sub(value_of, text)

    def _join(self, argument: Part, trail: Trail) -> str:
        delimiter, items = self._pair(argument, trail, "Fn::Join wants a delimiter and a list")
        if not isinstance(delimiter, str) or not isinstance(items := self._resolve(items, (*trail, 1)), list):
            raise IntrinsicFault("Fn::Join wants a delimiter and a list", trail)
        return delimiter.join(text_of(item, "an item of Fn::Join", trail) for item in items)

    def _split(self, argument: Part, trail: Trail) -> list[str]:
        delimiter, text = self._pair(argument, trail, "Fn::Split wants a delimiter and a text")
        if not isinstance(delimiter, str) or not delimiter:
            raise IntrinsicFault("Fn::Split wants a delimiter and a text", trail)
        return text_of(self._resolve(text, (*trail, 1)), "what Fn::Split splits", trail).split(delimiter)

    def _select(self, argument: Part, trail: Trail) -> Part:
        index, items = self._pair(argument, trail, "Fn::Select wants an index and a list")
        index, items = self._resolve(index, (*trail, 0)), self._resolve(items, (*trail, 1))
        if not isinstance(items, list) or not re.fullmatch(r"\d{1,9}", str(index)):
            raise IntrinsicFault("Fn::Select wants an index and a list", trail)
        if int(index) >= len(items):
            raise IntrinsicFault(f"Fn::Select wants item {index} of a list of {len(items)}; the first is 0", trail)
        return items[int(index)]

    def _find_in_map(self, argument: Part, trail: Trail) -> Part:
        if not isinstance(argument, list) or len(argument) not in {3, 4}:
            raise IntrinsicFault("Fn::FindInMap wants a mapping's name and two keys", trail)
        default = argument[3] if len(argument) == 4 else None  # noqa: PLR2004 - the optional last argument
        found: Part = self._mappings
        for step, part in enumerate(argument[:3]):
            key = text_of(self._resolve(part, (*trail, step)), "a key of Fn::FindInMap", trail)
            if not isinstance(found, dict) or key not in found:
                if isinstance(default, dict) and "DefaultValue" in default:
                    return self._resolve(default["DefaultValue"], (*trail, 3))
                what = "mapping" if step == 0 else "key"
                raise ReferenceFault(f"Fn::FindInMap finds no {what} {key!r} in the template's Mappings", trail)
            found = found[key]
        return self._resolve(found, trail)

    def _base64(self, argument: Part, trail: Trail) -> str:
        text = text_of(self._resolve(argument, trail), "what Fn::Base64 encodes", trail)
        return base64.b64encode(text.encode()).decode()

    def _length(self, argument: Part, trail: Trail) -> int:
        items = self._resolve(argument, trail)
        if not isinstance(items, list):
            raise IntrinsicFault("Fn::Length wants a list", trail)
        return len(items)

    def _to_json(self, argument: Part, trail: Trail) -> str:
        return json.dumps(self._resolve(argument, trail), separators=(",", ":"))

    def _zones(self, argument: Part, trail: Trail) -> list[str]:
        region = text_of(self._resolve(argument, trail), "the region of Fn::GetAZs", trail) or self._region
        return [f"{region}{letter}" for letter in "abc"]

    def _cidr(self, argument: Part, trail: Trail) -> list[str]:
        wants = "Fn::Cidr wants an address block, a count and how many bits each part has"
        parts = self._resolve(argument, trail)
        if not isinstance(parts, list) or len(parts) not in {2, 3}:
            raise IntrinsicFault(wants, trail)
        try:
            block = ipaddress.ip_network(parts[0], strict=False)
            bits = int(parts[2]) if len(parts) == 3 else (8 if block.version == 4 else 64)  # noqa: PLR2004 - IPv4, third argument
            subnets = block.subnets(new_prefix=block.max_prefixlen - bits)
            count = min(int(parts[1]), _MOST_BLOCKS)
            return [str(subnet) for subnet, _ in zip(subnets, range(count), strict=False)]
        except (ValueError, TypeError) as error:
            raise IntrinsicFault(f"{wants}: {error}", trail) from error

    def _import(self, argument: Part, trail: Trail) -> Part:
        name = self._resolve(argument, trail)
        raise IntrinsicFault(
            f"Fn::ImportValue wants {name!r} of another stack, which is not here; a parameter could give it instead",
            trail,
        )

    def _macro(self, argument: Part, trail: Trail) -> Part:
        name = argument.get("Name") if isinstance(argument, dict) else argument
        raise IntrinsicFault(f"Fn::Transform wants the macro {name!r}, which runs only in AWS", trail)

    def _if(self, argument: Part, trail: Trail) -> Part:
        if not isinstance(argument, list) or len(argument) != 3 or not isinstance(argument[0], str):  # noqa: PLR2004 - as the sentence says
            raise IntrinsicFault("Fn::If wants a condition's name and two values", trail)
        chosen = 1 if self.holds(argument[0], trail) else 2
        return self._resolve(argument[chosen], (*trail, chosen))

    def _equals(self, argument: Part, trail: Trail) -> bool:
        left, right = self._pair(argument, trail, "Fn::Equals wants two values")
        left, right = self._resolve(left, (*trail, 0)), self._resolve(right, (*trail, 1))
        return _comparable(left) == _comparable(right)

    def _not(self, argument: Part, trail: Trail) -> bool:
        if not isinstance(argument, list) or len(argument) != 1:
            raise IntrinsicFault("Fn::Not wants a list of one condition", trail)
        return not self._truth(argument[0], (*trail, 0))

    def _and(self, argument: Part, trail: Trail) -> bool:
        return all(self._truths(argument, trail, "Fn::And"))

    def _or(self, argument: Part, trail: Trail) -> bool:
        return any(self._truths(argument, trail, "Fn::Or"))

    def _truths(self, argument: Part, trail: Trail, name: str) -> list[bool]:
        if not isinstance(argument, list) or not argument:
            raise IntrinsicFault(f"{name} wants a list of conditions", trail)
        return [self._truth(part, (*trail, index)) for index, part in enumerate(argument)]

    def _truth(self, value: Part, trail: Trail) -> bool:
        """Evaluate a condition; here, and nowhere else, ``Condition`` names another one."""
        if isinstance(value, dict) and len(value) == 1 and isinstance(name := value.get("Condition"), str):
            return self.holds(name, trail)
        answer = self._resolve(value, trail)
        if isinstance(answer, str) and answer.lower() in {"true", "false"}:
            return answer.lower() == "true"
        if not isinstance(answer, bool):
            raise IntrinsicFault("a condition must be made of Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition", trail)
        return answer

    @staticmethod
    def _pair(argument: Part, trail: Trail, wants: str) -> tuple[Part, Part]:
        if not isinstance(argument, list) or len(argument) != 2:  # noqa: PLR2004 - a pair
            raise IntrinsicFault(wants, trail)
        return argument[0], argument[1]


def function_of(value: Mapping[str, Part], trail: Trail = ()) -> str | None:
    """
    Name the function that a mapping is, or None for an ordinary mapping.

    Raises:
        IntrinsicFault: A function stands beside other keys, which usually is an indentation gone wrong.
    """
    name = next((key for key in value if key == "Ref" or key.startswith("Fn::")), None)
    if name is None or (name == "Ref" and len(value) > 1):
        return None
    if len(value) > 1 and name != "Fn::Transform":  # that one changes what it stands beside
        beside = ", ".join(key for key in value if key != name)
        raise IntrinsicFault(f"{name} must stand alone in its mapping, not beside {beside}", trail)
    return name


def variables_of(argument: object) -> list[str]:
    """List the names that ``Fn::Sub`` looks up outside of its own mapping, ``Name`` or ``Name.Attribute``."""
    text, own = (argument[0], argument[1:]) if isinstance(argument, list) and argument else (argument, [])
    given = own[0] if own and isinstance(own[0], dict) else {}
    if not isinstance(text, str):
        return []
    return [name for name in _VARIABLE.findall(text) if not name.startswith("!") and name not in given]


def text_of(value: object, what: str, trail: Trail = ()) -> str:
    """
    Write a scalar as CloudFormation does: ``true``, ``5``, the text itself; NO_VALUE is the empty text.

    Raises:
        IntrinsicFault: It is a list or a mapping; ``what`` names it in the sentence.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if value is None or value is NO_VALUE:
        return ""
    raise IntrinsicFault(
        f"{what} must be a text, and it is a {'list' if isinstance(value, list) else 'mapping'}", trail
    )


def _comparable(value: object) -> object:
    """Write scalars as text, for 1 equals "1" and true equals "true" in conditions."""
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    return text_of(value, "a value")
