"""The API server in memory, below the operator's own adapter: what it promises of versions, uids and finalizers.

Everything is decided as a real one does: a write over another version or another object is a conflict, a deleted
object stays until its last finalizer is gone, a generation counts changes of the spec, a terminal phase stays.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import msgspec
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.client.models.v1_delete_options import V1DeleteOptions

from saga_operator.api_requests import ApiRequests
from saga_operator.cluster import APPLY, Body, Cluster
from saga_operator.pace import Pace
from saga_operator.resources import ORDER_SAGA_PLURAL, STATUS_BYTES_MAX, TERMINAL_STAYS
from sagakit.core.facts import TERMINAL
from sagakit.ports import Clock

Place = tuple[str, str, str]
"""Plural, namespace and name."""
Watcher = Callable[[str, str, Body], None]
"""Told the kind of change (as a watch names it), the plural, and the object."""


class CrashError(BaseException):
    """The process that made the call is no more."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one call: this error, before it happened or after."""

    error: BaseException
    happened: bool = False


Fate = Callable[[str], Fault | None]
"""Decides over each call, given what it does: `patch ordersagas`, say."""


def no_fault(call: str) -> None:
    del call


def refused(status: int, text: str = "so it is") -> ApiException:
    """Return the answer of an API server that does not do it."""
    error = ApiException(status=status, reason=text)
    error.body = msgspec.json.encode({"kind": "Status", "code": status, "message": text}).decode()
    return error


