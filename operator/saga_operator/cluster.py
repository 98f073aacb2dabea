"""The API server, as the operator speaks to it: a few verbs, bounded in rate and time, with errors told in sentences.

The one place that knows the client library. Everything written is counted, because each write costs etcd.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes.aio.client.api.custom_objects_api import CustomObjectsApi
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.models.v1_delete_options import V1DeleteOptions
from kubernetes.aio.client.models.v1_preconditions import V1Preconditions
from kubernetes.aio.config import load_incluster_config, load_kube_config

from saga_operator.api_requests import ApiRequests
from saga_operator.pace import Pace
from saga_operator.resources import FIELD_MANAGER, GROUP, ORDER_SAGA_PLURAL, VERSION

APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
PAGE, FEW = 500, 50
IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
"""What every container of a cluster has in its environment."""

Body = dict[str, Any]


class ClusterError(Exception):
    """The API server did not do what was asked. The text says what and why."""


class UnavailableError(ClusterError):
    """It cannot be reached, is overloaded, or is starting. Try again later."""


class NotThereError(ClusterError):
    """There is no such object any more."""


class ConflictError(ClusterError):
    """Somebody else changed the object first, or it exists already. Look again."""


class RefusedError(ClusterError):
    """It will not do this, however often it is asked: no right to it, or the object is invalid."""


class Cluster:
    """The API server of one cluster."""

    def __init__(self, client: ApiClient, pace: Pace, request_seconds: float, requests: ApiRequests) -> None:
        """Speak through `client`, write at `pace`, and wait no longer than that for an answer.

        In `requests` those of `client` are counted, and of whoever else speaks to this API server.
        """
        self.may_write: Callable[[], bool] = lambda: True
        """Whoever shares its work with others writes only while this is so: it is asked last before each write."""
        self.requests = requests
        self.writes: Counter[tuple[str, str]] = Counter()
        # From zero on, so that whoever looks for a change sees the first.
        self.failures: Counter[str] = Counter({kind.__name__: 0 for kind in ClusterError.__subclasses__()})
        self._client = client
        self._api = CustomObjectsApi(client)
        self._pace = pace
        self._seconds = request_seconds

    @classmethod
    async def connect(cls, pace: Pace, request_seconds: float) -> "Cluster":
        """Return the cluster that this process runs in, or else the current one of the kubeconfig.

        Raises:
            UnavailableError: when there is neither.
        """
        requests = ApiRequests()
        configuration = Configuration(trace_configs=[requests.tracing()])
        inside = IN_CLUSTER in os.environ
        try:
            if inside:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                await load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except Exception as error:
            raise UnavailableError(f"no cluster: neither in one nor a kubeconfig that works ({error})") from error
        return cls(ApiClient(configuration), pace, request_seconds, requests)

    @property
    def waiting(self) -> int:
        """How many writes wait for their turn."""
        return self._pace.waiting

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def list_ordersagas(self, namespace: str | None, labels: str = "") -> list[Body]:
        """Return all OrderSagas of a namespace, or of all."""
        return [body async for body in self._list(ORDER_SAGA_PLURAL, namespace, labels)]

    async def names_of(self, plural: str, namespace: str | None) -> set[tuple[str, str]]:
        """Return namespace and name of all resources of a kind; few bodies are in memory at a time."""
        found = self._list(plural, namespace, "", FEW)
        return {(body["metadata"].get("namespace", ""), body["metadata"]["name"]) async for body in found}

    async def read_ordersaga(self, namespace: str, name: str) -> Body:
        return await self._call("get", GROUP, VERSION, namespace, ORDER_SAGA_PLURAL, name)

    async def create_ordersaga(self, namespace: str, body: Body) -> Body:
        return await self._create(GROUP, VERSION, namespace, ORDER_SAGA_PLURAL, body)

    async def patch_ordersaga(self, namespace: str, name: str, patch: Body) -> Body:
        """Change metadata of an OrderSaga; a `resourceVersion` in the patch is a condition."""
        return await self._patch(MERGE, namespace, ORDER_SAGA_PLURAL, name, patch)

    async def apply_status(self, kind: str, plural: str, namespace: str, name: str, uid: str, status: Body) -> Body:
        """Apply the whole status of one object; an object made anew under the name is left alone."""
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": status,
        }
        return await self._patch(APPLY, namespace, plural, name, body, status=True)

    async def delete_ordersaga(self, namespace: str, name: str, uid: str) -> None:
        """Delete the OrderSaga of that uid."""
        condition = V1DeleteOptions(preconditions=V1Preconditions(uid=uid))
        await self._write(
            "delete",
            ORDER_SAGA_PLURAL,
            self._api.delete_namespaced_custom_object(
                GROUP, VERSION, namespace, ORDER_SAGA_PLURAL, name, body=condition, _request_timeout=self._seconds
            ),
        )

    async def create_event(self, namespace: str, body: Body) -> None:
        """Create an Event; one that is there already is no error."""
        try:
            await self._create("events.k8s.io", "v1", namespace, "events", body)
        except ConflictError:
            return

    async def read_lease(self, namespace: str, name: str) -> Body:
        return await self._call("get", "coordination.k8s.io", "v1", namespace, "leases", name)

    async def create_lease(self, namespace: str, body: Body) -> Body:
        return await self._answered(
            self._api.create_namespaced_custom_object(
                "coordination.k8s.io", "v1", namespace, "leases", body, _request_timeout=self._seconds
            )
        )

    async def replace_lease(self, namespace: str, body: Body) -> Body:
        """Write the lease, if nobody wrote it since it was read. Not paced: whoever leads must be able to say so."""
        return await self._answered(
            self._api.replace_namespaced_custom_object(
                "coordination.k8s.io",
                "v1",
                namespace,
                "leases",
                body["metadata"]["name"],
                body,
                _request_timeout=self._seconds,
            )
        )

    async def annotate_lease(self, namespace: str, name: str, annotations: Mapping[str, str]) -> Body:
        """Write annotations onto the lease; whoever holds it goes on holding it."""
        patch = {"metadata": {"annotations": dict(annotations)}}
        return await self._answered(
            self._api.patch_namespaced_custom_object(
                "coordination.k8s.io",
                "v1",
                namespace,
                "leases",
                name,
                patch,
                _content_type=MERGE,
                _request_timeout=self._seconds,
            )
        )

    async def _list(
        self, plural: str, namespace: str | None, labels: str, page_size: int = PAGE
    ) -> AsyncIterator[Body]:
        token: str | None = None
        while True:
            more: Body = {"limit": page_size, "_request_timeout": self._seconds * 4}
            if token:
                more["_continue"] = token
            if labels:
                more["label_selector"] = labels
            if namespace is None:
                page = await self._answered(self._api.list_cluster_custom_object(GROUP, VERSION, plural, **more))
            else:
                page = await self._answered(
                    self._api.list_namespaced_custom_object(GROUP, VERSION, namespace, plural, **more)
                )
            for body in page["items"]:
                yield body
            token = page["metadata"].get("continue")
            if not token:
                return

    async def _call(self, verb: str, group: str, version: str, namespace: str, plural: str, name: str) -> Body:
        call = getattr(self._api, f"{verb}_namespaced_custom_object")
        return await self._answered(call(group, version, namespace, plural, name, _request_timeout=self._seconds))

    async def _create(self, group: str, version: str, namespace: str, plural: str, body: Body) -> Body:
        return await self._write(
            "create",
            plural,
            self._api.create_namespaced_custom_object(
                group, version, namespace, plural, body, field_manager=FIELD_MANAGER, _request_timeout=self._seconds
            ),
        )

    async def _patch(
        self, kind: str, namespace: str, plural: str, name: str, body: Body, *, status: bool = False
    ) -> Body:
        call = self._api.patch_namespaced_custom_object_status if status else self._api.patch_namespaced_custom_object
        more: Body = {"force": True} if kind == APPLY else {}
        return await self._write(
            "patch",
            f"{plural}/status" if status else plural,
            call(
                GROUP,
                VERSION,
                namespace,
                plural,
                name,
                body,
                field_manager=FIELD_MANAGER,
                _content_type=kind,
                _request_timeout=self._seconds,
                **more,
            ),
        )

    async def _write(self, verb: str, what: str, call: Any) -> Body:  # noqa: ANN401 - a coroutine of the library
        try:
            await self._pace.take()
        except BaseException:
            call.close()
            raise
        if not self.may_write():
            call.close()
            raise UnavailableError("somebody else leads by now")
        self.writes[verb, what] += 1
        return await self._answered(call)

    async def _answered(self, call: Any) -> Body:  # noqa: ANN401 - a coroutine of the library
        """Return what the server answered.

        Raises:
            ClusterError: of the kind that says what to do.
        """
        try:
            answer: Body = await call
        except ApiException as error:
            told = _told(error)
            self.failures[type(told).__name__] += 1
            raise told from error
        except (aiohttp.ClientError, TimeoutError, OSError, asyncio.IncompleteReadError) as error:
            self.failures["UnavailableError"] += 1
            raise UnavailableError(f"the API server cannot be reached: {str(error) or type(error).__name__}") from error
        return answer


def _told(error: ApiException) -> ClusterError:
    status = int(error.status or 0)
    text = _message(error)
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE):
        return NotThereError(text)
    if status == HTTPStatus.CONFLICT:
        return ConflictError(text)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, 0) or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return UnavailableError(text)
    return RefusedError(text)


def _message(error: ApiException) -> str:
    try:
        said: Mapping[str, Any] = json.loads(error.body or "{}")
    except ValueError:
        said = {}
    return str(said.get("message") or error.reason or f"HTTP {error.status}")
