"""Connections to brokers, and what is wrong when there is none: one line that names the setting to look at."""

import asyncio
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.conn import AIOKafkaConnection, collect_hosts
from aiokafka.protocol.metadata import MetadataRequest

from sagakit.adapters.kafka.settings import KafkaSettings
from sagakit.ports import LogUnavailableError

CONNECT_SECONDS = 8.0
REQUEST_SECONDS = 10.0
FAREWELL_SECONDS = 0.2
STOP_SECONDS = 2.0
EXPLAINED_SECONDS = 5.0

SERVERS = "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS"
PROTOCOL = "SAGAPLANE_KAFKA_SECURITY_PROTOCOL"
MECHANISM = "SAGAPLANE_KAFKA_SASL_MECHANISM"
USERNAME = "SAGAPLANE_KAFKA_SASL_USERNAME"
PASSWORD = "SAGAPLANE_KAFKA_SASL_PASSWORD"  # noqa: S105 - the name of the variable
CA_FILE = "SAGAPLANE_KAFKA_CA_FILE"
CERT_FILE = "SAGAPLANE_KAFKA_CERT_FILE"
KEY_FILE = "SAGAPLANE_KAFKA_KEY_FILE"
SESSION = "SAGAPLANE_KAFKA_SESSION_SECONDS"


class WrongSettingsError(Exception):
    """A setting for Kafka cannot be right. The text names it; correct the environment and start again."""


def new_client(settings: KafkaSettings, name: str, request_seconds: float = REQUEST_SECONDS) -> Any:  # noqa: ANN401
    """Return a client that is not connected yet; aiokafka's client, which has no types."""
    return _Client(settings, f"sagaplane-{name}", request_seconds)


async def start(client: Any, settings: KafkaSettings) -> None:  # noqa: ANN401
    """Connect the client.

    Raises:
        LogUnavailableError: when no broker answers.
    """
    try:
        await client.bootstrap()
    except errors.KafkaError as error:
        raise LogUnavailableError(f"{settings.bootstrap_servers}: no broker answers ({SERVERS})") from error


async def stop(client: Any) -> None:  # noqa: ANN401
    """Close the client, also when a broker hangs."""
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            await client.close()


async def probe(
    settings: KafkaSettings,
    question: Any = None,  # noqa: ANN401
    security: Mapping[str, Any] | None = None,
) -> Any:  # noqa: ANN401
    """Return what the first broker that answers says to a question; without one, that it lets us in is enough.

    Certificates are read, unless `security` holds what was made of them before.

    Raises:
        WrongSettingsError: when a file cannot be read, or settings contradict each other.
        LogUnavailableError: when no broker lets us in; the text says what the last of them said.
    """
    known = dict(security or _security(settings))
    hosts = collect_hosts(known.pop("bootstrap_servers"))
    refusal = f"{SERVERS} names no broker"
    for host, port, _ in hosts:
        connection = AIOKafkaConnection(
            host, port, client_id="sagaplane-probe", request_timeout_ms=CONNECT_SECONDS * 1000, **known
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS / len(hosts)):
                await connection.connect()
                return None if question is None else await connection.send(question)
        except (OSError, errors.KafkaError, TimeoutError) as error:
            refusal = f"{host}:{port}: {_explained(error, settings)}"
        finally:
            await _closed(connection)
    raise LogUnavailableError(refusal)


