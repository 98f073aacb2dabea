"""A trace is drawn so that one sees at a glance what took how long, what failed, and what was taken back."""

from onebox.waterfall import ORPHAN, Span, Trace, waterfall

URL = "http://jaeger/trace/t"


def span(name: str, begin: int, took: int, parent: str | None = "root", **more: object) -> Span:
    known = {"id": name, "parent": parent, "name": name, "service": name.rsplit(maxsplit=1)[-1]}
    return Span(**{**known, "begin_microseconds": begin, "took_microseconds": took, **more})  # type: ignore[arg-type]


ROOT = span("saga begins", 1_000, 0, None, id="root", service="order")
PAYMENT = span("process payment", 1_000, 50_000, outcome="succeeded")
STOCK = span("process inventory", 51_000, 25_000, outcome="refused", error="refused")
BACK = span("compensate payment", 76_000, 20_000, back=True, links=("process payment",), outcome="compensated")
END = span("saga ends", 900, 100_100, service="order", outcome="compensated", error="compensated")


def drawn(*spans: Span, correlation: str = "order-7") -> list[str]:
    trace = Trace(trace_id="t", saga_id="order-7", correlation_id=correlation, url=URL, spans=[*spans])
    return waterfall(trace, 100).splitlines()


def test_a_saga_that_was_taken_back_is_drawn_in_the_order_of_time() -> None:
    assert drawn(END, BACK, ROOT, STOCK, PAYMENT) == [
        "order-7  ↩ Compensated  5 spans of 3 services",
        "                                   0       50 ms 100 ms",
        "saga begins             order      ●",
        "  process payment       payment    ━━━━━━━━━━┤             50 ms  ✔ succeeded",
        "  process inventory     inventory            ━━━━┤         25 ms  ✖ refused",
        "  ↩ compensate payment  payment                  ┄┄┄┄┤     20 ms  ↩ compensated, takes back process payment",
        "  saga ends             order      ━━━━━━━━━━━━━━━━━━━┤   100 ms  ↩ Compensated",
        URL,
    ]


def test_the_end_of_another_saga_in_the_trace_is_not_its_own() -> None:
    mine, other = (span("saga begins", 1, 0, None, id=its, saga_id=its) for its in ("order-7", "order-8"))
    ended = span("saga ends", 1, 50, "order-8", saga_id="order-8", outcome="completed")
    lines = drawn(other, ended, mine)
    assert lines[0] == "order-7  3 spans of 2 services, 2 sagas"
    assert lines[-2].startswith("It has no end yet")


def test_spans_of_two_services_are_both_drawn_under_one_id() -> None:
    one, other = (span("abort", 1, 1, id="abort", service=service) for service in ("order", "operator"))
    assert {line.split()[1] for line in drawn(ROOT, one, other) if "abort" in line} == {"order", "operator"}


def test_a_saga_that_has_not_ended_says_so() -> None:
    lines = drawn(ROOT, PAYMENT)
    assert lines[0] == "order-7  2 spans of 2 services"
    assert lines[-2:] == ["It has no end yet: the saga is under way, or its last spans are.", URL]


def test_a_span_whose_parent_is_missing_is_named() -> None:
    lost = span("process shipping", 60_000, 1_000, "gone")
    [line] = [line for line in drawn(ROOT, PAYMENT, lost) if "shipping" in line]
    assert line.startswith("process shipping")
    assert line.endswith(ORPHAN)


def test_a_saga_below_a_callers_span_has_no_orphan() -> None:
    below = span("saga begins", 1_000, 0, "of the caller", id="root")
    assert not [line for line in drawn(below, PAYMENT) if ORPHAN in line]


def test_which_attempt_it_was_and_why_it_failed_is_said() -> None:
    third = span("stuck payment", 2_000, 10, attempt=2, error="timeout")
    assert any(line.endswith("✖ timeout, attempt 3") for line in drawn(ROOT, third))


def test_a_moment_alone_can_be_drawn() -> None:
    assert any(line.endswith("●") for line in drawn(ROOT, correlation="basket-1"))
    assert drawn(ROOT, correlation="basket-1")[0].startswith("order-7  (basket-1)  ")


def test_every_span_is_drawn_once_also_when_two_say_that_they_are_each_others_parent() -> None:
    one, other = span("one", 1, 1, "other"), span("other", 1, 1, "one")
    names = [line.split()[0] for line in drawn(ROOT, one, other)]
    assert names.count("one") == names.count("other") == 1
