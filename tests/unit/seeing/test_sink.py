"""What takes the spans of a measurement counts every one that it is sent, and the bytes of it."""

from onebox.bench.collector import Sink, collector
from sagakit.adapters.otel import OtlpSpans
from sagakit.core.traces import Place, Span


def span(number: int) -> Span:
    return Span(service="order", place=Place("af" * 16, f"{number:016x}"), name="saga ends", begin=1, end=2)


async def test_a_sink_counts_what_it_is_sent() -> None:
    async with collector("sink") as sink:
        assert isinstance(sink, Sink)
        spans = OtlpSpans(sink.endpoint)
        spans.start()
        for number in range(1000):
            spans.tell(span(number))
        await spans.close()
    assert spans.counts == {"exported": 1000, "dropped": 0}
    assert sink.counted.spans == 1000
    assert sink.counted.requests == 3
    assert sink.counted.packed < sink.counted.unpacked
