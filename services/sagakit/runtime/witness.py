"""The witness of a service: what it said, once that is in the log, as metrics and as spans.

It looks at what the relay has published and at nothing else, so that nothing is counted or told that did not happen.
A span is a function of the message that it tells of: told twice, it is the same span.
"""

import enum
import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

from sagakit.core.control_contracts import StuckData
from sagakit.core.definition import Saga, Step
from sagakit.core.facts import AbortCode, Phase
from sagakit.core.messages import Message, Mode, message_id
from sagakit.core.part import ABORT, KILLED, RESUMED, STUCK, SUSPENDED
from sagakit.core.traces import (
    Place,
    Span,
    SpanKind,
    Value,
    parent_of_root,
    root_of,
    sampled,
    span_heard,
    span_of,
    trace_of,
)
from sagakit.ports import Draft, Record
from sagakit.runtime import catalogue as named
from sagakit.runtime.metrics import Counts, Distributions, Sample
from sagakit.runtime.telling import fields, ids_of
from sagakit.runtime.wire import type_in

SYSTEM = "sagaplane"
"""What carries the messages where nobody says otherwise: the log in a file."""
TIMED_OUT = (AbortCode.DEADLINE_PASSED, AbortCode.STEP_TIMED_OUT)
NANOSECONDS = 1_000_000
"""In a millisecond."""
INSTANT, MOMENT = 1, 1000
"""How long in nanoseconds a root and any other span of no length are.

Jaeger takes a span that ends when it begins, and one behind its parent that is no longer, for mistakes of clocks.
"""
POLL_LINKS_MAX = 128
"""OpenTelemetry's own limit of links per span."""
EARLY_MESSAGES_MAX = 20_000
"""About 20 MB: what is published while the definitions are loaded, which takes less than a second."""

log_lines = logging.getLogger(__name__)


class Spans(Protocol):
    """Where spans go. Nothing that happens to them there may be felt here."""

    def tell(self, span: Span) -> None:
        """Take a span; never wait, and never fail."""


class Kind(enum.Enum):
    """What a message says of its saga."""

    STARTED = enum.auto()
    COMPLETED = enum.auto()
    CANCELLED = enum.auto()
    SUCCEEDED = enum.auto()
    FAILED = enum.auto()
    UNDONE = enum.auto()


class Said(msgspec.Struct, frozen=True):
    """What is looked at of the envelope of a message: this is read of everything that is published, so it is little."""

    type: str = msgspec.field(name="ce_type")
    id: str = msgspec.field(name="ce_id")
    source: str = msgspec.field(name="ce_source")
    time: datetime = msgspec.field(name="ce_time")
    saga_id: str = msgspec.field(name="ce_sagaid")
    correlation_id: str = msgspec.field(name="ce_correlationid")
    causation_id: str = msgspec.field(name="ce_causationid", default="")
    mode: str = msgspec.field(name="ce_sagamode", default=Mode.CHOREOGRAPHY.value)
    definition: str = msgspec.field(name="ce_sagadefinition", default="")
    attempt: int = msgspec.field(name="ce_attempt", default=0)
    deadline: str = msgspec.field(name="ce_deadline", default="")
    traceparent: str | None = None
    took_milliseconds: int = msgspec.field(name="ce_tookmilliseconds", default=0)


class Role(NamedTuple):
    """What a type of message is in one definition, and the phase that it alone puts a saga in."""

    kind: Kind
    phase: Phase
    step: Step | None = None


class Seen(NamedTuple):
    """When something was said, in seconds since 1970, and where that is in the traces, if it is."""

    at: float
    trace_id: str = ""
    span_id: str = ""
    correlation_id: str = ""


UNTRACED = Seen(0.0)
CONTROLS = frozenset({ABORT, STUCK, SUSPENDED, RESUMED, KILLED})


