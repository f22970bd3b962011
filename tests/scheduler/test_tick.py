from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from dataclasses import replace

import msgspec
import pytest

from handlers.hub.errors import CallRefused, ConnectionGone, ServiceUnavailable
from scheduler.broadcast import Delivery
from scheduler.errors import Refused, Unavailable
from scheduler.fanout import Outcome
from scheduler.market.prices import Prices
from scheduler.quota import Quota
from scheduler.tick import Ports, tick
from tests.fakes import InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway
from tests.scheduler.fakes import (
    BITCOIN,
    ETHER,
    NOON,
    Clock,
    InMemoryClaimStore,
    ScriptedProvider,
    answering,
    follower,
    quote,
)
from tests.wire import validate_message

FULL = NOON // 5_000  # a tick of a multiple of twelve
DOWN = Unavailable("binance", "500")


class World:
    """Everything a tick reaches, in memory, and a clock that stands at the tick being run."""

    def __init__(self, *answers, connections=(), trouble=None):
        self.clock = Clock()
        self.connections = InMemoryConnectionStore(*connections)
        self.gateway = RecordingGateway(trouble)
        self.ports = Ports(InMemoryClaimStore(), InMemorySnapshotStore(), self.connections, self.gateway)
        self.composer = Prices([BITCOIN, ETHER], [ScriptedProvider(*answers)])

    async def tick(self, seq, **options):
        self.clock.at = seq * 5_000 + 3
        options = {"composer": self.composer, "ports": self.ports, "now": self.clock} | options
        return await tick("market", seq, **options)

    @property
    def latest(self):
        return self.ports.snapshots.latest("market")

    def told(self, connection_id="one="):
        return [validate_message(message) for posted_to, message in self.gateway.posts if posted_to == connection_id]


def at(seconds, *quotes):
    """Answer so many seconds after noon."""
    moment = NOON + 1_000 * seconds
    return answering(*(replace(quote, ts=moment, answered_at=moment + 50) for quote in quotes))


async def test_a_tick_fetches_keeps_and_posts():
    world = World(at(5, quote("BTC"), quote("ETH")), connections=[follower()])
    report = await world.tick(FULL + 1)
    assert (report.outcome, report.changed, report.delivery.posted) == ("sent", 2, 1)
    (batch,) = world.told()
    assert (batch["type"], batch["seq"], batch["prev"], batch["ts"]) == ("market_batch", FULL + 1, None, NOON + 5_003)
    assert [update["symbol"] for update in batch["updates"]] == ["BTC", "ETH"]
    assert (world.latest.seq, world.latest.ts, set(world.latest.data)) == (FULL + 1, NOON + 5_003, {"BTC", "ETH"})


async def test_prev_is_the_tick_sent_before():
    world = World(at(0, quote()), at(0, quote()), at(10, quote("BTC", "2")), connections=[follower()])
    outcomes = [(await world.tick(FULL + number)).outcome for number in (1, 2, 3)]
    assert outcomes == ["sent", "quiet", "sent"]
    assert [(batch["seq"], batch["prev"]) for batch in world.told()] == [(FULL + 1, None), (FULL + 3, FULL + 1)]


async def test_every_twelfth_tick_is_full_and_sent_though_nothing_changed():
    world = World(at(0, quote("BTC"), quote("ETH")), connections=[follower()])
    reports = [await world.tick(FULL + 1 + number) for number in range(12)]
    assert [report.outcome for report in reports] == ["sent"] + ["quiet"] * 10 + ["sent"]
    full = world.told()[-1]
    assert (full["seq"], full["prev"]) == (FULL + 12, FULL + 1)
    assert [(update["symbol"], update["data"]["last"]) for update in full["updates"]] == [
        ("BTC", 91776),
        ("ETH", 91776),
    ]


async def test_a_full_tick_before_the_first_good_answer_has_nothing_to_send():
    world = World(DOWN, connections=[follower(), follower("new=", owed=True, at=NOON)])
    report = await world.tick(FULL)
    assert (report.outcome, report.full, report.faults) == ("quiet", True, ["binance: 500"])
    assert (world.latest, world.gateway.posts) == (None, [])


