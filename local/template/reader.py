"""
Read a SAM or CloudFormation template into a Stack: what the emulator runs, and what it says that it does not.

Nothing of the code that the template names is imported or run, and nothing is asked of AWS.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.functions.code import cache_folder
from local.stack import OwnSystem, Stack
from local.template.apis import read_apis
from local.template.declarations import Declarations, listed
from local.template.domains import read_mappings
from local.template.errors import (
    ParameterFault,
    TemplateError,
    TemplateMalformed,
    TemplateMissing,
    Trail,
)
from local.template.functions import DeclaredFunctions
from local.template.identities import Place
from local.template.ignored import is_known, name_ignored
from local.template.intrinsics import text_of
from local.template.sam import is_sam, transform, transforms
from local.template.state import read_resources, read_schedules, read_tables

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECTIONS = ("Conditions", "Globals", "Mappings", "Metadata", "Outputs", "Parameters", "Resources")
_MAPPINGS_OF_MAPPINGS = {"Mappings", "Outputs", "Parameters", "Resources"}
_KNOWN_TRANSFORMS = {"AWS::Serverless-2016-10-31", "AWS::LanguageExtensions"}
_OWN_MEMBERS = {"Gateway", "Page", "Providers", "Streams"}
#: CloudFormation's own limit of a template, in bytes (its quotas).
_LONGEST = 1_000_000


def read_template(
    path: Path,
    *,
    parameters: Mapping[str, str],
    region: str = "us-east-1",
    account_id: str = "000000000000",
    name: str | None = None,
    cache: Path | None = None,
) -> Stack:
    """
    Read the template at ``path``.

    Importing the SAM translator and parsing YAML take 0.4 s, so what they make of a template is kept by the hash of
    everything that it depends on; a second start reads it in 10 ms.

    Args:
        path: The template, YAML or JSON.
        parameters: Values for the template's parameters; the others have their defaults.
        region: What ``AWS::Region`` is.
        account_id: What ``AWS::AccountId`` is, twelve digits.
        name: The stack's name; None means the one in a ``samconfig.toml`` beside the template, or else its folder's.
        cache: The folder for what can be made again; None means the user's own.

    Raises:
        TemplateError: The template cannot be run; its text says why in one sentence, with file, line and column.
    """
    path = path.absolute()
    text = ""
    try:
        text = _read_text(path)
        cache = cache or cache_folder(os.environ)
        prepared = _prepare(text, parameters=parameters, region=region, cache=cache)
        place = Place(name or _stack_name(path.parent), region, account_id)
        declarations = Declarations(
            prepared["document"],
            folder=path.parent,
            parameters=_parameter_values(prepared["document"], parameters),
            place=place,
        )
        return _assemble(declarations, path=path, cache=cache, odd=prepared["odd"])
    except TemplateError as error:
        error.locate(path, lambda trail: _place_of(text, trail))
        raise


def _assemble(declarations: Declarations, *, path: Path, cache: Path, odd: list[str]) -> Stack:
    used = declarations.check_references()
    own = _read_own_system(declarations)
    functions = DeclaredFunctions.read(declarations, cache=cache)
    apis = read_apis(declarations, functions)
    mappings = read_mappings(declarations, apis)
    tables = read_tables(declarations)
    schedules = read_schedules(declarations, functions)
    outputs = _read_outputs(declarations)
    warnings = [
        *(f"{path.name}:{oddity}." for oddity in odd),
        *_unknown_values(declarations.document, used),
        *declarations.warnings,
        *name_ignored(declarations, with_page=own is not None and own.page is not None),
    ]
    return Stack(
        name=declarations.place.stack,
        path=path,
        region=declarations.place.region,
        account_id=declarations.place.account_id,
        apis=apis,
        mappings=mappings,
        functions=functions.runnable,
        tables=tables,
        schedules=schedules,
        resources=() if own is not None and own.page is not None else read_resources(declarations),
        outputs=outputs,
        warnings=tuple(warnings),
        own=own,
    )


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise TemplateMissing("there is no such template") from error
    except IsADirectoryError as error:
        raise TemplateMissing("this is a folder; give the template in it") from error
    except OSError as error:
        raise TemplateMissing(f"the template cannot be read: {error.strerror}") from error
    if len(content) > _LONGEST:
        raise TemplateMalformed(f"the template has {len(content):,} bytes; CloudFormation takes {_LONGEST:,}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TemplateMalformed("the template is not UTF-8 text", line=line) from error


def _prepare(text: str, *, parameters: Mapping[str, str], region: str, cache: Path) -> dict[str, Any]:
    """Parse and transform a template, or remember what became of the very same one; a spoilt memory is no memory."""
    key = hashlib.sha256()
    for part in (text, json.dumps(sorted(parameters.items())), region, *_versions()):
        key.update(f"{len(part)}:{part}".encode())
    memory = cache / "templates" / f"{key.hexdigest()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        remembered = json.loads(memory.read_bytes())
        if isinstance(remembered["document"]["Resources"], dict) and isinstance(remembered["odd"], list):
            return {"document": remembered["document"], "odd": remembered["odd"]}

    from local.template.source import parse  # noqa: PLC0415 - with its parser it is only needed the first time

    document, odd = parse(text)
    _check_shape(document)
    macros = [macro for macro in transforms(document) if macro not in _KNOWN_TRANSFORMS]
    if macros:
        raise TemplateMalformed(f"the macro {listed(macros)} runs only in AWS", ("Transform",))
    given = _parameter_values(document, parameters)
    if is_sam(document):
        document = transform(document, parameters=given, region=region)
    prepared = {"document": document, "odd": odd}
    with suppress(OSError, ValueError, TypeError):  # what cannot be kept is made again
        memory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = memory.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(prepared), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(memory)
    return prepared


def _versions() -> list[str]:
    """Say what makes the prepared template: the translator's version, and the text of our own part in it."""
    folder = Path(__file__).parent
    makers = [folder / f"{module}.py" for module in ("sam", "reader", "source")]
    # The translator's first file holds its version; asking the package's metadata for it would cost 50 ms of imports.
    if (translator := find_spec("samtranslator")) is not None and translator.origin is not None:
        makers.append(Path(translator.origin))
    return [hashlib.sha256(maker.read_bytes()).hexdigest() for maker in makers]


