"""A collector whose certificate a private authority has signed: trusted where the settings say so, and else not."""

import ssl
from pathlib import Path

import pytest
from tests.real.certificates import Authority
from tests.unit.seeing.test_exporter import collecting, span, until

from sagakit.hosting import opened

pytestmark = pytest.mark.real


@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "not trusted"])
async def test_spans_go_to_a_collector_only_when_who_signed_it_is_trusted(*, trusted: bool, tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "authority")
    server = authority.server("IP:127.0.0.1")
    with_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with_tls.load_cert_chain(server.certificate, server.key)
    async with collecting(tls=with_tls) as collector:
        environment = {
            "SAGAPLANE_DATA_DIR": str(tmp_path),
            "SAGAPLANE_TRACES_ENDPOINT": f"https://127.0.0.1:{collector.port}",
            "SAGAPLANE_TRACES_HEADERS": "x-tenant=a%20shop",
            **({"SAGAPLANE_TRACES_CA_FILE": str(authority.own.certificate)} if trusted else {}),
        }
        async with opened(environment, []) as adapters:
            spans = adapters.spans
            assert spans is not None
            spans.tell(span(1))
            if trusted:
                await until(lambda: bool(collector.spans))
                assert collector.headers["x-tenant"] == "a shop"
    assert (spans.counts["exported"], spans.counts["dropped"]) == ((1, 0) if trusted else (0, 1))
    assert bool(collector.requests) == trusted
