"""What a person sees is compared with a file. To change one on purpose, delete it and run the tests."""

from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def check(name: str, text: str) -> None:
    path = GOLDEN / name
    if not path.exists():
        path.write_text(text + "\n", encoding="utf-8")
        raise AssertionError(f"{path.name} was written anew: read it, and commit it if that is what you mean")
    assert text + "\n" == path.read_text(encoding="utf-8"), f"{name} looks different:\n{text}"
