"""Sagas of the bulk that need a person become resources, each once, and change nothing by it."""

import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operator.memory_api import Fault, MemoryCluster, refused
from tests.unit.operator.memory_shop import Desk
from tests.unit.operator.operators import Operators, at_once, manifest
from tests.unit.operator.values import T0

from saga_operator.materializing import MATERIALIZED, Materializer, Policy, resource_for, resource_name
from saga_operator.orders import Line, OrdersUnavailableError
from saga_operator.resources import ORDER_SAGA_PLURAL, MalformedError, parse
from sagakit.core.facts import Phase
from sagakit.core.messages import Mode, name_based_id
from sagakit.testing.script import Plays, Script

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
IDS = st.text(st.sampled_from("abzABZ019._-"), min_size=1, max_size=50)


def is_a_name(name: str) -> bool:
    """Tell whether Kubernetes takes it: an RFC 1123 subdomain, no longer than a label, so that it may be one too."""
    return len(name) <= 63 and all(LABEL.fullmatch(part) for part in name.split("."))


@settings(max_examples=1000)
@given(saga_id=IDS)
def test_every_saga_has_a_name_that_kubernetes_takes(saga_id: str) -> None:
    assert is_a_name(resource_name(saga_id)), resource_name(saga_id)
    assert resource_name(saga_id) == resource_name(saga_id)


@settings(max_examples=1000)
@given(one=IDS, other=IDS)
def test_two_sagas_never_have_one_name(one: str, other: str) -> None:
    assert (resource_name(one) == resource_name(other)) == (one == other)


@pytest.mark.parametrize(
    "saga_id", ["a..b", "-a", "a.-b", "A", "a_b", ".", "---", "a--b", "a" * 50, "Z" * 50, "a-", "x.y"]
)
def test_odd_ids_have_names_that_kubernetes_takes(saga_id: str) -> None:
    assert is_a_name(resource_name(saga_id)), resource_name(saga_id)


def test_ids_that_differ_in_a_doubled_dash_only_have_two_names() -> None:
    assert len({resource_name(saga_id) for saga_id in ("a-b", "a--b", "A-b", "a.b", "a-b-", "a_b")}) == 6


def test_the_usual_id_is_found_in_the_name() -> None:
    saga_id = name_based_id("an order")
    assert resource_name(saga_id) == f"saga-{saga_id}"


def test_the_resource_adopts_the_saga_as_it_is_and_lets_it_run_when_it_is_deleted() -> None:
    body = resource_for(Line(saga_id="bulk-1", phase=Phase.NEEDS_INTERVENTION, suspended=True))
    body["metadata"] |= {"namespace": "shop", "uid": "u", "creationTimestamp": T0.isoformat()}
    its = parse(body)
    assert its.spec.saga_ref is not None
    assert (its.spec.saga_ref.saga_id, its.spec.suspend, its.spec.deletion_policy) == ("bulk-1", True, "Orphan")
    with pytest.raises(MalformedError):
        parse(body | {"spec": {}})


def materializer(world: Operators, policy: Policy, most: int = 3, *, leads: bool = True) -> Materializer:
    """Return one that has watched for a while."""
    its = Materializer(
        policy,
        most,
        "shop",
        cluster=MemoryCluster(world.api),
        orders=Desk(world.shop),
        engine=world.everyone[0].engine,
        leads=lambda: leads,
        watching=lambda: True,
    )
    at_once(its.step())
    return its


def bulk(number: int = 5) -> Operators:
    """Return a world in which so many sagas are stuck, and one has ended."""
    world = Operators(script=Script({"payment": Plays.GIVES_UP}))
    world.start()
    for each in range(number):
        world.shop.begin(f"bulk-{each}", Mode.CHOREOGRAPHY, world.clock.now() + timedelta(seconds=30))
    while world.shop.deliver():
        pass
    return world


