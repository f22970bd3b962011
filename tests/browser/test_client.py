"""The client without the dashboard: the example page, and the package in a plain page of somebody else's."""

import functools
import http.server
import json
import subprocess
import tarfile
import threading

import pytest

from tests.end_to_end.running import ROOT

PLAIN = """<!doctype html><title>plain</title>
<script type="module">
  import { TradingSystemWebSocket } from './package/tradingSystemWebSocket.js'
  const client = new TradingSystemWebSocket({ url: '%s' })
  window.seen = {}
  const keep = ({ type, symbol, data }) => { window.seen[symbol] = [type, data.last, data.source] }
  const stop = client.connectMarket(keep, { symbols: ['btc', 'EURUSD'] })
  window.end = () => { stop(); client.disconnectAll(); return client.status.state }
  window.ask = () => client.request({ action: 'snapshot', stream: 'market' })
</script>
"""


@pytest.fixture
def elsewhere(tmp_path):
    """Serve a folder as another origin than the emulator's."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_example_page_shows_prices_in_ten_lines(emulator, page):
    page.goto(emulator.ready["page"] + "example.html")
    page.wait_for_function("() => document.querySelector('#prices').textContent.includes('\"BTC\": ')")
    assert json.loads(page.locator("#prices").inner_text())["BTC"] > 0
    assert len((ROOT / "client-app" / "public" / "example.html").read_text().splitlines()) <= 10


def test_the_packed_client_works_in_a_plain_page_of_another_origin(emulator, page, elsewhere, tmp_path):
    packed = subprocess.run(
        ["npm", "pack", "--silent", "--offline", "--pack-destination", str(tmp_path)],
        cwd=ROOT / "client-app" / "dist" / "client",
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[-1]
    assert packed.startswith("tickwire-client-")
    with tarfile.open(tmp_path / packed) as archive:
        archive.extractall(tmp_path, filter="data")
    files = {path.relative_to(tmp_path / "package").as_posix() for path in (tmp_path / "package").rglob("*.*")}
    assert {"package.json", "tradingSystemWebSocket.js", "tradingSystemWebSocket.d.ts", "README.md"} <= files
    (tmp_path / "index.html").write_text(PLAIN % emulator.ready["websocket"])
    page.goto(elsewhere)
    page.wait_for_function("() => Object.keys(window.seen ?? {}).length == 2")
    seen = page.evaluate("() => window.seen")
    assert seen["BTC"][0] == "market_update"
    assert seen["BTC"][2] == "simulated"
    assert set(seen) == {"BTC", "EURUSD"}
    assert set(page.evaluate("() => window.ask()")["data"]) == {"BTC", "EURUSD"}
    assert page.evaluate("() => window.end()") == "closed"
