"""Real processes over SQLite files, ended with SIGKILL at every named place; afterwards the books balance."""

import signal
from dataclasses import replace
from pathlib import Path
from random import Random

import msgspec
import pytest
from tests.crash.books import broken
from tests.crash.driver import ON_HAND
from tests.crash.place import Place
from tests.crash.processes import born, settle

from sagakit.core.facts import VerbAsked
from sagakit.runtime.failpoints import LEASE_NAMES, NAMES

PASSES = (1, 2, 5)
OFTEN = ("consumer.", "relay.", "http.")
"""Where a process comes by at least five times; elsewhere two passes are tried."""
KILLS_AT_RANDOM = 6
BAD_CHANCES = 100
"""Enough for eight silent answers to one call, each with a delay, while five other orders call too."""


@pytest.mark.parametrize("place", [*NAMES, *LEASE_NAMES])
def test_whoever_is_killed_at_a_named_place_leaves_books_that_balance_after_the_restart(
    place: str, tmp_path: Path
) -> None:
    passes = PASSES if place.startswith(OFTEN) else PASSES[:2]
    for number, count in enumerate(passes):
        process = born(Place(tmp_path), number, f"{place}:{count}")
        process.join()
        assert process.exitcode == -signal.SIGKILL, f"{place}:{count} ended with {process.exitcode}"
    settle(Place(tmp_path), len(passes))


def test_whoever_is_killed_at_any_moment_leaves_books_that_balance_after_the_restart(tmp_path: Path) -> None:
    random = Random(1)
    for number in range(KILLS_AT_RANDOM):
        process = born(Place(tmp_path), number)
        process.join(0.05 + random.random() * 0.4)
        process.kill()
        process.join()
    settle(Place(tmp_path), KILLS_AT_RANDOM)


def test_whoever_asks_the_bank_in_vain_too_often_is_helped_by_a_person(tmp_path: Path) -> None:
    books = settle(Place(tmp_path, bad_chances=BAD_CHANCES), 0)
    assert [fact for facts in books.facts.values() for fact in facts if type(fact) is VerbAsked]


def test_books_that_were_tampered_with_do_not_balance(tmp_path: Path) -> None:
    books = settle(Place(tmp_path), 0)
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
