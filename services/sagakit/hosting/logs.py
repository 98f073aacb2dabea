"""How a process logs: one line of JSON per event for machines, or a readable line for whoever sits at a terminal.

Every library's lines go through the same formatter. A line has the ids of its saga, the step or the place in the log
that it is about, and never a payload or a secret.
"""

import logging
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, TextIO

import msgspec
from typing_extensions import override

from sagakit.runtime.plain import plain
from sagakit.runtime.settings import read, variable
from sagakit.runtime.telling import Ids, current, whose

FIELDS = ("saga_id", "correlation_id", "trace_id", "span_id")
"""What a line may say with `extra`, where no saga is being handled."""
QUIET: Mapping[str, int] = {
    "uvicorn": logging.ERROR,
    "httpx": logging.ERROR,
    "httpcore": logging.ERROR,
    "alembic": logging.ERROR,
    "asyncio": logging.WARNING,
    "kopf": logging.INFO,
    "aiokafka": logging.CRITICAL,
}
"""Of others we log what is wrong; what goes wrong in aiokafka, our own log says in a sentence."""
WORD = re.compile(r"\S+")
USER = re.compile(r"://[^:/?#@]*:")
"""Where an address goes on with a password; that may hold anything but a space, and ends at the last @ of its word."""
MESSAGE_CHARACTERS_MAX = 8192
TRACEBACK_CHARACTERS_MAX = 32_768


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a process logs. Without a format it is text on a terminal, and JSON elsewhere."""

    log_format: Annotated[Literal["", "json", "text"], variable("SAGAPLANE_LOG_FORMAT")] = ""
    log_level: Annotated[Literal["", "debug", "info", "warning", "error"], variable("SAGAPLANE_LOG_LEVEL")] = ""


class Line(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"traceback": "error.traceback", "error": "error.type"}
):
    """One line, as JSON has it."""

    time: str
    level: str
    logger: str
    message: str
    service: str
    instance: str
    trace_id: str = ""
    span_id: str = ""
    correlation_id: str = ""
    saga_id: str = ""
    step: str = ""
    attempt: int | None = None
    topic: str = ""
    partition: int | None = None
    offset: int | None = None
    error: str = ""
    traceback: str = ""


def configure(
    service: str,
    instance: str,
    environment: Mapping[str, str],
    *,
    stream: TextIO | None = None,
    level: int = logging.INFO,
) -> None:
    """Send the lines of every logger through one handler; `level` holds where the environment names none.

    Raises:
        SettingsError: when the environment asks for what there is not.
    """
    settings = read(LogSettings, environment)
    to = stream or sys.stderr
    readable = settings.log_format == "text" or (not settings.log_format and to.isatty())
    handler = logging.StreamHandler(to)
    handler.setFormatter(TextLines() if readable else JsonLines(service, instance))
    wanted = logging.getLevelNamesMapping()[settings.log_level.upper()] if settings.log_level else level
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(wanted)
    for name in [*logging.root.manager.loggerDict]:
        _take_over(logging.getLogger(name))
    for name, least in QUIET.items():
        logging.getLogger(name).setLevel(max(least, wanted))


class JsonLines(logging.Formatter):
    """Formats each event as one line of JSON."""

    def __init__(self, service: str, instance: str) -> None:
        """Say in each line who speaks."""
        super().__init__()
        self._service = service
        self._instance = instance
        self._encode = msgspec.json.Encoder().encode

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line; whatever the record holds, there is one."""
        ids = _ids(record)
        line = Line(
            time=_moment(record.created).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            level=record.levelname.lower(),
            logger=record.name,
            message=_message(record),
            service=self._service,
            instance=self._instance,
            trace_id=ids.trace_id,
            span_id=ids.span_id,
            correlation_id=ids.correlation_id,
            saga_id=ids.saga_id,
            step=_text(record, "step"),
            attempt=_number(record, "attempt"),
            topic=_text(record, "topic"),
            partition=_number(record, "partition"),
            offset=_number(record, "offset"),
            error=_error(record),
            traceback=_traceback(record),
        )
        return self._encode(line).decode()


class TextLines(logging.Formatter):
    """Formats each event for a reader: the time, who speaks, what happened, and of whom."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a traceback below it where there is one."""
        ids = _ids(record)
        of = f"  [{ids.correlation_id or ids.saga_id}]" if ids.saga_id or ids.correlation_id else ""
        moment = datetime.fromtimestamp(record.created).astimezone()
        shown = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = plain(f"{moment:%H:%M:%S} {record.name.rpartition('.')[2]}: {shown}{_message(record)}{of}", kept="")
        trace = plain(_traceback(record))
        return f"{line}\n{trace}" if trace else line


def _take_over(logger: logging.Logger) -> None:
    """Let the lines of a library's logger come to the one handler."""
    for old in logger.handlers[:]:
        if not isinstance(old, logging.NullHandler):
            logger.removeHandler(old)
            logger.propagate = True


def _ids(record: logging.LogRecord) -> Ids:
    told = {name: value for name in FIELDS if (value := _text(record, name))}
    error = record.exc_info[1] if record.exc_info else None
    handled = current() or (whose(error) if error is not None else None)
    if handled is None:
        return Ids(told.get("saga_id", ""), told.get("correlation_id", ""), *(told.get(n, "") for n in FIELDS[2:]))
    return handled._replace(**told)


def _text(record: logging.LogRecord, name: str) -> str:
    """Return what the line says of that name with `extra`."""
    value = getattr(record, name, None)
    return without_secrets(str(value)) if value else ""


def _number(record: logging.LogRecord, name: str) -> int | None:
    """Return the same of a number; what else a library may mean by that name is none."""
    value = getattr(record, name, None)
    return value if isinstance(value, int) else None


def _message(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - a line that cannot be made must not end what it tells of
        text = f"{record.msg} (its arguments do not fit)"
    return without_secrets(text)[:MESSAGE_CHARACTERS_MAX]


def _error(record: logging.LogRecord) -> str:
    return record.exc_info[0].__qualname__ if record.exc_info and record.exc_info[0] is not None else ""


def _traceback(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    text = "".join(traceback.format_exception(record.exc_info[1])).rstrip()
    return without_secrets(text)[-TRACEBACK_CHARACTERS_MAX:]


def without_secrets(text: str) -> str:
    """Return the text with no password in the addresses that it names, and nothing in it that cannot be encoded."""
    shown = WORD.sub(_without_password, text) if "://" in text else text
    return shown.encode(errors="backslashreplace").decode()


def _without_password(match: re.Match[str]) -> str:
    word = match[0]
    end = word.rfind("@")
    user = USER.search(word, 0, end) if end > 0 else None
    return word if user is None else f"{word[: user.end()]}***{word[end:]}"


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
