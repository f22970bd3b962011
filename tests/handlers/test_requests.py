"""What the examples in tests/messages cannot show: sentences, limits, and text that no JSON file can hold."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers.hub.errors import BadJson, BadRequest, ClientFault, TooManySymbols, UnknownAction, UnknownSymbol
from handlers.hub.protocol import error, id_of, parse_query, parse_request
from handlers.hub.requests import Ping, Subscribe
from tests.wire import validate_message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"action":"subscribe"}', "streams is missing"),
        ('{"action":"subscribe","streams":"market"}', "streams: expected array, got str"),
        ('{"action":"subscribe","streams":[]}', "streams: names none"),
        ('{"action":"subscribe","streams":["market",7]}', "streams[1]: expected str, got int"),
        ('{"action":"subscribe","streams":["market"],"symbols":{}}', "symbols: expected array | null, got object"),
        ('{"action":"subscribe","streams":["market"],"since":{"market":1.5}}', "since[...]: expected int | null"),
        ('{"action":"subscribe","streams":["market"],"format":"xml"}', "format: no such format: 'xml'; there are"),
        ('{"action":"unsubscribe","streams":null}', "streams: expected array, got null"),
        ('{"action":"snapshot"}', "stream is missing"),
        ('{"action":"candles","symbol":"BTC"}', "timeframe is missing"),
        (
            '{"action":"votes","symbol":"BTC","timeframe":"2h"}',
            "timeframe: no such timeframe: '2h'; there are 1m, 15m,",
        ),
        ('{"action":"ping","id":{}}', "id: expected int | str | null, got object"),
        ('{"action":{}}', "action: expected str, got dict"),
        ('{"id":"1"}', "action is missing"),
    ],
)
def test_the_sentence_names_the_member(text: str, sentence: str):
    with pytest.raises(BadRequest) as fault:
        parse_request(text)
    assert str(fault.value).startswith(sentence)


@pytest.mark.parametrize(
    "text",
    ["", "pong", "null", "[1]", '"ping"', '{"a":1}{', "{'action':'ping'}", '{"action":NaN}', "\ufeff{}", "\ud800"],
)
def test_whatever_is_no_json_object_is_bad_json(text: str):
    with pytest.raises(BadJson, match="a request is a JSON object"):
        parse_request(text)


def test_nesting_without_end_is_bad_json():
    with pytest.raises(BadJson):
        parse_request('{"action":' + "[" * 131_000)
    assert id_of('{"id":"1","action":' + "[" * 131_000) is None


def test_an_unknown_action_is_told_which_there_are():
    there_are = "subscribe, unsubscribe, snapshot, candles, votes, ping"
    with pytest.raises(UnknownAction, match=f"no such action: 'candle'; there are {there_are}"):
        parse_request('{"action":"candle"}')


@pytest.mark.parametrize("text", ["ping", " ping\r\n"])
def test_the_bare_ping_may_stand_in_white_space(text: str):
    assert parse_request(text) == Ping()


def test_five_hundred_symbols_are_allowed_and_counted_as_sent():
    text = '{{"action":"subscribe","streams":["market"],"symbols":{}}}'
    symbols = ["BTC"] * 500
    assert parse_request(text.format(msgspec.json.encode(symbols).decode())) == Subscribe(
        streams=("market",), symbols=frozenset({"BTC"})
    )
    with pytest.raises(TooManySymbols, match="501 symbols in one request; at most 500 are allowed"):
        parse_request(text.format(msgspec.json.encode([*symbols, "NONE"]).decode()))


def test_symbols_are_those_of_the_caller_when_it_brings_some():
    text = '{"action":"subscribe","streams":["market"],"symbols":["tin"]}'
    assert parse_request(text, known={"TIN"}) == Subscribe(streams=("market",), symbols=frozenset({"TIN"}))
    with pytest.raises(UnknownSymbol):
        parse_request(text)


@pytest.mark.parametrize(
    "request_text",
    [
        '{"action":"%s"}',
        '{"action":"subscribe","streams":["%s"]}',
        '{"action":"subscribe","streams":["market"],"symbols":["%s"]}',
        '{"action":"subscribe","streams":["market"],"format":"%s"}',
    ],
)
def test_an_error_stays_short_whatever_was_sent(request_text: str):
    with pytest.raises(ClientFault) as fault:
        parse_request(request_text % ("\U0001f4c8" * 20_000))
    assert len(error(fault.value, "1")) < 1_000


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"action":"nonsense","id":"1"}', "1"),
        ('{"action":7,"id":12}', 12),
        ('{"id":"é"}', "é"),
        ("{}", None),
        ('{"id":1.5}', None),
        ('{"id":true}', None),
        ('{"id":"' + "1" * 129 + '"}', None),
        ('{"id":' + "1" * 5_000 + "}", None),
        ("[]", None),
        ("ping", None),
        ('{"id":"1"', None),
        ("\ud800", None),
    ],
    ids=range(12),
)
def test_the_id_is_repeated_when_it_is_text_or_an_integer_that_can_be(text: str, name: str | int | None):
    assert id_of(text) == name


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.text(),
        st.recursive(
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
            ),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["action", "id", "streams", "stream", "symbols", "since", "format", "x"]), inner
                )
            ),
            max_leaves=6,
        ).map(lambda value: msgspec.json.encode(value).decode()),
        st.fixed_dictionaries(
            {"action": st.sampled_from(["subscribe", "unsubscribe", "snapshot", "ping"])},
            optional={
                name: st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()), st.just(["market"]))
                for name in ("id", "streams", "stream", "symbols", "since", "format")
            },
        ).map(lambda value: msgspec.json.encode(value).decode()),
    )
)
def test_any_text_is_a_request_or_a_fault_of_the_client_that_can_be_told(text: str):
    try:
        parse_request(text)
    except ClientFault as fault:
        validate_message(error(fault, id_of(text)))


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, Subscribe(streams=())),
        ({"stream": "market"}, Subscribe(streams=("market",))),
        ({"stream": "market, signals,market"}, Subscribe(streams=("market", "signals"))),
        (
            {"stream": "market", "symbols": "btc, ETH,", "format": "single"},
            Subscribe(streams=("market",), symbols=frozenset({"BTC", "ETH"}), format="single"),
        ),
        ({"stream": "market", "symbols": ""}, Subscribe(streams=("market",))),
        ({"format": "batch", "Authorization": "x"}, Subscribe(streams=(), format="batch")),
    ],
)
def test_an_address_says_what_is_wanted(query: dict[str, str], wanted: Subscribe):
    assert parse_query(query) == wanted


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"stream": ""}, "bad_request"),
        ({"stream": "weather"}, "unknown_stream"),
        ({"stream": "Market"}, "unknown_stream"),
        ({"stream": "market", "symbols": "BTC,ABC"}, "unknown_symbol"),
        ({"stream": "market", "symbols": " , "}, "bad_request"),
        ({"stream": "market", "symbols": ",".join(["BTC"] * 501)}, "too_many_symbols"),
        ({"format": "xml"}, "bad_request"),
    ],
)
def test_an_address_that_wants_what_there_is_not_is_refused(query: dict[str, str], code: str):
    with pytest.raises(ClientFault) as fault:
        parse_query(query)
    assert fault.value.code == code
