"""The order service answers as its OpenAPI document says: schemathesis sends what it allows, and what it forbids."""

import asyncio

import schemathesis
from hypothesis import HealthCheck, Phase, assume, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance
from schemathesis.specs.openapi.schemas import OpenApiSchema
from tests.unit.order_service.shop import HandClock, Json

from order_service.settings import OrderSettings
from order_service.wiring import TABLES, build
from sagakit.adapters.memory import MemoryLog, MemoryStore

BEYOND_SCHEMA = {"/orders", "/sagas", "/batches", "/sagas/batch", "/definitions/{name}/{version}"}
CONFIG = SchemathesisConfig.from_dict({"generation": {"deterministic": True, "no-shrink": True}})


def the_document() -> OpenApiSchema:
    clock = HandClock()
    service = build(OrderSettings(port=0), MemoryStore(TABLES), MemoryLog(clock), clock)

    async def join() -> None:
        for consumer in service.consumers:
            await consumer.step()

    asyncio.run(join())
    return schemathesis.openapi.from_asgi("/openapi.json", service.app, config=CONFIG)


order = the_document()


@order.parametrize()
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_order_service_answers_as_its_document_says(case: schemathesis.Case[Json]) -> None:
    # An unknown currency, a cursor of somebody else's, a filter that means every saga: no schema can say so.
    beyond: list[Json] = [positive_data_acceptance] if case.path in BEYOND_SCHEMA else []
    # To JSON Schema 2.0 is an integer. Here it is none: whoever writes a point means a fraction.
    assume(not has_integral_float(case.body))
    case.call_and_validate(excluded_checks=beyond)


def has_integral_float(body: Json) -> bool:
    if isinstance(body, dict):
        return any(map(has_integral_float, body.values()))
    if isinstance(body, list):
        return any(map(has_integral_float, body))
    return isinstance(body, float) and body.is_integer()


def test_the_document_names_every_status_of_placing_an_order() -> None:
    responses = order.raw_schema["paths"]["/orders"]["post"]["responses"]
    assert {"201", "200", "400", "409", "413", "415", "422", "503"} <= responses.keys()
