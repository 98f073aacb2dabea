"""Where partitions begin and end, and dropping what is old."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import errors
from aiokafka.protocol.admin import DeleteRecordsRequest
from aiokafka.protocol.offset import OffsetRequest

from sagakit.adapters.kafka.brokers import Brokers, Place, patiently
from sagakit.adapters.kafka.connection import REQUEST_SECONDS
from sagakit.ports import LogUnavailableError

FIRST = -2
END = -1
NOBODY = -1
UNCOMMITTED = 0
COMPACTED = errors.PolicyViolationError.errno


async def offsets_at(brokers: Brokers, places: Iterable[Place], moment: int) -> dict[Place, int]:
    """Return the offset of the first record of a moment (in milliseconds) or later, -1 where there is none.

    `FIRST` and `END` are moments too.
    """
    places = [*places]
    return await patiently(lambda: _offsets_at(brokers, places, moment), brokers)


async def _offsets_at(brokers: Brokers, places: Sequence[Place], moment: int) -> dict[Place, int]:
    async def ask(node: int, asked: list[Place]) -> Any:  # noqa: ANN401
        request = OffsetRequest(NOBODY, UNCOMMITTED, _by_topic(brokers, ((place, moment) for place in asked)))
        return await brokers.send(node, request)

    by_leader = await brokers.by_leader(places)
    found: dict[Place, int] = {}
    for answer in await asyncio.gather(*(ask(node, asked) for node, asked in by_leader.items())):
        for topic, partitions in answer.topics:
            for number, error, _, offset in partitions:
                place = (brokers.name(topic), number)
                _check(brokers, place, error)
                found[place] = offset
    return found


async def prune(brokers: Brokers, places: Iterable[Place], before: int) -> int:
    """Drop the records older than a moment (in milliseconds), and return how many offsets that was.

    The ends are asked first: where no record is young enough, everything up to there is old, and what comes later not.
    """
    places = [*places]
    firsts, ends = await offsets_at(brokers, places, FIRST), await offsets_at(brokers, places, END)
    young = await offsets_at(brokers, places, before)
    wanted = {place: ends[place] if offset < 0 else offset for place, offset in young.items()}
    dropped = {place: offset for place, offset in wanted.items() if offset > firsts[place]}
    await patiently(lambda: _delete(brokers, dropped), brokers)
    return sum(offset - firsts[place] for place, offset in dropped.items())


async def _delete(brokers: Brokers, before: Mapping[Place, int]) -> None:
    by_leader = await brokers.by_leader(before)
    for node, places in by_leader.items():
        topics = _by_topic(brokers, ((place, before[place]) for place in places))
        answer = await brokers.send(node, DeleteRecordsRequest(topics, round(REQUEST_SECONDS * 1000)))
        for topic in answer.topics:
            name = brokers.name(topic[0])
            for number, _, error, *_ in topic[1]:
                if error == COMPACTED:
                    raise LogUnavailableError(f"{name}: a compacted topic keeps the newest record of each key")
                _check(brokers, (name, number), error)


def _by_topic(brokers: Brokers, numbers: Iterable[tuple[Place, int]]) -> list[tuple[str, list[tuple[int, int]]]]:
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for (topic, partition), number in numbers:
        found[brokers.wire(topic)].append((partition, number))
    return [*found.items()]


def _check(brokers: Brokers, place: Place, error: int) -> None:
    if error:
        raise brokers.trouble(place, error)
