"""What a log line says beside its words: whose saga is being handled, and what step or place in the log it is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypedDict

from typing_extensions import Unpack

from sagakit.core.messages import is_traceparent
from sagakit.core.traces import sampled, trace_of
from sagakit.ports import Record
from sagakit.runtime.dead_letters import readable_headers


class Ids(NamedTuple):
    """The names of one saga: its id, the id its caller knows it by, and where it is in the traces, if it is traced."""

    saga_id: str
    correlation_id: str
    trace_id: str = ""
    span_id: str = ""


class Fields(TypedDict, total=False):
    """What else a line is about; an `attempt` is counted from 1, and its participant counts it."""

    step: str
    attempt: int
    topic: str
    partition: int
    offset: int


_WHOSE = "saga_ids"
_SAGA: ContextVar[Ids | None] = ContextVar("saga", default=None)


def ids_of(saga_id: str, correlation_id: str, traceparent: str | None = None) -> Ids:
    """Return the names of a saga, with its trace where there is one."""
    traced = is_traceparent(traceparent) and sampled(traceparent)
    return Ids(saga_id, correlation_id, trace_of(saga_id, traceparent) if traced else "")


def ids_in(record: Record) -> Ids:
    """Return the names of the saga that a record is about, as far as its headers can be read."""
    headers, _ = readable_headers(record)
    saga_id = headers.get("ce_sagaid") or record.key or ""
    return ids_of(saga_id, headers.get("ce_correlationid") or saga_id, headers.get("traceparent"))


def place_of(record: Record) -> Fields:
    """Return where in the log a record is."""
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}


def fields(ids: Ids | None = None, **its: Unpack[Fields]) -> dict[str, object]:
    """Return what a line says beside its words, as `extra` takes it."""
    return {**(ids._asdict() if ids is not None else {}), **its}


def current() -> Ids | None:
    """Return the saga that is being handled, if it is one."""
    return _SAGA.get()


@contextmanager
def about(ids: Ids | None) -> Iterator[None]:
    """Have every log line in here say that it is about this saga, and every error that leaves remember it."""
    before = _SAGA.set(ids)
    try:
        yield
    except Exception as error:
        if ids is not None and whose(error) is None:
            error.__dict__[_WHOSE] = ids
        raise
    finally:
        _SAGA.reset(before)


def whose(error: BaseException) -> Ids | None:
    """Return the saga that an error is about, if it was one that was being handled."""
    found = error.__dict__.get(_WHOSE)
    return found if isinstance(found, Ids) else None
