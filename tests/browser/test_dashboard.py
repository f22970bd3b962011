"""What people do with the dashboard, and what may happen to it while they watch."""

import json
import os
import re
import signal

import pytest

from tests.end_to_end.running import ROOT, Emulator

SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "client-app" / "node_modules" / "axe-core" / "axe.min.js"


def opened(page, emulator, view="market"):
    page.goto(emulator.ready["page"] + view)
    page.locator("[data-symbol=BTC]").first.wait_for()
    return page


def last(page, symbol="BTC"):
    return page.locator(f"tr:has([data-symbol={symbol}]) [data-cell=last]").inner_text()


def wait_for_change(page, before, symbol="BTC"):
    page.wait_for_function(
        "([symbol, before]) => document.querySelector(`tr:has([data-symbol=${symbol}]) [data-cell=last]`).innerText"
        " != before",
        arg=[symbol, before],
    )


def symbols(page):
    return page.locator("[data-symbol]").evaluate_all("rows => rows.map(row => row.dataset.symbol)")


def test_a_rise_pulses_green(emulator, page):
    opened(page, emulator)
    pulse = page.locator("[data-cell=price].up-a, [data-cell=price].up-b").first
    pulse.wait_for()
    shade = pulse.evaluate("cell => getComputedStyle(cell).animationName")
    assert shade != "none"
    assert pulse.inner_text().strip().startswith("▲"), "not by colour alone"


def test_search_leaves_what_was_asked_for(emulator, page):
    opened(page, emulator)
    page.keyboard.press("/")
    page.keyboard.type("bitcoin")
    page.wait_for_function("() => document.querySelectorAll('[data-symbol]').length == 2")
    assert symbols(page) == ["BTC", "BCH"]


def test_a_column_sorts_both_ways(emulator, page):
    opened(page, emulator)
    page.mouse.move(0, 0)
    header = page.get_by_role("columnheader", name="Instrument")
    header.get_by_role("button").click()
    page.mouse.move(0, 0)
    page.wait_for_function("() => document.querySelector('[aria-sort]') != null")
    first = header.get_attribute("aria-sort")
    header.get_by_role("button").click()
    assert {first, header.get_attribute("aria-sort")} == {"ascending", "descending"}


def test_pause_holds_the_prices_still(emulator, page):
    opened(page, emulator)
    wait_for_change(page, last(page))
    page.get_by_role("button", name="Pause").click()
    held = last(page)
    page.wait_for_timeout(6_000)
    assert last(page) == held
    page.get_by_role("button", name=re.compile("Resume|Continue|Play")).click()
    wait_for_change(page, held)


def test_the_views_are_reached_by_keyboard_alone(emulator, page):
    opened(page, emulator)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.innerText") == "Analysis":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/analysis")


@pytest.mark.parametrize("view", ["market", "analysis"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_rules_find_nothing(emulator, browser, view, scheme):
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
    page = context.new_page()
    page.goto(emulator.ready["page"] + view)
    page.wait_for_timeout(1_500)
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run().then(result => result.violations.map(one => [one.id, one.nodes[0].html]))")
    context.close()
    assert found == []


@pytest.mark.parametrize("view", ["market", "analysis"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280, 2560])
def test_every_view_fits_its_screen_and_is_photographed(emulator, browser, view, scheme, width):
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(emulator.ready["page"] + view)
    page.wait_for_timeout(1_500)
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{view}-{scheme}-{width}.png")
    wider = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert wider <= 0


def test_the_server_dies_and_returns_and_the_page_recovers_by_itself(tmp_path, page):
    first = Emulator(tmp_path)
    try:
        opened(page, first)
        before = last(page)
        wait_for_change(page, before)
    finally:
        first.stop(signal.SIGKILL)
        for pid in first.processes():
            os.kill(pid, signal.SIGKILL)
    page.wait_for_function("() => !document.querySelector('.pill > button').innerText.includes('Live')")
    held = last(page)
    port = first.ready["page"].rsplit(":", 1)[1].strip("/")
    second = Emulator(tmp_path, "--port", port)
    try:
        page.wait_for_function(
            "() => document.querySelector('.pill > button').innerText.includes('Live')", timeout=40_000
        )
        wait_for_change(page, held)
    finally:
        second.stop()


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