def made(world: Operators) -> list[str]:
    return sorted(name for plural, _, name in world.api.objects if plural == ORDER_SAGA_PLURAL)


def test_at_most_so_many_sagas_that_need_a_person_become_resources_each_once() -> None:
    world = bulk()
    loop = materializer(world, "OnFailure")
    for _ in range(3):
        at_once(loop.step())
        while world.see(world.everyone[0]):
            pass
    assert made(world) == ["saga-bulk-0", "saga-bulk-1", "saga-bulk-2"]
    assert loop.counts["materialized"] == 3
    assert all(
        world.api.objects[place]["metadata"]["annotations"] == {MATERIALIZED: "true"} for place in world.api.objects
    )


def test_a_resource_that_is_not_seen_yet_is_not_made_twice() -> None:
    world = bulk(1)
    loop = materializer(world, "OnFailure")
    at_once(loop.step())
    at_once(loop.step())
    assert made(world) == ["saga-bulk-0"]
    assert loop.counts["materialized"] == 1


def test_nothing_is_made_where_nobody_wants_it_or_somebody_else_leads() -> None:
    world = bulk()
    at_once(materializer(world, "Never").step())
    at_once(materializer(world, "OnFailure", 0).step())
    at_once(materializer(world, "Always", leads=False).step())
    assert made(world) == []


@pytest.mark.parametrize("fails", ["the API server", "the order service"])
def test_who_cannot_be_reached_delays_it_and_is_no_trouble_of_the_operator(fails: str) -> None:
    world = bulk(1)
    loop = materializer(world, "Always")
    if fails == "the API server":
        world.api.fate = lambda _: Fault(refused(503))
    else:
        loop._orders = Desk(world.shop, lambda _: Fault(OrdersUnavailableError("is away")))
    at_once(loop.step())
    assert (made(world), loop.counts["put off"]) == ([], 1)
    world.api.fate = lambda _: None
    loop._orders = Desk(world.shop)
    at_once(loop.step())
    assert made(world) == ["saga-bulk-0"]


@pytest.mark.parametrize(
    ("namespace", "name", "spec"),
    [
        ("tenant", "saga-old", {"sagaRef": {"sagaId": "old"}}),
        ("shop", "old", {"sagaRef": {"sagaId": "old"}}),
        ("shop", "saga-old", {}),
    ],
    ids=["another namespace", "another name", "an order"],
)
def test_an_annotation_that_somebody_else_wrote_takes_no_room(
    namespace: str, name: str, spec: dict[str, Any],
) -> None:  # fmt: skip
    world = bulk(1)
    body = manifest(name, **spec, suspend=True)
    body["metadata"] |= {"namespace": namespace, "annotations": {MATERIALIZED: "true"}}
    world.api.make(ORDER_SAGA_PLURAL, body)
    while world.see(world.everyone[0]):
        pass
    at_once(materializer(world, "OnFailure", 1).step())
    assert "saga-bulk-0" in made(world)


def test_that_there_is_no_room_for_more_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    world = bulk(2)
    loop = materializer(world, "OnFailure", 1)
    for _ in range(4):
        at_once(loop.step())
        while world.see(world.everyone[0]):
            pass
    assert made(world) == ["saga-bulk-0"]
    assert [line.getMessage() for line in caplog.records if line.levelname == "WARNING"] == [
        "sagas of the bulk do not become resources: 1 stand already, and more there may not be"
    ]


def test_what_the_api_server_refuses_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = bulk(2)
    loop = materializer(world, "OnFailure")
    world.api.fate = lambda _: Fault(refused(403, "exceeded quota: objects"))
    for _ in range(3):
        at_once(loop.step())
    (line,) = [line.getMessage() for line in caplog.records if line.levelname == "WARNING"]
    assert "saga-bulk-0 is refused" in line
    assert "exceeded quota: objects" in line
    world.api.fate = lambda _: None
    at_once(loop.step())
    assert made(world) == ["saga-bulk-0", "saga-bulk-1"]
