"""Whose saga is being handled: what every log line says of it, without being told each time."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Ids(NamedTuple):
    """The names of one saga: its id, the id its caller knows it by, and where it is in the traces, if it is traced."""

    saga_id: str
    correlation_id: str
    trace_id: str = ""
    span_id: str = ""


_SAGA: ContextVar[Ids | None] = ContextVar("saga", default=None)


def current() -> Ids | None:
    """Return the saga that is being handled, if it is one."""
    return _SAGA.get()


@contextmanager
def about(ids: Ids | None) -> Iterator[None]:
    """Have every log line in here say that it is about this saga."""
    before = _SAGA.set(ids)
    try:
        yield
    finally:
        _SAGA.reset(before)
