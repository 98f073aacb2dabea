"""What each service has to be allowed to do with the log; nobody needs more.

Beside this, a service sees which topics there are, for it looks at the start whether the shop has all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sagakit.core.reactions import share
from sagakit.runtime.topics import SAGAS_EVENTS, commands_topic, dead_letter_topic
from shop_contracts.order_saga import INVENTORY, ORDER, ORDER_SAGA, PAYMENT, SHIPPING
from shop_contracts.topics import EVENTS

ANY = "*"
"""At the end of a group's name: whatever follows. Each version of the views is a group of its own."""
USERS = "users"
ANALYTICS_EVENTS = "analytics.events"
VIEWED = tuple(topic for topic in EVENTS if topic != ANALYTICS_EVENTS)


@dataclass(frozen=True, slots=True)
class Access:
    """The topics that a service reads, writes and drops old records of, and the groups that it is a member of."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    prunes: tuple[str, ...]
    groups: tuple[str, ...]


def _access(service: str, reads: tuple[str, ...], writes: tuple[str, ...], groups: tuple[str, ...]) -> Access:
    letters = dead_letter_topic(service)
    return Access(reads, (*writes, letters), (commands_topic(service), letters), groups)


def _participant(service: str) -> Access:
    """Return what a participant of the order saga needs: it hears what its steps begin with, and answers."""
    heard = (commands_topic(service), SAGAS_EVENTS, *sorted(share(ORDER_SAGA, service).topics))
    return _access(service, heard, (ORDER_SAGA.participant(service).events_topic,), (service,))


def listener(service: str, *hears: str) -> Access:
    """Return what a service needs that only listens to these topics."""
    return _access(service, hears, (), (service,))


PARTICIPANTS = (PAYMENT, INVENTORY, SHIPPING)
ACCESS: Mapping[str, Access] = {
    "order": _access(
        "order",
        (ORDER.commands_topic, *(party.events_topic for party in PARTICIPANTS)),
        (ORDER.events_topic, SAGAS_EVENTS, *(party.commands_topic for party in PARTICIPANTS)),
        ("order", "order-intake"),
    ),
    **{party.name: _participant(party.name) for party in PARTICIPANTS},
    "analytics": _access(
        "analytics", (*VIEWED, USERS), (ANALYTICS_EVENTS, USERS), ("analytics-desk", f"analytics-v{ANY}")
    ),
}
"""By service of the shop; who only listens needs what `listener` says."""