async def test_a_tick_that_another_run_has_claimed_does_nothing(caplog):
    caplog.set_level(logging.INFO)
    world = World(at(0, quote()), connections=[follower()])
    world.ports.claims.claim("market", FULL, "another")
    assert (await world.tick(FULL)).outcome == "elsewhere"
    assert (world.latest, world.gateway.posts, caplog.records) == (None, [], [])


async def test_the_same_tick_twice_in_one_process_is_run_once():
    world = World(at(0, quote()), connections=[follower()])
    await world.tick(FULL)
    assert (await world.tick(FULL)).outcome == "elsewhere"
    assert len(world.gateway.posts) == 1


async def test_a_tick_that_finds_a_later_snapshot_posts_nothing():
    world = World(at(0, quote()), connections=[follower()])
    await world.tick(FULL + 1)
    world.ports.snapshots.snapshots["market"] = replace(world.latest, seq=FULL + 9)
    assert (await world.tick(FULL + 12)).outcome == "sent"
    world.gateway.posts.clear()
    world.ports.snapshots.snapshots["market"] = replace(world.latest, seq=FULL + 99)
    assert (await world.tick(FULL + 24)).outcome == "overtaken"
    assert world.gateway.posts == []


async def test_a_quiet_tick_that_was_overtaken_posts_nothing():
    world = World(at(0, quote()), at(5, quote()), connections=[follower(owed=True, at=NOON)])
    await world.tick(FULL)
    world.gateway.posts.clear()

    def overtaken(claim, state):
        return False

    world.ports.claims.leave = overtaken
    assert (await world.tick(FULL + 1)).outcome == "overtaken"
    assert world.gateway.posts == []


async def test_a_provider_that_is_down_leaves_the_last_value_and_turns_it_stale():
    world = World(at(0, quote()), at(5, quote()), DOWN, connections=[follower()])
    outcomes = [(await world.tick(FULL + number)).outcome for number in range(5)]
    assert outcomes == ["sent", "quiet", "quiet", "quiet", "sent"]
    (update,) = world.told()[-1]["updates"]
    assert (update["data"]["last"], update["data"]["ts"], update["data"]["stale"]) == (91776, NOON, True)


async def test_followers_are_told_when_a_provider_goes_down_and_comes_back():
    both = (quote("BTC"), quote("ETH"))
    world = World(at(0, *both), at(5, *both), DOWN, DOWN, DOWN, at(25, *both), connections=[follower()])
    outcomes = [(await world.tick(FULL + number)).outcome for number in range(6)]
    assert outcomes == ["sent", "quiet", "quiet", "quiet", "sent", "sent"]
    assert [(told["component"], told["state"], told["since"]) for told in world.told() if told["type"] == "status"] == [
        ("provider.binance", "down", NOON + 20_003),
        ("provider.binance", "ok", NOON + 25_003),
    ]


async def test_they_are_told_before_there_is_any_value_too():
    world = World(DOWN, connections=[follower()])
    outcomes = [(await world.tick(FULL + number)).outcome for number in range(4)]
    assert (outcomes, world.latest) == (["quiet"] * 4, None)
    assert [(told["type"], told["state"]) for told in world.told()] == [("status", "down")]


@pytest.mark.parametrize("answers", [(DOWN,), (at(0, quote()), DOWN)], ids=["without any value", "with a stale one"])
async def test_whoever_subscribes_later_is_told_of_the_provider_that_is_down(answers):
    world = World(*answers, connections=[follower()])
    for number in range(6):
        await world.tick(FULL + number)
    world.connections.remember(follower("late=", at=NOON + 29_000))
    for number in range(6, 12):
        await world.tick(FULL + number)
    statuses = [told for told in world.told("late=") if told["type"] == "status"]
    # With each tick of its first 15 seconds, and no more.
    assert [(told["component"], told["state"]) for told in statuses] == [("provider.binance", "down")] * 3
    assert {told["since"] for told in statuses} == {told["since"] for told in world.told() if told["type"] == "status"}
    assert len([told for told in world.told() if told["type"] == "status"]) == 1


