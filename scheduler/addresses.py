"""Where the providers are, as a person may tell a subcommand that needs neither table nor gateway."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING

from scheduler.settings import SchedulerSettings, make_settings

if TYPE_CHECKING:
    from collections.abc import Iterable


def add_addresses(parser: argparse.ArgumentParser, providers: Iterable[str]) -> None:
    """Add an option for the address of each provider; the environment's is the default, as it is the scheduler's."""
    for provider in providers:
        setting = f"{provider.replace('-', '_')}_url"
        parser.add_argument(
            f"--{provider}-url",
            type=_address,
            default=os.environ.get(f"TICKWIRE_{setting.upper()}") or SchedulerSettings.model_fields[setting].default,
            metavar="URL",
            help=f"where {provider}'s public market data is (%(default)s)",
        )


def settings_of(chosen: argparse.Namespace) -> SchedulerSettings:
    """
    Make the settings that were chosen, of providers that are only asked: what they push is no answer to anybody.

    Raises:
        SettingFault: The environment has something that cannot be used.
    """
    addresses = {name: value for name, value in vars(chosen).items() if name.endswith("_url")}
    # No table is used, but every scheduler's settings name one.
    return make_settings({"table": "none", "push": False, **addresses})


def _address(text: str) -> str:
    if not re.match(r"https?://", text):
        raise argparse.ArgumentTypeError(f"not an http:// or https:// address: {text!r}")
    return text
