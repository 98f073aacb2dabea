"""The topics of the shop, and how long each keeps what it has."""

from dataclasses import dataclass

from sagakit.runtime.topics import SAGAS_DEFINITIONS, SAGAS_EVENTS, commands_topic, dead_letter_topic
from shop_contracts.order_saga import INVENTORY, ORDER, PAYMENT, SHIPPING

DEFAULT_PARTITIONS = 12
"""How many partitions every topic has: one instance of a service has at least one of them, so at most so many work.

It divides by 2, 3, 4 and 6, so that every usual number of instances has the same work; and a service of few instances
still reads five topics of it in one request.
"""

DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS

SERVICES = ("order", "payment", "inventory", "shipping", "analytics")
EVENTS = (*(part.events_topic for part in (ORDER, PAYMENT, INVENTORY, SHIPPING)), SAGAS_EVENTS, "analytics.events")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: it keeps its records for so long (for ever, when that is None), or the newest of each key."""

    name: str
    keep_seconds: int | None = None
    compacted: bool = False


def topics_of(service: str) -> tuple[Topic, ...]:
    """Return the topics that a service has for itself: what it is told to do, and what it could not handle."""
    return (Topic(commands_topic(service), WEEK_SECONDS), Topic(dead_letter_topic(service), WEEK_SECONDS))


TOPICS = (
    *(Topic(name) for name in EVENTS),
    *(topic for service in SERVICES for topic in topics_of(service)),
    Topic(SAGAS_DEFINITIONS, compacted=True),
    Topic("users", compacted=True),
)
"""Everything that the services read or write. Events are kept for ever, because views are made anew from them."""
TOPIC_NAMES = tuple(topic.name for topic in TOPICS)
