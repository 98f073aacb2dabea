"""What the shop's services can read and cannot handle."""

from collections.abc import Mapping

from sagakit.core.part import ABORT
from sagakit.ports import Draft
from sagakit.testing.simulation.garbage import sound_headers
from shop_contracts.order_saga import ORDER_SAGA

STRANGE = "PaymentCompleted"


def poison(topic: str, key: str) -> Draft:
    """Return a request to abort that does not say why: every participant fails in the middle of a good batch."""
    return Draft(topic, key, sound_headers(key, ABORT, ce_sagadefinition=ORDER_SAGA.ref), b"{}")


def stranger(topic: str, key: str) -> Draft:
    """Return an event of a saga that never begins: it is kept for an hour, in vain."""
    return Draft(topic, key, sound_headers(key, STRANGE, ce_sagadefinition=ORDER_SAGA.ref), b"{}")


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
