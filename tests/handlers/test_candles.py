"""The contract of CandleStore, for the fake and for DynamoDB as moto plays it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from handlers.hub.candles import ATTEMPTS, Candles, CandleStore, DynamoCandleStore, Votes, candle_store
from handlers.hub.errors import CallRefused
from handlers.hub.settings import hub_settings
from tests.fakes import InMemoryCandleStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient

    from handlers.hub.attributes import Attributes
    from handlers.hub.dynamodb import DynamoDB

CANDLES = Candles("BTC", "1h", 1_794_999_599_999, "binance", b"[[1794996000000,1.10,2,0.5,1.0,null]]")
VOTES = Votes("BTC", "1h", 1_794_999_599_999, "binance", b'{"votes":{"SMA10":1,"UO":null}}')


@pytest.fixture(params=["in memory", "DynamoDB"])
def store(request: pytest.FixtureRequest) -> CandleStore:
    if request.param == "in memory":
        return InMemoryCandleStore()
    return DynamoCandleStore(request.getfixturevalue("db"), request.getfixturevalue("table"))


def test_nothing_is_found_before_it_was_kept(store: CandleStore):
    assert store.find_candles("BTC", "1h") is None
    assert store.find_votes("BTC", "1h") is None


def test_candles_and_votes_come_back_to_the_byte(store: CandleStore):
    assert not store.keep([CANDLES, VOTES])
    assert store.find_candles("BTC", "1h") == CANDLES
    assert store.find_votes("BTC", "1h") == VOTES


def test_instruments_timeframes_and_kinds_are_kept_apart(store: CandleStore):
    others = [
        replace(CANDLES, symbol="ETH", payload=b"[]"),
        replace(CANDLES, timeframe="1d", payload=b"[[]]"),
        replace(VOTES, timeframe="15m"),
    ]
    store.keep([CANDLES, *others])
    assert store.find_candles("BTC", "1h") == CANDLES
    assert [store.find_candles("ETH", "1h"), store.find_candles("BTC", "1d")] == others[:2]
    assert store.find_votes("BTC", "15m") == others[2]
    assert store.find_votes("BTC", "1h") is None


def test_what_is_kept_takes_the_place_of_what_was(store: CandleStore):
    store.keep([CANDLES])
    store.keep([replace(CANDLES, closed_at=1_795_003_199_999, payload=b"[[2]]")])
    assert store.find_candles("BTC", "1h") == replace(CANDLES, closed_at=1_795_003_199_999, payload=b"[[2]]")


def test_more_than_one_batch_is_kept_whole(store: CandleStore):
    many = [replace(CANDLES, symbol=f"S{number}") for number in range(60)]
    assert not store.keep(many)
    assert [store.find_candles(item.symbol, "1h") for item in many] == many


def test_there_may_be_nothing_to_keep(store: CandleStore):
    assert not store.keep([])


def test_what_is_stored_is_compressed(moto: DynamoDBClient, db: DynamoDB, table: str):
    DynamoCandleStore(db, table).keep([replace(CANDLES, payload=b"[1794996000000,1.10,2,0.5,1.0,null]" * 500)])
    item = moto.get_item(TableName=table, Key={"pk": {"S": "CANDLES#BTC"}, "sk": {"S": "1h"}})["Item"]
    assert len(item["payload"]["B"]) < 1_000
    assert item["closed_at"] == {"N": "1794999599999"}


class Busy:
    """A DynamoDB that leaves the first item of a batch out, so many times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.batches: list[int] = []

    def batch_write_item(self, table: str, items: Sequence[Attributes]) -> list[Attributes]:
        assert table == "tickwire"
        self.batches.append(len(items))
        return [] if len(self.batches) > self.times else list(items[:1])


def test_what_a_busy_table_leaves_out_is_written_again():
    busy = Busy(times=1)
    assert not DynamoCandleStore(busy, "tickwire").keep([CANDLES, VOTES])  # type: ignore[arg-type]  # as much of a client as is used
    assert busy.batches == [2, 1]


def test_what_a_table_goes_on_leaving_out_is_given_back():
    busy = Busy(times=ATTEMPTS)
    assert DynamoCandleStore(busy, "tickwire").keep([VOTES, CANDLES]) == [VOTES]  # type: ignore[arg-type]  # likewise
    assert busy.batches == [2, 1, 1]


def test_a_table_that_is_not_there_is_a_bug(db: DynamoDB):
    with pytest.raises(CallRefused, match="ResourceNotFound"):
        DynamoCandleStore(db, "nowhere").keep([CANDLES])


@pytest.mark.usefixtures("deployed")
def test_a_deployment_has_its_candles_in_its_table(table: str, db: DynamoDB):
    candle_store(hub_settings()).keep([CANDLES])
    assert DynamoCandleStore(db, table).find_candles("BTC", "1h") == CANDLES
