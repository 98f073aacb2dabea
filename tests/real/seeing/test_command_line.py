"""sagactl shows what real servers know of a saga: its trace from Jaeger, its series and exemplars from Prometheus."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.box.ports import free_layout
from tests.observability.prometheus import Prometheus
from tests.real.engine import Engine
from tests.real.kafka import Broker
from tests.real.seeing.jaeger import Jaeger

from onebox.box import Box
from onebox.layout import SERVICES, Layout
from sagakit.core.traces import trace_of

pytestmark = pytest.mark.real

SAGACTL = Path(sys.executable).with_name("sagactl")
SECONDS_MAX = 60.0
ORDER = ("submit", "--item", "prod-1:1:5", "--wait", "-o", "name")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


async def typed(words: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """Type a command, and return what it answers."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAGA")}
    process = await asyncio.create_subprocess_exec(
        *(str(SAGACTL), *words),
        env={**inherited, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        pytest.fail(f"sagactl {' '.join(words)} did not end within {SECONDS_MAX:g} s")
    assert process.returncode is not None
    return Answer(process.returncode, out.decode(), err.decode())


@dataclass(frozen=True, slots=True)
class Seen:
    """A shop that is seen, and sagactl beside it."""

    layout: Layout
    jaeger: Jaeger

    async def sagactl(self, *words: str, **more: str) -> Answer:
        jaeger = f"http://127.0.0.1:{self.jaeger.answers}"
        urls = {f"SAGACTL_{name.upper()}_URL": self.layout.url(name) for name in SERVICES}
        return await typed(words, {**urls, "SAGACTL_JAEGER_URL": jaeger, "COLUMNS": "120", **more})

    async def until(self, found: str, *words: str, **more: str) -> Answer:
        """Type the command until its answer has what is looked for."""
        answer = Answer(-1, "", "")
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while not re.search(found, answer.out):
                    answer = await self.sagactl(*words, **more)
        except TimeoutError:
            pytest.fail(f"{' '.join(words)} never printed {found}: {answer}")
        return answer


@asynccontextmanager
async def seen(tmp_path: Path, jaeger: Jaeger, **environment: str) -> AsyncIterator[Seen]:
    layout = free_layout()
    settings = {"SAGAPLANE_TRACES_ENDPOINT": jaeger.endpoint, "PAYMENT_SUCCESS_RATE": "1", **environment}
    async with Box(tmp_path, 1, settings, layout), httpx.AsyncClient(timeout=30) as client:
        answer = await client.put(f"{layout.url('inventory')}/stock/prod-1", json={"quantity": 100})
        answer.raise_for_status()
        yield Seen(layout, jaeger)


async def test_a_trace_is_drawn_with_every_step_and_its_link(jaeger: Jaeger, tmp_path: Path) -> None:
    async with seen(tmp_path, jaeger) as shop:
        placed = await shop.sagactl(*ORDER, "--mode", "orchestration")
        saga = placed.out.strip()
        link = f"http://127.0.0.1:{jaeger.answers}/trace/{trace_of(saga)}"
        answer = await shop.until("saga ends", "trace", saga)
        assert "✔ Completed" in answer.out.splitlines()[0]
        assert answer.out.splitlines()[-1] == link
        assert re.search(r"^  process payment +payment +.*━", answer.out, re.MULTILINE)
        told = json.loads((await shop.sagactl("trace", saga, "-o", "json")).out)
        assert (told["traceId"], told["sagaId"], told["url"]) == (trace_of(saga), saga, link)
        by_id = await shop.sagactl("trace", trace_of(saga))
        assert by_id.out.splitlines()[-1] == link


async def test_what_is_taken_back_is_drawn_beside_what_it_takes_back(jaeger: Jaeger, tmp_path: Path) -> None:
    async with seen(tmp_path, jaeger, INVENTORY_SUCCESS_RATE="0") as shop:
        saga = (await shop.sagactl(*ORDER)).out.strip()
        answer = await shop.until("saga ends", "trace", saga)
    assert "↩ Compensated" in answer.out.splitlines()[0]
    [line] = [line for line in answer.out.splitlines() if "↩ compensate payment" in line]
    assert "takes back process payment" in line


async def test_jaeger_alone_knows_a_saga_while_the_order_service_is_away(jaeger: Jaeger, tmp_path: Path) -> None:
    async with seen(tmp_path, jaeger) as shop:
        saga = (await shop.sagactl(*ORDER)).out.strip()
        await shop.until("saga ends", "trace", saga)
    answer = await shop.sagactl("trace", saga)
    assert answer.code == 0
    assert "Jaeger alone is asked" in answer.err
    assert f"/trace/{trace_of(saga)}" in answer.out


async def test_a_saga_that_is_not_traced_says_so(jaeger: Jaeger, tmp_path: Path) -> None:
    async with seen(tmp_path, jaeger, SAGAPLANE_TRACES_SAMPLE="0") as shop:
        saga = (await shop.sagactl(*ORDER)).out.strip()
        answer = await shop.sagactl("trace", saga)
    assert answer.code == 4
    assert answer.err.startswith(f"error: {saga} is not traced")


async def test_prometheus_remembers_the_series_of_a_saga_that_has_ended_and_its_exemplars(
    jaeger: Jaeger, engine: Engine, tmp_path: Path
) -> None:
    async with seen(tmp_path / "box", jaeger, PAYMENT_LATENCY_SECONDS="5") as shop:
        server = Prometheus.create(engine, shop.layout, tmp_path / "prometheus")
        server.start()
        try:
            at = {"SAGACTL_PROMETHEUS_URL": f"http://127.0.0.1:{server.port}"}
            await asyncio.to_thread(server.wait_for, "up == 1")
            saga = (await shop.sagactl(*ORDER)).out.strip()
            answer = await shop.until("saga_step_duration_seconds .*step=payment", "metrics", saga, **at)
            now = await shop.sagactl("metrics", saga)
            ended = await shop.until("saga_finished_total", "metrics", saga, **at)
        finally:
            server.remove()
    assert re.search(r"^saga_instance_phase +definition=order/1, phase=\w+ +1 ", answer.out, re.MULTILINE)
    assert f"draws trace {trace_of(saga)}" in ended.out
    assert "It has no series: it has ended" in now.out
    assert re.search(r"^saga_step_duration_seconds .*step=payment", now.out, re.MULTILINE)


async def test_top_and_doctor_find_a_box_that_is_well_and_name_what_is_not(jaeger: Jaeger, tmp_path: Path) -> None:
    async with seen(tmp_path, jaeger) as shop:
        first = json.loads((await shop.sagactl("top", "-o", "json", "--every", "0.2")).out)
        well = await shop.sagactl("doctor", "--skip", "kubernetes")
        away = await shop.sagactl("doctor", "--skip", "kubernetes", SAGACTL_PAYMENT_URL="http://127.0.0.1:1")
    assert {line["service"] for line in first["services"] if line["away"] is None} == {*SERVICES}
    assert well.code == 0, well.out
    assert away.code == 1
    [line] = [line for line in away.out.splitlines() if line.startswith("✖")]
    assert "http://127.0.0.1:1 refuses connections; start it with `sagactl dev`" in line


async def test_doctor_names_what_brokers_and_databases_lack_until_it_is_there(
    kafka: Broker, shop_database_url: str, topic_prefix: str
) -> None:
    servers = {
        "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "SAGAPLANE_KAFKA_TOPIC_PREFIX": topic_prefix,
        "SAGAPLANE_DATABASE_URL": shop_database_url,
    }
    asked = ("doctor", "--skip", "services", "--skip", "clocks", "--skip", "kubernetes")
    empty = await typed(asked, servers)
    assert empty.code == 1
    assert re.search(r"^✔ +log +brokers ", empty.out, re.MULTILINE)
    assert re.search(r"^✖ +log +orders.events +there is no such topic; sagactl topics apply$", empty.out, re.MULTILINE)
    assert re.search(r"^✖ +stores +payment .*; sagactl database apply payment$", empty.out, re.MULTILINE)
    for made in (("topics", "apply"), ("database", "apply")):
        assert (await typed(made, servers)).code == 0
    full = await typed(asked, servers)
    assert (full.code, [line for line in full.out.splitlines() if not line.startswith("✔")]) == (0, [])
    another = await typed((*asked, "--partitions", "5"), servers)
    assert another.code == 1
    assert "if that number is meant, ask with --partitions" in another.out
