"""Topics as they ought to be: made when missing, their settings corrected, never deleted, shrunk or grown.

The number of partitions is fixed when a topic is made: the key of a saga decides its partition, and with another number
it would be another one, in the middle of the saga. So a differing number is told, and left to a human.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO

from aiokafka import errors
from aiokafka.protocol.admin import CreateTopicsRequest, DescribeConfigsRequest
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

from sagakit.adapters.kafka.brokers import FORBIDDEN, MISSING, Brokers, PassingError, patiently
from sagakit.adapters.kafka.connection import REQUEST_SECONDS, Explanation, new_client, probe, start, stop
from sagakit.adapters.kafka.offsets import END, offsets_at
from sagakit.adapters.kafka.protocol import Answer, Request
from sagakit.adapters.kafka.settings import KafkaSettings
from sagakit.adapters.kafka.specs import MANAGED, Difference, TopicSpec, WrongTopicsError
from sagakit.ports import LogUnavailableError

TOPIC = 2
SET = 0
NO_PLAN: tuple[int, ...] = ()
"""Which broker has which copy is left to the brokers."""
EXISTS = errors.TopicAlreadyExistsError.errno
FENCED = "currently fenced"
"""What the controller says of brokers that came up and are not trusted with copies yet, under a code for too many."""

_TEXT = String("utf-8")
_ALTER = Schema(
    (
        "resources",
        Array(
            ("type", Int8),
            ("name", _TEXT),
            ("configs", Array(("name", _TEXT), ("operation", Int8), ("value", _TEXT))),
        ),
    ),
    ("validate_only", Boolean),
)
_ALTERED = Schema(
    ("throttled", Int32),
    ("responses", Array(("error", Int16), ("message", _TEXT), ("type", Int8), ("name", _TEXT))),
)


async def check(settings: KafkaSettings, specs: Iterable[TopicSpec]) -> list[str]:
    """Return how the topics differ from these, one sentence each.

    Raises:
        WrongSettingsError, LogUnavailableError: when the brokers cannot be asked.
    """
    async with _brokers(settings) as brokers:
        return [difference.sentence for difference in await _differences(brokers, [*specs])]


async def apply(settings: KafkaSettings, specs: Iterable[TopicSpec]) -> list[str]:
    """Make what is missing and correct what differs; return what was done, one sentence each.

    Raises:
        WrongSettingsError: when the settings cannot be right.
        WrongTopicsError: when a topic has another number of partitions, or the brokers will never make one so; then
            nothing was changed.
        LogUnavailableError: when the brokers do not do it now.
    """
    async with _brokers(settings) as brokers:
        differences = await _differences(brokers, [*specs])
        hopeless = [difference.sentence for difference in differences if difference.partitions is not None]
        if hopeless:
            raise WrongTopicsError("; ".join(hopeless))
        await _create(brokers, [difference.spec for difference in differences if difference.missing])
        await _correct(brokers, [difference for difference in differences if not difference.missing])
        return [_done(difference) for difference in differences]


def _done(difference: Difference) -> str:
    spec = difference.spec
    if difference.missing:
        copies = "1 copy" if spec.replication == 1 else f"{spec.replication} copies"
        return f"{spec.name}: made, with {spec.partitions} partitions and {copies}"
    return f"{spec.name}: set {', '.join(f'{name}={spec.configs[name]}' for name in difference.configs)}"


@asynccontextmanager
async def _brokers(settings: KafkaSettings) -> AsyncIterator[Brokers]:
    await probe(settings)
    client, explanation = new_client(settings, "topics"), Explanation(settings)
    try:
        await start(client, settings)
        yield Brokers(client, explanation, settings)
    finally:
        await explanation.close()
        await stop(client)


async def _differences(brokers: Brokers, specs: Sequence[TopicSpec]) -> list[Difference]:
    return await patiently(lambda: _differences_now(brokers, specs), brokers, REQUEST_SECONDS)


async def _differences_now(brokers: Brokers, specs: Sequence[TopicSpec]) -> list[Difference]:
    seen = await brokers.topics([spec.name for spec in specs])
    configs = await _configs(brokers, [name for name, topic in seen.items() if not topic.error])
    found: list[Difference] = []
    for spec in specs:
        topic = seen[spec.name]
        if topic.error not in (0, MISSING, FORBIDDEN):
            raise brokers.trouble((spec.name, 0), topic.error)
        if topic.error == FORBIDDEN:
            raise WrongTopicsError(f"{spec.name}: we may not see it; give our user Describe on it")
        if topic.error:
            found.append(Difference(spec, missing=True))
            continue
        if topic.partitions != spec.partitions:
            found.append(Difference(spec, partitions=topic.partitions))
        differing = {
            name: configs[spec.name].get(name, "")
            for name, value in spec.configs.items()
            if configs[spec.name].get(name) != value
        }
        if differing:
            found.append(Difference(spec, configs=differing))
    return found


async def _configs(brokers: Brokers, names: Sequence[str]) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    asked = [(TOPIC, brokers.wire(name), [*MANAGED]) for name in names]
    answer = await brokers.send(None, DescribeConfigsRequest(asked, include_synonyms=False))
    found: dict[str, dict[str, str]] = {}
    for error, message, _, wire, entries in answer.resources:
        _check(brokers.name(wire), error, message)
        found[brokers.name(wire)] = {entry[0]: entry[1] for entry in entries}
    return found


async def _create(brokers: Brokers, specs: Sequence[TopicSpec]) -> None:
    if not specs:
        return
    asked = [(brokers.wire(s.name), s.partitions, s.replication, [*NO_PLAN], [*s.configs.items()]) for s in specs]
    # First as a question about all of them, so that a topic that cannot be made leaves the others unmade.
    for only_asked in (True, False):
        request = CreateTopicsRequest(asked, round(REQUEST_SECONDS * 1000), validate_only=only_asked)
        await patiently(partial(_create_now, brokers, request), brokers, REQUEST_SECONDS)
    await _until_led(brokers, specs)


async def _create_now(brokers: Brokers, request: CreateTopicsRequest) -> None:
    for wire, error, message in (await brokers.send(None, request)).topic_errors:
        if error != EXISTS:
            _check(brokers.name(wire), error, message)


async def _until_led(brokers: Brokers, specs: Sequence[TopicSpec]) -> None:
    """Wait until every partition has a leader that serves it.

    Raises:
        LogUnavailableError: when one has none for too long.
    """
    places = [(spec.name, number) for spec in specs for number in range(spec.partitions)]
    last = "no answer"
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            while True:
                try:
                    await offsets_at(brokers, places, END)
                except PassingError as error:
                    last = str(error)
                    continue
                return
    except TimeoutError:
        said = f"the topics are made, but not every partition serves within {REQUEST_SECONDS:g} s: {last}"
        raise LogUnavailableError(said) from None


async def _correct(brokers: Brokers, differences: Sequence[Difference]) -> None:
    """Set what differs, and only that: the older request would take every other setting of the topic back."""
    if not differences:
        return
    asked = [
        (TOPIC, brokers.wire(each.spec.name), [(name, SET, each.spec.configs[name]) for name in each.configs])
        for each in differences
    ]
    request = Request(44, 0, _ALTER.encode((asked, False)), Answer(_altered))
    await patiently(lambda: _correct_now(brokers, request), brokers, REQUEST_SECONDS)


async def _correct_now(brokers: Brokers, request: Request[list[tuple[int, str | None, int, str]]]) -> None:
    for error, message, _, wire in await brokers.send(None, request):
        _check(brokers.name(wire), error, message)


def _altered(buffer: BytesIO) -> list[tuple[int, str | None, int, str]]:
    return [*_ALTERED.decode(buffer)[1]]


def _check(name: str, error: int, message: str | None) -> None:
    """Raise what a broker answered: what may pass, what is unknown, or else what a person has to correct."""
    if error:
        known = errors.for_code(error)
        kind: type[LogUnavailableError] = WrongTopicsError
        if known.retriable or (known is errors.InvalidReplicationFactorError and FENCED in (message or "")):
            kind = PassingError
        elif known is errors.UnknownError:
            kind = LogUnavailableError
        raise kind(f"{name}: {message or known.description}")


__all__ = ["TopicSpec", "apply", "check"]
