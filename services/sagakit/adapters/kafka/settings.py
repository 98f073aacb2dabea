"""What can be set for a log in Kafka."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from typing_extensions import override


def variable(name: str, *, secret: bool = False) -> Meta:
    """Return the mark of a setting that is read from this environment variable; a secret is not to be printed."""
    return Meta(extra={"variable": name, "secret": secret})


Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the brokers are, who we are to them, and how long we wait.

    `topic_prefix` stands before the names of topics and groups on the wire only, so that several installations share
    one cluster. `session_seconds` is how long a silent member of a group is taken to live; the brokers bound it
    (`group.min.session.timeout.ms`, by default 6 s). `read_seconds` is how long a partition may be without a leader,
    or its leader not be reached, until that is told; a service comes back to it by itself, a command cannot.
    """

    bootstrap_servers: Annotated[str, variable("SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS")] = "localhost:9092"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], variable("SAGAPLANE_KAFKA_SECURITY_PROTOCOL")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], variable("SAGAPLANE_KAFKA_SASL_MECHANISM")
    ] = "SCRAM-SHA-512"
    sasl_username: Annotated[str, variable("SAGAPLANE_KAFKA_SASL_USERNAME")] = ""
    sasl_password: Annotated[str, variable("SAGAPLANE_KAFKA_SASL_PASSWORD", secret=True)] = ""
    ca_file: Annotated[str, variable("SAGAPLANE_KAFKA_CA_FILE")] = ""
    cert_file: Annotated[str, variable("SAGAPLANE_KAFKA_CERT_FILE")] = ""
    key_file: Annotated[str, variable("SAGAPLANE_KAFKA_KEY_FILE")] = ""
    topic_prefix: Annotated[str, variable("SAGAPLANE_KAFKA_TOPIC_PREFIX")] = ""
    session_seconds: Annotated[Seconds, variable("SAGAPLANE_KAFKA_SESSION_SECONDS")] = 10.0
    publish_seconds: Annotated[Seconds, variable("SAGAPLANE_KAFKA_PUBLISH_SECONDS")] = 30.0
    read_seconds: Annotated[Seconds, variable("SAGAPLANE_KAFKA_READ_SECONDS")] = 1.0

    @override
    def __repr__(self) -> str:
        """Show no secret, wherever settings are printed."""
        return f"KafkaSettings({self.bootstrap_servers}, {self.security_protocol}, user {self.user})"

    @property
    def encrypted(self) -> bool:
        """True when brokers are spoken to over TLS."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def user(self) -> str:
        """Return who we are to the brokers, as their access rules may name us."""
        return self.sasl_username or ("of the client certificate" if self.cert_file else "ANONYMOUS")
