"""What stands below the shop: a service as a process of its own, the topics, the databases, the stored offsets."""

import os
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from onebox.errors import AnswerIsNo, BadInput, NotFound
from onebox.layout import SERVICES
from onebox.session import guarded

T = TypeVar("T")

NameArgument = Annotated[str, typer.Argument(metavar="SERVICE", help=f"One of {', '.join(SERVICES)}.")]
SomeName = Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="The service; by default all of them.")]
ReplicationOption = Annotated[
    int,
    typer.Option(
        "--replication", min=1, max=100, envvar="SAGAPLANE_KAFKA_REPLICATION", help="Copies of each partition."
    ),
]
PARTITIONS_MAX = 10_000
TOPICS_FIT = "all topics are as they ought to be"
SCHEMAS_FIT = "all schemas are as this version needs them"


def service(name: NameArgument) -> None:
    """Run one service until Ctrl-C or SIGTERM, over the log and the store that the environment names."""
    guarded(lambda: _known(name))
    from importlib import import_module

    from onebox.wiring import ALL_TOPICS
    from sagakit.hosting import run

    wiring = import_module(f"{name}_service.wiring")
    run(wiring.host, [topic.name for topic in ALL_TOPICS], wiring.SETTINGS)


def apply_topics(
    partitions: Annotated[
        int | None, typer.Option("--partitions", min=1, max=PARTITIONS_MAX, help="Of each topic; fixed once made.")
    ] = None,
    replication: ReplicationOption = 1,
) -> None:
    """Make the topics that are missing, and correct their settings; nothing is ever deleted."""
    guarded(lambda: _tell(_served(lambda: _topics(partitions, replication, change=True)), TOPICS_FIT))


def check_topics(
    partitions: Annotated[
        int | None, typer.Option("--partitions", min=1, max=PARTITIONS_MAX, help="Of each topic.")
    ] = None,
    replication: ReplicationOption = 1,
) -> None:
    """Say how the topics differ from what the services need; ends with 1 when they do."""
    guarded(
        lambda: _judge(
            _served(lambda: _topics(partitions, replication, change=False)), TOPICS_FIT, "sagactl topics apply"
        )
    )


def apply_databases(name: SomeName = None) -> None:
    """Bring the schemas of a service, or of all, up to this version; only adds, and takes nothing away."""
    guarded(lambda: _tell(_served(lambda: _databases(name, change=True)), SCHEMAS_FIT))


def check_databases(name: SomeName = None) -> None:
    """Say what the schemas lack for this version; ends with 1 when they lack anything."""
    guarded(lambda: _judge(_served(lambda: _databases(name, change=False)), SCHEMAS_FIT, "sagactl database apply"))


async def _topics(partitions: int | None, replication: int, *, change: bool) -> list[str]:
    from onebox.needs import topics
    from sagakit.hosting.settings import KAFKA

    if not os.environ.get(KAFKA):
        raise BadInput(f"{KAFKA} is not set, so there are no brokers", f"set {KAFKA}=localhost:9092")
    return await topics(os.environ, partitions, replication, change=change)


async def _databases(name: str | None, *, change: bool) -> list[str]:
    from onebox.needs import tables
    from sagakit.hosting.settings import DATABASE

    _known(name)
    if not os.environ.get(DATABASE):
        remedy = f"set {DATABASE}=postgresql://user:password@host:5432/{{service}}"
        raise BadInput(f"{DATABASE} is not set, so the services keep files, which need no command", remedy)
    did = "added to" if change else "lacking in"
    return [
        f"{did} {text}"
        for owner in (SERVICES if name is None else (name,))
        for text in await tables(os.environ, owner, change=change)
    ]


def _served(do: Callable[[], Awaitable[T]]) -> T:
    """Ask servers, and say in a line what they would not do."""
    import asyncio

    from onebox.needs import asked

    return asyncio.run(asked(os.environ, do))


def _known(name: str | None) -> None:
    if name is not None and name not in SERVICES:
        raise NotFound(f"there is no service {name!r}", f"choose one of {', '.join(SERVICES)}")


def _judge(found: list[str], otherwise: str, remedy: str) -> None:
    _tell(found, otherwise)
    if found:
        raise AnswerIsNo(f"{len(found)} things differ from what this version needs", f"run `{remedy}`")


def _tell(said: list[str], otherwise: str) -> None:
    for sentence in said or [f"✔ {otherwise}"]:
        print(sentence)
