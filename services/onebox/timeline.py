"""A saga as a waterfall: which step took how long, what failed, what was taken back, in the order of time. No IO."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from onebox.answers import Answer, Entry, Saga
from onebox.moments import length
from onebox.output import worded

WIDTH = 100
BAR_WIDTH_MIN = 20
STILL = "running"

Stages = Sequence[Sequence[str]]
"""The names of the steps, in the order of the definition; those of one stage run in parallel."""


class Row(Answer, frozen=True, kw_only=True):
    """One bar, or with `begin` = `end` one moment. `back` marks what takes an effect back."""

    name: str
    begin: datetime
    end: datetime
    outcome: str
    note: str = ""
    back: bool = False


class Timeline(Answer, frozen=True, kw_only=True):
    """A saga and its rows, the earliest begun first."""

    saga_id: str
    phase: str
    reason: str | None
    rows: list[Row]


def rows(saga: Saga, history: Sequence[Entry], stages: Stages) -> list[Row]:
    """Return the saga's bars and moments, the earliest begun first."""
    tale = _Tale(saga, history, stages)
    found = [*tale.forward(), *tale.backward(), *tale.moments()]
    return sorted(found, key=lambda row: (row.begin, row.end))


def waterfall(saga: Saga, found: Sequence[Row], width: int = WIDTH) -> str:
    """Return the rows as text of that width; behind each bar stand its time and how it ended, in words."""
    begin = min(row.begin for row in found)
    end = max(row.end for row in found)
    names = [("↩ " if row.back else "") + row.name for row in found]
    notes = [" ".join(row.note.split()) for row in found]
    words = [
        f"{_took(row):>9}  {worded(row.outcome)}{f': {note}' if note else ''}"
        for row, note in zip(found, notes, strict=True)
    ]
    name_width = max(map(len, names))
    bar_width = max(width - name_width - 2 - 2 - min(max(map(len, words)), width // 2), BAR_WIDTH_MIN)
    scale = _Scale(begin, end - begin, bar_width)
    reason = " ".join((saga.reason or "").split())
    head = f"{saga.saga_id}  {saga.mode}  {worded(saga.phase)}{f' ({reason})' if reason else ''}"
    axis = f"{'':<{name_width}}  {scale.axis()}"
    lines = [
        f"{name:<{name_width}}  {scale.bar(row):<{bar_width}}  {word}"
        for name, row, word in zip(names, found, words, strict=True)
    ]
    return "\n".join(line.rstrip() for line in [head, axis, *lines])


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    span: timedelta
    width: int

    def bar(self, row: Row) -> str:
        """Return the row's bar: `━` forward, `┄` backward, `●` for a moment, an arrow where it goes on."""
        first, last = self._column(row.begin), self._column(row.end)
        if row.begin == row.end:
            return " " * first + "●"
        line = ("┄" if row.back else "━") * (last - first)
        return " " * first + line + (">" if row.outcome == STILL else "┤")

    def axis(self) -> str:
        """Return the times at the left, the middle and the right."""
        if not self.span:
            return "0"
        left, middle, right = "0", length(self.span / 2), length(self.span)
        gap = self.width // 2 - len(middle) // 2
        return f"{left}{middle:>{gap + len(middle) - len(left)}}{right:>{self.width - gap - len(middle)}}"

    def _column(self, moment: datetime) -> int:
        if not self.span:
            return 0
        return round((moment - self.begin) / self.span * (self.width - 1))


class _Tale:
    """The facts of one saga, asked by step."""

    def __init__(self, saga: Saga, history: Sequence[Entry], stages: Stages) -> None:
        self._saga = saga
        self._history = history
        self._stages = stages
        self._began = min([entry.at for entry in history if entry.fact == "SagaStarted"], default=history[0].at)
        self._now = saga.ended_at or max(saga.as_of, history[-1].at)

    def forward(self) -> Iterator[Row]:
        """Yield what each step did."""
        begun = True
        for number, stage in enumerate(self._stages):
            for step in stage:
                answer = self._first(step, "StepSucceeded", "StepFailed")
                begin = self._asked(step, back=False) or self._answered(number - 1)
                if answer is not None:
                    yield self._answer(step, min(begin, answer.at), answer)
                elif begun and not self._saga.ended:
                    yield Row(
                        name=step, begin=begin, end=self._now, outcome=STILL, note=self._trouble(step, back=False)
                    )
            begun = begun and all(self._first(step, "StepSucceeded") for step in stage)

    def backward(self) -> Iterator[Row]:
        """Yield what took each step back; a compensation that goes on is known from what the saga waits for."""
        waiting = self._saga.waiting_for
        owed = waiting.steps if waiting and waiting.kind in ("compensation", "person") else ()
        for stage in self._stages:
            for step in stage:
                done = self._first(step, "StepCompensated")
                begin = self._asked(step, back=True)
                if done is not None:
                    begin = begin or self._cause(stage, done.version) or done.at
                    by_hand = _by_hand(done)
                    yield Row(name=step, begin=begin, end=done.at, outcome="compensated", note=by_hand, back=True)
                elif step in owed and self._first(step, "StepSucceeded"):
                    begin = begin or self._cause(stage) or self._now
                    note = self._trouble(step, back=True)
                    yield Row(name=step, begin=begin, end=self._now, outcome=STILL, note=note, back=True)

    def moments(self) -> Iterator[Row]:
        """Yield what happened to the saga as a whole: wishes of people, and its end."""
        for entry in self._history:
            said = entry.details
            match entry.fact:
                case "AbortAsked":
                    outcome, note = "abort asked", f"{said.get('code', '')} by {said.get('requestedBy', '')}"
                case "VerbAsked":
                    outcome, note = f"{said.get('verb', '')} asked", f"{entry.step} by {said.get('actor', '')}"
                case "SagaSuspended" | "SagaResumed":
                    outcome, note = entry.fact.removeprefix("Saga").lower(), f"by {said.get('actor', '')}"
                case "SagaCompleted" | "SagaCompensated" | "SagaKilled":
                    outcome, note = entry.fact.removeprefix("Saga"), ""
                case _:
                    continue
            yield Row(name="saga", begin=entry.at, end=entry.at, outcome=outcome, note=note)

    def _answer(self, step: str, begin: datetime, answer: Entry) -> Row:
        said = answer.details
        if answer.fact == "StepSucceeded":
            return Row(name=step, begin=begin, end=answer.at, outcome="succeeded", note=_by_hand(answer))
        outcome = "barred" if said.get("barred") else "refused"
        note = str(said.get("code") or said.get("reason") or "")
        return Row(name=step, begin=begin, end=answer.at, outcome=outcome, note=note)

    def _trouble(self, step: str, *, back: bool) -> str:
        stuck = [
            e
            for e in self._history
            if e.fact == "StepStuck" and e.step == step and bool(e.details.get("compensating")) == back
        ]
        if not stuck:
            return ""
        said = stuck[-1].details
        return f"stuck after {said.get('attempts', '?')} attempts: {said.get('error', '')}"

    def _first(self, step: str, *facts: str) -> Entry | None:
        return next((e for e in self._history if e.step == step and e.fact in facts), None)

    def _asked(self, step: str, *, back: bool) -> datetime | None:
        asked = (e for e in self._history if e.fact == "StepAsked" and e.step == step)
        return next((e.at for e in asked if bool(e.details.get("compensating")) == back), None)

    def _answered(self, number: int) -> datetime:
        """Return when the stage had answered; a stage before the first is the start of the saga."""
        if number < 0:
            return self._began
        moments = [e.at for step in self._stages[number] if (e := self._first(step, "StepSucceeded"))]
        return max(moments, default=self._now)

    def _cause(self, stage: Sequence[str], before: int | None = None) -> datetime | None:
        """Return when the failure or compensation was known that a compensation of this stage follows upon."""
        causes = [
            e.at
            for e in self._history
            if (before is None or e.version < before)
            and (e.fact == "StepFailed" or (e.fact == "StepCompensated" and e.step not in stage))
        ]
        return max(causes, default=None)


def _by_hand(entry: Entry) -> str:
    hand = entry.details.get("byHand")
    return f"{hand.get('verb', '')} by {hand.get('actor', '')}" if isinstance(hand, Mapping) else ""


def _took(row: Row) -> str:
    return "" if row.begin == row.end else length(row.end - row.begin)
