"""One simulated market: its candles, trades and book agree with each other to the digit."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local.exchange.listings import BINANCE, KRAKEN, UNDERLYINGS, Listing
from local.exchange.market import Flow, Market, allot, fold
from local.exchange.price_path import DAY, Noise, PricePath

NOW = 1_790_000_000
LISTINGS = {**BINANCE, **KRAKEN}
seconds = st.integers(NOW - 900 * DAY, NOW)
symbols = st.sampled_from(["BTCUSDT", "XRPUSDT", "BCHUSDT", "LINKUSDT", "PAXGUSD", "EURUSD", "XBTUSD"])


@cache
def market(symbol: str, seed: str = "s") -> Market:
    listing: Listing = LISTINGS[symbol]
    thing = UNDERLYINGS[listing.underlying]
    path = PricePath(Noise(seed, listing.underlying), volatility=thing.volatility)
    return Market(listing, path, base=thing.base, seed=seed, venue="here")


def settled(symbol: str, second: int) -> int:
    return market(symbol).settled(second * 1000)


@given(symbol=symbols, second=seconds, length=st.sampled_from([60, 300, 3600, 5400, DAY, 3 * DAY]), cuts=st.data())
@settings(max_examples=25, deadline=None)
def test_a_candle_is_the_sum_of_any_parts_it_is_cut_into(symbol, second, length, cuts):
    leaf = market(symbol).listing.leaf
    start = settled(symbol, second)
    end = start + length
    inner = cuts.draw(st.lists(st.integers(start // leaf + 1, end // leaf - 1), max_size=4, unique=True))
    edges = [start, *sorted(place * leaf for place in inner), end]
    parts = [market(symbol).candle(left, right) for left, right in pairwise(edges)]
    whole = market(symbol).candle(start, end)
    assert fold(parts) == whole
    assert whole.high == max(part.high for part in parts)
    assert whole.lots == sum(part.lots for part in parts)
    assert whole.quote == sum(part.quote for part in parts)
    for part, following in pairwise(parts):
        assert part.close == following.open
        assert part.first_id + part.trades == following.first_id


@given(symbol=symbols, second=seconds, length=st.sampled_from([15, 60, 900, DAY]))
@settings(max_examples=25, deadline=None)
def test_average_prices_lie_between_low_and_high(symbol, second, length):
    start = settled(symbol, second)
    candle = market(symbol).candle(start, start + length)
    assert candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
    for flow in (candle.buys, candle.sells):
        assert flow.lots * candle.low <= flow.quote <= flow.lots * candle.high
        assert 0 < flow.trades <= flow.lots


@given(symbol=symbols, second=seconds)
@settings(max_examples=25, deadline=None)
def test_trades_make_the_candle_they_belong_to(symbol, second):
    leaf = market(symbol).listing.leaf
    start = settled(symbol, second)
    candle, trades = market(symbol).candle(start, start + leaf), market(symbol).trades(start)
    assert [trade.id for trade in trades] == list(range(candle.first_id, candle.first_id + candle.trades))
    for flow, bought in ((candle.buys, True), (candle.sells, False)):
        mine = [trade for trade in trades if trade.bought == bought]
        assert (len(mine), sum(trade.lots for trade in mine)) == (flow.trades, flow.lots)
        # In a leaf of very few lots it may be a few ticks off.
        assert sum(trade.lots * trade.price for trade in mine) == pytest.approx(flow.quote, rel=1e-4, abs=3)
    assert (trades[0].price, trades[-1].price) == (candle.open, candle.close)
    assert all(candle.low <= trade.price <= candle.high and trade.lots > 0 for trade in trades)
    moments = [trade.at for trade in trades]
    assert moments == sorted(moments)
    assert start * 10**6 <= moments[0] <= moments[-1] < (start + leaf) * 10**6


def test_a_market_of_few_lots_is_consistent_too():
    """Where turnover cannot be met within a part's own prices, the part is widened, and its parts with it."""
    listing = Listing("THIN", "ETH", 2, 0, 800_000, 1_050_000)
    thin = Market(listing, PricePath(Noise("thin"), volatility=0.9), base=2600, seed="thin", venue="here")
    for start in range(NOW - 28_800, NOW, 300):
        parts = [thin.candle(start + place, start + place + 15) for place in range(0, 300, 15)]
        whole = thin.candle(start, start + 300)
        assert fold(parts) == whole
        for candle in (*parts, whole):
            for flow in (candle.buys, candle.sells):
                assert flow.lots * candle.low <= flow.quote <= flow.lots * candle.high


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOGEUSDT", "PAXGUSDT"])
def test_in_a_minute_of_trades_peak_trough_and_turnover_are_the_candles(symbol):
    candle = market(symbol).candle(NOW - 60, NOW)
    trades = [trade for second in range(NOW - 60, NOW) for trade in market(symbol).trades(second)]
    assert max(trade.price for trade in trades) == candle.high
    assert min(trade.price for trade in trades) == candle.low
    assert sum(trade.price * trade.lots for trade in trades) == candle.quote


