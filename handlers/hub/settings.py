"""What a deployment tells the hub, read from the environment that the template sets."""

from __future__ import annotations

from functools import lru_cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class HubSettings(BaseSettings):
    """Settings of everything that touches connections; each is an environment variable ``TICKWIRE_…``."""

    model_config = SettingsConfigDict(env_prefix="TICKWIRE_", frozen=True, extra="ignore")

    table: str = Field(description="Name of the DynamoDB table.")
    shards: int = Field(
        default=4, ge=1, le=1024, description="How many partitions the connections are spread over, and queries a tick."
    )
    other_shards: int = Field(
        default=0,
        ge=0,
        le=1024,
        description="By which other number of shards connections may have been written, or are by functions that are "
        "not replaced yet; 0 for none.",
    )
    gateway: str = Field(
        default="",
        description="The stage's own address, wss://{api}.execute-api.{region}.amazonaws.com/{stage}; "
        "the management API is at the same place under https.",
    )
    connection_max_age_ms: int = Field(
        default=6_900_000, ge=1_000, description="After how many milliseconds a client should open a new socket."
    )
    ping_after_ms: int = Field(
        default=15_000, ge=1_000, description="After how many milliseconds of silence a client should ping."
    )

    @property
    def management_endpoint(self) -> str:
        """The management API of the stage: ``gateway`` with http(s) in place of ws(s)."""
        return "http" + self.gateway.removeprefix("ws") if self.gateway.startswith("ws") else self.gateway


@lru_cache(maxsize=1)
def hub_settings() -> HubSettings:
    """Read the settings once for the life of a process; tests call ``hub_settings.cache_clear()``."""
    return HubSettings()
