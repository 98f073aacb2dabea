"""How long answers about windows take: a thousand questions drawn from a seed, on the store and over HTTP."""

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from analytics_service.calendar_windows import WindowError
from analytics_service.files import FileStores
from analytics_service.metrics import Metric
from analytics_service.questions import Question, WindowType, length_ms, parsed
from analytics_service.settings import AnalyticsSettings
from analytics_service.window_answers import answer
from onebox.bench.events import EVENTS_PER_ORDER, START, USERS, Traffic
from onebox.bench.load import percentile
from onebox.bench.prepared import log_of, serving
from onebox.bench.scenarios import Bench, Lines
from sagakit.adapters.sqlite.log import PARTITIONS
from sagakit.ports import Store
from shop_contracts.money import DEFAULT_CURRENCY

QUESTIONS = 1000
DAYS = 30
POINTS_MAX = 1500
SLOWEST_SHOWN = 3
ZONES = (
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "America/St_Johns",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)
SIZES = ("1s", "5s", "10s", "30s", "1m", "2m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "6h", "12h", "1d", "7d")
SLIDES = ("1500ms", "10s", "1m", "5m", "30m", "1h")
GAPS = ("1m", "5m", "30m", "2h", "1d")
STEPS_PER_SIZE = (1, 2, 3, 4, 5, 6, 10, 12)
OF_SESSIONS = (Metric.ORDERS, Metric.ORDER_VALUE, Metric.AVERAGE_ORDER_VALUE)

Words = dict[str, str]
"""A question as a client writes it, by the names of the parameters."""


async def ask(bench: Bench) -> Lines:
    """Ask about thirty days; what is refused with a sentence is drawn anew, and counted."""
    log = await log_of(bench, Traffic.over_days(DAYS, bench.seed, bench.events))
    async with serving(bench, log) as service:
        await service.until_live(1)
        store = FileStores(service.directory).open(1)
        asked, answered, refused = await _on_the_store(store, Random(bench.seed), bench.events)
        await store.close()
        over_http: list[float] = []
        for words in asked:
            began = time.perf_counter()
            await service.get("/analytics/windows", words)
            over_http.append(time.perf_counter() - began)
    by_type: defaultdict[str, list[float]] = defaultdict(list)
    for words, (seconds, _) in zip(asked, answered, strict=True):
        by_type[words["type"]].append(seconds)
    passed, cpu = zip(*answered, strict=True)
    slowest = sorted(zip(passed, asked, strict=True), key=lambda each: -each[0])[:SLOWEST_SHOWN]
    return [
        (f"{len(asked):,} window queries on the store, {bench.events:,} events", _figures(passed), "p99 under 50 ms"),
        ("  in CPU time, which others on the machine disturb less", _figures(cpu), ""),
        *((f"  {kind}", _figures(own), "") for kind, own in sorted(by_type.items())),
        *(
            ("  of the slowest", f"{seconds * 1000:.0f} ms: {' '.join(words.values())}", "")
            for seconds, words in slowest
        ),
        ("the same over HTTP", _figures(over_http), "p99 under 50 ms"),
        ("  refused with a sentence, and drawn anew", f"{refused:,}", ""),
    ]


async def _on_the_store(store: Store, luck: Random, events: int) -> tuple[list[Words], list[tuple[float, float]], int]:
    """Return the questions that were answered, the seconds and those of CPU of each, and how many were refused."""
    lateness_ms = AnalyticsSettings().bounds.lateness_ms
    asked: list[Words] = []
    answered: list[tuple[float, float]] = []
    refused = 0
    while len(asked) < QUESTIONS:
        words = drawn(luck, events)
        try:
            question = understood(words)
            began, began_cpu = time.perf_counter(), time.process_time()
            await store.view(lambda reader, question=question: answer(reader, question, lateness_ms, PARTITIONS))  # type: ignore[misc]
        except WindowError:
            refused += 1
            continue
        answered.append((time.perf_counter() - began, time.process_time() - began_cpu))
        asked.append(words)
    return asked, answered, refused


def drawn(luck: Random, events: int) -> Words:
    """Return a random question about the thirty days: any type, metric, length, and clock."""
    kind = luck.choice(list(WindowType))
    metric = luck.choice(OF_SESSIONS if kind is WindowType.SESSION else list(Metric))
    words = {"type": str(kind), "metric": str(metric), "tz": luck.choice(ZONES)}
    points = luck.randint(1, POINTS_MAX)
    orders_per_ms = events / EVENTS_PER_ORDER / (DAYS * 86_400_000)
    match kind:
        case WindowType.TUMBLING:
            words["size"] = luck.choice(SIZES)
            span_ms = points * length_ms("size", words["size"])
        case WindowType.HOPPING:
            words["size"] = luck.choice(SIZES)
            step_s = max(1, length_ms("size", words["size"]) // 1000 // luck.choice(STEPS_PER_SIZE))
            words["step"] = f"{step_s}s"
            span_ms = points * step_s * 1000
        case WindowType.SLIDING:
            words["size"] = luck.choice(SLIDES)
            span_ms = round(points / 2 / orders_per_ms)  # an event makes up to two windows
        case WindowType.SESSION:
            words["gap"] = luck.choice(GAPS)
            span_ms = round(points / orders_per_ms)
            if luck.random() < 0.5:  # noqa: PLR2004 - as many about one user as about all
                words["userId"] = f"user-{luck.randrange(USERS)}"
                span_ms = luck.randint(1, DAYS * 86_400_000)
    span = min(timedelta(milliseconds=span_ms), timedelta(days=DAYS))
    start = START + luck.random() * (timedelta(days=DAYS) - span)
    return {**words, "from": _text(start), "to": _text(start + span)}


def understood(words: Words) -> Question:
    """Return the question as the service understands it.

    Raises:
        WindowError: when it makes no sense.
    """
    return parsed(
        metric=words["metric"],
        kind=words["type"],
        currency=DEFAULT_CURRENCY,
        size=words.get("size"),
        step=words.get("step"),
        gap=words.get("gap"),
        start=words["from"],
        end=words["to"],
        zone_name=words["tz"],
        user_id=words.get("userId"),
        now=datetime.now(UTC),
    )


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _figures(seconds: Sequence[float]) -> str:
    p50, p99, most = (percentile([*seconds], share) * 1000 for share in (0.5, 0.99, 1.0))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {most:.1f} ms"


ASKING: dict[str, Callable[[Bench], Awaitable[Lines]]] = {"analytics-queries": ask}
