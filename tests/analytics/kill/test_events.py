"""The log that is counted here says what a real shop says: the same topics, headers, ids, causes and fields."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from onebox.bench.events import KINDS, Traffic, appends, publications
from onebox.simulation.shop import Shop
from sagakit.core.messages import message_id
from sagakit.ports import Draft, Record
from sagakit.runtime.wire import headers_of
from sagakit.testing.simulation.faults import Faults
from shop_contracts.order_saga import ORDER_SAGA

Shape = tuple[object, ...]
WORLDS = range(1, 25)
TRAFFIC = Traffic(seed=1, events=3000, shipping_succeeds=0.7)


def test_every_event_of_the_log_looks_like_one_that_a_service_wrote() -> None:
    said = [event for _, event in islice(appends(TRAFFIC), TRAFFIC.events)]
    assert {headers_of(as_record(event))["ce_type"] for event in said} == {*KINDS}
    written = [record for seed in WORLDS for record in records(seed)]
    alien = {*shapes(map(as_record, said))} - {*shapes(written)}
    assert not alien, "\n".join(map(str, sorted(alien, key=str)))


def test_the_same_seed_is_the_same_log_and_another_one_is_another() -> None:
    def log(seed: int) -> list[object]:
        return list(publications(Traffic(seed=seed, events=500, doubled=0.1, late=0.1)))

    assert log(1) == log(1)
    assert log(1) != log(2)


def test_a_log_has_as_many_events_as_were_asked_for_and_time_goes_forward_in_it() -> None:
    found = list(publications(TRAFFIC))
    assert sum(len(drafts) for _, drafts in found) == TRAFFIC.events
    times = [at for at, _ in found]
    assert times == sorted(set(times))


def shapes(written: Iterable[Record]) -> Iterator[Shape]:
    """Say of each event what it looks like, without what is its own."""
    for record in written:
        headers = headers_of(record)
        saga_id, kind, mode = headers.get("ce_sagaid", ""), headers.get("ce_type", ""), headers.get("ce_sagamode")
        if kind not in KINDS:
            continue
        types = {message_id(saga_id, step, name): name for step, name in said_in_steps()}
        yield (
            record.topic,
            kind,
            mode,
            types.get(headers["ce_id"]),
            types.get(headers.get("ce_causationid", "")),
            headers["ce_correlationid"] == saga_id,
            tuple((name, value) for name, value in sorted(headers.items()) if name in SHOWN),
            tuple(sorted(headers.keys() - {TOOK})),
            tuple(sorted(msgspec.json.decode(record.value))),
        )


TOOK = "ce_tookmilliseconds"
"""How long a step took: only steps, ends and timeouts say it, and only when it was not nothing."""
SHOWN = ("ce_source", "ce_sagadefinition", "ce_dataversion", "ce_specversion", "content-type")


def said_in_steps() -> Iterator[tuple[str, str]]:
    """Return every type of message of an order, and the step that it is about."""
    yield from (("", name) for name in ("OrderCreated", "OrderConfirmed", "OrderCancelled"))
    for step in ORDER_SAGA.steps:
        names = (step.command, step.success, step.failure, step.compensation, step.compensated)
        yield from ((step.name, name) for name in names if name)


def records(seed: int) -> list[Record]:
    """Return what is in the log of a simulated shop in which nothing goes wrong by itself."""
    shop = Shop(seed, Faults(**dict.fromkeys(Faults.__dataclass_fields__, 0.0)))
    shop.run(200)
    return list(shop.books.records())


def as_record(event: Draft) -> Record:
    return Record(event.topic, 0, 0, event.key, event.headers, event.value, TRAFFIC.start)
