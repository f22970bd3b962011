"""infra/edge.js, run as CloudFront runs it: with the stage's name in it, on a viewer's request."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

RUN = "process.stdout.write(JSON.stringify(JSON.parse(process.argv[1]).map(handler)));"


@pytest.fixture(scope="session")
def edge(infra):
    """The function, for many requests at once."""
    if shutil.which("node") is None:
        pytest.skip("there is no node to run it")
    text = (infra / "edge.js").read_text(encoding="utf-8").replace("${StageName}", "live")

    def run(requests):
        events = json.dumps([{"request": request} for request in requests])
        result = subprocess.run(
            ["node", "--eval", f"{text}\n{RUN}", events], capture_output=True, text=True, check=True, timeout=30
        )
        return json.loads(result.stdout)

    return run


def request(uri, **query):
    return {
        "method": "GET",
        "uri": uri,
        "querystring": {name: {"value": value} for name, value in query.items()},
        "headers": {"sec-websocket-key": {"value": "x"}},
        "cookies": {},
    }


def test_the_template_carries_the_file_word_for_word(source, infra):
    code = source["Resources"]["Edge"]["Properties"]["FunctionCode"]["Fn::Sub"]
    assert code == (infra / "edge.js").read_text(encoding="utf-8")


def test_the_public_addresses_lead_to_the_stage_and_nothing_else_does(edge, source):
    streams = source["Metadata"]["Tickwire"]["Streams"]
    asked = [request(path, symbols="BTC,ETH") for path in streams.values()]
    *led, repeated, elsewhere, nowhere = edge(
        [
            *asked,
            request("/ws/market/stream", stream="binary", format="single"),
            request("/ws/market"),
            request("/ws/"),
        ]
    )
    for name, (before, after) in zip(streams, zip(asked, led, strict=True), strict=True):
        assert after["uri"] == "/live"
        assert after["querystring"] == {"symbols": {"value": "BTC,ETH"}, "stream": {"value": name}}
        assert after["headers"] == before["headers"]
    assert repeated["querystring"] == {"stream": {"value": "market"}, "format": {"value": "single"}}
    assert [elsewhere["statusCode"], nowhere["statusCode"]] == [404, 404]
