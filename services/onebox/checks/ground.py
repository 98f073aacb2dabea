"""The log and the stores that the environment names: brokers, topics, databases, schemas; or the files of a box."""

import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from onebox.checks.findings import Area, Finding, failed, skipped, well, wrong
from onebox.errors import Failure
from onebox.layout import SERVICES
from onebox.needs import asked, tables, topics
from onebox.premises import MARKER, default_data_dir
from onebox.wiring import ALL_TOPICS
from sagakit.hosting.settings import DATABASE, KAFKA

FREE_BYTES_MIN = 512 * 1024**2
GIB = 1024**3


async def log(environment: Mapping[str, str], partitions: int | None, replication: int) -> list[Finding]:
    """Return how the brokers and the topics stand."""
    if not environment.get(KAFKA):
        return [skipped(Area.LOG, "brokers", f"{KAFKA} is not set, so the log is a file")]
    try:
        differences = await asked(environment, lambda: topics(environment, partitions, replication, change=False))
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
            lacks = await asked(environment, partial(tables, environment, service, change=False))
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
