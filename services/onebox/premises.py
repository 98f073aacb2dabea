"""Where a box lives: its data directory, which one box at a time holds, and ports that nobody else has.

A directory is emptied only when sagactl made it: a marker file in it says so.
"""

import contextlib
import fcntl
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from onebox.errors import BadInput, Conflict
from onebox.layout import SERVICES, Layout

MARKER = ".sagaplane"
MARKER_TEXT = "The data of one Sagaplane box; `sagactl dev --fresh` empties this directory.\n"
OFFSETS = tuple(range(0, 60_000, 1_000))


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Return where data belongs on this machine (XDG Base Directory Specification)."""
    home = environment.get("XDG_DATA_HOME", "")
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "sagaplane"


@contextlib.contextmanager
def held(directory: Path, *, fresh: bool) -> Iterator[Path]:
    """Hold the directory for one box, emptied first when `fresh`.

    Raises:
        BadInput: when it cannot be made, or would lose files that sagactl did not make.
        Conflict: when another box holds it.
    """
    marker = directory / MARKER
    try:
        known = marker.exists()
        if fresh and directory.exists() and not known and any(directory.iterdir()):
            raise BadInput(f"{directory} holds files that sagactl did not make", "choose another --data-dir")
        directory.mkdir(parents=True, exist_ok=True)
        lock = marker.open("a+")
    except OSError as error:
        raise BadInput(f"{directory} cannot be used: {error.strerror}", "choose another --data-dir") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Conflict(f"another box runs on {directory}", "end it, or choose another --data-dir") from None
        if fresh:
            _empty(directory)
        if not marker.stat().st_size:
            lock.write(MARKER_TEXT)
            lock.flush()
        yield directory


def taken(layout: Layout) -> list[int]:
    """Return the ports of the layout that somebody else has."""
    return [port for port in map(layout.port, SERVICES) if not _free(port)]


def require_ports(layout: Layout) -> None:
    """Make sure that the box can have its ports.

    Raises:
        Conflict: with the ports that somebody else has.
    """
    ports = taken(layout)
    if ports:
        named = ", ".join(map(str, ports))
        remedy = "end what has them (another box, or containers?), or run `sagactl demo --stay`, which takes others"
        raise Conflict(f"ports that the services need are in use: {named}", remedy)


def free_layout() -> Layout:
    """Return the default ports, or if somebody has them, those of the first offset at which all are free.

    Raises:
        Conflict: when there is none.
    """
    for offset in OFFSETS:
        layout = Layout(offset)
        if not taken(layout):
            return layout
    raise Conflict("no ports are free for a box", "end the boxes that run")


def _empty(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name == MARKER:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def environment_of(layout: Layout) -> dict[str, str]:
    """Return the variables with which sagactl finds this box; none, when it has the default ports."""
    if not layout.offset:
        return {}
    return {f"SAGACTL_{name.upper()}_URL": layout.url(name) for name in SERVICES}
