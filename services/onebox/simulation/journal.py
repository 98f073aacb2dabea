"""What took effect, in the one order in which it did: seen at every commit of every database, by nobody's word."""

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from inventory_service.domain import LedgerEntry, Movement, Stock
from payment_service.domain import Payment, PaymentStatus
from payment_service.provider import Operation
from sagakit.core.facts import Phase
from sagakit.core.part import Part
from sagakit.core.state import SagaState
from sagakit.testing.simulation import Violation, World
from shipping_service.domain import Shipment, ShipmentStatus


class Kind(enum.StrEnum):
    """What an entry says."""

    DID = "did"
    UNDID = "undid"
    MOVED = "moved"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect on one order: `what` is a step, an amount that the bank moved, or a phase."""

    order_id: str
    kind: Kind
    what: str
    by_hand: bool = False


@dataclass
class Journal:
    """Compares each table with what it saw there last; every record written anew is an effect executed once more.

    `names` are the orders as people call them, `orders_by_key` whose a key at the bank is.
    """

    world: World
    names: Mapping[str, str] = field(default_factory=dict)
    orders_by_key: Mapping[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    _rows: dict[str, dict[str, msgspec.Struct]] = field(default_factory=dict)

    def watch(self, service: str, *tables: str) -> Callable[[], None]:
        """Return what is to be called after each commit of the service."""

        def committed() -> None:
            rows = self.world.hosts[service].store.state.rows
            for table in tables:
                known = self._rows.setdefault(f"{service} {table}", {})
                for key, record in rows[table].items():
                    before = known.get(key)
                    if before is not record:
                        known[key] = record
                        self._note(self._read(before, record))
                if table == "parked":
                    released = known.keys() - rows[table].keys()
                    self.world.seen["parked and released"] += len(released)
                    for key in released:
                        del known[key]

        return committed

    def of(self, order_id: str) -> list[Entry]:
        """Return what happened to one order."""
        return [entry for entry in self.entries if entry.order_id == order_id]

    def _note(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            self.entries.append(entry)
            hand = " by hand" if entry.by_hand else ""
            self.world.note(self.names.get(entry.order_id, entry.order_id), f"{entry.kind} {entry.what}{hand}")

    def _read(self, before: msgspec.Struct | None, now: msgspec.Struct) -> Iterable[Entry]:
        match now, before:
            case Payment(), Payment() | None:
                return self._payment(before, now)
            case LedgerEntry(), _:
                return [Entry(now.cause, *_MOVEMENTS[now.movement])]
            case Shipment(status=ShipmentStatus.SCHEDULED), _:
                return [Entry(now.order_id, Kind.DID, "shipping")]
            case Operation(), Operation() | None:
                return self._operation(before, now)
            case SagaState(), SagaState() | None:
                return self._saga(before, now)
            case Part(), Part() | None:
                self._part(before, now)
            case Stock(), _ if not 0 <= now.reserved <= now.on_hand:
                raise Violation("stock", f"{now.product_id}: {now.reserved} reserved of {now.on_hand}")
        return ()

    def _payment(self, before: Payment | None, now: Payment) -> Iterable[Entry]:
        was = before.status if before is not None else None
        if was is PaymentStatus.UNKNOWN and now.status in (PaymentStatus.CAPTURED, PaymentStatus.DECLINED):
            self.world.seen["unknown outcome resolved"] += 1
        if now.status is PaymentStatus.CAPTURED:
            yield Entry(now.order_id, Kind.DID, "payment", by_hand=(now.transaction_id or "").startswith("by hand"))
        elif now.status is PaymentStatus.REFUNDED:
            yield Entry(now.order_id, Kind.UNDID, "payment", by_hand=now.refunds[0].by_hand is not None)

    def _operation(self, before: Operation | None, now: Operation) -> Iterable[Entry]:
        if before is not None:
            raise Violation("money", f"the bank changed its mind about {now.key}: {before} became {now}")
        if now.code == "VOIDED":
            self.world.seen["charge voided before it was made"] += 1
        if now.approved and now.amount_minor:
            yield Entry(self.orders_by_key.get(now.key, now.key), Kind.MOVED, str(now.amount_minor))

    def _saga(self, before: SagaState | None, now: SagaState) -> Iterable[Entry]:
        if before is not None and before.phase.terminal:
            raise Violation("quiet_after_end", f"{now.saga_id} was {before.phase} and is written again, as {now.phase}")
        if now.phase is Phase.NEEDS_INTERVENTION and (before is None or before.phase is not now.phase):
            self.world.seen["stuck"] += 1
        if now.phase.terminal:
            yield Entry(now.saga_id, Kind.ENDED, now.phase)

    def _part(self, before: Part | None, now: Part) -> None:
        for name, step in now.steps.items():
            was = before.step(name).tries if before is not None else 0
            if step.tries > was:
                self.world.seen["retried"] += 1


_MOVEMENTS = {
    Movement.RESERVE: (Kind.DID, "inventory"),
    Movement.RELEASE: (Kind.UNDID, "inventory"),
    Movement.CONSUME: (Kind.DID, "stock"),
}
