"""The simulated exchange's WebSockets: what they say beside what is answered, and how they are told to fail."""

from __future__ import annotations

import asyncio
import json

import pytest

from local.exchange.application import exchange, simulated_providers
from local.exchange.limits import SOCKET_LIFE_MS
from local.exchange.provider import Hangup, Request, phase
from tests.local.exchange_client import NOW

SECOND = NOW // 1000 * 1000
PROVIDERS = simulated_providers("tickwire")
BINANCE, KRAKEN = PROVIDERS["binance"], PROVIDERS["kraken"]
TICKER, BOOK = phase("btcusdt"), phase("btcusdt") - 500


def asked(provider, path, now, **query):
    return json.loads(provider.answer(Request(path=path, query=query, client="sockets", now=now)).body)


def combined(*streams, now=SECOND):
    session = BINANCE.session("/stream", {"streams": "/".join(streams)})
    assert session.opened(now=now) == ()
    return session


def due(session, now, halted=()):
    return [json.loads(message) for message in session.due(now=now, halted=halted)]


def test_a_ticker_says_what_is_answered_at_that_moment():
    session = combined("btcusdt@ticker")
    assert session.due_at() == SECOND + TICKER
    assert due(session, SECOND + TICKER - 1) == []
    (message,) = due(session, SECOND + TICKER)
    assert message["stream"] == "btcusdt@ticker"
    event = message["data"]
    row = asked(BINANCE, "/api/v3/ticker/24hr", SECOND + TICKER, symbol="BTCUSDT")
    assert list(event) == [*"eEspPwxcQbBaAohlvqOCFLn"]
    assert (event["e"], event["E"], event["s"]) == ("24hrTicker", SECOND + TICKER, "BTCUSDT")
    assert [event[short] for short in "pPwcQbBaAohlvqOCFLn"] == [
        row[name] for name in row if name not in {"symbol", "prevClosePrice"}
    ]
    assert session.due_at() == SECOND + TICKER + 1_000


def test_a_book_ticker_comes_when_it_has_changed_and_half_a_second_before_the_ticker():
    session = combined("btcusdt@bookTicker")
    (message,) = due(session, SECOND + BOOK)
    row = asked(BINANCE, "/api/v3/ticker/bookTicker", SECOND + BOOK, symbol="BTCUSDT")
    names = {"b": "bidPrice", "B": "bidQty", "a": "askPrice", "A": "askQty"}
    assert {short: message["data"][short] for short in names} == {short: row[name] for short, name in names.items()}
    assert list(message["data"]) == [*"usbBaA"]
    assert len(due(session, SECOND + BOOK + 1_000)) == 1
    session._last["btcusdt@bookTicker"] = session._event("btcusdt@bookTicker", SECOND + BOOK + 2_000, ())
    assert due(session, SECOND + BOOK + 2_000) == []


def test_mini_tickers_come_by_symbol_or_as_an_array_of_all():
    row = asked(BINANCE, "/api/v3/ticker/24hr", SECOND + 999, symbol="BTCUSDT", type="MINI")
    (one,) = due(combined("btcusdt@miniTicker"), SECOND + 999)
    assert (one["data"]["c"], one["data"]["o"], one["data"]["e"]) == (
        row["lastPrice"],
        row["openPrice"],
        "24hrMiniTicker",
    )
    (everything,) = due(combined("!miniTicker@arr"), SECOND + 999, halted={"ETHUSDT"})
    assert one["data"] in everything["data"]
    assert "ETHUSDT" not in {event["s"] for event in everything["data"]}


def test_a_raw_stream_has_no_envelope_and_unknown_streams_say_nothing():
    session = BINANCE.session("/ws/btcusdt@ticker/nopeusdt@ticker/ethusdt@nothing/BTCUSDT@ticker", {})
    session.opened(now=SECOND)
    (event,) = due(session, SECOND + 999)
    assert event["s"] == "BTCUSDT"


def test_a_halted_symbol_is_not_heard_of():
    session = combined("btcusdt@ticker", "ethusdt@ticker")
    assert [message["data"]["s"] for message in due(session, SECOND + 999, halted={"BTCUSDT"})] == ["ETHUSDT"]


def test_who_was_not_served_for_a_while_gets_one_message_and_not_all_that_were_missed():
    session = combined("btcusdt@ticker")
    assert len(due(session, SECOND + 10_999)) == 1
    assert session.due_at() == SECOND + TICKER + 11_000


