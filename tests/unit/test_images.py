"""What the images say of their own health, where the engine gives its containers the proxies of this machine."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOBODY = "http://127.0.0.1:9"
CHECK = re.compile(r"^HEALTHCHECK .*\\\n    CMD (\[.+\])$", re.MULTILINE)


class Answering(BaseHTTPRequestHandler):
    """Says of itself what it was told to."""

    status = HTTPStatus.OK

    def do_GET(self) -> None:
        """Answer the probes, and nothing else."""
        known = self.path in ("/readyz", "/healthz")
        self.send_response(self.status if known else HTTPStatus.NOT_FOUND)
        self.end_headers()


class Unready(Answering):
    """Is not ready."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


@pytest.fixture(params=["services", "operator"])
def image(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def command_line(tmp_path: Path) -> Path:
    path = tmp_path / "cmdline"
    path.write_bytes(b"sagactl\0service\0order\0")
    return path


def test_an_image_is_healthy_although_its_engine_names_a_proxy(image: str, command_line: Path) -> None:
    for port in _served(Answering):
        assert _checked(image, command_line, port) == 0


def test_an_image_is_unhealthy_when_what_runs_in_it_is_not_ready(image: str, command_line: Path) -> None:
    for port in _served(Unready):
        assert _checked(image, command_line, port) != 0


def _checked(image: str, command_line: Path, port: int) -> int:
    """Return how the health check of an image ends, which reads its first process's command line from that file."""
    (found,) = CHECK.findall((ROOT / image / "Dockerfile").read_text())
    _, *arguments, program = json.loads(found)
    done = subprocess.run(
        [sys.executable, *arguments, program.replace("/proc/1/cmdline", str(command_line))],
        env={"http_proxy": NOBODY, "ORDER_PORT": str(port), "SAGAPLANE_OPERATOR_PORT": str(port)},
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.returncode


def _served(answering: type[Answering]) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
