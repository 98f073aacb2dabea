"""The API server of a cluster, asked at the socket of `kubectl proxy`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx

from onebox.errors import Unreachable
from onebox.kubectl.place import Place
from onebox.kubectl.refusals import refusal

HOST = "http://localhost"
RESOURCES = "/apis/sagaplane.io/v1alpha1"
PLURAL = "ordersagas"


class ApiServer:
    """The API server, at the socket of `kubectl proxy`. Use it as a context."""

    def __init__(self, socket: Path, place: Place, timeout_seconds: float) -> None:
        self._place = place
        self._client = httpx.Client(
            base_url=HOST,
            transport=httpx.HTTPTransport(uds=str(socket)),
            timeout=timeout_seconds,
            trust_env=False,
            verify=False,  # noqa: S501 - a socket of this machine: kubectl is who checks certificates
        )

    def __enter__(self) -> Self:
        """Nothing is asked yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every connection."""
        self._client.close()

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return what the API server answers.

        Raises:
            NotFound: when there is no such thing.
            Unreachable: when it does not answer, or not to this person.
        """
        try:
            response = self._client.get(path, params=query)
        except httpx.HTTPError as error:
            raise silent(error, self._place) from None
        if not response.is_success:
            raise refusal(response, self._place) or Unreachable(
                f"the API server answers {response.status_code} to {path}", f"check it: {self._place.line('version')}"
            )
        found: dict[str, Any] = response.json()
        return found


def silent(error: httpx.HTTPError, place: Place) -> Unreachable:
    """Return what it means when there is no answer at all."""
    if isinstance(error, httpx.TimeoutException):
        return Unreachable("the cluster did not answer in time", f"check it: {place.kubectl.line('version')}")
    return Unreachable(f"kubectl proxy broke off: {error}", f"check the cluster: {place.kubectl.line('version')}")
