"""How the views look: on every screen, in every colour scheme, for everybody."""

import pytest

from tests.browser.reading import opened, overflow, photograph, violations

WIDTHS = {360: "narrow", 768: "", 1440: "wide", 2560: ""}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["market", "analysis"])
def test_a_view_fits_every_screen_and_keeps_the_rules_of_accessibility(emulator, open_page, view, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    opened(page, emulator, view)
    for width, name in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        assert overflow(page) <= 0, width
        if name:
            photograph(page, f"{view}-{scheme}-{name}")
            assert violations(page) == [], width
    assert page.evaluate("() => document.getAnimations().length") == 0, "reduced motion"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_details_fit_every_screen_and_keep_the_rules_of_accessibility(emulator, open_page, scheme):
    page = open_page(color_scheme=scheme, reduced_motion="reduce")
    opened(page, emulator, query="?symbol=BTC").get_by_role("link", name="TradingView", exact=True).wait_for()
    for width, name in WIDTHS.items():
        page.set_viewport_size({"width": width, "height": 900})
        assert overflow(page) <= 0, width
        if name:
            photograph(page, f"detail-{scheme}-{name}")
    assert violations(page) == []


@pytest.mark.parametrize("view", ["market", "analysis"])
def test_forced_colours_leave_everything_to_be_seen(emulator, open_page, view):
    page = open_page(forced_colors="active", color_scheme="dark")
    opened(page, emulator, view)
    photograph(page, f"{view}-forced")
    assert violations(page) == []
    for mark in page.locator(".scale b, .call").all()[:10]:
        assert mark.evaluate("mark => getComputedStyle(mark).backgroundColor") == "rgb(255, 255, 255)"
