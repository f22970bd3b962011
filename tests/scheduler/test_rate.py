"""The subcommand ``tickwire rate``: candles of a file, or of a provider, and how they vote."""

from __future__ import annotations

import json

import httpx
import pytest

from scheduler.analysis.rating import MA_VOTES, OSC_VOTES
from scheduler.market.breaker import Breaker
from scheduler.market.providers import shared
from scheduler.market.providers.host import Host
from scheduler.rate import main
from tests.scheduler.analysis.series import made_up, recorded, recording
from tests.scheduler.fakes import NOON

HOUR = 3_600_000


def klines(count, *, text=True):
    return [
        [
            NOON - (count - number) * HOUR,
            *(f"{figure:.8f}" if text else figure for figure in (one.open, one.high, one.low, one.close, one.volume)),
            NOON - (count - number - 1) * HOUR - 1,
            "1.0",
            1,
            "1.0",
            "1.0",
            "0",
        ]
        for number, one in enumerate(made_up(count))
    ]


@pytest.fixture
def file_of(tmp_path):
    def write(content):
        path = tmp_path / "candles.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return str(path)

    return write


def said(capsys):
    return json.loads(capsys.readouterr().out)


@recorded
def test_a_recorded_series_has_its_known_rating(file_of, capsys):
    path = file_of(recording("binance_fapi_klines_12symbols_1h_500.json")["BTCUSDT"])
    assert main(["BTC", "--timeframe", "1h", "--candles", path, "--json"]) == 0
    rating = said(capsys)
    assert list(rating) == ["rating", "ratingMA", "ratingOsc", "label", "votes"]
    assert [round(rating[name], 5) for name in ("rating", "ratingMA", "ratingOsc")] == [0.60303, 0.93333, 0.27273]
    assert rating["label"] == "STRONG_BUY"
    assert list(rating["votes"]) == [*MA_VOTES, *OSC_VOTES]


def test_numbers_may_be_text_or_not(file_of, capsys):
    ratings = []
    for text in (True, False):
        assert main(["BTC", "--candles", file_of(klines(300, text=text)), "--json"]) == 0
        ratings.append(said(capsys))
    assert ratings[0] == ratings[1]


@pytest.mark.parametrize("rows", [[], klines(1), klines(9)])
def test_without_votes_everything_is_null(file_of, capsys, rows):
    assert main(["BTC", "--candles", file_of(rows), "--json"]) == 0
    rating = said(capsys)
    assert [rating[name] for name in ("rating", "ratingMA", "ratingOsc", "label")] == [None] * 4
    assert list(rating["votes"].values()) == [None] * 26


def test_a_group_without_votes_is_null_and_the_other_one_is_the_rating(file_of, capsys):
    assert main(["BTC", "--candles", file_of(klines(10)), "--json"]) == 0
    rating = said(capsys)
    assert rating["ratingOsc"] is None
    assert rating["rating"] == rating["ratingMA"] is not None


def test_without_json_every_vote_has_a_line(file_of, capsys):
    assert main(["xyz", "--candles", file_of(klines(30))]) == 0
    text = capsys.readouterr().out
    assert text.startswith("XYZ 1h, 30 candles of ")
    assert "tv-rating/3; no advice" in text
    lines = dict(line.split() for line in text.splitlines() if line.startswith("  "))
    assert list(lines) == [*MA_VOTES, *OSC_VOTES]
    assert {"buy", "n/a"} <= set(lines.values()) <= {"buy", "neutral", "sell", "n/a"}