class Witness:
    """Counts and tells what one service says about the sagas that it knows."""

    def __init__(
        self, service: str, sagas: Callable[[], Iterable[Saga]], informed: Callable[[], bool] = lambda: True
    ) -> None:
        """Speak for a service; `sagas` returns the definitions that it knows now.

        It is `informed` once it knows those of every saga that it may have spoken of before it was started.
        """
        self.service = service
        self.system = SYSTEM
        self.spans: Spans | None = None
        self.aborts = False
        """Whether it also aborts, when their time is over, sagas that others began."""
        self._sagas = sagas
        self.informed = informed
        self._early: list[Draft] = []
        self._known: tuple[str, ...] = ()
        self._roles: dict[tuple[str, str], Role] = {}
        self._by_ref: dict[str, Saga] = {}
        self._types: frozenset[bytes] = frozenset()
        self._started = Counts(named.STARTED)
        self._finished = Counts(named.FINISHED)
        self._duration = Distributions(named.DURATION)
        self._timeouts = Counts(named.TIMEOUTS)
        self._lateness = Distributions(named.LATENESS)
        self._step_duration = Distributions(named.STEP_DURATION)
        self._step_stuck = Counts(named.STEP_STUCK)
        self._compensations = Counts(named.COMPENSATIONS)
        self._exhausted = Counts(named.COMPENSATION_EXHAUSTED)
        self._compensation_duration = Distributions(named.COMPENSATION_DURATION)

    def published(self, drafts: Iterable[Draft]) -> None:
        """Count and tell what has just been published; until it is informed, keep it, as far as there is room."""
        self._early.extend(drafts)
        if self.informed() or len(self._early) > EARLY_MESSAGES_MAX:
            self._see_all()

    def retell(self, draft: Draft) -> None:
        """Tell the spans of a message again that was published before: whoever published it may have been killed."""
        self._learn()
        if type_in(draft.headers) in self._types:
            said = _decode(draft.headers)
            if said.source == self.service:
                self._tell(draft, said)

    def heard(self, group: str, messages: Sequence[Message], sources: Sequence[Record], now: datetime) -> None:
        """Tell that a group which only listens has handled these messages, which came in these records."""
        spans = self.spans
        if spans is None:
            return
        for message, source in zip(messages, sources, strict=True):
            if sampled(message.traceparent):
                spans.tell(self._heard(group, message, source.topic, now))

    def polled(self, group: str, messages: Sequence[Message], sources: Sequence[Record], now: datetime) -> None:
        """Tell that a group which only listens has handled a batch, by one span that links to some of its sagas."""
        del sources
        spans = self.spans
        traced = {m.saga_id: m for m in messages if sampled(m.traceparent)} if spans is not None else {}
        if spans is None or not traced:
            return
        first = messages[0].id
        place = Place(trace_of(f"{group}/{first}"), span_heard(first, group))
        some = [*traced.values()][:POLL_LINKS_MAX]
        begin = min(message.time for message in messages)
        about: dict[str, Value] = {
            named.SYSTEM: self.system,
            named.OPERATION: "poll",
            named.OPERATION_TYPE: "receive",
            named.GROUP: group,
            named.BATCH_COUNT: len(messages),
        }
        spans.tell(
            Span(
                service=self.service,
                place=place,
                name=f"poll {group}",
                kind=SpanKind.CLIENT,
                begin=nanoseconds(begin),
                end=nanoseconds(max(begin, now)) + MOMENT,
                attributes=about,
                links=tuple(_place(m.saga_id, m.traceparent, root_of(m.saga_id)) for m in some),
            )
        )

    def samples(self) -> Iterable[Sample]:
        """Return what was counted."""
        if self._early and self.informed():
            self._see_all()
        self._learn()
        for its in (
            *(self._started, self._finished, self._duration, self._timeouts, self._lateness),
            *(self._step_duration, self._step_stuck),
            *(self._compensations, self._exhausted, self._compensation_duration),
        ):
            yield from its.samples()

    def _see_all(self) -> None:
        drafts, self._early = self._early, []
        self._learn()
        types = self._types
        for draft in drafts:
            if type_in(draft.headers) in types:
                self._see(draft)

    def _learn(self) -> None:
        """Take up what definitions there are now; whatever can fail in them is counted from zero on."""
        sagas = [*self._sagas()]
        refs = tuple(saga.ref for saga in sagas)
        if refs == self._known:
            return
        self._known = refs
        self._by_ref = {saga.ref: saga for saga in sagas}
        self._roles = {(saga.ref, type_): role for saga in sagas for type_, role in _roles(saga).items()}
        self._types = frozenset(type_.encode() for type_ in (*CONTROLS, *(type_ for _, type_ in self._roles)))
        for saga in sagas:
            self._from_zero(saga)

    def _from_zero(self, saga: Saga) -> None:
        if saga.initiator.name == self.service:
            for mode in Mode:
                self._started.at(saga.ref, mode.value)
                for outcome in ("completed", "compensated", "killed"):
                    self._finished.at(saga.ref, mode.value, outcome)
            for code in TIMED_OUT:
                self._timeouts.at(saga.ref, code.value)
        if self.aborts or saga.initiator.name == self.service:
            for code in TIMED_OUT:
                self._lateness.at(saga.ref, code.value)
        for step in (step for step in saga.steps if step.participant == self.service):
            self._step_stuck.at(saga.ref, step.name)
            self._step_duration.at(saga.ref, step.name, "succeeded")
            if step.compensation is not None:
                self._compensation_duration.at(saga.ref, step.name)
                self._exhausted.at(saga.ref, step.name)
                for result in ("succeeded", "exhausted"):
                    self._compensations.at(saga.ref, step.name, result)

    def _see(self, draft: Draft) -> None:
        said = _decode(draft.headers)
        if said.source != self.service or said.definition not in self._by_ref:
            return
        traced = said.traceparent is not None and sampled(said.traceparent)
        if traced:
            place = self._place_of(said)
            seen = Seen(said.time.timestamp(), place.trace_id, place.span_id, said.correlation_id)
        else:
            seen = UNTRACED
        self._count(draft, said, seen)
        if traced and self.spans is not None:
            self._tell(draft, said)

    def _count(self, draft: Draft, said: Said, seen: Seen) -> None:
        ref, took = said.definition, said.took_milliseconds / 1000
        role = self._roles.get((ref, said.type))
        if role is None:
            self._count_control(draft, said, seen)
            return
        step = role.step.name if role.step is not None else ""
        match role.kind:
            case Kind.STARTED:
                self._started.at(ref, said.mode).add(*seen)
            case Kind.COMPLETED | Kind.CANCELLED:
                outcome = _outcome(said, role)
                self._finished.at(ref, said.mode, outcome).add(*seen)
                self._duration.at(ref, said.mode, outcome).observe(took, *seen)
            case Kind.SUCCEEDED | Kind.FAILED:
                self._step_duration.at(ref, step, _outcome_of_step(draft, role)).observe(took, *seen)
            case Kind.UNDONE:
                self._compensations.at(ref, step, "succeeded").add(*seen)
                self._compensation_duration.at(ref, step).observe(took, *seen)

    def _count_control(self, draft: Draft, said: Said, seen: Seen) -> None:
        ids = ids_of(said.saga_id, said.correlation_id, said.traceparent)._replace(span_id=seen.span_id)
        if said.type == STUCK:
            stuck = _decode_stuck(draft.value)
            if stuck.compensating:
                self._compensations.at(said.definition, stuck.step, "exhausted").add(*seen)
                self._exhausted.at(said.definition, stuck.step).add(*seen)
            else:
                self._step_stuck.at(said.definition, stuck.step).add(*seen)
            doing = "its compensation" if stuck.compensating else "it"
            extra = fields(ids, step=stuck.step, attempt=stuck.attempts)
            log_lines.warning("%s needs a person: %s failed %d times", stuck.step, doing, stuck.attempts, extra=extra)
        elif said.type == ABORT:
            code = _decode_code(draft.value).code
            if code in TIMED_OUT:
                self._timeouts.at(said.definition, code.value).add(*seen)
                self._lateness.at(said.definition, code.value).observe(said.took_milliseconds / 1000, *seen)
            log_lines.info("asked to abort: %s", code, extra=fields(ids))

    def _tell(self, draft: Draft, said: Said) -> None:
        spans, role = self.spans, self._roles.get((said.definition, said.type))
        if spans is None or not sampled(said.traceparent) or (role is None and said.type not in CONTROLS):
            return
        span = self._told(draft, said, role) if role is not None else self._control(draft, said)
        spans.tell(span)

    def _told(self, draft: Draft, said: Said, role: Role) -> Span:
        step = role.step
        about = self._about(draft.topic, said, "send" if step is None else "process")
        about[named.DEFINITION], about[named.MODE] = said.definition, said.mode
        about[named.PHASE] = role.phase.value
        error = ""
        links: tuple[Place, ...] = ()
        if step is not None:
            about[named.STEP], about[named.ATTEMPT] = step.name, said.attempt
        match role.kind:
            case Kind.STARTED:
                if said.deadline:
                    about[named.DEADLINE] = _in_utc(said.deadline)
                return self._root(said, about)
            case Kind.COMPLETED | Kind.CANCELLED:
                name, kind = named.END_SPAN.name, SpanKind.PRODUCER
                about[named.OUTCOME] = outcome = _outcome(said, role)
                error = "" if role.kind is Kind.COMPLETED else outcome
                if outcome == "killed":
                    about[named.PHASE] = Phase.KILLED.value
            case Kind.UNDONE:
                assert step is not None, "only steps are taken back"
                name, kind = named.COMPENSATION_SPAN.name.format(step=step.name), SpanKind.CONSUMER
                about[named.COMPENSATION] = True
                forward = message_id(said.saga_id, step.name, step.success)
                links = (_place(said.saga_id, said.traceparent, span_of(forward)),)
            case Kind.SUCCEEDED | Kind.FAILED:
                assert step is not None, "only steps succeed and fail"
                name, kind = named.STEP_SPAN.name.format(step=step.name), SpanKind.CONSUMER
                about[named.OUTCOME] = outcome = _outcome_of_step(draft, role)
                error = "" if role.kind is Kind.SUCCEEDED else outcome
        return self._span(said, name, kind, about, error, links)

    def _control(self, draft: Draft, said: Said) -> Span:
        about = self._about(draft.topic, said, "send")
        name, error = said.type, ""
        if said.type == STUCK:
            stuck = _decode_stuck(draft.value)
            name, error = named.STUCK_SPAN.name.format(step=stuck.step), "exhausted"
            about[named.STEP], about[named.COMPENSATION] = stuck.step, stuck.compensating
            about[named.PHASE] = Phase.NEEDS_INTERVENTION.value
        elif said.type == ABORT:
            name, error = named.ABORT_SPAN.name, _decode_code(draft.value).code.value
        elif said.type == KILLED:
            about[named.PHASE] = Phase.KILLED.value
        return self._span(said, name, SpanKind.PRODUCER, about, error, ())

    def _root(self, said: Said, about: dict[str, Value]) -> Span:
        assert said.traceparent is not None, "only what is traced is told"
        at = nanoseconds(said.time)
        return Span(
            service=self.service,
            place=self._place_of(said),
            parent_id=parent_of_root(said.saga_id, said.traceparent),
            name=named.ROOT_SPAN.name,
            kind=SpanKind.PRODUCER,
            begin=at,
            end=at + INSTANT,
            attributes=about,
        )

    def _span(
        self,
        said: Said,
        name: str,
        kind: SpanKind,
        about: dict[str, Value],
        error: str,
        links: tuple[Place, ...],
    ) -> Span:
        end = nanoseconds(said.time)
        if error:
            about[named.ERROR_TYPE] = error
        return Span(
            service=self.service,
            place=self._place_of(said),
            parent_id=root_of(said.saga_id),
            name=name,
            kind=kind,
            begin=end - said.took_milliseconds * NANOSECONDS,
            end=end + MOMENT,
            attributes=about,
            links=links,
            error=error,
        )

    def _place_of(self, said: Said) -> Place:
        """Return where the span of this message is."""
        role = self._roles.get((said.definition, said.type))
        begins = role is not None and role.kind is Kind.STARTED
        return _place(said.saga_id, said.traceparent, root_of(said.saga_id) if begins else _span_of(said))

    def _about(self, topic: str, said: Said | Message, operation: str) -> dict[str, Value]:
        return {
            named.SYSTEM: self.system,
            named.OPERATION: operation,
            named.OPERATION_TYPE: operation,
            named.DESTINATION: topic,
            named.MESSAGE_ID: said.id,
            named.MESSAGE_TYPE: said.type,
            named.CONVERSATION: said.correlation_id,
            named.CORRELATION_ID: said.correlation_id,
            named.SAGA_ID: said.saga_id,
        }

    def _heard(self, group: str, message: Message, topic: str, now: datetime) -> Span:
        about = self._about(topic, message, "process")
        about[named.GROUP] = group
        return Span(
            service=self.service,
            place=_place(message.saga_id, message.traceparent, span_heard(message.id, group)),
            parent_id=root_of(message.saga_id),
            name=named.LISTEN_SPAN.name.format(topic=topic),
            kind=SpanKind.CONSUMER,
            begin=nanoseconds(message.time),
            end=nanoseconds(max(message.time, now)) + MOMENT,
            attributes=about,
            links=(_place(message.saga_id, message.traceparent, _span_of(message)),),
        )


