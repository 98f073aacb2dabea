"""Whoever reads tells how many partitions it has and how far it is behind: also without any, and also the views."""

from datetime import timedelta

import pytest
from tests.unit.http.services import build_all

from sagakit.ports import Draft, OffsetOutOfRangeError
from sagakit.runtime.catalogue import LAG_RECORDS, LAG_SECONDS, PARTITIONS, Named
from sagakit.runtime.service import Service

TOPIC = "orders.events"
ORDERS, STEPS_MAX = 3, 10


async def told(service: Service, named: Named, *labels: str) -> float | None:
    """Return what the service tells by this name at a scrape; None when it does not."""
    samples = [*service.samples(), *await service.seen.measured()]
    found = [value for its, labelled, value in samples if its is named and labelled == labels]
    assert len(found) <= 1
    return float(found[0]) if found and isinstance(found[0], int | float) else None


@pytest.fixture
def payment() -> Service:
    return build_all()["payment"]


async def test_a_consumer_has_no_partitions_before_it_joins_and_after_it_has_given_them_up(payment: Service) -> None:
    consumer = next(its for its in payment.consumers if its.name == "payment consumer")
    definitions = next(its for its in payment.consumers if its.name == "payment definitions")
    assert await told(payment, PARTITIONS, consumer.name) == 0
    await definitions.step()
    await consumer.step()
    assert await told(payment, PARTITIONS, consumer.name)
    await payment.log.publish([Draft(TOPIC, "order-1", b"{}", b"{}")])
    await payment.log.prune(TOPIC, payment.clock.now() + timedelta(days=1))
    with pytest.raises(OffsetOutOfRangeError):
        await consumer.step()
    assert await told(payment, PARTITIONS, consumer.name) == 0
    assert await told(payment, LAG_RECORDS, consumer.name) == 0, "it alone would say that all is well"


async def test_what_the_views_are_behind_in_is_told_beside_the_consumer_of_the_desk() -> None:
    service = build_all()["analytics"]
    views = next(its for its in service.consumers if its.name == "analytics views")
    assert await told(service, LAG_RECORDS, "analytics views") is None, "the views are not open yet"
    await views.step()
    await service.log.publish([Draft(TOPIC, f"order-{number}", b"{}", b"{}") for number in range(ORDERS)])
    assert await told(service, LAG_RECORDS, "analytics views") == ORDERS
    assert await told(service, PARTITIONS, "analytics views")
    for _ in range(STEPS_MAX):
        await views.step()
    assert await told(service, LAG_RECORDS, "analytics views") == 0
    assert await told(service, LAG_SECONDS, "analytics views", TOPIC) is not None
