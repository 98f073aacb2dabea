"""What can be set about the adapters of a process."""

import difflib
import re
from collections.abc import Collection, Mapping
from typing import Annotated
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta

from sagakit.hosting.logs import LogSettings, without_secrets
from sagakit.runtime.failpoints import VARIABLE as FAILPOINT
from sagakit.runtime.settings import Rate, ServiceSettings, SettingsError, variable, variable_name

KAFKA = "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS"
"""With brokers in it, the log is theirs; without, it is a file."""
DATABASE = "SAGAPLANE_DATABASE_URL"
TRACES = "SAGAPLANE_TRACES_ENDPOINT"
"""Where a collector takes spans, by OTLP over HTTP; without it, none are told."""
SAMPLE = "SAGAPLANE_TRACES_SAMPLE"
TRACES_HEADERS = "SAGAPLANE_TRACES_HEADERS"
"""What a collector asks for, such as `authorization=Bearer%20…`: commas between several, as OpenTelemetry has them."""
TRACES_CA = "SAGAPLANE_TRACES_CA_FILE"
OTEL_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
OTEL_ALL = "OTEL_EXPORTER_OTLP_ENDPOINT"
OTEL_HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
OTEL_CERTIFICATES = ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE")
OTEL_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SHARES = {"always_on": "1", "always_off": "0"}
"""OpenTelemetry's names of samplers that need no argument, as shares."""
KAFKA_VARIABLES = frozenset(
    f"SAGAPLANE_KAFKA_{name}"
    for name in (
        "BOOTSTRAP_SERVERS",
        "SECURITY_PROTOCOL",
        "SASL_MECHANISM",
        "SASL_USERNAME",
        "SASL_PASSWORD",
        "CA_FILE",
        "CERT_FILE",
        "KEY_FILE",
        "TOPIC_PREFIX",
        "SESSION_SECONDS",
        "PUBLISH_SECONDS",
        "READ_SECONDS",
    )
)
"""What `KafkaSettings` reads, told here for whoever has no Kafka and has misspelt one of them."""
ELSEWHERE = frozenset(
    {
        "SAGAPLANE_KAFKA_REPLICATION",
        "SAGAPLANE_DATABASE_PASSWORD",
        "SAGAPLANE_TAG",
        "SAGAPLANE_SIMULATION_FIRST",
        "SAGAPLANE_SIMULATION_SEEDS",
    }
)
"""What is ours and read by somebody else: commands, `compose.yaml`, tests."""
PREFIX = "SAGAPLANE_"
OF_KUBERNETES = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP)(_.*)?)?)")
"""What Kubernetes puts into every container for each service of the namespace, whatever that is called."""
SERVICE = "{service}"
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?|")


class PlatformSettings(ServiceSettings, frozen=True, kw_only=True):
    """Where a process keeps things, and what holds when nothing is set.

    In `database_url`, `{service}` stands for the service whose database it is. `partitions` is the number that a new
    log in a file begins with; in Kafka it is that of the topics. `traces_sample` is the share of sagas that are traced,
    of those whose caller has not decided it; without a collector nothing is traced.
    """

    database_url: Annotated[str, variable(DATABASE, secret=True)] = ""
    kafka: Annotated[str, variable(KAFKA)] = ""
    partitions: Annotated[int, Meta(ge=1, le=10_000), variable("SAGAPLANE_PARTITIONS")] = 4
    traces_endpoint: Annotated[str, variable(TRACES)] = ""
    traces_sample: Annotated[Rate, variable(SAMPLE)] = 1.0
    traces_headers: Annotated[str, variable(TRACES_HEADERS, secret=True)] = ""
    traces_ca_file: Annotated[str, variable(TRACES_CA)] = ""

    def database_of(self, service: str) -> str:
        """Return the address of a service's database."""
        return self.database_url.replace(SERVICE, service)

    def checked(self) -> "PlatformSettings":
        """Return these settings, once the addresses mean something.

        Raises:
            SettingsError: when one does not.
        """
        if self.kafka and not all(map(_is_address, self.kafka.split(","))):
            raise SettingsError(f"{KAFKA}={self.kafka}: expected host:port, and commas between several")
        if self.database_url:
            parts = urlsplit(self.database_of("x"))
            if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.path.strip("/"):
                rule = "expected postgresql://user:password@host:5432/database"
                raise SettingsError(f"{DATABASE}=***: {rule}; {SERVICE} stands for the service")
        if self.traces_endpoint and not _is_url(self.traces_endpoint):
            raise _no_collector(TRACES, self.traces_endpoint)
        headers_in(self.traces_headers)
        return self


