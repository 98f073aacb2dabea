"""The moves, made: each speaks to the API server, to the order service or to the log, and what came of it is known."""

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from saga_operator.cluster import Cluster, ClusterError, NotThereError, RefusedError, UnavailableError
from saga_operator.held import Held, Key, Malformed, encoded
from saga_operator.orders import OrderService, OrdersUnavailableError, RefusedOrderError
from saga_operator.reconcile import (
    CONTESTABLE,
    CONTESTED,
    IN_DOUBT,
    Find,
    Hold,
    Move,
    Place,
    Presence,
    Refusal,
    Release,
    Remove,
    SpeakAbort,
    Wish,
    deadline_of,
    grants,
    idempotency_key,
)
from saga_operator.report import report_malformed
from saga_operator.resources import (
    FINALIZER,
    ORDER_SAGA_KIND,
    ORDER_SAGA_PLURAL,
    STARTED_AT,
    TERMINAL_STAYS,
    OrderSaga,
    Status,
    parse,
)
from saga_operator.tracker import Sagas, merged
from sagakit.core.contracts import encode_data
from sagakit.core.facts import Phase, Verb
from sagakit.core.messages import Message, message_id
from sagakit.core.part import ABORT
from sagakit.core.state import SagaState
from sagakit.core.traces import Place as SpanPlace
from sagakit.core.traces import Span, root_of, sampled, span_of, took, trace_of
from sagakit.ports import Clock, Log
from sagakit.runtime.catalogue import CORRELATION_ID, DEFINITION, MODE, PLACE_SPAN, RESOURCE, SAGA_ID
from sagakit.runtime.topics import SAGAS_EVENTS
from sagakit.runtime.wire import draft
from sagakit.runtime.witness import MOMENT, Spans, Witness, nanoseconds
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

log_lines = logging.getLogger(__name__)

NAME = "operator"
CONTROLLER = "sagaplane.io/operator"
CORRELATION_FIELD = "/correlationId"
PASSING_FIELDS = frozenset({"/definition", "/deadline"})
"""What is refused for a reason of its own: a definition comes with its topic, and what a deadline means we know."""
QUIET = frozenset({Phase.PENDING})
"""Phases that are told by no Event: nothing has happened yet."""
UNSENT = timedelta(minutes=1)
"""How long ago the span of a saga may have been told and not sent: a second, the lease of who told it, and a start."""

NOTE_BYTES_MAX = 900
"""How much of a note is told: of its 1024 bytes at most, the rest is for the saga's id."""


