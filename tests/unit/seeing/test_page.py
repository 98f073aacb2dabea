"""Every metric is told in a run of the whole box, and every one that is told is documented."""

import asyncio
import socket
import time
from pathlib import Path

import httpx
import pytest
from tests.box.ports import free_layout
from tests.unit.seeing.exposition import families

from onebox.box import Box
from onebox.layout import SERVICES
from onebox.metrics_page import all_metrics, main
from sagakit.runtime.catalogue import CATALOGUE

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
SECONDS_MAX = 30.0
LATE = {"saga_analytics_watermark_age_seconds", "saga_instance_phase", "saga_duration_seconds"}
"""What is told once something has happened."""
OPENMETRICS = {"Accept": "application/openmetrics-text"}


def test_the_page_is_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", str(PAGE)]) == 0, capsys.readouterr().err


def test_a_page_that_is_not_current_is_told_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "metrics.md"
    page.write_text("old")
    assert main(["--check", str(page)]) == 1
    assert "is not current: run python -m onebox.metrics_page" in capsys.readouterr().err
    assert main([str(page)]) == 0
    assert main(["--check", str(page)]) == 0


def test_no_metric_has_two_meanings() -> None:
    names = [named.name for catalogue in all_metrics().values() for named in catalogue]
    assert len(set(names)) == len(names)


async def told_by_a_box(tmp_path: Path) -> dict[str, str]:
    """Return the metrics that a box tells, with their kinds: its orders wait for a provider that never answers."""
    layout = free_layout()
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        environment = {
            "SAGAPLANE_TRACES_ENDPOINT": away,
            "PAYMENT_PROVIDER_URL": away,
            "PAYMENT_PROVIDER_KEY": "sk_test_1",
            "PAYMENT_PROVIDER_ATTEMPTS_MAX": "1",
        }
        async with Box(tmp_path, 1, environment, layout), httpx.AsyncClient(timeout=30) as client:
            order = {"userId": "ann", "items": [{"productId": "p", "quantity": 1, "price": 5}]}
            placed = [await client.post(f"{layout.url('order')}/orders", json=order) for _ in range(2)]
            ended = await client.post(
                f"{layout.url('order')}/sagas/{placed[0].json()['id']}/kill", json={"reason": "to see its end"}
            )
            assert ended.is_success, ended.text
            end = time.monotonic() + SECONDS_MAX
            while True:
                found: dict[str, str] = {}
                for service in SERVICES:
                    text = (await client.get(f"{layout.url(service)}/metrics", headers=OPENMETRICS)).text
                    for family in families(text):
                        found[family.name + ("_total" if family.type == "counter" else "")] = family.type
                if found.keys() >= LATE:
                    return found
                assert time.monotonic() < end, f"only {sorted(found)}"
                await asyncio.sleep(0.1)


async def test_a_run_tells_every_metric_of_the_catalogues_and_no_other(tmp_path: Path) -> None:
    told = await told_by_a_box(tmp_path)
    documented = {named.name: named.kind for its in all_metrics().values() for named in its}
    of_operator = {named.name for named in CATALOGUE if named.teller == "operator"}
    assert {name: documented.get(name) for name in told} == told, "what is told is documented"
    assert set(documented) - of_operator == set(told), "what is documented is told"
