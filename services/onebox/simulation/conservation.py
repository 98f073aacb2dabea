"""Nothing comes from nothing: effects, money and goods, added up from what each side shows."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from inventory_service.domain import ReservationStatus
from onebox.simulation.books import SAGAS, Books
from onebox.simulation.journal import Entry, Kind
from payment_service.domain import Payment, PaymentStatus
from sagakit.core.facts import Phase
from shop_contracts.messages import RefundMethod


def effects(books: Books) -> Iterator[str]:
    """What took effect is T1…Tn, or T1…Tj Cj…C1, each once; and nothing after the end."""
    for order_id, state in books.sagas.items():
        entries = books.journal.of(order_id)
        steps = tuple(step.name for step in SAGAS[state.definition].steps)
        for sentence in _misplaced(steps, entries, state.phase):
            yield f"{books.names[order_id]} ({state.phase}): {sentence}"


def _misplaced(steps: Sequence[str], entries: Sequence[Entry], phase: Phase) -> Iterator[str]:
    moves = [entry for entry in entries if entry.kind in (Kind.DID, Kind.UNDID)]
    did = [entry.what for entry in moves if entry.kind is Kind.DID]
    undid = [entry.what for entry in moves if entry.kind is Kind.UNDID]
    if [entry.what for entry in moves] != [*did, *undid]:
        yield f"something took effect after something had been taken back: {_told(moves)}"
    if tuple(did) != steps[: len(did)]:
        yield f"not in the order of the steps, each once: {_told(moves)}"
    if phase is Phase.COMPLETED and (tuple(did) != steps or undid):
        yield f"not every step, or something was taken back: {_told(moves)}"
    if phase is Phase.COMPENSATED and undid != did[::-1]:
        yield f"not everything was taken back, the newest first: {_told(moves)}"
    end = next((place for place, entry in enumerate(entries) if entry.kind is Kind.ENDED), len(entries))
    if entries[end + 1 :] and phase is not Phase.KILLED and not _by_hand(entries):
        yield f"after the end: {_told(entries[end + 1 :])}"


def money(books: Books) -> Iterator[str]:
    """What the bank moved, what payment says and how the saga ended agree, order by order."""
    moved: dict[str, int] = defaultdict(int)
    for entry in books.journal.entries:
        moved[entry.order_id] += int(entry.what) if entry.kind is Kind.MOVED else 0
    payments: dict[str, Payment] = books.rows("payment", "payments")
    for order_id, minor in moved.items():
        if minor and order_id not in payments:
            yield f"the bank moved {minor} for {books.names.get(order_id, order_id)}, which payment does not know"
    for order_id, payment in payments.items():
        if not _by_hand(books.journal.of(order_id)):
            for sentence in _unbalanced(payment, moved[order_id], books.sagas[order_id].phase):
                yield f"{books.names[order_id]}: {sentence}"


def _unbalanced(payment: Payment, moved_minor: int, phase: Phase) -> Iterator[str]:
    """Say what does not agree. A person who killed the saga may have left the bank's last word unheard."""
    credit = sum(refund.amount_minor for refund in payment.refunds if refund.method is RefundMethod.STORE_CREDIT)
    kept = payment.amount_minor if payment.status is PaymentStatus.CAPTURED else 0
    said = f"the bank moved {moved_minor} of {payment.amount_minor}, credit {credit}; {phase}, {payment.status}"
    if moved_minor not in (0, payment.amount_minor):
        yield f"a part, or more than all: {said}"
    elif phase is not Phase.KILLED and moved_minor - credit != kept:
        yield f"bank and payment disagree: {said}"
    elif (phase is Phase.COMPLETED and not kept and payment.amount_minor) or (phase is Phase.COMPENSATED and kept):
        yield f"payment and saga disagree: {said}"


def stock(books: Books) -> Iterator[str]:
    """Nothing is lost and nothing stays set aside, but for what a person killed; the ledger explains every piece."""
    held: dict[str, int] = defaultdict(int)
    gone: dict[str, int] = defaultdict(int)
    for order_id, reservation in books.rows("inventory", "reservations").items():
        if reservation.status is ReservationStatus.RESERVED and books.sagas[order_id].phase is not Phase.KILLED:
            yield f"{books.names[order_id]} has ended and still holds a reservation"
        for line in reservation.items:
            held[line.product_id] += line.quantity * (reservation.status is ReservationStatus.RESERVED)
            gone[line.product_id] += line.quantity * (reservation.status is ReservationStatus.CONSUMED)
    explained = _by_ledger(books)
    for product, row in books.rows("inventory", "stock").items():
        counted = [row.on_hand, row.reserved]
        if counted != [books.on_hand[product] - gone[product], held[product]]:
            told = f"{held[product]} are held and {gone[product]} gone of {books.on_hand[product]}"
            yield f"{product}: {counted} on hand and reserved, but by the reservations {told}"
        if counted != explained[product]:
            yield f"{product}: the ledger adds up to {explained[product]}, not to {counted}"


def _by_ledger(books: Books) -> dict[str, list[int]]:
    """Return what is on hand and reserved of each product, by the movements."""
    sums = {product: [on_hand, 0] for product, on_hand in books.on_hand.items()}
    for entry in books.rows("inventory", "stock_ledger").values():
        for product, on_hand, reserved in entry.lines:
            sums[product] = [sums[product][0] + on_hand, sums[product][1] + reserved]
    return sums


def _by_hand(entries: Sequence[Entry]) -> bool:
    return any(entry.by_hand for entry in entries)


def _told(entries: Sequence[Entry]) -> str:
    return ", ".join(f"{entry.kind} {entry.what}" for entry in entries) or "nothing"