def test_without_votes_the_table_says_so(file_of, capsys):
    assert main(["BTC", "--candles", file_of([])]) == 0
    assert capsys.readouterr().out.count("n/a") == 2 + 2 + 26


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no JSON",
        "{}",
        "[1]",
        "[" * 5_000,
        '[["a",1,1,1,1,1]]',
        "[[1,true,1,1,1,1]]",
        "[[1,1e400,1,1,1,1]]",
        "[[1,2,3]]",
        '[[1,"x",1,1,1,1]]',
        '[[1,"NaN",1,1,1,1]]',
    ],
)
def test_a_file_of_something_else_is_refused_with_one_sentence(file_of, capsys, content):
    assert main(["BTC", "--candles", file_of(content), "--json"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "candles.json is no JSON array of Binance klines: " in told.err


@pytest.mark.parametrize(
    ("rows", "number"), [(klines(300)[::-1], 2), ([*klines(10)[:7], klines(10)[5]], 8)], ids=["backwards", "one"]
)
def test_candles_that_are_not_in_order_are_refused_with_one_sentence(file_of, capsys, rows, number):
    assert main(["BTC", "--candles", file_of(rows), "--json"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert f"does not have the oldest first: candle {number} opened before candle {number - 1}" in told.err


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ([2, "5", "6", "7", "6", "1"], "a candle's low is above its high"),
        ([2, 5, 6, 4, 5, "-0.1"], "a candle's volume is negative"),
    ],
)
def test_a_candle_that_cannot_be_is_refused_with_its_place(file_of, capsys, row, sentence):
    assert main(["BTC", "--candles", file_of([[1, 5, 6, 4, 5, 0], row]), "--json"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert f"candles.json is no JSON array of Binance klines: {sentence} - at `$[1]`" in told.err


def test_candles_of_one_time_are_refused_with_one_sentence(file_of, capsys):
    twice = klines(10)
    twice.insert(4, twice[4])
    assert main(["BTC", "--candles", file_of(twice), "--json"]) == 1
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "candles.json has a candle twice: candles 5 and 6 opened at the same time" in told.err


def test_candles_that_nothing_can_be_made_of_are_rated_without_a_fault(file_of, capsys):
    """What a hostile file may hold and JSON allows: flat, without volume, beyond any price, opened at no instant."""
    still = [[9 * 10**30 + number, "1.1", 1.1, 1.1, "1.1", 0] for number in range(300)]
    assert main(["BTC", "--candles", file_of(still), "--json"]) == 0
    flat = said(capsys)
    assert (flat["rating"], flat["label"], flat["votes"]["VWMA20"], flat["votes"]["CCI"]) == (0, "NEUTRAL", None, None)
    huge = [[number, 1e308, 1.7e308, "1e-308", 1e308, 1e308] for number in range(300)]
    assert main(["BTC", "--candles", file_of(huge), "--json"]) == 0
    assert set(said(capsys)["votes"].values()) <= {-1, 0, 1, None}


def test_a_file_that_is_not_there_is_named(capsys, tmp_path):
    assert main(["BTC", "--candles", str(tmp_path / "none.json")]) == 1
    assert "none.json cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["BTC", "--timeframe", "2h"], ["BTC", "--weather"]])
def test_what_cannot_be_understood_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: tickwire rate" in capsys.readouterr().err


@pytest.fixture
def exchange(monkeypatch):
    """Answer for Binance; gives what to answer, and what was asked."""
    known = {"answer": httpx.Response(200, json=klines(300), headers={"X-Tickwire-Source": "simulated"}), "asked": []}

    def answer(request):
        known["asked"].append(request.url)
        return known["answer"]() if callable(known["answer"]) else known["answer"]

    init = Host.__init__

    def with_transport(self, url, **options):
        init(self, url, **options | {"transport": httpx.MockTransport(answer)})

    monkeypatch.setattr(Host, "__init__", with_transport)
    # Each test is a process of its own, as far as providers go.
    monkeypatch.setattr(shared, "_hosts", {})
    monkeypatch.setattr(shared, "breaker_of", lambda provider, url: Breaker(provider))
    return known


def test_without_a_file_the_candles_are_asked_of_the_provider(exchange, capsys):
    assert main(["btc", "--timeframe", "4h", "--binance-url", "http://exchange.test/b"]) == 0
    assert capsys.readouterr().out.startswith("BTC 4h, 300 candles of simulated up to 2025-03-06 01:59:59 UTC\n")
    (url,) = exchange["asked"]
    assert str(url).startswith("http://exchange.test/b/api/v3/klines?symbol=BTCUSDT&interval=4h&")


def test_forex_is_asked_of_kraken(exchange, capsys):
    rows = [[row[0] // 1000, *row[1:5], "1", row[5], 1] for row in klines(300)]
    both = {"ZEURZUSD": {"altname": "EURUSD"}}
    exchange["answer"] = httpx.Response(200, json={"error": [], "result": both})
    assert main(["EURUSD", "--kraken-url", "http://exchange.test"]) == 1
    assert "kraken: candles of EURUSD cannot be read" in capsys.readouterr().err
    exchange["answer"] = httpx.Response(200, json={"error": [], "result": {"ZEURZUSD": rows, "last": 1}})
    assert main(["EURUSD", "--kraken-url", "http://exchange.test"]) == 0
    assert capsys.readouterr().out.startswith("EURUSD 1h, 300 candles of kraken up to 2025-03-06 01:59:59 UTC\n")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (httpx.Response(451), "binance: 451"),
        (httpx.Response(200, json=[]), "binance has no candles of BTC"),
        (httpx.Response(200, json=[[1, "1", "1", "2", "1", "1", 2]]), "prices of no candle"),
    ],
)
def test_a_provider_that_has_nothing_is_one_sentence(exchange, capsys, answer, sentence):
    exchange["answer"] = answer
    assert main(["BTC"]) == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("symbol", "sentence"), [("ABC", "there is no instrument 'ABC'"), ("XAG", "XAG has no source of candles")]
)
def test_an_instrument_without_candles_is_refused(exchange, capsys, symbol, sentence):
    assert main([symbol]) == 1
    assert sentence in capsys.readouterr().err
    assert exchange["asked"] == []
