"""The ids of a trace follow from the saga, and whether it is told is decided once."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased

from sagakit.adapters.otel import by_ratio
from sagakit.core.messages import is_traceparent
from sagakit.core.traces import begin, parent_of_root, root_of, sampled, span_heard, span_of, took, trace_of

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ALL, NONE = by_ratio(1.0), by_ratio(0.0)
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@given(st.text(min_size=1), st.text(min_size=1))
def test_ids_follow_from_names_and_are_valid(saga_id: str, other: str) -> None:
    made = begin(saga_id, None, ALL)
    assert made == f"00-{trace_of(saga_id)}-{root_of(saga_id)}-01"
    assert is_traceparent(made)
    assert made == begin(saga_id, None, ALL)
    assert (saga_id == other) == (trace_of(saga_id) == trace_of(other))
    assert len({root_of(saga_id), span_of(saga_id), span_heard(saga_id, "g")}) == 3


def test_a_saga_continues_the_trace_of_its_caller() -> None:
    assert begin("order-7", CALLER, NONE) == CALLER
    assert trace_of("order-7", CALLER) == "0af7651916cd43dd8448eb211c80319c"
    assert parent_of_root("order-7", CALLER) == "b7ad6b7169203331"


def test_a_trace_of_our_own_has_no_parent() -> None:
    own = begin("order-7", None, ALL)
    assert own is not None
    assert parent_of_root("order-7", own) == ""


@pytest.mark.parametrize("flags", ["00", "02", "fe"])
def test_a_caller_who_does_not_sample_is_obeyed(flags: str) -> None:
    caller = CALLER[:-2] + flags
    assert begin("order-7", caller, ALL) == caller
    assert not sampled(caller)
    assert sampled(CALLER)
    assert not sampled(None)


@pytest.mark.parametrize("nonsense", ["", "00-zz-1", CALLER.upper(), CALLER + "0"])
def test_a_caller_who_names_no_trace_is_passed_over(nonsense: str) -> None:
    assert begin("order-7", nonsense, ALL) == begin("order-7", None, ALL)


def test_about_the_asked_share_of_sagas_is_traced_and_always_the_same() -> None:
    sagas = [str(uuid4()) for _ in range(20_000)]
    tenth, third = ({saga for saga in sagas if begin(saga, None, by_ratio(rate))} for rate in (0.1, 0.3))
    assert 1_700 < len(tenth) < 2_300, "seven standard deviations"
    assert tenth < third, "who raises the share loses none"
    assert not [saga for saga in sagas if begin(saga, None, NONE)]
    assert all(begin(saga, None, ALL) for saga in sagas)


@given(st.text(min_size=1), st.sampled_from([0.0, 0.01, 0.5, 1.0]))
def test_whoever_joins_a_trace_with_the_samplers_of_opentelemetry_decides_as_we_do(saga_id: str, rate: float) -> None:
    theirs = ParentBased(TraceIdRatioBased(rate)).should_sample(None, int(trace_of(saga_id), 16), "a span")
    assert (begin(saga_id, None, by_ratio(rate)) is not None) == (theirs.decision is Decision.RECORD_AND_SAMPLE)


def test_what_began_after_its_end_took_no_time() -> None:
    assert took(NOON, NOON + timedelta(milliseconds=1500, microseconds=900)) == 1500
    assert took(NOON, NOON - timedelta(seconds=1)) == 0
    assert took(None, NOON) == 0
