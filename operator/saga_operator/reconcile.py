"""What is to be done about one resource now: a pure function of it, of what is known of its saga, and of the time.

Level-based: it looks at how things stand and never at how they came to stand so. A plan that was carried out by half,
or twice, or by two operators at once, leads to the same place, because each move is one that may be repeated.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import MAXYEAR, MINYEAR, datetime, timedelta

from saga_operator.resources import FINALIZER, STARTED_AT, DeletionPolicy, OrderSaga
from sagakit.core.deadlines import due_at, due_now
from sagakit.core.definition import Saga
from sagakit.core.facts import AbortCode, Phase, Verb
from sagakit.core.messages import name_based_id
from sagakit.core.state import SagaState, pivot_succeeded
from shop_contracts.identity import keyed_order_id

AGAIN = timedelta(seconds=5)
"""How long a wish that was granted may take to show before it is wished again."""
CONTESTED = 3
"""How often a wish is granted before it is told that somebody wishes the opposite."""
DOUBLED_MAX = 6
"""How often the wait doubles before such a wish is passed on again: up to 320 s."""
NEW = timedelta(seconds=10)
"""How long after it was made a resource that nobody wrote to is known to be untouched."""
IN_DOUBT = timedelta(seconds=20)
"""How long after it was sent, and not answered, an order may still be placed."""
LOOK_AGAIN = timedelta(seconds=30)
"""How often a running saga is looked up at the order service, in case something was not heard."""
CONTESTABLE = (Verb.SUSPEND, Verb.RESUME)
"""Wishes that somebody else can undo."""
DELETED = "its OrderSaga was deleted"
UNNAMED_REASON = "asked by its OrderSaga"


class Presence(enum.Enum):
    """Whether the order service has the saga: not asked yet, no, or yes."""

    UNKNOWN = "unknown"
    ABSENT = "absent"
    PRESENT = "present"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the order service will not place the order; a `conflict` is a clash with another one."""

    sentence: str
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the saga of one resource.

    It is absent only when the order service said so, or when nothing can have been sent: an order whose placing has no
    known outcome is unknown. That it is absent is certain only when it was said after `doubted_until`. `trouble` is why
    the last move failed. `spoken` tells that we published its AbortSaga; `asked` when each wish was last passed on, and
    `granted` how often for the spec of `granted_generation`; `declined` what the order service answered to a wish that
    it did not grant, and `retry_token` for which token a retry was asked.
    """

    saga_id: str
    presence: Presence = Presence.UNKNOWN
    state: SagaState | None = None
    definition: Saga | None = None
    refusal: Refusal | None = None
    trouble: str = ""
    spoken: bool = False
    looked_at: datetime | None = None
    doubted_until: datetime | None = None
    asked: Mapping[Verb, datetime] = field(default_factory=dict)
    granted: Mapping[Verb, int] = field(default_factory=dict)
    granted_generation: int = 0
    declined: Mapping[Verb, str] = field(default_factory=dict)
    retries: int = 0
    retry_token: str | None = None

    @property
    def surely_absent(self) -> bool:
        """True when there is no saga, and nothing that was sent can bring one about."""
        if self.presence is not Presence.ABSENT:
            return False
        return self.doubted_until is None or (self.looked_at is not None and self.looked_at >= self.doubted_until)


@dataclass(frozen=True, slots=True)
class Hold:
    """Write down when it starts and, where leaving would lose money, hold the object until nothing is owed.

    `first` tells that nothing can have been sent for it before.
    """

    started_at: datetime
    finalizer: bool
    first: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Place the order, under its idempotency key and with its deadline."""

    deadline: datetime


@dataclass(frozen=True, slots=True)
class Find:
    """Ask the order service how the saga stands."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Pass a wish on to the order service; `token` is that of `spec.retryToken`, `automatic` when nobody asked."""

    verb: Verb
    reason: str
    token: str | None = None
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class SpeakAbort:
    """Publish the AbortSaga that the deadline demands."""

    code: AbortCode
    reason: str
    due: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """Take the finalizer off: nothing is owed any more."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete the object: it has ended long enough ago."""


Move = Hold | Place | Find | Wish | SpeakAbort | Release | Remove