async def test_they_are_told_on_a_tick_that_changes_no_value():
    world = World(at(0, quote()), Refused("binance", "451", retry_at=NOON + 3_600_000), connections=[follower()])
    assert [(await world.tick(FULL + number)).outcome for number in range(3)] == ["sent", "quiet", "quiet"]
    assert [told.get("state") for told in world.told()] == [None, "down"]


@pytest.mark.parametrize("is_written", [True, False])
async def test_what_changes_no_value_is_told_though_the_table_fails_on_that_tick(is_written):
    down = Refused("binance", "451", retry_at=NOON + 3_600_000)
    world = World(at(0, quote()), down, connections=[follower()])
    await world.tick(FULL)
    leave = world.ports.claims.leave

    def fail(claim, state):
        if is_written:
            leave(claim, state)
        raise ServiceUnavailable("ConnectFailed", "nowhere")

    world.ports.claims.leave = fail
    assert (await world.tick(FULL + 1)).outcome == "failed"
    world.ports.claims.leave = leave
    assert (await world.tick(FULL + 2)).outcome == "quiet"
    # Where nothing was written it is told once more, which says the same; and no more than that.
    states = [told["state"] for told in world.told() if told["type"] == "status"]
    assert states == ["down"] * (1 if is_written else 2)


async def test_it_does_not_matter_which_scheduler_heard_the_answers():
    """The age of a value is known from the table, also to a scheduler that never got an answer itself."""
    world = World(at(0, quote()), at(5, quote()))
    deaf = Prices([BITCOIN, ETHER], [ScriptedProvider(DOWN)])
    outcomes = [
        (await world.tick(FULL + number, composer=composer)).outcome
        for number, composer in enumerate([world.composer, world.composer, deaf, deaf, deaf])
    ]
    assert outcomes == ["sent", "quiet", "quiet", "quiet", "sent"]


async def test_nothing_is_written_when_nothing_at_all_is_new():
    world = World(at(0, quote()), DOWN)
    await world.tick(FULL)
    before = (world.latest, world.ports.claims.claims["market"].state)
    await world.tick(FULL + 1)
    assert (world.latest, world.ports.claims.claims["market"].state) == before


async def test_whoever_is_owed_a_snapshot_gets_one_on_a_quiet_tick_too():
    new = follower("new=", owed=True, at=NOON + 4_000)
    world = World(at(0, quote()), connections=[follower(), new])
    await world.tick(FULL)
    world.gateway.posts.clear()
    assert (await world.tick(FULL + 1)).outcome == "quiet"
    (snapshot,) = world.told("new=")
    assert (snapshot["type"], snapshot["seq"]) == ("snapshot", FULL)
    assert world.told("one=") == []


async def test_the_gone_are_forgotten_but_not_the_young():
    old, young = follower("old=", at=NOON - 60_000), follower("young=", at=NOON - 9_000)
    trouble = {connection.id: ConnectionGone(connection.id) for connection in (old, young)}
    world = World(at(0, quote()), connections=[old, young, follower()], trouble=trouble)
    report = await world.tick(FULL)
    assert (len(report.delivery.gone), report.forgotten) == (2, 1)
    assert set(world.connections.connections) == {"young=", "one="}


async def test_a_gone_connection_that_cannot_be_forgotten_is_met_again(caplog):
    world = World(at(0, quote()), connections=[follower()], trouble={"one=": ConnectionGone("one=")})

    def forget(connection_id, **rest):
        raise OSError("no route")

    world.connections.forget = forget
    report = await world.tick(FULL)
    assert (report.outcome, report.forgotten) == ("sent", 0)
    assert "1 gone connections could not be forgotten: OSError('no route')" in caplog.text


async def test_the_line_of_a_tick_is_one_json_object(caplog):
    caplog.set_level(logging.INFO)
    world = World(at(0, quote()), DOWN, connections=[follower()])
    await world.tick(FULL)
    await world.tick(FULL + 1)
    first, second = (json.loads(record.getMessage()) for record in caplog.records)
    assert first["event"] == "tick"
    assert (first["stream"], first["seq"], first["outcome"], first["full"]) == ("market", FULL, "sent", True)
    assert (first["changed"], first["posted"], first["gone"], first["failed"]) == (1, 1, 0, 0)
    assert list(first["ms"]) == ["claim", "fetch", "compose", "save", "commit", "broadcast"]
    assert "faults" not in first
    assert second["faults"] == ["binance: 500"]


