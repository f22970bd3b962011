from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from handlers.hub.instruments import Instrument, instruments

if TYPE_CHECKING:
    from pathlib import Path


def test_twenty_crypto_instruments_are_traded_on_binance():
    traded = instruments()
    assert list(traded) == [
        *("BTC", "ETH", "BNB", "SOL", "XRP", "ADA", "DOGE", "AVAX", "DOT", "LINK"),
        *("LTC", "TRX", "BCH", "UNI", "ATOM", "NEAR", "ETC", "XLM", "APT", "FIL"),
    ]
    assert all(one.sources == {"binance": f"{one.symbol}USDT"} for one in traded.values())
    assert {one.kind for one in traded.values()} == {"crypto"}
    assert traded["BTC"] == Instrument(
        symbol="BTC", name="Bitcoin", kind="crypto", decimals=2, sources={"binance": "BTCUSDT"}
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
    ],
)
def test_a_wrong_list_is_one_clear_sentence(other_list: Path, text: str, why: str):
    other_list.write_text(text)
    with pytest.raises(ValueError, match=why):
        instruments()
