"""Stored offsets held against the log: which of them nobody can go on from, and moving those that a person says."""

import os
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onebox.asking import confirm
from onebox.commands.options import DataDirOption, OutputOption
from onebox.errors import AnswerIsNo, BadInput, Conflict, NotFound
from onebox.layout import SERVICES
from onebox.output import Format, Output
from onebox.session import start

if TYPE_CHECKING:
    from onebox.offsets import Checked, Forgotten, Move, Standing
    from sagakit.hosting import Adapters
    from sagakit.ports import Log, Store, Table, Transaction

NOTHING = "nothing was ever read there"
LOOK = "look again: sagactl offsets check"
PARTITION_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A store with offsets in it, and the topics that each of its groups listens to."""

    name: str
    store: "Store"
    groups: Mapping[str, frozenset[str]]

    @property
    def topics(self) -> frozenset[str]:
        """The topics of all groups."""
        return frozenset().union(*self.groups.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which offsets are to be moved where to; without a topic those that are wrong."""

    service: str
    to: str
    topic: str | None = None
    partition: int | None = None
    group: str | None = None
    reason: str
    actor: str
    yes: bool = False

    def means(self, standing: "Standing") -> bool:
        """Tell whether this one is to be moved."""
        return self.names(standing) and (standing.wrong or self.topic is not None)

    def names(self, standing: "Standing") -> bool:
        """Tell whether this one is among those that are spoken of."""
        return (
            self.topic in (None, standing.topic)
            and self.partition in (None, standing.partition)
            and self.group in (None, standing.group)
        )