@dataclass(frozen=True, slots=True)
class Ending:
    """How a saga ended that never began: nothing had to be taken back."""

    reason: str
    sentence: str
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves to make, in this order, how it ended if it never began, and when to look again if nothing happens."""

    moves: tuple[Move, ...] = ()
    ending: Ending | None = None
    wake_at: datetime | None = None


def saga_id_of(its: OrderSaga) -> str:
    """Return the id of the resource's saga, which is that of its order.

    It derives from the user and, where there is an idempotency key, from that, the namespace and the name, else from
    the UID: what is made again with its key, for the same user, is the same order.
    """
    spec = its.spec
    if spec.saga_ref is not None:
        return spec.saga_ref.saga_id
    assert spec.order is not None, "an OrderSaga has an order or a sagaRef"
    return keyed_order_id(spec.order.user_id, idempotency_key(its))


def idempotency_key(its: OrderSaga) -> str:
    """Return the key under which the order service places the resource's order, once."""
    key = its.spec.idempotency_key
    return name_based_id("OrderSaga", its.namespace, its.name, key) if key else its.uid


def started_at(its: OrderSaga) -> datetime | None:
    """Return when the resource's order was first about to be placed: by its mark, or where that is gone by its status.

    `kubectl replace` takes the mark off, and leaves the status. A mark that is none counts as the resource's creation,
    and so does one that is older: it came with a copy.
    """
    text, seen = its.annotations.get(STARTED_AT), its.status
    if text is not None:
        return max(_time(text) or its.created_at, its.created_at)
    if its.spec.saga_ref is not None or (seen.deadline is None and seen.start_time is None):
        return None
    if seen.deadline is None:
        return max(_plausible(seen.start_time) or its.created_at, its.created_at)
    deadline = _plausible(seen.deadline)
    return max(deadline - timedelta(seconds=its.spec.timeout_seconds), its.created_at) if deadline else its.created_at


def is_new(its: OrderSaga, now: datetime) -> bool:
    """Tell whether nothing can have been sent for the resource: nothing on it tells so, and nothing was taken off.

    What waits since it was made may be old; else, an old one that nobody wrote to has lost what was written.
    """
    if started_at(its) is not None or _is_held(its) or its.spec.idempotency_key is not None or its.generation > 1:
        return False
    return its.spec.suspend or its.spec.cancel or now - its.created_at < NEW


def deadline_of(its: OrderSaga, known: Known) -> datetime | None:
    """Return the saga's deadline; as long as it is not known, that which its order is placed with."""
    if known.state is not None and known.state.deadline is not None:
        return known.state.deadline
    began = started_at(its)
    if its.spec.saga_ref is not None or began is None:
        return its.status.deadline
    return began + timedelta(seconds=its.spec.timeout_seconds)


def reconcile(its: OrderSaga, known: Known, now: datetime, *, draining: bool = False) -> Plan:
    """Return the plan. `draining` means that the platform is being taken away: nothing new is begun."""
    ended_at = _ended_at(its, known)
    if ended_at is not None and known.presence is Presence.UNKNOWN and known.state is None and _is_held(its):
        # Anybody can write a status: its word alone lets nothing go that money may be owed for.
        return Plan((Find(),), wake_at=now + AGAIN)
    if ended_at is not None:
        return _after_the_end(its, ended_at, now)
    if its.deleted_at is not None:
        return _before_deletion(its, known, now, draining=draining)
    ending = never_begins(its, known, now)
    if ending is not None:
        return Plan(_released(its), ending)
    if its.spec.saga_ref is None and started_at(its) is None and not _heard_of(known):
        return _before_the_beginning(its, known, now, draining=draining)
    moves: list[Move] = [*_hold(its, known, now, draining=draining), *_speak(its, known, now)]
    if known.presence is not Presence.PRESENT:
        return Plan((*moves, *_seek(its, known, now)), wake_at=_wake(its, known, now))
    moves += _wishes(its, known, now)
    if known.looked_at is None or now - known.looked_at >= LOOK_AGAIN or known.state is None:
        moves.append(Find())
    return Plan(tuple(moves), wake_at=_wake(its, known, now))


def never_begins(its: OrderSaga, known: Known, now: datetime) -> Ending | None:
    """Return how it ended, when its saga never began and never will."""
    if known.refusal is not None:
        return Ending("Conflict" if known.refusal.conflict else "InvalidOrder", known.refusal.sentence, valid=False)
    if its.spec.saga_ref is not None or known.presence is Presence.PRESENT:
        return None
    if not known.surely_absent and not (is_new(its, now) and not _heard_of(known)):
        return None
    if its.spec.cancel:
        return Ending("CANCELLED", f"cancelled before it was placed: {its.spec.cancel_reason or UNNAMED_REASON}")
    deadline = deadline_of(its, known)
    if deadline is not None and now >= deadline:
        why = f": {known.trouble}" if known.trouble else ""
        return Ending("DEADLINE_PASSED", f"the deadline passed before the order could be placed{why}")
    return None


