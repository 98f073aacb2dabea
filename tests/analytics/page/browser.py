"""A headless Chromium, driven by its own debugging protocol: what a page shows, asks for, and complains about."""

import json
import re
import shutil
import subprocess
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "The page is looked at in a browser, and there is none here: "
    "install one with `apt-get install -y --no-install-recommends chromium`."
)
# Besides the page, a browser asks its maker for this and that: it cannot find anybody but this machine.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
    "--remote-debugging-port=0",
)
ADDRESS = re.compile(r"DevTools listening on (ws://\S+)")
PATIENCE_SECONDS = 20.0
LOADED = "new Promise((done) => document.readyState === 'complete' ? done() : addEventListener('load', () => done()))"
WAITING = """new Promise((done) => {
  const look = () => { if (%s) { observer.disconnect(); done(true); } };
  const observer = new MutationObserver(look);
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  look();
})"""


class BrowserMissingError(Exception):
    """There is no browser on this machine; the text says how to install one."""


class PageError(Exception):
    """The page did not do what it was told, or never came to what was waited for."""


@dataclass(slots=True)
class Tab:
    """One tab; without a session, the browser as a whole.

    `requests` are the addresses it asked for, `complaints` what went wrong in it.
    """

    connection: ClientConnection
    session: str | None = None
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _calls: int = 0

    def open(self, url: str, *, width: int = 1280, dark: bool = False) -> None:
        """Open an address in a window of this width."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        if reason := self.call("Page.navigate", url=url).get("errorText"):
            raise PageError(f"{url}: {reason}")
        self.ask(LOADED)

    def clock_of(self, zone: str, language: str = "en-US") -> None:
        """Let the browser stand in this time zone and speak this language."""
        self.call("Emulation.setTimezoneOverride", timezoneId=zone)
        self.call("Emulation.setLocaleOverride", locale=language)

    def resize(self, width: int, height: int = 900, scale: float = 1) -> None:
        """Make the window this large."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def ask(self, expression: str) -> Any:  # noqa: ANN401 - whatever the page answers
        """Return the value of a JavaScript expression; that of a promise when it is kept."""
        said = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in said:
            raise PageError(f"{expression}: {said['exceptionDetails']}")
        return said["result"].get("value")

    def until(self, condition: str) -> None:
        """Wait until a JavaScript condition holds; it is looked at whenever the page changes."""
        try:
            self.ask(WAITING % condition)
        except TimeoutError:
            raise PageError(f"never true: {condition}; the page says: {self.text('body')}") from None

    def text(self, selector: str) -> str:
        """Return what an element says, as it is read."""
        return str(self.ask(f"document.querySelector({json.dumps(selector)}).innerText"))

    def shoot(self, path: Path) -> None:
        """Write a picture of the whole page."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        self.resize(int(size["width"]), int(size["height"]))
        shot = self.call("Page.captureScreenshot", format="png")
        path.write_bytes(b64decode(shot["data"]))

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Return what the browser answers to one call; what it says in between is noted."""
        self._calls += 1
        whose = {} if self.session is None else {"sessionId": self.session}
        self.connection.send(json.dumps({"id": self._calls, "method": method, "params": params} | whose))
        while (said := self._next()).get("id") != self._calls:
            pass
        if "error" in said:
            raise PageError(f"{method}: {said['error']['message']}")
        return dict(said["result"])

    def _next(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.connection.recv(timeout=PATIENCE_SECONDS))
        told = said.get("params", {})
        match said.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(told["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if told["type"] in {"error", "assert"}:
                self.complaints.append(str(told["args"]))
            case "Log.entryAdded" if told["entry"]["level"] == "error" and told["entry"]["source"] != "network":
                self.complaints.append(told["entry"]["text"])
            case _:
                pass
        return said


def executable() -> str:
    """Return the browser of this machine.

    Raises:
        BrowserMissingError: when there is none.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise BrowserMissingError(MISSING)


@contextmanager
def browser() -> Iterator[str]:
    """Yield the address of a browser that was started, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        command = [executable(), *OPTIONS, f"--user-data-dir={directory}", "about:blank"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None, "it was opened as a pipe"
            rest = threading.Thread(target=process.stderr.read)  # a browser stops when the pipe is full
            try:
                address = _address(process.stderr)
                rest.start()
                yield address
            finally:
                process.terminate()
                process.wait(PATIENCE_SECONDS)
                if rest.ident is not None:
                    rest.join(PATIENCE_SECONDS)


@contextmanager
def tab(address: str) -> Iterator[Tab]:
    """Yield a new tab that shares nothing with others."""
    with connect(address, max_size=None, compression=None, proxy=None) as connection:
        whole = Tab(connection)
        context = whole.call("Target.createBrowserContext")["browserContextId"]
        target = whole.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        session = whole.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        try:
            yield Tab(connection, session)
        finally:
            whole.call("Target.disposeBrowserContext", browserContextId=context)


def _address(said: IO[str]) -> str:
    """Return where the browser listens, which it says when it is ready."""
    heard = []
    for line in said:
        if found := ADDRESS.search(line):
            return found.group(1)
        heard.append(line)
    raise PageError(f"the browser ended before it listened: {''.join(heard)}")
