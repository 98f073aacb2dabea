"""The order service, as the operator asks it: place, look, and pass on what a resource wishes."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec

from saga_operator.resources import shortened
from saga_operator.settings import PREFIX
from sagakit.core.facts import AbortAsked, AbortCode, Phase, StepStatus, Verb
from sagakit.core.messages import Mode
from sagakit.core.state import SagaState, StepState
from sagakit.runtime.http.problems import PROBLEM_TYPE

ACTOR = "operator"
PAGE = 100
SHOWN_CHARACTERS_MAX = 80
JSON = {"Content-Type": "application/json"}
NO_SAGAS = frozenset({".", "..", "batch"})
"""What a resource may name, and no saga is called: as the end of a path each is another place."""
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a resource may say in its reasons, and the order service refuses."""


class OrdersUnavailableError(Exception):
    """The order service does not answer, or cannot serve now; ask again.

    `undone` tells that it surely did nothing; else it is not known.
    """

    def __init__(self, sentence: str, *, undone: bool = False) -> None:
        """Carry the sentence."""
        super().__init__(sentence)
        self.undone = undone


class RefusedOrderError(Exception):
    """The order service will not place this order. The text says why; the order has to be another one.

    `field` is the JSON pointer to what is wrong, as the service names it; `conflict` that it clashes with another.
    """

    def __init__(self, sentence: str, field: str, *, conflict: bool) -> None:
        """Carry the sentence, and where."""
        super().__init__(sentence)
        self.field = field
        self.conflict = conflict


