"""What outlives every version of the views: user profiles, and the orders of high value, each said once as an event.

A stateless filter with an enrichment: whatever version of the views is live or being built, the stream of
`HighValueOrderDetected` is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from analytics_service.series import milliseconds
from analytics_service.tables import Profile
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, message_id
from sagakit.ports import Clock, Reader, Table, Transaction
from sagakit.runtime.wire import draft
from shop_contracts.catalogue import SHOP
from shop_contracts.messages import HighValueOrderDetected, OrderCreated, UserProfileUpdated
from shop_contracts.money import MoneyError, to_major, to_minor
from shop_contracts.order_saga import ORDER

ANALYTICS_TOPIC = "analytics.events"
USERS_TOPIC = "users"
GROUP = "analytics-desk"
HIGH_VALUE = "HighValueOrderDetected"
PROFILE = "UserProfileUpdated"
PROFILES_REMEMBERED_MAX = 10_000


class HighValue(msgspec.Struct, frozen=True, kw_only=True):
    """An order above the threshold; its row is what keeps it from being said twice."""

    order_id: str
    user_id: str
    total_minor: int
    currency: str
    placed_ms: int


PROFILES: Table[Profile] = Table("profiles", Profile, "user_id")
HIGH_VALUES: Table[HighValue] = Table("high_values", HighValue, "order_id", (("placed_ms",),))


class Profiles(Protocol):
    """Who users are. Another source than the `users` topic is another class with this method."""

    async def find(self, reader: Reader, user_ids: Iterable[str]) -> dict[str, Profile]:
        """Return what is known of these users, by id; of whom nothing is known is absent."""

    def changed(self, user_ids: Iterable[str]) -> None:
        """Hear that these profiles are others now."""


class TableProfiles:
    """Profiles from the table that the `users` topic feeds, through a cache.

    A change that this process made is seen at once, one that another instance made after the cache's time.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Remember profiles for so long."""
        self._clock = clock
        self._ms = round(seconds * 1000)
        self._known: dict[str, tuple[int, Profile | None]] = {}
        self._changes = 0

    async def find(self, reader: Reader, user_ids: Iterable[str]) -> dict[str, Profile]:
        """Return them from memory where that is fresh."""
        now_ms = milliseconds(self._clock.now())
        wanted = dict.fromkeys(user_ids)
        fresh = (u for u in wanted if u in self._known and self._known[u][0] + self._ms > now_ms)
        known = {user_id: self._known[user_id][1] for user_id in fresh}
        stale = [user_id for user_id in wanted if user_id not in known]
        if stale:
            changes = self._changes
            found = await reader.load(PROFILES, stale)
            known |= {user_id: found.get(user_id) for user_id in stale}
            if changes == self._changes:  # else a profile changed meanwhile, and what was read may be the old one
                self._remember({user_id: (now_ms, found.get(user_id)) for user_id in stale}, wanted)
        return {user_id: profile for user_id in wanted if (profile := known[user_id]) is not None}

    def changed(self, user_ids: Iterable[str]) -> None:
        """Forget what was remembered of these users."""
        self._changes += 1
        for user_id in user_ids:
            self._known.pop(user_id, None)

    def _remember(self, found: Mapping[str, tuple[int, Profile | None]], wanted: Iterable[str]) -> None:
        """Remember what was found; without room for it, forget the others first."""
        if len(self._known) + len(found) > PROFILES_REMEMBERED_MAX:
            self._known = {user_id: self._known[user_id] for user_id in wanted if user_id in self._known}
        self._known.update(found)


class Desk:
    """Hears orders and profiles. Keeps the promises of `Handler`."""

    topics = frozenset({ORDER.events_topic, USERS_TOPIC})

    def __init__(self, thresholds: Mapping[str, int], profiles: Profiles) -> None:
        """Single out orders above these amounts in minor units, by currency."""
        self._thresholds = thresholds
        self._profiles = profiles
        self._changed: set[str] = set()
        self.said = 0
        """How many orders of high value were said, and that is durable."""
        self._new = 0

    def wants(self, message_type: str) -> bool:
        """Tell whether it is an order or a profile."""
        return message_type in {"OrderCreated", PROFILE}

    async def handle(self, transaction: Transaction, messages: Sequence[Message], now: datetime) -> None:
        """Keep the newest profiles; say each order above the threshold once, however often it comes."""
        profiles = {profile.user_id: profile for message in messages if (profile := profile_of(message))}
        await transaction.save(PROFILES, profiles.values())
        self._changed = set(profiles)
        self._profiles.changed(profiles)
        high: dict[str, tuple[Message, HighValue]] = {}
        for message in messages:
            if found := self._high_value(message):
                high.setdefault(found[1].order_id, found)  # of two that differ, the first, as in two batches
        said = await transaction.load(HIGH_VALUES, high)
        new = [found for order_id, found in high.items() if order_id not in said]
        known = await self._profiles.find(transaction, [row.user_id for _, row in new])
        await transaction.save(HIGH_VALUES, [row for _, row in new])
        await transaction.send(
            draft(ANALYTICS_TOPIC, self._detected(cause, row, known.get(row.user_id), now)) for cause, row in new
        )
        self._new = len(new)

    def committed(self) -> None:
        """Let everybody see the new profiles, and count what was said."""
        self.said += self._new
        self._forget()

    def failed(self) -> None:
        """Let nobody see what did not happen."""
        self._forget()

    def _forget(self) -> None:
        self._profiles.changed(self._changed)
        self._changed, self._new = set(), 0

    def _high_value(self, message: Message) -> tuple[Message, HighValue] | None:
        """Return the row of an order above the threshold; nothing for any other message."""
        if message.type != "OrderCreated":
            return None
        data = SHOP.decode(message)
        assert isinstance(data, OrderCreated), "the contract of an order"
        threshold = self._thresholds.get(data.currency)
        if threshold is None:
            return None
        try:
            total_minor = to_minor(data.total, data.currency)
        except MoneyError:
            return None  # the joined order shows the flag
        if total_minor <= threshold:
            return None
        return message, HighValue(
            order_id=message.saga_id,
            user_id=data.user_id,
            total_minor=total_minor,
            currency=data.currency,
            placed_ms=milliseconds(message.time),
        )

    def _detected(self, cause: Message, row: HighValue, profile: Profile | None, now: datetime) -> Message:
        who = None
        if profile is not None:
            who = UserProfileUpdated(
                user_id=profile.user_id, name=profile.name, segment=profile.segment, country=profile.country
            )
        data = HighValueOrderDetected(
            order_id=row.order_id,
            user_id=row.user_id,
            total=to_major(row.total_minor, row.currency),
            currency=row.currency,
            threshold=to_major(self._thresholds[row.currency], row.currency),
            placed_at=cause.time,
            profile=who,
        )
        return Message(
            id=message_id(row.order_id, "", HIGH_VALUE),
            type=HIGH_VALUE,
            source="analytics",
            time=now,
            saga_id=row.order_id,
            correlation_id=cause.correlation_id,
            causation_id=cause.id,
            mode=cause.mode,
            definition=cause.definition,
            traceparent=cause.traceparent,
            data=encode_data(data),
        )


def profile_of(message: Message) -> Profile | None:
    """Return what a message says of a user; nothing when it speaks of something else."""
    if message.type != PROFILE:
        return None
    data = SHOP.decode(message)
    assert isinstance(data, UserProfileUpdated), "the contract of a profile"
    return Profile(
        user_id=data.user_id,
        name=data.name,
        segment=data.segment,
        country=data.country,
        updated_ms=milliseconds(message.time),
    )
