"""The analytics service, put together by hand: whoever runs it brings the adapters."""

from functools import partial
from pathlib import Path

from analytics_service.app import Desk as Answers
from analytics_service.app import routes
from analytics_service.desk import GROUP, HIGH_VALUES, PROFILES, Desk, TableProfiles
from analytics_service.files import FileStores
from analytics_service.live import Builder, Idleness, Live, Surroundings
from analytics_service.measures import measures, said
from analytics_service.report import Report
from analytics_service.settings import AnalyticsSettings
from analytics_service.tables import VIEWS
from analytics_service.versions import VERSIONS, Stores
from sagakit.hosting import Adapters
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.consumer import Consumer
from sagakit.runtime.loops import Bell
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import read
from shop_contracts.catalogue import SHOP

TABLES = (VERSIONS, PROFILES, HIGH_VALUES, *KIT_TABLES)
"""The tables of the catalogue, which outlives every version of the views."""
STORES = {"analytics": TABLES}
"""The tables of each store that the service has, by its name."""
GROUPS = {GROUP: Desk.topics}
"""The topics that each consumer group of the catalogue listens to, by its name; a version has one in its own store."""
SETTINGS = AnalyticsSettings
BUILDER_WAIT_SECONDS = 0.5
IDLENESS_WAIT_SECONDS = 1.0


def build(settings: AnalyticsSettings, catalogue: Store, stores: Stores, log: Log, clock: Clock) -> Service:
    """Return the service over a catalogue with `TABLES`, and stores of versions with `tables.VIEWS`."""
    settings = settings.checked()
    service = Service.of("analytics", settings, settings.port, store=catalogue, log=log, contracts=SHOP, clock=clock)
    its = Surroundings(
        catalogue, stores, log, SHOP, clock, settings.bounds, settings.instance, settings.batch_records_max
    )
    live, profiles = Live(its), TableProfiles(clock, settings.profiles_seconds)
    builder = Builder(its, live)
    answers = Answers(settings, live, builder, catalogue, stores, log, clock, profiles, service.runner.stop)
    service.routes += routes(answers)
    service.seen.measures.append(partial(measures, live, answers.waiting_since, clock, its.bounds.lateness_ms))
    service.seen.readers.append(partial(_reading, live))
    desk = Desk(settings.thresholds(), profiles)
    service.sampled.append(partial(said, desk))
    service.hear_unhurried(desk, GROUP, settings.gather_seconds)
    service.attend(live, service.pause(settings.gather_seconds, live.wait))
    service.attend(builder, Bell(BUILDER_WAIT_SECONDS).wait)
    service.add(Idleness(its, live, settings.idle_seconds), Bell(IDLENESS_WAIT_SECONDS))
    if settings.report_seconds:
        service.add(Report(answers.glance_if_open), Bell(settings.report_seconds))
    return service


def _reading(live: Live) -> dict[str, Consumer]:
    """Return who reads for the views that answer: what they are behind in is what questions feel."""
    return {} if live.follower is None else {live.name: live.follower.consumer}


async def host(its: Adapters) -> Service:
    """Return the service with the settings and over the adapters of a process."""
    settings = read(AnalyticsSettings, its.environment)
    stores = its.schemas("analytics", VIEWS) or FileStores(Path(its.settings.data_dir))
    return build(settings, await its.store("analytics", TABLES), stores, its.log, its.clock)
