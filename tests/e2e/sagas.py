"""OrderSagas in one namespace: made, waited for, and read as a person would."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.e2e.cluster import EVENTS, GROUP, Body, Cluster, until

ENDS_SECONDS_MAX = 60.0
PRODUCT = "prod-1"
TERMINAL = ("Completed", "Compensated", "Killed")


def order_saga(name: str, *, product: str = PRODUCT, price: str = "10.00", **spec: Any) -> Body:  # noqa: ANN401
    """Return an OrderSaga of one piece of one product; by default it will be confirmed."""
    order = {"userId": f"user-{name}", "items": [{"productId": product, "quantity": 1, "price": price}]}
    whole = spec if "sagaRef" in spec else {"order": order, **spec}
    return {"apiVersion": "sagaplane.io/v1alpha1", "kind": "OrderSaga", "metadata": {"name": name}, "spec": whole}


@dataclass(frozen=True)
class Saga:
    """An OrderSaga at one moment."""

    body: Body

    @property
    def name(self) -> str:
        return str(self.body["metadata"]["name"])

    @property
    def status(self) -> Body:
        found: Body = self.body.get("status") or {}
        return found

    @property
    def phase(self) -> str:
        return str(self.status.get("phase", ""))

    @property
    def reason(self) -> str:
        return str(self.status.get("reason", ""))

    @property
    def saga_id(self) -> str:
        return str(self.status["sagaId"])

    @property
    def deadline(self) -> datetime:
        """The deadline, more exactly than the status tells it."""
        began = datetime.fromisoformat(self.body["metadata"]["annotations"]["sagaplane.io/started-at"])
        return began + timedelta(seconds=self.body["spec"]["timeoutSeconds"])

    @property
    def ended(self) -> bool:
        return self.phase in TERMINAL

    @property
    def truths(self) -> dict[str, str]:
        """What each condition says."""
        return {each["type"]: each["status"] for each in self.status.get("conditions", ())}

    @property
    def steps(self) -> dict[str, str]:
        """Where each step stands."""
        return {each["name"]: each["state"] for each in self.status.get("steps", ())}

    @property
    def transitions(self) -> list[str]:
        return [each["phase"] for each in self.status.get("transitions", ())]


@dataclass(frozen=True)
class Namespace:
    """A namespace that the operator watches."""

    cluster: Cluster
    name: str

    def path(self, name: str = "") -> str:
        return f"{GROUP}/namespaces/{self.name}/ordersagas{f'/{name}' if name else ''}"

    def kubectl(self, *words: str, body: object = None, seconds_max: float = 120) -> str:
        """Return what kubectl says in this namespace."""
        return self.cluster.must("--namespace", self.name, *words, body=body, seconds_max=seconds_max)

    def apply(self, *bodies: Body) -> None:
        """Apply resources as a person would, all in one file."""
        self.kubectl("apply", "--filename=-", body={"apiVersion": "v1", "kind": "List", "items": list(bodies)})

    def create(self, body: Body) -> None:
        """Make one resource, without what kubectl adds."""
        headers = {"Content-Type": "application/json"}
        answer = self.cluster.http.post(self.path(), content=json.dumps(body), headers=headers)
        assert answer.is_success, answer.text

    def begin(self, name: str, **more: Any) -> Saga:  # noqa: ANN401 - as in `order_saga`
        """Apply an OrderSaga and return it once it says anything."""
        self.apply(order_saga(name, **more))
        return self.wait_for(name, lambda its: bool(its.phase), what="a status")

    def change(self, name: str, **spec: Any) -> None:  # noqa: ANN401 - any field of the spec
        self.cluster.patch(self.path(name), {"spec": spec})

    def delete(self, name: str) -> None:
        self.cluster.delete(self.path(name))

    def find(self, name: str) -> Saga | None:
        body = self.cluster.get(self.path(name))
        return Saga(body) if body is not None else None

    def saga(self, name: str) -> Saga:
        found = self.find(name)
        assert found is not None, f"there is no OrderSaga {self.name}/{name}"
        return found

    def sagas(self) -> list[Saga]:
        return [Saga(body) for body in self.cluster.items(self.path())]

    def wait_for(
        self, name: str, met: Callable[[Saga], bool], seconds_max: float = ENDS_SECONDS_MAX, what: str = "a condition"
    ) -> Saga:
        """Return the OrderSaga as soon as the condition is met."""
        seen: list[Saga] = []

        def holds() -> bool:
            found = self.find(name)
            if found is not None:
                seen[:] = [found]
            return found is not None and met(found)

        def told() -> str:
            shown = json.dumps(seen[0].status, indent=1) if seen else "it is not there"
            return f"{what} of OrderSaga {self.name}/{name}: {shown}"

        until(holds, seconds_max, told)
        return seen[0]

    def wait_for_phase(self, name: str, phase: str, seconds_max: float = ENDS_SECONDS_MAX) -> Saga:
        return self.wait_for(name, lambda its: its.phase == phase, seconds_max, f"phase {phase}")

    def wait_for_placed(self, name: str) -> Saga:
        """Return the OrderSaga once the order service has its order."""
        return self.wait_for(name, lambda its: its.truths.get("Validated") == "True", what="Validated=True")

    def wait_for_step(self, name: str, step: str, state: str, seconds_max: float = ENDS_SECONDS_MAX) -> Saga:
        met = f"step {step} {state}"
        return self.wait_for(name, lambda its: its.steps.get(step) == state, seconds_max, met)

    def wait_gone(self, name: str, seconds_max: float = ENDS_SECONDS_MAX) -> float:
        return until(
            lambda: self.find(name) is None, seconds_max, lambda: f"OrderSaga {name} is gone: {self.find(name)}"
        )

    def wait_all_ended(self, prefix: str, count: int, seconds_max: float) -> list[Saga]:
        """Return the OrderSagas whose names begin so, once so many are there and each has ended."""
        seen: list[Saga] = []

        def ended() -> bool:
            seen[:] = [its for its in self.sagas() if its.name.startswith(prefix)]
            return len(seen) == count and all(its.ended for its in seen)

        def told() -> str:
            left = [
                f"{its.name} {its.phase} {its.reason}: {its.status.get('message')}" for its in seen if not its.ended
            ]
            return f"{count} OrderSagas have ended; there are {len(seen)}, and not ended: {left[:5]}"

        until(ended, seconds_max, told)
        return seen

    def events_of(self, name: str) -> list[Body]:
        """Return the Events about one OrderSaga, oldest first."""
        found = self.cluster.items(f"{EVENTS}/namespaces/{self.name}/events")
        about = [each for each in found if each["regarding"].get("name") == name]
        return sorted(about, key=lambda each: each["eventTime"] or "")

    def demand_told_once(self, name: str) -> None:
        """Demand one Event for each transition that is told, and no other."""
        its = self.saga(name)
        told = Counter(each["reason"] for each in self.events_of(name) if each["reason"] in its.transitions)
        assert told == Counter(phase for phase in its.transitions if phase != "Pending"), self.events_of(name)
        assert not any((each.get("series") or {}).get("count", 1) > 1 for each in self.events_of(name))
