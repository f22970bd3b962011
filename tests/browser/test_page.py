"""The dashboard as a person sees it."""

from urllib.parse import urlsplit


def price(page, symbol="BTC"):
    return page.locator("tr", has_text=symbol).first.inner_text()


def test_prices_change_without_a_reload(emulator, page):
    page.goto(emulator.ready["page"])
    page.get_by_text("Bitcoin").first.wait_for()
    before = price(page)
    page.wait_for_function(
        "before => [...document.querySelectorAll('tr')].find(row => row.innerText.includes('BTC')).innerText != before",
        arg=before,
    )


def test_simulated_prices_say_so(emulator, page):
    page.goto(emulator.ready["page"])
    page.get_by_text("Simulated data").wait_for()


def test_the_page_asks_no_other_host(emulator, page):
    asked = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.goto(emulator.ready["page"])
    page.get_by_text("Bitcoin").first.wait_for()
    assert asked == {urlsplit(emulator.ready["page"]).netloc}


def test_the_analysis_view_opens_by_its_address(emulator, page):
    page.goto(emulator.ready["page"] + "analysis")
    page.get_by_role("link", name="Market").wait_for()
    assert page.get_by_role("link", name="Analysis").get_attribute("aria-current") == "page"
