"""Every database and the log once nothing moves any more, and the rules they keep. Only what is durable is read.

Two checkers judge the order of things independently: `effects` reads the journal (what the databases showed, commit by
commit), `history` reads the log (what was said), with the kit's own checker.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from onebox.simulation.journal import Journal
from onebox.simulation.poison import must_bury
from onebox.simulation.services import DEFINITIONS
from order_service.domain import status_of
from sagakit.core.contracts import UnreadableError
from sagakit.core.facts import AnyFact, decode_fact
from sagakit.core.history import violations
from sagakit.core.messages import Message
from sagakit.core.state import SagaState, fold
from sagakit.ports import Record
from sagakit.runtime.wire import headers_of, parse
from sagakit.testing.simulation import World

SAGAS = {saga.ref: saga for saga in DEFINITIONS}
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Books:
    """What there is to read. `on_hand` is what lay on the shelves in the beginning, `names` are the orders'."""

    world: World
    journal: Journal
    on_hand: Mapping[str, int]
    names: Mapping[str, str]

    def rows(self, service: str, table: str) -> dict[str, Any]:
        """Return all records of a table."""
        return self.world.hosts[service].store.state.rows[table]

    @property
    def sagas(self) -> dict[str, SagaState]:
        """Return all sagas."""
        return self.rows("order", "sagas")

    def facts(self, order_id: str) -> list[AnyFact]:
        """Return what is on record of one saga."""
        return [decode_fact(stored.body) for stored in self.world.hosts["order"].store.state.facts[order_id]]

    def records(self) -> Iterator[Record]:
        """Yield everything that was published, in the order in which it was; partition and offset mean nothing here."""
        for out in self.world.published:
            yield Record(out.topic, 0, 0, out.key, out.headers, out.value, BEGINNING)


def ends(books: Books) -> Iterator[str]:
    """Every order is known, and every saga has ended."""
    for order_id, name in books.names.items():
        state = books.sagas.get(order_id)
        if state is None:
            yield f"{name} was never begun"
        elif not state.phase.terminal:
            yield f"{name} is {state.phase} ({state.reason})"


def replay(books: Books) -> Iterator[str]:
    """The facts give the saga, and the saga gives the order as its customer sees it."""
    for order_id, state in books.sagas.items():
        again = fold(SAGAS[state.definition], order_id, books.facts(order_id))
        if _told(again) != _told(state):
            yield f"{books.names[order_id]}: the facts give {again}, not {state}"
        row = books.rows("order", "orders")[order_id]
        seen = (row.status, row.cancellation_reason, row.version)
        if seen != (status_of(state.phase), state.reason, state.version):
            yield f"{books.names[order_id]} is {state.phase} for {state.reason}, but its customer sees {seen}"


def notices(books: Books) -> Iterator[str]:
    """Every customer was told how her order ended."""
    told = books.rows("notification", "notifications")
    for order_id, row in books.rows("order", "orders").items():
        if order_id not in told or told[order_id].subject != row.status:
            yield f"{books.names[order_id]} is {row.status}, and its customer was told {told.get(order_id)}"


def history(books: Books) -> Iterator[str]:
    """What was said of each saga is the history of a saga."""
    said: dict[str, list[Message]] = defaultdict(list)
    for record in books.records():
        if record.key in books.sagas:
            try:
                message = parse(record)
            except UnreadableError as error:
                yield f"{books.names[record.key]}: {error}"
            else:
                said[record.key].append(message)
    for order_id, state in books.sagas.items():
        for sentence in violations(SAGAS[state.definition], said[order_id]):
            yield f"{books.names[order_id]}: {sentence}"


def one_meaning(books: Books) -> Iterator[str]:
    """What is said under one id is the same to the letter, however often it is said."""
    first: dict[str, Record] = {}
    for record in dict.fromkeys(books.records()):
        if record.key in books.sagas:
            known = first.setdefault(headers_of(record)["ce_id"], record)
            if known != record:
                yield f"{books.names[record.key]}: said differently under one id: {known} and {record}"


def nothing_lost(books: Books) -> Iterator[str]:
    """Everything left its outbox and was read to the end; nothing waits; nothing good is a dead letter."""
    yield from books.world.unread()
    for service, host in books.world.hosts.items():
        if host.store.state.outbox:
            yield f"{service} still has {len(host.store.state.outbox)} messages to publish"
        for parked in host.store.state.rows.get("parked", {}).values():
            if parked.saga_id in books.sagas:
                yield f"{service} still keeps {parked.message.type} of {books.names[parked.saga_id]} parked"
    for record in books.records():
        if record.topic.endswith(".dlq") and record.key in books.sagas:
            yield f"a good message is a dead letter: {record.value!r}"


def garbage(books: Books) -> Iterator[str]:
    """What nobody can read is a dead letter of everybody who had to read it."""
    buried = {(record.topic, record.key) for record in books.records() if record.topic.endswith(".dlq")}
    listens = {group: on for host in books.world.hosts.values() for group, on in host.processes[0].listens.items()}
    for out in books.world.garbage:
        for group in sorted(must_bury(out, listens)):
            if (f"{group.partition('-')[0]}.dlq", out.key) not in buried:
                yield f"{group} read {out} and buried it nowhere"


def _told(state: SagaState) -> tuple[object, ...]:
    return state.phase, state.version, state.steps, state.reason, state.abort, state.suspended, state.ended_at
