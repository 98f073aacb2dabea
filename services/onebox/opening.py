"""The log and the stores of a shop, beside whoever runs on them: as the environment names them, or a box's files."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from onebox.errors import BadInput, NotFound, Unreachable
from onebox.premises import default_data_dir
from sagakit.adapters.sqlite import WrongFileError
from sagakit.hosting import Adapters
from sagakit.hosting import opened as hosted
from sagakit.hosting.process import quiet_libraries
from sagakit.hosting.settings import DATABASE, KAFKA, PlatformSettings
from sagakit.ports import LogUnavailableError, StoreUnavailableError
from sagakit.runtime.settings import SettingsError, read

DATA_DIR = "SAGAPLANE_DATA_DIR"
LOG = "log"
READ = "SAGAPLANE_KAFKA_READ_SECONDS"
READ_SECONDS = "15"
"""A service asks again by itself; a command is asked once, so it waits for the election of a leader."""
RUN_A_BOX = "run a box there once with `sagactl dev`, or choose another --data-dir"
CORRECT = "correct it; nothing was changed"


@asynccontextmanager
async def opened(
    data_dir: Path | None, environment: Mapping[str, str], topics: Iterable[str], otherwise: str
) -> AsyncIterator[Adapters]:
    """Open the log that the environment names, which has these topics; stores are opened through what is returned.

    A directory that is given holds the files of a box, whatever the environment says. `otherwise` is what follows from
    there being no file.

    Raises:
        NotFound: when there is no log in the directory.
        BadInput: when a variable means nothing, or a file, a topic or a schema is not as it has to be.
        Unreachable: when a server, or a file, cannot be read now.
    """
    named = _named(data_dir, environment)
    with told(named):
        settings = read(PlatformSettings, named).checked()
        if settings.kafka or settings.database_url:
            quiet_libraries()
        if not settings.kafka:
            require_file(settings, LOG, otherwise)
        async with hosted(named, topics) as adapters:
            yield adapters


def require_file(settings: PlatformSettings, name: str, otherwise: str) -> None:
    """Make sure that a file is there: opening one that is not would make it.

    Raises:
        NotFound: when it is not.
    """
    file = settings.file(name)
    if not file.is_file():
        raise NotFound(f"{file.parent} holds no {file.name}, so {otherwise}", RUN_A_BOX)


@contextmanager
def told(environment: Mapping[str, str]) -> Iterator[None]:
    """Say in a line what is wrong with a file, a server or a variable.

    Raises:
        BadInput, Unreachable: with the line.
    """
    wrong = _wrong(environment)
    try:
        yield
    except wrong as error:
        raise BadInput(str(error), CORRECT) from None
    except (StoreUnavailableError, LogUnavailableError) as error:
        raise Unreachable(str(error), "try again") from None


def _named(data_dir: Path | None, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of services that would run there."""
    if data_dir is not None:
        return {**environment, KAFKA: "", DATABASE: "", DATA_DIR: str(data_dir)}
    place = environment.get(DATA_DIR) or str(default_data_dir(environment))
    return {**environment, DATA_DIR: place, READ: environment.get(READ) or READ_SECONDS}


def _wrong(environment: Mapping[str, str]) -> tuple[type[Exception], ...]:
    """Return what the adapters that are asked for raise when a person has to correct something."""
    wrong: tuple[type[Exception], ...] = (WrongFileError, SettingsError)
    if environment.get(KAFKA):
        from sagakit.adapters.kafka import WrongSettingsError, WrongTopicsError

        wrong += (WrongSettingsError, WrongTopicsError)
    if environment.get(DATABASE):
        from sagakit.adapters.postgres import WrongDatabaseError

        wrong += (WrongDatabaseError,)
    return wrong
