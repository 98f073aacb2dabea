"""The contracts of a shop: which messages exist, in which versions, and how an old one is read as a new one.

A consumer sees the newest version only: `Contracts.current` applies the upcasters on the way in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from sagakit.core.messages import Message

_encoder = msgspec.json.Encoder(decimal_format="number")
_decode_object = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


class UnreadableError(Exception):
    """The record is no message of ours. It goes to the dead letters; the text says what is wrong with it."""


def encode_data(data: object) -> msgspec.Raw:
    """Return the data as messages carry it: JSON, with decimals as exact numbers."""
    return msgspec.Raw(_encoder.encode(data))


Shape = type[msgspec.Struct]


def decode_object(data: msgspec.Raw) -> dict[str, Any]:
    """Return the data as a dictionary, with every number as exact as it was written.

    Raises:
        UnreadableError: when it is no JSON object.
    """
    try:
        return _decode_object(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        text = f"the body is no JSON object: {error}"
        raise UnreadableError(text) from error


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Contract:
    """One message type: the shape of its newest version, and for each older version how to lift it by one."""

    type: str
    data: Shape
    version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a gap between the versions."""
        missing = [version for version in range(1, self.version) if version not in self.upcasters]
        if missing:
            text = f"{self.type}: no upcaster from version {', '.join(map(str, missing))}"
            raise ValueError(text)


class Contracts:
    """The contracts that a service knows, by message type."""

    def __init__(self, contracts: Iterable[Contract], carried: Mapping[str, Iterable[str]] | None = None) -> None:
        """Keep one decoder per type; `carried` are the types of each topic that carries no other of them."""
        self.by_type = {contract.type: contract for contract in contracts}
        self._carried = {topic: frozenset(types) for topic, types in (carried or {}).items()}
        self._decoders: dict[str, msgspec.json.Decoder[msgspec.Struct]] = {
            contract.type: msgspec.json.Decoder(contract.data) for contract in self.by_type.values()
        }

    def heard(self, topic: str, message: Message) -> Message:
        """Return the message that came on this topic in the newest version of its type.

        Raises:
            UnreadableError: as `current` does, and when the topic does not carry its type: who may write to one topic
                says nothing there that is for others to say.
        """
        carried = self._carried.get(topic)
        if carried is not None and message.type in self.by_type and message.type not in carried:
            text = f"{message.type} does not come on {topic}"
            raise UnreadableError(text)
        return self.current(message)

    def current(self, message: Message) -> Message:
        """Return the message in the newest version of its type; one of a type unknown here stays as it is.

        Raises:
            UnreadableError: when its version is newer than this code, or its body is no JSON.
        """
        contract = self.by_type.get(message.type)
        if contract is None or message.data_version == contract.version:
            return message
        if not 1 <= message.data_version < contract.version:
            text = f"{message.type} version {message.data_version}: this code knows up to {contract.version}"
            raise UnreadableError(text)
        data = decode_object(message.data)
        for version in range(message.data_version, contract.version):
            data = contract.upcasters[version](data)
        return replace(message, data=encode_data(data), data_version=contract.version)

    def decode(self, message: Message) -> msgspec.Struct:
        """Return the data of the message in its type.

        Raises:
            UnreadableError: when the type is unknown here or the data does not fit it; names the field.
        """
        decoder = self._decoders.get(message.type)
        if decoder is None:
            text = f"{message.type}: no contract of that name"
            raise UnreadableError(text)
        try:
            return decoder.decode(message.data)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"{message.type}: {error}"
            raise UnreadableError(text) from error

    def version_of(self, message_type: str) -> int:
        """Return the newest version of that type (1 for one that has no contract here)."""
        contract = self.by_type.get(message_type)
        return contract.version if contract else 1
