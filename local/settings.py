"""What ``tickwire up`` can be told, by flag or by environment variable ``TICKWIRE_…``."""

from __future__ import annotations

import json
import re
from pathlib import Path  # pydantic reads annotations when it runs
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, CliApp, CliSettingsSource, CliToggleFlag, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

if TYPE_CHECKING:
    from argparse import Action, ArgumentParser
    from collections.abc import Sequence

#: What stands for an option's value in the help, where its type says too little.
_WORDS = {
    "--template": "PATH",
    "--port": "PORT",
    "--providers": "SOURCE",
    "--ready-file": "PATH",
    "--parameter": "K=V",
    "--limit": "K=V",
    "--choice": "K=V",
    "--region": "REGION",
    "--access-key-id": "KEY",
    "--secret-access-key": "SECRET",
    "--alias": "HOST=API",
    "--python": "PATH",
    "--seed": "TEXT",
}
_NO_DEFAULT = re.compile(r" \(default: (?:null|\{\})?\)$")
#: The options that take NAME=VALUE.
_PAIRS = ("--parameter", "--limit", "--choice", "--alias")


class UpSettings(BaseSettings):
    """Run the WebSocket API that a template describes: sockets, functions, table and schedules, on one port."""

    model_config = SettingsConfigDict(
        env_prefix="TICKWIRE_",
        cli_prog_name="tickwire up",
        cli_kebab_case=True,
        cli_hide_none_type=True,
        extra="ignore",
    )

    template: Path | None = Field(
        default=None, description="The template; without it template.yaml, template.yml or template.json here."
    )
    port: int = Field(default=8000, ge=0, le=65_535, description="Port on 127.0.0.1; 0 takes a free one.")
    providers: str = Field(
        default="simulated",
        description="Where prices come from: simulated, live (the real hosts) or replay:DIR (recorded answers).",
    )
    no_browser: CliToggleFlag[bool] = Field(default=False, description="Do not open the page in a browser.")
    ready_file: Path | None = Field(
        default=None, description="Write one JSON object with every address there once connections are accepted."
    )
    parameter: dict[str, str] = Field(default={}, description="A parameter of the template; repeatable.")
    limit: dict[str, str] = Field(
        default={}, description="A limit of the gateway, such as life=20s or concurrency=4; repeatable."
    )
    choice: dict[str, str] = Field(
        default={}, description="How the gateway does what AWS does not document; repeatable."
    )
    quotas: Literal["off", "aws"] = Field(
        default="off", description="aws: the account's quotas of connections and requests a second hold."
    )
    strict: CliToggleFlag[bool] = Field(
        default=False, description="Do not start when a route has an integration that is not emulated."
    )
    region: str = Field(default="us-east-1", description="The region that everything is said to be in.")
    access_key_id: str = Field(default="test", description="The local administrator's access key.")
    secret_access_key: str = Field(default="test", description="Its secret.")
    unsigned: CliToggleFlag[bool] = Field(
        default=False, description="Do not check signatures: whoever names no function's key is the administrator."
    )
    no_iam: CliToggleFlag[bool] = Field(default=False, description="Let every function do everything.")
    alias: dict[str, str] = Field(
        default={},
        description="A host that functions hard-wire, such as ws.example.com, leads to that API; repeatable.",
    )
    runtime: Literal["pipe", "api", "inline"] = Field(
        default="pipe",
        description="How functions run: in processes over a pipe, in processes behind the Runtime API, "
        "or in this process, for a debugger.",
    )
    python: Path | None = Field(default=None, description="The interpreter of the functions; this one by default.")
    seed: str = Field(default="", description="Seed of the simulated prices: the same one, the same prices.")

    @field_validator("providers")
    @classmethod
    def _known(cls, value: str) -> str:
        if value in {"simulated", "live"} or (value.startswith("replay:") and value != "replay:"):
            return value
        raise ValueError("is one of simulated, live, replay:DIR")


def read_settings(arguments: Sequence[str]) -> UpSettings:
    """
    Read the command line of ``tickwire up``.

    Raises:
        SettingsError: One of the options that want NAME=VALUE has something else.
        ValidationError: An option's value cannot be.
    """
    source: CliSettingsSource[UpSettings] = CliSettingsSource(UpSettings, add_argument_method=_add_option)
    return CliApp.run(UpSettings, cli_args=quote_pairs(arguments), cli_settings_source=source)


def _add_option(parser: ArgumentParser, *names: str, **told: Any) -> Action:  # noqa: ANN401 # argparse's
    """Add an option whose help is for people: a word for its value instead of a type, and no default that is none."""
    if "metavar" in told:
        told["metavar"] = _WORDS.get(names[0], told["metavar"])
    if "help" in told:
        told["help"] = _NO_DEFAULT.sub("", told["help"])
    return parser.add_argument(*names, **told)


def quote_pairs(arguments: Sequence[str]) -> list[str]:
    """
    Write every NAME=VALUE as JSON, for pydantic would take a comma in a value for the beginning of the next pair.

    Raises:
        SettingsError: One is no NAME=VALUE.
    """
    quoted: list[str] = []
    option = ""
    for argument in arguments:
        flag, attached, pair = argument.partition("=")
        if option or (flag in _PAIRS and attached):
            option, pair = option or flag, argument if option else pair
            name, sign, value = pair.partition("=")
            if not (name and sign) and not pair.startswith("{"):
                raise SettingsError(f"{option} wants NAME=VALUE, and {pair!r} is none")
            quoted += [option, pair if pair.startswith("{") else json.dumps({name: value})]
            option = ""
        elif argument in _PAIRS:
            option = argument
        else:
            quoted.append(argument)
    return [*quoted, option] if option else quoted
