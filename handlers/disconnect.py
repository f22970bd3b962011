"""The route ``$disconnect``: forget who has left."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from handlers.events import read_disconnect
from handlers.hub.connections import connection_store
from handlers.hub.settings import hub_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from handlers.events import DisconnectEvent
    from handlers.hub.connections import ConnectionStore

_log = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Serve ``$disconnect`` on Lambda; nobody sees what it returns."""
    return disconnect(read_disconnect(event), connections=connection_store(hub_settings()))


def disconnect(event: DisconnectEvent, *, connections: ConnectionStore) -> dict[str, Any]:
    """
    Forget the connection in one write; a second time is no error.

    The gateway's delivery of this event is best effort: who is not forgotten here is so at the next post, by its 410.
    """
    forgotten = connections.forget(event.connection_id)
    _log.info(
        "connection %s ended with %s %r%s",
        event.connection_id,
        event.code,
        event.reason,
        "" if forgotten else ", forgotten before",
    )
    return {"statusCode": 200}
