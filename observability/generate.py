"""Write the dashboards and what the chart takes, or check both: `python -m observability.generate [--check]`."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from observability.dashboards import PAGES
from observability.pages import Page, drawn

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "observability"
CHART = ROOT / "charts/sagaplane/files"


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when everything is current in the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would be written")
    given = parser.parse_args(arguments)
    stale = {path: text for path, text in wanted() if not path.exists() or path.read_text() != text}
    left = [path for path in there() if path not in dict(wanted())]
    for path in stale.keys() | set(left):
        name = path.relative_to(ROOT)
        if given.check:
            sys.stderr.write(f"{name} is not current: run python -m observability.generate\n")
        elif path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(stale[path])
            sys.stdout.write(f"wrote {name}\n")
        else:
            path.unlink()
            sys.stdout.write(f"removed {name}\n")
    return 1 if given.check and (stale or left) else 0


def wanted() -> Iterator[tuple[Path, str]]:
    """Return each file and what should be in it."""
    for page in PAGES:
        text = encoded(page)
        yield HERE / f"dashboards/{page.name}.json", text
        yield CHART / f"dashboards/{page.name}.json", text
    for rules in sorted(HERE.glob("rules/*.yaml")):
        yield CHART / f"rules/{rules.name}", rules.read_text()


def there() -> Iterator[Path]:
    """Return what was made before."""
    yield from HERE.glob("dashboards/*.json")
    for room in ("dashboards", "rules"):
        yield from (CHART / room).glob("*")


def encoded(page: Page) -> str:
    """Return the page as JSON, the same each time."""
    return json.dumps(drawn(page), cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