def check(
    service: Annotated[str | None, typer.Argument(metavar="[SERVICE]", help="The service; by default all.")] = None,
    data_dir: DataDirOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say which stored offsets the log does not hold, and which databases are too old for it; ends with 1 if any."""
    start(lambda: check_offsets(Output(output), data_dir, _known(service)))


def repair(
    service: Annotated[str, typer.Argument(metavar="SERVICE", help=f"One of {', '.join(SERVICES)}.")],
    to: Annotated[str, typer.Option("--to", help="Where to go on: earliest, latest, or an offset.")],
    why: Annotated[str, typer.Option("--reason-why", help="Why; it is printed with your name.")],
    topic: Annotated[
        str | None,
        typer.Option("--topic", help="Of this topic, also where nothing is wrong; by default what is wrong."),
    ] = None,
    partition: Annotated[
        int | None, typer.Option("--partition", min=0, max=PARTITION_MAX, help="Only of this partition.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="Only of this consumer group.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")] = False,
    data_dir: DataDirOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Move stored offsets that the log does not hold to where the service can go on; it does so by itself then.

    What is read again is harmless: whoever has handled a message before passes it over.
    """

    async def work() -> None:
        from onebox.settings import ctl_settings

        (name,) = _known(service)
        asked = Asked(
            service=name,
            to=to,
            topic=topic,
            partition=partition,
            group=group,
            reason=why.strip(),
            actor=ctl_settings().actor,
            yes=yes,
        )
        require_sense(asked)
        await repair_offsets(Output(output), data_dir, asked)

    start(work)


async def check_offsets(out: Output, data_dir: Path | None, services: Sequence[str]) -> None:
    """Print how the services stand.

    Raises:
        AnswerIsNo: when one of them cannot go on.
    """
    from onebox.offsets import checked, told

    found: list[Checked] = []
    async with _opened(data_dir) as its:
        for service in services:
            stores = await stores_of(its, service)
            standings = [s for kept in stores for s in await standings_of(its.log, service, kept)]
            found.append(checked(service, standings, await forgotten_of(its.log, service, stores[0], standings)))
    if out.for_people:
        for each in found:
            out.say(told(each))
    else:
        out.many(found, lambda each: each.service, [])
    forgetful = [each.service for each in found if each.forgotten]
    if forgetful:
        raise AnswerIsNo(
            f"the database of {', '.join(forgetful)} is of an earlier moment than the log",
            "do not start it before you know what that means: docs/runbooks/backup-and-restore.md",
        )
    wrong = [each.service for each in found if each.wrong]
    if wrong:
        raise AnswerIsNo(
            f"offsets of {', '.join(wrong)} are not those of the log",
            "choose where to go on: sagactl offsets repair SERVICE --to earliest --reason-why …",
        )


async def repair_offsets(out: Output, data_dir: Path | None, asked: Asked) -> None:
    """Move what is asked for, and print it.

    Raises:
        BadInput: when the log does not hold the offset, or a person does not agree.
        NotFound: when there is no such topic, partition or group.
        Conflict: when the service moved on meanwhile.
    """
    from onebox.offsets import Repaired, audited

    async with _opened(data_dir) as its:
        seen = [
            (kept, await standings_of(its.log, asked.service, kept)) for kept in await stores_of(its, asked.service)
        ]
        if not any(asked.names(standing) for _, standings in seen for standing in standings):
            raise NotFound(f"{asked.service} reads no such topic, partition or group", "leave some of them out")
        chosen = [(kept, await chosen_of(its.log, asked, standings)) for kept, standings in seen]
        some = [standing for _, standings in chosen for standing in standings]
        require_whole(asked, some)
        moves = {kept.name: moves_of(asked, standings) for kept, standings in chosen}
        every = [each for those in moves.values() for each in those]
        if every and not asked.yes:
            think(asked.service, every)
        for kept, standings in chosen:
            if moves[kept.name]:
                await move(its.log, kept, moves[kept.name], {s.topic for s in standings if s.recreated})
    done = Repaired(
        service=asked.service,
        at=datetime.now(UTC),
        actor=asked.actor,
        reason=asked.reason,
        recreated=sorted({standing.topic for standing in some if standing.recreated}),
        moves=every,
    )
    nothing = f"✔ {asked.service}: what was asked about is in the log; nothing was moved"
    out.one(done, asked.service, lambda: audited(done) if every else nothing)


def require_sense(asked: Asked) -> None:
    """Make sure that it is said where to, and why.

    Raises:
        BadInput: when it is not.
    """
    from onebox.offsets import EARLIEST, LATEST

    if not asked.reason:
        raise BadInput("--reason-why is empty", "say why; it is printed with your name")
    if asked.to in (EARLIEST, LATEST):
        return
    if not asked.to.isdecimal():
        raise BadInput(f"--to {asked.to!r} is no place in a log", "write earliest, latest, or an offset such as 42")
    if asked.topic is None or asked.partition is None:
        raise BadInput("an offset means something in one partition only", "add --topic and --partition")


def require_whole(asked: Asked, standings: "Iterable[Standing]") -> None:
    """Make sure that a topic that was made anew is repaired whole: it is known as it is now, or as it was, to all.

    Raises:
        BadInput: when only some of it is meant.
    """
    anew = sorted({standing.topic for standing in standings if standing.recreated})
    if anew and (asked.partition is not None or asked.group is not None):
        cause = f"{', '.join(anew)} was made anew, so that all its offsets have to be moved at once"
        raise BadInput(cause, "leave out --partition and --group")


def moves_of(asked: Asked, standings: "Iterable[Standing]") -> "list[Move]":
    """Return the moves that are asked for.

    Raises:
        BadInput: when the log does not hold the offset.
    """
    from onebox.offsets import moved, target

    try:
        return [moved(standing, target(standing, asked.to)) for standing in standings]
    except ValueError as error:
        raise BadInput(str(error), "choose one that it holds") from None


def think(service: str, moves: "Sequence[Move]") -> None:
    """Let a person think once more."""
    from onebox.offsets import consequence, listed

    lines = [*listed(moves), consequence(moves), f"Type {service} to move {len(moves)} offsets: "]
    confirm("repair asks first", "\n".join(lines), service, BadInput("nothing was moved", LOOK))


async def stores_of(its: "Adapters", service: str) -> list[Kept]:
    """Return the stores of a service that have offsets in them; of analytics, versions that are followed too."""
    from importlib import import_module

    wiring: Any = import_module(f"{service}_service.wiring")
    kept = [Kept(service, await _store(its, service, wiring.STORES[service], service), wiring.GROUPS)]
    if service == "analytics":
        kept += [view async for view in _versions(its, kept[0].store)]
    return kept


async def standings_of(log: "Log", service: str, kept: Kept) -> "list[Standing]":
    """Return how each group of a store stands in each partition of its topics."""
    from onebox.offsets import Standing
    from sagakit.runtime.consumer import KNOWN_TOPICS
    from sagakit.runtime.offsets import first_kept, holds

    log = log.for_reader()
    progress = {group: await kept.store.view(_progress_of(group)) for group in kept.groups}
    groups = {  # a definition may have taught a group to listen to more
        group: topics | {topic for topic, _ in progress[group]} for group, topics in kept.groups.items()
    }
    read = sorted(frozenset().union(*groups.values()))
    identities = await log.identities(read)
    known = await kept.store.view(lambda reader: reader.load(KNOWN_TOPICS, identities))
    ends = await log.ends(read)
    found: list[Standing] = []
    for group, topics in groups.items():
        for place in sorted(place for place in ends if place[0] in topics):
            topic, stored, end = place[0], progress[group].get(place, 0), ends[place]
            recreated = topic in known and known[topic].identity != identities[topic]
            held = stored == end or (stored < end and await holds(log, place, stored))
            found.append(
                Standing(
                    service=service,
                    store=kept.name,
                    group=group,
                    topic=topic,
                    partition=place[1],
                    stored=stored,
                    first=None if held and not recreated else await first_kept(log, place, 0, end),
                    end=end,
                    recreated=recreated,
                    held=held,
                )
            )
    return found


async def forgotten_of(log: "Log", service: str, kept: Kept, standings: "Iterable[Standing]") -> "list[Forgotten]":
    """Return what the service said of sagas that its store does not know, though it is to hear of them again."""
    from onebox.offsets import Forgotten
    from sagakit.runtime.own_words import forgotten
    from sagakit.runtime.participant import PARTS
    from sagakit.runtime.tracker import SAGAS
    from shop_contracts.order_saga import ORDER, ORDER_SAGA

    topics = [party.events_topic for party in (ORDER, *ORDER_SAGA.participants) if party.name == service]
    if not topics:
        return []  # who says nothing of sagas has forgotten nothing
    table: Table[Any] = SAGAS if service == ORDER.name else PARTS
    standing = {each.place: each.stored for each in standings if each.group == service}
    return [
        Forgotten(
            service=service,
            topic=word.place[0],
            partition=word.place[1],
            offset=word.offset,
            type=word.type,
            saga_id=word.saga_id,
            said_at=word.said_at,
        )
        for word in await forgotten(service, topics, table, kept.store, log.for_reader(), standing)
    ]


async def chosen_of(log: "Log", asked: Asked, standings: "Iterable[Standing]") -> "list[Standing]":
    """Return those that are to be moved, each with where its partition begins."""
    from msgspec.structs import replace

    from sagakit.runtime.offsets import first_kept

    return [
        replace(standing, first=await first_kept(log, standing.place, 0, standing.end))
        if standing.first is None
        else standing
        for standing in standings
        if asked.means(standing)
    ]


async def move(log: "Log", kept: Kept, moves: "Sequence[Move]", anew: Iterable[str]) -> None:
    """Move offsets from where they were seen, and know the topics that were made anew as they are now; all or nothing.

    Raises:
        Conflict: when an offset was moved meanwhile.
    """
    from sagakit.ports import FencedError
    from sagakit.runtime.consumer import KNOWN_TOPICS, KnownTopic

    identities = await log.identities(sorted(anew))

    async def work(transaction: "Transaction") -> None:
        for each in moves:
            await transaction.advance(each.group, each.topic, each.partition, each.stored, each.to)
        known = [KnownTopic(topic, identity, log.partitions) for topic, identity in identities.items()]
        await transaction.save(KNOWN_TOPICS, known)

    try:
        await kept.store.transact(work)
    except FencedError as error:
        cause = f"the service went on meanwhile, and nothing was moved in store {kept.name}: {error}"
        raise Conflict(cause, LOOK) from None


@asynccontextmanager
async def _opened(data_dir: Path | None) -> "AsyncIterator[Adapters]":
    from onebox.opening import opened
    from onebox.wiring import ALL_TOPICS

    async with opened(data_dir, os.environ, [topic.name for topic in ALL_TOPICS], NOTHING) as its:
        yield its


async def _store(its: "Adapters", service: str, tables: Any, name: str) -> "Store":  # noqa: ANN401 - of a wiring
    from onebox.opening import require_file

    if not its.settings.database_url:
        require_file(its.settings, name, NOTHING)
    return await its.store(service, tables, name)


async def _versions(its: "Adapters", catalogue: "Store") -> AsyncIterator[Kept]:
    from analytics_service.files import FileStores
    from analytics_service.live import group_of
    from analytics_service.tables import VIEWS
    from analytics_service.versions import State, all_versions
    from analytics_service.views import EVENT_TOPICS
    from onebox.opening import require_file

    for version in reversed(await catalogue.view(all_versions)):
        if version.state is State.RETIRED:
            continue
        name = f"analytics_{version.number}"
        if its.settings.database_url:
            store: Store = await its.store("analytics", VIEWS, name)
        else:
            require_file(its.settings, f"analytics-{version.number}", NOTHING)
            store = its.closing(FileStores(Path(its.settings.data_dir)).open(version.number))
        yield Kept(name, store, {group_of(version.number): EVENT_TOPICS})


def _progress_of(group: str) -> Any:  # noqa: ANN401
    return lambda reader: reader.progress(group)


def _known(service: str | None) -> tuple[str, ...]:
    if service is not None and service not in SERVICES:
        raise NotFound(f"there is no service {service!r}", f"choose one of {', '.join(SERVICES)}")
    return SERVICES if service is None else (service,)
