from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from handlers.hub.errors import (
    AccessDenied,
    BadConnectionId,
    ConnectionGone,
    GatewayUnavailable,
    LimitExceeded,
    PayloadTooLarge,
)
from scheduler.broadcast import ATTEMPTS, Place, broadcast
from scheduler.quota import Quota
from scheduler.virtual_time import run_virtually
from tests.fakes import InMemoryConnectionStore, RecordingGateway
from tests.scheduler.fakes import NOON, follower

IDS = [f"{number}=" for number in range(40)]


def limited(connection_id):
    return LimitExceeded(connection_id, "too fast")


async def deliver(gateway, connections=None, *, messages=(b"one",), within=1.0, in_flight=8, store=None, **more):
    return await broadcast(
        "market",
        lambda connection: messages,
        to=store or InMemoryConnectionStore(*map(follower, IDS if connections is None else connections)),
        gateway=gateway,
        now=NOON,
        within=within,
        in_flight=in_flight,
        jitter=lambda: 0.01,
        **more,
    )


async def test_every_follower_gets_its_message_once():
    gateway = RecordingGateway()
    delivery = await deliver(gateway)
    assert sorted(gateway.posts) == sorted((connection_id, b"one") for connection_id in IDS)
    assert (delivery.posted, delivery.bytes, delivery.late, delivery.unread) == (40, 120, 0, 0)
    assert delivery.followers == 40
    assert delivery.seconds > 0


async def test_a_broadcast_to_nobody_ends():
    assert (await deliver(RecordingGateway(), [])).posted == 0


async def test_messages_of_one_connection_keep_their_order():
    gateway = RecordingGateway({"one=": [None, limited("one=")]})
    await deliver(gateway, ["one="], messages=(b"1", b"2", b"3"))
    assert gateway.posts == [("one=", b"1"), ("one=", b"2"), ("one=", b"3")]


async def test_whoever_there_is_nothing_for_is_not_posted_to():
    gateway = RecordingGateway()
    delivery = await deliver(gateway, messages=())
    assert (delivery.posted, delivery.followers, gateway.posts) == (0, 40, [])


async def test_the_gone_are_named_and_get_no_further_message():
    gateway = RecordingGateway({"3=": ConnectionGone("3=")})
    delivery = await deliver(gateway, messages=(b"1", b"2"))
    assert delivery.gone == ["3="]
    assert delivery.posted == 78


@pytest.mark.parametrize(
    "fault",
    [PayloadTooLarge("3="), AccessDenied("3="), BadConnectionId("3="), GatewayUnavailable("3="), KeyError("bug")],
)
async def test_any_other_trouble_is_counted_and_the_rest_are_served(fault, caplog):
    delivery = await deliver(RecordingGateway({"3=": fault}))
    assert (delivery.failed, delivery.posted, delivery.gone) == (1, 39, [])
    assert type(fault).__name__ in caplog.text


async def test_a_trouble_that_many_have_is_logged_once(caplog):
    delivery = await deliver(RecordingGateway({one: GatewayUnavailable(one, "no answer") for one in IDS}))
    assert delivery.failed == 40
    assert len(caplog.records) == 1


async def test_a_limited_post_is_tried_again():
    gateway = RecordingGateway({"3=": [limited("3=")] * (ATTEMPTS - 1)})
    delivery = await deliver(gateway)
    assert (delivery.posted, delivery.limited) == (40, 0)


async def test_a_post_that_stays_limited_is_dropped_for_the_next_value():
    gateway = RecordingGateway({"3=": [limited("3=")] * ATTEMPTS})
    delivery = await deliver(gateway)
    assert (delivery.posted, delivery.limited) == (39, 1)
    assert gateway.trouble["3="] == []


async def test_a_connection_that_is_gone_when_tried_again_is_named():
    delivery = await deliver(RecordingGateway({"3=": [limited("3="), ConnectionGone("3=")]}))
    assert (delivery.gone, delivery.limited) == (["3="], 0)


async def test_retries_wait_longer_each_time_with_full_jitter(monkeypatch):
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    monkeypatch.setattr("scheduler.broadcast.asyncio.sleep", sleep)
    await broadcast(
        "market",
        lambda connection: (b"one",),
        to=InMemoryConnectionStore(follower()),
        gateway=RecordingGateway({"one=": limited("one=")}),
        now=NOON,
        within=1,
        jitter=lambda: 0.5,
    )
    assert waited == [0.025, 0.05, 0.1]


class HoldingGateway(RecordingGateway):
    """Does not answer posts to some connections before it is told to, and counts the posts under way."""

    def __init__(self, *held):
        super().__init__()
        self.held = held
        self.release = asyncio.Event()
        self.under_way = self.most = 0

    async def post(self, connection_id, message):
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (self.release.wait() if connection_id in self.held else asyncio.sleep(0))
        finally:
            self.under_way -= 1
        await super().post(connection_id, message)


async def test_no_more_posts_are_under_way_than_allowed():
    gateway = HoldingGateway()
    await deliver(gateway, in_flight=5)
    assert gateway.most == 5


async def test_those_who_wait_for_a_slow_answer_hold_up_nobody_else():
    held = IDS[:6]
    gateway = HoldingGateway(*held)
    delivering = asyncio.create_task(deliver(gateway, in_flight=8, within=5))
    for _ in range(200):
        await asyncio.sleep(0.005)
        if len(gateway.posts) == len(IDS) - len(held):
            break
    assert len(gateway.posts) == len(IDS) - len(held)
    assert gateway.most <= 8 + 6
    gateway.release.set()
    assert (await delivering).posted == len(IDS)


