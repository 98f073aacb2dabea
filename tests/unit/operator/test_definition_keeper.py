"""SagaDefinitions are judged, told to every service once, and never told otherwise."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.operator.memory_api import Fault, MemoryApi, MemoryCluster, refused
from tests.unit.operator.operators import at_once

from saga_operator import definitions
from saga_operator.cluster import Body
from saga_operator.definitions import DefinitionKeeper
from saga_operator.resources import API_VERSION, SAGA_DEFINITION_KIND, SAGA_DEFINITION_PLURAL
from saga_operator.tracker import Sagas
from sagakit.adapters.memory import MemoryLog
from sagakit.runtime.definitions import Definitions
from sagakit.testing.rehearsal import HandClock
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import read_definition
from shop_contracts.order_saga import ORDER_SAGA

PAYMENT = {"name": "payment", "participant": "payment", "command": "ChargePayment"}
INVENTORY = {"name": "inventory", "participant": "inventory", "command": "ReserveInventory"}
SHIPPING = {"name": "shipping", "participant": "shipping", "command": "ScheduleShipment", "kind": "Pivot"}
STOCK = {"name": "stock", "participant": "inventory", "command": "ConsumeReservation", "kind": "Retriable"}


def spec(version: int, *steps: Mapping[str, Any], name: str = "order") -> dict[str, Any]:
    return {"name": name, "version": version, "stages": [{"steps": [dict(step)]} for step in steps]}


TURNED = spec(2, INVENTORY, PAYMENT, SHIPPING, STOCK)
"""An order saga with inventory before payment."""


class Keeping:
    """A keeper over an API server and a log in memory."""

    def __init__(self) -> None:
        clock = HandClock()
        self.api = MemoryApi(clock)
        self.log = MemoryLog(clock)
        self.known = Definitions("operator", self.log, SHOP, known=[ORDER_SAGA], read=read_definition, learner=Sagas())
        self.leads = True
        self.keeper = DefinitionKeeper(MemoryCluster(self.api), self.log, self.known, clock, lambda: self.leads)
        self.api.watchers.append(lambda kind, _, body: self.keeper.seen(body, gone=kind == "DELETED"))
        self.rounds()

    def rounds(self) -> None:
        """Let the loops go round until nothing is new."""
        for _ in range(3):
            while at_once(self.known.step()):
                pass
            at_once(self.keeper.step())

    def apply(self, name: str, wanted: dict[str, Any], *, rounds: bool = True) -> None:
        metadata = {"namespace": "shop", "name": name}
        body = {"apiVersion": API_VERSION, "kind": SAGA_DEFINITION_KIND, "metadata": metadata, "spec": wanted}
        self.api.make(SAGA_DEFINITION_PLURAL, body)
        if rounds:
            self.rounds()

    def condition(self, name: str, kind: str) -> tuple[str, str, str]:
        body: Body = self.api.objects[SAGA_DEFINITION_PLURAL, "shop", name]
        (found,) = [each for each in body["status"]["conditions"] if each["type"] == kind]
        return found["status"], found["reason"], found["message"]

    @property
    def published(self) -> int:
        return self.keeper.counts["published"]


def test_a_definition_that_stands_is_told_to_every_service_once() -> None:
    keeping = Keeping()
    keeping.apply("turned", TURNED)
    keeping.rounds()
    assert keeping.published == 1
    assert "order/2" in keeping.known.sagas
    assert [step.name for step in keeping.known.sagas["order/2"].steps] == ["inventory", "payment", "shipping", "stock"]
    assert keeping.condition("turned", "Validated")[:2] == ("True", "Valid")
    assert keeping.condition("turned", "Published")[:2] == ("True", "Published")
    assert keeping.api.calls[f"patch {SAGA_DEFINITION_PLURAL}/status"] == 1


def test_the_same_content_under_another_name_stands_too_and_is_told_no_second_time() -> None:
    keeping = Keeping()
    keeping.apply("turned", TURNED)
    keeping.apply("turned-again", TURNED)
    assert keeping.published == 1
    assert keeping.condition("turned-again", "Published")[0] == "True"


def test_other_content_under_a_name_and_version_that_is_taken_is_told_so_and_never_published() -> None:
    keeping = Keeping()
    keeping.apply("turned", TURNED)
    keeping.apply("other", spec(2, PAYMENT, INVENTORY, SHIPPING, STOCK))
    truth, reason, sentence = keeping.condition("other", "Validated")
    assert (truth, reason) == ("False", "Taken")
    assert "order/2" in sentence
    assert "another version" in sentence
    assert keeping.condition("other", "Published")[0] == "False"
    assert keeping.published == 1
    assert keeping.known.sagas["order/2"].steps[0].name == "inventory"


@pytest.mark.parametrize(
    ("wanted", "word"),
    [
        (spec(3, {"name": "payment", "participant": "nobody", "command": "ChargePayment"}), "nobody"),
        (spec(3, {"name": "payment", "participant": "payment", "command": "StealPayment"}), "StealPayment"),
        (spec(3, {"name": "inventory", "participant": "payment", "command": "ReserveInventory"}), "ReserveInventory"),
    ],
    ids=["participant", "command", "foreign command"],
)
def test_a_definition_with_words_that_nobody_knows_is_told_so_with_the_word(wanted: dict[str, Any], word: str) -> None:
    keeping = Keeping()
    keeping.apply("wrong", wanted)
    truth, reason, sentence = keeping.condition("wrong", "Validated")
    assert (truth, reason) == ("False", "Invalid")
    assert word in sentence
    assert keeping.published == 0


def test_the_built_in_definition_may_be_there_as_a_resource_and_is_told_to_nobody() -> None:
    keeping = Keeping()
    keeping.apply("order-1", spec(1, PAYMENT, INVENTORY, SHIPPING, STOCK))
    assert keeping.published == 0
    assert keeping.condition("order-1", "Validated")[0] == "True"


def test_a_malformed_definition_stops_nobody() -> None:
    keeping = Keeping()
    keeping.apply("bad", {"name": "order", "version": "two"})
    keeping.apply("turned", TURNED)
    assert keeping.condition("turned", "Published")[0] == "True"
    assert ("shop", "bad") in keeping.keeper.malformed
    keeping.api.remove("shop", "bad", plural=SAGA_DEFINITION_PLURAL)
    assert keeping.keeper.malformed == {}


def test_a_definition_whose_resource_goes_stays_known() -> None:
    keeping = Keeping()
    keeping.apply("turned", TURNED)
    keeping.api.remove("shop", "turned", plural=SAGA_DEFINITION_PLURAL)
    keeping.rounds()
    assert "order/2" in keeping.known.sagas
    assert keeping.keeper.resources == {}


def test_whoever_does_not_lead_tells_nobody() -> None:
    keeping = Keeping()
    keeping.leads = False
    keeping.apply("turned", TURNED)
    assert keeping.published == 0
    keeping.leads = True
    keeping.rounds()
    assert keeping.published == 1


@pytest.mark.parametrize("status", [404, 409, 429, 500, 422])
def test_an_api_server_that_fails_delays_the_status_only(status: int) -> None:
    keeping = Keeping()
    keeping.api.fate = lambda call: Fault(refused(status)) if call.endswith("/status") else None
    keeping.apply("turned", TURNED)
    assert keeping.published == 1
    keeping.api.fate = lambda _: None
    keeping.rounds()
    assert keeping.condition("turned", "Published")[0] == "True"


def test_what_was_told_counts_before_it_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = Keeping()
    monkeypatch.setattr(definitions, "DEFINITIONS_MAX", 3)
    for version in range(2, 6):
        keeping.apply(f"turned-{version}", {**TURNED, "version": version}, rounds=False)
    keeping.rounds()
    assert keeping.published == 2


def test_of_so_many_definitions_none_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping = Keeping()
    keeping.apply("turned", TURNED)
    monkeypatch.setattr(definitions, "DEFINITIONS_MAX", 2)
    keeping.apply("one-more", {**TURNED, "version": 3})
    assert keeping.condition("one-more", "Validated")[0] == "True"
    truth, reason, sentence = keeping.condition("one-more", "Published")
    assert (truth, reason) == ("False", "TooMany")
    assert "there are 2 definitions" in sentence
    keeping.apply("turned-again", TURNED)
    assert keeping.condition("turned-again", "Published")[0] == "True"
    assert keeping.published == 1
    monkeypatch.undo()
    keeping.rounds()
    assert keeping.condition("one-more", "Published")[0] == "True"
