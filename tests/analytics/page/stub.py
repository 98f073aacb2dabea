"""An analytics service that makes its answers up.

`python -m tests.analytics.page.stub [full|empty|failing|hostile] [port]` serves one to look at.
"""

import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from tests.analytics.page.answers import MODES, Answers
from typing_extensions import override

import analytics_service
from analytics_service.shapes import Summary
from sagakit.runtime.http.problems import PROBLEM_JSON, Problem
from sagakit.runtime.http.routes import JSON, encode

PAGE = Path(analytics_service.__file__).with_name("page.html")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
SAY_AGAIN_SECONDS = 1.0


class Stub(ThreadingHTTPServer):
    """The page, and answers that can be exchanged while it is looked at. `asked` are the requests, the oldest first."""

    daemon_threads = True

    def __init__(self, answers: Answers, port: int = 0) -> None:
        """Listen on this machine."""
        super().__init__(("127.0.0.1", port), Handler)
        self.answers = answers
        self.asked: list[str] = []
        self._streams: list[queue.Queue[bool]] = []

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_port}/"

    def change(self, answers: Answers) -> None:
        """Answer this from now on, and tell those who listen at once."""
        self.answers = answers
        for stream in self._streams:
            stream.put(True)

    def hang_up(self) -> None:
        """End all streams."""
        for stream in self._streams:
            stream.put(False)

    def summaries(self) -> Iterator[Summary]:
        """Yield what a stream says, until it is hung up or there is only a problem left."""
        changed: queue.Queue[bool] = queue.Queue()
        self._streams.append(changed)
        try:
            while isinstance(said := self.answers.summary, Summary):
                yield said
                try:
                    if not changed.get(timeout=SAY_AGAIN_SECONDS):
                        return
                except queue.Empty:
                    continue
        finally:
            self._streams.remove(changed)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Stub

    def do_GET(self) -> None:
        """Answer by path."""
        self.server.asked.append(self.path)
        answers = self.server.answers
        match urlsplit(self.path).path:
            case "/":
                self._answer(200, "text/html; charset=utf-8", PAGE.read_bytes())
            case "/analytics":
                self._say(answers.summary)
            case "/analytics/stream":
                self._stream(answers.summary)
            case "/analytics/high-value":
                self._say(answers.high_value)
            case "/analytics/products":
                self._say(answers.products)
            case "/analytics/unmatched":
                self._say(answers.unmatched)
            case "/analytics/windows":
                self._say(answers.windows)
            case _:
                self._answer(404, "text/plain", b"nothing is here")

    @override
    def log_message(self, *_: object) -> None:
        """Stay silent: `asked` says what was asked."""

    def _say(self, what: msgspec.Struct) -> None:
        if isinstance(what, Problem):
            self._answer(what.status, PROBLEM_JSON, encode(what))
        else:
            self._answer(200, JSON, encode(what))

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, first: Summary | Problem) -> None:
        if isinstance(first, Problem):
            self._say(first)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        try:
            for said in self.server.summaries():
                self.wfile.write(b": still here\n\nevent: summary\ndata: " + encode(said) + b"\n\n")
        except ConnectionError:
            return  # nobody listens any more


@contextmanager
def serving(answers: Answers, port: int = 0) -> Iterator[Stub]:
    """Yield a stub that is being served."""
    with Stub(answers, port) as stub:
        thread = threading.Thread(target=stub.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield stub
        finally:
            stub.hang_up()
            stub.shutdown()
            thread.join()


def main(mode: str = "full", port: str = "3005") -> None:
    with Stub(MODES[mode](), int(port)) as stub:
        sys.stdout.write(f"{stub.url} shows a shop that is {mode}\n")
        stub.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
