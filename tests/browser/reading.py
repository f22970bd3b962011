"""What a person reads off the dashboard, and the pictures of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.end_to_end.running import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.end_to_end.running import Emulator

SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "client-app" / "node_modules" / "axe-core" / "axe.min.js"
_LAST = "symbol => document.querySelector(`tr:has([data-symbol=${symbol}]) [data-cell=last]`).innerText"
# What is there once a view shows what the server has sent.
_FILLED = {"market": ["[data-symbol=BTC]"], "analysis": ["tr:has-text('Bitcoin') .scale", "section li"]}


def opened(page: Page, emulator: Emulator, view: str = "market", query: str = "") -> Page:
    """Open a view and wait for its data."""
    page.goto(emulator.ready["page"] + view + query)
    for part in _FILLED[view]:
        page.locator(part).first.wait_for(timeout=60_000)
    return page


def last(page: Page, symbol: str = "BTC") -> str:
    """Return the last price of an instrument as it is written in the table."""
    return str(page.evaluate(_LAST, symbol))


def wait_for_change(page: Page, before: str, symbol: str = "BTC") -> None:
    """Wait until the price in the table is another one."""
    page.wait_for_function(f"([symbol, before]) => ({_LAST})(symbol) != before", arg=[symbol, before])


def symbols(page: Page) -> list[str]:
    """Return the instruments of the table, from top to bottom."""
    return list(page.locator("[data-symbol]").evaluate_all("rows => rows.map(row => row.dataset.symbol)"))


def state(page: Page) -> str:
    """Return what the connection's pill says."""
    return page.locator(".pill > button").inner_text()


def wait_for_state(page: Page, word: str) -> None:
    """Wait until the pill says ``word``."""
    page.locator(".pill > button", has_text=word).wait_for(timeout=60_000)


def violations(page: Page) -> list[Any]:
    """Return what axe finds against its rules of accessibility."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(path=str(AXE))
    return list(page.evaluate("() => axe.run().then(({violations}) => violations.map(v => [v.id, v.nodes[0].html]))"))


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than its window."""
    return int(page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def photograph(page: Page, name: str) -> None:
    """Write what the window shows to build/screenshots."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
