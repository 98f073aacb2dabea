"""Whose saga is being handled: what every log line says of it, without being told each time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from sagakit.core.messages import is_traceparent
from sagakit.core.traces import sampled, trace_of


class Ids(NamedTuple):
    """The names of one saga: its id, the id its caller knows it by, and where it is in the traces, if it is traced."""

    saga_id: str
    correlation_id: str
    trace_id: str = ""
    span_id: str = ""


_WHOSE = "saga_ids"
_SAGA: ContextVar[Ids | None] = ContextVar("saga", default=None)


def ids_of(saga_id: str, correlation_id: str, traceparent: str | None = None) -> Ids:
    """Return the names of a saga, with its trace where there is one."""
    traced = is_traceparent(traceparent) and sampled(traceparent)
    return Ids(saga_id, correlation_id, trace_of(saga_id, traceparent) if traced else "")


def ids_in(headers: Mapping[str, str], key: str | None) -> Ids:
    """Return the names of the saga that a record is about, as far as its headers can be read."""
    saga_id = headers.get("ce_sagaid") or key or ""
    return ids_of(saga_id, headers.get("ce_correlationid") or saga_id, headers.get("traceparent"))


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
