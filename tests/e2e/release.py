"""The installed platform: its services and operators, disturbed on purpose, and held to account afterwards."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.e2e.cluster import Body, Cluster, CommandError, until
from tests.e2e.logs import OperatorLogs
from tests.real.engine import docker

from onebox.layout import PORTS

ROOT = Path(__file__).parents[2]
SAGACTL = Path(sys.executable).with_name("sagactl")
PRODUCTS = tuple(f"prod-{number}" for number in range(1, 11))
STOCK = 1_000_000
READY_SECONDS_MAX = 420.0
GONE_SECONDS_MAX = 90.0
BALANCED_SECONDS_MAX = 180.0
LEADS_SECONDS_MAX = 60.0
STOCKED_SECONDS_MAX = 60.0
INSTALL_SECONDS_MAX = 900.0
OPERATOR = "operator"
KILL_BY_NAME = r"""
files=$(grep --files-with-matches --line-regexp --null-data "HOSTNAME=$1" /proc/[0-9]*/environ 2>/dev/null || :)
pids=$(printf '%s\n' "$files" | cut -d / -f 3)
test -n "$pids"
kill -KILL $pids 2>/dev/null || :
"""
"""A node's way to the processes of a pod: each has the pod's name in its environment. Some may end by themselves."""


@dataclass
class Release:
    """One release of the chart, in one namespace."""

    cluster: Cluster
    name: str = "sagaplane"
    namespace: str = "sagaplane"
    logs: OperatorLogs = field(init=False)

    def __post_init__(self) -> None:
        self.logs = OperatorLogs(self.cluster, self.namespace, self.selector(OPERATOR))

    def selector(self, component: str) -> str:
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"

    def kubectl(self, *words: str, body: object = None, seconds_max: float = 120) -> str:
        """Return what kubectl says in the namespace of the release."""
        return self.cluster.must("--namespace", self.namespace, *words, body=body, seconds_max=seconds_max)

    def helm(self, *words: str, seconds_max: float = INSTALL_SECONDS_MAX) -> str:
        """Return what helm says, which has to succeed."""
        command = ["helm", "--kube-context", self.cluster.context, "--namespace", self.namespace, *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds_max, check=False)
        if done.returncode != 0:
            raise CommandError(f"helm {' '.join(words)}: {done.stderr}")
        return done.stdout

    def url(self, service: str) -> str:
        """Return where a service is, through the API server."""
        return self.url_of(f"{self.name}-{service}", 8080 if service == OPERATOR else PORTS[service])

    def url_of(self, name: str, port: int) -> str:
        """Return where any Service of the namespace is, through the API server."""
        path = f"/api/v1/namespaces/{self.namespace}/services/{name}:{port}/proxy"
        return f"{str(self.cluster.http.base_url).rstrip('/')}{path}"

    def ask(self, service: str, path: str) -> httpx.Response:
        """Return what a service answers."""
        return self.cluster.http.get(f"{self.url(service)}{path}")

    def asked(self, service: str, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return what a service answers, which has to be a success.

        Raises:
            HTTPStatusError: when it is away or ill: `until` asks again.
        """
        answer = self.ask(service, path)
        if answer.is_server_error:
            answer.raise_for_status()
        assert answer.is_success, f"{service} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def place(self, key: str, *, mode: str = "choreography", product: str = "prod-1") -> str:
        """Place an order over HTTP, as the bulk does, and return its id."""
        order = {
            "userId": f"user-{key}",
            "items": [{"productId": product, "quantity": 1, "price": "3.00"}],
            "mode": mode,
        }
        answer = self.cluster.http.post(f"{self.url('order')}/orders", json=order, headers={"Idempotency-Key": key})
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def stock_up(self) -> None:
        """Put more on the shelves than any test takes."""
        for product in PRODUCTS:
            url = f"{self.url('inventory')}/stock/{product}"
            until(
                lambda url=url: self.cluster.http.put(url, json={"quantity": STOCK}).raise_for_status(),  # type: ignore[misc]
                STOCKED_SECONDS_MAX,
                f"{product} is on the shelf",
            )

    def sagactl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of sagactl against the services."""
        addresses = {f"SAGACTL_{service.upper()}_URL": self.url(service) for service in PORTS}
        environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **addresses}
        return subprocess.run(
            [SAGACTL, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def demand_balanced(self) -> None:
        """Demand that the books balance; what is on its way when they are read may arrive until they are read again."""
        done: list[subprocess.CompletedProcess[str]] = []

        def balanced() -> bool:
            done.append(self.sagactl("audit"))
            return done[-1].returncode == 0

        until(balanced, BALANCED_SECONDS_MAX, lambda: f"the books balance:\n{done[-1].stdout}\n{done[-1].stderr}")

    def all_pods(self, component: str) -> list[Body]:
        """Return the pods of a component, also those on their way out: they may still work."""
        path = f"/api/v1/namespaces/{self.namespace}/pods"
        return self.cluster.items(path, labelSelector=self.selector(component))

    def pods(self, component: str) -> list[Body]:
        """Return the pods of a component that are not on their way out."""
        return [pod for pod in self.all_pods(component) if "deletionTimestamp" not in pod["metadata"]]

    def pod_names(self, component: str) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods(component)]

    def deployment(self, component: str) -> Body:
        path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}-{component}"
        found = self.cluster.get(path)
        assert found is not None, f"there is no deployment {self.name}-{component}"
        return found

    def is_ready(self, component: str) -> bool:
        """Tell whether as many instances as wanted are ready, all of the newest kind, and no other is left."""
        its = self.deployment(component)
        status, wanted = its["status"], its["spec"]["replicas"]
        seen = status.get("observedGeneration") == its["metadata"]["generation"]
        numbers = {status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")}
        return seen and numbers | {len(self.all_pods(component))} == {wanted}

    def wait_until_ready(self, *components: str, seconds_max: float = READY_SECONDS_MAX) -> None:
        for component in components or (*PORTS, OPERATOR):
            until(lambda name=component: self.is_ready(name), seconds_max, f"{component} is ready")  # type: ignore[misc]

    def scale(self, component: str, replicas: int) -> None:
        """Ask for so many instances; for none, wait until the last has gone: what it hears it may still answer."""
        self.kubectl("scale", "deployment", f"{self.name}-{component}", f"--replicas={replicas}")
        if replicas == 0:
            until(lambda: not self.all_pods(component), GONE_SECONDS_MAX, f"{component} is gone")

    def close(self, component: str) -> int:
        """Take all instances away soon, until none runs any more, and return how many there were."""
        before = int(self.deployment(component)["spec"]["replicas"])
        pods = self.pod_names(component)
        self.kubectl("scale", "deployment", f"{self.name}-{component}", "--replicas=0")
        if pods:
            self.kubectl("delete", "pod", *pods, "--grace-period=1", "--wait=false", "--ignore-not-found")
        self.scale(component, 0)
        return before

    @contextmanager
    def without(self, component: str) -> Iterator[None]:
        """Have no instance of a component meanwhile."""
        before = self.close(component)
        try:
            yield
        finally:
            self.scale(component, before)
            self.wait_until_ready(component)

    @contextmanager
    def with_settings(self, service: str, **variables: str) -> Iterator[None]:
        """Have a service run with these settings meanwhile."""
        deployment = f"deployment/{self.name}-{service}"
        self.kubectl("set", "env", deployment, *(f"{name}={value}" for name, value in variables.items()))
        try:
            self.wait_until_ready(service)
            yield
        finally:
            self.kubectl("set", "env", deployment, *(f"{name}-" for name in variables))
            self.wait_until_ready(service)

    def kill(self, *pods: str) -> None:
        """Kill processes as a power cut would, and their pods, so that others come.

        That needs a node which is a container of this machine. On any other, a process hears SIGTERM first, and the API
        server forgets it before it has ended: so it is with every `kubectl delete --force`.
        """
        if self.cluster.context.startswith("kind-"):
            for name in pods:
                pod = self.cluster.get(f"/api/v1/namespaces/{self.namespace}/pods/{name}")
                assert pod is not None, f"there is no pod {name}"
                docker("exec", pod["spec"]["nodeName"], "sh", "-euc", KILL_BY_NAME, "sh", name)
        if pods:
            self.kubectl("delete", "pod", *pods, "--grace-period=0", "--force", "--wait=false")

    def leader(self) -> str:
        """Return which operator holds the lease; the empty text when none does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{self.name}-operator"
        lease = self.cluster.get(path)
        return str(lease["spec"].get("holderIdentity") or "") if lease is not None else ""

    def wait_for_leader(self, *, other_than: str = "", seconds_max: float = LEADS_SECONDS_MAX) -> str:
        """Return who leads, once a pod that is there does."""
        seen: list[str] = []

        def led() -> bool:
            seen[:] = [self.leader()]
            return seen[0] not in ("", other_than) and seen[0] in self.pod_names(OPERATOR)

        until(led, seconds_max, lambda: f"an operator leads; the lease is {seen}, pods are {self.pod_names(OPERATOR)}")
        return seen[0]

    def metric(self, pod: str, name: str, **labels: str) -> float:
        """Return the sum of a metric of one operator."""
        answer = self.cluster.http.get(f"/api/v1/namespaces/{self.namespace}/pods/{pod}:8080/proxy/metrics")
        if answer.is_server_error:
            answer.raise_for_status()
        assert answer.is_success, answer.text
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        lines = (line for line in answer.text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted))

    def set_values(self, *flags: str) -> None:
        """Upgrade to the same chart with some values changed, and wait until everything is ready."""
        self.helm("upgrade", self.name, "charts/sagaplane", "--reset-then-reuse-values", *flags)
        self.wait_until_ready()

    def look_everywhere(self) -> None:
        """Have the operators look after every namespace."""
        if not self.values()["operator"]["clusterWide"]:
            self.set_values("--set=operator.clusterWide=true")

    def values(self) -> Mapping[str, Any]:
        found: dict[str, Any] = json.loads(self.helm("get", "values", self.name, "--all", "--output=json"))
        return found

    def installed(self) -> bool:
        return any(each["name"] == self.name for each in json.loads(self.helm("list", "--output=json")))


def install(cluster: Cluster, namespace: str) -> None:
    """Install the platform as `make kind-up` does; where it is, that changes only what differs.

    Raises:
        CommandError: when it cannot be installed.
    """
    kind, _, name = cluster.context.partition("-")
    if kind != "kind" or not name:
        raise CommandError(
            f"no release in {namespace} of {cluster.context}, which is no kind cluster: install the chart there first"
        )
    command = ["make", "kind-up", f"KIND_CLUSTER={name}", f"KIND_NAMESPACE={namespace}"]
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX, check=False)
    if done.returncode != 0:
        raise CommandError(f"{' '.join(command)}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    sys.stdout.write(f"make kind-up: {time.monotonic() - began:.0f} s\n")
