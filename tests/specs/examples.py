"""Sagas that the specs speak about, and a short way of writing one down."""

from collections.abc import Mapping

from sagakit.core.definition import Participant, RetryPolicy, Saga, Step, StepKind, saga


def step(word: str, participant: str | None = None, **more: object) -> Step:
    """Return a step from a word: `pay` can be taken back, `ship!` is the pivot, `post+` is retriable."""
    name = word.rstrip("!+")
    said = name.capitalize()
    kind = {"!": StepKind.PIVOT, "+": StepKind.RETRIABLE}.get(word[-1], StepKind.COMPENSATABLE)
    parts: dict[str, object] = {
        "name": name,
        "participant": participant or name,
        "command": f"Do{said}",
        "success": f"{said}Done",
        "failure": f"{said}Refused" if kind is not StepKind.RETRIABLE else None,
        "compensation": f"Undo{said}" if kind is StepKind.COMPENSATABLE else None,
        "compensated": f"{said}Undone" if kind is StepKind.COMPENSATABLE else None,
        "kind": kind,
        "retry": RetryPolicy(attempts_max=3),
    }
    return Step(**{**parts, **more})  # type: ignore[arg-type]


def sketch(*stages: str, by: Mapping[str, str] | None = None, name: str = "sketch") -> Saga:
    """Return a saga from words: each argument is a stage, and several words in one stage run in parallel.

    `by` names the participant of a step, where it is not the step's own name.
    """
    owners = by or {}
    groups = [[step(word, owners.get(word.rstrip("!+"))) for word in stage.split()] for stage in stages]
    names = sorted({s.participant for group in groups for s in group})
    return saga(
        name,
        *groups,
        initiator=Participant("office", "office.events"),
        participants=[Participant(who, f"{who}.events") for who in names],
        started="Asked",
        completed="Fulfilled",
        cancelled="Dropped",
    )


ERRANDS = sketch("fetch", "wrap", "send!", by={"fetch": "anna", "wrap": "anna"}, name="errands")
"""Two steps in a row belong to the same participant."""
PARTY = sketch("hall", "band cake", "invite!", "clean+ thank+", name="party")
"""Two steps run in parallel before the pivot, and two after it."""
PICNIC = sketch("bread wine", "blanket", by={"bread": "anna", "wine": "anna"}, name="picnic")
"""Two parallel steps belong to the same participant, and there is no pivot."""
CHORES = sketch("sweep", "mop", by={"sweep": "anna", "mop": "anna"}, name="chores")
"""All steps belong to one participant, and nobody else says anything."""
FAIR = sketch("stall", "song dance clown", name="fair")
"""Three steps run in parallel, last, and all can be taken back."""
