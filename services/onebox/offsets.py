"""Where a service's readers stand in the log, what is wrong with that, and what moving them does. Values, no IO."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby

from onebox.answers import Answer
from onebox.moments import moment

EARLIEST, LATEST = "earliest", "latest"


class Standing(Answer, frozen=True, kw_only=True):
    """Where one consumer group stands in one partition: what is stored as its next offset, and what the log holds.

    `store` is where that is stored. The log holds offsets from `first`, which is None where nobody looked for it, up to
    `end`. It is `recreated` when the offset belongs to an older topic of the same name.
    """

    service: str
    store: str
    group: str
    topic: str
    partition: int
    stored: int
    first: int | None = None
    end: int
    recreated: bool = False
    held: bool = True

    @property
    def place(self) -> tuple[str, int]:
        """The topic and the partition."""
        return self.topic, self.partition

    @property
    def wrong(self) -> bool:
        """True when the group cannot go on from here."""
        return self.recreated or not self.held

    @property
    def strange(self) -> bool:
        """True when nobody knows which of the records that are there were read: the offset is not about them."""
        return self.recreated or self.stored > self.end

    @property
    def begin(self) -> int:
        """The first offset that the log holds, once somebody looked for it."""
        assert self.first is not None, f"nobody looked for the beginning of {self.topic}-{self.partition}"
        return self.first


class Move(Answer, frozen=True, kw_only=True):
    """A new offset for a group in a partition: how many records are read `again`, are `never` read, and are `gone`.

    Where it is not known what was read before, `again` are all that are read from there on.
    """

    service: str
    store: str
    group: str
    topic: str
    partition: int
    stored: int
    to: int
    again: int
    never: int
    gone: int


class Forgotten(Answer, frozen=True, kw_only=True):
    """What a service said last in a partition, and its database does not know: it is of an earlier moment."""

    service: str
    topic: str
    partition: int
    offset: int
    type: str
    saga_id: str
    said_at: datetime


class Checked(Answer, frozen=True, kw_only=True):
    """What a check of one service found."""

    service: str
    places: int
    wrong: list[Standing]
    earliest: list[Move]
    latest: list[Move]
    forgotten: list[Forgotten]


class Repaired(Answer, frozen=True, kw_only=True):
    """What was moved, by whom, why and when; `recreated` are the topics that are known as they are now."""

    service: str
    at: datetime
    actor: str
    reason: str
    recreated: list[str]
    moves: list[Move]


def target(standing: Standing, wish: str) -> int:
    """Return the offset that is meant: the first one, the one behind the last, or a number.

    Raises:
        ValueError: when the log does not hold that number.
    """
    if wish == EARLIEST:
        return standing.begin
    if wish == LATEST:
        return standing.end
    offset = int(wish)
    if not standing.begin <= offset <= standing.end:
        where = f"{standing.topic}-{standing.partition}"
        raise ValueError(f"{where} holds {standing.begin} to {standing.end}, and not {offset}")
    return offset


def moved(standing: Standing, to: int) -> Move:
    """Return what it means that a group goes on from there."""
    stored = standing.stored
    return Move(
        service=standing.service,
        store=standing.store,
        group=standing.group,
        topic=standing.topic,
        partition=standing.partition,
        stored=stored,
        to=to,
        again=standing.end - to if standing.strange else max(0, stored - to),
        never=to - standing.begin if standing.strange else max(0, to - max(stored, standing.begin)),
        gone=0 if standing.strange else max(0, standing.begin - stored),
    )


def checked(service: str, standings: Sequence[Standing], forgotten: Iterable[Forgotten] = ()) -> Checked:
    """Return what is wrong with a service, and what either repair would do; no repair makes up for what it forgot."""
    wrong = [standing for standing in standings if standing.wrong]
    return Checked(
        service=service,
        places=len(standings),
        wrong=wrong,
        earliest=[moved(standing, standing.begin) for standing in wrong],
        latest=[moved(standing, standing.end) for standing in wrong],
        forgotten=[*forgotten],
    )


def told(found: Checked) -> str:
    """Return the check of a service as a text."""
    return "\n".join([_told_of_offsets(found), *_told_of_words(found)])


def _told_of_offsets(found: Checked) -> str:
    if not found.wrong:
        return f"✔ {found.service}: all {found.places} offsets are in the log"
    lines = [f"✖ {found.service}: {len(found.wrong)} of {found.places} offsets are not those of the log"]
    lines += [f"  {sentence}" for sentence in _sentences(found.wrong)]
    for wish, moves in ((EARLIEST, found.earliest), (LATEST, found.latest)):
        lines.append(f"  sagactl offsets repair {found.service} --to {wish}: {consequence(moves)}")
    return "\n".join(lines)


def _told_of_words(found: Checked) -> Iterator[str]:
    """Yield what is to be said of a database that lacks what its service said."""
    if found.forgotten:
        latest = max(found.forgotten, key=lambda each: each.said_at)
        yield f"✖ {found.service}: its database does not know what it said itself"
        yield (
            f"  {latest.topic}-{latest.partition} ends with its {latest.type} of {latest.saga_id},"
            f" said {moment(latest.said_at)}; partitions like that: {len(found.forgotten)}"
        )


def consequence(moves: Iterable[Move]) -> str:
    """Return in words what moves do together."""
    moves = [*moves]
    again, never, gone = (sum(numbers) for numbers in zip(*((m.again, m.never, m.gone) for m in moves), strict=True))
    said = [f"{again} records are read again" if again else "no record is read again"]
    said.append(f"{never} are never read" if never else "none is left out")
    if gone:
        said.append(f"{gone} were dropped unread before")
    return ", ".join(said)


def listed(moves: Iterable[Move]) -> list[str]:
    """Return the moves as lines, one for each topic of a group."""
    lines = []
    for (store, group, topic), those in groupby(moves, lambda move: (move.store, move.group, move.topic)):
        steps = ", ".join(f"{move.partition}: {move.stored} → {move.to}" for move in those)
        where = group if group == store else f"{group} (store {store})"
        lines.append(f"{where} in {topic}, partition {steps}")
    return lines


def audited(done: Repaired) -> str:
    """Return what was done as a text; its last line is for whoever asks later."""
    anew = [f"{topic} is known as it is now" for topic in done.recreated]
    lines = [*listed(done.moves), *anew, f"✔ {len(done.moves)} offsets moved: {consequence(done.moves)}"]
    return "\n".join([*lines, f"{moment(done.at)} {done.actor} repaired offsets of {done.service}: {done.reason}"])


def _sentences(wrong: Sequence[Standing]) -> Iterator[str]:
    for (group, topic), those in groupby(wrong, lambda standing: (standing.group, standing.topic)):
        found = [*those]
        if found[0].recreated:
            records = sum(standing.end - standing.begin for standing in found)
            yield (
                f"{topic} was made anew since {group} read it: {len(found)} offsets belong to the topic before,"
                f" and this one holds {records} records"
            )
            continue
        yield from (_sentence(standing) for standing in found)


def _sentence(standing: Standing) -> str:
    where = f"{standing.group} stands at {standing.stored} of {standing.topic}-{standing.partition}"
    if standing.strange:
        return f"{where}, which ends at {standing.end}: what was read is not there any more"
    return f"{where}, which begins at {standing.begin}: {standing.begin - standing.stored} records were dropped unread"
