"""One version of the views and the log that it was made from, opened for reading beside whoever runs on them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from analytics_service.files import FileStores
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import VIEWS
from analytics_service.versions import FORMAT, Version, all_versions, live_of
from analytics_service.wiring import TABLES
from onebox.errors import BadInput, NotFound
from onebox.opening import RUN_A_BOX, require_file
from onebox.opening import opened as platform
from onebox.recount import rules
from onebox.recount.verification import LETTERS, Books
from sagakit.hosting import Adapters
from sagakit.ports import Store
from sagakit.runtime.settings import read

SERVICE = "analytics"
NOTHING = "no events were ever counted there"
VERSIONS = "see which there are: sagactl analytics versions"


@asynccontextmanager
async def opened(directory: Path | None, number: int | None, environment: Mapping[str, str]) -> AsyncIterator[Books]:
    """Open the version of that number, or the live one: of the box in the directory, or of what the environment names.

    Orders are of high value by the same variables as for the analytics service.

    Raises:
        NotFound: when files, schemas or the version are missing.
        BadInput: when a file or a schema is another program's, or a variable means nothing.
        Unreachable: when a server, or a file, cannot be read now.
    """
    async with platform(directory, environment, (*rules.COUNTED, LETTERS), NOTHING) as its:
        thresholds = read(AnalyticsSettings, its.environment).checked().thresholds()
        if not its.settings.database_url:
            require_file(its.settings, SERVICE, NOTHING)
        catalogue = await its.store(SERVICE, TABLES)
        version = _chosen(await catalogue.view(all_versions), number)
        views = await _views(its, version.number)
        yield Books(version=version.number, views=views, catalogue=catalogue, log=its.log, thresholds=thresholds)


async def _views(its: Adapters, number: int) -> Store:
    """Open the store of a version; one that is missing is not made."""
    if its.settings.database_url:
        from sagakit.adapters.postgres import WrongDatabaseError

        try:
            return await its.store(SERVICE, VIEWS, f"{SERVICE}_{number}")
        except WrongDatabaseError as error:
            raise NotFound(f"version {number} of the views cannot be read: {error}", VERSIONS) from None
    stores = FileStores(Path(its.settings.data_dir))
    path = stores.path(number)
    if not path.is_file():
        raise NotFound(f"{path.parent} holds no {path.name}", RUN_A_BOX)
    return its.closing(stores.open(number))


def _chosen(versions: list[Version], number: int | None) -> Version:
    if number is None:
        version = live_of(versions)
    else:
        version = next((version for version in versions if version.number == number), None)
    if version is None:
        which = "live version" if number is None else f"version {number}"
        raise NotFound(f"there is no {which} of the views", VERSIONS)
    if version.format != FORMAT:
        cause = f"version {version.number} has format {version.format}, and this sagactl reads {FORMAT}"
        raise BadInput(
            cause, "verify it with the sagactl of its own release, or build another: sagactl analytics rebuild"
        )
    return version
