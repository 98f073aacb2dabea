"""Before the platform is taken away: let running sagas come to their end, in bounded time, and then hold no object.

`python -m saga_operator.drain --timeout 60` begins nothing new (the Lease tells the operators), waits, and takes its
finalizer off whatever still runs: an object that nobody can release any more would hold its namespace for ever. Such a
saga goes on where it stands when the platform is installed again.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TextIO

from saga_operator.cluster import Body, Cluster, ClusterError, ConflictError, NotThereError, RefusedError
from saga_operator.lease import DRAINING_SINCE, DRAINING_UNTIL
from saga_operator.pace import Pace
from saga_operator.resources import FINALIZER
from saga_operator.settings import OperatorSettings, refuse_unknown
from sagakit.core.facts import Phase
from sagakit.runtime.settings import SettingsError, read

LOOK_SECONDS = 1.0
AFTERWARDS = timedelta(minutes=2)
"""How much longer than the wait nothing new is begun: until the operators are gone."""
ATTEMPTS = 5
TERMINAL = frozenset(phase.value for phase in Phase if phase.terminal)


def main(arguments: Sequence[str] | None = None) -> None:
    """Drain, and end with 0; with 2 and one line when the cluster does not let us."""
    parser = argparse.ArgumentParser(prog="python -m saga_operator.drain", description=__doc__.splitlines()[0])
    parser.add_argument("--timeout", type=int, default=60, metavar="SECONDS", help="how long to wait for running sagas")
    seconds = parser.parse_args(arguments).timeout
    try:
        refuse_unknown(os.environ)
        asyncio.run(_drain(read(OperatorSettings, os.environ), seconds))
    except (SettingsError, ClusterError) as error:
        say(f"sagaplane: {error}", sys.stderr)
        raise SystemExit(2) from None


def say(text: str, stream: TextIO = sys.stdout) -> None:
    """Tell whoever waits."""
    stream.write(text + "\n")
    stream.flush()


async def _drain(settings: OperatorSettings, seconds: int) -> None:
    cluster = await Cluster.connect(Pace(50, 50), settings.request_seconds)
    try:
        now = datetime.now(UTC)
        until = now + timedelta(seconds=seconds) + AFTERWARDS
        marks = {DRAINING_SINCE: now.isoformat(), DRAINING_UNTIL: until.isoformat()}
        try:
            await cluster.annotate_lease(settings.lease_namespace, settings.lease_name, marks)
        except NotThereError:
            say("no operator has led here, so nothing new begins")
        left = await _wait(cluster, settings.watched, settings.lease_namespace, seconds)
        for body in left:
            await _release(cluster, body)
        say(f"{len(left)} OrderSagas are released while they run" if left else "every OrderSaga has ended")
    finally:
        await cluster.close()


async def _wait(cluster: Cluster, namespaces: Sequence[str], here: str, seconds: int) -> list[Body]:
    """Return what is still held when nothing runs any more, or when the time is over."""
    end = time.monotonic() + seconds
    passed: set[str] = set()
    while True:
        found = await _all(cluster, namespaces, here, passed)
        held = [body for body in found if FINALIZER in body["metadata"].get("finalizers", ())]
        running = [body for body in held if (body.get("status") or {}).get("phase") not in TERMINAL]
        if not running or time.monotonic() >= end:
            return held
        say(f"waiting for {len(running)} running OrderSagas, at most {end - time.monotonic():.0f} s more")
        await asyncio.sleep(LOOK_SECONDS)


async def _all(cluster: Cluster, namespaces: Sequence[str], here: str, passed: set[str]) -> list[Body]:
    """Return all OrderSagas; a namespace that refuses joins those that are passed over, unless we are `here` in it.

    Raises:
        RefusedError: when no namespace may be looked at, or one may not that is there for sure.
    """
    if not namespaces:
        return await cluster.list_ordersagas(None)
    found: list[Body] = []
    for namespace in namespaces:
        try:
            found += await cluster.list_ordersagas(namespace)
        except RefusedError as error:
            if namespace == here or passed | {namespace} >= {*namespaces}:
                raise
            if namespace not in passed:
                say(f"namespace {namespace} is passed over: it was deleted, or the operator's Role there was ({error})")
            passed.add(namespace)
    return found


async def _release(cluster: Cluster, body: Body) -> None:
    """Take our finalizer off; whoever writes at the same time is let through first."""
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    for _ in range(ATTEMPTS):
        finalizers = body["metadata"].get("finalizers") or []
        if FINALIZER not in finalizers:
            return
        left = [each for each in finalizers if each != FINALIZER]
        patch = {"metadata": {"resourceVersion": body["metadata"]["resourceVersion"], "finalizers": left or None}}
        try:
            await cluster.patch_ordersaga(namespace, name, patch)
        except ConflictError:
            body = await cluster.read_ordersaga(namespace, name)
        except NotThereError:
            return
        else:
            say(f"OrderSaga {namespace}/{name} is released while it runs")
            return


if __name__ == "__main__":
    main()
