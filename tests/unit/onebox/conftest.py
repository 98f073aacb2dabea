"""A shop that runs for a whole module, and sagactl typed against it."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from tests.unit.onebox.live_shop import PENS, Answer, LiveShop, open_shop

from onebox.cli import execute
from sagakit.runtime.clock import SystemClock

Sagactl = Callable[..., Answer]


@pytest.fixture(scope="module")
def shop() -> Iterator[LiveShop]:
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(open_shop(portal, SystemClock())) as live,
    ):
        yield live


@pytest.fixture(scope="module")
def pens(shop: LiveShop) -> None:
    """There are pens to be had."""
    url = f"http://127.0.0.1:{shop.services['inventory'].port}/stock/pen"
    httpx.put(url, json={"quantity": PENS}).raise_for_status()


@pytest.fixture
def sagactl(shop: LiveShop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sagactl:
    """Type a command to sagactl, and return what it answers."""
    for name, url in shop.environment.items():
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("SAGACTL_ACTOR", "ada")
    monkeypatch.setenv("COLUMNS", "100")

    def type_in(*words: str) -> Answer:
        code = execute(words)
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return type_in
