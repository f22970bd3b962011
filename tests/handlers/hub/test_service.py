"""Calls of AWS's services: what is tried again, what a refusal means, and that no signature is reused."""

from __future__ import annotations

import zlib

import pytest

from handlers.hub.errors import CallRefused, ServiceUnavailable
from handlers.hub.http1 import Answer, AnswerLost, ConnectTimedOut
from handlers.hub.service import Service
from handlers.hub.signing import Credentials, CredentialsUnavailable, Signer

DONE = Answer(200, b"", b"{}")


def refusal(status: int, code: str, message: str = "no") -> Answer:
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return Answer(status, b"", f'{{"__type":"{kind}","message":"{message}"}}'.encode())


class Scripted:
    """A pool that plays one answer, or raises one fault, after the other; the last repeats."""

    def __init__(self, *turns: Answer | Exception, seconds: float = 0.0) -> None:
        self.turns = turns
        self.seconds = seconds
        self.clock = 100.0
        self.pauses: list[float] = []
        self.asked: list[tuple[str, str, str, bytes]] = []

    def send(self, method: str, target: str, lines: str, body: bytes) -> Answer:
        turn = self.turns[min(len(self.asked), len(self.turns) - 1)]
        self.asked.append((method, target, lines, body))
        self.clock += self.seconds
        if isinstance(turn, Exception):
            raise turn
        return turn

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.clock += seconds

    def call(self, **options: int) -> bytes:
        signer = Signer(lambda: Credentials("a", "b"), region="us-east-1", host="h", service="dynamodb")
        service = Service(
            self,  # type: ignore[arg-type]  # as much of a pool as is used
            "/base",
            signer,
            sleep=self.sleep,
            clock=lambda: self.clock,
            **options,
        )
        return service.call("/", (("X-Amz-Target", "DynamoDB_20120810.GetItem"),), b"body")


def test_a_call_is_signed_with_its_headers_and_posted_to_the_endpoints_path():
    pool = Scripted(DONE)
    assert pool.call() == b"{}"
    [(method, target, lines, body)] = pool.asked
    assert (method, target, body) == ("POST", "/base/", b"body")
    assert "X-Amz-Target: DynamoDB_20120810.GetItem\r\n" in lines
    assert "SignedHeaders=host;x-amz-date;x-amz-target, " in lines


PASSING = [
    AnswerLost("closed without an answer"),
    ConnectTimedOut("no socket"),
    refusal(500, "InternalServerError"),
    refusal(500, "ValidationException"),
    Answer(503, b"", b"<html>busy</html>"),
    refusal(400, "ProvisionedThroughputExceededException"),
    refusal(400, "ThrottlingException"),
    Answer(429, b"\r\nx-amzn-ErrorType: TooManyRequestsException:http://internal.amazon.com/", b"{}"),
    Answer(200, b"\r\nx-amz-crc32: 1", b"{}"),
    Answer(200, b"\r\nx-amz-crc32: " + b"1" * 5_000, b"{}"),
]


@pytest.mark.parametrize("trouble", PASSING, ids=lambda trouble: str(trouble)[:60])
def test_what_may_pass_is_tried_again(trouble):
    pool = Scripted(trouble, trouble, DONE)
    assert pool.call() == b"{}"
    assert len(pool.pauses) == 2
    assert pool.pauses[0] <= 0.05
    assert pool.pauses[1] <= 0.1


@pytest.mark.parametrize("trouble", PASSING, ids=lambda trouble: str(trouble)[:60])
def test_after_three_attempts_it_is_an_outage(trouble):
    pool = Scripted(trouble)
    with pytest.raises(ServiceUnavailable):
        pool.call()
    assert len(pool.asked) == 3


def test_pauses_are_of_random_lengths():
    pools = [Scripted(PASSING[0], DONE) for _ in range(5)]
    for pool in pools:
        pool.call()
    assert len({pool.pauses[0] for pool in pools}) == 5


def test_no_attempt_begins_when_six_seconds_are_over():
    pool = Scripted(AnswerLost("lost"), seconds=3.1)
    with pytest.raises(ServiceUnavailable, match="AnswerLost: lost"):
        pool.call(attempts=10)
    assert len(pool.asked) == 2


@pytest.mark.parametrize(
    "code",
    ["ValidationException", "AccessDeniedException", "ResourceNotFoundException", "ConditionalCheckFailedException"],
)
def test_what_would_be_refused_again_is_not_tried_again(code):
    pool = Scripted(refusal(400, code, "because"))
    with pytest.raises(CallRefused, match=f"^{code}: because$") as caught:
        pool.call()
    assert (caught.value.code, caught.value.body) == (code, pool.turns[0].body)
    assert len(pool.asked) == 1


def test_a_code_that_nobody_knows_is_an_outage_that_is_not_tried_again():
    pool = Scripted(refusal(400, "ReplicatedWriteConflictException"))
    with pytest.raises(ServiceUnavailable, match="ReplicatedWriteConflictException"):
        pool.call()
    assert len(pool.asked) == 1


def test_the_checksum_of_an_answer_is_held_against_it():
    assert Scripted(Answer(200, b"\r\nX-Amz-Crc32: %d" % zlib.crc32(b"{}"), b"{}")).call() == b"{}"


def test_without_credentials_nothing_is_sent():
    def none() -> Credentials:
        raise CredentialsUnavailable("expired")

    pool = Scripted(DONE)
    service = Service(pool, "", Signer(none, region="r", host="h"))  # type: ignore[arg-type]  # likewise
    with pytest.raises(CredentialsUnavailable, match="expired"):
        service.call("/", (), b"")
    assert not pool.asked
