"""docs/your-own-saga.md is true: its code runs, in order, and its definition is the one of this package."""

import doctest
import re
from pathlib import Path
from typing import Any

from tests.trip.definition import TRIP

DOCUMENT = Path(__file__).parents[2] / "docs" / "your-own-saga.md"
BLOCK = re.compile(r"^```(python|pycon)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_what_the_document_says_runs_as_printed_and_defines_the_trip() -> None:
    names: dict[str, Any] = {"__name__": "your_own_saga"}
    said: list[str] = []
    text = DOCUMENT.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        if found[1] == "python":
            exec(compile("\n" * line + found[2], DOCUMENT.name, "exec"), names)
            continue
        example = doctest.DocTestParser().get_doctest(found[2], names, DOCUMENT.name, str(DOCUMENT), line)
        runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
        runner.run(example, out=said.append, clear_globs=False)
        names.update(example.globs)
    assert not said, "".join(said)
    assert names["TRIP"] == TRIP