def _ended_at(its: OrderSaga, known: Known) -> datetime | None:
    """Return when it ended, as far as it has: told by the saga, or written down before where the saga tells nothing."""
    if known.state is not None and known.state.phase.terminal:
        return known.state.ended_at or its.status.completion_time
    if known.state is not None and known.presence is Presence.PRESENT:
        return None
    if its.status.phase in _TERMINAL and its.status.completion_time is not None:
        return its.status.completion_time
    return None


def _after_the_end(its: OrderSaga, ended_at: datetime, now: datetime) -> Plan:
    moves: tuple[Move, ...] = _released(its)
    seconds = its.spec.ttl_seconds_after_finished
    if seconds is None or its.deleted_at is not None:
        return Plan(moves)
    gone_at = min(ended_at, now) + timedelta(seconds=seconds)  # anybody can write that it ended in the year 9999
    return Plan((*moves, Remove())) if now >= gone_at else Plan(moves, wake_at=gone_at)


def _before_the_beginning(its: OrderSaga, known: Known, now: datetime, *, draining: bool) -> Plan:
    """Begin it. Where that is not to be, what may have been begun before, and lost its mark, is looked for."""
    if not (its.spec.suspend or its.spec.cancel or draining):
        first = known.presence is Presence.UNKNOWN and is_new(its, now)
        return Plan((Hold(now, finalizer=_to_be_held(its), first=first),))
    if known.surely_absent or is_new(its, now):
        return Plan(wake_at=now + AGAIN if draining else None)
    return Plan(_look(known, now), wake_at=now + AGAIN)


def _heard_of(known: Known) -> bool:
    """Tell whether there is a saga as far as anybody said; where it is absent, an answer to our own abort is none."""
    return known.presence is Presence.PRESENT or (known.presence is Presence.UNKNOWN and known.state is not None)


def _hold(its: OrderSaga, known: Known, now: datetime, *, draining: bool) -> Iterator[Move]:
    """Yield what writes the mark and the finalizer again that somebody took off."""
    to_be_held = _to_be_held(its) and not draining
    unmarked = its.spec.saga_ref is None and STARTED_AT not in its.annotations
    if unmarked or (to_be_held and not _is_held(its)):
        began = started_at(its) or (known.state.started_at if known.state is not None else None) or now
        yield Hold(min(began, now), finalizer=to_be_held)


def _before_deletion(its: OrderSaga, known: Known, now: datetime, *, draining: bool) -> Plan:
    """Compensate first, where that is wished: the object leaves when nothing is owed.

    So it is for as long as somebody else's finalizer keeps it, too: ours cannot be put on any more.
    """
    if known.refusal is not None or not _to_be_held(its) or known.surely_absent:
        return Plan(_released(its))
    if draining and not _is_held(its):
        return Plan()
    moves: list[Move] = [*_speak(its, known, now)]
    if known.presence is Presence.UNKNOWN:
        moves.append(Find())
    elif _can_be_cancelled(known):
        moves += _wish(its, known, Verb.CANCEL, DELETED, now)
    if known.looked_at is None or now - known.looked_at >= AGAIN:
        moves.append(Find())
    return Plan(tuple(dict.fromkeys(moves)), wake_at=now + AGAIN)


def _seek(its: OrderSaga, known: Known, now: datetime) -> tuple[Move, ...]:
    """Return how to find the saga, or to begin it once it is known that there is none."""
    deadline = deadline_of(its, known)
    waits = its.spec.saga_ref is not None or its.spec.suspend or its.spec.cancel
    if known.presence is Presence.UNKNOWN or waits or (deadline is not None and now >= deadline):
        return _look(known, now)
    if deadline is None:
        return ()
    # A mark of the future, which somebody else wrote, gives nobody more time than the spec does.
    return (Place(min(deadline, now + timedelta(seconds=its.spec.timeout_seconds))),)


def _look(known: Known, now: datetime) -> tuple[Move, ...]:
    """Return the question how the saga stands, unless it was answered a moment ago that there is none."""
    asked = known.presence is Presence.ABSENT and known.looked_at is not None and now - known.looked_at < AGAIN
    return () if asked else (Find(),)


def _speak(its: OrderSaga, known: Known, now: datetime) -> Iterator[Move]:
    """Yield the request to abort, when a deadline demands it and it was not made.

    As long as it is not known how the saga stands it is made too: whoever has nothing to stop is not hurt by it.
    """
    if known.spoken or known.presence is Presence.ABSENT:
        return
    state, saga = known.state, known.definition
    if state is not None and saga is not None and state.deadline is not None:
        due = due_now(saga, state, now)
        if due is not None:
            yield SpeakAbort(due[0], due[1], due_at(saga, state) or now)
        return
    deadline = deadline_of(its, known)
    if deadline is not None and now >= deadline:
        yield SpeakAbort(AbortCode.DEADLINE_PASSED, "the saga's deadline passed", deadline)