def nanoseconds(moment: datetime) -> int:
    """Return the moment as OTLP has it."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


def _in_utc(moment: str) -> str:
    return datetime.fromisoformat(moment).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _roles(saga: Saga) -> dict[str, Role]:
    roles = {
        saga.started: Role(Kind.STARTED, Phase.PENDING),
        saga.completed: Role(Kind.COMPLETED, Phase.COMPLETED),
        saga.cancelled: Role(Kind.CANCELLED, Phase.COMPENSATED),
    }
    for step in saga.steps:
        roles[step.success] = Role(Kind.SUCCEEDED, Phase.RUNNING, step)
        if step.failure:
            roles[step.failure] = Role(Kind.FAILED, Phase.COMPENSATING, step)
        if step.compensated:
            roles[step.compensated] = Role(Kind.UNDONE, Phase.COMPENSATING, step)
    return roles


def _outcome(said: Said, role: Role) -> str:
    if role.kind is Kind.COMPLETED:
        return "completed"
    return "killed" if said.causation_id == message_id(said.saga_id, "", KILLED) else "compensated"


def _outcome_of_step(draft: Draft, role: Role) -> str:
    if role.kind is Kind.SUCCEEDED:
        return "succeeded"
    return "barred" if _decode_failed(draft.value).barred else "refused"


def _span_of(said: Said | Message) -> str:
    """Return the id of the span of this message; only the request to abort is said by two, under one id."""
    return span_of(f"{said.id} {said.source}" if said.type == ABORT else said.id)


def _place(saga_id: str, traceparent: str | None, span_id: str) -> Place:
    return Place(trace_of(saga_id, traceparent), span_id)


class _Failed(msgspec.Struct, frozen=True):
    barred: bool = False


class _Aborted(msgspec.Struct, frozen=True):
    code: AbortCode


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)
_decode = msgspec.json.Decoder(Said, strict=False).decode
_decode_failed = msgspec.json.Decoder(_Failed).decode
_decode_stuck = msgspec.json.Decoder(StuckData).decode
_decode_code = msgspec.json.Decoder(_Aborted).decode
