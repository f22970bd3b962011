"""What may happen to the dashboard while people watch."""

import json
import os
import signal

import pytest

from tests.browser.reading import last, opened, photograph, state, wait_for_change, wait_for_state
from tests.end_to_end.running import ROOT, TEMPLATE, Emulator


def test_the_server_dies_and_returns_and_the_page_recovers_by_itself(tmp_path, page):
    first = Emulator(tmp_path)
    try:
        opened(page, first)
    finally:
        functions = first.processes()
        first.stop(signal.SIGKILL)
        for pid in functions:
            os.kill(pid, signal.SIGKILL)
    wait_for_state(page, "Reconnecting")
    held = last(page)
    assert "The connection is lost: prices are as they were at" in page.get_by_label("Notices").inner_text()
    photograph(page, "market-reconnecting")
    second = Emulator(tmp_path, "--port", first.ready["page"].rsplit(":", 1)[1].strip("/"))
    try:
        wait_for_state(page, "Live")
        wait_for_change(page, held)
        assert "lost" not in page.get_by_label("Notices").inner_text()
    finally:
        second.stop()


def test_a_broken_function_is_said_by_the_page(tmp_path, page):
    (tmp_path / "broken.py").write_text("def handler(event, context):\n    raise RuntimeError('broken on purpose')\n")
    broken = tmp_path / "template.yaml"
    text = TEMPLATE.read_text()
    for old, new in (
        ("Handler: handlers.message.handler", f"Handler: broken.handler\n      CodeUri: {tmp_path}"),
        ("CodeUri: ..", f"CodeUri: {ROOT}"),
        ("Page: ../", f"Page: {ROOT}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    broken.write_text(text)
    emulator = Emulator(tmp_path, template=broken)
    try:
        page.goto(emulator.ready["page"])
        page.get_by_text("Something in the server is broken").wait_for()
        assert "Connected" in state(page)
        photograph(page, "market-broken")
    finally:
        emulator.stop()


@pytest.mark.soak
def test_no_tick_is_missed_over_three_rotations_of_the_socket(tmp_path, page):
    emulator = Emulator(tmp_path, "--limit", "life=20s", "--parameter", "ConnectionMaxAgeMs=15000")
    sockets = []
    ticks = []

    def note(payload):
        message = json.loads(payload) if str(payload).startswith("{") else {}
        if message.get("type") == "market_batch":
            ticks.append(message["seq"])

    def follow(socket):
        sockets.append(socket)
        socket.on("framereceived", note)

    page.on("websocket", follow)
    try:
        opened(page, emulator)
        for _ in range(75):
            if len(sockets) >= 4:
                break
            page.wait_for_timeout(1_000)
        page.wait_for_timeout(6_000)
        assert len(sockets) >= 4
        seen = sorted(set(ticks))
        assert seen == list(range(seen[0], seen[-1] + 1))
    finally:
        emulator.stop()
