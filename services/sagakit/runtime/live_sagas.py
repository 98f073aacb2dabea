"""The one family of metrics that names sagas: those that live or are stuck, limited in number, gone when they end."""

from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sagakit.runtime.catalogue import INSTANCE_DEADLINE, INSTANCE_DROPPED, INSTANCE_PHASE
from sagakit.runtime.metrics import Sample

CAP = 200


class LiveSaga(NamedTuple):
    """One saga as its series show it."""

    correlation_id: str
    definition: str
    phase: str
    deadline: datetime | None = None


class LiveSagas:
    """Sagas that have series: at most `cap` of them, the latest; one holder of the platform tells of them."""

    def __init__(self, cap: int = CAP) -> None:
        """Know of none."""
        self._cap = cap
        self._shown: OrderedDict[str, LiveSaga] = OrderedDict()
        self._live = 0

    def __len__(self) -> int:
        """How many have series."""
        return len(self._shown)

    @property
    def dropped(self) -> int:
        """How many live without a series."""
        return max(0, self._live - len(self._shown))

    def add(self, saga: LiveSaga) -> None:
        """Show a saga that begins; beyond the cap, the one that was added first is dropped."""
        self._live += saga.correlation_id not in self._shown
        self._shown[saga.correlation_id] = saga
        if len(self._shown) > self._cap:
            self._shown.popitem(last=False)

    def change(self, saga: LiveSaga) -> None:
        """Show what a saga has come to, if it is shown."""
        if saga.correlation_id in self._shown:
            self._shown[saga.correlation_id] = saga

    def end(self, correlation_id: str) -> None:
        """Show a saga no more: it has ended. Of one without a series, one less is counted."""
        self._shown.pop(correlation_id, None)
        self._live = max(len(self._shown), self._live - 1)

    def replace(self, sagas: Iterable[LiveSaga], live: int) -> None:
        """Show these, of so many that live."""
        self._shown.clear()
        self._live = 0
        for saga in sagas:
            self.add(saga)
        self._live = max(live, len(self._shown))

    def samples(self) -> Iterable[Sample]:
        """Return the series."""
        for saga in self._shown.values():
            yield INSTANCE_PHASE, (saga.correlation_id, saga.definition, saga.phase), 1
            if saga.deadline is not None:
                yield INSTANCE_DEADLINE, (saga.correlation_id, saga.definition), saga.deadline.timestamp()
        yield INSTANCE_DROPPED, (), self.dropped
