"""Sagas that came in bulk and need a person become resources: to be seen and steered, never to be placed again."""

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable
from typing import Any, Literal

from saga_operator.cluster import Cluster, ClusterError, ConflictError, RefusedError
from saga_operator.engine import Engine
from saga_operator.held import Held
from saga_operator.orders import Line, OrderService, OrdersUnavailableError
from saga_operator.resources import API_VERSION, ORDER_SAGA_KIND
from sagakit.core.facts import Phase

MATERIALIZED = "sagaplane.io/materialized"
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
A_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
NOT_A_LABEL = re.compile("[^a-z0-9]+")
NAME_LENGTH_MAX = 63

log_lines = logging.getLogger(__name__)

Policy = Literal["Never", "OnFailure", "Always"]


class Materializer:
    """A loop of the leader."""

    def __init__(
        self,
        policy: Policy,
        most: int,
        namespace: str,
        *,
        cluster: Cluster,
        orders: OrderService,
        engine: Engine,
        leads: Callable[[], bool],
        watching: Callable[[], bool],
    ) -> None:
        """Make at most so many resources at a time, in one namespace."""
        self.name = "materializer"
        self.counts: Counter[str] = Counter()
        self._policy, self._most, self._namespace = policy, most, namespace
        self._cluster, self._orders, self._engine, self._leads = cluster, orders, engine, leads
        self._watching, self._watched = watching, False
        self._in_the_way = ""

    async def step(self) -> bool:
        """Make a resource for each saga that should have one and has none; tell whether there may be more at once."""
        if self._policy == "Never" or not self._leads():
            return False
        watched, self._watched = self._watched, self._watching()
        if not (watched and self._watched):  # what there is already is taken up first
            return False
        room = self._most - sum(map(self._made, self._engine.held.values()))
        if room <= 0:
            self._tell("all that there may be stand", f"{self._most} stand already, and more there may not be")
            return False
        phase = Phase.NEEDS_INTERVENTION if self._policy == "OnFailure" else None
        try:
            for line in await self._orders.latest(phase, self._most):
                if room > 0 and not line.phase.terminal and not self._engine.follows(line.saga_id):
                    await self._make(line)
                    room -= 1
        except (OrdersUnavailableError, ClusterError) as error:
            # No trouble of the operator's own: deadlines and deletions do not wait for this.
            self.counts["put off"] += 1
            log_lines.warning("resources for sagas of the bulk have to wait: %s", error)
        return False

    def _made(self, held: Held) -> bool:
        """Tell whether the resource is one of ours: the annotation alone anybody may write, in any namespace."""
        its = held.resource
        if MATERIALIZED not in its.annotations or its.spec.saga_ref is None:
            return False
        return held.key == (self._namespace, resource_name(its.spec.saga_ref.saga_id))

    async def _make(self, line: Line) -> None:
        try:
            await self._cluster.create_ordersaga(self._namespace, resource_for(line))
        except ConflictError:
            return
        except RefusedError as error:
            self._tell("refused", f"{resource_name(line.saga_id)} is refused: {error}")
            return
        self.counts["materialized"] += 1
        self._in_the_way = ""

    def _tell(self, what: str, sentence: str) -> None:
        """Say what is in the way, once for as long as it is that."""
        if self._in_the_way != what:
            self._in_the_way = what
            log_lines.warning("sagas of the bulk do not become resources: %s", sentence)


def resource_for(line: Line) -> dict[str, Any]:
    """Return the resource that adopts a saga. It changes nothing, also when it is deleted."""
    return {
        "apiVersion": API_VERSION,
        "kind": ORDER_SAGA_KIND,
        "metadata": {"name": resource_name(line.saga_id), "annotations": {MATERIALIZED: "true"}},
        "spec": {
            "sagaRef": {"sagaId": line.saga_id},
            "suspend": line.suspended,
            "deletionPolicy": "Orphan",
            "ttlSecondsAfterFinished": 86_400,
        },
    }


def resource_name(saga_id: str) -> str:
    """Return the name of the resource of a saga: the same each time, and another for another saga."""
    if A_NAME.fullmatch(saga_id) and len(saga_id) + len("saga-") <= NAME_LENGTH_MAX:
        return f"saga-{saga_id}"
    digest = hashlib.sha256(saga_id.encode()).hexdigest()[:10]
    plain = NOT_A_LABEL.sub("-", saga_id.lower())[: NAME_LENGTH_MAX - 16].strip("-")
    return f"saga-{plain}-{digest}" if plain else f"saga-{digest}"
