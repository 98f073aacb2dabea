"""Where a partition begins: a log tells only whether it holds an offset."""

from sagakit.ports import Log, OffsetOutOfRangeError


async def holds(log: Log, place: tuple[str, int], offset: int) -> bool:
    """Tell whether reading can begin at this offset."""
    try:
        await log.fetch({place: offset}, 1)
    except OffsetOutOfRangeError:
        return False
    return True


async def first_kept(log: Log, place: tuple[str, int], offset: int, end: int) -> int:
    """Return the first offset from this one to the end that is kept, found by halving."""
    dropped, kept = offset - 1, end
    while kept - dropped > 1:
        middle = (dropped + kept) // 2
        if await holds(log, place, middle):
            kept = middle
        else:
            dropped = middle
    return kept
