"""How the plugin is called, also in the texts of sagactl that name a command."""

import re
from collections.abc import Iterator

from onebox.cli import app

PROGRAM = "kubectl saga"


def _commands() -> Iterator[str]:
    for known in app.registered_commands:
        yield str(known.name)
    for group in app.registered_groups:
        yield str(group.name)


_NAMED = re.compile(rf"\bsagactl (?=({'|'.join(_commands())})\b)")


def worded(text: str) -> str:
    """Return the text with the plugin's name before the commands that it names."""
    return _NAMED.sub(f"{PROGRAM} ", text)
