"""Which source is believed, one decision at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.market.choice import Chooser, Moment, Source
from scheduler.market.state import Held
from tests.scheduler.fakes import BITCOIN, EURO, GOLD, NOON, quote

SATURDAY = NOON + 2 * 86_400_000


class Case:
    """A chooser and the choice that it has just made; what holds goes from one choice to the next."""

    def __init__(self, instrument, *sources):
        self.chooser = Chooser(instrument, sources)
        self.held = None
        self.disputed_at = None

    def choose(self, now=NOON, *, shut=(), reference=None, **answers):
        quotes = {
            provider.replace("_", "-"): quote(
                self.chooser.instrument.symbol,
                **{"source": provider.replace("_", "-"), "ts": now, "answered_at": now} | told,
            )
            for provider, told in answers.items()
        }
        choice = self.chooser.choose(
            self.held, quotes, disputed_at=self.disputed_at, reference=reference, moment=Moment(now, shut)
        )
        self.held, self.disputed_at = choice.held, choice.disputed_at
        return choice

    @property
    def said(self):
        return (self.held.provider, self.held.quote.last, self.held.quote.stale)


@pytest.fixture
def coin():
    return Case(BITCOIN, Source("binance", 5_000, is_proxy=False), Source("kraken", 5_000, is_proxy=False))


@pytest.fixture
def euro():
    return Case(EURO, Source("kraken", 5_000, is_proxy=False), Source("swissquote", 10_000, is_proxy=False))


@pytest.fixture
def gold():
    return Case(
        GOLD,
        Source("gold-api", 30_000, is_proxy=False),
        Source("swissquote", 10_000, is_proxy=False),
        Source("kraken", 5_000, is_proxy=True),
    )


# One source.


def test_an_answer_takes_the_place_of_what_was_known(coin):
    coin.choose(binance={"last": "1"})
    coin.choose(NOON + 5_000, binance={"last": "2"})
    assert coin.said == ("binance", "2", False)


def test_nothing_is_held_of_what_was_never_answered(coin):
    choice = coin.choose()
    assert (choice.held, choice.is_in_doubt) == (None, True)


def test_without_an_answer_the_last_good_value_stays_and_is_stale_after_two_periods(coin):
    coin.choose(binance={"last": "1"})
    coin.choose(NOON + 10_000)
    assert coin.said == ("binance", "1", False)
    choice = coin.choose(NOON + 10_001)
    assert coin.said == ("binance", "1", True)
    assert choice.is_contested
    coin.choose(NOON + 20_000, binance={"last": "2"})
    assert coin.said == ("binance", "2", False)


def test_each_provider_has_a_period_of_its_own(gold):
    gold.choose(gold_api={"last": "4274"})
    gold.choose(NOON + 60_000)
    assert gold.said == ("gold-api", "4274", False)
    gold.choose(NOON + 60_001)
    assert gold.said == ("gold-api", "4274", True)


def test_an_answer_older_than_the_known_one_is_passed_over(coin):
    coin.choose(binance={"last": "1", "ts": NOON})
    coin.choose(NOON + 5_000, binance={"last": "2", "ts": NOON - 1})
    assert coin.said == ("binance", "1", False)


def test_a_source_whose_clock_was_set_back_is_heard_again_once_the_known_value_is_stale(coin):
    coin.choose(binance={"last": "1", "ts": NOON})
    coin.choose(NOON + 11_000, binance={"last": "2", "ts": NOON - 3_600_000})
    assert coin.said == ("binance", "2", False)


def test_a_value_of_a_provider_that_is_there_no_more_is_replaced_by_any(coin):
    coin.held = Held(quote("BTC", "1"), "coinbase")
    coin.choose(NOON + 5_000, kraken={"last": "2"})
    assert coin.said == ("kraken", "2", False)


# A primary and its fallbacks.


def test_a_sample_of_a_fallback_does_not_take_the_place_of_the_primary(coin):
    coin.choose(binance={"last": "100"}, kraken={"last": "100.1"})
    assert coin.said == ("binance", "100", False)
    choice = coin.choose(NOON + 5_000, kraken={"last": "100.2"})
    assert coin.said == ("binance", "100", False)
    assert choice.is_in_doubt


def test_a_fallback_is_served_when_the_primary_is_stale(coin):
    coin.choose(binance={"last": "100"})
    choice = coin.choose(NOON + 10_001, kraken={"last": "100.2"})
    assert coin.said == ("kraken", "100.2", False)
    assert (choice.held.quote.source, choice.is_in_doubt, choice.is_held_of("binance")) == ("kraken", True, False)


def test_a_fallback_is_served_at_once_when_the_primary_may_not_be_asked(coin):
    coin.choose(binance={"last": "100"})
    coin.choose(NOON + 5_000, shut={"binance"}, kraken={"last": "100.2"})
    assert coin.said == ("kraken", "100.2", False)


def test_a_fallback_is_served_at_once_when_there_is_nothing_else(coin):
    coin.choose(kraken={"last": "100.2"})
    assert coin.said == ("kraken", "100.2", False)


def test_the_primary_takes_its_place_back_though_its_clock_is_behind(coin):
    coin.choose(kraken={"last": "100.2"})
    coin.choose(NOON + 5_000, binance={"last": "100", "ts": NOON - 20_000})
    assert coin.said == ("binance", "100", False)


def test_the_better_fallback_is_served_and_the_worse_one_only_when_that_is_down(gold):
    gold.choose(swissquote={"last": "4270"}, kraken={"last": "4280"})
    assert gold.said == ("swissquote", "4270", False)
    gold.choose(NOON + 5_000, kraken={"last": "4281"})
    assert gold.said == ("swissquote", "4270", False)
    gold.choose(NOON + 20_001, kraken={"last": "4282"})
    assert gold.said == ("kraken", "4282", False)
    gold.choose(NOON + 25_000, swissquote={"last": "4271"}, kraken={"last": "4282"})
    assert gold.said == ("swissquote", "4271", False)


def test_a_proxy_is_marked(gold):
    gold.choose(kraken={"last": "4282"})
    assert gold.held.quote.proxy
    gold.choose(NOON + 5_000, gold_api={"last": "4274"})
    assert not gold.held.quote.proxy


# A primary that its fallbacks contradict.


@pytest.mark.parametrize(("last", "believed"), [("100.5", True), ("100.51", False), ("99.5", True), ("99.49", False)])
def test_a_primary_more_than_half_a_percent_off_its_fallback_is_rejected(coin, last, believed):
    coin.choose(binance={"last": "100.1"})
    choice = coin.choose(NOON + 5_000, binance={"last": last}, kraken={"last": "100"})
    assert coin.said == ("binance", last if believed else "100.1", False)
    assert choice.is_contested is not believed
    assert choice.is_in_doubt is not believed
    assert choice.faults == ([] if believed else [f"binance: BTC at {last} is 0.51% off its fallbacks"])


def test_a_rejected_primary_leaves_the_last_value_which_grows_stale_and_nobody_takes_its_place(coin):
    coin.choose(binance={"last": "100"}, kraken={"last": "100"})
    for tick in range(1, 5):
        coin.choose(NOON + 5_000 * tick, binance={"last": "102"}, kraken={"last": "100"})
        assert coin.said == ("binance", "100", tick > 2)


def test_between_samples_the_last_verdict_holds(coin):
    coin.choose(binance={"last": "100"}, kraken={"last": "100"})
    coin.choose(NOON + 5_000, binance={"last": "102"}, kraken={"last": "100"})
    choice = coin.choose(NOON + 10_000, binance={"last": "102.1"})
    assert coin.said == ("binance", "100", False)
    assert choice.is_contested


def test_a_primary_that_is_confirmed_is_believed_again(coin):
    coin.choose(binance={"last": "102"}, kraken={"last": "100"})
    assert coin.held is None
    choice = coin.choose(NOON + 5_000, binance={"last": "102"}, kraken={"last": "101.8"})
    assert (coin.said, choice.is_contested) == (("binance", "102", False), False)


def test_a_verdict_is_forgotten_when_those_who_gave_it_have_been_silent_for_two_minutes(coin):
    coin.choose(binance={"last": "102"}, kraken={"last": "100"})
    coin.choose(NOON + 120_000, binance={"last": "102"})
    assert coin.held is None
    coin.choose(NOON + 120_001, binance={"last": "102"})
    assert coin.said == ("binance", "102", False)


def test_a_rejected_primary_that_goes_down_is_replaced(coin):
    coin.choose(binance={"last": "100"}, kraken={"last": "100"})
    coin.choose(NOON + 5_000, binance={"last": "102"}, kraken={"last": "100"})
    coin.choose(NOON + 10_000, shut={"binance"}, kraken={"last": "100.1"})
    assert coin.said == ("kraken", "100.1", False)


def test_a_fallback_that_holds_goes_on_while_the_primary_that_came_back_is_rejected(coin):
    coin.choose(kraken={"last": "100"})
    coin.choose(NOON + 5_000, binance={"last": "102"}, kraken={"last": "100.1"})
    assert coin.said == ("kraken", "100.1", False)


def test_several_fallbacks_judge_by_their_median():
    case = Case(EURO, *(Source(name, 5_000, is_proxy=False) for name in ("kraken", "swissquote", "other", "third")))
    case.choose(kraken={"last": "1.16"}, swissquote={"last": "1.16"}, other={"last": "1.20"}, third={"last": "1.161"})
    assert case.said == ("kraken", "1.16", False)


def test_a_proxy_judges_nobody_and_is_judged_by_nobody(gold):
    gold.choose(gold_api={"last": "4274"}, kraken={"last": "4400"})
    assert gold.said == ("gold-api", "4274", False)
    case = Case(GOLD, Source("kraken", 5_000, is_proxy=True), Source("swissquote", 5_000, is_proxy=False))
    case.choose(kraken={"last": "4400"}, swissquote={"last": "4274"})
    assert case.said == ("kraken", "4400", False)


def test_what_has_no_price_is_compared_with_nothing(coin):
    coin.choose(binance={"last": None}, kraken={"last": "100"})
    assert coin.said == ("binance", None, False)
    coin.choose(NOON + 5_000, binance={"last": "100"}, kraken={"last": None})
    assert coin.said == ("binance", "100", False)


def test_a_stand_in_is_not_judged_by_the_real_world_but_by_its_like(euro):
    euro.choose(kraken={"last": "1.5", "source": "simulated"}, swissquote={"last": "1.1"})
    assert euro.said == ("kraken", "1.5", False)
    euro.choose(
        NOON + 5_000,
        kraken={"last": "1.6", "source": "simulated"},
        swissquote={"last": "1.5", "source": "simulated"},
    )
    assert euro.said == ("kraken", "1.5", False)


# The reference.


@pytest.mark.parametrize(("last", "is_astray"), [("1.03", False), ("1.0301", True), ("0.97", False), ("0.9699", True)])
def test_a_value_more_than_three_percent_off_the_reference_is_served_and_degrades_its_provider(euro, last, is_astray):
    choice = euro.choose(reference="1", kraken={"last": last})
    assert (euro.said, choice.is_astray) == (("kraken", last, False), is_astray)
    assert choice.faults == ([f"kraken: EURUSD at {last} is 3.01% off the reference 1"] if is_astray else [])


def test_proxies_stand_ins_and_stale_values_are_not_compared_with_the_reference(gold, euro):
    assert not gold.choose(reference="1", kraken={"last": "4400"}).is_astray
    assert not euro.choose(reference="1", kraken={"last": "1.5", "source": "simulated"}).is_astray
    assert euro.choose(NOON + 5_000, reference="1", kraken={"last": "1.5"}).is_astray
    assert not euro.choose(NOON + 60_000, reference="1").is_astray
    assert not euro.choose(NOON + 65_000, reference="1", kraken={"last": None}).is_astray


# The weekend.


def test_while_the_market_is_closed_a_value_says_so_and_is_never_stale(euro):
    euro.choose(SATURDAY, kraken={"last": "1.15"})
    choice = euro.choose(SATURDAY + 3_600_000)
    assert (euro.said, euro.held.quote.market) == (("kraken", "1.15", False), "closed")
    assert (choice.is_in_doubt, choice.is_contested) == (False, False)


def test_a_value_from_before_the_weekend_is_stale_on_monday_if_nobody_has_answered(euro):
    euro.choose(kraken={"last": "1.15"})
    euro.choose(SATURDAY)
    assert (euro.held.quote.market, euro.held.quote.stale) == ("closed", False)
    euro.choose(SATURDAY + 2 * 86_400_000)
    assert (euro.held.quote.market, euro.held.quote.stale) == ("open", True)


def test_while_the_market_is_closed_nothing_is_compared_and_verdicts_are_forgotten(euro):
    euro.choose(kraken={"last": "1.15"}, swissquote={"last": "1.10"})
    assert euro.disputed_at == NOON
    choice = euro.choose(SATURDAY, reference="1", kraken={"last": "1.15"}, swissquote={"last": "1.10"})
    assert (euro.said, choice.is_astray, choice.faults) == (("kraken", "1.15", False), False, [])
    assert euro.disputed_at is None


def test_while_the_market_is_closed_no_proxy_takes_the_place_of_the_last_value(gold):
    gold.choose(SATURDAY, gold_api={"last": "4274"})
    gold.choose(SATURDAY + 3_600_000, shut={"gold-api"}, kraken={"last": "4300"})
    assert gold.said == ("gold-api", "4274", False)


def test_crypto_has_no_weekend(coin):
    coin.choose(SATURDAY, binance={"last": "1"})
    coin.choose(SATURDAY + 10_001)
    assert (coin.said, coin.held.quote.market) == (("binance", "1", True), "open")


def test_a_choice_is_of_its_instrument():
    case = Case(replace(BITCOIN, symbol="XBT"), Source("binance", 5_000, is_proxy=False))
    assert case.choose(binance={}).held.quote.symbol == "XBT"
