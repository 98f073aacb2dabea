"""A circuit breaker: whoever fails again and again is left alone for a while, then tried once."""

import enum
from datetime import datetime, timedelta

from sagakit.ports import Clock


class CircuitState(enum.StrEnum):
    """Closed: requests pass. Open: none does. Half-open: the next one passes, to see how things are."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """Opens after so many failures in a row; after each pause one request passes, and its success closes it."""

    def __init__(self, clock: Clock, failures_max: int, pause_seconds: float) -> None:
        """Begin closed."""
        self._clock = clock
        self._failures_max = failures_max
        self._pause = timedelta(seconds=pause_seconds)
        self._failures = 0
        self._opened_at: datetime | None = None

    @property
    def state(self) -> CircuitState:
        """How it stands now; a clock that was set back ends the pause."""
        if self._opened_at is None:
            return CircuitState.CLOSED
        paused = timedelta(0) <= self._clock.now() - self._opened_at < self._pause
        return CircuitState.OPEN if paused else CircuitState.HALF_OPEN

    def admit(self) -> bool:
        """Tell whether a request may pass; the one that passes half-open begins the next pause for all others.

        So a trial that never ends blocks nobody for longer than one pause.
        """
        state = self.state
        if state is CircuitState.HALF_OPEN:
            self._opened_at = self._clock.now()
        return state is not CircuitState.OPEN

    def succeeded(self) -> None:
        """Close: the other side answers."""
        self._failures = 0
        self._opened_at = None

    def failed(self) -> None:
        """Count a failure; open when it is one too many."""
        self._failures += 1
        if self._failures >= self._failures_max:
            self._opened_at = self._clock.now()
