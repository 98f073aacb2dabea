"""How a message looks in the log: CloudEvents 1.0 in Kafka's binary form, that is headers and a JSON body.

Extensions carry the saga (`ce_sagaid`, `ce_sagamode`, …); `traceparent` travels under its own W3C name.
"""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from sagakit.core.contracts import UnreadableError
from sagakit.core.messages import Message, Mode
from sagakit.ports import Draft, Record

CONTENT_TYPE = "application/json"
SPEC_VERSION = "1.0"
VALUE_BYTES_MAX = 262_144


class _Envelope(msgspec.Struct, frozen=True):
    ce_id: str
    ce_type: str
    ce_source: str
    ce_specversion: str
    ce_time: datetime
    ce_sagaid: str
    ce_correlationid: str
    ce_causationid: str = ""
    ce_sagamode: Mode = Mode.CHOREOGRAPHY
    ce_sagadefinition: str = ""
    ce_dataversion: int = 1
    ce_attempt: int = 0
    ce_deadline: datetime | None = None
    traceparent: str | None = None


def draft(topic: str, message: Message) -> Draft:
    """Return the message as the log takes it, keyed by its saga."""
    headers = {
        "ce_specversion": SPEC_VERSION,
        "content-type": CONTENT_TYPE,
        "ce_id": message.id,
        "ce_type": message.type,
        "ce_source": message.source,
        "ce_time": message.time.isoformat(),
        "ce_sagaid": message.saga_id,
        "ce_sagamode": message.mode.value,
        "ce_sagadefinition": message.definition,
        "ce_correlationid": message.correlation_id,
        "ce_causationid": message.causation_id,
        "ce_dataversion": str(message.data_version),
    }
    if message.attempt:
        headers["ce_attempt"] = str(message.attempt)
    if message.deadline is not None:
        headers["ce_deadline"] = message.deadline.isoformat()
    if message.traceparent is not None:
        headers["traceparent"] = message.traceparent
    return Draft(topic, message.saga_id, headers, bytes(message.data))


def message_type(record: Record) -> str | None:
    """Return the type of the message in the record, without reading the rest."""
    return record.headers.get("ce_type")


def parse(record: Record) -> Message:
    """Return the message in the record; its body is checked to be JSON, not what it says.

    Raises:
        UnreadableError: when headers are missing or malformed, or the body is no JSON object.
    """
    envelope = _envelope(record.headers)
    if record.key != envelope.ce_sagaid:
        text = f"key {record.key!r} is not the saga id {envelope.ce_sagaid!r}: order per saga would be lost"
        raise UnreadableError(text)
    return Message(
        id=envelope.ce_id,
        type=envelope.ce_type,
        source=envelope.ce_source,
        time=envelope.ce_time,
        saga_id=envelope.ce_sagaid,
        correlation_id=envelope.ce_correlationid,
        causation_id=envelope.ce_causationid,
        mode=envelope.ce_sagamode,
        definition=envelope.ce_sagadefinition,
        attempt=envelope.ce_attempt,
        data_version=envelope.ce_dataversion,
        deadline=envelope.ce_deadline,
        traceparent=envelope.traceparent,
        data=_body(record.value),
    )


def _envelope(headers: Mapping[str, str]) -> _Envelope:
    try:
        envelope = msgspec.convert(headers, _Envelope, strict=False)
    except msgspec.ValidationError as error:
        text = f"headers: {error}"
        raise UnreadableError(text) from error
    if envelope.ce_specversion != SPEC_VERSION:
        text = f"ce_specversion {envelope.ce_specversion!r}: only CloudEvents {SPEC_VERSION} is understood"
        raise UnreadableError(text)
    times = (envelope.ce_time, envelope.ce_deadline)
    if any(time is not None and time.tzinfo is None for time in times):
        text = "ce_time and ce_deadline need an offset from UTC"
        raise UnreadableError(text)
    return envelope


def _body(value: bytes) -> msgspec.Raw:
    if len(value) > VALUE_BYTES_MAX:
        text = f"the body has {len(value)} bytes; at most {VALUE_BYTES_MAX} are allowed"
        raise UnreadableError(text)
    if not value.startswith(b"{"):
        text = "the body is no JSON object"
        raise UnreadableError(text)
    return msgspec.Raw(value)
