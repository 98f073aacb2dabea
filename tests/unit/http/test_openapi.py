"""Every service answers as its OpenAPI document says: schemathesis sends what that allows, and what it forbids."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.schemas import OpenApiSchema
from tests.unit.http.services import build_all, with_something_to_show

AnyCase = schemathesis.Case[Any]
SERVICES = build_all()
CONFIG = SchemathesisConfig.from_dict({"generation": {"deterministic": True, "no-shrink": True}})
BOUNDED = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def document_of(service: str) -> OpenApiSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", with_something_to_show(SERVICES[service]).app, config=CONFIG)


payment, inventory, shipping, notification = map(document_of, SERVICES)


def check(case: AnyCase) -> None:
    # To JSON Schema 2.0 is an integer. Here it is none: whoever writes a point means a fraction.
    assume(not has_integral_float(case.body))
    case.call_and_validate()


def has_integral_float(body: object) -> bool:
    if isinstance(body, dict):
        return any(map(has_integral_float, body.values()))
    if isinstance(body, list):
        return any(map(has_integral_float, body))
    return isinstance(body, float) and body.is_integer()


@payment.parametrize()
@BOUNDED
def test_payment_answers_as_its_document_says(case: AnyCase) -> None:
    check(case)


@inventory.parametrize()
@BOUNDED
def test_inventory_answers_as_its_document_says(case: AnyCase) -> None:
    check(case)


@shipping.parametrize()
@BOUNDED
def test_shipping_answers_as_its_document_says(case: AnyCase) -> None:
    check(case)


@notification.parametrize()
@BOUNDED
def test_notification_answers_as_its_document_says(case: AnyCase) -> None:
    check(case)
