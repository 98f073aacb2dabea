"""A broker that trusts nobody: passwords (SCRAM) or certificates over TLS, and only what an access rule allows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.real.certificates import Authority, Certificate
from tests.real.engine import Engine, free_port
from tests.real.kafka import Broker
from tests.real.kafka_properties import alone, listening

PASSWORDS = {"order": "order-secret", "stranger": "stranger-secret"}
"""Users that are there from the start. Neither may do anything until a test allows it."""


@dataclass(frozen=True, slots=True)
class SecuredKafka:
    """One broker with two doors: `password_servers` is SASL_SSL, `certificate_servers` is SSL on both sides."""

    broker: Broker
    authority: Authority
    certificate_port: int

    @property
    def password_servers(self) -> str:
        return self.broker.bootstrap_servers

    @property
    def certificate_servers(self) -> str:
        return f"127.0.0.1:{self.certificate_port}"

    @property
    def ca_file(self) -> Path:
        return self.authority.own.certificate

    def client(self, user: str) -> Certificate:
        """Return a certificate that makes its holder this user."""
        return self.authority.client(user)

    def add_user(self, user: str, password: str) -> None:
        """Let a user in with a password, or change the password of one who is."""
        change = f"SCRAM-SHA-512=[password={password}]"
        self.broker.command(
            "kafka-configs", "--alter", "--entity-type=users", f"--entity-name={user}", "--add-config", change
        )

    def allow(self, user: str, *operations: str, on: str) -> None:
        """Allow operations such as `Write` on a resource such as `topic=orders`, `group=order` or `topic=shop-*`."""
        self._rule("--add", user, operations, on)

    def forbid(self, user: str, *operations: str, on: str) -> None:
        """Take back what was allowed in the same words."""
        self._rule("--remove", user, operations, on)

    def _rule(self, verb: str, user: str, operations: tuple[str, ...], on: str) -> None:
        kind, _, name = on.partition("=")
        prefixed = ["--resource-pattern-type=prefixed"] if name.endswith("*") and name != "*" else []
        resource = [f"--{kind}", name.removesuffix("*") if prefixed else name]
        asked = [argument for operation in operations for argument in ("--operation", operation)]
        force = ["--force"] if verb == "--remove" else []
        self.broker.command("kafka-acls", verb, *force, f"--allow-principal=User:{user}", *asked, *resource, *prefixed)


@contextmanager
def secured_broker(engine: Engine, directory: Path) -> Iterator[SecuredKafka]:
    """Offer such a broker; its certificates lie in the directory."""
    authority = Authority.create(directory, "authority")
    password_port, certificate_port = free_port(), free_port()
    ports = {"PASSWORD": password_port, "CERTIFICATE": certificate_port}
    listeners = listening("127.0.0.1", ports, {"PASSWORD": "SASL_SSL", "CERTIFICATE": "SSL"})
    secrets = _secrets(authority.own, authority.server("DNS:localhost", "IP:127.0.0.1"))
    broker = Broker.create(
        engine,
        password_port,
        alone() | listeners | secrets,
        more_ports=[certificate_port],
        format_options=[
            f"--add-scram=SCRAM-SHA-512=[name={user},password={password}]" for user, password in PASSWORDS.items()
        ],
    )
    broker.start()
    yield SecuredKafka(broker, authority, certificate_port)
    broker.remove()


def _secrets(authority: Certificate, server: Certificate) -> dict[str, str]:
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": _one_line(server.certificate),
        "ssl.keystore.key": _one_line(server.key),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": _one_line(authority.certificate),
        "listener.name.certificate.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.password.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        # Without a name comes only who is inside the container: the brokers' own listener is on its loopback.
        "super.users": "User:ANONYMOUS",
    }


def _one_line(pem: Path) -> str:
    """Return a PEM file as the value of a property."""
    return pem.read_text().strip().replace("\n", "\\n")