@given(symbol=symbols, second=seconds)
@settings(max_examples=15, deadline=None)
def test_a_trade_is_found_by_its_id(symbol, second):
    start = settled(symbol, second)
    trade = market(symbol).trades(start)[-1]
    assert market(symbol).leaf_of(trade.id) == start


def test_trade_ids_rise_from_day_to_day():
    days = [market("ETHUSDT").candle(day * DAY, day * DAY + DAY) for day in range(20_000, 20_050)]
    assert all(one.first_id + one.trades == other.first_id for one, other in pairwise(days))
    assert min(day.trades for day in days) > 8 * DAY


def test_an_empty_stretch_is_flat_at_the_last_price():
    before, empty = market("BTCUSDT").candle(NOW - 1, NOW), market("BTCUSDT").candle(NOW, NOW)
    assert (empty.open, empty.high, empty.low, empty.close) == (before.close,) * 4
    assert (empty.lots, empty.trades, empty.first_id) == (0, 0, before.first_id + before.trades)


@pytest.mark.parametrize("symbol", list(LISTINGS))
def test_bids_and_asks_stand_around_the_price_in_steps_of_ticks(symbol):
    price = market(symbol).price(NOW)
    book = market(symbol).book(NOW, 50)
    bids, asks = [bid for bid, _ in book.bids], [ask for ask, _ in book.asks]
    assert bids[0] <= price <= asks[0]
    assert asks[0] - bids[0] == market(symbol).listing.spread
    assert bids == sorted(set(bids), reverse=True)
    assert asks == sorted(set(asks))
    assert all(lots > 0 for _, lots in book.bids + book.asks)
    assert market(symbol).book(NOW) == (book.bids[:1], book.asks[:1])


def test_the_price_is_the_close_of_the_candle_that_ends():
    assert market("SOLUSDT").price(NOW) == market("SOLUSDT").candle(NOW - 3600, NOW).close


def test_what_is_known_ends_with_the_last_whole_leaf():
    assert market("BTCUSDT").settled(NOW * 1000 + 999) == NOW
    assert market("EURUSD").settled((NOW + 14) * 1000) % 15 == 0


def test_most_prices_move_within_five_seconds():
    def quote(symbol: str, second: int) -> tuple[int, int]:
        book = market(symbol).book(second)
        return book.bids[0][0], book.asks[0][0]

    moved = [quote(symbol, NOW + step) != quote(symbol, NOW + step + 5) for symbol in LISTINGS for step in (0, 20, 40)]
    assert sum(moved) / len(moved) > 0.7


@given(
    lots=st.integers(100, 10**9),
    shapes=st.lists(st.tuples(st.integers(1000, 2000), st.integers(0, 300)), min_size=2, max_size=5),
    place=st.floats(0, 1),
    weights=st.lists(st.floats(0.01, 10), min_size=5, max_size=5),
)
@settings(max_examples=50, deadline=None)
def test_nothing_is_lost_when_a_flow_is_handed_down(lots, shapes, place, weights):
    highs, lows = [low + extent for low, extent in shapes], [low for low, _ in shapes]
    quote = int(lots * (min(lows) + place * (max(highs) - min(lows))))
    flow = Flow(lots, quote, 60)
    parts = allot(flow, highs, lows, weights[: len(shapes)], leaves=2)
    assert [sum(column) for column in zip(*parts, strict=True)] == list(flow)
    for part in parts:
        assert part.trades >= 8
        assert part.lots >= part.trades
        assert part.lots * min(lows) <= part.quote <= part.lots * max(highs)