@pytest.mark.parametrize(
    ("port", "call"), [("claims", "claim"), ("snapshots", "latest"), ("snapshots", "save")], ids=str
)
@pytest.mark.parametrize(
    ("trouble", "has_stack"),
    [
        (ServiceUnavailable("ConnectFailed", "nowhere"), False),
        (CallRefused("AccessDeniedException"), True),
    ],
    ids=["outage", "wrong deployment"],
)
async def test_a_tick_without_its_table_fails_and_says_so(port, call, trouble, has_stack, caplog):
    world = World(at(0, quote()), connections=[follower()])

    def fail(*arguments):
        raise trouble

    setattr(getattr(world.ports, port), call, fail)
    report = await world.tick(FULL)
    assert (report.outcome, report.reason) == ("failed", repr(trouble))
    assert any(record.exc_info for record in caplog.records) is has_stack
    assert world.gateway.posts == []


async def test_a_snapshot_that_is_written_after_the_deadline_leaves_no_hole():
    """A thread cannot be cancelled: what it was told to write it writes, though nobody waits for it any more."""
    world = World(at(0, quote()), at(5, quote(last="2")), at(10, quote(last="3")), connections=[follower()])
    await world.tick(FULL)
    save, written = world.ports.snapshots.save, threading.Event()

    def save_late(snapshot):
        time.sleep(0.08)
        save(snapshot)
        written.set()

    world.ports.snapshots.save = save_late
    report = await world.tick(FULL + 1, end=(FULL + 1) * 5_000 + 53)
    assert (report.outcome, report.reason) == ("late", "stopped in save")
    await asyncio.to_thread(written.wait)
    assert world.latest.seq == FULL + 1, "written, and nobody was told"
    world.ports.snapshots.save = save
    assert (await world.tick(FULL + 2)).outcome == "sent"
    batches = [told for told in world.told() if told["type"] == "market_batch"]
    assert [(batch["seq"], batch["prev"]) for batch in batches] == [(FULL, None), (FULL + 2, FULL)]


@pytest.mark.parametrize("trouble", [ServiceUnavailable("ConnectFailed", "nowhere"), None], ids=str)
async def test_what_a_tick_wrote_and_did_not_commit_is_said_by_the_next_one(trouble):
    new = (quote("BTC", "2", source="replay"), quote("ETH", "3"))
    both, unchanged = at(5, *new), at(10, *new)
    world = World(at(0, quote("BTC"), quote("ETH")), both, unchanged, connections=[follower()])
    await world.tick(FULL)
    commit = world.ports.claims.commit

    def fail(claim, followers):
        if trouble:
            raise trouble
        return False  # a later tick has been claimed

    world.ports.claims.commit = fail
    assert (await world.tick(FULL + 1)).outcome == ("failed" if trouble else "overtaken")
    assert (world.latest.seq, len(world.gateway.posts)) == (FULL + 1, 1)
    world.ports.claims.commit = commit
    report = await world.tick(FULL + 2)
    assert (report.outcome, report.full) == ("sent", True)
    last = world.told()[-1]
    assert (last["seq"], last["prev"]) == (FULL + 2, FULL)
    said = {update["symbol"]: update["data"] for update in last["updates"]}
    assert {symbol: (data["last"], data["source"]) for symbol, data in said.items()} == {
        "BTC": (2, "replay"),
        "ETH": (3, "binance"),
    }
    assert [told["state"] for told in world.told() if told["type"] == "status"] == ["ok"]


async def test_a_tick_with_too_little_time_left_commits_nothing():
    world = World(at(0, quote()), at(5, quote(last="2")), connections=[follower()])
    await world.tick(FULL)
    report = await world.tick(FULL + 1, end=(FULL + 1) * 5_000 + 400)
    assert (report.outcome, report.reason) == ("late", "saved too late to be sent")
    assert world.ports.claims.claims["market"].sent_seq == FULL
    assert len(world.gateway.posts) == 1