def _check_shape(document: Mapping[str, Any]) -> None:
    """Refuse a template whose sections or resources are not the mappings that everything else takes them for."""
    for section in _SECTIONS:
        entries = document.get(section) or {}
        if not isinstance(entries, dict):
            raise TemplateMalformed(f"{section} must be a mapping", (section,))
        for name, entry in entries.items():
            if section in _MAPPINGS_OF_MAPPINGS and not isinstance(entry, dict):
                raise TemplateMalformed(f"{name} in {section} must be a mapping", (section, name))
    if not document.get("Resources"):
        if {"service", "provider"} <= document.keys():
            raise TemplateMalformed(
                "this is a configuration of the Serverless Framework: give the template that `serverless package` "
                "makes of it, .serverless/cloudformation-template-update-stack.json"
            )
        raise TemplateMalformed("this template has no Resources")
    _check_resources(document["Resources"], with_sam=is_sam(document))


def _check_resources(resources: Mapping[str, Any], *, with_sam: bool) -> None:
    for logical_id, resource in resources.items():
        trail: Trail = ("Resources", logical_id)
        if logical_id.startswith("Fn::"):
            raise TemplateMalformed(f"{logical_id} makes resources that only AWS can make", trail)
        if not isinstance(resource.get("Type"), str):
            raise TemplateMalformed(f"the resource {logical_id} has no Type", trail)
        if resource["Type"].startswith("AWS::Serverless::") and not with_sam:
            raise TemplateMalformed(
                f"{logical_id} is of a type of SAM's, and the template lacks the line "
                "Transform: AWS::Serverless-2016-10-31",
                (*trail, "Type"),
            )
        if not isinstance(resource.get("Properties") or {}, dict):
            raise TemplateMalformed(f"Properties of {logical_id} must be a mapping", (*trail, "Properties"))


