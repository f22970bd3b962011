"""Whatever providers answer and whichever scheduler is asked: what a client that misses nothing gets to see."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.hub.errors import ServiceUnavailable
from scheduler.errors import Unreachable
from scheduler.market.prices import Prices
from scheduler.market.providers import Answer
from scheduler.market.quotes import Quote
from scheduler.tick import Ports, tick
from tests.fakes import InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway
from tests.scheduler.fakes import BITCOIN, ETHER, NOON, Clock, InMemoryClaimStore, ScriptedProvider, follower

DOWN = Answer(faults=[Unreachable("binance", "timed out")])
PRICES = st.sampled_from([None, "1.0", "1.00", "2"])
# What a source says of one instrument: its last, and how its clock runs against ours; None for nothing at all.
SAID = st.none() | st.tuples(PRICES, st.integers(-20_000, 1_000))
ROUND = st.fixed_dictionaries(
    {
        "schedulers": st.sampled_from([(0,), (1,), (0, 1), (1, 0)]),
        "answers": st.tuples(*[st.just("down") | st.fixed_dictionaries({"BTC": SAID, "ETH": SAID})] * 2),
        "gap": st.sampled_from([1, 1, 1, 2, 13]),
        # Whether the scheduler dies between writing its snapshot and posting it.
        "dies": st.sampled_from([False, False, False, True]),
    }
)


def answer(said, now):
    if said == "down":
        return DOWN
    return Answer(
        {
            symbol: Quote(symbol, one[0], None, "3", "-0.10", ts=now + one[1], source="binance", answered_at=now)
            for symbol, one in said.items()
            if one
        }
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(ROUND, min_size=1, max_size=20))
def test_a_client_sees_a_chain_without_holes_of_what_the_sources_said(rounds):
    asyncio.run(check(rounds))


class MortalClaimStore(InMemoryClaimStore):
    """Lets a scheduler die between writing its snapshot and posting it."""

    dying = False

    def commit(self, claim, followers):
        if self.dying:
            raise ServiceUnavailable("ConnectFailed", "nowhere")
        return super().commit(claim, followers)


async def check(rounds):
    clock, gateway = Clock(), RecordingGateway()
    watchers = [
        follower("all="),
        follower("some=", symbols=frozenset({"ETH"})),
        follower("public=", owed=True, at=NOON),
        follower("single=", how="single"),
    ]
    ports = Ports(MortalClaimStore(), InMemorySnapshotStore(), InMemoryConnectionStore(*watchers), gateway)
    providers = [ScriptedProvider(DOWN), ScriptedProvider(DOWN)]
    composers = [Prices([BITCOIN, ETHER], [provider]) for provider in providers]
    seq, answered = NOON // 5_000, set()
    for one in rounds:
        seq += one["gap"]
        clock.at = seq * 5_000
        ports.claims.dying = one["dies"]
        for number in one["schedulers"]:
            providers[number].answers = [answer(one["answers"][number], clock.at)]
            report = await tick("market", seq, composer=composers[number], ports=ports, now=clock)
            if report.outcome != "elsewhere":
                answered |= {(q.symbol, q.last, q.ts) for q in providers[number].answers[0].quotes.values()}
            assert report.outcome in {"sent", "quiet", "elsewhere"} | ({"failed"} if one["dies"] else set())
    for connection_id in ("all=", "some="):
        batches = [message for message in gateway.messages(connection_id) if message["type"] != "status"]
        numbers = [batch["seq"] for batch in batches]
        assert numbers == sorted(set(numbers))
        assert [batch["prev"] for batch in batches] == [None, *numbers[:-1]][: len(batches)]
    check_public(gateway.messages("public="))
    for _, posted in gateway.posts:
        assert values(posted) <= answered
    # Nobody is told twice in a row that a provider does as it did; what a scheduler that died had to say is lost.
    states = ["ok", *(told["state"] for told in gateway.messages("some=") if told["type"] == "status")]
    assert all(before != after for before, after in pairwise(states)) or any(one["dies"] for one in rounds)


def check_public(messages):
    """Check that a public client saw every tick that was sent, as a snapshot or as a batch that goes on from it."""
    last = None
    for message in messages:
        if message["type"] == "status":
            continue
        if message["type"] == "snapshot":
            assert last is None or message["seq"] >= last
        else:
            assert message["prev"] == last
        last = message["seq"]


def values(posted):
    """Collect (symbol, last, ts) of every value in a message, the number as its text."""
    message = msgspec.json.decode(posted, type=dict[str, msgspec.Raw])
    kind = msgspec.json.decode(message["type"])
    if kind == "status":
        pairs = []
    elif kind == "snapshot":
        pairs = msgspec.json.decode(message["data"], type=dict[str, msgspec.Raw]).items()
    elif kind == "market_update":
        pairs = [(msgspec.json.decode(message["symbol"]), message["data"])]
    else:
        updates = msgspec.json.decode(message["updates"], type=list[dict[str, msgspec.Raw]])
        pairs = [(msgspec.json.decode(update["symbol"]), update["data"]) for update in updates]
    found = set()
    for symbol, data in pairs:
        told = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        last = bytes(told["last"]).decode()
        found.add((symbol, None if last == "null" else last, msgspec.json.decode(told["ts"])))
    return found
