"""Processes of a shop at one place: born, killed from outside or from within, and the last one's books."""

import asyncio
import multiprocessing
from multiprocessing.process import BaseProcess

from tests.crash.books import Books, broken, read
from tests.crash.driver import ON_HAND, ORDERS, live
from tests.crash.place import Place

from sagakit.runtime.failpoints import VARIABLE

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.crash.driver"])


def born(place: Place, number: int, failpoint: str = "") -> BaseProcess:
    """Start process number so-and-so, which ends itself at the failpoint."""
    process = FORKS.Process(target=live, args=(place, number, {VARIABLE: failpoint}))
    process.start()
    return process


def settle(place: Place, number: int) -> Books:
    """Let one more process work to the end, and return the books, which balance."""
    process = born(place, number)
    process.join()
    assert process.exitcode == 0, f"the last process ended with {process.exitcode}"

    async def opened() -> Books:
        shop = await place.open()
        try:
            return await read(shop.stores)
        finally:
            await shop.close()

    books = asyncio.run(opened())
    wrong = list(broken(books, ON_HAND))
    assert not wrong, "\n".join(wrong)
    assert len(books.sagas) >= len(ORDERS)
    return books
