"""
The dashboard under stress in a real Chromium: 200 instruments, ten batches a second, for a minute.

The server here is a small one of its own: it serves the built page and speaks version 1 of the wire as fast as it is
asked to. Measured is what the page's scripts take for one update, from the frame of the socket to the frame of the
screen; whether the table shows the last values after each frame; whether every callback of the client runs (in a second
page with a client alone); and what the heap holds after ten seconds and at the end.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from playwright.sync_api import CDPSession, Page, sync_playwright

DIST = Path(__file__).parent.parent.parent / "client-app" / "dist"
INSTRUMENTS = 200
BATCHES_A_SECOND = 10
SECONDS = 60
SETTLED_AFTER = 10
LOADS = 5

# Runs before the page's own scripts: every frame of the socket and of the screen is timed, and what a frame leaves in
# the table is compared with what has been sent.
_WATCH = """
(() => {
  const watch = (window.watch = { costs: [], wrong: 0, compared: 0, batches: 0 })
  const sent = new Map()
  let cells = null
  let cost = 0
  let isFresh = false
  const { set } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage')
  Object.defineProperty(WebSocket.prototype, 'onmessage', {
    configurable: true,
    set(handler) {
      set.call(this, handler && ((event) => {
        const begun = performance.now()
        handler.call(this, event)
        cost += performance.now() - begun
        const message = JSON.parse(event.data)
        if (message.type !== 'market_batch') return
        watch.batches++
        isFresh = true
        for (const { symbol, data } of message.updates) sent.set(symbol, data.last)
      }))
    },
  })
  const ask = window.requestAnimationFrame
  window.requestAnimationFrame = (draw) => ask.call(window, (at) => {
    const begun = performance.now()
    draw(at)
    // What Vue does for this frame it does in a microtask: the next task comes after it.
    const channel = new MessageChannel()
    channel.port1.onmessage = () => {
      if (!isFresh) return
      isFresh = false
      watch.costs.push(cost)
      cost = 0
    }
    queueMicrotask(() => { cost += performance.now() - begun })
    channel.port2.postMessage(0)
    if (!isFresh) return
    cells ??= new Map([...document.querySelectorAll('tbody tr')].map((row) => [
      row.querySelector('[data-symbol]')?.dataset.symbol, row.querySelector('[data-cell=last]'),
    ]))
    if (cells.size < 2) { cells = null; return }
    for (const [symbol, last] of sent) {
      watch.compared++
      if (Number(cells.get(symbol)?.textContent.replaceAll(',', '')) !== last) watch.wrong++
    }
  })
})()
"""
_COUNTING = """<!doctype html><title>counting</title><script type="module">
import { TradingSystemWebSocket } from './client/tradingSystemWebSocket.js'
window.calls = 0
window.last = {}
new TradingSystemWebSocket().connectMarket(({ symbol, data }) => { window.calls++; window.last[symbol] = data.last })
</script>"""


class Server:
    """The page's server: it batches until told to stop, the same to everybody."""

    def __init__(self) -> None:
        self.seq = 1_000
        self.sent = 0
        self.running = False
        self.prices = {f"S{index:03}": round(random.uniform(1, 900), 2) for index in range(INSTRUMENTS)}
        self._sockets: set[web.WebSocketResponse] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/ws/market/stream", self._serve)
        app.router.add_get("/counting.html", lambda _: _html(_COUNTING))
        app.router.add_get("/market", lambda _: _html((DIST / "index.html").read_text()))
        app.router.add_static("/", DIST)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        self._beating = asyncio.ensure_future(self._beat())
        self._ready.set()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                asked = json.loads(message.data)
                if asked["action"] == "subscribe":
                    await socket.send_str(self._subscribed(asked["id"]))
                    self._sockets.add(socket)
        self._sockets.discard(socket)
        return socket

    def _subscribed(self, request_id: str) -> str:
        now = int(time.time() * 1_000)
        named = [{"symbol": name, "name": f"Nr. {name}", "class": "crypto", "decimals": 2} for name in self.prices]
        data = {name: self._quote(price, now, full=True) for name, price in self.prices.items()}
        snapshot = {"stream": "market", "seq": self.seq, "ts": now, "instruments": named, "data": data}
        streams = {"market": {"seq": self.seq, "period_ms": 100, "snapshot": snapshot}}
        head = {"type": "subscribed", "id": request_id, "v": 1, "server_time": now}
        return json.dumps(head | {"max_age_ms": 6_900_000, "ping_after_ms": 15_000, "streams": streams})

    @staticmethod
    def _quote(price: float, now: int, *, full: bool = False) -> dict[str, Any]:
        more = {"source": "simulated", "stale": False, "market": "open"} if full else {}
        return {"last": price, "bid": price, "ask": round(price + 0.01, 2), "change_pct": 1.0, "ts": now} | more

    async def _beat(self) -> None:
        due = time.monotonic()
        while True:
            due += 1 / BATCHES_A_SECOND
            await asyncio.sleep(max(0, due - time.monotonic()))
            if not self.running:
                continue
            now = int(time.time() * 1_000)
            self.prices = {name: round(price * random.uniform(0.999, 1.001), 2) for name, price in self.prices.items()}
            updates = [{"symbol": name, "data": self._quote(price, now)} for name, price in self.prices.items()]
            head = {"type": "market_batch", "seq": self.seq + 1, "prev": self.seq, "ts": now}
            self.seq += 1
            self.sent += 1
            text = json.dumps(head | {"updates": updates})
            for socket in list(self._sockets):
                await socket.send_str(text)