@dataclass
class Acts:
    """What the operator can do."""

    cluster: Cluster
    orders: OrderService
    log: Log
    sagas: Sagas
    clock: Clock
    identity: str
    counts: Counter[str] = field(default_factory=Counter)
    witness: Witness = field(init=False)
    """Sees what is published: metrics and spans come from that."""

    def __post_init__(self) -> None:
        """See what is published of the sagas that are known here."""
        self.witness = Witness(NAME, self.sagas.definitions.values)
        self.witness.aborts = True

    async def make(self, held: Held, move: Move) -> None:
        """Make the move.

        Raises:
            ClusterError, OrdersUnavailableError, LogUnavailableError: when it has to be made again.
        """
        match move:
            case Hold():
                await self._hold(held, move)
            case Place():
                await self._place(held, move)
            case Find():
                await self._find(held)
            case Wish():
                await self._wish(held, move)
            case SpeakAbort():
                await self._speak(held, move)
            case Release():
                await self._release(held)
            case Remove():
                await self.cluster.delete_ordersaga(*held.key, held.resource.uid)

    async def tell(self, held: Held, status: Status, body: dict[str, Any], now: datetime) -> bool:
        """Write the status, with one Event before it for a transition that it tells: a repeat has the same name."""
        its = held.resource
        before = its.status.transitions
        if len(status.transitions) != len(before) or status.transitions[-1:] != before[-1:]:
            await self._announce(held, status, before[-1].time if before else None)
        return await self.write(held, body, now)

    async def write(self, held: Held, body: dict[str, Any], now: datetime) -> bool:
        """Write the status as it is given; false when that is refused for now, and to be tried again later."""
        its = held.resource
        held.written, held.written_at = encoded(body), now
        try:
            answer = await self.cluster.apply_status(ORDER_SAGA_KIND, ORDER_SAGA_PLURAL, *held.key, its.uid, body)
        except RefusedError as error:
            return await self._refused(held, str(error))
        except ClusterError:
            held.written = None
            raise
        held.refusal = ""
        held.wrote(_newer(held.resource, answer), answer.get("status") or body)
        return True

    async def _refused(self, held: Held, why: str) -> bool:
        """Tell that the status is not as it should be. The saga and what the object holds do not wait for that."""
        self.counts["statuses refused"] += 1
        foreign = TERMINAL_STAYS.message in why
        if held.refusal != why:
            held.refusal = why
            log_lines.warning("the status of OrderSaga %s/%s cannot be written: %s", *held.key, why)
            if foreign:
                note = f"somebody else wrote that it ended, which stays; the saga itself stands otherwise: {why}"
                await self.warn(held, "StatusForeign", note)
        if not foreign:
            held.written = None
        return foreign

    def trace(self, held: Held) -> None:
        """Be in the trace of the saga, once it is known; who leads next says the same again, under the same id."""
        spans, state = self.witness.spans, held.known.state
        if spans is None or held.traced or state is None or state.started_at is None:
            return
        held.traced = True
        self._be_in_trace(held, state, state.started_at, spans)

    async def trace_ended(self, held: Held, now: datetime) -> None:
        """Be in the trace of a saga that had ended before we led, if its span may have died with who led then."""
        spans, ended_at, known = self.witness.spans, held.resource.status.completion_time, held.known
        if spans is None or held.traced or ended_at is None or now - ended_at > UNSENT:
            return
        if known.state is not None or known.presence is not Presence.UNKNOWN:
            return
        found = await self.orders.find(known.saga_id)
        held.traced = True
        if found is not None and found.state.started_at is not None:
            self._be_in_trace(held, found.state, found.state.started_at, spans)

    def _be_in_trace(self, held: Held, state: SagaState, started_at: datetime, spans: Spans) -> None:
        if not sampled(state.traceparent):
            return
        saga_id, begin = state.saga_id, nanoseconds(started_at)
        spans.tell(
            Span(
                service=NAME,
                place=SpanPlace(trace_of(saga_id, state.traceparent), span_of(f"{PLACE_SPAN.name} {saga_id}")),
                parent_id=root_of(saga_id),
                name=PLACE_SPAN.name,
                begin=begin,
                end=begin + MOMENT,
                attributes={
                    SAGA_ID: saga_id,
                    CORRELATION_ID: state.correlation_id,
                    DEFINITION: state.definition,
                    MODE: state.mode.value,
                    RESOURCE: "/".join(held.key),
                },
            )
        )

    async def tell_malformed(self, key: Key, malformed: Malformed) -> None:
        """Say in the status why the resource means nothing. Where nothing was begun for it, it may leave at once."""
        metadata = malformed.metadata
        finalizers = [str(name) for name in metadata.get("finalizers") or ()]
        if metadata.get("deletionTimestamp"):
            if FINALIZER in finalizers and not malformed.begun:
                left = [name for name in finalizers if name != FINALIZER]
                patch = {"resourceVersion": metadata.get("resourceVersion"), "finalizers": left or None}
                await self.cluster.patch_ordersaga(*key, {"metadata": patch})
            return
        if malformed.told:
            return
        now = self.clock.now()
        ended_at = min(malformed.ended_at or now, now)
        generation = int(metadata.get("generation") or 1)
        body = report_malformed(malformed.sentence, generation, ended_at, malformed.started_at).to_body()
        await self.cluster.apply_status(ORDER_SAGA_KIND, ORDER_SAGA_PLURAL, *key, str(metadata["uid"]), body)
        malformed.told, malformed.ended_at = True, ended_at

    async def warn(self, held: Held, reason: str, note: str) -> None:
        """Tell by an Event that something was not done; once for each note."""
        await self._event(held, "Warning", reason, note, note)

    async def _hold(self, held: Held, move: Hold) -> None:
        its = held.resource
        metadata: dict[str, Any] = {"resourceVersion": its.resource_version}
        if STARTED_AT not in its.annotations and its.spec.saga_ref is None:
            metadata["annotations"] = {STARTED_AT: move.started_at.isoformat()}
        if move.finalizer and FINALIZER not in its.finalizers:
            metadata["finalizers"] = [*its.finalizers, FINALIZER]
        answer = await self.cluster.patch_ordersaga(*held.key, {"metadata": metadata})
        held.resource = _newer(held.resource, answer)
        if move.first:
            held.know(presence=Presence.ABSENT)

    async def _place(self, held: Held, move: Place) -> None:
        its = held.resource
        try:
            await self.orders.place(_order(its, move.deadline), idempotency_key(its))
        except RefusedOrderError as error:
            if error.field in PASSING_FIELDS:
                raise OrdersUnavailableError(str(error), undone=True) from error
            ours = its.spec.idempotency_key is None or not held.known.surely_absent
            if error.conflict and error.field != CORRELATION_FIELD and ours:
                # It is our own order, sent before with what has changed since, as far as anybody can tell now.
                held.know(presence=Presence.UNKNOWN)
                raise OrdersUnavailableError(str(error)) from error
            held.know(refusal=Refusal(str(error), conflict=error.conflict), trouble="")
            return
        except OrdersUnavailableError as error:
            if not error.undone:
                held.know(presence=Presence.UNKNOWN, doubted_until=self.clock.now() + IN_DOUBT)
            raise
        # It is said in the log; if that is not heard soon, it is looked up.
        held.know(presence=Presence.PRESENT, trouble="", looked_at=self.clock.now())

    async def _find(self, held: Held) -> None:
        found = await self.orders.find(held.known.saga_id)
        now = self.clock.now()
        if found is None:
            held.know(presence=Presence.ABSENT, state=None, looked_at=now, trouble="")
            return
        definition = self.sagas.definition(found.state.definition)
        state = merged(held.known.state, found.state, found.as_of)
        held.know(presence=Presence.PRESENT, state=state, definition=definition, looked_at=now, trouble="")

    async def _wish(self, held: Held, move: Wish) -> None:
        known = held.known
        actor = f"OrderSaga {held.key[0]}/{held.key[1]}"[:100]
        granted = await self.orders.wish(known.saga_id, move.verb, move.reason, actor)
        asked = {**known.asked, move.verb: self.clock.now()}
        token = move.token or known.retry_token
        retries = known.retries + move.automatic
        if granted is None:
            held.know(presence=Presence.UNKNOWN)
            return
        declined = dict(known.declined)
        if not granted.granted and move.verb is not Verb.RETRY:
            declined[move.verb] = granted.sentence
        held.know(asked=asked, retry_token=token, retries=retries, declined=declined, trouble="")
        if not granted.granted:
            await self.warn(held, f"{move.verb.value.title().replace('-', '')}Refused", granted.sentence)
            return
        if not granted.effect:
            return
        generation, number = held.resource.generation, grants(held.resource, known, move.verb) + 1
        before = known.granted if known.granted_generation == generation else {}
        held.know(granted={**before, move.verb: number}, granted_generation=generation)
        if number == CONTESTED and move.verb in CONTESTABLE:
            note = f"{move.verb} was granted {number} times and undone again: somebody else, perhaps another OrderSaga "
            await self.warn(held, "WishContested", f"{note}of this saga, wishes the opposite; it is wished less often")

    async def _speak(self, held: Held, move: SpeakAbort) -> None:
        """Publish the one AbortSaga of this saga; its id is the same whoever publishes it, so several are one."""
        drafts = [draft(SAGAS_EVENTS, _abort(held, move, self.clock.now()))]
        await self.log.publish(drafts)
        self.witness.published(drafts)
        self.counts["aborts"] += 1
        held.know(spoken=True)

    async def _release(self, held: Held) -> None:
        its = held.resource
        left = [name for name in its.finalizers if name != FINALIZER]
        patch = {"metadata": {"resourceVersion": its.resource_version, "finalizers": left or None}}
        answer = await self.cluster.patch_ordersaga(*held.key, patch)
        held.resource = _newer(held.resource, answer)

    async def _announce(self, held: Held, status: Status, since: datetime | None) -> None:
        """Tell a transition under a name made of when the one before was: no two have the same, and it is stored.

        How many there were would not do: a status keeps the last ones only.
        """
        phase = status.phase
        if phase is None or phase in QUIET:
            return
        kind = "Normal" if phase in (Phase.RUNNING, Phase.COMPLETED) else "Warning"
        mark = f"{phase.value} {since.isoformat() if since is not None else ''}"
        await self._event(held, kind, phase.value, status.message or phase.value, mark)

    async def _event(self, held: Held, kind: str, reason: str, note: str, mark: str) -> None:
        if mark in held.told:
            return
        its = held.resource
        digest = hashlib.sha256(f"{its.uid} {mark}".encode()).hexdigest()[:16]
        body = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"{its.name[:236].rstrip('-.')}.{digest}", "namespace": its.namespace},
            "eventTime": self.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self.identity[:128] or NAME,
            "action": "Reconcile",
            "reason": reason[:128],
            "type": kind,
            "note": f"{_in_bytes(note, NOTE_BYTES_MAX)} (saga {held.known.saga_id})",
            "regarding": {
                "apiVersion": "sagaplane.io/v1alpha1",
                "kind": ORDER_SAGA_KIND,
                "name": its.name,
                "namespace": its.namespace,
                "uid": its.uid,
                "resourceVersion": its.resource_version,
            },
        }
        for again in (True, False):
            try:
                await self.cluster.create_event(its.namespace, body)
            except NotThereError:
                return
            except ClusterError as error:
                if again and isinstance(error, UnavailableError):
                    continue  # its name is the same: it is there once, whichever of the two was heard
                self.counts["events lost"] += 1
                return
            held.told.add(mark)
            return


