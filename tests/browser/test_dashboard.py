"""What people do with the dashboard."""

import gzip
from urllib.parse import urlsplit

from tests.browser.reading import last, opened, photograph, state, symbols, wait_for_change


def test_a_rise_pulses_green_and_a_fall_red_without_a_reload(emulator, page):
    opened(page, emulator)
    shades = {}
    for way, glyph in (("up", "▲"), ("down", "▼")):
        pulse = page.locator(f"[data-cell=price].{way}-a, [data-cell=price].{way}-b").first
        pulse.wait_for()
        assert pulse.inner_text().strip().startswith(glyph), "not by colour alone"
        assert pulse.evaluate("cell => getComputedStyle(cell).animationName").startswith(f"{way}-")
        shades[way] = page.evaluate(
            "way => getComputedStyle(document.documentElement).getPropertyValue(`--${way}-pulse`)", way
        )
    assert len(set(shades.values())) == 2
    photograph(page, "market-pulse")


def test_pause_holds_the_prices_still(emulator, page):
    ticks = []
    page.on("websocket", lambda socket: socket.on("framereceived", lambda text: ticks.append("market_batch" in text)))
    opened(page, emulator)
    page.keyboard.press("p")
    held = last(page)
    before = sum(ticks)
    while sum(ticks) == before:
        page.wait_for_timeout(50)
    page.wait_for_timeout(100)
    assert last(page) == held
    assert "Paused at" in page.get_by_role("complementary", name="Notices").inner_text()
    photograph(page, "market-paused")
    page.get_by_role("button", name="Resume").first.click()
    wait_for_change(page, held)


def test_search_classes_and_favourites_leave_what_was_asked_for(emulator, page):
    opened(page, emulator)
    page.keyboard.press("/")
    page.keyboard.type("bitcoin")
    page.wait_for_function("() => document.querySelectorAll('[data-symbol]').length == 2")
    assert symbols(page) == ["BTC", "BCH"]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Metals").click()
    assert "XAU" in symbols(page)
    assert "BTC" not in symbols(page)
    page.get_by_role("button", name="Keep XAU as a favourite").click()
    page.get_by_role("button", name="Favourites").click()
    assert symbols(page) == ["XAU"]
    opened(page, emulator).get_by_role("button", name="Favourites").click()
    assert symbols(page) == ["XAU"], "kept over a reload"


def test_a_column_sorts_both_ways_and_rows_stand_still_under_the_pointer(emulator, page):
    opened(page, emulator)
    page.mouse.move(0, 0)
    header = page.get_by_role("columnheader", name="Instrument")
    header.get_by_role("button").click()
    first = header.get_attribute("aria-sort"), symbols(page)
    header.get_by_role("button").click()
    second = header.get_attribute("aria-sort"), symbols(page)
    assert [first[0], second[0]] == ["ascending", "descending"]
    assert second[1] == first[1][::-1]


def test_an_instrument_opens_with_candles_that_go_on(emulator, page):
    scripts = []
    page.on("request", lambda request: scripts.append(urlsplit(request.url).path))
    opened(page, emulator)
    assert not any("candlePlot" in path for path in scripts), "loaded on demand"
    page.locator("[data-symbol=BTC]").click()
    page.get_by_role("link", name="TradingView", exact=True).wait_for()
    assert any("candlePlot" in path for path in scripts)
    chart = page.locator(".place")
    page.mouse.move(0, 0)
    before = last(page), chart.screenshot()
    photograph(page, "detail-light-wide")
    wait_for_change(page, before[0])
    assert page.locator(".panel .last").inner_text().split()[0] == last(page)
    # The chart is drawn at the next frame, which a busy machine may take its time for.
    assert any(chart.screenshot() != before[1] for _ in range(20)), "the last candle moves with the price"
    assert page.get_by_role("group", name="Timeframe").inner_text() == "1h", "what the server keeps candles of"


def test_everything_is_reached_by_keyboard_alone(emulator, page):
    opened(page, emulator)
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.innerText") == "To the content"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.dataset.symbol"):
            break
    names = symbols(page)
    focused = "() => document.activeElement.dataset.symbol"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == names[1]
    page.keyboard.press("f")
    page.locator("tr", has_text=names[1]).locator("[aria-pressed=true]").wait_for()
    page.keyboard.press("Enter")
    page.locator(".panel").wait_for()
    page.keyboard.press("Escape")
    page.locator(".panel").wait_for(state="detached")
    page.wait_for_function(f"name => ({focused})() == name", arg=names[1])
    for _ in range(60):
        page.keyboard.press("Shift+Tab")
        if page.evaluate("() => document.activeElement.innerText") == "Analysis":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/analysis")


def test_the_analysis_shows_ratings_votes_and_sentiment(emulator, page):
    opened(page, emulator, "analysis")
    assert page.get_by_role("link", name="Analysis").get_attribute("aria-current") == "page"
    ratings = page.get_by_role("region", name="Technical rating")
    row = ratings.get_by_role("row").filter(has_text="Bitcoin").first
    assert row.locator(".scale").bounding_box()["width"] > 50, "the gauge is seen"
    row.get_by_role("button", name="Votes for BTC").click()
    votes = ratings.get_by_role("list", name="Votes for BTC")
    votes.get_by_role("listitem").first.wait_for()
    assert votes.get_by_role("listitem").count() == 26
    sentiment = page.get_by_role("region", name="Order-flow sentiment")
    assert sentiment.get_by_role("listitem").first.inner_text().startswith("Crypto\nmean of 20")
    assert "not: a forecast" in sentiment.inner_text()
    for row in sentiment.get_by_role("listitem").all()[:5]:
        call, put = (
            int(text.split("\u2009")[0].split()[-1])
            for text in row.locator(".shares").first.inner_text().split("%")[:2]
        )
        assert call + put == 100


def test_the_first_view_says_what_it_shows_and_asks_no_other_host(emulator, page):
    answers = []
    page.on("response", lambda answer: answers.append(answer))  # noqa: PLW0108 # Playwright takes no built-in
    opened(page, emulator)
    page.get_by_text("Simulated data").wait_for()
    assert "not investment advice" in page.locator("footer").inner_text()
    assert "simulated exchange" in page.locator("footer").inner_text()
    assert {urlsplit(answer.url).netloc for answer in answers} == {urlsplit(emulator.ready["page"]).netloc}
    transferred = sum(len(gzip.compress(answer.body())) for answer in answers if answer.status == 200)
    assert transferred <= 120_000
    page.locator(".pill > button").click()
    facts = page.locator(".facts").inner_text()
    for words in ("Last message", "Round trip", "a second", "KB"):
        assert words in facts
    assert "Live" in state(page)
