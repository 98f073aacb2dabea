"""The corpus of malformed and good resources, as manifests."""

from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent


class Case(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resource, and what the API server and the operator have to say of it; what is absent is accepted."""

    name: str
    kind: str = "OrderSaga"
    spec: dict[str, Any] = {}
    whole: dict[str, Any] | None = None
    says: str | None = None
    operator_says: str | None = None
    server_only: bool = False

    def manifest(self) -> dict[str, Any]:
        return self.whole or manifest(self.kind, self.name, self.spec)


class Update(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change of a resource that exists; without `says` it is accepted."""

    name: str
    kind: str = "OrderSaga"
    before: dict[str, Any]
    after: dict[str, Any]
    says: str | None = None


class Corpus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every case."""

    malformed: list[Case]
    good: list[Case]
    updates: list[Update]


def manifest(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "sagaplane.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


CORPUS = msgspec.yaml.decode((HERE / "corpus.yaml").read_bytes(), type=Corpus)
