"""A saga that needs a person is explained, steered, and ends; what she did is in its history and stands apart."""

import json
import time
from collections.abc import Callable, Iterator

import pytest
from anyio.from_thread import start_blocking_portal
from tests.unit.onebox.conftest import Sagactl
from tests.unit.onebox.live_shop import HurriedClock, LiveShop, open_shop

pytestmark = pytest.mark.usefixtures("pens")


@pytest.fixture(scope="module")
def shop() -> Iterator[LiveShop]:
    """A shop whose bank never says what became of a charge, so that every saga waits for payment."""
    with start_blocking_portal("asyncio") as portal:
        silent = open_shop(portal, HurriedClock(), unknown_rate=1.0)
        with portal.wrap_async_context_manager(silent) as live:
            yield live


@pytest.fixture
def waiting(sagactl: Sagactl) -> str:
    return sagactl("submit", "--item", "pen:1:5", "--timeout", "604800", "-o", "name").out.strip()


def until(sagactl: Sagactl, saga_id: str, good: Callable[[dict[str, object]], bool]) -> dict[str, object]:
    """Return the saga as soon as it is as the test wants it."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        saga = json.loads(sagactl("describe", saga_id, "-o", "json").out)["saga"]
        if good(saga):
            return dict(saga)
    raise AssertionError(saga)


def test_a_saga_that_waits_says_for_what_and_until_when_and_what_helps(sagactl: Sagactl, waiting: str) -> None:
    text = sagactl("describe", waiting).out
    assert f"{waiting} waits for payment to answer (PaymentCompleted or PaymentFailed)" in text
    assert "until  " in text
    assert f"helps  sagactl cancel {waiting} --reason" in text
    assert "in doubt" in text
    assert "running" in sagactl("timeline", waiting).out


def test_a_saga_is_suspended_and_resumed(sagactl: Sagactl, waiting: str) -> None:
    assert "✔" in sagactl("suspend", waiting, "--reason", "stocktaking").out
    assert ", suspended" in sagactl("describe", waiting).out
    assert "no effect" in sagactl("suspend", waiting, "--reason", "twice").out
    assert sagactl("resume", waiting, "--reason", "counted").code == 0
    assert ", suspended" not in sagactl("describe", waiting).out
    history = sagactl("timeline", waiting).out
    assert "suspended: by ada" in history
    assert "resumed: by ada" in history


def test_a_killed_saga_leaves_everything_and_stands_apart_in_the_audit(sagactl: Sagactl, waiting: str) -> None:
    assert sagactl("kill", waiting, "--reason", "a test order", "--yes").code == 0
    assert "✖ Killed" in sagactl("list", "--phase", "Killed").out
    assert "Killed" in sagactl("timeline", waiting).out
    answer = sagactl("audit")
    assert answer.code == 0, answer.out
    assert f"{waiting} (killed): payment is" in answer.out
    assert " running" in answer.out


def test_a_stuck_step_is_marked_as_done_by_hand(sagactl: Sagactl, waiting: str) -> None:
    until(sagactl, waiting, lambda saga: saga["phase"] == "NeedsIntervention")
    text = sagactl("describe", waiting).out
    assert "! NeedsIntervention" in text
    assert f"sagactl mark-done {waiting} --step payment --reason" in text
    assert "stuck after" in sagactl("timeline", waiting).out
    answer = sagactl("mark-done", waiting, "--step", "payment", "--reason", "seen on the bank's statement")
    assert answer.code == 0, answer.err
    until(sagactl, waiting, lambda saga: saga["phase"] == "Completed")
    assert "by hand: ada" in sagactl("describe", waiting).out
    audit = sagactl("audit")
    assert f"{waiting} (confirmed, by hand): nothing is left" in audit.out
