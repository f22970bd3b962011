from __future__ import annotations

import json
import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from handlers import message as route
from handlers.events import MessageEvent
from handlers.hub import management
from handlers.hub.candles import Candles, Votes
from handlers.hub.connections import Connection, DynamoConnectionStore, Subscription
from handlers.hub.errors import (
    AccessDenied,
    CallRefused,
    ConnectionGone,
    GatewayFault,
    GatewayUnavailable,
    LimitExceeded,
    ServiceUnavailable,
)
from handlers.hub.instruments import instruments
from handlers.hub.protocol import LIMIT_BYTES
from handlers.hub.snapshots import DynamoSnapshotStore, Snapshot
from handlers.message import respond
from tests.fakes import InMemoryCandleStore, InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway
from tests.wire import validate_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from handlers.hub.connections import ConnectionStore
    from handlers.hub.dynamodb import DynamoDB
    from handlers.hub.settings import HubSettings
    from handlers.hub.snapshots import SnapshotStore

ME = "HCIC_eb5IAMCcBw="
OPENED = 1_795_000_031_400
NOW = 1_795_000_032_660
SEQ = 359_000_006
QUOTE = (
    b'{"last":67000.10,"bid":67000.00,"ask":67000.10,"change_pct":-1.250,"ts":1795000029870,'
    b'"source":"binance","stale":false,"market":"open"}'
)
SNAPSHOT = Snapshot(stream="market", seq=SEQ, ts=1_795_000_030_291, data=dict.fromkeys(instruments(), QUOTE), state=b"")
SIGNAL = (
    b'{"rating":null,"rating_ma":null,"rating_osc":null,"label":null,"reason":"too_few_candles","counts":null,'
    b'"timeframe":"1h","closed_at":null,"atr":null,"source":"%b","stale":false,'
    b'"method":"tv-rating/3","not_advice":true}'
)
# Of two parts, however many instruments there are.
LONG = Snapshot(
    stream="signals",
    seq=59_833_334,
    ts=1_795_000_030_291,
    data=dict.fromkeys(instruments(), SIGNAL % (b"x" * (35_000 // len(instruments())))),
    state=b"",
)


def following(**subscriptions: Subscription) -> Connection:
    return Connection(id=ME, connected_at=OPENED, expires_at=1_795_007_831, format="batch", subscriptions=subscriptions)


def subscription(*symbols: str, owed: bool = False) -> Subscription:
    return Subscription(symbols=frozenset(symbols) or None, subscribed_at=NOW, snapshot_owed=owed)


class Conversation:
    """One client that talks to the route."""

    def __init__(self, settings: HubSettings) -> None:
        self.settings = settings
        self.connections: ConnectionStore = InMemoryConnectionStore(following())
        self.snapshots: SnapshotStore = InMemorySnapshotStore(SNAPSHOT, LONG)
        self.kept = InMemoryCandleStore()
        self.gateway = RecordingGateway()
        self.opened = 0

    @asynccontextmanager
    async def management_api(self) -> AsyncIterator[RecordingGateway]:
        self.opened += 1
        yield self.gateway

    def hear(self, body: str | dict[str, Any]) -> dict[str, Any]:
        event = MessageEvent(
            connection_id=ME,
            connected_at=OPENED,
            request_id="HCIDLGDDoAMFawg=",
            domain_name="a1b2c3d4e5.execute-api.us-east-1.amazonaws.com",
            stage="live",
            body=body if isinstance(body, str) else json.dumps(body),
        )
        return respond(
            event,
            connections=self.connections,
            snapshots=self.snapshots,
            kept=self.kept,
            gateway=self.management_api,
            settings=self.settings,
            now=NOW,
        )

    def ask(self, body: str | dict[str, Any]) -> Any:
        """Send and give the one message that comes back as the route's answer."""
        answer = self.hear(body)
        assert answer["statusCode"] == 200
        assert self.gateway.posts == []
        return validate_message(answer["body"])


@pytest.fixture
def client(settings: HubSettings) -> Conversation:
    return Conversation(settings)


def test_a_subscribe_is_remembered_and_answered_with_the_snapshot(client: Conversation):
    said = client.ask({"action": "subscribe", "id": "1", "streams": ["market"]})
    assert client.connections.find(ME) == following(market=subscription())
    assert (said["type"], said["id"], said["v"], said["server_time"]) == ("subscribed", "1", 1, NOW)
    assert (said["max_age_ms"], said["ping_after_ms"]) == (6_900_000, 15_000)
    market = said["streams"]["market"]
    assert (market["seq"], market["period_ms"], market["snapshot"]["seq"]) == (SEQ, 5_000, SEQ)
    assert list(market["snapshot"]["data"]) == list(instruments())
    assert market["snapshot"]["instruments"][0] == {
        "symbol": "BTC",
        "name": "Bitcoin",
        "class": "crypto",
        "decimals": 2,
    }


def test_digits_come_through_as_the_source_wrote_them(client: Conversation):
    body = client.hear({"action": "subscribe", "streams": ["market"], "symbols": ["BTC"]})["body"]
    assert '"data":{"BTC":' + QUOTE.decode() + "}" in body


def test_a_snapshot_is_of_the_symbols_asked_for(client: Conversation):
    said = client.ask({"action": "subscribe", "streams": ["market"], "symbols": ["eth", "BTC"]})
    snapshot = said["streams"]["market"]["snapshot"]
    assert [listed["symbol"] for listed in snapshot["instruments"]] == ["BTC", "ETH"]
    assert list(snapshot["data"]) == ["BTC", "ETH"]
    assert client.connections.find(ME) == following(market=subscription("BTC", "ETH"))


def test_a_client_that_has_the_last_tick_gets_no_snapshot(client: Conversation):
    said = client.ask({"action": "subscribe", "streams": ["market"], "since": {"market": SEQ}})
    assert said["streams"] == {"market": {"seq": SEQ, "period_ms": 5_000}}


def test_a_stream_without_a_tick_yet_has_no_seq(client: Conversation):
    said = client.ask({"action": "subscribe", "streams": ["binary"]})
    assert said["streams"] == {"binary": {"seq": None, "period_ms": 30_000}}
    assert client.connections.find(ME) == following(binary=subscription())


def test_a_subscribe_pays_what_the_address_was_owed(client: Conversation):
    client.connections = InMemoryConnectionStore(following(market=subscription(owed=True)))
    client.ask({"action": "subscribe", "streams": ["market"]})
    assert client.connections.find(ME) == following(market=subscription())


def test_the_subscription_is_written_before_the_snapshot_is_read(client: Conversation):
    order = []

    class Connections(InMemoryConnectionStore):
        def subscribe(self, connection_id: str, *args: Any, **options: Any) -> None:
            order.append("subscription")

    class Snapshots(InMemorySnapshotStore):
        def latest(self, stream: str) -> Snapshot | None:
            order.append("snapshot")
            return None

    client.connections, client.snapshots = Connections(), Snapshots()
    client.ask({"action": "subscribe", "streams": ["market"]})
    assert order == ["subscription", "snapshot"]


def test_a_chosen_format_is_remembered(client: Conversation):
    client.ask({"action": "subscribe", "streams": ["market"], "format": "single"})
    found = client.connections.find(ME)
    assert found is not None
    assert found.format == "single"


def test_an_answer_too_long_for_one_message_is_posted_in_order(client: Conversation):
    answer = client.hear({"action": "subscribe", "id": "1", "streams": ["market", "signals"]})
    assert answer == {"statusCode": 200}
    said = [validate_message(message) for connection_id, message in client.gateway.posts if connection_id == ME]
    assert len(said) == len(client.gateway.posts) > 3
    assert [one["type"] for one in said] == ["subscribed", *["snapshot"] * (len(said) - 1)]
    assert said[0]["streams"]["signals"] == {"seq": 59_833_334, "period_ms": 30_000}
    assert [one["stream"] for one in said[1:]] == ["market", "signals", "signals"]
    assert [(one["part"], one["parts"]) for one in said[1:]] == [(1, 1), (1, 2), (2, 2)]
    assert {one["id"] for one in said} == {"1"}
    assert client.opened == 1


def test_a_short_answer_needs_no_management_api(client: Conversation):
    client.ask({"action": "subscribe", "streams": ["market"]})
    assert client.opened == 0


def test_a_client_that_leaves_while_it_is_answered_is_forgotten(client: Conversation):
    client.gateway = RecordingGateway({ME: [None, ConnectionGone(ME)]})
    assert client.hear({"action": "subscribe", "streams": ["signals"]}) == {"statusCode": 200}
    assert client.connections.find(ME) is None


@pytest.mark.parametrize("fault", [GatewayUnavailable(ME, "503"), LimitExceeded(ME)])
def test_an_answer_that_the_gateway_does_not_take_may_be_asked_for_again(client: Conversation, fault: GatewayFault):
    client.gateway = RecordingGateway({ME: fault})
    said = client.ask({"action": "subscribe", "id": "1", "streams": ["signals"]})
    assert (said["id"], said["code"], said["retryable"], said["retry_after_ms"]) == ("1", "unavailable", True, 1_000)


def test_a_refused_signature_is_a_bug(client: Conversation):
    client.gateway = RecordingGateway({ME: AccessDenied(ME)})
    with pytest.raises(AccessDenied):
        client.hear({"action": "subscribe", "streams": ["signals"]})


def test_an_unsubscribe_says_what_is_still_followed(client: Conversation):
    client.connections = InMemoryConnectionStore(following(market=subscription(), signals=subscription("BTC")))
    said = client.ask({"action": "unsubscribe", "id": "2", "streams": ["market", "binary"]})
    assert said == {"type": "unsubscribed", "id": "2", "streams": ["signals"]}
    assert client.connections.find(ME) == following(signals=subscription("BTC"))


def test_an_unsubscribe_of_a_connection_nobody_remembers_is_no_error(client: Conversation):
    client.connections = InMemoryConnectionStore()
    said = client.ask({"action": "unsubscribe", "streams": ["market"]})
    assert said == {"type": "unsubscribed", "id": None, "streams": []}


def test_a_snapshot_is_of_what_the_connection_follows(client: Conversation):
    client.connections = InMemoryConnectionStore(following(market=subscription("ETH")))
    said = client.ask({"action": "snapshot", "id": "3", "stream": "market"})
    assert (said["type"], said["id"], said["stream"], said["seq"]) == ("snapshot", "3", "market", SEQ)
    assert list(said["data"]) == ["ETH"]


@pytest.mark.parametrize("known", [(), (following(),), (following(market=subscription()),)])
def test_a_snapshot_is_of_everything_for_who_chose_no_symbols(client: Conversation, known: tuple[Connection, ...]):
    client.connections = InMemoryConnectionStore(*known)
    assert list(client.ask({"action": "snapshot", "stream": "market"})["data"]) == list(instruments())


def test_a_long_snapshot_is_posted_in_parts(client: Conversation):
    assert client.hear({"action": "snapshot", "id": 3, "stream": "signals"}) == {"statusCode": 200}
    said = [validate_message(message) for _, message in client.gateway.posts]
    assert [(one["type"], one["id"], one["part"], one["parts"]) for one in said] == [
        ("snapshot", 3, 1, 2),
        ("snapshot", 3, 2, 2),
    ]


def test_a_snapshot_before_the_first_tick_may_be_asked_for_again(client: Conversation):
    said = client.ask({"action": "snapshot", "id": "3", "stream": "binary"})
    assert (said["code"], said["retryable"], said["retry_after_ms"]) == ("unavailable", True, 30_000)


CANDLE = b"[%d,97000.10000000,97100.00000000,96900.00000000,97050.50000000,123.45678000]"


def candles(count: int) -> Candles:
    rows = b",".join(CANDLE % (1_793_000_000_000 + number) for number in range(count))
    return Candles("BTC", "1h", 1_794_999_599_999, "simulated", b"[%b]" % rows)


def test_candles_are_answered_digit_for_digit(client: Conversation):
    client.kept = InMemoryCandleStore(candles(2))
    request = {"action": "candles", "id": "4", "symbol": "btc", "timeframe": "1h"}
    said = client.ask(request)
    assert (said["id"], said["symbol"], said["timeframe"], said["source"]) == ("4", "BTC", "1h", "simulated")
    assert (said["closed_at"], len(said["candles"])) == (1_794_999_599_999, 2)
    assert f'"candles":[{(CANDLE % 1_793_000_000_000).decode()},' in client.hear(request)["body"]


@pytest.mark.parametrize("name", ["4", "x" * 128])
def test_as_many_of_the_latest_candles_are_answered_as_one_message_has_room_for(client: Conversation, name: str):
    client.kept = InMemoryCandleStore(candles(500))
    body = client.hear({"action": "candles", "id": name, "symbol": "BTC", "timeframe": "1h"})["body"]
    assert LIMIT_BYTES - len(CANDLE % 1_793_000_000_000) - 1 <= len(body) <= LIMIT_BYTES
    opened_at = [candle[0] for candle in validate_message(body)["candles"]]
    assert opened_at == list(range(opened_at[0], 1_793_000_000_500))


def test_votes_are_answered(client: Conversation):
    payload = (Path(__file__).parents[1] / "messages" / "votes.json").read_text()
    said = json.loads(json.loads(payload)["text"])
    members = ("method", "rating", "rating_ma", "rating_osc", "label", "votes", "not_advice")
    kept = json.dumps({member: said[member] for member in members}).encode()
    client.kept = InMemoryCandleStore(Votes("BTC", "1h", said["closed_at"], "binance", kept))
    assert client.ask({"action": "votes", "id": "5", "symbol": "BTC", "timeframe": "1h"}) == said


@pytest.mark.parametrize("action", ["candles", "votes"])
def test_what_is_not_kept_may_be_asked_for_again(client: Conversation, action: str):
    client.kept = InMemoryCandleStore(candles(1))
    said = client.ask({"action": action, "id": "4", "symbol": "BTC", "timeframe": "1d"})
    assert (said["id"], said["code"], said["retryable"], said["retry_after_ms"]) == ("4", "unavailable", True, 30_000)
    assert said["message"] == f"there are no {action} of BTC for 1d, or not yet"


@pytest.mark.parametrize(("body", "name"), [("ping", None), ({"action": "ping", "id": "6"}, "6")])
def test_a_ping_is_answered(client: Conversation, body: str | dict[str, Any], name: str | None):
    assert client.ask(body) == {"type": "pong", "id": name, "ts": NOW}


@pytest.mark.parametrize(
    ("body", "name", "code"),
    [
        ("", None, "bad_json"),
        ("hello", None, "bad_json"),
        ("[]", None, "bad_json"),
        ({"id": "1"}, "1", "bad_request"),
        ({"action": "nonsense", "id": "1"}, "1", "unknown_action"),
        ({"action": "subscribe", "id": 2, "streams": ["market", "weather"]}, 2, "unknown_stream"),
        ({"action": "subscribe", "id": "1", "streams": ["market"], "symbols": ["BTC", "ABC"]}, "1", "unknown_symbol"),
        ({"action": "subscribe", "id": "1", "streams": ["market"], "symbols": ["BTC"] * 501}, "1", "too_many_symbols"),
        ({"action": "subscribe", "id": "1", "streams": ["market"], "format": "xml"}, "1", "bad_request"),
        ({"action": "subscribe", "id": [], "streams": ["market"]}, None, "bad_request"),
        ({"action": "candles", "id": "1", "symbol": "ABC", "timeframe": "1h"}, "1", "unknown_symbol"),
        ({"action": "votes", "id": "1", "symbol": "BTC", "timeframe": "2h"}, "1", "bad_request"),
    ],
    ids=range(12),
)
def test_a_clients_fault_is_told_and_nothing_is_written(
    client: Conversation, body: str | dict[str, Any], name: str | int | None, code: str
):
    before = following(signals=subscription("BTC"))
    client.connections = InMemoryConnectionStore(before)
    said = client.ask(body)
    assert (said["type"], said["id"], said["code"]) == ("error", name, code)
    assert (said["retryable"], said["retry_after_ms"]) == (False, None)
    assert client.connections.find(ME) == before


class Broken(InMemoryConnectionStore):
    """A table in trouble."""

    def __init__(self, trouble: Exception) -> None:
        super().__init__()
        self.trouble = trouble

    def subscribe(self, connection_id: str, subscriptions: Mapping[str, Subscription], **_: Any) -> None:
        raise self.trouble

    def unsubscribe(self, connection_id: str, streams: Collection[str]) -> Connection | None:
        raise self.trouble


@pytest.mark.parametrize("action", ["subscribe", "unsubscribe"])
def test_while_the_table_cannot_be_used_a_client_may_ask_again(
    client: Conversation, action: str, caplog: pytest.LogCaptureFixture
):
    client.connections = Broken(ServiceUnavailable("ThrottlingException", "no"))
    said = client.ask({"action": action, "id": "1", "streams": ["market"]})
    assert (said["id"], said["code"], said["retryable"], said["retry_after_ms"]) == ("1", "unavailable", True, 1_000)
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "HCIDLGDDoAMFawg=" in record.message
    assert record.exc_info


@pytest.mark.parametrize("trouble", [CallRefused("ValidationException", "no"), RuntimeError("a bug")])
def test_a_bug_reaches_lambda(client: Conversation, trouble: Exception):
    client.connections = Broken(trouble)
    with pytest.raises(type(trouble)):
        client.hear({"action": "subscribe", "streams": ["market"]})


EVENT: dict[str, Any] = json.loads((Path(__file__).parents[1] / "events" / "message.json").read_text())


@pytest.mark.usefixtures("deployed")
def test_the_function_wires_it_to_the_table(table: str, db: DynamoDB):
    DynamoSnapshotStore(db, table).save(SNAPSHOT)
    answer = route.handler(EVENT, None)
    said = validate_message(answer["body"])
    assert list(said["streams"]["market"]["snapshot"]["data"]) == ["BTC"]
    found = DynamoConnectionStore(db, table, shards=4).find(ME)
    assert found is not None
    assert found.subscriptions["market"].symbols == frozenset({"BTC"})


@pytest.mark.usefixtures("deployed")
def test_the_route_key_of_the_event_says_nothing(table: str):
    event = msgspec.json.decode(msgspec.json.encode(EVENT))
    event["requestContext"]["routeKey"] = "unsubscribe"
    event["body"] = "ping"
    assert validate_message(route.handler(event, None)["body"])["type"] == "pong"


@pytest.mark.usefixtures("deployed")
def test_the_function_posts_through_the_management_api_of_its_stage(
    table: str, db: DynamoDB, monkeypatch: pytest.MonkeyPatch
):
    gateway = RecordingGateway()
    asked = []

    @asynccontextmanager
    async def recording(settings: HubSettings) -> AsyncIterator[RecordingGateway]:
        asked.append(settings.management_endpoint)
        yield gateway

    monkeypatch.setattr(management.ManagementApi, "from_environment", recording)
    DynamoSnapshotStore(db, table).save(LONG)
    event = {**EVENT, "body": '{"action":"subscribe","streams":["signals"]}'}
    assert route.handler(event, None) == {"statusCode": 200}
    assert asked == ["https://a1b2c3d4e5.execute-api.us-east-1.amazonaws.com/live"]
    assert [validate_message(message)["type"] for _, message in gateway.posts] == ["subscribed", "snapshot", "snapshot"]
