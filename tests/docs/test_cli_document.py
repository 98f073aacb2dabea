"""What docs/cli.md says a reader can type works as printed."""

from pathlib import Path

import pytest
from tests.docs.blocks import blocks
from tests.docs.reader import ROOT, Reader

from onebox.layout import Layout
from onebox.premises import taken

DOCUMENT = ROOT / "docs" / "cli.md"


def _free_offset() -> int:
    return next(offset for offset in range(12_000, 50_000, 100) if not taken(Layout(offset)))


@pytest.mark.xdist_group("docs")
def test_what_the_document_of_sagactl_prints_is_what_sagactl_prints(tmp_path: Path) -> None:
    with Reader(tmp_path, _free_offset()) as reader:
        for block in blocks(DOCUMENT):
            reader.follow(block, DOCUMENT.name)
