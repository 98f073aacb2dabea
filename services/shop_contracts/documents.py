"""The shop's contracts as documents: a JSON Schema for each message, and one AsyncAPI document of all topics. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from sagakit.core.contracts import Contract
from sagakit.core.schemas import breaks, schema_of
from shop_contracts.carried import topics
from shop_contracts.catalogue import SHOP

ASYNCAPI = "asyncapi.json"
HEADERS = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka's binary form.",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_sagaid", "ce_correlationid"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {"type": "string", "description": "uuid5 of saga, step, message type and attempt."},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "description": "The service that says it."},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_sagaid": {"type": "string", "description": "Also the key of the record."},
        "ce_sagamode": {"enum": ["choreography", "orchestration"]},
        "ce_sagadefinition": {"type": "string"},
        "ce_correlationid": {"type": "string"},
        "ce_causationid": {"type": "string"},
        "ce_dataversion": {"type": "string", "pattern": "^[0-9]+$"},
        "ce_attempt": {"type": "string", "pattern": "^[0-9]+$"},
        "ce_deadline": {"type": "string", "format": "date-time"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
        "ce_tookmilliseconds": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "How many milliseconds after its cause it was said.",
        },
    },
}

Document = dict[str, Any]


def documents(contracts: Iterable[Contract] = tuple(SHOP.by_type.values())) -> dict[str, Document]:
    """Return every document by its file name."""
    contracts = tuple(contracts)
    schemas = {file_name(contract): schema_of(contract) for contract in contracts}
    return {**schemas, ASYNCAPI: asyncapi(contracts)}


def file_name(contract: Contract) -> str:
    """Return the name of the file that describes this version of a message type."""
    return f"{contract.type}.v{contract.version}.json"


def incompatible(committed: Mapping[str, Document], contracts: Iterable[Contract]) -> list[str]:
    """Return why these contracts must not follow the committed schemas, in sentences; empty when they may."""
    known = {contract.type: contract for contract in contracts}
    newest: dict[str, int] = {}
    for name in committed:
        message_type, _, number = name.removesuffix(".json").rpartition(".v")
        if message_type:
            newest[message_type] = max(newest.get(message_type, 0), int(number))
    said: list[str] = []
    for message_type, version in sorted(newest.items()):
        contract = known.get(message_type)
        if contract is None:
            said.append(f"{message_type}: has no contract any more, and the log still has such messages")
        elif contract.version < version:
            said.append(f"{message_type}: version {version} became {contract.version}; versions only grow")
        elif contract.version == version:
            old = committed[file_name(contract)]
            said += [f"{message_type} version {version}: {text}" for text in breaks(old, schema_of(contract))]
    return said


def asyncapi(contracts: Iterable[Contract]) -> Document:
    """Return the AsyncAPI 3 document: which topic carries which messages."""
    known = {contract.type: contract for contract in contracts}
    carried = {topic: [kind for kind in kinds if kind in known] for topic, kinds in topics().items()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Sagaplane's shop",
            "version": "1.0.0",
            "description": "Every message of the order saga. The key of each record is the saga id.",
        },
        "defaultContentType": "application/json",
        "channels": {
            topic: {
                "address": topic,
                "messages": {kind: {"$ref": f"#/components/messages/{kind}"} for kind in kinds},
            }
            for topic, kinds in carried.items()
        },
        "operations": {
            f"{topic}.{action}": {"action": action, "channel": {"$ref": f"#/channels/{topic}"}}
            for topic in carried
            for action in ("send", "receive")
        },
        "components": {"messages": {kind: _message(contract) for kind, contract in known.items()}},
    }


def _message(contract: Contract) -> Document:
    return {
        "name": contract.type,
        "summary": (contract.data.__doc__ or "").partition("\n")[0],
        "headers": HEADERS,
        "payload": {"$ref": f"./{file_name(contract)}"},
    }
