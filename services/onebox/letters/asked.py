"""What a person asks of which letters, read from the words of the command line."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from onebox.errors import BadInput
from onebox.layout import SERVICES
from sagakit.runtime.dead_letters import Because, Status, Wanted

SERVICE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
AGO = re.compile(r"(\d{1,6})([smhd])")
AGO_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks of which letters, and within which bounds."""

    becomes: Status
    wanted: Wanted
    services: tuple[str, ...] = SERVICES
    because: Because
    every: bool = False
    again: bool = False
    to: str = ""
    rate: int = 50
    dry_run: bool = False
    yes: bool = False

    @property
    def verb(self) -> str:
        """What it is called on the command line."""
        return "redrive" if self.becomes is Status.REDRIVEN else "discard"


def wanted_of(
    ids: Iterable[str] | None,
    reason: str | None,
    kind: str | None,
    saga: str | None,
    since: str | None,
    until: str | None,
    error: str | None,
    status: Status | None,
) -> Wanted:
    """Return which letters the options mean.

    Raises:
        BadInput: when a time means nothing.
    """
    return Wanted(
        ids=frozenset(ids or ()),
        status=status,
        reason=reason,
        type=kind,
        saga_id=saga,
        since=time_of("--since", since),
        until=time_of("--until", until),
        error_contains=error,
    )


def time_of(option: str, text: str | None, now: datetime | None = None) -> datetime | None:
    """Return the moment: RFC 3339, or so long ago.

    Raises:
        BadInput: when it is neither.
    """
    if text is None:
        return None
    try:
        if ago := AGO.fullmatch(text):
            return (now or datetime.now(UTC)) - timedelta(seconds=int(ago[1]) * AGO_SECONDS[ago[2]])
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        at = None
    if at is None or at.tzinfo is None:
        raise BadInput(f"{option} {text!r} is no moment", "write it like 2026-11-25T12:00Z, or 2h for two hours ago")
    return at


def services_of(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the services whose letters are meant; all that a box has, when none is named.

    Raises:
        BadInput: when one has no name that a topic can have.
    """
    for name in names or ():
        if not SERVICE_NAME.fullmatch(name):
            raise BadInput(f"--service {name!r} is no name of a service", f"it is one of {', '.join(SERVICES)}")
    return tuple(dict.fromkeys(names)) if names else SERVICES


def because(why: str) -> Because:
    """Return who asks, and why.

    Raises:
        BadInput: when there is no reason.
    """
    from onebox.settings import ctl_settings

    if not why.strip():
        raise BadInput("--reason-why is empty", "say why; it stands beside the letter for whoever looks later")
    return Because(ctl_settings().actor, why.strip())