def _in_bytes(text: str, most: int) -> str:
    """Return as many whole characters of the text as fit: the API server counts the bytes of a note."""
    return text.encode()[:most].decode(errors="ignore")


def _newer(its: OrderSaga, answer: dict[str, Any]) -> OrderSaga:
    """Return the resource as a write left it, unless the watch brought a newer one before its answer came."""
    parsed = parse(answer)
    return parsed if parsed.uid == its.uid and not parsed.is_older_than(its) else its


def _order(its: OrderSaga, deadline: datetime) -> dict[str, Any]:
    """Return the order as the order service takes it."""
    spec = its.spec
    assert spec.order is not None, "only an order is placed"
    order: dict[str, Any] = {
        "userId": spec.order.user_id,
        "items": [{"productId": i.product_id, "quantity": i.quantity, "price": i.price} for i in spec.order.items],
        "currency": spec.order.currency,
        "refundPolicy": spec.order.refund_policy.method.value,
        "mode": spec.mode.mode.value,
        "deadline": deadline.isoformat(),
    }
    if spec.correlation_id is not None:
        order["correlationId"] = spec.correlation_id
    if spec.definition_ref is not None:
        order["definition"] = spec.definition_ref.ref
    return order


def _abort(held: Held, move: SpeakAbort, now: datetime) -> Message:
    """Return the request to abort; what is not known of the saga is as its resource wants it."""
    its, known, state = held.resource, held.known, held.known.state
    ref = its.spec.definition_ref
    told = {"sagaId": known.saga_id, "code": move.code, "reason": move.reason, "requestedBy": NAME}
    return Message(
        id=message_id(known.saga_id, "", ABORT),
        type=ABORT,
        source=NAME,
        time=now,
        saga_id=known.saga_id,
        correlation_id=state.correlation_id if state else its.spec.correlation_id or known.saga_id,
        causation_id="",
        mode=state.mode if state else its.spec.mode.mode,
        definition=state.definition if state else ref.ref if ref else ORDER_SAGA.ref,
        data_version=SHOP.version_of(ABORT),
        took_milliseconds=took(move.due, now),
        deadline=deadline_of(its, known),
        traceparent=state.traceparent if state else None,
        data=encode_data(told),
    )