async def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html")


def _heap(session: CDPSession) -> float:
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def _first_price(page: Page, address: str) -> tuple[float, int]:
    """Return the milliseconds from the beginning of the load to the first price, and the bytes gzipped of the view."""
    bodies: list[int] = []

    def note(response: Any) -> None:
        if response.status == 200:
            bodies.append(len(gzip.compress(response.body())))

    page.on("response", note)
    page.add_init_script(
        "new MutationObserver((_, me) => {"
        " if (!/\\d/.test(document.querySelector('[data-cell=last]')?.textContent ?? '')) return;"
        " window.priced = performance.now(); me.disconnect() })"
        ".observe(document, { childList: true, subtree: true, characterData: true })"
    )
    page.goto(address + "market")
    page.wait_for_function("() => window.priced")
    return float(page.evaluate("() => window.priced")), sum(bodies)


def measure() -> list[dict[str, Any]]:
    """Return what one update costs, whether all of them arrived and are shown, memory, transfer and first price."""
    server = Server()
    chromium = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--disable-background-networking", *(["--no-sandbox"] if os.geteuid() == 0 else [])],
        )
        loads = []
        for _ in range(LOADS):
            context = browser.new_context()
            loads.append(_first_price(context.new_page(), server.address))
            context.close()

        # Pages of two windows: neither is hidden from the other.
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.add_init_script(_WATCH)
        page.goto(server.address + "market")
        page.locator("[data-symbol=S199]").wait_for(state="attached")
        counting = browser.new_context().new_page()
        counting.goto(server.address + "counting.html")
        counting.wait_for_function("() => window.calls == 200")
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")

        server.running = True
        page.wait_for_timeout(SETTLED_AFTER * 1_000)
        early = _heap(session)
        metrics = session.send("Performance.getMetrics")["metrics"]
        script = next(one["value"] for one in metrics if one["name"] == "ScriptDuration")
        at = page.evaluate("() => window.watch.costs.length")
        page.wait_for_timeout((SECONDS - SETTLED_AFTER) * 1_000)
        server.running = False
        page.wait_for_timeout(500)
        late = _heap(session)
        metrics = session.send("Performance.getMetrics")["metrics"]
        script = next(one["value"] for one in metrics if one["name"] == "ScriptDuration") - script
        watch = page.evaluate("() => ({...window.watch, costs: window.watch.costs})")
        calls = counting.evaluate("() => window.calls") - INSTRUMENTS
        is_last = counting.evaluate("() => window.last") == server.prices
        browser.close()

    costs = sorted(watch["costs"][at:])
    frames = len(costs)
    expected = server.sent * INSTRUMENTS
    return [
        _row("page: median scripting of one update", costs[frames // 2], "ms", "limit 4"),
        _row("page: 95th percentile of it", costs[frames * 95 // 100], "ms", f"{frames} frames"),
        _row("page: all scripting by frames, watching included", 1_000 * script / frames, "ms", "by Chromium's count"),
        _row("page: batches that arrived", watch["batches"], "", f"{server.sent} sent"),
        _row("page: wrong values in the table after a frame", watch["wrong"], "", f"{watch['compared']} compared"),
        _row("client: callbacks that ran", calls, "", f"{expected} expected, last values {is_last}"),
        _row("page: heap after ten seconds", early, "MB", "garbage collected"),
        _row("page: heap after a minute", late, "MB", f"{late - early:+.2f} MB"),
        _row("page: transfer of the first view, gzipped", loads[0][1] / 1e3, "KB", "limit 120"),
        _row("page: load to the first price", sorted(took for took, _ in loads)[LOADS // 2], "ms", "limit 1,000"),
    ]


def _row(name: str, value: float, unit: str, against: str) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "against": against, "ratio": None}
