"""Fakes of the scheduler's own ports, and the exchange's answers that tests write down themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from handlers.hub.connections import Connection, Subscription
from handlers.hub.instruments import Instrument, instruments
from scheduler.claims import Claim
from scheduler.groups import Standing, Tally, Turn
from scheduler.market.providers import Answer
from scheduler.market.quotes import Quote

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from scheduler.errors import ProviderFault

# A multiple of 60 s, so that the tick at it is full: 2025-03-06 02:00:00 UTC.
NOON = 1_741_226_400_000
BITCOIN = Instrument(symbol="BTC", name="Bitcoin", kind="crypto", decimals=2, sources={"binance": "BTCUSDT"})
ETHER = Instrument(symbol="ETH", name="Ethereum", kind="crypto", decimals=2, sources={"binance": "ETHUSDT"})


EURO = Instrument(
    symbol="EURUSD",
    name="Euro / US dollar",
    kind="forex",
    decimals=5,
    sources={"kraken": "EURUSD", "swissquote": "EUR/USD"},
    reference="EUR/USD",
)
GOLD = Instrument(
    symbol="XAU",
    name="Gold",
    kind="metal",
    decimals=2,
    sources={"gold-api": "XAU", "swissquote": "XAU/USD", "kraken": "PAXGUSD"},
    proxies=frozenset({"kraken"}),
)


class InMemoryClaimStore:
    """A ``ClaimStore`` that passes the same contract as DynamoDB's (test_claims.py)."""

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}

    def claim(self, stream: str, seq: int, run: str) -> Claim | None:
        before = self.claims.get(stream, Claim(stream, seq=-1, run="", fence=0))
        if (before.seq, before.run) == (seq, run):
            return before
        if before.seq >= seq:
            return None
        self.claims[stream] = replace(before, seq=seq, run=run, fence=before.fence + 1)
        return self.claims[stream]

    def leave(self, claim: Claim, state: bytes) -> bool:
        latest = self.claims[claim.stream]
        if (latest.seq, latest.run) != (claim.seq, claim.run):
            return False
        self.claims[claim.stream] = replace(latest, state=state, state_seq=claim.seq)
        return True

    def commit(self, claim: Claim, followers: int) -> bool:
        latest = self.claims[claim.stream]
        if (latest.seq, latest.run) != (claim.seq, claim.run):
            return False
        self.claims[claim.stream] = replace(latest, sent_seq=claim.seq, followers=followers)
        return True


class InMemoryGroupStore:
    """A ``GroupStore`` that passes the same contract as DynamoDB's (test_groups.py)."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], Standing] = {}

    def take(self, turn: Turn, *, now: int) -> bool:
        before = self.kept.get((turn.stream, turn.group))
        if before and (before.turn.seq, before.turn.attempt) >= (turn.seq, turn.attempt):
            return False
        if before and before.turn.seq == turn.seq and before.tally is not None:
            return False
        self.kept[turn.stream, turn.group] = Standing(turn, now)
        return True

    def stay(self, turn: Turn, *, alive_at: int) -> bool:
        return self._change(turn, alive_at=alive_at)

    def finish(self, turn: Turn, tally: Tally, *, now: int) -> bool:
        return self._change(turn, alive_at=now, tally=tally)

    def standings(self, stream: str) -> dict[int, Standing]:
        return {group: standing for (of, group), standing in self.kept.items() if of == stream}

    def _change(self, turn: Turn, **changes: Any) -> bool:
        before = self.kept.get((turn.stream, turn.group))
        if before is None or before.turn != turn:
            return False
        self.kept[turn.stream, turn.group] = replace(before, **changes)
        return True


class ScriptedProvider:
    """A ``Provider`` that answers what it is told to, one answer a fetch, and the last one again when none is left."""

    def __init__(self, *answers: Answer | ProviderFault, name: str = "binance", period_ms: int = 5_000) -> None:
        self.name = name
        self.period_ms = period_ms
        self.answers = [answer if isinstance(answer, Answer) else Answer(faults=[answer]) for answer in answers]
        self.asked: list[list[str]] = []
        self.closed = False

    async def fetch(self, instruments: Sequence[Instrument], *, within: float) -> Answer:
        self.asked.append([instrument.symbol for instrument in instruments])
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def close(self) -> None:
        self.closed = True


class Clock:
    """Tells the time that a test sets, in epoch milliseconds."""

    def __init__(self, at: int = NOON) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


def quote(symbol: str = "BTC", last: str | None = "91776.00000000", **changes: Any) -> Quote:
    """Write a quote of noon, with ``changes``."""
    plain = Quote(
        symbol, last, bid="91775.99", ask="91776.01", change_pct="4.983", ts=NOON, source="binance", answered_at=NOON
    )
    return replace(plain, **changes)


def answering(*quotes: Quote) -> Answer:
    """Make a provider's answer of quotes."""
    return Answer({quote.symbol: quote for quote in quotes})


