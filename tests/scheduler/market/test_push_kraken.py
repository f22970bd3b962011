"""What Kraken's WebSocket says, frame by frame."""

from __future__ import annotations

import json
import os
from pathlib import Path

import httpx
import pytest

from handlers.hub.instruments import Instrument
from scheduler.errors import MalformedAnswer, ProviderFault, UnknownInstrument
from scheduler.market.providers.kraken import Kraken
from scheduler.market.push.kraken import KrakenListener, KrakenListening
from tests.scheduler.fakes import EURO, NOON, kraken

SHARED = os.environ.get("TICKWIRE_SHARED")
COIN = Instrument(symbol="BTC", name="Bitcoin", kind="crypto", decimals=2, sources={"kraken": "XBTUSD"})
DOGE = Instrument(symbol="DOGE", name="Dogecoin", kind="crypto", decimals=5, sources={"kraken": "XDGUSD"})
UNLISTED = Instrument(symbol="X", name="", kind="crypto", decimals=5, sources={"kraken": "NOPEUSD"})


def rest(now=lambda: NOON):
    def answer(request):
        told = kraken(request.url.path.removeprefix("/0/public/"), dict(request.url.params))
        if request.url.path.endswith("AssetPairs"):
            pairs = {
                "XXBTZUSD": ("XBTUSD", "XBT/USD"),
                "ZEURZUSD": ("EURUSD", "EUR/USD"),
                "XXDGZUSD": ("XDGUSD", "XDG/USD"),
            }
            told["result"] = {own: {"altname": name, "wsname": ws} for own, (name, ws) in pairs.items()}
        return httpx.Response(200, json=told)

    return Kraken("https://kraken.test", now=now, transport=httpx.MockTransport(answer))


async def listener(*instruments) -> KrakenListener:
    provider = rest()
    await provider.fetch(instruments, within=3)  # it learns what they cost a day ago
    return await KrakenListening(provider).listen(instruments)


def ticker(symbol="EUR/USD", bid="1.15033", ask="1.15042", last="1.15999", kind="update") -> bytes:
    row = (
        f'{{"symbol":"{symbol}","bid":{bid},"bid_qty":230.267,"ask":{ask},"ask_qty":1000.0,"last":{last},'
        f'"volume":7538435.37,"vwap":1.15879,"low":1.15667,"high":1.16090,"change":-0.001,"change_pct":-0.09}}'
    )
    return f'{{"channel":"ticker","type":"{kind}","data":[{row}]}}'.encode()


STATUS = (
    b'{"channel":"status","type":"update","data":[{"api_version":"v2","connection_id":1,"system":"online",'
    b'"version":"2.0.10"}]}'
)


async def test_all_pairs_are_subscribed_at_once_by_the_sockets_names():
    one = await listener(EURO, COIN, DOGE, UNLISTED)
    assert one.address == "v2"
    (greeting,) = one.greeting
    assert json.loads(greeting) == {
        "method": "subscribe",
        "params": {
            "channel": "ticker",
            "symbol": ["EUR/USD", "BTC/USD", "DOGE/USD"],
            "event_trigger": "bbo",
            "snapshot": True,
        },
        "req_id": 1,
    }


async def test_a_currency_costs_the_middle_in_exact_digits_and_is_compared_with_the_day_before():
    one = await listener(EURO)
    one.hear(STATUS, now=NOON)
    assert (one.is_heard, one.quote(EURO, source="kraken")) == (False, None)
    one.hear(ticker(kind="snapshot"), now=NOON + 20)
    quote = one.quote(EURO, source="kraken")
    assert (quote.last, quote.bid, quote.ask) == ("1.150375", "1.15033", "1.15042")
    assert (quote.ts, quote.answered_at, quote.source) == (NOON + 20, NOON + 20, "kraken")
    assert quote.change_pct == "0.910"
    one.hear(ticker(bid="1.1", ask="1.2"), now=NOON + 30)
    assert one.quote(EURO, source="kraken").last == "1.15"


async def test_pushed_and_asked_the_same_prices_are_the_same_quote():
    provider = rest()
    await provider.fetch([EURO], within=3)
    asked = (await provider.fetch([EURO], within=3)).quotes["EURUSD"]
    one = await KrakenListening(provider).listen([EURO])
    one.hear(ticker(), now=NOON)
    assert one.quote(EURO, source="kraken") == asked


