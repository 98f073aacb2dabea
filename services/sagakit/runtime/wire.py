"""How a message looks in the log: CloudEvents 1.0 in Kafka's binary form, that is headers and a JSON body.

Extensions carry the saga (`ce_sagaid`, `ce_sagamode`, …); `traceparent` travels under its own W3C name.
"""

import re

import msgspec

from sagakit.core.contracts import UnreadableError
from sagakit.core.messages import CONTENT_TYPE, SPEC_VERSION, Envelope, Message
from sagakit.ports import Draft, Record

VALUE_BYTES_MAX = 262_144
HEADER_BYTES_MAX = 32_768

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Envelope, strict=False).decode
_definition_in = re.compile(rb'"ce_sagadefinition":"([A-Za-z0-9._/-]{1,200})"').search
_type_in = re.compile(rb'"ce_type":"([^"\\\\]{1,200})"').search


def draft(topic: str, message: Message) -> Draft:
    """Return the message as the log takes it, keyed by its saga."""
    m = message
    envelope = Envelope(
        type=m.type,
        id=m.id,
        source=m.source,
        time=m.time,
        saga_id=m.saga_id,
        correlation_id=m.correlation_id,
        causation_id=m.causation_id,
        mode=m.mode,
        definition=m.definition,
        attempt=m.attempt,
        data_version=m.data_version,
        deadline=m.deadline,
        traceparent=m.traceparent,
        took_milliseconds=m.took_milliseconds,
        spec_version=SPEC_VERSION,
        content_type=CONTENT_TYPE,
    )
    return Draft(topic, m.saga_id, _encode(envelope), bytes(m.data))


def type_in(headers: bytes) -> bytes:
    """Return the type of a message from its headers, without reading the rest; nothing when it has none."""
    found = _type_in(headers)
    return found.group(1) if found else b""


def definition_in(headers: bytes) -> str:
    """Return the definition that a message belongs to, from its headers alone; nothing when it names none."""
    found = _definition_in(headers)
    return found.group(1).decode() if found else ""


def parse(record: Record) -> Message:
    """Return the message in the record; its body is checked to be JSON only so far that it is an object.

    Raises:
        UnreadableError: when headers are missing or malformed, or the body is no JSON object.
    """
    e = _envelope(record.headers)
    if record.key != e.saga_id:
        text = f"key {record.key!r} is not the saga id {e.saga_id!r}: order per saga would be lost"
        raise UnreadableError(text)
    return Message(
        type=e.type,
        id=e.id,
        source=e.source,
        time=e.time,
        saga_id=e.saga_id,
        correlation_id=e.correlation_id,
        causation_id=e.causation_id,
        mode=e.mode,
        definition=e.definition,
        attempt=e.attempt,
        data_version=e.data_version,
        deadline=e.deadline,
        traceparent=e.traceparent,
        took_milliseconds=e.took_milliseconds,
        data=_body(record.value),
    )


def headers_of(record: Record) -> dict[str, str]:
    """Return the headers as text, whatever they are."""
    try:
        found = msgspec.json.decode(record.headers, type=dict[str, msgspec.Raw])
    except (msgspec.ValidationError, msgspec.DecodeError):
        return {}
    return {name: _text(value) for name, value in found.items()}


def _text(value: msgspec.Raw) -> str:
    text = bytes(value)
    return str(msgspec.json.decode(text)) if text.startswith(b'"') else text.decode()


def _envelope(headers: bytes) -> Envelope:
    if len(headers) > HEADER_BYTES_MAX:
        text = f"the headers have {len(headers)} bytes; at most {HEADER_BYTES_MAX} are allowed"
        raise UnreadableError(text)
    try:
        envelope = _decode(headers)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        text = f"headers: {error}"
        raise UnreadableError(text) from error
    if envelope.spec_version != SPEC_VERSION:
        text = f"ce_specversion {envelope.spec_version!r}: only CloudEvents {SPEC_VERSION} is understood"
        raise UnreadableError(text)
    if envelope.time.tzinfo is None or (envelope.deadline is not None and envelope.deadline.tzinfo is None):
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
