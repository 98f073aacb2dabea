"""What the analytics service answers over HTTP."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from analytics_service import versions as kept
from analytics_service.calendar_windows import WindowError
from analytics_service.desk import HIGH_VALUES, PROFILE, USERS_TOPIC, HighValue, Profiles
from analytics_service.joined_answers import joined, profile_shown, status, unmatched_shown
from analytics_service.live import Builder, Live, group_of
from analytics_service.orders import JoinedOrder
from analytics_service.questions import parsed
from analytics_service.reading import products, unmatched, user
from analytics_service.series import CANCELLED, CONFIRMED, ORDERS, VALUE, moment
from analytics_service.settings import AnalyticsSettings
from analytics_service.shapes import (
    HighValueShown,
    JoinedShown,
    ProductShown,
    Summary,
    UnmatchedShown,
    UserShown,
    Versions,
    VersionShown,
    Windows,
)
from analytics_service.summary import Glance, money_by_currency, summary
from analytics_service.tables import JOINED, Profile
from analytics_service.views import EVENT_TOPICS
from analytics_service.window_answers import answer
from sagakit.core.contracts import encode_data
from sagakit.core.messages import Message, name_based_id
from sagakit.ports import (
    Clock,
    Log,
    LogUnavailableError,
    OffsetOutOfRangeError,
    Query,
    Reader,
    Store,
    StoreUnavailableError,
    Transaction,
)
from sagakit.runtime.failpoints import failpoint
from sagakit.runtime.http.pages import Page, PageParams, cursor_of, text_of
from sagakit.runtime.http.problems import conflict, invalid, not_found
from sagakit.runtime.http.routes import Call, Id, Input, Nothing, Reply, Route
from sagakit.runtime.wire import draft
from shop_contracts.messages import UserProfileUpdated
from shop_contracts.money import to_major

PAGE = Path(__file__).with_name("page.html")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
)
TAG = "Analytics"
EVENT_STREAM = "text/event-stream"
STREAM_SECONDS = 1.0
TROUBLES = (StoreUnavailableError, LogUnavailableError, OffsetOutOfRangeError)
"""What passes: a stream tells of it, and goes on."""
TIME_CURSOR = re.compile(r"(-?[0-9]{1,15})/(.+)", re.DOTALL)
"""Milliseconds since 1970 (those of the years 1 to 9999 have at most 15 digits) and the key of a record."""
T = TypeVar("T")

Word = Annotated[str, Meta(max_length=64)]
UserId = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^(?!\.\.?$)[^/\x00-\x1f\x7f]+$")]
Text = Annotated[str, Meta(min_length=1, max_length=100)]
Age = Annotated[int, Meta(ge=0, le=10**9, description="Only what has waited for at least so many seconds.")]
Number = Annotated[int, Meta(ge=1, le=10**9)]


class WindowParams(Input, frozen=True, kw_only=True):
    """Which windows. Lengths are like `90s`, `5m`, `1h`, `1d`, or `1500ms`; times RFC 3339, or local in `tz`."""

    metric: Word = "orders"
    type: Word = "tumbling"
    size: Word | None = None
    step: Word | None = None
    gap: Word | None = None
    from_: Annotated[Word | None, Meta(description="The first moment at which a window may begin.")] = msgspec.field(
        default=None, name="from"
    )
    to: Word | None = None
    tz: Word = "UTC"
    currency: Word | None = None
    user_id: UserId | None = None


class UnmatchedParams(PageParams, frozen=True, kw_only=True):
    """Which page of the orders that wait for something."""

    min_age_seconds: Age = 0


class OrderParams(Input, frozen=True, kw_only=True):
    """Which order."""

    order_id: Id


class UserParams(Input, frozen=True, kw_only=True):
    """Which user."""

    user_id: UserId


class VersionParams(Input, frozen=True, kw_only=True):
    """Which version of the views."""

    version: Number


class ProfileBody(Input, frozen=True, kw_only=True):
    """Who a user is, whole: what is left out is not known any more."""

    name: Text | None = None
    segment: Text | None = None
    country: Text | None = None


class Accepted(msgspec.Struct, frozen=True, rename="camel"):
    """It was said, and will be seen once it was heard."""

    message_id: str


@dataclass(slots=True)
class Desk:
    """Answers from whatever version is live."""

    settings: AnalyticsSettings
    live: Live
    builder: Builder
    catalogue: Store
    stores: kept.Stores
    log: Log
    clock: Clock
    profiles: Profiles
    stopping: asyncio.Event
    _page: bytes = field(default_factory=PAGE.read_bytes)
    _shared: tuple[datetime, Summary | Exception] | None = None
    _sharing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def page(self, call: Call[Nothing, None]) -> Reply:
        """The dashboard: everything it needs is in it."""
        del call
        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return Reply(200, self._page, headers, "text/html")

    async def summary(self, call: Call[Nothing, None]) -> Summary:
        """Everything at a glance."""
        del call
        return await self.glance()

    async def glance_if_open(self) -> Summary | None:
        """Return the summary as of now; None before the views are open."""
        return None if self.live.store is None else await self.glance()

    async def glance(self) -> Summary:
        """Return the summary as of now."""
        now = self.clock.now()
        lateness_ms, partitions = self.settings.bounds.lateness_ms, self.log.partitions
        waiting_since = await self.waiting_since()
        at = Glance(self.live.version, self.settings.currency, lateness_ms, partitions, waiting_since, now)
        return await self._view(lambda reader: summary(reader, at))

    async def waiting_since(self) -> datetime | None:
        """Return when the log took the oldest event that is not handled yet."""
        ends = await self.log.ends(EVENT_TOPICS)
        done = await self._view(lambda reader: reader.progress(group_of(self.live.version)))
        ahead = {place: done.get(place, 0) for place, end in ends.items() if done.get(place, 0) < end}
        records = await self.log.fetch(ahead, len(ahead)) if ahead else []  # one of each
        return min((record.appended_at for record in records), default=None)

    async def stream(self, call: Call[Nothing, None]) -> Reply:
        """The summary, once a second, as server-sent events."""
        del call
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Reply(200, self._events(), headers, EVENT_STREAM)

    async def _events(self) -> AsyncIterator[bytes]:
        while not self.stopping.is_set():
            try:
                told = msgspec.json.Encoder(decimal_format="number").encode(await self._shared_glance())
                yield b"event: summary\ndata: " + told + b"\n\n"
            except TROUBLES as error:
                yield b": " + str(error).encode().replace(b"\n", b" ") + b"\n\n"
            try:
                await asyncio.wait_for(self.stopping.wait(), STREAM_SECONDS)
            except TimeoutError:
                continue

    async def _shared_glance(self) -> Summary:
        """Return a summary that may be as old as the interval of the stream: many watch, one is made.

        Raises:
            Exception: one of `TROUBLES`; who waited for the same look is told the same.
        """
        async with self._sharing:
            if self._shared is None or self.clock.now() - self._shared[0] >= timedelta(seconds=STREAM_SECONDS / 2):
                try:
                    made: Summary | Exception = await self.glance()
                except TROUBLES as error:
                    made = error
                self._shared = self.clock.now(), made
            found = self._shared[1]
        if isinstance(found, Exception):
            raise found
        return found

    async def windows(self, call: Call[WindowParams, None]) -> Windows:
        """The windows of a metric that begin in a range."""
        p = call.params
        try:
            asked = parsed(
                metric=p.metric,
                kind=p.type,
                currency=self.settings.currency if p.currency is None else p.currency,
                size=p.size,
                step=p.step,
                gap=p.gap,
                start=p.from_,
                end=p.to,
                zone_name=p.tz,
                user_id=p.user_id,
                now=self.clock.now(),
            )
            lateness_ms, partitions = self.settings.bounds.lateness_ms, self.log.partitions
            return await self._view(lambda reader: answer(reader, asked, lateness_ms, partitions))
        except WindowError as error:
            raise invalid(error.field, str(error)) from None

    async def high_value(self, call: Call[PageParams, None]) -> Page[HighValueShown]:
        """Orders above the threshold, the newest first, with what is known of them and of their users by now."""
        after = _time_cursor(call.params.cursor)
        query = Query(by="placed_ms", descending=True, after=after, limit=call.params.limit + 1)

        async def look(reader: Reader) -> tuple[list[HighValue], dict[str, Profile]]:
            rows = await reader.select(HIGH_VALUES, query)
            return rows, await self.profiles.find(reader, [row.user_id for row in rows])

        rows, profiles = await self.catalogue.view(look)
        shown = rows[: call.params.limit]
        orders = await self._view(lambda reader: reader.load(JOINED, [row.order_id for row in shown]))
        items = [_high_value(row, profiles.get(row.user_id), orders.get(row.order_id)) for row in shown]
        more = len(rows) > len(shown)
        return Page(items=items, next_cursor=_cursor_of(shown[-1].placed_ms, shown[-1].order_id) if more else None)

    async def order(self, call: Call[OrderParams, None]) -> JoinedShown:
        """One order, joined with its payment, reservation and shipment, whichever of them came."""
        order_id = call.params.order_id
        found = (await self._view(lambda reader: reader.load(JOINED, [order_id]))).get(order_id)
        if found is None:
            raise not_found("orderId", f"nothing was heard of an order {order_id}")
        profiles = await self.catalogue.view(lambda reader: self.profiles.find(reader, [found.user_id or ""]))
        return joined(found, profiles.get(found.user_id or ""))

    async def unmatched(self, call: Call[UnmatchedParams, None]) -> Page[UnmatchedShown]:
        """Orders of which something is missing, the oldest first, with their age."""
        now, p = self.clock.now(), call.params
        before = now - timedelta(seconds=p.min_age_seconds)
        rows = await self._view(lambda reader: unmatched(reader, before, _time_cursor(p.cursor), p.limit + 1))
        shown = rows[: p.limit]
        more = len(rows) > len(shown)
        cursor = _cursor_of(shown[-1].waiting_since_ms or 0, shown[-1].order_id) if more else None
        return Page(items=[unmatched_shown(row, now) for row in shown], next_cursor=cursor)

    async def products(self, call: Call[PageParams, None]) -> Page[ProductShown]:
        """Products by their ids: how many were ordered and sold, and what they brought."""
        p = call.params
        after = None if p.cursor is None else text_of(p.cursor)
        rows = await self._view(lambda reader: products(reader, after, p.limit + 1))
        shown = rows[: p.limit]
        items = [
            ProductShown(
                product_id=name,
                orders=sums.get(ORDERS, 0),
                confirmed=sums.get(CONFIRMED, 0),
                cancelled=sums.get(CANCELLED, 0),
                quantity=sums.get("quantity", 0),
                sold=sums.get("sold", 0),
                value=money_by_currency(sums, VALUE, None),
                revenue=money_by_currency(sums),
            )
            for name, sums in shown
        ]
        return Page(items=items, next_cursor=cursor_of(shown[-1][0]) if len(rows) > len(shown) else None)

    async def user(self, call: Call[UserParams, None]) -> UserShown:
        """A user: who it is, and the orders."""
        user_id = call.params.user_id
        sums = await self._view(lambda reader: user(reader, user_id, self.log.partitions))
        found = (await self.catalogue.view(lambda reader: self.profiles.find(reader, [user_id]))).get(user_id)
        if sums is None and found is None:
            raise not_found("userId", f"nothing was heard of a user {user_id}")
        counts = sums or {}
        return UserShown(
            user_id=user_id,
            profile=profile_shown(found),
            orders=counts.get(ORDERS, 0),
            confirmed=counts.get(CONFIRMED, 0),
            cancelled=counts.get(CANCELLED, 0),
            value=money_by_currency(counts, VALUE, None),
            revenue=money_by_currency(counts),
        )

    async def put_profile(self, call: Call[UserParams, ProfileBody]) -> Reply:
        """Say who a user is, on the topic that everybody hears it from."""
        user_id, body, now = call.params.user_id, call.body, self.clock.now()
        data = UserProfileUpdated(user_id=user_id, name=body.name, segment=body.segment, country=body.country)
        message = Message(
            id=name_based_id(user_id, PROFILE, now.isoformat()),
            type=PROFILE,
            source="analytics",
            time=now,
            saga_id=user_id,
            correlation_id=user_id,
            causation_id="",
            data=encode_data(data),
        )
        failpoint("http.before_commit")
        await self.catalogue.transact(lambda transaction: transaction.send([draft(USERS_TOPIC, message)]))
        failpoint("http.after_commit")
        return Reply(202, Accepted(message.id))

    async def versions(self, call: Call[Nothing, None]) -> Versions:
        """The versions of the views, and how far the one that is being built has come."""
        del call
        found = await self.catalogue.view(kept.all_versions)
        ends = await self.log.ends(EVENT_TOPICS)
        return Versions(versions=[await self._version(version, sum(ends.values())) for version in found])

    async def rebuild(self, call: Call[Nothing, None]) -> Reply:
        """Begin to build another version from the start of the log."""
        del call
        made = await self._change(lambda transaction: kept.begin(transaction, self.clock.now()))
        return Reply(202, await self._version(made, sum((await self.log.ends(EVENT_TOPICS)).values())))

    async def accept(self, call: Call[VersionParams, None]) -> VersionShown:
        """Make a version live that is different, or was live before."""
        number = call.params.version
        made = await self._change(lambda transaction: kept.accept(transaction, number, self.clock.now()))
        return await self._version(made, sum((await self.log.ends(EVENT_TOPICS)).values()))

    async def drop(self, call: Call[VersionParams, None]) -> Reply:
        """Drop a version that is not live, with all its rows."""
        number = call.params.version
        await self._change(lambda transaction: kept.forget(transaction, number))
        async with self.builder.letting_go(number):
            await self.stores.drop(number)
        return Reply(204)

    async def _change(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        failpoint("http.before_commit")
        try:
            changed = await self.catalogue.transact(work)
        except kept.NoVersionError as error:
            raise not_found("version", str(error)) from None
        except kept.VersionError as error:
            raise conflict("", str(error)) from None
        failpoint("http.after_commit")
        return changed

    async def _version(self, version: kept.Version, total: int) -> VersionShown:
        handled: int | None = None
        for follower in (self.live.follower, self.builder.follower):
            if follower is not None and follower.number == version.number:
                done = await follower.store.view(lambda reader: reader.progress(group_of(version.number)))
                handled = sum(done.values())
        return VersionShown(
            version=version.number,
            state=version.state,
            created_at=version.created_at,
            ended_at=version.ended_at,
            events_handled=handled,
            events_total=sum(version.target.values()) if version.state in kept.UNDER_WAY and version.target else total,
            differences=[*version.differences],
        )

    async def _view(self, look: Callable[[Reader], Awaitable[T]]) -> T:
        store = self.live.store
        if store is None:
            raise StoreUnavailableError("the views are not open yet")
        return await store.view(look)


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the service."""

    def get(path: str, handler: Any, summary: str, returns: Any, **more: Any) -> Route:  # noqa: ANN401 - passed on
        return Route(
            method="GET", path=path, handler=handler, summary=summary, returns={200: returns}, **{"tag": TAG, **more}
        )

    return [
        get("/", desk.page, "The dashboard", str, media_type="text/html", documented=False),
        get("/analytics", desk.summary, "Everything at a glance", Summary),
        get("/analytics/stream", desk.stream, "The same once a second", str, media_type=EVENT_STREAM),
        get("/analytics/windows", desk.windows, "A metric by windows", Windows, params=WindowParams),
        get("/analytics/high-value", desk.high_value, "Orders of high value", Page[HighValueShown], params=PageParams),
        get(
            "/analytics/orders/{orderId}",
            desk.order,
            "One order, joined",
            JoinedShown,
            params=OrderParams,
            problems=(404,),
        ),
        get("/analytics/unmatched", desk.unmatched, "Orders that wait", Page[UnmatchedShown], params=UnmatchedParams),
        get("/analytics/products", desk.products, "Products", Page[ProductShown], params=PageParams),
        get("/analytics/users/{userId}", desk.user, "One user", UserShown, params=UserParams, problems=(404,)),
        Route(
            method="PUT",
            path="/analytics/users/{userId}",
            handler=desk.put_profile,
            summary="Say who a user is",
            returns={202: Accepted},
            params=UserParams,
            body=ProfileBody,
            tag=TAG,
        ),
        get("/analytics/versions", desk.versions, "The versions of the views", Versions, tag="Versions"),
        Route(
            method="POST",
            path="/analytics/versions",
            handler=desk.rebuild,
            summary="Build another version",
            returns={202: VersionShown},
            problems=(409,),
            tag="Versions",
        ),
        Route(
            method="POST",
            path="/analytics/versions/{version}/accept",
            handler=desk.accept,
            summary="Make a version live",
            returns={200: VersionShown},
            params=VersionParams,
            problems=(404, 409),
            tag="Versions",
        ),
        Route(
            method="DELETE",
            path="/analytics/versions/{version}",
            handler=desk.drop,
            summary="Drop a version",
            returns={204: None},
            params=VersionParams,
            problems=(404, 409),
            tag="Versions",
        ),
    ]


def _high_value(row: HighValue, profile: Profile | None, order: JoinedOrder | None) -> HighValueShown:
    return HighValueShown(
        order_id=row.order_id,
        user_id=row.user_id,
        profile=profile_shown(profile),
        total=to_major(row.total_minor, row.currency),
        currency=row.currency,
        placed_at=moment(row.placed_ms),
        status=status(order),
        flags=[*order.flags] if order else [],
    )


def _cursor_of(time_ms: int, key: str) -> str:
    return cursor_of(f"{time_ms}/{key}")


def _time_cursor(cursor: str | None) -> tuple[int, str] | None:
    """Return behind which record a page begins.

    Raises:
        ProblemError: when the cursor was not made here.
    """
    if cursor is None:
        return None
    found = TIME_CURSOR.fullmatch(text_of(cursor))
    if found is None:
        raise invalid("cursor", "was not given out here; begin without one")
    return int(found.group(1)), found.group(2)