async def test_without_the_day_before_it_is_for_rest_to_say():
    one = await KrakenListening(rest()).listen([EURO])
    one.hear(ticker(), now=NOON)
    assert one.quote(EURO, source="kraken") is None


async def test_a_coin_costs_its_last_trade():
    one = await listener(COIN)
    one.hear(ticker("BTC/USD", bid="91775.0", ask="91777.0", last="91776.5"), now=NOON)
    assert one.quote(COIN, source="kraken").last == "91776.5"


async def test_in_maintenance_nothing_is_sure():
    one = await listener(EURO)
    one.hear(ticker(), now=NOON)
    one.hear(STATUS.replace(b"online", b"maintenance"), now=NOON)
    assert one.quote(EURO, source="kraken") is None
    one.hear(STATUS, now=NOON)
    assert one.quote(EURO, source="kraken") is not None


async def test_a_pair_that_is_refused_is_told_once():
    one = await listener(EURO)
    refusal = {"error": "Currency pair not supported EUR/USD", "method": "subscribe", "success": False}
    one.hear(json.dumps({**refusal, "symbol": "EUR/USD", "req_id": 1}).encode(), now=NOON)
    (fault,) = one.take_faults()
    assert isinstance(fault, UnknownInstrument)
    assert "EUR/USD" in str(fault)
    assert one.take_faults() == []


async def test_heartbeats_pongs_and_acknowledgements_are_no_news():
    one = await listener(EURO)
    one.hear(b'{"channel":"heartbeat"}', now=NOON)
    one.hear(b'{"method":"pong","req_id":1,"time_in":"2026-01-01T00:00:00Z"}', now=NOON)
    result = {"channel": "ticker", "symbol": "EUR/USD", "snapshot": True, "event_trigger": "bbo"}
    one.hear(json.dumps({"method": "subscribe", "result": result, "success": True}).encode(), now=NOON)
    assert (one.is_heard, one.take_faults()) == (False, [])


@pytest.mark.parametrize(
    "text",
    [b"", b"[1]", b'{"channel":"ticker","data":[{', b'{"channel":"ticker","data":[{}]}', b'{"channel":"\xff"}'],
)
async def test_what_is_none_of_its_messages_is_a_fault_of_the_connection(text):
    one = await listener(EURO)
    with pytest.raises(MalformedAnswer):
        one.hear(text, now=NOON)


@pytest.mark.parametrize("bid", ['"dear"', "-1.0", "true", "[]"])
async def test_what_is_no_price_is_a_fault_of_the_pair(bid):
    one = await listener(EURO, COIN)
    one.hear(ticker(bid=bid), now=NOON)
    one.hear(ticker("BTC/USD"), now=NOON)
    with pytest.raises(MalformedAnswer, match="EURUSD cannot be read on its socket"):
        one.quote(EURO, source="kraken")
    assert one.quote(COIN, source="kraken") is not None


async def test_an_empty_side_is_none():
    one = await listener(COIN)
    one.hear(ticker("BTC/USD", bid="null"), now=NOON)
    assert one.quote(COIN, source="kraken").bid is None


async def test_without_the_list_of_pairs_nobody_listens():
    provider = Kraken(
        "https://kraken.test", now=lambda: NOON, transport=httpx.MockTransport(lambda _: httpx.Response(503))
    )
    with pytest.raises(ProviderFault):
        await KrakenListening(provider).listen([EURO])


@pytest.mark.skipif(not SHARED, reason="TICKWIRE_SHARED names no folder with recorded answers")
async def test_captured_prices_come_through_digit_for_digit_and_version_1_is_not_taken_for_version_2():
    frames = json.loads((Path(SHARED or "") / "market/recordings/kraken_ws_v1_ticker_capture.json").read_text())[
        "frames"
    ]
    one = await listener(COIN)
    rows = 0
    for captured in frames:
        message = captured["msg"]
        if isinstance(message, dict):
            one.hear(json.dumps(message).encode(), now=NOON)  # version 1's events say nothing here
            continue
        with pytest.raises(MalformedAnswer):
            one.hear(json.dumps(message).encode(), now=NOON)
        told = message[1]
        one.hear(ticker("BTC/USD", told["b"][0], told["a"][0], told["c"][0]), now=NOON)
        quote = one.quote(COIN, source="kraken")
        assert (quote.bid, quote.ask, quote.last) == (told["b"][0], told["a"][0], told["c"][0])
        rows += 1
    assert rows > 5
