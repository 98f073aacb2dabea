"""Users of a broker that trusts nobody, and what each of them may do: by rules for single topics and groups."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from tests.real.secured_kafka import SecuredKafka

from onebox.wiring import ALL_ACCESS, ALL_TOPICS
from shop_contracts.access import ANY

ADMIN = "admin"
TOPIC, GROUP = 2, 3
LITERAL, PREFIXED = 3, 4
READ, WRITE, DELETE, DESCRIBE = 3, 4, 6, 8
ALLOWED = 3

Rule = tuple[int, str, int]
"""Topic or group, its name without the prefix, and the operation."""


def rules_of(service: str) -> list[Rule]:
    """Return what a service may do, and no more."""
    access = ALL_ACCESS[service]
    return [
        *((TOPIC, topic.name, DESCRIBE) for topic in ALL_TOPICS),
        *((TOPIC, topic, READ) for topic in access.reads),
        *((TOPIC, topic, WRITE) for topic in access.writes),
        *((TOPIC, topic, DELETE) for topic in access.prunes),
        *((GROUP, group, READ) for group in access.groups),
    ]


@dataclass(frozen=True, slots=True)
class Rights:
    """Users with passwords, one for each service, and an administrator who may do everything."""

    secured: SecuredKafka
    passwords: dict[str, str] = field(default_factory=lambda: {user: f"{user}-secret" for user in (*ALL_ACCESS, ADMIN)})

    def add_users(self) -> None:
        for user, password in self.passwords.items():
            self.secured.add_user(user, password)
        command = ("--add", f"--allow-principal=User:{ADMIN}", "--operation", "All")
        self.secured.broker.command("kafka-acls", *command, "--cluster", "--topic", "*", "--group", "*")

    def environment(self, user: str) -> dict[str, str]:
        """Return how a process of this user gets in."""
        return {
            "SAGAPLANE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "SAGAPLANE_KAFKA_SASL_USERNAME": user,
            "SAGAPLANE_KAFKA_SASL_PASSWORD": self.passwords[user],
            "SAGAPLANE_KAFKA_CA_FILE": str(self.secured.ca_file),
        }

    def allow(self, user: str, prefix: str, rules: Iterable[Rule]) -> None:
        asyncio.run(self._ask(CreateAclsRequest, user, prefix, [*rules]))

    def forbid(self, user: str, prefix: str, rules: Iterable[Rule]) -> None:
        """Take back what was allowed in the same words."""
        asyncio.run(self._ask(DeleteAclsRequest, user, prefix, [*rules]))

    async def _ask(self, request: Any, user: str, prefix: str, rules: Sequence[Rule]) -> None:  # noqa: ANN401
        admin = AIOKafkaAdminClient(
            bootstrap_servers=self.secured.password_servers,
            security_protocol="SASL_SSL",
            ssl_context=create_ssl_context(cafile=str(self.secured.ca_file)),
            sasl_mechanism="SCRAM-SHA-512",
            sasl_plain_username=ADMIN,
            sasl_plain_password=self.passwords[ADMIN],
        )
        await admin.start()
        try:
            for kind, name, operation in rules:
                pattern = PREFIXED if name.endswith(ANY) else LITERAL
                wire = prefix + name.removesuffix(ANY)
                answer = await admin._send_to_controller(
                    request(kind, wire, pattern, f"User:{user}", "*", operation, ALLOWED)
                )
                assert _succeeded(answer), answer
        finally:
            await admin.close()


def _succeeded(answer: Any) -> bool:  # noqa: ANN401
    """Tell whether each rule was made, or each filter found a rule that was taken away."""
    found = answer.to_object()
    results = found.get("creation_responses") or found.get("filter_responses") or []
    return bool(results) and all(result["error_code"] == 0 for result in results)