class MemoryApi:
    """The calls of the client library that the operator makes."""

    def __init__(self, clock: Clock) -> None:
        self.objects: dict[Place, Body] = {}
        self.watchers: list[Watcher] = []
        self.fate: Fate = no_fault
        self.forbidden: set[str] = set()
        """Namespaces in which nobody may list anything."""
        self.calls: Counter[str] = Counter()
        self.released: Callable[[Body], None] = lambda _: None
        self._clock = clock
        self._version = 0

    def make(self, plural: str, body: Body) -> Body:
        """Create an object as a person does."""
        metadata = body["metadata"]
        place = (plural, metadata["namespace"], metadata["name"])
        if place in self.objects:
            raise refused(409, f"{place} exists")
        self._version += 1
        metadata = {"uid": f"uid-{self._version}", "generation": 1, "creationTimestamp": self._now(), **metadata}
        return self._store(place, {**body, "metadata": metadata}, "ADDED")

    def edit(self, namespace: str, name: str, **spec: Any) -> None:  # noqa: ANN401 - whatever a spec has
        """Change the spec of an OrderSaga as a person does."""
        place = (ORDER_SAGA_PLURAL, namespace, name)
        was = self.objects[place]
        if was["spec"] | spec == was["spec"]:
            return
        metadata = was["metadata"] | {"generation": was["metadata"]["generation"] + 1}
        self._store(place, {**was, "metadata": metadata, "spec": was["spec"] | spec})

    def replace(self, namespace: str, name: str, *taken: str, **spec: Any) -> None:  # noqa: ANN401 - whatever a spec has
        """Take metadata off an OrderSaga and change its spec, as `kubectl replace` does: its status stays."""
        place = (ORDER_SAGA_PLURAL, namespace, name)
        was = self.objects[place]
        spec = was["spec"] | spec
        generation = was["metadata"]["generation"] + (spec != was["spec"])
        left = {field: value for field, value in was["metadata"].items() if field not in taken}
        self._store(place, {**was, "metadata": {**left, "generation": generation}, "spec": spec})

    def overwrite_status(self, namespace: str, name: str, **status: Any) -> None:  # noqa: ANN401 - whatever a status has
        """Change the status of an OrderSaga as somebody does who should not."""
        place = (ORDER_SAGA_PLURAL, namespace, name)
        was = self.objects[place]
        self._store(place, {**was, "status": {**was.get("status", {}), **status}})

    def remove(self, namespace: str, name: str, uid: str | None = None, plural: str = ORDER_SAGA_PLURAL) -> None:
        """Delete an object: at once, or when its last finalizer is gone."""
        place = (plural, namespace, name)
        was = self._at(place)
        if uid is not None and uid != was["metadata"]["uid"]:
            raise refused(409, "the uid is another one")
        if "deletionTimestamp" in was["metadata"]:
            return
        generation = was["metadata"]["generation"] + 1
        metadata = was["metadata"] | {"deletionTimestamp": self._now(), "generation": generation}
        self._store(place, {**was, "metadata": metadata})

    def order_saga(self, namespace: str, name: str) -> Body | None:
        """Return the OrderSaga as it is stored."""
        return self.objects.get((ORDER_SAGA_PLURAL, namespace, name))

    async def get_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, **_: object
    ) -> Body:
        del group, version
        return self._call(f"get {plural}", lambda: self._at((plural, namespace, name)))

    async def list_namespaced_custom_object(
        self,
        group: str,
        version: str,
        namespace: str | None,
        plural: str,
        **query: Any,  # noqa: ANN401
    ) -> Body:
        del group, version
        if namespace in self.forbidden:
            raise refused(403, f"{plural} is forbidden in the namespace {namespace}")
        places = sorted(p for p in self.objects if p[0] == plural and namespace in (None, p[1]))
        first = int(query.get("_continue") or 0)
        last = first + int(query["limit"])
        page = {
            "items": [self.objects[place] for place in places[first:last]],
            "metadata": {"continue": str(last)} if last < len(places) else {},
        }
        return self._call(f"list {plural}", lambda: page)

    async def list_cluster_custom_object(self, group: str, version: str, plural: str, **query: Any) -> Body:  # noqa: ANN401
        return await self.list_namespaced_custom_object(group, version, None, plural, **query)

    async def create_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, body: Body, **_: object
    ) -> Body:
        del group, version
        named = body | {"metadata": {"namespace": namespace, **body["metadata"]}}
        return self._call(f"create {plural}", lambda: self.make(plural, named))

    async def replace_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, body: Body, **_: object
    ) -> Body:
        del group, version

        def replace() -> Body:
            self._same_version(self._at((plural, namespace, name)), body["metadata"])
            return self._store((plural, namespace, name), body)

        return self._call(f"replace {plural}", replace)

    async def patch_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, body: Body, **_: object
    ) -> Body:
        del group, version
        return self._call(f"patch {plural}", lambda: self._merge((plural, namespace, name), body["metadata"]))

    async def patch_namespaced_custom_object_status(
        self,
        group: str,
        version: str,
        namespace: str,
        plural: str,
        name: str,
        body: Body,
        *,
        _content_type: str,
        **_: object,
    ) -> Body:
        del group, version
        assert _content_type == APPLY, "a status is applied, never merged"
        return self._call(f"patch {plural}/status", lambda: self._apply((plural, namespace, name), body))

    async def delete_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, *, body: V1DeleteOptions, **_: object
    ) -> Body:
        del group, version

        def delete() -> Body:
            conditions = body.preconditions
            self.remove(namespace, name, conditions.uid if conditions is not None else None)
            return {}

        return self._call(f"delete {plural}", delete)

    def _call(self, call: str, act: Callable[[], Body]) -> Body:
        self.calls[call] += 1
        fault = self.fate(call)
        if fault is not None and not fault.happened:
            raise fault.error
        answer = deepcopy(act())
        if fault is not None:
            raise fault.error
        return answer

    def _merge(self, place: Place, metadata: Mapping[str, Any]) -> Body:
        was = self._at(place)
        self._same_version(was, metadata)
        merged = dict(was["metadata"])
        if "annotations" in metadata:
            merged["annotations"] = {**merged.get("annotations", {}), **metadata["annotations"]}
        if "finalizers" in metadata:
            merged["finalizers"] = metadata["finalizers"] or []
            added = set(merged["finalizers"]) - set(was["metadata"].get("finalizers", ()))
            if added and "deletionTimestamp" in merged:
                raise refused(422, "no new finalizers can be added if the object is being deleted")
            if len(merged["finalizers"]) < len(was["metadata"].get("finalizers", ())):
                self.released(was)
        return self._store(place, {**was, "metadata": merged})

    def _apply(self, place: Place, body: Body) -> Body:
        was = self._at(place)
        if body["metadata"]["uid"] != was["metadata"]["uid"]:
            raise refused(409, "the uid is another one")
        before, after = was.get("status", {}).get("phase"), body["status"].get("phase")
        if before in tuple(TERMINAL) and before != after:
            raise refused(422, f"{TERMINAL_STAYS.message}: {before} cannot become {after}")
        assert len(msgspec.json.encode(body["status"])) <= STATUS_BYTES_MAX, "a status is small"
        return self._store(place, {**was, "status": body["status"]})

    def _store(self, place: Place, body: Body, kind: str = "MODIFIED") -> Body:
        """Keep the object under a new version, unless nothing changed, and tell who watches."""
        body = deepcopy(body)
        was = self.objects.get(place)
        if was is not None and {**was, "metadata": {**was["metadata"], "resourceVersion": ""}} == {
            **body,
            "metadata": {**body["metadata"], "resourceVersion": ""},
        }:
            return was
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        if "deletionTimestamp" in body["metadata"] and not body["metadata"].get("finalizers"):
            self.objects.pop(place, None)
            kind = "DELETED"
        else:
            self.objects[place] = body
        for tell in list(self.watchers):
            tell(kind, place[0], deepcopy(body))
        return body

    def _at(self, place: Place) -> Body:
        if place not in self.objects:
            raise refused(404, f"{'/'.join(place)} not found")
        return self.objects[place]

    def _same_version(self, was: Body, metadata: Mapping[str, Any]) -> None:
        version = metadata.get("resourceVersion")
        if version is not None and version != was["metadata"]["resourceVersion"]:
            raise refused(409, "the object has been modified; please apply your changes to the latest version")

    def _now(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")


class MemoryCluster(Cluster):
    """The operator's own adapter over the API server in memory: its counting and its errors are the real ones."""

    def __init__(self, api: MemoryApi) -> None:
        self.may_write = lambda: True
        self.writes: Counter[tuple[str, str]] = Counter()
        self.failures: Counter[str] = Counter()
        self.requests = ApiRequests()
        self._api: Any = api
        self._pace = Pace(1e9, 1_000_000_000)
        self._seconds = 4.0
