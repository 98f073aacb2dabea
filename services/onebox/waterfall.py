"""A trace as a waterfall: each span below its parent, how long it took and how it ended, in order of time. No IO."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from onebox.answers import Answer
from onebox.description import aligned
from onebox.moments import length
from onebox.output import worded
from sagakit.runtime.catalogue import END_SPAN, ROOT_SPAN

BAR_WIDTH_MIN = 20
ORPHAN = "its parent is not in the trace"


class Span(Answer, frozen=True, kw_only=True):
    """One span, with the spans that it links to; it takes those `back`, or follows upon them. It begins since 1970.

    Without a saga's id somebody else told it, such as the caller.
    """

    id: str
    parent: str | None = None
    name: str
    service: str
    begin_microseconds: int
    took_microseconds: int
    saga_id: str = ""
    correlation_id: str = ""
    outcome: str = ""
    error: str = ""
    attempt: int = 0
    back: bool = False
    links: tuple[str, ...] = ()

    @property
    def end_microseconds(self) -> int:
        """When it was over."""
        return self.begin_microseconds + self.took_microseconds


class Trace(Answer, frozen=True, kw_only=True):
    """One trace, and where a browser shows it."""

    trace_id: str
    saga_id: str
    correlation_id: str
    url: str
    spans: list[Span]

    @property
    def end(self) -> Span | None:
        """The span of the whole saga, once it has ended; of several sagas, that of the one which heads the trace."""
        ends = (span for span in self.spans if span.name == END_SPAN.name)
        return next((span for span in ends if span.saga_id in ("", self.saga_id)), None)

    @property
    def sagas(self) -> int:
        """How many sagas are in it."""
        return len({span.saga_id for span in self.spans if span.saga_id})


@dataclass(frozen=True, slots=True)
class _Line:
    depth: int
    span: Span
    orphan: bool


def waterfall(trace: Trace, width: int) -> str:
    """Return the trace as text of that width, with the address at which a browser shows it."""
    lines = [*_lines(trace.spans)]
    columns = ([f"{'  ' * line.depth}{_name(line.span)}" for line in lines], [line.span.service for line in lines])
    names = aligned(list(zip(*columns, strict=True)))
    called = {span.id: span.name for span in trace.spans}
    words = [_words(line, called) for line in lines]
    name_width = max(map(len, names))
    bar_width = max(width - name_width - 4 - min(max(map(len, words)), width // 2), BAR_WIDTH_MIN)
    scale = _scale(trace.spans, bar_width)
    rows = [
        f"{name:<{name_width}}  {scale.bar(line.span):<{bar_width}}  {word}"
        for name, line, word in zip(names, lines, words, strict=True)
    ]
    text = [_head(trace), f"{'':<{name_width}}  {scale.axis()}", *rows, *_tail(trace)]
    return "\n".join(line.rstrip() for line in text)


def _lines(spans: Sequence[Span]) -> Iterator[_Line]:
    """Yield each span behind its parent, the earliest begun first; the whole saga's stands where that ends."""
    left = {(span.id, span.service): span for span in sorted(spans, key=_place)}
    ids = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in left.values():
        below.setdefault(span.parent or "", []).append(span)
    tops = sorted(
        (span for span in left.values() if span.parent not in ids), key=lambda its: its.name != ROOT_SPAN.name
    )
    # Behind those without a parent stand, if there are any, those that say they are each other's.
    for place, top in enumerate([*tops, *left.values()]):
        yield from _family(top, below, left, 0, orphan=place > 0)


def _place(span: Span) -> tuple[int, int, str]:
    at = span.end_microseconds if span.name == END_SPAN.name else span.begin_microseconds
    return at, -span.took_microseconds, span.id


def _family(
    span: Span, below: Mapping[str, list[Span]], left: dict[tuple[str, str], Span], depth: int, *, orphan: bool
) -> Iterator[_Line]:
    """Yield a span and those below it, as far as they are left."""
    if left.pop((span.id, span.service), None) is None:
        return
    yield _Line(depth, span, orphan)
    for child in below.get(span.id, ()):
        yield from _family(child, below, left, depth + 1, orphan=False)


def _name(span: Span) -> str:
    return f"{'↩ ' if span.back else ''}{span.name}"


def _words(line: _Line, called: Mapping[str, str]) -> str:
    span = line.span
    took = length(timedelta(microseconds=span.took_microseconds)) if span.took_microseconds else ""
    said = [_outcome(span)] if span.outcome else []
    if span.error and span.error != span.outcome:
        said.append(f"✖ {span.error}")
    if span.attempt:
        said.append(f"attempt {span.attempt + 1}")
    said += [f"{'takes back' if span.back else 'follows'} {called.get(its, its)}" for its in span.links]
    if line.orphan:
        said.append(ORPHAN)
    return f"{took:>7}  {', '.join(said)}"


def _outcome(span: Span) -> str:
    """Return how it ended, in words; a saga's end is called as its phase is."""
    return worded(span.outcome.capitalize() if span.name == END_SPAN.name else span.outcome)


def _head(trace: Trace) -> str:
    services = len({span.service for span in trace.spans})
    ends = trace.end
    outcome = f"{_outcome(ends)}  " if ends is not None else ""
    called = "" if trace.correlation_id == trace.saga_id else f"  ({trace.correlation_id})"
    more = f", {trace.sagas} sagas" if trace.sagas > 1 else ""
    return f"{trace.saga_id}{called}  {outcome}{len(trace.spans)} spans of {services} services{more}"


def _tail(trace: Trace) -> Iterator[str]:
    if trace.end is None:
        yield "It has no end yet: the saga is under way, or its last spans are."
    yield trace.url


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: int
    span: int
    width: int

    def bar(self, span: Span) -> str:
        """Return the bar: `━` forward, `┄` what takes back, `●` for a moment."""
        first, last = self._column(span.begin_microseconds), self._column(span.end_microseconds)
        if not span.took_microseconds:
            return " " * first + "●"
        return " " * first + ("┄" if span.back else "━") * (last - first) + "┤"

    def axis(self) -> str:
        """Return the times at the left, the middle and the right."""
        middle, right = (length(timedelta(microseconds=part)) for part in (self.span // 2, self.span))
        if not self.span:
            return "0"
        gap = self.width // 2 - len(middle) // 2
        return f"0{middle:>{gap + len(middle) - 1}}{right:>{self.width - gap - len(middle)}}"

    def _column(self, microseconds: int) -> int:
        return round((microseconds - self.begin) / self.span * (self.width - 1)) if self.span else 0


def _scale(spans: Sequence[Span], width: int) -> _Scale:
    begin = min(span.begin_microseconds for span in spans)
    return _Scale(begin, max(span.end_microseconds for span in spans) - begin, width)
