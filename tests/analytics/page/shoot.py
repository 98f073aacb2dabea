"""Pictures of the page, in light and in dark: `python -m tests.analytics.page.shoot URL DIRECTORY`."""

import sys
from pathlib import Path

from tests.analytics.page.browser import browser, tab

WIDTH = 1360
SHOWN = """document.querySelector("#state").dataset.state === "live"
  && [...document.querySelectorAll("section .scroll")].every((one) => one.childElementCount)"""


def shoot(url: str, directory: Path) -> list[Path]:
    """Write both pictures of a page that is live, and return where they are."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = {scheme: directory / f"analytics-{scheme}.png" for scheme in ("light", "dark")}
    with browser() as address:
        for scheme, path in paths.items():
            with tab(address) as page:
                page.open(url, width=WIDTH, dark=scheme == "dark")
                page.until(SHOWN)
                page.shoot(path)
    return list(paths.values())


if __name__ == "__main__":
    sys.stdout.writelines(f"{path}\n" for path in shoot(sys.argv[1], Path(sys.argv[2])))
