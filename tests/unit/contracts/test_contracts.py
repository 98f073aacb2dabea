"""The shop's contracts as documents: current, true, and changed only in ways that old readers survive."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from onebox.contracts import main, rendered
from sagakit.core.contracts import Contract, encode_data
from sagakit.core.schemas import breaks, schema_of
from shop_contracts import messages as m
from shop_contracts.carried import topics
from shop_contracts.catalogue import SHOP
from shop_contracts.documents import ASYNCAPI, documents, file_name, incompatible

COMMITTED = Path(__file__).parents[3] / "docs" / "contracts"


def test_the_committed_documents_are_current() -> None:
    assert main(["--check", str(COMMITTED)]) == 0


def test_every_document_in_the_directory_is_one_of_ours_or_of_an_older_version() -> None:
    newest = {contract.type: contract.version for contract in SHOP.by_type.values()}
    for path in COMMITTED.glob("*.v*.json"):
        kind, _, version = path.stem.rpartition(".v")
        assert 1 <= int(version) <= newest[kind]


@pytest.mark.parametrize("contract", SHOP.by_type.values(), ids=lambda contract: contract.type)
def test_every_schema_is_a_schema(contract: Contract) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(contract))


@pytest.mark.parametrize(
    "said",
    [
        m.OrderCreated(
            order_id="o",
            user_id="u",
            items=[m.Item(product_id="p", quantity=2, price=Decimal("1.10"))],
            total=Decimal("2.20"),
            currency="USD",
        ),
        m.PaymentRefunded(
            order_id="o", payment_id=None, amount=Decimal(0), refund_id=None, method=m.RefundMethod.STORE_CREDIT
        ),
        m.OrderCancelled(order_id="o", reason="CANCELLED", cancelled_at=datetime(2026, 5, 1, tzinfo=UTC)),
        m.InventoryFailed(order_id="o", reason="x", items=[m.Available(product_id="p", available_quantity=0)]),
    ],
    ids=lambda said: type(said).__name__,
)
def test_what_is_said_fits_its_schema(said: msgspec.Struct) -> None:
    schema = documents()[file_name(SHOP.by_type[type(said).__name__])]
    jsonschema.validate(json.loads(bytes(encode_data(said))), schema)


def references(document: Any) -> Iterator[str]:  # noqa: ANN401 - any piece of a document
    if isinstance(document, dict):
        if isinstance(document.get("$ref"), str):
            yield document["$ref"]
        document = list(document.values())
    if isinstance(document, list):
        for inner in document:
            yield from references(inner)


def test_every_reference_leads_somewhere() -> None:
    everything = documents()
    for name, document in everything.items():
        for reference in references(document):
            file, _, pointer = reference.partition("#")
            found: Any = everything[file.removeprefix("./") or name]
            for step in pointer.split("/")[1:]:
                found = found[step]


def test_every_message_travels_on_a_topic_and_every_topic_carries_known_messages() -> None:
    carried = {kind for kinds in topics().values() for kind in kinds}
    assert carried == SHOP.by_type.keys()
    channels = documents()[ASYNCAPI]["channels"]
    assert "OrderCreated" in channels["orders.events"]["messages"]
    assert "PaymentRefunded" in channels["payments.events"]["messages"]
    assert set(channels["inventory.commands"]["messages"]) >= {"ReserveInventory", "ConsumeReservation", "RetryStep"}


class Parcel(msgspec.Struct):
    name: str


class Sent(msgspec.Struct):
    order_id: str
    weight: int
    parcel: Parcel
    note: str = ""


class Named(Parcel):
    colour: str = "brown"


def changed(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - types of fields
    """Return the schema of Sent with these fields otherwise; None leaves one out, a pair is a type and a default."""
    declared: dict[str, Any] = {"order_id": str, "weight": int, "parcel": Parcel, "note": (str, "")} | fields
    made = [(n, *(t if isinstance(t, tuple) else (t,))) for n, t in declared.items() if t is not None]
    made.sort(key=len)
    return schema_of(Contract("Sent", msgspec.defstruct("Sent", made)))


OLD = schema_of(Contract("Sent", Sent))


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({}, []),
        ({"colour": (str | None, None)}, []),
        ({"colour": (str, "brown")}, []),
        ({"note": None}, ["/note: was removed"]),
        ({"colour": str}, ["/colour: is required now, which old messages do not have"]),
        ({"note": str}, ["/note: default was dropped", "/note: is required now, which old messages do not have"]),
        (
            {"weight": (int, 1)},
            ["/weight: default is new", "/weight: may be left out now, which an old reader does not expect"],
        ),
        ({"weight": str}, ["/weight: 'integer' became 'string'"]),
        ({"weight": int | None}, ["/weight: anyOf is new", "/weight: type was dropped"]),
        ({"weight": m.Quantity}, ["/weight: maximum is new", "/weight: minimum is new"]),
        ({"note": (str, "none")}, ["/note: '' became 'none'"]),
    ],
)
def test_within_a_version_a_field_may_only_be_added_and_be_left_out(new: dict[str, Any], said: list[str]) -> None:
    assert breaks(OLD, changed(**new)) == said


def test_what_is_said_within_a_list_or_a_nested_object_counts_too() -> None:
    class Inner(msgspec.Struct, rename={"n": "n"}):
        n: int

    old = schema_of(Contract("Sent", msgspec.defstruct("Sent", [("all", list[Inner]), ("kind", m.RefundMethod)])))
    new = json.loads(json.dumps(old).replace('"integer"', '"string"').replace('"refund"', '"gift"'))
    assert breaks(old, new) == ["/Inner/n: 'integer' became 'string'", "/RefundMethod: 'refund' became 'gift'"]


def test_another_description_is_no_other_contract() -> None:
    new = json.loads(json.dumps(OLD)) | {"description": "Otherwise said."}
    assert breaks(OLD, new) == []


def committed(*contracts: Contract) -> dict[str, Any]:
    return {file_name(contract): schema_of(contract) for contract in contracts}


class Heavier(msgspec.Struct):
    order_id: str
    weight: float
    parcel: Parcel


def lift(data: dict[str, Any]) -> dict[str, Any]:
    return data


def test_an_incompatible_change_is_refused_until_its_version_is_raised() -> None:
    before = committed(Contract("Sent", Sent))
    assert incompatible(before, [Contract("Sent", Heavier)]) == [
        "Sent version 1: /note: was removed",
        "Sent version 1: /weight: 'integer' became 'number'",
    ]
    assert incompatible(before, [Contract("Sent", Heavier, 2, {1: lift})]) == []


def test_a_version_never_shrinks_and_a_type_never_vanishes() -> None:
    before = committed(Contract("Sent", Sent, 2, {1: lift}), Contract("Lost", Parcel))
    assert incompatible(before, [Contract("Sent", Sent)]) == [
        "Lost: has no contract any more, and the log still has such messages",
        "Sent: version 2 became 1; versions only grow",
    ]


def test_the_command_writes_what_is_missing_and_refuses_what_would_break(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", str(tmp_path)]) == 1
    assert main([str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == rendered().keys()
    assert main(["--check", str(tmp_path)]) == 0
    edited = tmp_path / "OrderCancelled.v1.json"
    before = edited.read_text().replace('"cancelledAt"', '"endedAt"')
    edited.write_text(before)
    capsys.readouterr()
    assert main([str(tmp_path)]) == 1
    assert "OrderCancelled version 1: /endedAt: was removed" in capsys.readouterr().err
    assert edited.read_text() == before, "nothing is written over"