def with_opentelemetry(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment with what OpenTelemetry's own variables say of traces, where ours say nothing.

    Its headers and its certificate go with its endpoint only: they may be a secret between it and us.

    Raises:
        SettingsError: when one of them means nothing.
    """
    found: dict[str, str] = {}
    if not environment.get(TRACES) and (endpoint := _otel_endpoint(environment)):
        found[TRACES] = endpoint
        for ours, theirs in ((TRACES_HEADERS, OTEL_HEADERS), (TRACES_CA, OTEL_CERTIFICATES)):
            if not environment.get(ours) and (name := next(filter(environment.get, theirs), "")):
                found[ours] = environment[name]
        headers_in(found.get(TRACES_HEADERS, ""), next(filter(environment.get, OTEL_HEADERS), ""))
    sampler = environment.get("OTEL_TRACES_SAMPLER", "").removeprefix("parentbased_")
    share = SHARES.get(sampler) or (environment.get("OTEL_TRACES_SAMPLER_ARG") if sampler == "traceidratio" else None)
    if share and not environment.get(SAMPLE):
        found[SAMPLE] = share
    return {**environment, **found}


def _otel_endpoint(environment: Mapping[str, str]) -> str:
    """Return where OpenTelemetry's variables send traces over HTTP; nothing when they are for gRPC, or turned off."""
    off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    protocol = next((its for name in OTEL_PROTOCOLS if (its := environment.get(name))), "")
    if off or environment.get("OTEL_TRACES_EXPORTER") == "none" or protocol == "grpc":
        return ""
    for name, path in ((OTEL_TRACES, ""), (OTEL_ALL, "/v1/traces")):
        if endpoint := environment.get(name):
            if not _is_url(endpoint):
                raise _no_collector(name, endpoint, f", or {TRACES} beside it")
            return endpoint.rstrip("/") + path if path else endpoint
    return ""


def headers_in(text: str, name: str = TRACES_HEADERS) -> dict[str, str]:
    """Return the headers that this value of the variable is, by their names.

    Raises:
        SettingsError: when it is none, or holds what no header can carry.
    """
    headers: dict[str, str] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, equals, value = pair.partition("=")
        key, value = unquote(key).strip(), unquote(value).strip()
        if not (equals and HEADER_NAME.fullmatch(key) and HEADER_VALUE.fullmatch(value)):
            raise SettingsError(f"{name}=***: expected name=value, with %20 for a space, and commas between several")
        headers[key.lower()] = value
    return headers


def refuse_unknown(environment: Mapping[str, str]) -> None:
    """Make sure that every variable of ours is read by somebody: a misspelt one would silently leave its default.

    Raises:
        SettingsError: with the first that is not, and the one that was probably meant.
    """
    known = variables(PlatformSettings) | variables(LogSettings) | KAFKA_VARIABLES | ELSEWHERE | {FAILPOINT}
    require_known(environment, PREFIX, known)


def require_known(environment: Mapping[str, str], prefix: str, known: Collection[str]) -> None:
    """Make sure that every variable that begins so is one of these, or of Kubernetes.

    Raises:
        SettingsError: with the first that is not, and the one that was probably meant.
    """
    ends = [name.removeprefix(prefix) for name in known]
    for name in sorted(environment):
        if name.startswith(prefix) and name not in known and not OF_KUBERNETES.fullmatch(name):
            meant = difflib.get_close_matches(name.removeprefix(prefix), ends, 1)
            rule = f"did you mean {prefix}{meant[0]}?" if meant else f"there are {', '.join(sorted(known))}"
            raise SettingsError(f"{name}: there is no such setting; {rule}")


def variables(settings: type[msgspec.Struct]) -> frozenset[str]:
    """Return the variables from which these settings are read."""
    return frozenset(variable_name(field.type) for field in msgspec.structs.fields(settings))


def _is_address(text: str) -> bool:
    """Tell whether this may be a host, with or without a port."""
    try:
        parts = urlsplit(f"//{text.strip()}")
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _no_collector(name: str, endpoint: str, more: str = "") -> SettingsError:
    rule = f"a password belongs into {TRACES_HEADERS}" if "@" in endpoint else f"expected http://collector:4318{more}"
    return SettingsError(f"{name}={without_secrets(endpoint)}: {rule}")


def _is_url(text: str) -> bool:
    """Tell whether this may be the address of a collector."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        return False