class Explanation:
    """Why no broker lets us in, found out in the background: a client only knows that it has no connection."""

    def __init__(self, settings: KafkaSettings) -> None:
        """Know nothing yet."""
        self._settings = settings
        self._text: str | None = None
        self._found_at = self._asked_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def text(self) -> str | None:
        """Return what was found out lately, if anything was; have it found out anew when that is some time ago."""
        now = time.monotonic()
        if (self._asking is None or self._asking.done()) and now - self._asked_at >= EXPLAINED_SECONDS:
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask())
        return self._text if now - self._found_at < 2 * EXPLAINED_SECONDS else None

    async def close(self) -> None:
        """Find out nothing more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def _ask(self) -> None:
        try:
            await probe(self._settings)
            self._text = None
        except (LogUnavailableError, WrongSettingsError) as error:
            self._text = str(error)
        self._found_at = time.monotonic()


class _Client(AIOKafkaClient):  # type: ignore[misc]
    """Where none of the brokers that it knows answers, it asks those that the settings name, as at the beginning.

    aiokafka's own keeps to the addresses that it heard last, for ever: brokers that all got new ones were lost to it.
    It keeps to the certificates that it began with too; this one connects with those that are in the files now.
    """

    def __init__(self, settings: KafkaSettings, name: str, request_seconds: float) -> None:
        self._read = _written(settings)
        security = _security(settings)
        super().__init__(client_id=name, request_timeout_ms=round(request_seconds * 1000), **security)
        self._settings, self._security = settings, security

    async def _get_conn(
        self,
        node_id: Any,  # noqa: ANN401
        *,
        group: Any = ConnectionGroup.DEFAULT,  # noqa: ANN401
        no_hint: bool = False,
    ) -> Any:  # noqa: ANN401
        connection = self._conns.get((node_id, group))
        if connection is None or not connection.connected():
            self._renew()
        return await super()._get_conn(node_id, group=group, no_hint=no_hint)

    def _renew(self) -> None:
        """Read the certificates again when they were written since; while they do not fit together, keep the old."""
        written = _written(self._settings)
        if written == self._read:
            return
        with suppress(WrongSettingsError):
            self._security = _security(self._settings)
            self._ssl_context, self._read = self._security["ssl_context"], written

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:  # noqa: ANN401
        if await super()._metadata_update(cluster_metadata, topics):
            return True
        for (_, channel), connection in [*self._conns.items()]:
            if channel == ConnectionGroup.DEFAULT:
                connection.close()
        self._renew()
        try:
            seen = await probe(self._settings, MetadataRequest([*topics] or None), self._security)
        except LogUnavailableError:
            return False
        cluster_metadata.update_metadata(seen)
        return bool(seen.brokers)


async def _closed(connection: Any) -> None:  # noqa: ANN401
    """Close the connection, and give its last words a moment."""
    farewell = connection.close()
    if farewell is not None:
        await asyncio.wait([farewell], timeout=FAREWELL_SECONDS)


def context_of(settings: KafkaSettings) -> ssl.SSLContext | None:
    """Return whom we trust and who we are in TLS; nothing without TLS.

    Raises:
        WrongSettingsError: when a file is missing, is not readable or is not what it should be.
    """
    if not settings.encrypted:
        for name, value in ((CA_FILE, settings.ca_file), (CERT_FILE, settings.cert_file)):
            if value:
                raise WrongSettingsError(f"{name} is set, but {PROTOCOL}={settings.security_protocol} encrypts nothing")
        return None
    if bool(settings.cert_file) != bool(settings.key_file):
        raise WrongSettingsError(f"{CERT_FILE} and {KEY_FILE} belong together: set both or none")
    for name, value in ((CA_FILE, settings.ca_file), (CERT_FILE, settings.cert_file), (KEY_FILE, settings.key_file)):
        _check_readable(name, value)
    context = ssl.create_default_context()
    if settings.ca_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(settings.ca_file)
        except ssl.SSLError:
            raise WrongSettingsError(f"{CA_FILE}={settings.ca_file} holds no certificate in PEM form") from None
    if settings.cert_file:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        except ssl.SSLError:
            raise WrongSettingsError(
                f"{CERT_FILE}={settings.cert_file} and {KEY_FILE}={settings.key_file} are no certificate and its key"
            ) from None
    return context


def said(error: BaseException) -> str:
    """Return what a broker's error means, in a few words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, errors.NodeNotReadyError):
        return "a broker cannot be reached"
    if isinstance(error, errors.BrokerResponseError) and type(error).description:
        first, _, _ = type(error).description.partition(". ")
        return f"{type(error).__name__.removesuffix('Error')}: {first.rstrip('.')}"
    return str(error) or type(error).__name__


def _security(settings: KafkaSettings) -> dict[str, Any]:
    if settings.security_protocol.startswith("SASL") and not (settings.sasl_username and settings.sasl_password):
        raise WrongSettingsError(f"{PROTOCOL}={settings.security_protocol} needs {USERNAME} and {PASSWORD}")
    return {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
        "ssl_context": context_of(settings),
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username or None,
        "sasl_plain_password": settings.sasl_password or None,
    }


def _written(settings: KafkaSettings) -> list[tuple[int, int] | None]:
    """Return what tells the files of certificates from those that are written in their place later."""
    found: list[tuple[int, int] | None] = []
    for path in (settings.ca_file, settings.cert_file, settings.key_file):
        try:
            its = Path(path).stat() if path else None
        except OSError:
            its = None
        found.append(its and (its.st_mtime_ns, its.st_ino))
    return found


def _check_readable(name: str, value: str) -> None:
    if not value:
        return
    try:
        with Path(value).open("rb"):
            pass
    except OSError as error:
        raise WrongSettingsError(f"{name}={value}: {(error.strerror or 'cannot be read').lower()}") from None


def _explained(error: BaseException, settings: KafkaSettings) -> str:
    """Return what the failed connection means, and which setting to look at."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted ({error.verify_message}); look at {CA_FILE}"
        case ssl.SSLError() if "CERTIFICATE_REQUIRED" in str(error):
            return f"it asks for a client certificate; set {CERT_FILE} and {KEY_FILE}"
        case ssl.SSLError():
            return f"it does not speak TLS here, or refuses ours ({error.reason}); look at {PROTOCOL}"
        case errors.UnsupportedSaslMechanismError():
            return f"it does not know {MECHANISM}={settings.sasl_mechanism}"
        case errors.AuthenticationFailedError() | errors.SaslAuthenticationFailed():
            return f"it refuses user {settings.sasl_username!r}; look at {USERNAME} and {PASSWORD}"
        case TimeoutError():
            return f"no answer in {CONNECT_SECONDS:g} s; look at {SERVERS}, and at firewalls"
        case ConnectionRefusedError():
            return f"nobody listens there; look at {SERVERS}, and whether the broker runs"
        case errors.KafkaConnectionError():
            return f"it closes the connection at once; look at {PROTOCOL}" + (
                f", {CERT_FILE} and {KEY_FILE}" if settings.encrypted else ""
            )
        case OSError():
            return f"{(error.strerror or str(error)).lower()}; look at {SERVERS}"
        case _:
            return said(error)
