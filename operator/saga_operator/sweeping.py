"""What was deleted while nobody watched is forgotten: a watch that begins again tells what there is, not what went."""

import logging
from collections import Counter
from collections.abc import Collection

from saga_operator.cluster import Cluster, ClusterError, RefusedError
from saga_operator.definitions import DefinitionKeeper
from saga_operator.engine import Engine
from saga_operator.resources import ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL

log_lines = logging.getLogger(__name__)


class Sweeper:
    """A loop of every operator, also of one that does not lead: it looks through what there is after each new watch."""

    def __init__(self, cluster: Cluster, engine: Engine, keeper: DefinitionKeeper, namespaces: Collection[str]) -> None:
        """Sweep what is kept of these namespaces, or of all when there are none."""
        self.name = "sweeper"
        self.counts: Counter[str] = Counter()
        self._cluster, self._engine, self._keeper = cluster, engine, keeper
        self._namespaces: Collection[str | None] = namespaces or (None,)
        self._begun = 0
        self._unswept: tuple[str | None, ...] = ()

    async def step(self) -> bool:
        """Look once, if a watch has begun again since; what could not be listed is looked at the next time."""
        begun = self._cluster.requests.watch_restarts
        if begun != self._begun:
            self._begun, self._unswept = begun, tuple(self._namespaces)
        for namespace in self._unswept:
            try:
                await self._sweep(namespace)
            except ClusterError as error:
                log_lines.info("what was deleted meanwhile is looked for later: %s", error)
                if not isinstance(error, RefusedError):  # a refusal is one namespace's: that may be gone
                    return False
            else:
                self._unswept = tuple(each for each in self._unswept if each != namespace)
        return False

    async def _sweep(self, namespace: str | None) -> None:
        """Forget what is kept of a namespace, or of all, and is not there."""
        for plural, keeper in ((ORDER_SAGA_PLURAL, self._engine), (SAGA_DEFINITION_PLURAL, self._keeper)):
            kept = keeper.taken_up()
            there = await self._cluster.names_of(plural, namespace)
            gone = {key: one for key, one in kept.items() if namespace in (None, key[0]) and key not in there}
            keeper.went(gone)
            self.counts["swept"] += len(gone)
