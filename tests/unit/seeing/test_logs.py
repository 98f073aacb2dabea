"""One line of JSON per event, whoever says it: with the ids of its saga, and with no secret."""

import io
import json
import logging
import logging.config
import re
import warnings
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import text
from typing_extensions import override

from sagakit.hosting.logs import LogSettings, configure, without_secrets
from sagakit.hosting.settings import refuse_unknown
from sagakit.runtime.settings import SettingsError, read
from sagakit.runtime.telling import Ids, about, fields

OURS = logging.getLogger("sagakit.runtime.consumer")


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave the loggers of this process as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in [*logging.root.manager.loggerDict]}
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, its in levels.items():
        logging.getLogger(name).setLevel(its)


def fail(error: Exception) -> None:
    try:
        raise error
    except type(error):
        OURS.exception("it failed")


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_who_and_what() -> None:
    stream = io.StringIO()
    configure("payment", "payment-0", {}, stream=stream)
    OURS.info("%s was %s", "order-7", "paid")
    [line] = lines_of(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "sagakit.runtime.consumer",
        "message": "order-7 was paid",
        "service": "payment",
        "instance": "payment-0",
    }


@pytest.mark.parametrize(
    "name", ["kopf.objects", "aiokafka.conn", "uvicorn.error", "asyncio", "alembic.runtime", "x.y"]
)
def test_the_lines_of_every_library_go_through_the_same_formatter(name: str) -> None:
    stream, own = io.StringIO(), io.StringIO()
    logger = logging.getLogger(name)
    logger.addHandler(logging.StreamHandler(own))
    logger.propagate = False
    configure("payment", "0", {}, stream=stream)
    logger.critical("it broke")
    [line] = lines_of(stream)
    assert (line["logger"], line["level"], line["message"]) == (name, "critical", "it broke")
    assert not own.getvalue(), "and nowhere else"


def test_a_line_about_a_saga_has_its_ids() -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    with about(Ids("order-7", "customers-7", "af" * 16, "b7" * 8)):
        OURS.info("inside")
        logging.getLogger("httpx").error("a library inside")
    OURS.info("outside")
    OURS.info("told with the line", extra={"saga_id": "order-8", "correlation_id": "c-8"})
    inside, library, outside, told = lines_of(stream)
    ids = {"saga_id": "order-7", "correlation_id": "customers-7", "trace_id": "af" * 16, "span_id": "b7" * 8}
    assert ids.items() <= inside.items()
    assert ids.items() <= library.items()
    assert not ids.keys() & outside.keys()
    assert (told["saga_id"], told["correlation_id"]) == ("order-8", "c-8")


def test_a_step_an_attempt_and_a_place_in_the_log_are_fields_of_a_line() -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    OURS.info("tried", extra=fields(Ids("order-7", "customers-7"), step="payment", attempt=2))
    OURS.info("read", extra=fields(topic="orders.events", partition=0, offset=0))
    tried, read = lines_of(stream)
    ids = {"saga_id": "order-7", "correlation_id": "customers-7"}
    assert tried.items() >= {**ids, "step": "payment", "attempt": 2}.items()
    assert read.items() >= {"topic": "orders.events", "partition": 0, "offset": 0}.items()
    assert not read.keys() & {"saga_id", "correlation_id", "step", "attempt"}


def test_what_a_library_means_by_such_a_name_loses_no_line_and_no_secret() -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    theirs = {"step": ["one", "two"], "topic": "amqp://ann:hush@db", "offset": object(), "attempt": "many"}
    logging.getLogger("x.y").error("said", extra=theirs)
    [line] = lines_of(stream)
    assert (line["step"], line["topic"]) == ("['one', 'two']", "amqp://ann:***@db")
    assert not line.keys() & {"offset", "attempt"}, "these are numbers"


def test_a_traceback_is_one_field_of_one_line() -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    fail(ValueError("two\nlines"))
    [line] = lines_of(stream)
    assert line["error.type"] == "ValueError"
    assert line["error.traceback"].startswith("Traceback (most recent call last):\n")
    assert line["error.traceback"].endswith("ValueError: two\nlines")


@pytest.mark.parametrize(
    "address", ["postgresql://ann:hush@db:5432/order", "amqp://:hush@db", "postgresql://ann:a@b/hush@db/order"]
)
def test_a_password_in_an_address_is_not_shown(address: str) -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    OURS.warning("%s cannot be reached", address)
    fail(OSError(f"no route to {address}"))
    assert "hush" not in stream.getvalue()
    assert "db" in stream.getvalue()


