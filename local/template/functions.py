"""Read the functions that a template declares, and find them again by the names that other resources use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.functions.code import folder_of_path, folder_of_text, import_folders
from local.stack import Function
from local.template.declarations import Declarations, listed
from local.template.errors import ResourceFault, Trail
from local.template.intrinsics import text_of
from local.template.roles import read_roles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HASH = re.compile(r"(?<=.)[0-9a-f]{10}$")
_INVOCATIONS = re.compile(r"functions/(.+?)/invocations$")
_FUNCTION_ARN = re.compile(r"^arn:[^:]*:lambda:[^:]*:[^:]*:function:(?P<name>[^:/]+)(:[^:/]+)?$")


@dataclass(slots=True)
class DeclaredFunctions:
    """The functions that can run here by logical id, and for each of the others the reason why it cannot."""

    runnable: dict[str, Function] = field(default_factory=dict)
    unrunnable: dict[str, str] = field(default_factory=dict)
    _by_name: dict[str, str] = field(default_factory=dict)

    def named(self, name: str) -> str | None:
        """Give the logical id of the function with a physical name or ARN, whatever its qualifier."""
        found = _FUNCTION_ARN.match(name)
        return self._by_name.get(found["name"] if found else name.partition(":")[0])

    def invoked_by(self, uri: str) -> str | None:
        """Give the logical id of the function that an API's integration or authorizer URI names."""
        found = _INVOCATIONS.search(uri)
        return self.named(found[1] if found else uri)

    @classmethod
    def read(cls, declarations: Declarations, *, cache: Path) -> DeclaredFunctions:
        """
        Read every ``AWS::Lambda::Function``.

        Raises:
            CodeMissing: A Python function's or layer's files are not where the template says.
            ResourceFault: A function lacks what it needs.
        """
        layers = _read_layers(declarations, cache=cache)
        queued = _read_invoke_configs(declarations)
        roles = read_roles(declarations)
        elsewhere: dict[str, list[str]] = {}
        functions = cls()
        for logical_id in declarations.of("AWS::Lambda::Function"):
            functions._by_name[declarations.name(logical_id)] = logical_id
            reason = _why_not(declarations, logical_id)
            code = None if reason else _find_code(declarations, logical_id, cache=cache)
            if code is None:
                functions.unrunnable[logical_id] = reason or "the code lies in S3 and not on this machine"
                continue
            retries, max_age = queued.get(declarations.name(logical_id), (2, 21_600.0))
            functions.runnable[logical_id] = Function(
                logical_id=logical_id,
                name=declarations.name(logical_id),
                arn=declarations.arn(logical_id),
                handler=declarations.text(logical_id, "Handler") or "",
                code=code,
                runtime=declarations.text(logical_id, "Runtime") or "",
                layers=_layers_of(declarations, logical_id, layers, elsewhere),
                timeout=_within(declarations, logical_id, "Timeout", 3, (1, 900)),
                memory=int(_within(declarations, logical_id, "MemorySize", 128, (128, 32_768))),
                environment=_environment_of(declarations, logical_id),
                async_retries=retries,
                async_max_age=max_age,
                role=roles.get(declarations.text(logical_id, "Role") or ""),
                source=source if isinstance(source := _path_of(declarations, logical_id, "Code"), str) else "",
            )
        declarations.warnings.extend(
            f"The role {role} of {function.logical_id} is not in the template: whatever that function does is allowed."
            for function in functions.runnable.values()
            if function.role is None and (role := declarations.text(function.logical_id, "Role")) is not None
        )
        declarations.warnings.extend(
            f"{listed(logical_ids)} cannot run here: {reason}. Whatever invokes that gets an error."
            for reason, logical_ids in _by_reason(functions.unrunnable).items()
        )
        declarations.warnings.extend(
            f"The layer {arn} of {listed(logical_ids)} is not on this machine: "
            "what is imported from it must be installed in the Python that runs the functions."
            for arn, logical_ids in elsewhere.items()
        )
        return functions


def _by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for logical_id, reason in reasons.items():
        grouped.setdefault(reason, []).append(logical_id)
    return grouped


def _why_not(declarations: Declarations, logical_id: str) -> str | None:
    """Say why a function cannot run here, or None when it can."""
    trail: Trail = ("Resources", logical_id)
    if declarations.text(logical_id, "PackageType") == "Image":
        return "the code is a container image, and the emulator runs Python from folders"
    runtime = declarations.text(logical_id, "Runtime")
    if runtime is None:
        raise ResourceFault(f"the function {logical_id} has no Runtime", trail)
    if not runtime.startswith("python"):
        return f"the runtime is {runtime}, and the emulator runs Python"
    if runtime.startswith("python2"):
        return f"the runtime is {runtime}, and the emulator runs Python 3"
    handler = declarations.text(logical_id, "Handler") or ""
    if declarations.raw(logical_id, "Code", "ZipFile") is not None and not handler.startswith("index."):
        raise ResourceFault(
            f"the code of {logical_id} stands in the template, where it is index.py: its Handler must be index.NAME "
            f"and is {handler or 'not there'}",
            (*trail, "Properties", "Handler"),
        )
    if "." not in handler:
        raise ResourceFault(
            f"the function {logical_id} has no Handler of the form module.function", (*trail, "Properties", "Handler")
        )
    return None


