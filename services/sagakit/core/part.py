"""A participant's part in one saga: what it has heard, how its own steps stand, and what it must do next.

`hear` takes a message in, `answered` takes the outcome of an action in; both end in `_advance`, which looks only at
what is known and never at how it became known. So order, repetition and crashes do not matter: what is owed is a
function of the part. The two modes differ in two questions only, `_may_begin` and `_must_undo`.
"""

from datetime import datetime

import msgspec
from msgspec.structs import replace

from sagakit.core.definition import Step
from sagakit.core.facts import AbortCode, ByHand, StepStatus, Verb
from sagakit.core.messages import EMPTY, Message, Mode, message_id
from sagakit.core.reactions import Rule, Share

ABORT, SUSPENDED, RESUMED, KILLED, STUCK = "AbortSaga", "SagaSuspended", "SagaResumed", "SagaKilled", "StepStuck"
CONTROLS = frozenset({ABORT, SUSPENDED, RESUMED, KILLED})
REPAIRS = {"RetryStep": Verb.RETRY, "SkipStep": Verb.SKIP, "MarkStepDone": Verb.MARK_DONE}
NOTHING = msgspec.Raw(b"null")


class PartStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """How one of our own steps stands, and the last thing we said of it (to say it again when asked again).

    While the step is begun or being taken back: how often that was tried, why it did not work, and when it is due
    again. `repaired` is the number of the last decision of a person that was heard.
    """

    status: StepStatus = StepStatus.IDLE
    asked: int = 0
    undo_asked: int = 0
    said: str | None = None
    data: msgspec.Raw = NOTHING
    stuck: bool = False
    gave_up: int = 0
    repaired: int = -1
    cause: str = ""
    tries: int = 0
    error: str | None = None
    due: datetime | None = None

    @property
    def pending(self) -> bool:
        """True while an action or a compensation has begun and its outcome is not known."""
        return self.status in (StepStatus.BEGUN, StepStatus.UNDOING)


NOT_BEGUN = PartStep()