def test_even_more_slow_answers_than_places_leave_room_for_others_and_no_more_than_the_sockets_are_used():
    slow = IDS[:30]

    class SlowGateway(HoldingGateway):
        async def post(self, connection_id, message):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(2 if connection_id in slow else 0.01)
            self.under_way -= 1
            await RecordingGateway.post(self, connection_id, message)

    async def run():
        gateway = SlowGateway()
        many = slow + [f"{number}+" for number in range(1_000)]
        delivery = await deliver(gateway, many, in_flight=20, within=4)
        return gateway, delivery

    gateway, delivery = run_virtually(run())
    assert (delivery.posted, delivery.late) == (1_030, 0)
    assert gateway.most <= 20 + 15
    *_, last = (number for number, (one, _) in enumerate(gateway.posts) if one not in slow)
    assert last == 999, "those who are well first"


def test_nobody_is_put_in_a_place_any_more_once_time_is_up(caplog):
    class Lingering(RecordingGateway):
        async def post(self, connection_id, message):
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.3)

    delivery = run_virtually(deliver(Lingering(), within=0.15))
    assert (delivery.posted, delivery.late) == (0, 40)
    assert caplog.records == []


async def test_whoever_is_not_served_in_time_is_late_and_the_others_are_not():
    gateway = HoldingGateway("3=", "4=")
    delivery = await deliver(gateway, within=0.1)
    assert (delivery.posted, delivery.late) == (38, 2)
    assert gateway.under_way == 0


async def test_one_that_is_being_retried_takes_nobodys_place():
    gateway = RecordingGateway({one: [limited(one), limited(one)] for one in IDS[:5]})
    delivery = await deliver(gateway, in_flight=1)
    assert delivery.posted == 40
    last_undisturbed = max(number for number, (one, _) in enumerate(gateway.posts) if one in IDS[5:])
    assert last_undisturbed == 34


class HalfReadableStore(InMemoryConnectionStore):
    """Fails on one shard after its first connection."""

    def followers(self, stream, shard, *, now):
        for number, connection in enumerate(super().followers(stream, shard, now=now)):
            if shard == 2 and number == 1:
                raise OSError("no route")
            yield connection


async def test_a_shard_that_cannot_be_read_does_not_hold_up_the_others(caplog):
    store = HalfReadableStore(*map(follower, IDS))
    whole = sum(sum(1 for _ in InMemoryConnectionStore.followers(store, "market", shard, now=0)) for shard in (0, 1, 3))
    delivery = await deliver(RecordingGateway(), store=store)
    assert delivery.unread == 1
    assert delivery.posted >= whole
    assert "shard 2 could not be read: OSError('no route')" in caplog.text


async def test_expired_connections_are_left_out():
    store = InMemoryConnectionStore(follower("old=", at=NOON - 8_000_000), follower("new="))
    gateway = RecordingGateway()
    await deliver(gateway, store=store)
    assert gateway.posts == [("new=", b"one")]


async def test_more_followers_than_are_read_ahead_are_all_served():
    many = [f"{number}=" for number in range(3_000)]
    assert (await deliver(RecordingGateway(), many)).posted == 3_000


async def test_only_the_shards_asked_for_are_served():
    parts = [RecordingGateway(), RecordingGateway()]
    for number, gateway in enumerate(parts):
        await deliver(gateway, shards=[number, number + 2])
    served = [{connection_id for connection_id, _ in gateway.posts} for gateway in parts]
    assert served[0] | served[1] == set(IDS)
    assert not served[0] & served[1]


@pytest.mark.parametrize("at_once", [10, 15, 37])
def test_with_too_small_a_quota_everybody_is_missed_in_turn(at_once):
    gateway, left_off = RecordingGateway(), Place()

    async def run():
        for _ in range(12):
            late = await deliver(gateway, quota=Quota(0.001, at_once), left_off=left_off)
            assert (late.posted, late.late) == (at_once, 40 - at_once)

    run_virtually(run())
    times = Counter(one for one, _ in gateway.posts)
    assert max(times.values()) - min(times[one] for one in IDS) <= 1
    run_virtually(deliver(gateway, left_off=left_off))
    assert left_off == Place()


def test_one_that_never_answers_is_not_where_the_next_broadcast_begins():
    left_off = Place()

    async def run():
        return await deliver(HoldingGateway("0="), left_off=left_off)

    assert (run_virtually(run()).posted, left_off) == (39, Place())


def test_what_was_not_even_read_in_time_has_its_turn_too():
    many = [f"{number:04}=" for number in range(4_000)]
    gateway, left_off = RecordingGateway(), Place()

    async def run():
        return [
            (await deliver(gateway, many, quota=Quota(0.001, 1_000), left_off=left_off)).followers for _ in range(5)
        ]

    assert max(run_virtually(run())) < 4_000
    times = Counter(one for one, _ in gateway.posts)
    assert times.keys() == set(many)
    assert max(times.values()) <= 2


async def test_no_more_is_posted_than_the_quota_gives_and_retries_count():
    quota = Quota(200, 10)
    delivery = await deliver(RecordingGateway({"3=": [limited("3=")]}), quota=quota)
    assert delivery.posted == 40
    assert delivery.seconds >= (41 - 10) / 200
    late = await deliver(RecordingGateway(), quota=quota, within=0.05)
    assert late.posted + late.late <= 40
    assert 5 <= late.posted <= 20
