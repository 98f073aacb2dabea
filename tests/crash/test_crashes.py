"""Real processes over SQLite files, ended with SIGKILL at every named place; afterwards the books balance."""

import asyncio
import multiprocessing
import signal
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import msgspec
import pytest
from tests.crash.books import Books, broken, read
from tests.crash.driver import ON_HAND, ORDERS, Files, live

from sagakit.runtime.failpoints import NAMES, VARIABLE

PASSES = (1, 2, 5)
OFTEN = ("consumer.", "relay.", "http.")
"""Where a process comes by at least five times; elsewhere two passes are tried."""
KILLS_AT_RANDOM = 6
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.crash.driver"])


@pytest.mark.parametrize("place", NAMES)
def test_whoever_is_killed_at_a_named_place_leaves_books_that_balance_after_the_restart(
    place: str, tmp_path: Path
) -> None:
    passes = PASSES if place.startswith(OFTEN) else PASSES[:2]
    for number, count in enumerate(passes):
        process = born(tmp_path, number, f"{place}:{count}")
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{place}:{count} ended with {process.exitcode}"
    settle(tmp_path, len(passes))


def test_whoever_is_killed_at_any_moment_leaves_books_that_balance_after_the_restart(tmp_path: Path) -> None:
    random = Random(1)
    for number in range(KILLS_AT_RANDOM):
        process = born(tmp_path, number)
        process.join(0.05 + random.random() * 0.4)
        process.kill()
        process.join()
    settle(tmp_path, KILLS_AT_RANDOM)


def test_books_that_were_tampered_with_do_not_balance(tmp_path: Path) -> None:
    books = settle(tmp_path, 0)
    (product,) = books.stock.values()
    paid = next(key for key, operation in books.operations.items() if operation.amount_minor > 0)
    order_id = next(iter(books.sagas))
    tampered = [
        replace(books, stock={product.product_id: msgspec.structs.replace(product, on_hand=product.on_hand + 1)}),
        replace(books, operations={key: one for key, one in books.operations.items() if key != paid}),
        replace(books, ledger=dict(list(books.ledger.items())[1:])),
        replace(books, notices={}),
        replace(books, facts={**books.facts, order_id: books.facts[order_id][:-2]}),
    ]
    assert all(list(broken(each, ON_HAND)) for each in tampered)


def born(directory: Path, number: int, failpoint: str = "") -> BaseProcess:
    process = FORKS.Process(target=live, args=(str(directory), number, {VARIABLE: failpoint}))
    process.start()
    return process


def settle(directory: Path, number: int) -> Books:
    """Let one more process work to the end, and read the books."""
    process = born(directory, number)
    process.join()
    assert process.exitcode == 0, f"the last process ended with {process.exitcode}"

    async def opened() -> Books:
        files = Files.open(directory)
        books = await read(files.stores)
        await files.close()
        return books

    books = asyncio.run(opened())
    wrong = list(broken(books, ON_HAND))
    assert not wrong, "\n".join(wrong)
    assert len(books.sagas) >= len(ORDERS)
    return books
