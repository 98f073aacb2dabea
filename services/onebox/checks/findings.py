"""What a check found: that something is well, that it is wrong and what to do, or why it was not looked at. No IO."""

import enum
from collections.abc import Sequence

from onebox.answers import Answer
from onebox.description import aligned
from onebox.errors import Failure


class Area(enum.StrEnum):
    """What is looked at, and what `--skip` leaves out."""

    SERVICES = "services"
    CLOCKS = "clocks"
    LOG = "log"
    STORES = "stores"
    KUBERNETES = "kubernetes"


class Verdict(enum.StrEnum):
    """How something stands."""

    WELL = "well"
    WRONG = "wrong"
    SKIPPED = "skipped"


SYMBOLS = {Verdict.WELL: "✔", Verdict.WRONG: "✖", Verdict.SKIPPED: "·"}


class Finding(Answer, frozen=True, kw_only=True):
    """One thing that was looked at; what is wrong has a remedy."""

    area: Area
    about: str
    verdict: Verdict
    says: str
    remedy: str = ""

    @property
    def sentence(self) -> str:
        """What is so, and what to do."""
        return f"{self.says}; {self.remedy}" if self.remedy else self.says


def well(area: Area, about: str, says: str) -> Finding:
    """Return that it is as it ought to be."""
    return Finding(area=area, about=about, verdict=Verdict.WELL, says=says)


def wrong(area: Area, about: str, says: str, remedy: str) -> Finding:
    """Return that it is not, and what to do."""
    return Finding(area=area, about=about, verdict=Verdict.WRONG, says=_line(says), remedy=_line(remedy))


def failed(area: Area, about: str, failure: Failure) -> Finding:
    """Return that asking failed."""
    return wrong(area, about, failure.cause, failure.remedy)


def skipped(area: Area, about: str, says: str) -> Finding:
    """Return why nobody looked."""
    return Finding(area=area, about=about, verdict=Verdict.SKIPPED, says=_line(says))


def told(findings: Sequence[Finding]) -> str:
    """Return them as a text, one line each."""
    rows = [(SYMBOLS[its.verdict], its.area, its.about, its.sentence) for its in findings]
    return "\n".join(aligned(rows))


def _line(text: str) -> str:
    return " ".join(text.split())
