"""Any mix of misbehaviour, of charges, refunds and repetitions at once: the provider's books match the answers."""

import asyncio
import random
from collections import defaultdict
from contextlib import AbstractAsyncContextManager

import pytest
from tests.provider.books import Asked
from tests.provider.desk import PAUSE, Desk, charge, desk_at, repayment
from tests.provider.server import Fault, Server

from payment_service.provider import Approved, NoAnswer, Rejected, Result
from sagakit.adapters.memory import MemoryStore

ORDERS = tuple(f"order-{number}" for number in range(6))
USERS = ("ann", "bob", "broke", "asks")
MISBEHAVIOUR = tuple(fault for fault in Fault if fault is not Fault.TRICKLES)
ROUNDS = 8
AMOUNT = 1050


class Game:
    """Plays rounds against one server, and keeps what was answered."""

    def __init__(self, server: Server, desks: tuple[Desk, Desk], chance: random.Random) -> None:
        self.server = server
        self.desks = desks
        self.chance = chance
        self.users = {order: chance.choice(USERS) for order in ORDERS}
        self.charged: dict[str, set[type[Result]]] = defaultdict(set)
        self.repaid: set[str] = set()
        self.asked_back: set[str] = set()

    def plan(self, asked: Asked) -> Fault | None:
        del asked
        return self.chance.choice(MISBEHAVIOUR) if self.chance.random() < 0.4 else None

    async def round(self) -> None:
        """Let both processes ask for some orders at once; then the world may turn a little."""
        picked = [
            (self.chance.choice(self.desks), order, self.chance.random() < 0.3)
            for order in ORDERS
            for _ in range(self.chance.randint(0, 2))
        ]
        await asyncio.gather(
            *(self.repay(desk, order) if back else self.charge(desk, order) for desk, order, back in picked)
        )
        if self.chance.random() < 0.3:
            self.server.deliver()
        if self.chance.random() < 0.2:
            self.server.books.forget_keys()
        if self.chance.random() < 0.2:
            self.server.vanish()
            self.server.appear()
        for desk in self.desks:
            desk.clock.moment += PAUSE
        self.check()

    async def charge(self, desk: Desk, order: str) -> None:
        result = await desk.charge(charge(order, user_id=self.users[order], amount_minor=AMOUNT))
        if not isinstance(result, NoAnswer):
            self.charged[order].add(type(result))

    async def repay(self, desk: Desk, order: str) -> None:
        self.asked_back.add(order)
        result = await desk.repay(repayment(order))
        assert not isinstance(result, Rejected)
        if isinstance(result, Approved):
            self.repaid.add(order)

    async def end(self) -> None:
        """Be well a day later, when what was stored for a key is forgotten; let everything arrive, and ask for all."""
        self.server.be_well()
        self.server.books.forget_keys()
        self.server.deliver()
        for order in ORDERS:
            ask = self.repay if order in self.asked_back else self.charge
            for _ in range(3):
                await ask(self.desks[0], order)
        self.server.deliver()
        self.check()
        assert self.repaid == self.asked_back
        assert {*self.charged, *self.repaid} == {*ORDERS}

    def check(self) -> None:
        books = self.server.books
        for order in ORDERS:
            key = f"charge-of-{order}"
            answers = self.charged[order]
            assert books.captured(key) in (0, AMOUNT), f"{order} was charged twice"
            assert books.refunded(key) <= books.captured(key), f"{order}: more went back than was taken"
            assert len(answers) <= 1, f"{order} was refused and approved"
            assert Approved not in answers or books.captured(key) == AMOUNT, f"{order} was approved and not paid"
            assert Rejected not in answers or books.captured(key) == 0, f"{order} was refused and paid"
            assert order not in self.repaid or books.held(key) == 0, f"{order} was given back and is held"
            assert not answers or order in self.asked_back or books.held(key) == AMOUNT * (Approved in answers)


def impatient(server: Server, vault: MemoryStore | None = None) -> AbstractAsyncContextManager[Desk]:
    return desk_at(server, vault, read_seconds=0.1, attempts_max=2, breaker_failures=8)


@pytest.mark.parametrize("seed", range(20))
async def test_the_books_of_the_provider_match_the_answers(server: Server, seed: int) -> None:
    async with impatient(server) as one, impatient(server, one.vault) as other:
        game = Game(server, (one, other), random.Random(seed))
        server.plan = game.plan
        for _ in range(ROUNDS):
            await game.round()
        await game.end()
        assert server.books.heard