async def test_what_was_committed_late_is_posted_all_the_same():
    world = World(at(0, quote()), connections=[follower()])
    commit = world.ports.claims.commit

    def commit_late(claim, followers):
        world.clock.at += 4_917  # 80 ms before the next tick is due
        return commit(claim, followers)

    world.ports.claims.commit = commit_late
    report = await world.tick(FULL)
    assert (report.outcome, report.delivery.posted) == ("sent", 1)


async def test_what_was_committed_when_the_next_tick_is_due_is_late():
    world = World(at(0, quote()), connections=[follower()])
    commit = world.ports.claims.commit

    def commit_late(claim, followers):
        world.clock.at += 5_000
        return commit(claim, followers)

    world.ports.claims.commit = commit_late
    report = await world.tick(FULL)
    assert (report.outcome, report.reason) == ("late", "committed too late to be posted")
    assert world.gateway.posts == []


async def test_posting_ends_before_the_next_tick_is_due_however_late_it_was_committed():
    class Held(RecordingGateway):
        async def post(self, connection_id, message):
            await asyncio.sleep(60)

    world = World(at(0, quote()), connections=[follower()])
    world.ports = replace(world.ports, gateway=Held())
    commit = world.ports.claims.commit

    def commit_late(claim, followers):
        world.clock.at += 4_917
        return commit(claim, followers)

    world.ports.claims.commit = commit_late
    report = await world.tick(FULL)
    assert (report.delivery.posted, report.delivery.late) == (0, 1)
    assert report.delivery.seconds == pytest.approx(0.08, abs=0.05)


class CountingFanout:
    """Stands in for the functions: keeps what it was asked, and reports what it is told to."""

    def __init__(self, threshold=0, *, outcome=None):
        self.threshold = threshold
        self.outcome = outcome
        self.asked = []

    def is_due(self, followers):
        return followers > self.threshold

    async def deliver(self, telling, seq, **given):
        self.asked.append((telling, seq, given))
        return self.outcome


def fanned_out(world, fanout):
    quotas = {"market": Quota(100, 10)}
    world.ports = replace(world.ports, quotas=quotas, fanout=fanout)
    return fanout


async def test_a_tick_to_many_is_posted_by_functions_as_soon_as_it_is_known_that_there_are_many():
    heard = Outcome(Delivery(followers=2, posted=1), groups=2, gone=1, forgotten=1)
    world = World(at(0, quote()), at(5, quote(last="2")), connections=[follower(), follower("two=")])
    fanout = fanned_out(world, CountingFanout(1, outcome=heard))
    assert (await world.tick(FULL)).delivery.posted == 2
    report = await world.tick(FULL + 1)
    assert (report.outcome, report.groups, report.gone, report.forgotten) == ("sent", 2, 1, 1)
    assert len(world.gateway.posts) == 2, "those of the first tick"
    ((telling, seq, given),) = fanout.asked
    assert (seq, telling.prev, telling.state) == (FULL + 1, FULL, world.latest)
    assert (given["followers"], given["quota"]) == (2, world.ports.quotas["market"])
    assert given["until"] == pytest.approx((FULL + 1) * 5_000 + 4_410, abs=10)
    assert '"groups":2' in report.line()


async def test_another_scheduler_knows_from_the_table_how_many_there_are():
    world = World(*(at(5 * number, quote(last=str(number))) for number in range(1, 4)), connections=[follower()])
    for number in (1, 2):
        await world.tick(FULL + number)
    world.ports = replace(world.ports, audience={})
    fanout = fanned_out(world, CountingFanout(0))
    await world.tick(FULL + 3)
    assert [given["followers"] for _, _, given in fanout.asked] == [1]


async def test_a_tick_is_posted_here_when_no_function_can_be_started():
    world = World(at(0, quote()), at(5, quote(last="2")), connections=[follower()])
    fanned_out(world, CountingFanout(0))
    await world.tick(FULL)
    report = await world.tick(FULL + 1)
    assert (report.outcome, report.groups, report.delivery.posted) == ("sent", 0, 1)
    assert [batch["seq"] for batch in world.told()] == [FULL, FULL + 1]


