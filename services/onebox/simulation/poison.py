"""What the shop's services can read and cannot handle."""

from collections.abc import Mapping

from sagakit.core.part import ABORT
from sagakit.ports import Draft
from sagakit.runtime.topics import SAGAS_EVENTS
from sagakit.testing.simulation.garbage import sound_headers
from shop_contracts.order_saga import ORDER_SAGA, PAYMENT

STRANGE = "PaymentCompleted"


def poison(_: str, key: str) -> Draft:
    """Return a request to abort that does not say why: every participant fails in the middle of a good batch."""
    return Draft(SAGAS_EVENTS, key, sound_headers(key, ABORT, ce_sagadefinition=ORDER_SAGA.ref), b"{}")


def stranger(_: str, key: str) -> Draft:
    """Return an event of a saga that never begins: it is kept for an hour, in vain."""
    return Draft(PAYMENT.events_topic, key, sound_headers(key, STRANGE, ce_sagadefinition=ORDER_SAGA.ref), b"{}")


def must_bury(garbage: Draft, listens: Mapping[str, frozenset[str]]) -> set[str]:
    """Return which consumer groups, of those that read its topic, must make it a dead letter.

    A type that is known, and that the group does not want, is passed over.
    """
    groups = {group for group, topics in listens.items() if garbage.topic in topics}
    if ABORT.encode() in garbage.headers:
        return groups & {"payment", "inventory", "shipping"}
    if STRANGE.encode() in garbage.headers:
        return groups & {"order", "inventory"}
    return groups
