"""What OpenTelemetry's own variables say of traces holds where ours say nothing."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from sagakit.adapters.memory import MemoryLog, MemoryStore
from sagakit.hosting import opened
from sagakit.hosting.settings import PlatformSettings, headers_in, with_opentelemetry
from sagakit.runtime.catalogue import SPANS, SPANS_DROPPED, SPANS_WAITING
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import ServiceSettings, SettingsError, read
from shop_contracts.catalogue import SHOP

ALL, TRACES = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
HEADERS, TRACES_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
CERTIFICATE, OUR_CERTIFICATE = "OTEL_EXPORTER_OTLP_CERTIFICATE", "SAGAPLANE_TRACES_CA_FILE"
OURS, OUR_HEADERS = "SAGAPLANE_TRACES_ENDPOINT", "SAGAPLANE_TRACES_HEADERS"
SAMPLER, SHARE = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
HTTP = "http://collector:4318"


def settings(environment: Mapping[str, str]) -> PlatformSettings:
    return read(PlatformSettings, with_opentelemetry(environment)).checked()


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({}, ""),
        ({ALL: HTTP}, f"{HTTP}/v1/traces"),
        ({ALL: "http://gate/otlp/"}, "http://gate/otlp/v1/traces"),
        ({TRACES: "http://gate/spans", ALL: HTTP}, "http://gate/spans"),
        ({"SAGAPLANE_TRACES_ENDPOINT": "http://ours:4318", TRACES: HTTP}, "http://ours:4318"),
        ({ALL: HTTP, "OTEL_SDK_DISABLED": "true"}, ""),
        ({ALL: HTTP, "OTEL_TRACES_EXPORTER": "none"}, ""),
        ({ALL: "http://collector:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ""),
        ({ALL: HTTP, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, f"{HTTP}/v1/traces"),
    ],
)
def test_spans_go_where_opentelemetry_sends_them_over_http(environment: Mapping[str, str], endpoint: str) -> None:
    assert settings(environment).traces_endpoint == endpoint


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        ({}, 1.0),
        ({SHARE: "0.1"}, 1.0),
        ({SAMPLER: "traceidratio", SHARE: "0.1"}, 0.1),
        ({SAMPLER: "parentbased_traceidratio", SHARE: "0.1"}, 0.1),
        ({SAMPLER: "parentbased_traceidratio"}, 1.0),
        ({SAMPLER: "always_off"}, 0.0),
        ({SAMPLER: "parentbased_always_on", SHARE: "0.1"}, 1.0),
        ({SAMPLER: "traceidratio", SHARE: "0.1", "SAGAPLANE_TRACES_SAMPLE": "0.5"}, 0.5),
    ],
)
def test_that_share_of_sagas_is_traced_that_opentelemetry_samples(environment: Mapping[str, str], share: float) -> None:
    assert settings(environment).traces_sample == share


def test_an_endpoint_of_opentelemetry_that_means_nothing_is_told_by_its_own_name() -> None:
    with pytest.raises(SettingsError, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317: expected http"):
        settings({ALL: "collector:4317"})


BEARER = {"authorization": "Bearer x=="}


@pytest.mark.parametrize(
    ("environment", "headers"),
    [
        ({}, {}),
        ({ALL: HTTP, HEADERS: "Authorization=Bearer%20x==, x-tenant = shop,"}, {**BEARER, "x-tenant": "shop"}),
        ({ALL: HTTP, HEADERS: "a=1", TRACES_HEADERS: "authorization=Bearer x=="}, BEARER),
        ({ALL: HTTP, HEADERS: "a=1", OUR_HEADERS: "authorization=Bearer%20x%3D%3D"}, BEARER),
        ({OURS: HTTP, OUR_HEADERS: "a=1%2C2,b="}, {"a": "1,2", "b": ""}),
        ({OURS: HTTP, ALL: "http://theirs:4318", HEADERS: "a=1"}, {}),
    ],
    ids=["none", "all signals", "traces before all signals", "ours before theirs", "ours", "theirs are for theirs"],
)
def test_a_collector_is_sent_the_headers_that_it_asks_for(
    environment: Mapping[str, str], headers: Mapping[str, str]
) -> None:
    assert headers_in(settings(environment).traces_headers) == headers


@pytest.mark.parametrize("name", [HEADERS, OUR_HEADERS])
@pytest.mark.parametrize("text", ["hush", "=hush", "a b=hush", "a=hush%0d%0Ab: 1", "a=hüsh"])
def test_headers_that_mean_nothing_are_told_without_the_secret(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name}=\*\*\*: expected name=value") as told:
        settings({ALL: HTTP, name: text})
    assert text not in str(told.value)


def test_headers_are_shown_to_nobody() -> None:
    assert "hush" not in repr(settings({ALL: HTTP, HEADERS: "a=hush"}))


@pytest.mark.parametrize("name", [ALL, OURS])
def test_a_password_in_the_address_of_a_collector_is_not_told_and_where_it_belongs_is(name: str) -> None:
    with pytest.raises(SettingsError, match=r"SAGAPLANE_TRACES_HEADERS$") as told:
        settings({name: "http://ann:hush@collector:4318"})
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("name", [CERTIFICATE, OUR_CERTIFICATE])
async def test_certificates_that_cannot_be_read_are_told_at_the_start(name: str, tmp_path: Path) -> None:
    (file := tmp_path / "ca.crt").write_text("none")
    for path in (file, tmp_path / "missing"):
        with pytest.raises(SettingsError, match=f"^{OUR_CERTIFICATE}={path}: expected a file with certificates"):
            async with opened({"SAGAPLANE_DATA_DIR": str(tmp_path), ALL: HTTP, name: str(path)}, []):
                pass


async def test_a_process_sends_its_spans_there(tmp_path: Path) -> None:
    async with opened({"SAGAPLANE_DATA_DIR": str(tmp_path), ALL: HTTP}, []) as adapters:
        assert adapters.spans is not None
        assert adapters.spans.url == f"{HTTP}/v1/traces"


async def test_each_service_of_a_process_tells_what_becomes_of_its_spans(tmp_path: Path) -> None:
    async with opened({"SAGAPLANE_DATA_DIR": str(tmp_path), ALL: HTTP}, []) as adapters:
        assert adapters.spans is not None
        log, clock = MemoryLog(adapters.clock), adapters.clock
        service = Service.of(
            "order", ServiceSettings(), 0, store=MemoryStore(KIT_TABLES), log=log, contracts=SHOP, clock=clock
        )
        adapters.watch(service)
        adapters.spans.counts.update(exported=3, dropped=2)
        found = {named: value for named, labels, value in service.samples() if not labels}
    assert (found[SPANS], found[SPANS_DROPPED], found[SPANS_WAITING]) == (3, 2, 0)
