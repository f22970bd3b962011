"""What may happen to the dashboard while people watch."""

import json
import os
import signal

import pytest

from tests.browser.reading import last, opened, photograph, state, wait_for_change, wait_for_state
from tests.end_to_end.running import ROOT, TEMPLATE, Emulator


def kill(emulator):
    """End an emulator and its functions at once, as a crash of the machine would."""
    functions = emulator.processes()
    emulator.stop(signal.SIGKILL)
    for pid in functions:
        os.kill(pid, signal.SIGKILL)


def break_function(folder):
    """Write our template with a message function that raises, and return its path."""
    (folder / "broken.py").write_text("def handler(event, context):\n    raise RuntimeError('broken on purpose')\n")
    text = TEMPLATE.read_text()
    for old, new in (
        ("Handler: handlers.message.handler", f"Handler: broken.handler\n      CodeUri: {folder}"),
        ("CodeUri: ..", f"CodeUri: {ROOT}"),
        ("Page: ../", f"Page: {ROOT}/"),
    ):
        assert old in text
        text = text.replace(old, new)
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_a_broken_function_and_a_dead_server_are_said_and_the_page_recovers_by_itself(tmp_path, page):
    broken = Emulator(tmp_path, template=break_function(tmp_path))
    try:
        page.goto(broken.ready["page"])
        page.get_by_text("Something in the server is broken").wait_for()
        assert "Connected" in state(page)
        photograph(page, "market-broken")
    finally:
        kill(broken)
    wait_for_state(page, "Reconnecting")
    mended = Emulator(tmp_path, "--port", broken.ready["page"].rsplit(":", 1)[1].strip("/"))
    try:
        page.locator("[data-symbol=BTC]").wait_for(timeout=40_000)
        wait_for_state(page, "Live")
        page.get_by_text("Something in the server is broken").wait_for(state="detached")
        wait_for_change(page, last(page))
    finally:
        kill(mended)
    wait_for_state(page, "Reconnecting")
    assert "The connection is lost: prices are as they were at" in page.get_by_label("Notices").inner_text()
    photograph(page, "market-reconnecting")


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
