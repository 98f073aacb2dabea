"""The log and the stores that the environment names: brokers, topics, databases, schemas; or the files of a box."""

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path

from onebox.checks.findings import Area, Finding, failed, skipped, well, wrong
from onebox.errors import Failure
from onebox.layout import SERVICES
from onebox.opening import told
from onebox.premises import MARKER, default_data_dir
from onebox.wiring import ALL_TOPICS
from sagakit.hosting.process import quiet_libraries
from sagakit.hosting.settings import DATABASE, KAFKA, PlatformSettings, refuse_unknown
from sagakit.runtime.settings import read
from shop_contracts.topics import DEFAULT_PARTITIONS

FREE_BYTES_MIN = 512 * 1024**2
GIB = 1024**3


async def log(environment: Mapping[str, str], partitions: int | None, replication: int) -> list[Finding]:
    """Return how the brokers and the topics stand."""
    if not environment.get(KAFKA):
        return [skipped(Area.LOG, "brokers", f"{KAFKA} is not set, so the log is a file")]
    try:
        differences = await _asked(environment, lambda: _differences(environment, partitions, replication))
    except Failure as failure:
        return [failed(Area.LOG, "brokers", failure)]
    found = [well(Area.LOG, "brokers", f"{environment[KAFKA]} answer")]
    if not differences:
        return [*found, well(Area.LOG, "topics", f"{len(ALL_TOPICS)} are as they ought to be, and may be seen")]
    return found + [_difference(sentence) for sentence in differences]


async def stores(environment: Mapping[str, str]) -> list[Finding]:
    """Return how the databases and their schemas stand; without a database, the disk that has the files."""
    if not environment.get(DATABASE):
        return [_files(Path(environment.get("SAGAPLANE_DATA_DIR") or default_data_dir(environment)))]
    found = []
    for service in SERVICES:
        try:
            lacks = await _asked(environment, lambda service=service: _lacks(environment, service))  # type: ignore[misc]
        except Failure as failure:
            found.append(failed(Area.STORES, service, failure))
            continue
        if lacks:
            remedy = f"sagactl database apply {service}"
            found.append(wrong(Area.STORES, service, f"lacking in {'; '.join(lacks)}", remedy))
        else:
            found.append(well(Area.STORES, service, "its database has what this version needs"))
    return found


def _difference(sentence: str) -> Finding:
    name, _, rest = sentence.partition(": ")
    remedy = (
        "if that number is meant, ask with --partitions" if "partitions instead" in rest else "sagactl topics apply"
    )
    return wrong(Area.LOG, name, rest or sentence, remedy)


def _files(directory: Path) -> Finding:
    """Return whether there is room for the files of a box."""
    if not (directory / MARKER).is_file():
        return skipped(Area.STORES, "files", f"{DATABASE} is not set, and no box keeps files in {directory}")
    free = shutil.disk_usage(directory).free
    room = f"{free / GIB:.1f} GiB are free where {directory} is"
    if free < FREE_BYTES_MIN:
        return wrong(Area.STORES, "files", room, "make room before the disk is full: a box stops when it cannot write")
    if not os.access(directory, os.W_OK):
        return wrong(Area.STORES, "files", f"{directory} may not be written", f"see whose it is: ls -ld {directory}")
    return well(Area.STORES, "files", room)


async def _differences(environment: Mapping[str, str], partitions: int | None, replication: int) -> list[str]:
    from sagakit.adapters.kafka import KafkaSettings
    from sagakit.adapters.kafka import topics as kafka

    specs = [
        kafka.TopicSpec.of(
            topic.name,
            partitions or DEFAULT_PARTITIONS,
            replication,
            keep_seconds=topic.keep_seconds,
            compacted=topic.compacted,
        )
        for topic in ALL_TOPICS
    ]
    return await kafka.check(read(KafkaSettings, environment), specs)


async def _lacks(environment: Mapping[str, str], service: str) -> list[str]:
    from sagakit.adapters.postgres import Address
    from sagakit.adapters.postgres.migration import migrate

    settings = read(PlatformSettings, environment).checked()
    schemas = import_module(f"{service}_service.wiring").STORES
    return [
        text
        for schema, tables in schemas.items()
        for text in await migrate(Address(settings.database_of(service), schema), tables, dry=True)
    ]


async def _asked(environment: Mapping[str, str], ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
    """Return what servers answer.

    Raises:
        Failure: with what is wrong with a setting or a server.
    """
    quiet_libraries()
    with told(environment):
        refuse_unknown(environment)
        return await ask()
