"""What every program tells is what Prometheus' own judge takes for well named, and pages say of it what is so."""

import httpx
import pytest
from observability import questions
from tests.observability.promtool import Promtool
from tests.unit.operator.memory_api import MemoryCluster
from tests.unit.operator.memory_shop import Desk
from tests.unit.operator.operators import Operators
from tests.unit.seeing.world import world

from onebox.layout import SERVICES
from saga_operator.settings import OperatorSettings
from saga_operator.wiring import Operator
from sagakit.adapters.memory import MemoryLog
from sagakit.runtime.catalogue import POLL_SPAN
from sagakit.runtime.witness import POLL_LINKS_MAX

BADLY_NAMED = "# HELP orders_total Orders.\n# TYPE orders_total gauge\norders_total 1\n"


@pytest.mark.parametrize("service", SERVICES)
async def test_what_a_service_tells_has_good_names(service: str, promtool: Promtool) -> None:
    shop = await world()
    await shop.order()
    await shop.run()
    told = await shop.scrape(service, "text/plain")
    assert "saga_build_info{" in told
    promtool("check", "metrics", reads=told)


async def test_what_the_operator_tells_has_good_names(promtool: Promtool) -> None:
    its = Operators()
    desk = Desk(its.shop, its.api.fate)
    operator = Operator.over(OperatorSettings(), MemoryCluster(its.api), MemoryLog(its.clock), desk, its.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(operator.app), base_url="http://operator") as client:
        told = (await client.get("/metrics")).text
    assert "saga_operator_is_leader" in told
    promtool("check", "metrics", reads=told)


def test_a_bad_name_is_found(promtool: Promtool) -> None:
    with pytest.raises(AssertionError, match="orders_total"):
        promtool("check", "metrics", reads=BADLY_NAMED)


def test_it_is_told_to_how_many_sagas_a_batch_links() -> None:
    told = f"to the roots of the sagas in it: of {POLL_LINKS_MAX} of them at most"
    assert told in (questions.HERE.parent / "docs/observability.md").read_text()
    assert f"of {POLL_LINKS_MAX} of them at most" in POLL_SPAN.meaning
