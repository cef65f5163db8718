"""`python -m website.browser`: opens each page of the built site in Chromium, and reports what a reader would notice.

Checked are links, requests to other hosts, errors of the console, whether a page fits a phone, its main heading, texts
for pictures, and the search. Pictures of some pages are kept, to be looked at.
https://chromedevtools.github.io/devtools-protocol/
"""

import asyncio
import base64
import functools
import http.server
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote

import aiohttp

SITE: Final = Path(__file__).parents[1] / "build" / "site"
PICTURES: Final = SITE.with_name("site-pictures")
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
PHONE: Final = {"width": 375, "height": 812, "deviceScaleFactor": 2, "mobile": True}
DESKTOP: Final = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHOTOGRAPHED: Final = ("", "azure/", "comparison/", "concepts/", "guide/", "reference/vaultsecret/")
TIMEOUT: Final = 30

READ: Final = """({
  width: document.documentElement.scrollWidth,
  links: [...document.links].map(link => link.href),
  ids: [...document.querySelectorAll("[id]")].map(element => element.id),
  headings: document.querySelectorAll("article h1").length,
  unexplained: [...document.querySelectorAll("article img")].filter(image => !image.alt).map(image => image.src),
})"""
SETTLED: Final = "new Promise(done => setTimeout(done, 500))"
SEARCH: Final = """
(async () => {
  document.querySelector("#__search").click();
  const field = document.querySelector("input[name=query]");
  field.value = "previousKey"; field.dispatchEvent(new Event("keyup")); field.dispatchEvent(new Event("input"));
  for (let tries = 0; tries < 100; tries++) {
    await new Promise(done => setTimeout(done, 100));
    const found = [...document.querySelectorAll(".md-search-result__link")].map(link => link.href);
    if (found.length) return found.join(" ");
  }
  return "";
})()
"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the site, without a log."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


class Tab:
    """A page of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0
        self.events: list[dict[str, Any]] = []

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call a method of the protocol; events that come before its answer are kept."""
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=TIMEOUT)
            if message.get("id") == self._sent:
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    async def open(self, url: str) -> None:
        """Open a page, and wait until it is loaded."""
        self.events.clear()
        await self.call("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(await self._socket.receive_json(timeout=TIMEOUT))
        await self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def value(self, expression: str) -> Any:  # noqa: ANN401 - any value of JavaScript
        """Evaluate an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return answer["result"].get("value")

    async def picture(self, name: str) -> None:
        """Save a picture of what a reader sees first."""
        await self.value(SETTLED)
        _save(name, (await self.call("Page.captureScreenshot", format="png"))["data"])


def _save(name: str, picture: str) -> None:
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(picture))


def problems(events: list[dict[str, Any]], origin: str) -> list[str]:
    """What a page did that it should not."""
    found = []
    for event in events:
        parameters = event["params"]
        match event["method"]:
            case "Network.requestWillBeSent":
                url = parameters["request"]["url"]
                if not url.startswith((origin, "data:", "blob:")):
                    found.append(f"requests {url}")
            case "Network.responseReceived" if parameters["response"]["status"] >= http.HTTPStatus.BAD_REQUEST:
                found.append(f"{parameters['response']['status']} for {parameters['response']['url']}")
            case "Runtime.exceptionThrown":
                found.append(f"throws {parameters['exceptionDetails']['text']}")
            case "Runtime.consoleAPICalled" if parameters["type"] in {"error", "warning"}:
                found.append(f"logs {parameters['args']}")
            case "Log.entryAdded" if parameters["entry"]["level"] in {"error", "warning"}:
                found.append(f"logs {parameters['entry']['text']}")
    return found


async def check(tab: Tab, origin: str) -> list[str]:
    """Return the problems of all pages."""
    for domain in ("Page", "Network", "Runtime", "Log"):
        await tab.call(f"{domain}.enable")
    found: list[str] = []
    links: dict[str, str] = {}  # from each to a page that has it
    targets: set[str] = set()
    for path in _paths():
        await tab.call("Emulation.setDeviceMetricsOverride", **PHONE)
        await tab.open(origin + path)
        page = await tab.value(READ)
        links |= dict.fromkeys(page["links"], path)
        targets |= {f"{origin}{path}", *(f"{origin}{path}#{quote(name)}" for name in page["ids"])}
        if page["width"] > PHONE["width"]:
            found.append(f"/{path} is {page['width']} pixels wide on a phone of {PHONE['width']}")
        if page["headings"] != 1:
            found.append(f"/{path} has {page['headings']} main headings")
        found += [f"/{path} has no text for {image}" for image in page["unexplained"]]
        if path in PHOTOGRAPHED:
            name = path.strip("/").replace("/", "-") or "start"
            await tab.picture(f"{name}-phone")
            await tab.call("Emulation.setDeviceMetricsOverride", **DESKTOP)
            await tab.picture(name)
        found += [f"/{path} {problem}" for problem in problems(tab.events, origin)]
    found += [
        f"/{path} links to {link}, which is not there"
        for link, path in links.items()
        if link.startswith(origin) and link.rstrip("#") not in targets and not _is_file(link.removeprefix(origin))
    ]
    return found + await check_search(tab, origin)


async def check_search(tab: Tab, origin: str) -> list[str]:
    """Search for a field of a VaultSecret, in dark colours."""
    await tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    await tab.open(origin)
    results = await tab.value(SEARCH)
    await tab.picture("search")
    return (
        [] if "/guide/" in results else [f"the search for previousKey finds {results or 'nothing'}, but not the guide"]
    )


def _paths() -> list[str]:
    pages = sorted(path.parent.relative_to(SITE).as_posix() for path in SITE.rglob("index.html"))
    return ["" if page == "." else f"{page}/" for page in pages]


def _is_file(name: str) -> bool:
    return "#" not in name and (SITE / unquote(name)).is_file()


@asynccontextmanager
async def opened(program: str, folder: Path) -> AsyncIterator[Tab]:
    """Start the browser, without anything that its user has set up."""
    flags = (
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
    )
    process = await asyncio.create_subprocess_exec(
        program, *flags, "about:blank", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        port = ""
        while not port:
            line = (await asyncio.wait_for(process.stderr.readline(), TIMEOUT)).decode()
            port = "".join(re.findall(r"DevTools listening on ws://[^:]+:(\d+)", line))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as listed:
                (address,) = [one["webSocketDebuggerUrl"] for one in await listed.json() if one["type"] == "page"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.terminate()
        await process.wait()


async def main() -> int:
    """Check the site, and print what is wrong with it."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        print(f"no browser: install one of {', '.join(BROWSERS)}, such as Debian's package chromium", file=sys.stderr)
        return 2
    PICTURES.mkdir(exist_ok=True)
    pages = len(_paths())
    handler = functools.partial(Quiet, directory=str(SITE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        async with opened(program, Path(folder)) as tab:
            found = await check(tab, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    print("\n".join(found) or f"{pages} pages have no problem; pictures of some are in {PICTURES}")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