def test_streams_can_be_subscribed_later_and_listed():
    session = combined("")
    assert session.due_at() > NOW + SOCKET_LIFE_MS

    def say(number, method, *streams):
        request = {"method": method, "params": list(streams), "id": number}
        return [json.loads(answer) for answer in session.received(json.dumps(request), now=SECOND + 1_000 * number)]

    assert say(1, "SUBSCRIBE", "btcusdt@ticker", "ethusdt@ticker") == [{"result": None, "id": 1}]
    assert say(2, "UNSUBSCRIBE", "btcusdt@ticker") == [{"result": None, "id": 2}]
    assert say(3, "LIST_SUBSCRIPTIONS") == [{"result": ["ethusdt@ticker"], "id": 3}]
    assert say(4, "SET_PRICE")[0]["code"] == 2
    assert json.loads(session.received("nonsense", now=SECOND + 9_000)[0])["code"] == 3


def test_more_than_five_messages_a_second_end_a_connection():
    session = combined("btcusdt@ticker")
    for _ in range(5):
        session.received('{"method":"LIST_SUBSCRIPTIONS","id":1}', now=SECOND)
    with pytest.raises(Hangup) as end:
        session.received('{"method":"LIST_SUBSCRIPTIONS","id":1}', now=SECOND + 999)
    assert end.value.code == 1008


def kraken(*symbols, **params):
    session = KRAKEN.session("/v2", {})
    (status,) = map(json.loads, session.opened(now=SECOND))
    assert (status["channel"], status["data"][0]["system"]) == ("status", "online")
    request = {"method": "subscribe", "params": {"channel": "ticker", "symbol": list(symbols), **params}, "req_id": 7}
    return session, [json.loads(answer) for answer in session.received(json.dumps(request), now=SECOND)]


def test_a_subscription_is_acknowledged_and_begins_with_what_is_answered():
    session, (acknowledged, snapshot) = kraken("BTC/USD", event_trigger="bbo")
    assert (acknowledged["success"], acknowledged["req_id"]) == (True, 7)
    assert acknowledged["result"] == {
        "channel": "ticker",
        "symbol": "BTC/USD",
        "event_trigger": "bbo",
        "snapshot": True,
    }
    assert (snapshot["channel"], snapshot["type"]) == ("ticker", "snapshot")
    (row,) = snapshot["data"]
    told = asked(KRAKEN, "/0/public/Ticker", SECOND, pair="XBTUSD")["result"]["XXBTZUSD"]
    assert row["symbol"] == "BTC/USD"
    assert [row[name] for name in ("bid", "ask", "last", "volume", "low", "high")] == [
        float(told[short][place]) for short, place in (("b", 0), ("a", 0), ("c", 0), ("v", 1), ("l", 1), ("h", 1))
    ]
    assert due(session, SECOND + 999) == [], "within a second nothing changes"
    (update,) = due(session, SECOND + 1_999)
    assert (update["type"], update["data"][0]["symbol"]) == ("update", "BTC/USD")


def test_an_unknown_pair_is_refused_and_the_others_are_served():
    _, answers = kraken("NOPE/USD", "EUR/USD", snapshot=False)
    assert [answer["success"] for answer in answers] == [False, True]
    assert answers[0]["error"] == "Currency pair not supported NOPE/USD"


def test_a_quiet_second_gets_a_heartbeat_and_a_ping_a_pong():
    session, _ = kraken("EUR/USD")
    assert due(session, SECOND + 1_000, halted={"EURUSD"}) == [{"channel": "heartbeat"}]
    assert due(session, SECOND + 1_999, halted={"EURUSD"}) == []
    (pong,) = session.received('{"method":"ping","req_id":1}', now=SECOND)
    assert (json.loads(pong)["method"], json.loads(pong)["req_id"]) == ("pong", 1)


def test_a_pair_can_be_left_and_nonsense_is_refused():
    session, _ = kraken("EUR/USD")
    request = {"method": "unsubscribe", "params": {"channel": "ticker", "symbol": ["EUR/USD"]}}
    (left,) = session.received(json.dumps(request), now=SECOND)
    assert json.loads(left)["success"]
    assert due(session, SECOND + 5_000) == []
    for nonsense in ("{", "[]", '{"method":"subscribe","params":{"channel":"book","symbol":["EUR/USD"]}}'):
        assert json.loads(session.received(nonsense, now=SECOND)[0])["success"] is False


class Client:
    """An ASGI server's side of one WebSocket."""

    def __init__(self, application, path, query=""):
        self.said = asyncio.Queue()
        self.sent = asyncio.Queue()
        self.said.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": path, "query_string": query.encode(), "client": ("c", 1)}
        self.serving = asyncio.create_task(application(scope, self.said.get, self.sent.put))

    async def next(self, within=5):
        return await asyncio.wait_for(self.sent.get(), within)

    async def until(self, kind):
        while (message := await self.next())["type"] != kind:
            pass
        return message

    async def gone(self):
        self.said.put_nowait({"type": "websocket.disconnect", "code": 1006})
        await asyncio.wait_for(self.serving, 5)


