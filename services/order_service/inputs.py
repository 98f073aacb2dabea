"""What may be asked over HTTP: parameters and bodies, with the rules that their types can hold."""

from typing import Annotated

import msgspec
from msgspec import Meta

from order_service.domain import TIMEOUT_SECONDS_MAX, Status
from order_service.intake import BATCH_ORDERS_MAX, BatchResult, Key
from sagakit.core.definition import SAGA_TIMEOUT_SECONDS, STEP_NAME_LENGTH_MAX, STEPS_MAX
from sagakit.core.facts import Phase, Verb
from sagakit.runtime.http.routes import ACTOR_DEFAULT, Actor, Id, Input, header
from sagakit.runtime.paging import PAGE_LIMIT, PAGE_LIMIT_MAX
from shop_contracts.definitions import ShortStage

BATCH_IDS_MAX = 5000
Limit = Annotated[int, Meta(ge=1, le=PAGE_LIMIT_MAX)]
Cursor = Annotated[str, Meta(min_length=1, max_length=200, description="`nextCursor` of the page before.")]
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=500,
        pattern=r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$",
        description="Why; it goes into the history. It has no control characters but tabs and ends of lines.",
    ),
]

StepName = Annotated[str, Meta(min_length=1, max_length=STEP_NAME_LENGTH_MAX, pattern=r"^[^\x00]*$")]


class Placing(Input, frozen=True, kw_only=True):
    """What comes beside an order: a key that makes a repeat safe, and the trace it belongs to."""

    idempotency_key: Annotated[Key, header("Idempotency-Key")] | None = None
    traceparent: Annotated[str, header("traceparent")] | None = None


class OrderPath(Input, frozen=True, kw_only=True):
    """One order."""

    order_id: Id


class OrderList(Input, frozen=True, kw_only=True):
    """Which orders, and which page of them."""

    status: Status | None = None
    user_id: str | None = None
    limit: Limit = PAGE_LIMIT
    cursor: Cursor | None = None


class OrderVerb(Input, frozen=True, kw_only=True):
    """One order, and who asks."""

    order_id: Id
    actor: Actor = ACTOR_DEFAULT


class Why(Input, frozen=True, kw_only=True):
    """The reason of a verb."""

    reason: Reason


class OrderBatch(Input, frozen=True, kw_only=True):
    """Up to 1000 orders, each as in `POST /orders`, with its own `idempotencyKey` if it has one."""

    orders: Annotated[
        list[msgspec.Raw],
        Meta(
            min_length=1,
            max_length=BATCH_ORDERS_MAX,
            extra_json_schema={
                "items": {"description": "As the body of POST /orders; may carry an `idempotencyKey` beside."}
            },
        ),
    ]


class BatchResults(msgspec.Struct, frozen=True):
    """What became of each order, in the order in which they came."""

    results: list[BatchResult]


class SagaPath(Input, frozen=True, kw_only=True):
    """One saga, by its id or its correlation id."""

    saga_id: Id


class SagaVerb(Input, frozen=True, kw_only=True):
    """One saga, and who asks."""

    saga_id: Id
    actor: Actor = ACTOR_DEFAULT


class SagaList(Input, frozen=True, kw_only=True):
    """Which sagas, and which page of them."""

    phase: Phase | None = None
    reason: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")] | None = None
    limit: Limit = PAGE_LIMIT
    cursor: Cursor | None = None


class HistoryPage(Input, frozen=True, kw_only=True):
    """Which page of one saga's history."""

    saga_id: Id
    limit: Limit = PAGE_LIMIT
    cursor: (
        Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,9}$", description="`nextCursor` of the page before.")] | None
    ) = None


class StepWhy(Input, frozen=True, kw_only=True):
    """The reason of a verb, and the step it concerns (by default every step that is stuck)."""

    reason: Reason
    step: StepName | None = None


class BatchFilter(Input, frozen=True, kw_only=True):
    """Which sagas a job is for: named ones, or all that are equal in what is given and at least so old."""

    phase: Phase | None = None
    reason: Annotated[str, Meta(max_length=500, pattern=r"^[^\x00]*$")] | None = None
    older_than_seconds: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    ids: Annotated[list[Id], Meta(min_length=1, max_length=BATCH_IDS_MAX)] | None = None


class BatchAsked(Input, frozen=True, kw_only=True):
    """A verb over many sagas. A dry run only counts them."""

    verb: Verb
    reason: Reason
    filter: BatchFilter
    step: StepName | None = None
    dry_run: bool = False
    rate_per_second: Annotated[int, Meta(ge=1, le=1000)] = 100


class BatchJobsAsked(Input, frozen=True, kw_only=True):
    """Who asks for a batch job."""

    actor: Actor = ACTOR_DEFAULT


class BatchJobPath(Input, frozen=True, kw_only=True):
    """One batch job, and which of its failures."""

    batch_id: Id
    failures_after: Annotated[int, Meta(ge=-1, le=10**12, description="`nextFailuresAfter` of the page before.")] = -1


class BatchJobStop(Input, frozen=True, kw_only=True):
    """One batch job."""

    batch_id: Id


class BatchJobList(Input, frozen=True, kw_only=True):
    """Which page of the batch jobs."""

    limit: Limit = PAGE_LIMIT
    cursor: Cursor | None = None


class DefinitionPath(Input, frozen=True, kw_only=True):
    """One definition: its name and version, as in `order/1`."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
    version: Annotated[int, Meta(ge=1, le=10**9)]


class DefinitionAsked(Input, frozen=True, kw_only=True):
    """What a definition says; whatever is left out is known of each command."""

    timeout_seconds: Annotated[int, Meta(ge=1, le=TIMEOUT_SECONDS_MAX)] = SAGA_TIMEOUT_SECONDS
    stages: Annotated[list[ShortStage], Meta(min_length=1, max_length=STEPS_MAX)]
