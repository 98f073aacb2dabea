"""Which metrics there are to ask for, and how a question chooses among their series."""

from collections.abc import Iterable, Mapping

from analytics_service import measures as analytics
from payment_service import metrics as payment
from sagakit.runtime import catalogue
from sagakit.runtime.catalogue import Named

RATE = "$__rate_interval"
SUFFIXES = ("_bucket", "_count", "_sum")
SHOP = "cluster, namespace"
"""What tells shops apart; the first label is there where one Prometheus sees several clusters."""


def known() -> Mapping[str, Named]:
    """Return every metric of the platform, by its name."""
    told: Iterable[Named] = (*catalogue.CATALOGUE, *catalogue.PROCESS, *payment.CATALOGUE, *analytics.CATALOGUE)
    return {its.name: its for its in told}


KNOWN = known()


def base(name: str) -> str:
    """Return the metric that a series belongs to: a histogram has three."""
    stem = next((name.removesuffix(end) for end in SUFFIXES if name.endswith(end)), name)
    return stem if stem in KNOWN and KNOWN[stem].kind == "histogram" else name


def of(name: str, *matchers: str) -> str:
    """Return the series of a metric that the dashboard's variables choose, and these matchers."""
    labels = KNOWN[base(name)].labels
    chosen = ['namespace=~"$namespace"', *(['definition=~"$definition"'] if "definition" in labels else []), *matchers]
    return f"{name}{{{', '.join(chosen)}}}"


def rate(by: str, name: str, *matchers: str, over: str = RATE) -> str:
    """Return how often per second, for each value of these labels."""
    return f"sum by ({by}) (rate({of(name, *matchers)}[{over}]))"


def grown(by: str, name: str, *matchers: str) -> str:
    """Return by how much a counter grew in the time shown."""
    return f"sum by ({by}) (increase({of(name, *matchers)}[$__range]))"


def most(by: str, name: str, *matchers: str) -> str:
    """Return the greatest: of ages, and of what is as bad as its worst instance."""
    return f"max by ({by}) ({of(name, *matchers)})"


def total(by: str, name: str, *matchers: str) -> str:
    """Return how many: every instance of a shop says the same of all of it, and shops add up."""
    if not by:
        return f"sum({most(SHOP, name, *matchers)})"
    return f"sum by ({by}) ({most(f'{SHOP}, {by}', name, *matchers)})"


def quantile(share: float, by: str, name: str, *matchers: str) -> str:
    """Return what this share of the observations did not exceed."""
    labels = ", ".join(part for part in ("le", by) if part)
    return f"histogram_quantile({share:g}, {rate(labels, f'{name}_bucket', *matchers)})"
