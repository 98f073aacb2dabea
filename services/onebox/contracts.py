"""Write the documents of the shop's contracts, or check that they are current: `python -m onebox.contracts [--check]`.

An incompatible change is refused: raise the version of the contract and write an upcaster instead.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from shop_contracts.catalogue import SHOP
from shop_contracts.documents import documents, incompatible

DIRECTORY = Path("docs/contracts")


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when the documents are current in the end."""
    parser = argparse.ArgumentParser(prog="python -m onebox.contracts", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something would be written")
    parser.add_argument("directory", type=Path, nargs="?", default=DIRECTORY, help="where the documents are")
    given = parser.parse_args(arguments)
    committed = {path.name: path.read_bytes() for path in sorted(given.directory.glob("*.json"))}
    refusals = incompatible(
        {name: msgspec.json.decode(text) for name, text in committed.items()}, SHOP.by_type.values()
    )
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    if refusals:
        return 1
    stale = {name: text for name, text in rendered().items() if committed.get(name) != text}
    for name, text in stale.items():
        if given.check:
            print(f"{given.directory / name} is not current: run python -m onebox.contracts", file=sys.stderr)
        else:
            given.directory.mkdir(parents=True, exist_ok=True)
            (given.directory / name).write_bytes(text)
            print(f"wrote {given.directory / name}")
    return 1 if given.check and stale else 0


def rendered() -> dict[str, bytes]:
    """Return the text of every document by its file name."""
    encoded = {name: msgspec.json.encode(document) for name, document in documents().items()}
    return {name: msgspec.json.format(text, indent=2) + b"\n" for name, text in encoded.items()}


if __name__ == "__main__":
    sys.exit(main())