def _wishes(its: OrderSaga, known: Known, now: datetime) -> Iterator[Move]:
    """Yield what the spec wishes of a saga that runs, as far as it is not so already."""
    spec, state = its.spec, known.state
    if state is None:
        return
    if spec.cancel and _can_be_cancelled(known):
        yield from _wish(its, known, Verb.CANCEL, spec.cancel_reason or UNNAMED_REASON, now)
    if spec.suspend and not state.suspended:
        yield from _wish(its, known, Verb.SUSPEND, UNNAMED_REASON, now)
    elif not spec.suspend and state.suspended and (spec.saga_ref is None or its.generation > 1):
        yield from _wish(its, known, Verb.RESUME, UNNAMED_REASON, now)
    token = spec.retry_token
    if token and token != (known.retry_token or its.status.observed_retry_token):
        yield Wish(Verb.RETRY, f"retryToken {token}", token)
    elif _next_retry(its, known) is not None and now >= (_next_retry(its, known) or now):
        yield Wish(Verb.RETRY, f"automatic retry {known.retries + 1} of {spec.retry_policy.limit}", automatic=True)


def _wish(its: OrderSaga, known: Known, verb: Verb, reason: str, now: datetime) -> Iterator[Move]:
    asked = known.asked.get(verb)
    if verb not in known.declined and (asked is None or now - asked >= _patience(its, known, verb)):
        yield Wish(verb, reason)


def _patience(its: OrderSaga, known: Known, verb: Verb) -> timedelta:
    """Return how long to wait before the same is wished again: ever longer where somebody keeps undoing it."""
    if verb not in CONTESTABLE:
        return AGAIN
    return AGAIN * (1 << min(max(grants(its, known, verb) - 1, 0), DOUBLED_MAX))


def grants(its: OrderSaga, known: Known, verb: Verb) -> int:
    """Return how often this wish was granted to the resource as it is now; a change of its spec begins anew."""
    return known.granted.get(verb, 0) if known.granted_generation == its.generation else 0


def _can_be_cancelled(known: Known) -> bool:
    """Tell whether a cancel can still do something: nobody asked before, nothing failed, the pivot has not won."""
    state = known.state
    if state is None or state.abort is not None:
        return False
    if any(step.status.settled for step in state.steps.values()):
        return False
    return known.definition is None or not pivot_succeeded(known.definition, state)


def _next_retry(its: OrderSaga, known: Known) -> datetime | None:
    """Return when a stuck step is to be retried without anybody asking."""
    state, policy = known.state, its.spec.retry_policy
    if state is None or state.phase is not Phase.NEEDS_INTERVENTION or known.retries >= policy.limit:
        return None
    stuck = [step.stuck_at for step in state.steps.values() if step.stuck is not None and step.stuck_at is not None]
    since = max([*stuck, *([known.asked[Verb.RETRY]] if Verb.RETRY in known.asked else [])], default=None)
    return since + timedelta(seconds=policy.backoff_seconds) if since is not None else None


def _wake(its: OrderSaga, known: Known, now: datetime) -> datetime:
    """Return when something is due by itself: a deadline, a retry, a look, or a wish that did not show."""
    again = AGAIN if known.presence is Presence.ABSENT and not known.surely_absent else LOOK_AGAIN
    shows = [asked + _patience(its, known, verb) for verb, asked in known.asked.items()]
    moments = [(known.looked_at or now) + again, *shows]
    state, saga = known.state, known.definition
    due = due_at(saga, state) if saga is not None and state is not None else deadline_of(its, known)
    if due is not None and not known.spoken:
        moments.append(due)
    if (retry := _next_retry(its, known)) is not None:
        moments.append(retry)
    return min(moment for moment in moments if moment > now) if any(m > now for m in moments) else now + AGAIN


def _to_be_held(its: OrderSaga) -> bool:
    return its.spec.deletion_policy is DeletionPolicy.COMPENSATE


def _is_held(its: OrderSaga) -> bool:
    return FINALIZER in its.finalizers


def _released(its: OrderSaga) -> tuple[Move, ...]:
    return (Release(),) if _is_held(its) else ()


def _time(text: str) -> datetime | None:
    """Return the time that is written there; None when it is none."""
    try:
        return _plausible(datetime.fromisoformat(text))
    except ValueError:
        return None


def _plausible(time: datetime | None) -> datetime | None:
    """Return the time, unless it is so far away that nobody can reckon with it."""
    return time if time is not None and time.tzinfo is not None and MINYEAR < time.year < MAXYEAR else None


_TERMINAL = frozenset(phase.value for phase in Phase if phase.terminal)
