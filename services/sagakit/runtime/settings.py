"""Settings: a frozen struct whose attributes each name an environment variable; read once, all with defaults."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta
from typing_extensions import override

from sagakit.runtime.http.crowd import LIMITS, Limits

SECRET = "***"  # noqa: S105 - what is shown instead of one

S = TypeVar("S", bound=msgspec.Struct)


class SettingsError(Exception):
    """A variable has a value that means nothing. The text names it; correct the environment and start again."""


def variable(name: str, *, secret: bool = False) -> Meta:
    """Return the mark of a setting that is read from this environment variable; a secret is never shown."""
    return Meta(extra={"variable": name, "secret": secret})


Rate = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Places = Annotated[int, Meta(ge=1, le=100_000)]
Port = Annotated[int, Meta(ge=0, le=65_535, description="0 lets the system choose.")]


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be set for every service; `seed` is that of the demonstration's luck."""

    host: Annotated[str, variable("SAGAPLANE_HOST")] = "127.0.0.1"
    data_dir: Annotated[str, variable("SAGAPLANE_DATA_DIR")] = "data"
    instance: Annotated[str, variable("SAGAPLANE_INSTANCE")] = "0"
    seed: Annotated[int, variable("SAGAPLANE_SEED")] = 0
    http_connections: Annotated[Places, variable("SAGAPLANE_HTTP_CONNECTIONS")] = LIMITS.connections
    http_streams: Annotated[Places, variable("SAGAPLANE_HTTP_STREAMS")] = LIMITS.streams

    @property
    def http_limits(self) -> Limits:
        """How many may be served over HTTP at once."""
        return Limits(self.http_connections, self.http_streams)

    def file(self, name: str) -> Path:
        """Return a database file of this machine; `log` is the event log that all services share."""
        return Path(self.data_dir) / f"{name}.db"

    @override
    def __repr__(self) -> str:
        """Show no secret, wherever settings are printed."""
        return f"{type(self).__name__}({shown(self)})"


def read(settings: type[S], environ: Mapping[str, str]) -> S:
    """Return the settings as the environment has them; an empty variable counts as none.

    Raises:
        SettingsError: when a variable has a value of the wrong type or out of its bounds.
    """
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(settings):
        name = variable_name(field.type)
        if not (text := environ.get(name)):
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError as error:
            rule = str(error).replace("`", "").removesuffix(", got str")
            told = SECRET if _secret(field.type) else text
            raise SettingsError(f"{name}={told}: {rule[:1].lower()}{rule[1:]}") from None
    return settings(**values)


def variable_name(declared: Any) -> str:  # noqa: ANN401 - a type expression
    """Return the environment variable of a setting."""
    return str(_mark(declared)["variable"])


def shown(settings: msgspec.Struct) -> str:
    """Return all settings in one line, for the start of a process. Of a secret it is only told whether there is one."""
    return " ".join(
        f"{variable_name(field.type)}={_told(field.type, getattr(settings, field.name))}"
        for field in msgspec.structs.fields(type(settings))
    )


def _told(declared: Any, value: object) -> object:  # noqa: ANN401 - a type expression
    return SECRET if value and _secret(declared) else value


def _secret(declared: Any) -> bool:  # noqa: ANN401 - a type expression
    return bool(_mark(declared).get("secret"))


def _mark(declared: Any) -> Mapping[str, Any]:  # noqa: ANN401 - a type expression
    for mark in getattr(declared, "__metadata__", ()):
        if isinstance(mark, Meta) and mark.extra and "variable" in mark.extra:
            return mark.extra
    raise TypeError(f"{declared} names no environment variable")
