"""What is counted of the requests to an API server."""

from kubernetes.aio.client.api_client import ApiClient

from saga_operator.api_requests import ApiRequests
from saga_operator.cluster import Cluster
from saga_operator.pace import Pace


async def test_the_first_request_that_fails_changes_a_number_that_was_there_before() -> None:
    async with ApiClient() as client:
        failures = Cluster(client, Pace(1, 1), 1.0, ApiRequests()).failures
    assert failures.keys() >= {"UnavailableError", "ConflictError", "RefusedError"}
    assert set(failures.values()) == {0}
