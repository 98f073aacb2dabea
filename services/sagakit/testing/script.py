"""How each step behaves in a story. What is not mentioned succeeds at once."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from typing_extensions import override

from sagakit.core.facts import Verb


class Plays(enum.StrEnum):
    """How one step answers its command.

    `SUCCEEDS_SLOWLY`: it acts, and is in doubt until nothing else happens, but answers before the deadline.
    `SUCCEEDS_LATE` and `REFUSES_LATE`: it acts, and is in doubt until after the saga was asked to abort (or, where
    nobody would ask that any more, until nothing else is left to happen). `IS_AWAY`: its participant does not hear the
    command before that, so it has not begun. `GIVES_UP`: all its attempts fail, until a person decides.
    """

    SUCCEEDS = "succeeds"
    REFUSES = "refuses"
    SUCCEEDS_SLOWLY = "succeeds slowly"
    SUCCEEDS_LATE = "succeeds late"
    REFUSES_LATE = "refuses late"
    IS_AWAY = "is away"
    GIVES_UP = "gives up"

    @property
    def in_doubt(self) -> bool:
        """True when the step is in doubt for a while."""
        return self in (Plays.SUCCEEDS_SLOWLY, Plays.SUCCEEDS_LATE, Plays.REFUSES_LATE)

    @property
    def refuses(self) -> bool:
        """True when the step, once asked, does not take effect."""
        return self in (Plays.REFUSES, Plays.REFUSES_LATE)


@dataclass(frozen=True, slots=True)
class Script:
    """The parts of a story: how steps play, whose undo gives up, and how a person then decides."""

    steps: Mapping[str, Plays] = field(default_factory=dict)
    stuck_undos: frozenset[str] = frozenset()
    decision: Verb = Verb.RETRY

    def plays(self, step: str) -> Plays:
        """Return how the step plays."""
        return self.steps.get(step, Plays.SUCCEEDS)

    @override
    def __str__(self) -> str:
        parts = [f"{step} {plays}" for step, plays in self.steps.items()]
        parts += [f"the undo of {step} gives up, then {self.decision}" for step in sorted(self.stuck_undos)]
        return ", ".join(parts) or "all succeed"