def test_a_password_is_found_in_a_time_that_grows_with_the_text() -> None:
    long, began = "://a:" * 50_000, process_time()
    assert without_secrets(long) == long
    assert without_secrets(f"{long}hush@db") == "://a:***@db"
    assert process_time() - began < 5, "a search from each colon to the end of the text takes 15 seconds"


@given(text(alphabet=":/@?#a \n\u00a0", max_size=40))
def test_a_password_is_what_stands_between_the_first_user_and_the_last_host_of_a_word(words: str) -> None:
    assert without_secrets(words) == re.sub(r"(://[^:/?#@\s]*):\S*@", r"\1:***@", words)


def test_an_address_without_a_password_stays_as_it_is() -> None:
    assert without_secrets("see https://example.org/a:b and c@d") == "see https://example.org/a:b and c@d"


def test_arguments_that_do_not_fit_lose_no_line() -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    OURS.info("%d orders", "many")
    [line] = lines_of(stream)
    assert line["message"] == "%d orders (its arguments do not fit)"


def test_what_cannot_be_encoded_loses_no_line() -> None:
    """Once half a pair of UTF-16, such as a name of a file that is not UTF-8 has, lost the line and its traceback."""
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    OURS.info("of %s", "\udcff", extra={"saga_id": "order-\ud800"})
    fail(ValueError("\udcff"))
    said, failed = lines_of(stream)
    assert (said["message"], said["saga_id"]) == (r"of \udcff", r"order-\ud800")
    assert failed["error.traceback"].endswith(r"ValueError: \udcff")


def test_on_a_terminal_a_line_is_for_reading() -> None:
    stream = Terminal()
    configure("payment", "0", {}, stream=stream)
    OURS.warning("slow", extra={"correlation_id": "c-8", "step": "payment", "offset": 7})
    assert stream.getvalue().endswith(" consumer: warning: slow  [c-8]\n")


def test_a_terminal_obeys_no_line_and_no_line_is_forged() -> None:
    stream = Terminal()
    configure("payment", "0", {}, stream=stream)
    OURS.warning("refused: %s", "evil\x1b]0;title\x07\n12:00:00 order: forged\r")
    [line] = stream.getvalue().splitlines()
    assert line.endswith(r"refused: evil\x1b]0;title\x07\n12:00:00 order: forged\r")
    fail(ValueError("evil\x1b[2J"))
    assert "\n    raise error\n" in stream.getvalue(), "a traceback has its lines"
    assert stream.getvalue().endswith("ValueError: evil\\x1b[2J\n")


@pytest.mark.parametrize(("asked", "stream"), [("json", Terminal()), ("text", io.StringIO())])
def test_the_form_can_be_chosen(asked: str, stream: io.StringIO) -> None:
    configure("payment", "0", {"SAGAPLANE_LOG_FORMAT": asked}, stream=stream)
    OURS.info("said")
    assert stream.getvalue().startswith("{") == (asked == "json")


def test_the_level_can_be_chosen() -> None:
    stream = io.StringIO()
    configure("payment", "0", {"SAGAPLANE_LOG_LEVEL": "error"}, stream=stream)
    OURS.warning("not this")
    logging.getLogger("kopf").warning("nor this")
    OURS.error("but this")
    assert [line["message"] for line in lines_of(stream)] == ["but this"]


def test_a_warning_of_python_is_a_line_too() -> None:
    stream = io.StringIO()
    configure("payment", "0", {}, stream=stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert [line["logger"] for line in lines_of(stream)] == ["py.warnings"]


def test_a_form_that_does_not_exist_is_told() -> None:
    with pytest.raises(SettingsError, match=r"^SAGAPLANE_LOG_FORMAT=xml: "):
        configure("payment", "0", {"SAGAPLANE_LOG_FORMAT": "xml"}, stream=io.StringIO())


def test_the_settings_of_logs_are_known_settings() -> None:
    given = {"SAGAPLANE_LOG_FORMAT": "json", "SAGAPLANE_LOG_LEVEL": "debug"}
    refuse_unknown(given)
    assert read(LogSettings, given) == LogSettings(log_format="json", log_level="debug")