async def test_a_count_that_was_cut_short_makes_the_audience_no_smaller():
    world = World(at(0, quote()), at(5, quote(last="2")), connections=[follower()])
    world.ports.audience["market"] = 500
    world.connections.followers = lambda *arguments, **options: iter(())
    await world.tick(FULL)
    assert world.ports.audience["market"] == 0

    def unreadable(*arguments, **options):
        raise ServiceUnavailable("ConnectFailed", "nowhere")

    world.ports.audience["market"] = 500
    world.connections.followers = unreadable
    await world.tick(FULL + 1)
    assert world.ports.audience["market"] == 500


async def test_what_a_lost_tick_said_for_once_is_said_again():
    """Full ticks say no source and no staleness that stands; who was never told has to be."""
    world = World(at(0, quote()), DOWN, connections=[follower()])
    commit = world.ports.claims.commit
    for number in range(6):
        stale = number == 3
        world.ports.claims.commit = (lambda claim, followers: False) if stale else commit
        report = await world.tick(FULL + number)
        assert (report.outcome == "overtaken") is stale
    (update,) = world.told()[-1]["updates"]
    assert (world.told()[-1]["prev"], update["data"]["stale"], update["data"]["source"]) == (FULL, True, "binance")


async def test_a_stop_lets_a_tick_end_that_is_being_sent():
    world = World(at(0, quote()), connections=[follower()])
    begun, go_on = threading.Event(), threading.Event()
    commit = world.ports.claims.commit

    def commit_slowly(claim, followers):
        begun.set()
        go_on.wait(5)
        return commit(claim, followers)

    world.ports.claims.commit = commit_slowly
    ticking = asyncio.create_task(world.tick(FULL))
    await asyncio.to_thread(begun.wait)
    ticking.cancel()
    asyncio.get_running_loop().call_later(0.02, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await ticking
    assert [batch["seq"] for batch in world.told()] == [FULL]


class SlowProvider(ScriptedProvider):
    """Answers only when it is cancelled, whatever time it was given."""

    def __init__(self):
        super().__init__(DOWN)
        self.given = []

    async def fetch(self, instruments, *, within):
        self.given.append(within)
        await asyncio.sleep(60)


async def test_a_tick_that_meets_its_deadline_stops(caplog):
    world = World(connections=[follower()])
    provider = SlowProvider()
    world.composer = Prices([BITCOIN], [provider])
    report = await world.tick(FULL, end=FULL * 5_000 + 53)
    assert (report.outcome, report.reason) == ("late", "stopped in fetch")
    assert (world.latest, world.gateway.posts) == (None, [])
    assert json.loads(caplog.records[-1].getMessage())["outcome"] == "late"


async def test_a_fetch_leaves_time_for_those_who_wait_for_it():
    world, given = World(), []

    class Asked(ScriptedProvider):
        async def fetch(self, instruments, *, within):
            given.append(within)
            return await super().fetch(instruments, within=within)

    await world.tick(FULL, composer=Prices([BITCOIN], [Asked(at(0, quote()))]))
    assert given == [pytest.approx(0.75 * (4.9 - 0.003))]


async def test_a_tick_begun_after_its_deadline_claims_nothing():
    world = World(at(0, quote()))
    report = await world.tick(FULL, now=lambda: FULL * 5_000 + 4_950)
    assert (report.outcome, report.phases) == ("late", {})
    assert world.latest is None


async def test_a_bug_in_a_composer_is_logged_with_its_stack_and_the_next_tick_goes_on(caplog):
    world = World(at(0, quote()), connections=[follower()])

    class Broken(Prices):
        async def fetch(self, *, within):
            raise KeyError("bug")

    report = await world.tick(FULL, composer=Broken([], []))
    assert (report.outcome, report.reason) == ("failed", "KeyError('bug')")
    assert "met a bug or a wrong deployment" in caplog.text
    assert "Traceback" in caplog.text
    assert (await world.tick(FULL + 1)).outcome == "sent"


async def test_messages_have_the_sources_own_digits():
    world = World(at(0, quote("BTC", "91776.00000000")), connections=[follower()])
    await world.tick(FULL)
    assert b'"last":91776.00000000,' in world.gateway.posts[0][1]
    assert msgspec.json.decode(world.gateway.posts[0][1])["seq"] == FULL
