"""Every line of kopf: what it watches, with which settings, and whom it tells. No handler has an `if` about sagas.

kopf brings the watch: reconnects, bookmarks, back-off. It writes nothing, because only `on.event` handlers exist: no
finalizer, no annotation, no Event is its own.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import kopf
from typing_extensions import override

from saga_operator.definitions import DefinitionKeeper
from saga_operator.engine import Engine
from saga_operator.resources import GROUP, ORDER_SAGA_PLURAL, SAGA_DEFINITION_PLURAL, VERSION

GONE = "DELETED"
ASKING = ("fetching", "scanning", "watching")
PATIENCE = (0.5, 1.0, 2.0, 4.0, *[8.0] * 36)
"""How long is waited before each further try, in seconds: five minutes for an API server to come back."""


class _Tries(logging.Filter):
    """Makes a warning of a request that is tried again, which kopf tells as an error."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno == logging.ERROR and str(record.msg).startswith("Request attempt"):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True


def tame_log_lines() -> None:
    """Let kopf tell what somebody may have to look into, and no more."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)  # it has no signals, as it should be
    for name in ASKING:
        logging.getLogger(f"kopf._cogs.clients.{name}").addFilter(_Tries())


def registry(
    on_ordersaga: Callable[[kopf.RawEvent], None], on_definition: Callable[[kopf.RawEvent], None]
) -> kopf.OperatorRegistry:
    """Return the handlers that pass on what the API server shows."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - whatever kopf gives
        # Not through the client library, whose ways to log in change with its versions (kopf 1278, 1308).
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(GROUP, VERSION, ORDER_SAGA_PLURAL, registry=handlers)
    async def ordersaga(event: kopf.RawEvent, **_: object) -> None:
        on_ordersaga(event)

    @kopf.on.event(GROUP, VERSION, SAGA_DEFINITION_PLURAL, registry=handlers)
    async def definition(event: kopf.RawEvent, **_: object) -> None:
        on_definition(event)

    return handlers


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings, each that matters with its reason."""
    chosen = kopf.OperatorSettings()
    # Leaders are elected by a Lease; peering by kopf's own resources would need rights on them, and freezes equals.
    chosen.peering.standalone = True
    # What is watched is known, so nobody needs the right to list CRDs and namespaces (kopf 901).
    chosen.scanning.disabled = True
    # A watch that went silent is noticed: bookmarks come every minute, and a stream is made anew every ten.
    chosen.watching.server_timeout = 600
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 90
    # The default, five minutes, is longer than a Lease.
    chosen.networking.request_timeout = 30
    chosen.networking.error_backoffs = PATIENCE
    # An overloaded API server says when to come again.
    chosen.networking.enforce_retry_after = True
    # Handlers only take note, so a few workers serve any number of objects; the default is one per object.
    chosen.queueing.worker_limit = 100
    chosen.queueing.error_delays = (1, 2, 5, 10)
    # Events are our own: one for each transition, under a name that makes a repeat harmless.
    chosen.posting.enabled = False
    # Nothing of kopf's is stored on objects; were a handler added that does, it would be under our name.
    chosen.persistence.finalizer = f"{GROUP}/kopf"
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=f"kopf.{GROUP}")
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=f"kopf.{GROUP}")
    # Shorter than the grace of a pod, so that the Lease is given up before the kill.
    chosen.process.ultimate_exiting_timeout = 15
    return chosen


async def watch(
    engine: Engine, keeper: DefinitionKeeper, namespaces: Collection[str], ready: threading.Event, stop: threading.Event
) -> None:
    """Watch until `stop` is set; `ready` is set when the watches have begun.

    kopf runs in a thread with a loop of its own: it takes the signals of the main thread for itself, and when it ends
    it cancels every task of its loop that is younger than it, whosever that is.
    """
    loop = asyncio.get_running_loop()

    def told(take: Callable[..., None], event: kopf.RawEvent) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(partial(take, event["object"], gone=event["type"] == GONE))

    handlers = registry(partial(told, engine.seen), partial(told, keeper.seen))
    await asyncio.to_thread(
        kopf.run,
        registry=handlers,
        settings=settings(),
        standalone=True,
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        ready_flag=ready,
        stop_flag=stop,
    )
