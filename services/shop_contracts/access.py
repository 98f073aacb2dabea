"""What each service has to be allowed to do with the log; nobody needs more.

Beside this, a service sees which topics there are, for it looks at the start whether the shop has all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sagakit.core.definition import Participant
from sagakit.runtime.topics import SAGAS_DEFINITIONS, SAGAS_EVENTS, commands_topic, dead_letter_topic
from shop_contracts.order_saga import INVENTORY, ORDER, PAYMENT, SHIPPING
from shop_contracts.topics import EVENTS

ANY = "*"
"""At the end of a group's name: whatever follows. Each version of the views is a group of its own."""
USERS = "users"
ANALYTICS_EVENTS = "analytics.events"
PARTICIPANTS = (PAYMENT, INVENTORY, SHIPPING)
HEARD = tuple(party.events_topic for party in (ORDER, *PARTICIPANTS))
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
    return Access((*reads, SAGAS_DEFINITIONS, letters), (*writes, letters), (commands_topic(service), letters), groups)


def _participant(party: Participant) -> Access:
    """Return what a participant needs: which events its steps begin with is for definitions to say, now or later."""
    return _access(party.name, (party.commands_topic, SAGAS_EVENTS, *HEARD), (party.events_topic,), (party.name,))


def listener(service: str, *hears: str) -> Access:
    """Return what a service needs that only listens to these topics."""
    return _access(service, hears, (), (service,))


ACCESS: Mapping[str, Access] = {
    "order": _access(
        "order",
        (ORDER.commands_topic, SAGAS_EVENTS, *HEARD),
        (ORDER.events_topic, SAGAS_EVENTS, SAGAS_DEFINITIONS, *(party.commands_topic for party in PARTICIPANTS)),
        ("order", "order-intake"),
    ),
    **{party.name: _participant(party) for party in PARTICIPANTS},
    "analytics": _access(
        "analytics", (*VIEWED, USERS), (ANALYTICS_EVENTS, USERS), ("analytics-desk", f"analytics-v{ANY}")
    ),
    "operator": Access((*HEARD, SAGAS_EVENTS, SAGAS_DEFINITIONS), (SAGAS_EVENTS, SAGAS_DEFINITIONS), (), ()),
}
"""By service of the shop, and the operator, which is in no group; who only listens needs what `listener` says."""