class Running:
    """A clock that runs from a moment on: sockets wait in real time."""

    def __init__(self):
        self.began = None

    def __call__(self):
        self.began = self.began or asyncio.get_running_loop().time()
        return SECOND + int(1_000 * (asyncio.get_running_loop().time() - self.began))


async def steer(application, provider, method="PUT", **trouble):
    sent = asyncio.Queue()
    body = {"type": "http.request", "body": json.dumps(trouble).encode()}
    scope = {"type": "http", "method": method, "path": f"/control/{provider}", "query_string": b""}
    await application(scope, lambda: asyncio.sleep(0, body), sent.put)
    assert (await sent.get())["status"] < 300


@pytest.fixture
def application():
    return exchange(now=Running())


STREAM = ("/binance/stream", "streams=btcusdt@ticker/ethusdt@ticker/btcusdt@bookTicker")


async def test_a_socket_is_accepted_with_the_word_simulated_and_says_what_is_due(application):
    client = Client(application, *STREAM)
    accepted = await client.next()
    assert (accepted["type"], accepted["headers"]) == ("websocket.accept", [(b"x-tickwire-source", b"simulated")])
    assert json.loads((await client.next())["text"])["stream"] == "btcusdt@bookTicker"
    await client.gone()


@pytest.mark.parametrize("path", ["/binance/nowhere", "/gold-api/stream", "/nobody/stream", "/kraken"])
async def test_where_there_is_no_socket_the_handshake_is_refused(application, path):
    client = Client(application, path)
    assert (await client.next())["status"] == 404
    await client.serving


async def test_a_status_refuses_the_handshake(application):
    await steer(application, "binance", status=429, retry_after=9)
    client = Client(application, *STREAM)
    refusal = await client.next()
    assert (refusal["type"], refusal["status"]) == ("websocket.http.response.start", 429)
    assert (b"retry-after", b"9") in refusal["headers"]


async def test_drop_ends_open_sockets_and_new_ones(application):
    client = Client(application, *STREAM)
    await client.next()
    await steer(application, "binance", push="drop")
    assert (await client.until("websocket.close"))["code"] == 1011
    assert (await Client(application, *STREAM).until("websocket.close"))["code"] == 1011


async def test_silence_says_nothing_and_keeps_the_socket(application):
    await steer(application, "binance", push="silence")
    client = Client(application, *STREAM)
    await client.next()
    with pytest.raises(TimeoutError):
        await client.next(within=1.2)
    await steer(application, "binance", "DELETE")
    assert (await client.next())["type"] == "websocket.send"
    await client.gone()


async def test_shutdown_is_announced_to_open_sockets_alone_and_then_kept(application):
    client = Client(application, *STREAM)
    await client.next()
    await asyncio.sleep(0.01)
    await steer(application, "binance", push="shutdown", delay_s=0.3)
    await asyncio.sleep(0.01)
    later = Client(application, *STREAM)
    announced = json.loads((await client.next())["text"])
    while announced.get("e") != "serverShutdown":
        announced = json.loads((await client.next())["text"])
    assert (await client.until("websocket.close"))["code"] == 1012
    await later.next()
    assert "stream" in json.loads((await later.next())["text"])
    await later.gone()


async def test_malformed_messages_end_in_their_middle(application):
    await steer(application, "kraken", push="malformed")
    client = Client(application, "/kraken/v2")
    await client.next()
    with pytest.raises(json.JSONDecodeError):
        json.loads((await client.next())["text"])
    await client.gone()


async def test_requests_are_answered_on_the_socket(application):
    client = Client(application, "/kraken/v2")
    await client.next()
    await client.next()
    client.said.put_nowait({"type": "websocket.receive", "text": '{"method":"ping","req_id":3}'})
    assert json.loads((await client.next())["text"])["req_id"] == 3
    await client.gone()


async def test_a_client_that_is_gone_while_something_is_sent_is_no_error(application):
    async def gone(message):
        if message["type"] == "websocket.send":
            raise OSError("gone")

    client = Client(application, "/nowhere")
    scope = {"type": "websocket", "path": "/kraken/v2", "query_string": b"", "client": ("c", 1)}
    client.said.put_nowait({"type": "websocket.connect"})
    await asyncio.wait_for(application(scope, client.said.get, gone), 5)


async def test_a_replay_has_no_sockets(tmp_path):
    row = {"at": NOW, "path": "/api/v3/ping", "query": {}, "status": 200, "body": "{}"}
    (tmp_path / "binance.jsonl").write_text(json.dumps(row))
    client = Client(exchange(recordings=tmp_path), *STREAM)
    assert (await client.next())["status"] == 404
