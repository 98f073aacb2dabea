"""The files of one box, opened for reading: whether a box runs on them or not makes no difference."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from analytics_service.files import FileStores
from analytics_service.settings import AnalyticsSettings
from analytics_service.versions import FORMAT, Version, all_versions, live_of
from analytics_service.wiring import TABLES
from onebox.errors import BadInput, NotFound, Unreachable
from onebox.recount.verification import Books
from sagakit.adapters.sqlite import SqliteLog, SqliteStore, WrongFileError
from sagakit.ports import LogUnavailableError, StoreUnavailableError
from sagakit.runtime.settings import SettingsError, read

LOG, CATALOGUE = "log.db", "analytics.db"
RUN_A_BOX = "run a box there once with `sagactl dev`, or choose another --data-dir"


@asynccontextmanager
async def opened(directory: Path, number: int | None, environment: Mapping[str, str]) -> AsyncIterator[Books]:
    """Open the version of that number, or the live one, of the box in the directory.

    Orders are of high value by the same variables as for the analytics service.

    Raises:
        NotFound: when files or the version are missing.
        BadInput: when a file is another program's, or a variable means nothing.
        Unreachable: when a file cannot be read now.
    """
    for name in (LOG, CATALOGUE):
        if not (directory / name).is_file():
            raise NotFound(f"{directory} holds no {name}, so no events were ever counted there", RUN_A_BOX)
    try:
        thresholds = read(AnalyticsSettings, environment).checked().thresholds()
        async with AsyncExitStack() as stack:
            catalogue = SqliteStore(directory / CATALOGUE, TABLES)
            stack.push_async_callback(catalogue.close)
            version = _chosen(await catalogue.view(all_versions), number)
            stores = FileStores(directory)
            if not stores.path(version.number).is_file():
                raise NotFound(f"{directory} holds no {stores.path(version.number).name}", RUN_A_BOX)
            views = stores.open(version.number)
            stack.push_async_callback(views.close)
            log = SqliteLog(directory / LOG)
            stack.push_async_callback(log.close)
            yield Books(version=version.number, views=views, catalogue=catalogue, log=log, thresholds=thresholds)
    except (WrongFileError, SettingsError) as error:
        raise BadInput(str(error), "correct it; nothing was changed") from None
    except (StoreUnavailableError, LogUnavailableError) as error:
        raise Unreachable(str(error), "try again") from None


def _chosen(versions: list[Version], number: int | None) -> Version:
    if number is None:
        version = live_of(versions)
    else:
        version = next((version for version in versions if version.number == number), None)
    if version is None:
        which = "live version" if number is None else f"version {number}"
        raise NotFound(f"there is no {which} of the views", "see which there are: sagactl analytics versions")
    if version.format != FORMAT:
        cause = f"version {version.number} has format {version.format}, and this sagactl reads {FORMAT}"
        raise BadInput(
            cause, "verify it with the sagactl of its own release, or build another: sagactl analytics rebuild"
        )
    return version
