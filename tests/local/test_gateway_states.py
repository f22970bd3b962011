"""Any order of opening, messages, answers, posts, closes and time keeps the gateway's promises."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from local.effects import Accept, Close, Invoke, Refuse, Send
from local.limits import Limits
from tests.local.gateways import NOW, answer, gateway, handshake, route

LIMITS = Limits(life=100.0, idle=30.0, integration=10.0)


class Gateways(RuleBasedStateMachine):
    connections = Bundle("connections")
    invocations = Bundle("invocations")

    def __init__(self):
        super().__init__()
        routes = (route("$connect"), route("$disconnect"), route("$default", two_way=True), route("quiet"))
        self.subject = gateway(*routes, limits=LIMITS)
        self.now = NOW
        self.opened_at: dict[str, float] = {}
        self.accepted: set[str] = set()
        self.ended: set[str] = set()
        self.disconnects: dict[str, int] = {}

    def see(self, effects):
        """Check what every effect must obey, and return the invocations to answer."""
        pending = []
        for effect in effects:
            if isinstance(effect, Accept):
                assert effect.connection_id not in self.accepted
                assert effect.connection_id not in self.ended
                self.accepted.add(effect.connection_id)
            elif isinstance(effect, Refuse):
                assert effect.connection_id not in self.accepted
                self.ended.add(effect.connection_id)
            elif isinstance(effect, Send):
                assert effect.connection_id in self.accepted
                assert effect.connection_id not in self.ended
            elif isinstance(effect, Close):
                assert effect.connection_id in self.accepted
                assert effect.connection_id not in self.ended
                self.ended.add(effect.connection_id)
            elif isinstance(effect, Invoke) and effect.route_key == "$disconnect":
                assert effect.connection_id in self.accepted
                self.disconnects[effect.connection_id] = self.disconnects.get(effect.connection_id, 0) + 1
            elif isinstance(effect, Invoke):
                pending.append(effect)
        return multiple(*pending)

    @rule(target=invocations)
    def pass_time(self):
        self.now += 7
        return self.see(self.subject.woken(self.now))

    @rule(target=connections)
    def open(self):
        connection_id, effects = self.subject.opened(handshake(), self.now)
        assert connection_id not in self.opened_at, "an id was given twice"
        self.opened_at[connection_id] = self.now
        self.connecting = [effect for effect in effects if isinstance(effect, Invoke)]
        self.see(effects)
        return connection_id

    @rule(status=st.sampled_from([200, 200, 200, 403]))
    def answer_the_newest_handshake(self, status):
        for invoke in getattr(self, "connecting", []):
            self.see(self.subject.answered(invoke.invocation, answer(statusCode=status), self.now))
        self.connecting = []

    @rule(target=invocations, connection=connections, text=st.sampled_from(["x", '{"action":"quiet"}', b"\x01"]))
    def receive(self, connection, text):
        return self.see(self.subject.received(connection, text, self.now))

    @rule(invoke=consumes(invocations), payload=st.sampled_from([b"null", answer(statusCode=200, body="x"), b"7"]))
    def answer(self, invoke, payload):
        self.see(self.subject.answered(invoke.invocation, payload, self.now))

    @rule(invoke=consumes(invocations), fault=st.sampled_from(["error", "missing"]))
    def fail(self, invoke, fault):
        self.see(self.subject.failed(invoke.invocation, fault, self.now))

    @rule(connection=connections)
    def post(self, connection):
        reply, effects = self.subject.posted(connection, b"x", self.now)
        is_open = connection in self.accepted and connection not in self.ended
        assert reply.status == (200 if is_open else 410)
        self.see(effects)

    @rule(connection=connections)
    def delete(self, connection):
        reply, effects = self.subject.deleted(connection, self.now)
        is_open = connection in self.accepted and connection not in self.ended
        assert reply.status == (204 if is_open else 410)
        self.see(effects)

    @rule(connection=connections, code=st.sampled_from([1000, 1001, 1005, 1006]))
    def close(self, connection, code):
        effects = self.subject.closed(connection, code, "", self.now)
        self.see(effects)
        self.ended.add(connection)

    @invariant()
    def every_ended_connection_had_exactly_one_disconnect(self):
        for connection in self.accepted:
            assert self.disconnects.get(connection, 0) == (1 if connection in self.ended else 0)

    @invariant()
    def nothing_outlives_its_limit(self):
        self.see(self.subject.woken(self.now))
        for connection in self.accepted - self.ended:
            assert self.now - self.opened_at[connection] < LIMITS.life
        assert self.subject.connected == len(self.accepted - self.ended)


Gateways.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestGateways = Gateways.TestCase
