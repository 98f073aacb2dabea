"""The plugin, also as `python -m onebox.kubectl`."""

import sys
from collections.abc import Sequence

from onebox.cli import execute
from onebox.kubectl.commands import app
from onebox.kubectl.wording import PROGRAM


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the plugin; kubectl hands over everything behind `kubectl saga`."""
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments, app, PROGRAM))


if __name__ == "__main__":
    main()
