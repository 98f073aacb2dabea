"""The operator as a process: settings, adapters, signals, and one line when it cannot start."""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping

import uvloop

from saga_operator.cluster import Cluster, ClusterError
from saga_operator.following import TOPICS
from saga_operator.handlers import tame_log_lines
from saga_operator.orders import OrderService
from saga_operator.pace import Pace
from saga_operator.settings import PREFIX, OperatorSettings, refuse_unknown
from saga_operator.wiring import Operator
from sagakit.hosting import CannotStartError, opened
from sagakit.hosting.process import TOLD, cannot_start, log_as, tune
from sagakit.runtime.settings import read, shown
from sagakit.runtime.topics import SAGAS_DEFINITIONS

BURST_SECONDS = 2
"""How many seconds' worth of writes to the API server may come at once."""

log_lines = logging.getLogger(__name__)


def main() -> None:
    """Run the operator until SIGTERM or Ctrl-C; a start that fails ends it with one line and exit code 2."""
    try:
        log_as("operator", os.environ)
        tame_log_lines()
        tune()
        uvloop.run(serve(os.environ))
    except CannotStartError as error:
        cannot_start(error)


async def serve(environment: Mapping[str, str]) -> None:
    """Run the operator until SIGTERM or Ctrl-C.

    Raises:
        CannotStartError: with the one line that says why.
    """
    try:
        refuse_unknown(environment)
        settings = read(OperatorSettings, environment).checked()
        log_lines.info("%s", shown(settings))
        pace = Pace(settings.writes_per_second, settings.writes_per_second * BURST_SECONDS)
        cluster = await Cluster.connect(pace, settings.request_seconds)
        try:
            await _serve(settings, cluster, environment)
        finally:
            await cluster.close()
    except (*TOLD, ClusterError) as error:
        raise CannotStartError(str(error)) from error


async def _serve(settings: OperatorSettings, cluster: Cluster, environment: Mapping[str, str]) -> None:
    of_the_log = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
    async with (
        opened(of_the_log, {*TOPICS, SAGAS_DEFINITIONS}) as adapters,
        OrderService(settings.order_url, settings.request_seconds) as orders,
    ):
        log_lines.info("%s", shown(adapters.settings))
        operator = Operator.over(settings, cluster, adapters.log, orders, adapters.clock, adapters.spans)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, operator.stop.set)
        await operator.run()


if __name__ == "__main__":
    main()
