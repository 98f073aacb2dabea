"""Golden files: what is persisted or drawn keeps its meaning. To change one on purpose, delete it and run the specs."""

from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    """Compare the text with its golden file; where there is none, write it and fail, so that somebody looks at it."""
    path = GOLDEN / name
    if not path.exists():
        path.write_text(text, encoding="utf-8")
        raise AssertionError(f"{path.name} was written anew: read it, and commit it if that is what you mean")
    assert text == path.read_text(encoding="utf-8"), f"{name}: its meaning changed"
