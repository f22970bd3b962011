"""Any order of opening, messages, answers, posts, closes and time keeps the gateway's promises."""

from dataclasses import replace
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from local.limits import Limits
from local.rules.effects import Accept, Close, Invoke, Refuse, Send
from local.stack import Authorizer, Stage, Throttle
from tests.local.gateways import NOW, answer, gateway, handshake, route

LIMITS = Limits(life=100.0, idle=30.0, integration=10.0, backlog=100)
THROTTLE = Throttle(rate=0.1, burst=1)
TOO_LONG = "é" * 65_536 + "x"
ALLOW = {"principalId": "me", "policyDocument": {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}}


class Narrow(Random):
    """So few random bits that ids would repeat if nobody looked."""

    def getrandbits(self, k):
        return super().getrandbits(min(k, 3))


class Gateways(RuleBasedStateMachine):
    connections = Bundle("connections")
    invocations = Bundle("invocations")

    def __init__(self):
        super().__init__()
        connect = replace(route("$connect"), authorizer=Authorizer("Door", "Door"))
        routes = (connect, route("$disconnect"), route("$default", two_way=True), route("quiet"))
        stage = Stage("live", route_throttles={"quiet": THROTTLE})
        self.subject = gateway(*routes, stage=stage, limits=LIMITS, random=Narrow(1))
        self.connecting: list[Invoke] = []
        self.authorized: set[str] = set()
        self.quiet = 0
        self.now = NOW
        self.opened_at: dict[str, float] = {}
        self.active_at: dict[str, float] = {}
        self.invoked_at: dict[int, float] = {}
        self.accepted: set[str] = set()
        self.ended: set[str] = set()
        self.disconnects: dict[str, int] = {}

    def see(self, effects):
        """Check what every effect must obey, and return the invocations to answer."""
        pending = []
        for effect in effects:
            if isinstance(effect, Accept):
                assert effect.connection_id in self.authorized
                assert effect.connection_id not in self.accepted
                assert effect.connection_id not in self.ended
                self.accepted.add(effect.connection_id)
                self.active_at[effect.connection_id] = self.now
            elif isinstance(effect, Refuse):
                assert effect.connection_id not in self.accepted
                self.ended.add(effect.connection_id)
            elif isinstance(effect, Send):
                assert effect.connection_id in self.accepted
                assert effect.connection_id not in self.ended
            elif isinstance(effect, Close):
                assert effect.connection_id in self.accepted
                assert effect.connection_id not in self.ended
                if effect.code == 1001:
                    assert self.is_over(effect.connection_id)
                self.ended.add(effect.connection_id)
            elif isinstance(effect, Invoke) and effect.route_key == "$disconnect":
                assert effect.connection_id in self.ended, "told of the end before it"
                assert effect.connection_id in self.accepted
                self.disconnects[effect.connection_id] = self.disconnects.get(effect.connection_id, 0) + 1
            elif isinstance(effect, Invoke) and effect.route_key == "$connect":
                assert effect.function == "Door" or effect.connection_id in self.authorized
                self.connecting.append(effect)
            elif isinstance(effect, Invoke):
                assert effect.connection_id in self.accepted
                assert effect.connection_id not in self.ended
                self.invoked_at[effect.invocation] = self.now
                self.quiet += effect.route_key == "quiet"
                pending.append(effect)
        return multiple(*pending)

    def is_open(self, connection):
        return connection in self.accepted and connection not in self.ended

    def is_over(self, connection):
        """Say whether a connection has been silent or there for too long."""
        idle_for = self.now - self.active_at[connection]
        return idle_for >= LIMITS.idle or self.now - self.opened_at[connection] >= LIMITS.life

    @rule(target=invocations)
    def pass_time(self):
        self.now += 7
        return self.see(self.subject.woken(self.now))

    @initialize(target=connections)
    def begin(self):
        return self.open_and_accept()

    @rule(target=connections)
    def open_and_accept(self):
        connection_id = self.open()
        for _ in range(2):
            self.connecting.insert(0, self.connecting.pop())
            self.answer_a_handshake(allows=True, status=200)
        assert connection_id in self.accepted
        return connection_id

    @rule(target=connections)
    def open(self):
        connection_id, effects = self.subject.opened(handshake(), self.now)
        assert connection_id not in self.opened_at, "an id was given twice"
        self.opened_at[connection_id] = self.now
        self.see(effects)
        return connection_id

    @precondition(lambda self: self.connecting)
    @rule(allows=st.sampled_from([True, True, True, False]), status=st.sampled_from([200, 200, 200, 403]))
    def answer_a_handshake(self, allows, status):
        invoke = self.connecting.pop(0)
        if invoke.function == "Door":
            if allows:
                self.authorized.add(invoke.connection_id)
            payload = answer(**ALLOW) if allows else b"{}"
        else:
            payload = answer(statusCode=status)
        self.see(self.subject.answered(invoke.invocation, payload, self.now))

    @precondition(lambda self: self.connecting)
    @rule(payload=st.sampled_from([b"", b'{"errorMessage":"Unauthorized"}']))
    def fail_a_handshake(self, payload):
        invoke = self.connecting.pop(0)
        self.see(self.subject.failed(invoke.invocation, "error", self.now, payload))
        assert invoke.connection_id not in self.accepted

    @rule(
        target=invocations,
        connection=connections,
        text=st.sampled_from(["x", "x", '{"action":"quiet"}', b"\x01", TOO_LONG]),
    )
    def receive(self, connection, text):
        was_open = self.is_open(connection)
        if was_open:
            self.active_at[connection] = self.now
        effects = self.subject.received(connection, text, self.now)
        if was_open and text == TOO_LONG:
            assert [effect.code for effect in effects if isinstance(effect, Close)] == [1009]
        return self.see(effects)

    @rule(connection=connections, payload=st.sampled_from([answer(statusCode=200, body="x"), b"7"]))
    def leave_before_the_answer(self, connection, payload):
        pending = [one for one in self.receive_text(connection) if isinstance(one, Invoke)]
        self.close(connection, 1000)
        for invoke in pending:
            assert self.subject.answered(invoke.invocation, payload, self.now) == []

    @rule(connection=connections)
    def wait_in_vain_for_an_answer(self, connection):
        pending = [one for one in self.receive_text(connection) if isinstance(one, Invoke)]
        self.now += LIMITS.integration
        effects = self.subject.woken(self.now)
        self.see(effects)
        for invoke in pending:
            frames = [one for one in effects if isinstance(one, Send) and one.connection_id == connection]
            assert any(b"Endpoint request timed out" in frame.text for frame in frames)
            assert self.subject.answered(invoke.invocation, answer(statusCode=200, body="x"), self.now) == []

    def receive_text(self, connection):
        if self.is_open(connection):
            self.active_at[connection] = self.now
        effects = self.subject.received(connection, "x", self.now)
        self.see(effects)
        return effects

    @rule(connection=connections)
    def live_to_the_end(self, connection):
        """Keep a connection busy for as long as it may live, and see it ended all the same."""
        for _ in range(6):
            if not self.is_open(connection):
                return
            self.post(connection, 0, 1)
            self.now += 20
            self.see(self.subject.woken(self.now))
        assert connection in self.ended

    @rule(target=invocations, connection=connections, count=st.integers(2, 4))
    def receive_many(self, connection, count):
        if self.is_open(connection):
            self.active_at[connection] = self.now
        effects = [self.subject.received(connection, '{"action":"quiet"}', self.now) for _ in range(count)]
        return self.see([effect for some in effects for effect in some])

    @rule(invoke=consumes(invocations), payload=st.sampled_from([b"null", answer(statusCode=200, body="x"), b"7"]))
    def answer(self, invoke, payload):
        effects = self.subject.answered(invoke.invocation, payload, self.now)
        if self.now - self.invoked_at[invoke.invocation] >= LIMITS.integration:
            assert effects == [], "an answer that nobody waits for any more"
        if effects and payload == answer(statusCode=200, body="x"):
            self.active_at[invoke.connection_id] = self.now
        self.see(effects)

    @rule(invoke=consumes(invocations), fault=st.sampled_from(["error", "missing"]))
    def fail(self, invoke, fault):
        self.see(self.subject.failed(invoke.invocation, fault, self.now))

    @rule(connection=connections, unread=st.sampled_from([0, 100, 101]), size=st.sampled_from([1, 131_073]))
    def post(self, connection, unread, size):
        reply, effects = self.subject.posted(connection, b"x" * size, self.now, unread=unread)
        is_open = self.is_open(connection)
        status = 413 if size > LIMITS.message else 429 if unread > LIMITS.backlog else 200
        assert reply.status == (status if is_open else 410)
        assert len(effects) == (reply.status == 200)
        if effects:
            self.active_at[connection] = self.now
        self.see(effects)

    @rule(connection=connections)
    def delete(self, connection):
        status = 204 if self.is_open(connection) else 410
        reply, effects = self.subject.deleted(connection, self.now)
        assert reply.status == status
        self.see(effects)

    @rule(connection=connections, code=st.sampled_from([1000, 1001, 1005, 1006]))
    def close(self, connection, code):
        effects = self.subject.closed(connection, code, "", self.now)
        self.ended.add(connection)
        self.see(effects)

    @invariant()
    def every_ended_connection_had_exactly_one_disconnect(self):
        for connection in self.accepted:
            assert self.disconnects.get(connection, 0) == (1 if connection in self.ended else 0)

    @invariant()
    def a_throttled_route_is_run_no_more_often_than_it_may(self):
        assert self.quiet <= THROTTLE.burst + (self.now - NOW) * THROTTLE.rate

    @invariant()
    def nothing_outlives_its_limit(self):
        self.see(self.subject.woken(self.now))
        assert not any(self.is_over(connection) for connection in self.accepted - self.ended)
        assert self.subject.connected == len(self.accepted - self.ended)


Gateways.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestGateways = Gateways.TestCase
