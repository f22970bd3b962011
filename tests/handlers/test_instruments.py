from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.hub.instruments import Instrument, instruments

if TYPE_CHECKING:
    from pathlib import Path

KINDS = ("crypto", "forex", "metal")


def test_thirty_instruments_are_traded():
    kinds = {kind: [one.symbol for one in instruments().values() if one.kind == kind] for kind in KINDS}
    assert kinds == {
        "crypto": [
            *("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK"),
            *("LTC", "TRX", "BCH", "UNI", "ATOM", "NEAR", "ETC", "XLM", "APT", "FIL"),
        ],
        "forex": ["EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD"],
        "metal": ["XAU", "XAG", "XPT", "XPD"],
    }
    assert list(instruments()) == [symbol for symbols in kinds.values() for symbol in symbols]


def test_every_class_has_a_first_source_and_fallbacks():
    traded = instruments().values()
    assert {(one.kind, next(iter(one.sources))) for one in traded} == {
        ("crypto", "binance"),
        ("forex", "kraken"),
        ("metal", "gold-api"),
    }
    assert all(len(one.sources) > 1 for one in traded)
    assert all(one.sources["binance"] == f"{one.symbol}USDT" for one in traded if one.kind == "crypto")


def test_a_token_of_gold_is_no_gold_but_its_proxy():
    assert {one.symbol: one.proxies for one in instruments().values() if one.proxies} == {"XAU": {"kraken"}}
    assert list(instruments()["XAU"].sources) == ["gold-api", "swissquote", "kraken"]


def test_currencies_have_a_reference_and_all_else_has_none():
    references = {one.symbol: one.reference for one in instruments().values() if one.reference}
    assert references == {
        symbol: f"{symbol[:3]}/{symbol[3:]}" for symbol, one in instruments().items() if one.kind == "forex"
    }


def test_an_instrument_is_what_its_table_says():
    assert instruments()["EURUSD"] == Instrument(
        symbol="EURUSD",
        name="Euro / US dollar",
        kind="forex",
        decimals=5,
        sources={"kraken": "EURUSD", "swissquote": "EUR/USD"},
        proxies=frozenset(),
        reference="EUR/USD",
    )


def test_the_list_is_read_once():
    assert instruments() is instruments()


@pytest.fixture
def other_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine.toml"
    monkeypatch.setenv("TICKWIRE_INSTRUMENTS", str(path))
    return path


GOLD = '[instruments.XAU]\nname = "Gold"\nkind = "metal"\ndecimals = 2\nsources = { gold_api = "XAU" }\n'


def test_a_deployment_may_have_its_own_list(other_list: Path):
    other_list.write_text(GOLD)
    assert instruments() == {
        "XAU": Instrument(symbol="XAU", name="Gold", kind="metal", decimals=2, sources={"gold_api": "XAU"})
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("instruments = [", "mine.toml: "),
        (GOLD.replace("decimals = 2", 'decimals = "2"'), r"Expected `int`, got `str` - at `\$\.instruments"),
        (GOLD.replace("decimals", "digits"), "unknown field `digits`"),
        (GOLD.replace("XAU]", "xau]"), "the symbol 'xau' is not in capitals"),
        (GOLD.replace("metal", "stock"), "Invalid enum value 'stock'"),
        (GOLD + 'proxies = ["kraken"]', "XAU has a proxy that is none of its sources: 'kraken'"),
    ],
)
def test_a_wrong_list_is_one_clear_sentence(other_list: Path, text: str, why: str):
    other_list.write_text(text)
    with pytest.raises(ValueError, match=why):
        instruments()