def _parameter_values(document: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    """
    Give each parameter its value, as text or, where its type is a list, as a list of texts.

    Raises:
        ParameterFault: A given one is unknown or not allowed, or one has neither a value nor a default.
    """
    declared: Mapping[str, Any] = document.get("Parameters") or {}
    if unknown := [name for name in given if name not in declared]:
        has = f"its parameters are {listed(declared)}" if declared else "it has none"
        raise ParameterFault(f"the template has no parameter {listed(unknown)}; {has}")
    if missing := [name for name, rule in declared.items() if name not in given and "Default" not in rule]:
        options = " ".join(f"--parameter {name}=…" for name in missing)
        what = "parameters" if len(missing) > 1 else "parameter"
        raise ParameterFault(
            f"the {what} {listed(missing)} {'have' if len(missing) > 1 else 'has'} no default: give {options}",
            ("Parameters", missing[0]),
        )
    values: dict[str, Any] = {}
    for name, rule in declared.items():
        trail: Trail = ("Parameters", name)
        value = text_of(given.get(name, rule.get("Default")), f"the parameter {name}", trail)
        kind = str(rule.get("Type", "String"))
        is_list = kind == "CommaDelimitedList" or "List<" in kind
        values[name] = [item.strip() for item in value.split(",")] if is_list else value
        for item in values[name] if is_list else [value]:
            try:
                reason = _why_forbidden(item, kind, rule)
            except (TypeError, ValueError) as error:
                raise ParameterFault(f"a limit of the parameter {name} is no number", trail) from error
            if reason:
                raise ParameterFault(f"the parameter {name} is {item!r}, {reason}", trail)
    return values


def _why_forbidden(value: str, kind: str, rule: Mapping[str, Any]) -> str | None:
    """Say how a value breaks its parameter's rules, or None."""
    allowed = rule.get("AllowedValues")
    if isinstance(allowed, list):
        texts = [text_of(choice, "an allowed value", ("Parameters",)) for choice in allowed]
        if value not in texts:
            return f"which is none of {', '.join(texts)}"
    if "Number" in kind:
        try:
            number = float(value)
        except ValueError:
            return "which is no number"
        if number < float(rule.get("MinValue", "-inf")) or number > float(rule.get("MaxValue", "inf")):
            return f"which is not between {rule.get('MinValue', 'any')} and {rule.get('MaxValue', 'any')}"
    with suppress(re.error):  # AWS's patterns are Java's; what Python cannot read is left to AWS
        if "AllowedPattern" in rule and not re.fullmatch(str(rule["AllowedPattern"]), value):
            return f"which does not match {rule['AllowedPattern']}"
    if not int(rule.get("MinLength", 0)) <= len(value) <= int(rule.get("MaxLength", len(value))):
        return f"which is not {rule.get('MinLength', 0)} to {rule.get('MaxLength', 'any number of')} characters long"
    return None


def _unknown_values(document: Mapping[str, Any], used: set[str]) -> list[str]:
    """Name the parameters in use whose value is only a name in AWS's parameter store."""
    return [
        f"The parameter {name} is the name of a value that only AWS knows; give it with --parameter {name}=…."
        for name, rule in (document.get("Parameters") or {}).items()
        if name in used and str(rule.get("Type", "")).startswith("AWS::SSM::Parameter::Value")
    ]


def _read_outputs(declarations: Declarations) -> dict[str, str]:
    """Read the outputs, all but those that tell of what the emulator has not."""
    outputs = {}
    for name, output in (declarations.document.get("Outputs") or {}).items():
        if declarations.holds(output.get("Condition"), ("Outputs", name, "Condition")):
            trail: Trail = ("Outputs", name, "Value")
            value = declarations.resolve(output.get("Value"), trail)
            if not all(is_known(kind) for kind in declarations.kinds_in(output.get("Value"), trail)):
                continue
            outputs[name] = ",".join(
                text_of(item, f"the output {name}", trail) for item in (value if isinstance(value, list) else [value])
            )
    return outputs


def _read_own_system(declarations: Declarations) -> OwnSystem | None:
    """Read ``Metadata: Tickwire``, or None where a template has no such block."""
    block = (declarations.document.get("Metadata") or {}).get("Tickwire")
    if block is None:
        return None
    trail: Trail = ("Metadata", "Tickwire")
    if not isinstance(block, dict) or not block.keys() <= _OWN_MEMBERS:
        raise TemplateMalformed(f"Tickwire must be a mapping of {listed(sorted(_OWN_MEMBERS))}", trail)
    block = declarations.resolve(block, trail)
    for member in ("Streams", "Providers"):
        entries = block.get(member) or {}
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            raise TemplateMalformed(f"{member} must be a mapping of texts", (*trail, member))
    for stream, public in (block.get("Streams") or {}).items():
        if not public.startswith("/"):
            raise TemplateMalformed(f"the path of {stream} must begin with /", (*trail, "Streams", stream))
    page = block.get("Page")
    gateway = block.get("Gateway")
    return OwnSystem(
        gateway=text_of(gateway, "Gateway", trail) if gateway else None,
        page=(declarations.folder / text_of(page, "Page", trail)).resolve() if page else None,
        streams=block.get("Streams") or {},
        providers=block.get("Providers") or {},
    )


def _stack_name(folder: Path) -> str:
    """Name a stack: as ``samconfig.toml`` does for `sam deploy`, or after the folder."""
    name = folder.name
    config = folder / "samconfig.toml"
    if config.is_file():
        import tomllib  # noqa: PLC0415 - few templates have such a file

        with suppress(OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, AttributeError):
            default = tomllib.loads(config.read_text(encoding="utf-8")).get("default", {})
            for command in ("deploy", "global"):
                given = default.get(command, {}).get("parameters", {}).get("stack_name")
                if isinstance(given, str):
                    name = given
                    break
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "stack"


def _place_of(text: str, trail: Trail) -> tuple[int, int] | None:
    from local.template.source import locate  # noqa: PLC0415 - only an error asks for a place

    return locate(text, trail)
