"""How an answer is read, byte by byte; no socket is needed for it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.hub.http1 import BODY_LIMIT, HEAD_LIMIT, Answer, AnswerBroken, AnswerLost, AnswerReader

if TYPE_CHECKING:
    from collections.abc import Iterable


def read(data: bytes, *, bodiless: bool = False, cuts: tuple[int, ...] = ()) -> tuple[Answer | None, AnswerReader]:
    """Feed ``data`` in the pieces that ``cuts`` make of it, until there is an answer."""
    reader = AnswerReader()
    reader.expect(bodiless=bodiless)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    answer = None
    for start, stop in pairwise(places):
        if start == stop:
            continue
        assert answer is None, "fed on after the answer"
        answer = reader.feed(data[start:stop])
    return answer, reader


def whole(data: bytes, *, bodiless: bool = False) -> tuple[Answer, AnswerReader]:
    answer, reader = read(data, bodiless=bodiless)
    assert answer is not None
    return answer, reader


def pour(reader: AnswerReader, pieces: Iterable[bytes]) -> None:
    """Feed pieces that make no answer."""
    for piece in pieces:
        assert reader.feed(piece) is None


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n" + trailers + b"\r\n"


def test_headers_are_given_in_lower_case_and_in_order():
    answer, _ = whole(b"HTTP/1.1 410 Gone\r\nx-amzn-ErrorType:GoneException\r\nB:  2 \r\nContent-Length: 0\r\n\r\n")
    assert answer.status == 410
    assert answer.headers == [(b"x-amzn-errortype", b"GoneException"), (b"b", b"2"), (b"content-length", b"0")]
    assert answer.header(b"x-amzn-errortype") == b"GoneException"
    assert answer.header(b"absent") == b""


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nConnection: close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_a_socket_is_kept_as_the_version_and_the_connection_header_say(head, reusable):
    answer, reader = whole(head + b"Content-Length: 2\r\n\r\nhi")
    assert answer.body == b"hi"
    assert reader.reusable is reusable


@settings(max_examples=60, deadline=None)
@given(
    bodies=st.lists(st.binary(max_size=40), max_size=4),
    cuts=st.lists(st.integers(0, 400), max_size=8).map(tuple),
    interim=st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 2]),
    as_chunks=st.booleans(),
    trailers=st.sampled_from([b"", b"Digest: 1\r\n", b"A: 1\r\nB: 2\r\n"]),
)
def test_an_answer_is_the_same_however_the_network_cuts_it(bodies, cuts, interim, as_chunks, trailers):
    body = b"".join(bodies)
    if as_chunks:
        data = chunked(*filter(None, bodies), trailers=trailers)
    else:
        data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    answer, reader = read(interim + data, cuts=cuts)
    assert answer is not None
    assert (answer.status, answer.body, reader.reusable) == (200, body, True)


@settings(max_examples=60, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail),
        st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + tail),
    ),
    cuts=st.lists(st.integers(0, 400), max_size=4).map(tuple),
)
def test_garbage_is_refused_or_waited_on_and_nothing_else(data, cuts):
    reader = AnswerReader()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    try:
        for start, stop in pairwise(places):
            if reader.feed(data[start:stop]) is not None:
                return
        reader.end()
    except (AnswerBroken, AnswerLost):
        pass


@pytest.mark.parametrize("status", [204, 304])
def test_204_and_304_have_no_body_whatever_they_announce(status):
    answer, reader = whole(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)
    assert answer.body == b""
    assert reader.reusable


def test_an_answer_to_head_has_no_body_whatever_it_announces():
    answer, reader = whole(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", bodiless=True)
    assert answer.body == b""
    assert reader.reusable


def test_a_body_that_nothing_delimits_ends_with_the_socket():
    answer, reader = read(b"HTTP/1.1 200 OK\r\n\r\nhal")
    assert answer is None
    reader.feed(b"lo")
    assert reader.end().body == b"hallo"
    assert not reader.reusable


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_a_socket_that_ends_early_loses_the_answer(data):
    answer, reader = read(data)
    assert answer is None
    with pytest.raises(AnswerLost):
        reader.end()


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        chunked(b"hi"),
        chunked(b"hi", trailers=b"A: 1\r\n"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_bytes_behind_an_answer_cost_the_socket_and_not_the_answer(data, surplus):
    answer, reader = whole(data + surplus)
    assert answer.body in {b"hi", b""}
    assert not reader.reusable


def test_chunked_wins_over_a_length_and_the_socket_is_not_used_again():
    data = chunked(b"hi").replace(b"Transfer-", b"Content-Length: 3\r\nTransfer-", 1)
    answer, reader = whole(data)
    assert answer.body == b"hi"
    assert not reader.reusable


@pytest.mark.parametrize(
    "head",
    [
        b"garbage\r\n",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.1 20 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n",
        b"HTTP/1.1 200 OK\r\nspace : 1\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\nB: 2\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % (BODY_LIMIT + 1),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(head):
    with pytest.raises(AnswerBroken):
        read(head + b"\r\n")


@pytest.mark.parametrize(
    "chunk",
    [
        b"x\r\n",
        b"-1\r\n",
        b"\r\n",
        b"0x5\r\n",
        b"5 5\r\n",
        b"fffffffff\r\n",
        b"200000\r\n",
        b"2\r\nhallo\r\n",
        b"1" * 2000,
    ],
)
def test_a_chunk_of_a_bad_size_is_refused(chunk):
    with pytest.raises(AnswerBroken):
        read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)


def test_a_chunk_may_have_an_extension():
    answer, _ = whole(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2 ;a=b\r\nhi\r\n0\r\n\r\n")
    assert answer.body == b"hi"


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\n", chunked()[:-2]])
def test_a_flood_of_headers_or_trailers_is_cut_off(start):
    reader = AnswerReader()
    reader.feed(start)
    line = b"A: " + b"x" * 1000 + b"\r\n"
    with pytest.raises(AnswerBroken, match="65,536 bytes"):
        pour(reader, [line] * (HEAD_LIMIT // 1000 + 1))


@pytest.mark.parametrize("at_once", [True, False])
def test_a_flood_of_interim_answers_is_cut_off(at_once):
    interim = b"HTTP/1.1 102 Processing\r\n\r\n"
    reader = AnswerReader()
    count = HEAD_LIMIT // len(interim) + 2
    with pytest.raises(AnswerBroken):
        pour(reader, [interim * count] if at_once else [interim] * count)


@pytest.mark.parametrize("head", [b"", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_without_end_is_cut_off(head):
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    with pytest.raises(AnswerBroken, match="1,048,576 bytes"):
        pour(reader, [piece] * 17)


def test_a_body_of_exactly_the_limit_is_read():
    answer, _ = whole(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_LIMIT + b"x" * BODY_LIMIT)
    assert len(answer.body) == BODY_LIMIT


def test_nothing_of_one_answer_is_left_in_the_next():
    answer, reader = whole(chunked(b"first", trailers=b"A: 1\r\n"))
    reader.expect()
    assert not reader.received
    answer = reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
    assert answer == Answer(200, b"\r\nContent-Length: 6", b"second")
