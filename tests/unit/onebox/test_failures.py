"""However it fails, sagactl says the cause and what to do, ends with its code, and shows no traceback."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from onebox.cli import execute
from onebox.commands import look
from onebox.errors import ExitCode
from onebox.settings import ctl_settings

SAGACTL = (str(Path(sys.executable).parent / "sagactl"),)
EVERY_READER = (
    ("list",),
    ("list", "--orders"),
    ("describe", "order-7"),
    ("timeline", "order-7"),
    ("graph", "order-7"),
    ("events", "order-7"),
    ("replay", "order-7"),
    ("audit",),
    ("cancel", "order-7", "--reason", "r"),
    ("batch", "list"),
    ("submit", "--item", "pen:1:1"),
)


@contextmanager
def stranger(answer: bytes | None) -> Iterator[tuple[str, threading.Event]]:
    """Listen as somebody who is no service of ours: says this to everybody, or nothing at all."""
    asked = threading.Event()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                asked.set()
                if answer is None:
                    ended.wait(30)
                else:
                    connection.sendall(answer)

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", asked
        finally:
            ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def at(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("ORDER", "PAYMENT", "INVENTORY", "SHIPPING"):
        monkeypatch.setenv(f"SAGACTL_{name}_URL", url)


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    cause, remedy = printed.err.splitlines()
    return cause, remedy


@pytest.mark.parametrize("words", EVERY_READER, ids=" ".join)
def test_a_service_that_is_not_there_is_named_with_what_to_do(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    at(monkeypatch, url)
    assert execute(words) == ExitCode.UNREACHABLE
    cause, remedy = said(capsys)
    assert cause.endswith(f"service at {url} refuses connections")
    assert "sagactl dev" in remedy


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\nConnection: close\r\n\r\n<html>Hello</html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n\xff\xfe",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found",
        b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
    ids=["a page", "other JSON", "no text", "a page that is not there", "a login", "no HTTP", "silence"],
)
def test_a_stranger_at_the_address_is_no_service(
    answer: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stranger(answer) as (url, _):
        at(monkeypatch, url)
        assert execute(["list"]) == ExitCode.UNREACHABLE
    cause, remedy = said(capsys)
    assert url in cause
    assert "SAGACTL_ORDER_URL" in remedy


def test_a_problem_of_the_service_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    body = b'{"type":"urn:x","title":"Service unavailable","status":503,"detail":"the disk is full"}'
    answer = b"HTTP/1.1 503 S\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with stranger(answer) as (url, _):
        at(monkeypatch, url)
        assert execute(["list"]) == ExitCode.UNREACHABLE
    assert said(capsys) == (
        "error: the order service cannot serve now: the disk is full",
        "  try again a little later",
    )


def test_a_service_that_does_not_answer_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAGACTL_TIMEOUT_SECONDS", "0.2")
    with stranger(None) as (url, _):
        at(monkeypatch, url)
        assert execute(["list"]) == ExitCode.UNREACHABLE
    assert "did not answer within 0.2 s" in said(capsys)[0]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SAGACTL_ORDER_URL", "localhost:3002"), ("SAGACTL_TIMEOUT_SECONDS", "soon"), ("SAGACTL_TIMEOUT_SECONDS", "0")],
)
def test_a_setting_that_means_nothing_is_named(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert execute(["list"]) == ExitCode.USAGE
    cause, remedy = said(capsys)
    assert cause.startswith(f"error: {variable} is {value!r}")
    assert variable in remedy or "seconds" in remedy


def test_who_asks_is_a_name_that_a_header_can_carry() -> None:
    assert ctl_settings({"SAGACTL_ACTOR": "ada"}).actor == "ada"
    assert ctl_settings({"SAGACTL_ACTOR": " Zoë\r\nX-Evil: 1 "}).actor == "ZoX-Evil: 1"
    assert len(ctl_settings({"SAGACTL_ACTOR": "a" * 500}).actor) == 100
    assert ctl_settings({"SAGACTL_ACTOR": "ж"}).actor == "sagactl"


def test_a_mistake_in_sagactl_is_a_line_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> Callable[..., None]:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(look, "list_sagas", broken)
    assert execute(["list"]) == ExitCode.BUG
    assert "sagactl made a mistake: " in said(capsys)[0]


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    with stranger(None) as (url, asked):
        own = {**os.environ, "SAGACTL_ORDER_URL": url}
        process = subprocess.Popen([*SAGACTL, "list"], env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert asked.wait(20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (ExitCode.INTERRUPTED, b"", b"interrupted")


@pytest.mark.parametrize("words", [("graph",), ("list",)], ids=["text", "a table"])
def test_a_reader_who_went_away_is_no_error(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    body = b'{"sagas":[],"nextCursor":null}'
    answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with stranger(answer) as (url, _):
        own = {**os.environ, "SAGACTL_ORDER_URL": url}
        process = subprocess.run(
            [*SAGACTL, *words], env=own, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=20
        )
    os.close(writing)
    assert (process.returncode, process.stderr) == (ExitCode.PIPE_CLOSED, b"")


def test_a_terminal_that_knows_no_symbols_gets_words() -> None:
    own = {**os.environ, "PYTHONIOENCODING": "ascii", "NO_COLOR": "1"}
    process = subprocess.run([*SAGACTL, "graph"], env=own, capture_output=True, check=True, timeout=20)
    assert b"OrderConfirmed" in process.stdout
    assert process.stderr == b""
