"""What a member of a group says to the broker that coordinates it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import errors
from aiokafka.client import CoordinationType
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from sagakit.adapters.kafka.connection import SESSION, Explanation, said
from sagakit.adapters.kafka.protocol import heartbeat, leave_group
from sagakit.adapters.kafka.shares import (
    PROTOCOL,
    Claim,
    Share,
    claim_bytes,
    claim_of,
    divide,
    share_bytes,
    share_of,
)
from sagakit.ports import LogUnavailableError

PATIENCE_PER_SESSION = 3
"""A coordinator that does not answer is given up while there is time to ask another."""
JOIN_SESSIONS = 2
"""Joining takes as long as the slowest member: at most a session, and as much again for whoever divides."""
FENCED_INSTANCE_ID = 82
REBALANCING = errors.RebalanceInProgressError.errno
STRANGE = {errors.UnknownMemberIdError.errno, errors.IllegalGenerationError.errno}
MOVED = {
    errors.GroupCoordinatorNotAvailableError.errno,
    errors.NotCoordinatorForGroupError.errno,
    errors.GroupLoadInProgressError.errno,
}


class DisplacedError(Exception):
    """A newer instance bears our name. Be silent from now on."""


class StrangerError(Exception):
    """The coordinator does not know us any more: others may have what was ours."""


class RebalancingError(Exception):
    """The group is being divided. Join again."""


class Coordinator:
    """The seat of one instance in one group. Its name makes it the same one after a restart (a static member)."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiokafka has no types
        *,
        prefix: str,
        group: str,
        name: str,
        topics: tuple[str, ...],
        partitions: int,
        session_seconds: float,
        explanation: Explanation,
    ) -> None:
        """Have no seat yet."""
        self.seated = False
        self._client = client
        self._explanation = explanation
        self._prefix = prefix
        self._group = prefix + group
        self._name = name
        self._topics = tuple(prefix + topic for topic in topics)
        self._partitions = partitions
        self._session = round(session_seconds * 1000)
        self._patience = session_seconds / PATIENCE_PER_SESSION
        self._node: int | None = None
        self._connection = 0
        self._member = ""
        self._generation = -1
        self._turn = 0

    async def join(self, held: frozenset[int]) -> Share:
        """Take a seat, or keep it while the group is divided anew, and return what is ours.

        Whoever had a seat asks for that one first: so a newer instance of the same name is not thrown out.

        Raises:
            DisplacedError: when a newer instance has it.
            StrangerError: when it was lost; the next try is for a new one.
            RebalancingError: when the group changed meanwhile.
            LogUnavailableError: when there is no coordinator, or it does not let us in.
        """
        self._turn += 1
        claim = claim_bytes(Claim(self._name, self._topics, held, self._turn))
        request = JoinGroupRequest(
            self._group, self._session, self._session, self._member, self._name, "consumer", [(PROTOCOL, claim)]
        )
        answer = await self._ask(request, patience=JOIN_SESSIONS * self._session / 1000)
        if answer.error_code == errors.UnknownMemberIdError.errno:
            self._member = ""
        self._check(answer.error_code)
        self._member, self._generation = answer.member_id, answer.generation_id
        self.seated = True
        shares: list[tuple[str, bytes]] = []
        if answer.leader_id == self._member:
            claims = {member: claim_of(data) for member, _, data in answer.members}
            divided = divide(claims, self._partitions)
            shares = [(member, share_bytes(share, claims[member].topics)) for member, share in divided.items()]
        request = SyncGroupRequest(self._group, self._generation, self._member, self._name, shares)
        answer = await self._ask(request, patience=JOIN_SESSIONS * self._session / 1000)
        self._check(answer.error_code)
        return share_of(answer.member_assignment)

    async def live(self) -> None:
        """Say that we live.

        Raises:
            DisplacedError, StrangerError, RebalancingError, LogUnavailableError: as `join`.
        """
        self._check(await self._ask(heartbeat(self._group, self._generation, self._member, self._name)))

    async def handled(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Tell how far the group has come."""
        topics: dict[str, list[tuple[int, int, str]]] = {}
        for (topic, partition), offset in positions.items():
            topics.setdefault(self._prefix + topic, []).append((partition, offset, ""))
        answer = await self._ask(
            OffsetCommitRequest(self._group, self._generation, self._member, -1, [*topics.items()])
        )
        for _, partitions in answer.topics:
            for _, code in partitions:
                self._check(code)

    async def leave(self) -> None:
        """Give the seat up, so that the others share what was ours at once."""
        if not self.seated:
            return
        self.seated = False
        self._check(await self._ask(leave_group(self._group, self._member, self._name), "leave"))

    async def _ask(self, request: Any, channel: str = "group", patience: float | None = None) -> Any:  # noqa: ANN401
        """Return the coordinator's answer. A connection on which none comes is not used again."""
        try:
            async with asyncio.timeout(self._patience if patience is None else patience):
                if self._node is None:
                    self._node = await self._client.coordinator_lookup(CoordinationType.GROUP, self._group)
                return await self._client.send(self._node, request, group=(channel, id(self), self._connection))
        except (errors.KafkaError, OSError, AssertionError, TimeoutError) as error:
            self._node = None
            self._connection += 1
            self._client.force_metadata_update()
            raise LogUnavailableError(f"group {self._group}: {self._remedy(error) or said(error)}") from error

    def _check(self, code: int) -> None:
        if not code:
            return
        if code == FENCED_INSTANCE_ID:
            self.seated = False
            raise DisplacedError(self._name)
        if code in STRANGE:
            self.seated = False
            raise StrangerError(self._name)
        if code == REBALANCING:
            raise RebalancingError(self._group)
        if code in MOVED:
            self._node = None
        error = errors.for_code(code)()
        raise LogUnavailableError(f"group {self._group}: {self._remedy(error) or said(error)}")

    def _remedy(self, error: BaseException) -> str | None:
        match error:
            case errors.GroupAuthorizationFailedError():
                return "we are not allowed to join; give our user Read on the group"
            case errors.TopicAuthorizationFailedError():
                return "we are not allowed to read its topics"
            case errors.InvalidSessionTimeoutError():
                return (
                    f"{SESSION}={self._session / 1000:g} is outside of what the brokers allow"
                    " (group.min.session.timeout.ms to group.max.session.timeout.ms)"
                )
            case errors.InconsistentGroupProtocolError():
                return "others are in it who divide it in another way; no other program may use this group"
            case errors.NodeNotReadyError() | errors.GroupCoordinatorNotAvailableError():
                return self._explanation.text()
            case _:
                return None
