"""A namespace is deleted while sagas run in it: it goes soon, and what was done is taken back."""

import pytest
from tests.e2e.cluster import Cluster, until
from tests.e2e.conftest import make_namespace, remove_namespace
from tests.e2e.release import Release
from tests.e2e.sagas import order_saga

LONG = 600
GONE_SECONDS_MAX = 60.0

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("platform")]


def test_a_namespace_with_running_sagas_goes_within_a_minute(release: Release, cluster: Cluster) -> None:
    doomed = make_namespace(cluster, "e2e-doomed")
    with release.without("shipping"):
        doomed.apply(
            *(order_saga(f"running-{number}", timeoutSeconds=LONG) for number in range(5)),
            order_saga("waiting", suspend=True),
            order_saga("broke", price="20000.00"),
        )
        running = [doomed.wait_for_step(f"running-{number}", "inventory", "Succeeded") for number in range(5)]
        doomed.wait_for_phase("broke", "Compensated")
        cluster.delete(f"/api/v1/namespaces/{doomed.name}")
        doomed.wait_for("running-0", lambda its: its.reason == "CANCELLED", 60, "reason CANCELLED")
    assert remove_namespace(doomed) < GONE_SECONDS_MAX
    for its in running:
        path = f"/orders/{its.saga_id}"
        until(lambda asked=path: release.asked("order", asked)["status"] == "cancelled", 30, "the order is taken back")  # type: ignore[misc]
        assert release.asked("payment", f"/payments/{its.saga_id}")["status"] == "refunded"
