"""One tick posted by many functions, in virtual time: who starts what, and what happens when one fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial

import msgspec
import pytest

from handlers.hub.errors import CallRefused, ConnectionGone, ServiceUnavailable
from handlers.hub.snapshots import Snapshot
from scheduler.deliver import Ports, deliver
from scheduler.fanout import Assignment, Fanout, divide
from scheduler.groups import Tally, Turn
from scheduler.quota import Quota
from scheduler.telling import Telling, pack
from scheduler.virtual_time import run_virtually
from tests.fakes import InMemoryConnectionStore, InMemorySnapshotStore, RecordingGateway
from tests.scheduler.fakes import NOON, InMemoryGroupStore, follower

SEQ = NOON // 5_000
UNTIL = NOON + 4_500
IDS = [f"{number}=" for number in range(100)]
VALUES = {"BTC": b'{"last":91776.00,"bid":null,"ask":null,"change_pct":null,"ts":1}'}
TELLING = Telling("market", Snapshot("market", SEQ, NOON, VALUES, b""), SEQ - 1, VALUES, NOON)
OUTAGE = ServiceUnavailable("ConnectFailed", "nowhere")


def now():
    return NOON + round(asyncio.get_running_loop().time() * 1000)


class SlowGateway(RecordingGateway):
    """Takes its time for each post."""

    def __init__(self, trouble=None, *, seconds=0.0):
        super().__init__(trouble)
        self.seconds = seconds

    async def post(self, connection_id, message):
        await asyncio.sleep(self.seconds)
        await super().post(connection_id, message)


class Functions:
    """An ``Invoker`` that runs each event as a task; ``fates`` says what becomes of each start, in order."""

    def __init__(self, *fates, gateway=None, shards=8):
        self.fates = list(fates)
        self.events = []
        self.connections = InMemoryConnectionStore(*map(follower, IDS), shards=shards)
        self.gateway = gateway or RecordingGateway()
        self.groups = InMemoryGroupStore()
        self.ports = Ports(self.groups, InMemorySnapshotStore(), self.connections, self.gateway)
        self.running = []

    def start(self, event):
        self.events.append((now() - NOON, event))
        fate = self.fates.pop(0) if self.fates else None
        if isinstance(fate, Exception):
            raise fate
        if fate != "lost":
            run = self.vanish if fate == "dies" else self.serve
            self.running.append(asyncio.get_running_loop().create_task(run(event, delay=fate or 0)))

    async def serve(self, event, *, delay=0.0):
        await asyncio.sleep(delay)
        assignment = msgspec.json.decode(event, type=Assignment)
        return await deliver(
            assignment, ports=self.ports, quota=Quota(assignment.per_second, assignment.burst), now=now
        )

    async def vanish(self, event, **_):
        """Take the turn and never be heard of again."""
        one = msgspec.json.decode(event, type=Assignment)
        self.groups.take(Turn(one.stream, one.group, one.seq, one.attempt), now=now())

    def posted(self):
        return Counter(connection_id for connection_id, _ in self.gateway.posts)


def fan_out(functions, *, threshold=30, quota=None, until=UNTIL, telling=TELLING):
    async def run():
        fanout = Fanout(functions, functions.groups, functions.connections.shards, threshold, now)
        outcome = await fanout.deliver(
            telling, SEQ, followers=len(IDS), quota=quota or Quota(10_000, 5_000), until=until
        )
        ended = now() - NOON
        await asyncio.gather(*functions.running, return_exceptions=True)
        return outcome, ended

    return run_virtually(run())


@pytest.mark.parametrize(
    ("shards", "followers", "groups"), [(4, 0, 1), (4, 2_000, 1), (4, 2_001, 2), (4, 100_000, 4), (64, 100_000, 50)]
)
def test_shards_are_divided_into_as_few_groups_as_keep_each_small(shards, followers, groups):
    divided = divide(shards, followers, threshold=2_000)
    assert len(divided) == groups
    assert sorted(shard for group in divided for shard in group) == list(range(shards))
    assert max(map(len, divided)) - min(map(len, divided)) <= 1


def test_every_follower_is_told_once_and_the_tallies_add_up():
    functions = Functions(gateway=RecordingGateway({"7=": ConnectionGone("7=")}))
    outcome, ended = fan_out(functions)
    assert functions.posted() == Counter(one for one in IDS if one != "7=")
    assert (outcome.groups, outcome.gone, outcome.forgotten) == (4, 1, 1)
    assert (outcome.delivery.followers, outcome.delivery.posted, outcome.delivery.unread) == (100, 99, 0)
    assert functions.connections.find("7=") is None
    assert ended < 500


def test_the_quota_is_divided_among_the_groups():
    functions = Functions()
    outcome, _ = fan_out(functions, quota=Quota(40, 40))
    assert {msgspec.json.decode(event)["per_second"] for _, event in functions.events} == {10}
    assert 1.5 < outcome.delivery.seconds < 3  # 100 posts, 40 of them at once


def test_a_group_that_cannot_be_started_is_started_again_at_once(caplog):
    functions = Functions(None, OUTAGE)
    outcome, ended = fan_out(functions)
    assert functions.posted() == Counter(IDS)
    assert (outcome.delivery.posted, ended < 600) == (100, True)
    assert "group 1 could not be started: ServiceUnavailable" in caplog.text


def test_a_wrong_deployment_is_told_with_its_stack_and_nothing_is_started(caplog):
    refused = CallRefused("AccessDeniedException")
    functions = Functions(*[refused] * 4)
    outcome, _ = fan_out(functions)
    assert outcome is None, "whoever calls posts itself"
    assert "by a bug or a wrong deployment" in caplog.text


@pytest.mark.parametrize("fate", ["lost", "dies"])
def test_a_group_that_nobody_takes_or_that_falls_silent_is_started_again(fate):
    functions = Functions(None, fate)
    outcome, ended = fan_out(functions)
    assert [at for at, _ in functions.events] == [0, 0, 0, 0, pytest.approx(2_200, abs=200)]
    assert functions.posted() == Counter(IDS)
    assert (outcome.delivery.posted, outcome.delivery.unread) == (100, 0)
    assert ended < 3_000


def test_a_group_is_started_twice_and_no_more():
    functions = Functions(None, "dies", None, None, "dies")
    outcome, ended = fan_out(functions)
    assert len(functions.events) == 5
    assert outcome.delivery.unread == 2, "its shards"
    assert ended <= 4_500


def test_nobody_waits_for_a_group_that_could_not_be_started_twice(caplog):
    functions = Functions(None, OUTAGE, None, None, OUTAGE)
    outcome, ended = fan_out(functions)
    assert (outcome.groups, outcome.delivery.unread) == (4, 2)
    assert ended < 1_000
    assert "groups [1] have failed" in caplog.text


def test_nobody_waits_for_a_group_that_has_given_up_twice(monkeypatch):
    functions = Functions()

    def fail(stream):
        raise OSError("no route")

    monkeypatch.setattr(functions.ports.snapshots, "latest", fail)
    monkeypatch.setattr("scheduler.fanout.pack", partial(pack, limit=10))
    outcome, ended = fan_out(functions)
    assert (len(functions.events), outcome.groups, outcome.delivery.unread) == (8, 4, 8)
    assert ended < 1_500


def test_a_slow_start_and_the_one_that_took_its_place_post_once():
    functions = Functions(None, 2.5)
    fan_out(functions)
    assert len(functions.events) == 5
    assert functions.posted() == Counter(IDS)


def test_a_function_that_fails_gives_up_at_once(monkeypatch):
    functions = Functions()
    latest = functions.ports.snapshots.latest
    failures = iter([OSError("no route")])

    def fail_once(stream):
        for failure in failures:
            raise failure
        return latest(stream)

    monkeypatch.setattr(functions.ports.snapshots, "latest", fail_once)
    functions.ports.snapshots.snapshots["market"] = TELLING.state
    monkeypatch.setattr("scheduler.fanout.pack", partial(pack, limit=10))
    _, ended = fan_out(functions)
    assert len(functions.events) == 5
    assert functions.posted() == Counter(IDS)
    assert ended < 1_000


def test_standings_that_cannot_be_read_are_read_again(caplog):
    functions = Functions()
    standings, failures = functions.groups.standings, iter([OUTAGE])

    def fail_once(stream):
        for failure in failures:
            raise failure
        return standings(stream)

    functions.groups.standings = fail_once
    outcome, _ = fan_out(functions)
    assert outcome.delivery.posted == 100
    assert "how far the groups are cannot be read" in caplog.text


def assignment(**changes):
    plain = Assignment("market", SEQ, 0, 1, list(range(8)), UNTIL, 10_000, 5_000, pack(TELLING))
    return msgspec.json.encode(msgspec.structs.replace(plain, **changes))


def serve(functions, *events):
    async def run():
        return await asyncio.gather(*map(functions.serve, events), return_exceptions=True)

    return run_virtually(run())


def test_an_event_that_lambda_delivers_twice_is_served_once():
    functions = Functions()
    tallies = serve(functions, assignment(), assignment())
    assert [tally and tally.posted for tally in tallies] == [100, None]
    assert functions.posted() == Counter(IDS)


def test_an_event_of_an_earlier_tick_comes_too_late():
    functions = Functions()
    assert serve(functions, assignment(seq=SEQ + 1), assignment())[1] is None
    assert functions.posted() == Counter(IDS)


def test_an_event_whose_time_is_over_is_not_served():
    functions = Functions()
    assert serve(functions, assignment(until=NOON)) == [None]
    assert functions.gateway.posts == []


def test_what_was_by_reference_to_a_snapshot_that_is_past_is_done_and_its_shards_unread(caplog):
    functions = Functions()
    assert serve(functions, assignment(told=pack(TELLING, limit=10))) == [None]
    assert functions.groups.standings("market")[0].tally == Tally(unread=8)
    assert "is past: group 0 was not told" in caplog.text


def test_who_was_taken_over_stops_posting():
    functions = Functions(gateway=SlowGateway(seconds=1.2))

    async def run():
        first = asyncio.create_task(functions.serve(assignment(per_second=1)))
        await asyncio.sleep(0.6)
        functions.groups.take(Turn("market", 0, SEQ, 2), now=now())
        return await first

    assert run_virtually(run()) is None
    assert functions.gateway.posts == []


def test_a_table_that_does_not_answer_takes_no_sign_of_life_and_posting_goes_on(caplog):
    functions = Functions(gateway=SlowGateway(seconds=0.8))
    stay, failures = functions.groups.stay, iter([OUTAGE])

    def fail_once(turn, **rest):
        for failure in failures:
            raise failure
        return stay(turn, **rest)

    functions.groups.stay = fail_once
    (tally,) = serve(functions, assignment())
    assert tally.posted == 100
    assert "no sign of life could be given" in caplog.text


def test_a_function_that_ends_in_the_middle_says_so_and_leaves_nothing_running():
    functions = Functions(gateway=SlowGateway(seconds=3))

    async def run():
        serving = asyncio.create_task(functions.serve(assignment()))
        await asyncio.sleep(1)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(run())
    assert functions.groups.standings("market")[0].alive_at == 0