@dataclass(frozen=True, slots=True)
class Told:
    """A saga as the order service has it, and when it said so."""

    state: SagaState
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Granted:
    """What became of a wish; `granted` is false where the saga as it stands does not allow it.

    Without `effect` the saga was already as it should be.
    """

    granted: bool
    sentence: str
    effect: bool = True


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is not known here is ignored: the service may be of a later version."""


class _Undoing(_Answer, frozen=True, kw_only=True):
    attempts: int = 0
    asked_at: datetime | None = None
    done_at: datetime | None = None


class _Step(_Answer, frozen=True, kw_only=True):
    name: str
    state: StepStatus
    attempts: int = 0
    asked_at: datetime | None = None
    answered_at: datetime | None = None
    reason: str | None = None
    code: str | None = None
    stuck: str | None = None
    by_hand: str | None = None
    compensation: _Undoing | None = None


class _Abort(_Answer, frozen=True, kw_only=True):
    at: datetime
    code: AbortCode
    reason: str = ""
    requested_by: str = ""


class _Waiting(_Answer, frozen=True, kw_only=True):
    since: datetime | None = None


class Line(_Answer, frozen=True, kw_only=True):
    """A saga in a list."""

    saga_id: str
    phase: Phase
    correlation_id: str = ""
    suspended: bool = False


class _Saga(Line, frozen=True, kw_only=True):
    definition: str
    mode: Mode
    reason: str | None = None
    started_at: datetime | None = None
    deadline: datetime | None = None
    ended_at: datetime | None = None
    version: int = 0
    steps: list[_Step] = []
    abort: _Abort | None = None
    waiting_for: _Waiting | None = None
    traceparent: str | None = None
    as_of: datetime


class _Sagas(_Answer, frozen=True, kw_only=True):
    sagas: list[Line] = []
    next_cursor: str | None = None


class _Order(_Answer, frozen=True, kw_only=True):
    id: str


class _Verb(_Answer, frozen=True, kw_only=True):
    sentence: str = ""
    effect: bool = True


class _Problem(_Answer, frozen=True, kw_only=True):
    type: str = ""
    detail: str | None = None
    title: str = ""
    field: str | None = None

    @property
    def is_ours(self) -> bool:
        return self.type.startswith(PROBLEM_TYPE)

    @property
    def is_a_no(self) -> bool:
        """True for what the order service says to our request, which always names the field; not of a wrong address."""
        return self.is_ours and self.field is not None


class OrderService:
    """The order service at one address. Use it as an asynchronous context."""

    def __init__(self, url: str, seconds: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Ask there, and wait no longer than that for an answer."""
        self._seconds = seconds
        self._client = httpx.AsyncClient(
            base_url=url, timeout=seconds, headers={"X-Actor": ACTOR}, transport=transport, trust_env=False,
            verify=url.startswith("https:"), limits=httpx.Limits(max_connections=64, max_keepalive_connections=16),
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def place(self, order: Mapping[str, Any], key: str) -> str:
        """Place the order under an idempotency key and return its id; the same again changes nothing.

        Raises:
            RefusedOrderError: when it is not to be placed.
            OrdersUnavailableError: when it is not known whether it is.
        """
        answer = await self._ask("POST", "/orders", {**JSON, "Idempotency-Key": key}, msgspec.json.encode(order))
        if answer.is_success:
            placed: _Order = _read(answer, _Order)
            return placed.id
        told = _problem(answer)
        conflict = answer.status_code == HTTPStatus.CONFLICT
        raise RefusedOrderError(told.detail or told.title, told.field or "", conflict=conflict)

    async def find(self, saga_id: str) -> Told | None:
        """Return the saga, or None when the order service has none of that id: a correlation id anybody may choose."""
        if saga_id in NO_SAGAS:
            return None
        answer = await self._ask("GET", f"/sagas/{quote(saga_id, safe='')}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if not answer.is_success:
            raise OrdersUnavailableError(_problem(answer).detail or f"HTTP {answer.status_code}")
        saga: _Saga = _read(answer, _Saga)
        if saga.saga_id != saga_id:
            return None
        return Told(_state(saga), saga.as_of)

    async def wish(self, saga_id: str, verb: Verb, reason: str, actor: str) -> Granted | None:
        """Pass a wish on; None when the order service has no such saga."""
        if saga_id in NO_SAGAS:
            return None
        path = f"/sagas/{quote(saga_id, safe='')}/{verb}"
        body = msgspec.json.encode({"reason": CONTROLS.sub(" ", reason)})
        answer = await self._ask("POST", path, {**JSON, "X-Actor": actor}, body)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if answer.is_success:
            done = _read(answer, _Verb)
            return Granted(granted=True, sentence=done.sentence, effect=done.effect)
        told = _problem(answer)
        return Granted(granted=False, sentence=told.detail or told.title)

    async def latest(self, phase: Phase | None, limit: int) -> list[Line]:
        """Return the sagas begun last, of one phase or of all."""
        found: list[Line] = []
        cursor: str | None = None
        while len(found) < limit:
            query = {"limit": str(min(limit - len(found), PAGE))}
            query |= {"phase": phase.value} if phase else {}
            query |= {"cursor": cursor} if cursor else {}
            answer = await self._ask("GET", f"/sagas?{httpx.QueryParams(query)}")
            if not answer.is_success:
                raise OrdersUnavailableError(_problem(answer).detail or f"HTTP {answer.status_code}")
            page = _read(answer, _Sagas)
            found += page.sagas
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.request(method, path, headers=headers, content=content)
        except (httpx.HTTPError, TimeoutError) as error:
            undone = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            said = f"the order service at {self._client.base_url} does not answer: {str(error) or type(error).__name__}"
            raise OrdersUnavailableError(said, undone=undone) from error
        if answer.is_success:
            return answer
        told = _problem(answer)
        if answer.is_server_error or answer.status_code in _LATER:
            said = f"the order service cannot serve now: {told.detail or answer.status_code}"
            # A proxy says 503 also when the service went away in the middle of our request.
            undone = told.is_ours and answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
            raise OrdersUnavailableError(said, undone=undone)
        if not told.is_a_no:
            # Believed, it would end a saga, or let a resource go that money is owed for.
            words = shortened(answer.text, SHOWN_CHARACTERS_MAX) or "nothing"
            said = f"{answer.url.copy_with(query=None)} is answered HTTP {answer.status_code}, not by an order service"
            raise OrdersUnavailableError(
                f"{said}: look at {PREFIX}ORDER_URL, and at what is in between; it says {words}"
            )
        return answer


_LATER = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


def _problem(answer: httpx.Response) -> _Problem:
    try:
        return msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.MsgspecError:
        return _Problem(title=f"HTTP {answer.status_code}")


def _read(answer: httpx.Response, kind: Any) -> Any:  # noqa: ANN401 - the type asked for
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.MsgspecError as error:
        raise OrdersUnavailableError(f"the order service answers what nobody can read: {error}") from error


def _state(saga: _Saga) -> SagaState:
    abort = saga.abort
    return SagaState(
        saga_id=saga.saga_id,
        version=saga.version,
        phase=saga.phase,
        definition=saga.definition,
        mode=saga.mode,
        correlation_id=saga.correlation_id,
        traceparent=saga.traceparent,
        started_at=saga.started_at,
        deadline=saga.deadline,
        ended_at=saga.ended_at,
        steps={step.name: _step(step, saga) for step in saga.steps if step.state is not StepStatus.IDLE or step.stuck},
        abort=AbortAsked(at=abort.at, code=abort.code, reason=abort.reason, requested_by=abort.requested_by)
        if abort
        else None,
        suspended=saga.suspended,
        reason=saga.reason,
    )


def _step(step: _Step, saga: _Saga) -> StepState:
    undo = step.compensation or _Undoing()
    return StepState(
        status=step.state,
        attempts=step.attempts,
        asked_at=step.asked_at,
        answered_at=step.answered_at,
        undo_attempts=undo.attempts,
        undo_asked_at=undo.asked_at,
        undone_at=undo.done_at,
        reason=step.reason,
        code=step.code,
        stuck=step.stuck,
        stuck_at=(saga.waiting_for.since if saga.waiting_for else None) or saga.as_of if step.stuck else None,
        by_hand=step.by_hand,
    )