def _find_code(declarations: Declarations, logical_id: str, *, cache: Path) -> Path | None:
    """Give the folder of a function's code, or None when it is in S3."""
    place = _path_of(declarations, logical_id, "Code")
    if isinstance(place, str):
        trail: Trail = ("Resources", logical_id, "Properties", "Code")
        return folder_of_path(declarations.folder / place, cache=cache, owner=logical_id, trail=trail)
    if isinstance(place, dict) and (text := place.get("ZipFile")) is not None:
        inside: Trail = ("Resources", logical_id, "Properties", "Code", "ZipFile")
        return folder_of_text(text_of(text, f"the code of {logical_id}", inside), cache=cache)
    if not place:
        raise ResourceFault(f"the function {logical_id} has no code", ("Resources", logical_id))
    return None


def _path_of(declarations: Declarations, logical_id: str, key: str) -> Any:  # noqa: ANN401 - a path, or where else the files are
    """Give a path, or the mapping that says where else the files are; the CDK notes its paths aside."""
    metadata = declarations.resources[logical_id].get("Metadata")
    if isinstance(metadata, dict) and metadata.get("aws:asset:property") == key and "aws:asset:path" in metadata:
        return metadata["aws:asset:path"]
    place = declarations.value(logical_id, key)
    if isinstance(place, dict) and isinstance(stored := place.get("S3Key"), str):
        # What packs code for S3 may leave it beside the template, as the Serverless Framework does.
        beside = stored.rpartition("/")[2]
        if beside and (declarations.folder / beside).is_file():
            return beside
    return None if isinstance(place, str) and place.startswith(("s3://", "https://")) else place or {}


def _read_layers(declarations: Declarations, *, cache: Path) -> dict[str, tuple[Path, ...]]:
    """Give, by ARN, the folders that each layer of the template adds to the import path."""
    layers = {}
    for logical_id in declarations.of("AWS::Lambda::LayerVersion"):
        place = _path_of(declarations, logical_id, "Content")
        if isinstance(place, str):
            trail: Trail = ("Resources", logical_id, "Properties", "Content")
            # SAM puts a hash behind the name.
            owner = _HASH.sub("", logical_id)
            folder = folder_of_path(declarations.folder / place, cache=cache, owner=owner, trail=trail)
            layers[declarations.arn(logical_id)] = import_folders(folder)
    return layers


def _within(
    declarations: Declarations, logical_id: str, key: str, default: float, limits: tuple[float, float]
) -> float:
    """Read a number that Lambda takes within limits (Lambda quotas; 32,768 MB are those of managed instances)."""
    number = declarations.number(logical_id, key, default=default)
    if not limits[0] <= number <= limits[1]:
        raise ResourceFault(
            f"{key} of {logical_id} is {number:g}, and Lambda takes {limits[0]:g} to {limits[1]:g}",
            ("Resources", logical_id, "Properties", key),
        )
    return number


def _layers_of(
    declarations: Declarations, logical_id: str, layers: dict[str, tuple[Path, ...]], elsewhere: dict[str, list[str]]
) -> tuple[Path, ...]:
    """Give the folders of a function's layers; those that are not on this machine are noted in ``elsewhere``."""
    folders: list[Path] = []
    for layer in declarations.items(logical_id, "Layers"):
        arn = text_of(layer, f"a layer of {logical_id}")
        if arn in layers:
            folders.extend(layers[arn])
        else:
            elsewhere.setdefault(arn, []).append(logical_id)
    return tuple(folders)


def _environment_of(declarations: Declarations, logical_id: str) -> dict[str, str]:
    variables = {}
    for name, value in declarations.mapping(logical_id, "Environment", "Variables").items():
        trail: Trail = ("Resources", logical_id, "Properties", "Environment", "Variables", name)
        variables[name] = text_of(value, f"the environment variable {name} of {logical_id}", trail)
        if "{{resolve:" in variables[name]:
            declarations.warnings.append(
                f"{logical_id} gets the environment variable {name} as it is written, {variables[name]}: "
                "only AWS can look that up."
            )
    return variables


def _read_invoke_configs(declarations: Declarations) -> dict[str, tuple[int, float]]:
    """Give, by function name, how often and for how many seconds asynchronous events are tried again."""
    configs = {}
    for logical_id in declarations.of("AWS::Lambda::EventInvokeConfig"):
        found = _FUNCTION_ARN.match(name := declarations.text(logical_id, "FunctionName") or "")
        configs[found["name"] if found else name] = (
            int(declarations.number(logical_id, "MaximumRetryAttempts", default=2)),
            declarations.number(logical_id, "MaximumEventAgeInSeconds", default=21_600),
        )
    return configs
