"""The resources that a template declares and its conditions keep, with the values of what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.template.errors import IntrinsicFault, ReferenceFault, ResourceFault, Trail
from local.template.identities import NAME_PROPERTIES, Place
from local.template.intrinsics import Resolver, function_of, text_of, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


class Declarations:
    """
    Reads a template without SAM's types: which resources there are, and what their properties come to.

    Everything is evaluated when it is asked for, so what the emulator does not need may hold what it cannot evaluate.

    Args:
        document: The template, after the SAM transform if it has one.
        folder: Where the template lies; paths in it are relative to this.
        parameters: A value for each of the template's parameters.
        place: Where the stack pretends to be.
    """

    def __init__(
        self, document: Mapping[str, Any], *, folder: Path, parameters: Mapping[str, Any], place: Place
    ) -> None:
        self.document = document
        self.folder = folder
        self.place = place
        self.warnings: list[str] = []
        self._values: Mapping[str, Any] = {**place.pseudo_parameters(), **parameters}
        self._resolver = Resolver(
            self,
            region=place.region,
            mappings=document.get("Mappings") or {},
            conditions=document.get("Conditions") or {},
        )
        self._declared: Mapping[str, Any] = document.get("Resources") or {}
        self._named: dict[str, str] = {}
        self._naming: list[str] = []
        self.resources: Mapping[str, Any] = {}  # conditions come first, and can refer to none
        self.resources = {
            logical_id: resource
            for logical_id, resource in self._declared.items()
            if self.holds(resource.get("Condition"), ("Resources", logical_id, "Condition"))
        }

    def holds(self, condition: object, trail: Trail) -> bool:
        """Tell whether a resource's or output's ``Condition`` is true; without one it is."""
        if condition is None:
            return True
        if not isinstance(condition, str):
            raise ReferenceFault("Condition wants the name of a condition", trail)
        return self._resolver.holds(condition, trail)

    def of(self, *kinds: str) -> Iterator[str]:
        """List the logical ids of all resources of some types, in the template's order."""
        return (logical_id for logical_id, resource in self.resources.items() if resource.get("Type") in kinds)

    def kind(self, logical_id: str) -> str:
        """Give a resource's type."""
        return str(self.resources[logical_id]["Type"])

    def raw(self, logical_id: str, *path: str) -> Any:  # noqa: ANN401 - any part of a template
        """Give a property as it stands in the template, or None."""
        value: Any = self.resources[logical_id].get("Properties")
        for step in path:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
        return value

    def value(self, logical_id: str, *path: str) -> Any:  # noqa: ANN401 - any part of a template
        """Give what a property comes to, or None when it is absent."""
        trail: Trail = ("Resources", logical_id, "Properties")
        value: Any = self.resources[logical_id].get("Properties")
        for step in path:
            value = self._resolver.resolve(value, trail) if _is_function(value) else value
            if not isinstance(value, dict):
                return None
            value, trail = value.get(step), (*trail, step)
        return self._resolver.resolve(value, trail)

    def text(self, logical_id: str, *path: str) -> str | None:
        """Give a property as text, or None when it is absent or empty."""
        value = self.value(logical_id, *path)
        what = f"{'.'.join(path)} of {logical_id}"
        return text_of(value, what, ("Resources", logical_id, "Properties", *path)) or None

    def number(self, logical_id: str, *path: str, default: float) -> float:
        """
        Give a property as a number.

        Raises:
            ResourceFault: It is not one.
        """
        text = self.text(logical_id, *path)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError as error:
            trail = ("Resources", logical_id, "Properties", *path)
            raise ResourceFault(f"{'.'.join(path)} of {logical_id} is {text!r} and must be a number", trail) from error

    def flag(self, logical_id: str, *path: str) -> bool:
        """Give a property as a truth value; absent is false."""
        return (self.text(logical_id, *path) or "").lower() == "true"

    def items(self, logical_id: str, *path: str) -> list[Any]:
        """Give a property as a list; absent is empty, and a single value is a list of one."""
        value = self.value(logical_id, *path)
        return value if isinstance(value, list) else [] if value is None else [value]

    def mapping(self, logical_id: str, *path: str) -> dict[str, Any]:
        """
        Give a property as a mapping; absent is empty.

        Raises:
            ResourceFault: It is something else.
        """
        value = self.value(logical_id, *path)
        if value is not None and not isinstance(value, dict):
            trail = ("Resources", logical_id, "Properties", *path)
            raise ResourceFault(f"{'.'.join(path)} of {logical_id} must be a mapping", trail)
        return value or {}

    def resolve(self, value: Any, trail: Trail) -> Any:  # noqa: ANN401 - any part of a template
        """Give what any part of the template comes to."""
        return self._resolver.resolve(value, trail)

    def kinds_in(self, value: Any, trail: Trail) -> set[str]:  # noqa: ANN401 - any part of a template
        """Give the types of all resources that a part of the template refers to."""
        return {self.kind(name) for name, _ in self._references(value, trail) if name in self.resources}

    def name(self, logical_id: str) -> str:
        """
        Give a resource's physical name.

        Raises:
            ReferenceFault: The names of resources are made of each other in a circle.
        """
        if logical_id in self._named:
            return self._named[logical_id]
        if logical_id in self._naming:
            circle = " → ".join([*self._naming[self._naming.index(logical_id) :], logical_id])
            raise ReferenceFault(f"names are made of each other in a circle: {circle}", ("Resources", logical_id))
        self._naming.append(logical_id)
        try:
            kind = self.kind(logical_id)
            given = self.text(logical_id, NAME_PROPERTIES[kind]) if kind in NAME_PROPERTIES else None
        finally:
            self._naming.pop()
        self._named[logical_id] = name = given or self.place.name_of(kind, logical_id)
        return name

    def arn(self, logical_id: str) -> str:
        """Give a resource's ARN."""
        return self.place.arn_of(self.kind(logical_id), self.name(logical_id))

    def ref(self, name: str, trail: Trail) -> Any:  # noqa: ANN401 - a parameter may be a list
        """Give what ``Ref`` means: a parameter's value or a resource's physical id."""
        if name in self._values:
            return self._values[name]
        self._want(name, trail)
        kind = self.kind(name)
        if kind in {"AWS::Lambda::Alias", "AWS::Lambda::Version"}:
            qualifier = "1" if kind == "AWS::Lambda::Version" else self.name(name)
            return f"{self._function_arn(name)}:{qualifier}"
        return self.place.ref(kind, self.name(name))

    def attribute(self, logical_id: str, attribute: str, trail: Trail) -> Any:  # noqa: ANN401 - attributes may be lists
        """Give what ``Fn::GetAtt`` means."""
        self._want(logical_id, trail)
        if (self.kind(logical_id), attribute) == ("AWS::SSM::Parameter", "Value"):
            return self.value(logical_id, "Value")
        value = self.place.attribute(self.kind(logical_id), self.name(logical_id), attribute)
        if value is None:
            raise ReferenceFault(f"{logical_id} ({self.kind(logical_id)}) has no attribute {attribute}", trail)
        return value

    def check_references(self) -> set[str]:
        """
        Follow every reference between resources, as CloudFormation does before it creates the first one.

        Returns:
            The names of all parameters that are used.

        Raises:
            ReferenceFault: A name leads nowhere, or resources lead to each other in a circle.
        """
        used: set[str] = set()
        needs: dict[str, list[str]] = {}
        for logical_id, resource in self.resources.items():
            properties: Trail = ("Resources", logical_id, "Properties")
            needs[logical_id] = []
            for name, trail in self._references(resource.get("Properties"), properties):
                if name in self._values or name == "AWS::NoValue":
                    used.add(name)
                else:
                    self._want(name, trail)
                    needs[logical_id].append(name)
            before = resource.get("DependsOn") or []
            for name in before if isinstance(before, list) else [before]:
                if not isinstance(name, str) or name not in self._declared:
                    raise ReferenceFault(
                        f"{logical_id} depends on {name}, which is no resource of this template",
                        ("Resources", logical_id, "DependsOn"),
                    )
                if name in self.resources:
                    needs[logical_id].append(name)
        if circle := _circle(needs):
            raise ReferenceFault(
                f"resources need each other in a circle, so none can be the first: {' → '.join(circle)}",
                ("Resources", circle[0]),
            )
        return used

    def _references(self, value: Any, trail: Trail) -> Iterator[tuple[str, Trail]]:  # noqa: ANN401 - any part of a template
        if isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._references(item, (*trail, index))
        elif isinstance(value, dict):
            function = function_of(value, trail)
            if function is None:
                for key, member in value.items():
                    yield from self._references(member, (*trail, key))
                return
            yield from self._referred(function, value[function], (*trail, function))

    def _referred(self, function: str, argument: Any, trail: Trail) -> Iterator[tuple[str, Trail]]:  # noqa: ANN401 - as above
        match function, argument:
            case "Ref", str():
                yield argument, trail
            case "Fn::GetAtt", str():
                yield argument.split(".", 1)[0], trail
            case "Fn::GetAtt", [str() as logical_id, *rest]:
                yield logical_id, trail
                yield from self._references(rest, trail)
            case "Fn::If", [str() as condition, _, _]:
                chosen = 1 if self._resolver.holds(condition, trail) else 2
                yield from self._references(argument[chosen], (*trail, chosen))
            case "Fn::Transform", _:
                return  # a macro's arguments are its own
            case "Fn::Sub", _:
                for name in variables_of(argument):
                    yield name.split(".", 1)[0], trail
                if isinstance(argument, list):
                    yield from self._references(argument[1:], trail)
            case _:
                yield from self._references(argument, trail)

    def _want(self, name: str, trail: Trail) -> None:
        if name in self.resources:
            return
        if trail and trail[0] == "Conditions":
            raise ReferenceFault(f"{name} is referred to in a condition, and it is no parameter", trail)
        if name in self._declared:
            condition = self._declared[name]["Condition"]
            raise ReferenceFault(f"{name} is referred to, and the condition {condition} leaves it out", trail)
        if name.startswith("AWS::"):
            raise ReferenceFault(f"there is no pseudo parameter {name}", trail)
        raise ReferenceFault(f"{name} is referred to, and it is neither a parameter nor a resource here", trail)

    def _function_arn(self, alias: str) -> str:
        named = self.text(alias, "FunctionName") or ""
        return named if named.startswith("arn:") else self.place.arn_of("AWS::Lambda::Function", named)


def listed(names: Iterable[str]) -> str:
    """Write names as a sentence has them: ``A``, ``A and B``, ``A, B and C``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _is_function(value: object) -> bool:
    try:
        return isinstance(value, dict) and function_of(value) is not None
    except IntrinsicFault:
        return True  # resolving it will say what is wrong, and where


def _circle(needs: Mapping[str, list[str]]) -> list[str] | None:
    """Find names that need each other in a circle, first and last the same; None without one."""
    done: set[str] = set()
    for start in needs:
        way: dict[str, Iterator[str]] = {}  # what is being followed, in order
        if start not in done:
            way[start] = iter(needs[start])
        while way:
            here = next(reversed(way))
            for name in way[here]:
                if name in way:
                    names = list(way)
                    return [*names[names.index(name) :], name]
                if name not in done:
                    way[name] = iter(needs[name])
                    break
            else:
                done.add(here)
                del way[here]
    return None