class Part(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a participant keeps of one saga. `heard` maps each event or command that counts to its message id.

    `input` is what the saga began with; `commands` is what each command of an orchestrator said. `switched` is the
    number of the last suspension or resumption heard. `due` is when the earliest of its steps is to be tried again.
    """

    saga_id: str
    correlation_id: str
    mode: Mode
    definition: str
    deadline: datetime | None = None
    traceparent: str | None = None
    input: msgspec.Raw = NOTHING
    commands: dict[str, msgspec.Raw] = {}
    heard: dict[str, str] = {}
    steps: dict[str, PartStep] = {}
    abort: AbortCode | None = None
    suspended: bool = False
    killed: bool = False
    switched: int = -1
    due: datetime | None = None

    @property
    def begun(self) -> bool:
        """True once the saga's started event was heard, so that its input is known."""
        return self.input != NOTHING

    def input_of(self, command: str) -> msgspec.Raw:
        """Return what the command is to be carried out with: what it said itself, or what the saga began with."""
        return self.commands.get(command, self.input if self.begun else EMPTY)

    def step(self, name: str) -> PartStep:
        """Return how the step stands, also when nothing happened to it yet."""
        return self.steps.get(name, NOT_BEGUN)


class Act(msgspec.Struct, frozen=True):
    """Carry the step's command out."""

    step: str
    cause: str


class Undo(msgspec.Struct, frozen=True):
    """Carry the step's compensation out; it cannot refuse, also when there is nothing to take back."""

    step: str
    cause: str
    happened: bool


class Say(msgspec.Struct, frozen=True):
    """Publish this event. `data` is None where the participant's words for a barred step are wanted."""

    id: str
    step: str
    event: str
    cause: str
    attempt: int
    data: msgspec.Raw | None
    code: AbortCode | None = None


class Resolve(msgspec.Struct, frozen=True):
    """A person decided in our place: put it on record and say the event, `compensating` or not."""

    step: str
    cause: str
    compensating: bool
    by_hand: ByHand


Todo = Act | Undo | Say | Resolve


class Succeeded(msgspec.Struct, frozen=True):
    """The action, or its compensation, took effect; `data` is that of the event to say."""

    data: msgspec.Raw


class Declined(msgspec.Struct, frozen=True):
    """A refusal of the business: no error, but an event with a reason. `data` is that of the event to say."""

    data: msgspec.Raw


class GaveUp(msgspec.Struct, frozen=True):
    """All attempts are used up and the outcome is still unknown or an error: a person must decide."""

    data: msgspec.Raw


Outcome = Succeeded | Declined | GaveUp


class Repair(msgspec.Struct, frozen=True, rename="camel"):
    """What a person asks of a participant: the data of RetryStep, SkipStep and MarkStepDone."""

    saga_id: str
    step: str
    reason: str
    requested_by: str


class Abort(msgspec.Struct, frozen=True, rename="camel"):
    """The data of AbortSaga; `code` is why, in one word."""

    saga_id: str
    code: AbortCode
    reason: str = ""
    requested_by: str = ""


def new_part(message: Message) -> Part:
    """Return the part of a saga of which this message is the first thing heard."""
    return Part(
        saga_id=message.saga_id,
        correlation_id=message.correlation_id,
        mode=message.mode,
        definition=message.definition,
        deadline=message.deadline,
        traceparent=message.traceparent,
    )


def concerns(share: Share, message: Message) -> bool:
    """Tell whether the message can make a step of this share move."""
    if message.type in CONTROLS or message.type in REPAIRS:
        return True
    return message.type in (share.hears if message.mode is Mode.CHOREOGRAPHY else share.commands)


def lacks_input(share: Share, part: Part | None, message: Message) -> bool:
    """Tell whether this event must wait for the saga's beginning, of which we have not heard yet."""
    return (
        message.mode is Mode.CHOREOGRAPHY
        and (part is None or not part.begun)
        and message.type in share.hears
        and message.type != share.saga.started
        and not (part is not None and (part.abort or part.killed))
    )


def hear(share: Share, part: Part, message: Message, now: datetime) -> tuple[Part, list[Todo]]:
    """Return the part after this message, and what is to be done; a message heard before changes nothing."""
    if message.type in REPAIRS:
        return _repair(share, part, message)
    if message.type in CONTROLS:
        known, part = part, _controlled(part, message)
        return (part, []) if part is known else _advance(share, part, now)
    if message.mode is Mode.ORCHESTRATION:
        return _commanded(share, part, message, now)
    if message.type in part.heard:
        return part, []
    heard = {**part.heard, message.type: message.id}
    data = message.data if message.type == share.saga.started else part.input
    return _advance(share, replace(part, heard=heard, input=data), now)


def answered(
    share: Share, part: Part, step: str, cause: str, outcome: Outcome, now: datetime
) -> tuple[Part, list[Todo]]:
    """Return the part after one of our own actions, or its compensation, came to an end."""
    was = part.steps[step]
    if isinstance(outcome, GaveUp):
        part = _with(part, step, replace(was, stuck=True, gave_up=was.gave_up + 1, due=None))
        own = message_id(part.saga_id, step, STUCK, was.gave_up)
        return part, [Say(own, step, STUCK, cause, was.gave_up, outcome.data)]
    event, status = _concluded(share.by_step[step].step, outcome, undoing=was.status is StepStatus.UNDOING)
    attempt = was.undo_asked if status is StepStatus.COMPENSATED else was.asked
    own = message_id(part.saga_id, step, event, attempt)
    concluded = PartStep(
        status=status,
        asked=was.asked,
        undo_asked=was.undo_asked,
        said=event,
        data=outcome.data,
        gave_up=was.gave_up,
        repaired=was.repaired,
    )
    part = _with(part, step, concluded, heard={**part.heard, event: own})
    part, todo = _advance(share, part, now)
    return part, [Say(own, step, event, cause, attempt, outcome.data), *todo]


def _concluded(step: Step, outcome: Succeeded | Declined, *, undoing: bool) -> tuple[str, StepStatus]:
    """Return the event that an outcome is said as, and where it leaves the step."""
    if isinstance(outcome, Declined):
        assert not undoing, f"{step.name}: a compensation cannot refuse"
        assert step.failure is not None, f"{step.name}: a retriable step cannot refuse"
        return step.failure, StepStatus.REFUSED
    if undoing:
        assert step.compensated is not None, "only what has a compensation is undone"
        return step.compensated, StepStatus.COMPENSATED
    return step.success, StepStatus.SUCCEEDED


def again(share: Share, part: Part, step: str) -> Act | Undo:
    """Return what the pending step is to try once more."""
    was = part.steps[step]
    if was.status is StepStatus.UNDOING:
        return Undo(step, was.cause, happened=was.said == share.by_step[step].step.success)
    return Act(step, was.cause)


def put_off(part: Part, step: str, due: datetime, error: str | None = None) -> Part:
    """Return the part with the pending step due again at that time; an `error` counts as a try that failed."""
    was = part.step(step)
    tries = was.tries + (error is not None)
    return _with(part, step, replace(was, due=due, tries=tries, error=error or was.error))


def barred_data(part: Part, say: Say, data: msgspec.Raw) -> Part:
    """Return the part with the words that were said of a barred step."""
    return _with(part, say.step, replace(part.step(say.step), data=data))


def _controlled(part: Part, message: Message) -> Part:
    """Return the part after a word to all participants, or the very same part when that word is no news."""
    if message.type == ABORT:
        if part.abort is not None:
            return part
        code = msgspec.json.decode(message.data, type=Abort).code
        return replace(part, abort=code, heard={**part.heard, ABORT: message.id})
    if message.type == KILLED:
        return part if part.killed else replace(part, killed=True)
    if message.attempt <= part.switched:
        return part
    return replace(part, suspended=message.type == SUSPENDED, switched=message.attempt)


def _commanded(share: Share, part: Part, message: Message, now: datetime) -> tuple[Part, list[Todo]]:
    """Hear a command. One of a later attempt is answered with what was said before, if that was its answer."""
    rule = share.by_command[message.type]
    was = part.step(rule.step.name)
    undoing = message.type == rule.step.compensation
    step = replace(was, undo_asked=message.attempt) if undoing else replace(was, asked=message.attempt)
    if message.type in part.heard:
        if message.attempt <= (was.undo_asked if undoing else was.asked):
            return part, []
        part = _with(part, rule.step.name, step)
        answers = (rule.step.compensated,) if undoing else (rule.step.success, rule.step.failure)
        if was.said is None or was.said not in answers:
            return part, []
        own = message_id(part.saga_id, rule.step.name, was.said, message.attempt)
        return part, [Say(own, rule.step.name, was.said, message.id, message.attempt, was.data)]
    heard = {**part.heard, message.type: message.id}
    part = replace(part, commands={**part.commands, message.type: message.data})
    return _advance(share, _with(part, rule.step.name, step, heard=heard), now)


def _repair(share: Share, part: Part, message: Message) -> tuple[Part, list[Todo]]:
    wish = msgspec.json.decode(message.data, type=Repair)
    step = part.step(wish.step)
    if not step.stuck or message.attempt <= step.repaired:
        return part, []
    repaired = replace(step, stuck=False, tries=0, cause=message.id, repaired=message.attempt)
    part = _with(part, wish.step, repaired)
    verb = REPAIRS[message.type]
    if verb is Verb.RETRY:
        return part, [again(share, part, wish.step)]
    by_hand = ByHand(verb=verb, actor=wish.requested_by, reason=wish.reason)
    return part, [Resolve(wish.step, message.id, step.status is StepStatus.UNDOING, by_hand)]


def _advance(share: Share, part: Part, now: datetime) -> tuple[Part, list[Todo]]:
    """Return what is owed now, over all our steps, given everything that is known."""
    todo: list[Todo] = []
    if part.killed:
        return part, todo
    barred = False
    for rule in share.rules:
        step = part.steps.get(rule.step.name, NOT_BEGUN)
        if step.status is StepStatus.IDLE:
            part, more = _advance_idle(part, rule, step, now)
        elif step.status in _CAN_BE_UNDONE and rule.compensatable:
            part, more = _advance_undo(part, rule, step)
        else:
            continue
        if more:
            todo += more
            barred = barred or type(more[0]) is Say
    if barred:  # our own steps beside and before the barred one hear of it now, for nobody else tells them
        part, more = _advance(share, part, now)
        todo += more
    return part, todo


_CAN_BE_UNDONE = (StepStatus.SUCCEEDED, StepStatus.REFUSED, StepStatus.BARRED)


def _advance_undo(part: Part, rule: Rule, step: PartStep) -> tuple[Part, list[Todo]]:
    """Take the step back if that is owed. What refused or is barred is taken back only by an orchestrator's command."""
    happened = step.status is StepStatus.SUCCEEDED
    if part.mode is Mode.CHOREOGRAPHY and not happened:
        return part, []
    undo = _must_undo(part, rule)
    if undo is None:
        return part, []
    undoing = replace(step, status=StepStatus.UNDOING, cause=undo)
    return _with(part, rule.step.name, undoing), [Undo(rule.step.name, undo, happened)]


def _advance_idle(part: Part, rule: Rule, step: PartStep, now: datetime) -> tuple[Part, list[Todo]]:
    """Begin the step, bar it for good, or leave it. After the pivot nothing is barred."""
    name = rule.step.name
    if part.mode is Mode.ORCHESTRATION and rule.step.compensation in part.heard:
        cause = part.heard[rule.step.compensation]
        return _with(part, name, replace(step, status=StepStatus.UNDOING, cause=cause)), [
            Undo(name, cause, happened=False)
        ]
    if part.abort is not None and rule.step.can_bar:
        return _bar(part, rule, part.heard[ABORT], part.abort)
    if not _may_begin(part, rule) or _settled_behind(part.heard, rule):
        return part, []
    cause = _cause(part, rule)
    if part.deadline is not None and now >= part.deadline and rule.step.can_bar:
        return _bar(part, rule, cause, AbortCode.DEADLINE_PASSED)
    if part.suspended:
        return part, []
    return _with(part, name, replace(step, status=StepStatus.BEGUN, cause=cause)), [Act(name, cause)]


def _bar(part: Part, rule: Rule, cause: str, code: AbortCode) -> tuple[Part, list[Todo]]:
    name, event = rule.step.name, rule.step.failure
    assert event is not None, "a step that can bar can fail"
    barred = replace(part.step(name), status=StepStatus.BARRED, said=event)
    own = message_id(part.saga_id, name, event, barred.asked)
    part = _with(part, name, barred, heard={**part.heard, event: own})
    return part, [Say(own, name, event, cause, barred.asked, None, code)]


def _may_begin(part: Part, rule: Rule) -> bool:
    if part.mode is Mode.ORCHESTRATION:
        return rule.step.command in part.heard
    return part.begun and rule.begins_on <= part.heard.keys()


def _must_undo(part: Part, rule: Rule) -> str | None:
    """Return the message that makes this step be taken back, or None."""
    heard = part.heard
    if part.mode is Mode.ORCHESTRATION:
        return heard.get(rule.step.compensation or "")
    failed = False
    for success, failure in rule.siblings:
        if failure in heard:
            failed = True
        elif success not in heard:
            return None
    if failed or _settled_behind(heard, rule):
        return _last(heard, [event for pair in (*rule.siblings, *rule.settles) for event in pair])
    return None


def _settled_behind(heard: dict[str, str], rule: Rule) -> bool:
    """Tell whether every step of the following stage stands at refused, barred or compensated."""
    for pair in rule.settles:
        for event in pair:
            if event in heard:
                break
        else:
            return False
    return bool(rule.settles)


def _cause(part: Part, rule: Rule) -> str:
    if part.mode is Mode.ORCHESTRATION:
        return part.heard[rule.step.command]
    if len(rule.begins_on) == 1:
        return part.heard[next(iter(rule.begins_on))]
    return _last(part.heard, list(rule.begins_on))


def _last(heard: dict[str, str], events: list[str]) -> str:
    """Return the id of that one of these events that was heard last (dictionaries keep their order)."""
    return next(heard[event] for event in reversed(heard) if event in events)


def _with(part: Part, name: str, step: PartStep, heard: dict[str, str] | None = None) -> Part:
    steps = {**part.steps, name: step}
    due = None
    if step.due is not None or part.due is not None:
        due = min((s.due for s in steps.values() if s.due is not None), default=None)
    return replace(part, steps=steps, due=due, heard=part.heard if heard is None else heard)