def follower(
    connection_id: str = "one=",
    *,
    symbols: frozenset[str] | None = None,
    how: str = "batch",
    owed: bool = False,
    at: int = NOON - 60_000,
    stream: str = "market",
) -> Connection:
    """Make a connection that was opened and subscribed ``at``."""
    subscription = Subscription(symbols, subscribed_at=at, snapshot_owed=owed)
    return Connection(
        connection_id,
        connected_at=at,
        expires_at=at // 1000 + 7_800,
        format=how,
        subscriptions={stream: subscription},
    )


def ticker(symbol: str, last: str = "91776.00000000", *, close_time: int = NOON, **changes: Any) -> dict[str, Any]:
    """Write a row of Binance's ``ticker/24hr`` as documented for ``type=FULL``."""
    return {
        "symbol": symbol,
        "priceChange": "4356.10000000",
        "priceChangePercent": "4.983",
        "weightedAvgPrice": "89409.31955546",
        "prevClosePrice": "87420.00000000",
        "lastPrice": last,
        "lastQty": "0.04708000",
        "bidPrice": "91775.99000000",
        "bidQty": "0.14123000",
        "askPrice": "91776.01000000",
        "askQty": "0.09415000",
        "openPrice": "87419.90000000",
        "highPrice": "91979.10000000",
        "lowPrice": "86694.00000000",
        "volume": "275053.36000000",
        "quoteVolume": "24592333759.04179764",
        "openTime": close_time - 86_400_000,
        "closeTime": close_time,
        "firstId": 1,
        "lastId": 5842712,
        "count": 5842712,
        **changes,
    }


def pushed_frame(stream: str, **data: Any) -> bytes:
    """Write a message of Binance's combined streams."""
    return msgspec.json.encode({"stream": stream, "data": data})


def pushed_ticker(symbol: str = "BTCUSDT", last: str = "91776.10000000", *, at: int = NOON, **changes: Any) -> bytes:
    """Write what Binance's WebSocket says of a ticker; only what is used of it, and a little more."""
    told = {"b": "91775.99000000", "a": "91776.01000000", "P": "4.983", "O": at - 86_400_000, "C": at}
    return pushed_frame(
        f"{symbol.lower()}@ticker", **({"e": "24hrTicker", "E": at, "s": symbol, "c": last} | told | changes)
    )


KRAKENS_OWN = {"XBTUSD": "XXBTZUSD", "EURUSD": "ZEURZUSD", "GBPUSD": "ZGBPZUSD", "USDJPY": "ZUSDZJPY"}


def kraken(method: str, query: dict[str, str], *, unlisted: Collection[str] = ()) -> dict[str, Any]:
    """Answer as Kraken's ``AssetPairs``, ``Ticker`` or ``OHLC`` does for every instrument that is sold there."""
    sold = {one.sources["kraken"]: one for one in instruments().values() if "kraken" in one.sources}
    altnames = list(sold)
    if method == "AssetPairs":
        pairs = {KRAKENS_OWN.get(name, name): {"altname": name, "base": "ZEUR"} for name in altnames}
        return {"error": [], "result": {own: pair for own, pair in pairs.items() if pair["altname"] not in unlisted}}
    asked = query["pair"].split(",")
    if not set(asked) <= set(altnames) - set(unlisted):
        return {"error": ["EQuery:Unknown asset pair"]}
    if method == "OHLC":
        since = -(-int(query["since"]) // 900) * 900
        rows = [[at, "1.14000", "1.2", "1.1", "1.15", "1.15", "9.5", 7] for at in range(since, since + 88_000, 900)]
        return {"error": [], "result": {KRAKENS_OWN.get(asked[0], asked[0]): rows, "last": rows[-2][0]}}
    row: dict[str, Any] = {
        "a": ["1.15042", "1000", "1000.000"],
        "b": ["1.15033", "230", "230.267"],
        "c": ["1.15999", "182.34178386"],
        "v": ["4368866.30498784", "7538435.37075622"],
        "p": ["1.15848", "1.15879"],
        "t": [35253, 60023],
        "l": ["1.15667", "1.15667"],
        "h": ["1.16019", "1.16090"],
        "o": "1.15743",
    }
    coin = row | {"a": ["91777.00000", "1", "1.000"], "b": ["91775.00000", "1", "1.000"], "c": ["91776.50000", "0.1"]}
    rows = {name: coin if sold[name].kind == "crypto" else row for name in sorted(asked, reverse=True)}
    return {"error": [], "result": {KRAKENS_OWN.get(name, name): row for name, row in rows.items()}}


def gold(symbol: str, price: float = 4274.299805) -> dict[str, Any]:
    """Write gold-api's answer about a metal."""
    return {
        "currency": "USD",
        "currencySymbol": "$",
        "exchangeRate": 1.0,
        "name": "Gold",
        "price": price,
        "symbol": symbol,
        "updatedAt": "2025-03-06T01:59:35Z",
        "updatedAtReadable": "a few seconds ago",
    }


def as_written(text: bytes, member: str) -> str:
    """Give a member of a JSON object as the text that stands there."""
    return bytes(msgspec.json.decode(text, type=dict[str, msgspec.Raw])[member]).decode()
