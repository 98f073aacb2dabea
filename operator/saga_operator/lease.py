"""Which of several operators acts: the holder of a Lease, for as long as it can prove by its own clock that it is.

A Lease alone fences nobody (Kleppmann, "How to do distributed locking", 2016). So the holder asks `leads` before every
act; the answer is no as soon as the last renewal is older than `renew_seconds`; and no request lasts so long that it
could arrive after the lease has ended. What is past all that is harmless still, because every act is idempotent.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from saga_operator.cluster import Cluster, ClusterError, ConflictError, NotThereError

RETRY_SECONDS = 2.0
LEASE_SECONDS_MAX = 300
"""No operator can be told a longer lease, so that whoever wrote one is none."""
DRAINING_SINCE, DRAINING_UNTIL = "sagaplane.io/draining-since", "sagaplane.io/draining-until"
"""Annotations of the Lease: so long nothing new is begun, because the platform is being taken away.

Whoever has started after that belongs to an installation anew, and begins.
"""

log_lines = logging.getLogger(__name__)


class Leadership:
    """One candidate. `on_change` is called when it begins to lead or has ceased to."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        namespace: str,
        identity: str,
        *,
        lease_seconds: int,
        renew_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Stand for the lease of this name."""
        self.transitions = 0
        self.draining_since: datetime | None = None
        self.draining_until: datetime | None = None
        self._born = datetime.now(UTC)
        self.on_change: Callable[[], None] = lambda: None
        self._cluster = cluster
        self.identity = identity
        self._name, self._namespace = name, namespace
        self._lease_seconds, self._renew_seconds = lease_seconds, renew_seconds
        self._monotonic = monotonic
        self._renewed_at: float | None = None
        self._led = False
        self._seen: tuple[dict[str, Any], float] | None = None

    @property
    def leads(self) -> bool:
        """True while the lease is surely ours."""
        return self._renewed_at is not None and self._monotonic() - self._renewed_at < self._renew_seconds

    @property
    def draining(self) -> bool:
        """True while nothing new is to be begun."""
        if self.draining_until is None or datetime.now(UTC) >= self.draining_until:
            return False
        return self.draining_since is None or self.draining_since >= self._born

    async def run(self, stop: asyncio.Event) -> None:
        """Acquire and renew until told to stop; then give the lease up."""
        while not stop.is_set():
            await self.step()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RETRY_SECONDS)
        await self.release()

    async def step(self) -> None:
        """Try once to acquire or renew. The time counts from before the first request, however long it all takes."""
        begun = self._monotonic()
        try:
            if await self._acquire_or_renew():
                self._tell()  # the lease may have lapsed while this went on, and what came then was left alone
                self._renewed_at = begun
        except (ConflictError, NotThereError):
            log_lines.debug("somebody else was faster with the lease %s", self._name)
        except ClusterError as error:
            log_lines.warning("the lease %s cannot be renewed: %s", self._name, error)
        self._tell()

    def _tell(self) -> None:
        leads = self.leads
        if leads != self._led:
            self._led = leads
            log_lines.info("%s %s", self.identity, "leads" if leads else "does not lead any more")
            self.on_change()

    async def _acquire_or_renew(self) -> bool:
        try:
            lease = await self._cluster.read_lease(self._namespace, self._name)
        except NotThereError:
            await self._cluster.create_lease(self._namespace, self._body(None))
            self.transitions = 0
            return True
        marks = lease["metadata"].get("annotations") or {}
        self.draining_since, self.draining_until = (
            _moment(marks.get(DRAINING_SINCE)),
            _moment(marks.get(DRAINING_UNTIL)),
        )
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder not in ("", self.identity) and not self._expired(lease):
            self._renewed_at = None
            return False
        await self._cluster.replace_lease(self._namespace, self._body(lease))
        return True

    def _expired(self, lease: dict[str, Any]) -> bool:
        """Tell whether nobody renewed the lease for its duration, by our own clock: no other is trusted.

        Whoever writes beside the spec renews nothing.
        """
        spec = lease.get("spec") or {}
        now = self._monotonic()
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, now)
            return False
        seconds = spec.get("leaseDurationSeconds") or self._lease_seconds
        return now - self._seen[1] > min(seconds, LEASE_SECONDS_MAX)

    def _body(self, lease: dict[str, Any] | None, *, holder: str | None = None) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (lease or {}).get("spec") or {}
        identity = self.identity if holder is None else holder
        transitions = int(before.get("leaseTransitions") or 0)
        renewed = before.get("holderIdentity") == identity
        self.transitions = transitions if renewed or holder is not None else transitions + (lease is not None)
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": (lease or {}).get("metadata") or {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": identity,
                "leaseDurationSeconds": self._lease_seconds if identity else 1,
                "acquireTime": before.get("acquireTime") if renewed else now,
                "renewTime": now,
                "leaseTransitions": self.transitions,
            },
        }

    async def release(self) -> None:
        """Let somebody else lead at once, if the lease is ours."""
        if self._renewed_at is None:
            return
        self._renewed_at = None
        self._tell()
        with contextlib.suppress(ClusterError):
            lease = await self._cluster.read_lease(self._namespace, self._name)
            if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
                await self._cluster.replace_lease(self._namespace, self._body(lease, holder=""))


def _moment(text: str | None) -> datetime | None:
    """Return the moment that a mark tells; one that is none, or of no time zone, tells nothing."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment is not None and moment.tzinfo is not None else None
