"""Turn a SAM template into plain CloudFormation, offline, with what it says of local files kept."""

from __future__ import annotations

import logging
import re
from copy import deepcopy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from local.template.errors import TemplateError, TransformFault

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRANSFORM = "AWS::Serverless-2016-10-31"
_BUCKET = "tickwire-files-on-this-machine"
_NAMED = re.compile(r"id \[([A-Za-z0-9]+)\]")

#: The properties in which SAM accepts a path of this machine, before `sam package` has made an address of it.
_PATHS = {
    "AWS::Serverless::Api": "DefinitionUri",
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::GraphQLApi": "SchemaUri",
    "AWS::Serverless::HttpApi": "DefinitionUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}

#: Where SAM's plain CloudFormation has the same.
_PLAIN = {"AWS::Lambda::Function": "Code", "AWS::Lambda::LayerVersion": "Content"}


def is_sam(document: Mapping[str, Any]) -> bool:
    """Tell whether a template asks for the SAM transform."""
    return _TRANSFORM in transforms(document)


def transforms(document: Mapping[str, Any]) -> list[str]:
    """List the names of the macros that a template asks for."""
    asked = document.get("Transform") or []
    macros = asked if isinstance(asked, list) else [asked]
    return [str(macro.get("Name")) if isinstance(macro, dict) else str(macro) for macro in macros]


def transform(document: Mapping[str, Any], *, parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """
    Apply the SAM transform.

    The transform takes only addresses in S3, so every path is replaced by one that names its resource, and put back
    afterwards: functions then have their path as ``Code``, layers as ``Content``.

    Importing the translator takes 300 ms, which is why the caller remembers the result.

    Raises:
        TransformFault: The transform refuses the template.
    """
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415 - see above
    from samtranslator.parser.parser import Parser  # noqa: PLC0415 - see above
    from samtranslator.translator.translator import Translator  # noqa: PLC0415 - see above

    # It warns of what concerns only its own makers; unheard warnings would go to stderr.
    logger = logging.getLogger("samtranslator")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    work = deepcopy(dict(document))
    paths = _take_paths(work)
    # Without a session of its own it would ask boto3 for the region of this machine's user.
    translator = Translator({}, Parser(), boto_session=SimpleNamespace(region_name=region))
    try:
        plain: dict[str, Any] = translator.translate(work, dict(parameters))
    except InvalidDocumentException as error:
        raise TransformFault([_cause(cause.message) for cause in error.causes]) from error
    except Exception as error:  # an odd template can reach any corner of the translator
        reason = " ".join(str(error).split())
        raise TransformFault([TemplateError(f"the SAM transform failed: {type(error).__name__}: {reason}")]) from error
    finally:
        translator.metrics.publish()  # to nowhere; without this it complains on stderr at the process's end
    _put_back(plain, paths)
    return plain


def _take_paths(document: dict[str, Any]) -> dict[str, Any]:
    """Replace every path by an address in S3, in place; returns the paths by logical id."""
    functions = _mapping(_mapping(document.get("Globals")).get("Function"))
    everywhere = functions.pop("CodeUri", None)
    paths: dict[str, Any] = {}
    for logical_id, resource in _mapping(document.get("Resources")).items():
        kind = _mapping(resource).get("Type")
        key = _PATHS.get(kind) if isinstance(kind, str) else None
        if key is None:
            continue
        if resource.get("Properties") is None:
            resource["Properties"] = {}
        properties = _mapping(resource["Properties"])
        if kind == "AWS::Serverless::Function":
            packaged = properties.get("PackageType", functions.get("PackageType")) == "Image"
            if packaged or "InlineCode" in properties:
                continue
            properties.setdefault(key, "." if everywhere is None else everywhere)
        if key in properties and not _is_address(properties[key]):
            paths[logical_id] = properties[key]
            properties[key] = f"s3://{_BUCKET}/{logical_id}"
    return paths


def _put_back(document: dict[str, Any], paths: Mapping[str, Any]) -> None:
    for resource in document["Resources"].values():
        if key := _PLAIN.get(resource.get("Type")):
            address = resource["Properties"].get(key)
            if isinstance(address, dict) and address.get("S3Bucket") == _BUCKET:
                resource["Properties"][key] = paths[address["S3Key"]]


def _is_address(value: object) -> bool:
    if isinstance(value, str):
        return value.startswith(("s3://", "https://"))
    return isinstance(value, dict) and {"Bucket", "Key"} <= value.keys()


def _cause(message: str) -> TemplateError:
    named = _NAMED.search(message)
    return TemplateError(" ".join(message.split()), ("Resources", named[1]) if named else ())


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
