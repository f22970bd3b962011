"""What a deployment tells the scheduler, read from the environment that the template sets."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from handlers.hub.environment import RegionUnknown, credentials, region
from handlers.hub.settings import HubSettings
from handlers.hub.signing import CredentialsUnavailable
from scheduler.errors import SettingFault
from scheduler.quota import BURST, POSTS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Mapping


class SchedulerSettings(HubSettings):
    """The hub's settings and the scheduler's own; each is an environment variable ``TICKWIRE_…``."""

    binance_url: str = Field(
        default="https://data-api.binance.vision",
        pattern=r"^https?://",
        description="Where Binance's public market data is; the paths behind it are Binance's.",
    )
    kraken_url: str = Field(
        default="https://api.kraken.com",
        pattern=r"^https?://",
        description="Where Kraken's public market data is; the paths behind it are Kraken's.",
    )
    gold_api_url: str = Field(
        default="https://api.gold-api.com",
        pattern=r"^https?://",
        description="Where gold-api's prices of metals are; the paths behind it are gold-api's.",
    )
    frankfurter_url: str = Field(
        default="https://api.frankfurter.dev",
        pattern=r"^https?://",
        description="Where Frankfurter's daily rates are, which prices are compared with; the paths are Frankfurter's.",
    )
    swissquote: bool = Field(
        default=False,
        description="Whether Swissquote is asked too. It publishes no terms for these quotes: ask it before you "
        "switch this on.",
    )
    swissquote_url: str = Field(
        default="https://forex-data-feed.swissquote.com",
        pattern=r"^https?://",
        description="Where Swissquote's public quotes are; the paths behind it are Swissquote's.",
    )
    push: bool = Field(
        default=False,
        description="Whether Binance's and Kraken's WebSockets are held open, and quotes are younger than a second.",
    )
    binance_push_url: str = Field(
        default="wss://data-stream.binance.vision",
        pattern=r"^wss?://",
        description="Where Binance's public WebSocket is; the paths behind it are Binance's.",
    )
    kraken_push_url: str = Field(
        default="wss://ws.kraken.com",
        pattern=r"^wss?://",
        description="Where Kraken's public WebSocket is; the paths behind it are Kraken's.",
    )
    signal_timeframes: str = Field(
        default="1h",
        pattern=r"^(1m|15m|1h|4h|1d)(,(1m|15m|1h|4h|1d))*$",
        description="Of which candles the signals are, separated by commas (1m, 15m, 1h, 4h, 1d); clients see the "
        "first one first.",
    )
    posts_per_second: float = Field(
        default=POSTS_PER_SECOND,
        gt=0,
        description="How many messages a second all streams together may post: a part of what the gateway allows the "
        "account in this region, which its other APIs and the answers to clients share.",
    )
    post_burst: float = Field(
        default=BURST, ge=1, description="How many messages may be posted at once before that rate counts."
    )
    fanout_threshold: int = Field(
        default=2_000,
        ge=1,
        description="Past how many followers of a stream a tick is posted by functions of their own, and how many "
        "each of them gets.",
    )
    fanout_function: str = Field(
        default="",
        description="Name or ARN of the function that posts to a group of shards; empty means that every tick is "
        "posted by the process that runs it.",
    )
    run_for: float = Field(
        default=70.0,
        gt=0,
        description="For how many seconds one Lambda run starts ticks: more than the minute between two runs, "
        "because overlapping runs are harmless and a hole is not.",
    )


def make_settings(given: Mapping[str, Any] = MappingProxyType({})) -> SchedulerSettings:
    """
    Make settings of what is ``given``, by their names, and for the rest of the environment.

    Raises:
        SettingFault: One sentence about the first that is missing or cannot be used.
    """
    try:
        return SchedulerSettings(**given)
    except ValidationError as error:
        fault = error.errors()[0]
        variable = "TICKWIRE_" + "_".join(str(part) for part in fault["loc"]).upper()
        if fault["type"] == "missing":
            raise _missing(variable) from None
        raise SettingFault(f"{variable} cannot be used: {fault['msg']}.") from None


def read_settings() -> SchedulerSettings:
    """
    Read the settings, and see that AWS's own region and credentials are there too.

    Raises:
        SettingFault: One sentence about the first that is missing or cannot be used.
    """
    settings = make_settings()
    if not settings.gateway:
        raise _missing("TICKWIRE_GATEWAY")
    if not settings.management_endpoint.startswith(("http://", "https://")):
        raise SettingFault(f"TICKWIRE_GATEWAY cannot be used: {settings.gateway!r} is no ws:// or wss:// address.")
    try:
        region()
        credentials()
    except RegionUnknown:
        raise SettingFault("AWS_REGION is not set: it names the AWS region of the table and the gateway.") from None
    except CredentialsUnavailable as fault:
        sentence = str(fault)
        raise SettingFault(
            f"{sentence[:1].upper()}{sentence[1:]}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
        ) from None
    return settings


def _missing(variable: str) -> SettingFault:
    field = SchedulerSettings.model_fields[variable.removeprefix("TICKWIRE_").lower()]
    return SettingFault(f"{variable} is not set. It is: {field.description}")
