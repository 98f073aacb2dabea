"""Who may say what: a right to write is all that keeps one service from speaking for another."""

from collections import defaultdict

from shop_contracts.access import ACCESS
from shop_contracts.carried import topics


def test_events_and_commands_of_a_service_are_for_one_to_say() -> None:
    writers: defaultdict[str, set[str]] = defaultdict(set)
    for service, access in ACCESS.items():
        for topic in access.writes:
            writers[topic].add(service)
    assert {topic: writers[topic] for topic in topics() if not topic.endswith(".dlq")} == {
        "orders.events": {"order"},
        "payments.events": {"payment"},
        "inventory.events": {"inventory"},
        "shipping.events": {"shipping"},
        "order.commands": set(),
        "payment.commands": {"order"},
        "inventory.commands": {"order"},
        "shipping.commands": {"order"},
        "sagas.events": {"order", "operator"},
        "sagas.definitions": {"order", "operator"},
        "users": {"analytics"},
        "analytics.events": {"analytics"},
    }
    assert all(writers[topic] == {topic.removesuffix(".dlq")} for topic in topics() if topic.endswith(".dlq"))
