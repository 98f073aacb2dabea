"""A process stands still for longer than its session, and goes on as if nothing had been: it does nothing twice."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.real.kafka import Broker
from tests.real.postgres import Postgres
from tests.real.shop import Instance, Shop, say, shop, until

pytestmark = pytest.mark.real

TAKEN_OVER_SECONDS_MAX = 90.0
UNLOCKED_SECONDS_MAX = 45.0
TRIES_MAX = 200
FENCED = "saga_fenced_total"
CONSUMED = "saga_messages_consumed_total"
LOOKS = 4
"""So often its connection is seen idle that it cannot be one of the other instance, which goes on."""
IDLE_WRITERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname=current_database() AND state='idle in transaction'"
    " AND backend_xid IS NOT NULL AND state_change < clock_timestamp() - interval '0.1 s'"
)


@pytest.fixture
def its(kafka: Broker, shop_database_url: str, topic_prefix: str, tmp_path: Path) -> Iterator[Shop]:
    with shop(kafka.bootstrap_servers, shop_database_url, topic_prefix, tmp_path, seed=2) as opened:
        yield opened


def test_a_zombie_does_nothing_twice_and_works_again(its: Shop) -> None:
    its.open()
    for service in ("payment", "inventory"):
        its.add(service)
    its.wait_until_ready()
    with its.under_load():
        for service in ("payment", "inventory"):
            zombie, other = its.random.sample(its.instances[service], 2)
            until(lambda other=other: other.metric(CONSUMED) > 0, 20, f"{other.name} has work")  # type: ignore[misc]
            until(lambda zombie=zombie: zombie.metric(CONSUMED) > 0, 20, f"{zombie.name} has work")  # type: ignore[misc]
            seconds = _stopped(its, zombie)
            say(f"{zombie.name}: its partitions are served again {seconds:.1f} s after it stood still")
            before = zombie.metric(CONSUMED)
            until(lambda zombie=zombie: zombie.is_ready(), 20, f"{zombie.name} is ready again")  # type: ignore[misc]
            seconds = until(
                lambda zombie=zombie, before=before: zombie.metric(CONSUMED) > before,  # type: ignore[misc]
                20,
                f"{zombie.name} has work again",
            )
            say(f"{zombie.name}: has work again {seconds:.1f} s after it is ready; fenced {zombie.metric(FENCED):g}")
    its.demand_clean()


def test_whoever_stands_still_in_a_transaction_loses_its_locks(its: Shop, postgres: Postgres) -> None:
    its.open()
    its.add("inventory")
    its.wait_until_ready()
    database = its.environment["SAGAPLANE_DATABASE_URL"].rpartition("/")[2].replace("{service}", "inventory")
    with its.under_load(per_second=60):
        zombie = its.first("inventory")
        until(lambda: zombie.metric(CONSUMED) > 0, 20, f"{zombie.name} has work")
        tries = _stop_within_transaction(its, zombie, postgres, database)
        say(f"{zombie.name}: stands still in a transaction, after {tries} tries")
        stopped_at = time.monotonic()
        seconds = until(
            lambda: not _idle_writers(postgres, database), UNLOCKED_SECONDS_MAX, "the server ends its transaction"
        )
        say(f"the server ended its transaction after {seconds:.1f} s")
        seconds = _all_served_seconds(its, stopped_at)
        say(f"every partition was served {seconds:.1f} s after it stood still")
        zombie.send(signal.SIGCONT)
        until(zombie.is_ready, 20, f"{zombie.name} is ready again")
    its.demand_clean()


def _stopped(its: Shop, zombie: Instance) -> float:
    """Stop it until others have all of its work, and let it go on; return how long that took."""
    stopped_at = time.monotonic()
    zombie.send(signal.SIGSTOP)
    try:
        return _all_served_seconds(its, stopped_at)
    finally:
        zombie.send(signal.SIGCONT)


def _all_served_seconds(its: Shop, since: float) -> float:
    """Return how long after a moment so many orders had ended that were placed later that no partition stands still."""
    load, order = its.load, its.first("order")
    assert load is not None
    until(lambda: len(load.placed_since(since)) > 40, 60, "40 orders are placed")
    waiting = load.placed_since(since)[:40]

    def all_ended() -> bool:
        while waiting:
            answer = order.get(f"/orders/{waiting[-1]}")
            if answer is None or not answer.is_success or answer.json()["status"] == "pending":
                return False
            waiting.pop()
        return True

    until(all_ended, TAKEN_OVER_SECONDS_MAX, "every partition is served")
    return time.monotonic() - since


def _stop_within_transaction(its: Shop, zombie: Instance, postgres: Postgres, database: str) -> int:
    """Stop it at one moment after another until its connection is in a transaction; return how many that were."""
    for number in range(1, TRIES_MAX):
        time.sleep(its.random.uniform(0.0, 0.05))  # which moment is chance
        zombie.send(signal.SIGSTOP)
        if all(_idle_writers(postgres, database) for _ in range(LOOKS)):
            return number
        zombie.send(signal.SIGCONT)
    raise AssertionError(f"{zombie.name} was never in a transaction")


def _idle_writers(postgres: Postgres, database: str) -> int:
    """Return how many connections have written in a transaction, and wait for their client."""
    return int(postgres.query(database, IDLE_WRITERS))
