"""Every service answers as its OpenAPI document says: schemathesis sends what that allows, and what it forbids."""

import asyncio
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema
from tests.analytics.running import NOW_MS, Running
from tests.analytics.shop import cancelled_order, confirmed_order, placed
from tests.unit.http.services import build_all, with_something_to_show

BEYOND_SCHEMA = {"/analytics/windows", "/analytics/high-value", "/analytics/unmatched", "/analytics/users/{userId}"}
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


payment, inventory, shipping, notification = (document_of(name) for name in SERVICES if name != "analytics")


def analytics_document() -> OpenApiSchema:
    """Return the document of the analytics service over a shop in which something happened."""
    running = Running()
    orders = [*confirmed_order("a", NOW_MS, "2000.00"), *cancelled_order("b", NOW_MS), placed("c", NOW_MS, "bob")]
    asyncio.run(running.hear(orders))
    return schemathesis.openapi.from_asgi("/openapi.json", running.service.app, config=CONFIG)


analytics = analytics_document()


def check(case: AnyCase, *beyond: Any) -> None:  # noqa: ANN401 - checks of the library
    # To JSON Schema 2.0 is an integer. Here it is none: whoever writes a point means a fraction.
    assume(not has_integral_float(case.body))
    case.call_and_validate(excluded_checks=[*beyond])


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


@analytics.exclude(path="/analytics/stream").parametrize()  # which ends only when the service does
@BOUNDED
def test_analytics_answers_as_its_document_says(case: AnyCase) -> None:
    # Parameters that mean nothing together, a cursor of somebody else's, a user id of control characters.
    check(case, *([positive_data_acceptance] if case.path in BEYOND_SCHEMA else []))
