"""One seed of the shop: opened, troubled, calmed, audited, and told everything a second time."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from analytics_service.tables import VIEWS
from inventory_service.domain import Stock
from onebox.simulation import services
from onebox.simulation.bank import FaultyProvider
from onebox.simulation.books import Books, ends, garbage, history, nothing_lost, notices, one_meaning, replay
from onebox.simulation.conservation import effects, money, stock
from onebox.simulation.coverage import events
from onebox.simulation.figures import figures
from onebox.simulation.journal import Journal
from onebox.simulation.people import LIMIT_MINOR, PRODUCTS, People
from onebox.simulation.poison import poison, stranger
from payment_service.provider import BANK_TABLES, Bank, BankSettings
from sagakit.core.messages import name_based_id
from sagakit.ports import Draft
from sagakit.runtime import failpoints
from sagakit.runtime.parking import PARKED_SECONDS_MAX
from sagakit.testing.simulation import Faults, Process, Violation, World
from sagakit.testing.simulation.garbage import GARBAGE

TURNS = 1000
FAULTS = Faults()
HOUR_TURNS = 500
KILLING_SHARE = 0.2
RULES: Sequence[Callable[[Books], Iterator[str]]] = (
    ends,
    effects,
    money,
    stock,
    replay,
    notices,
    history,
    one_meaning,
    nothing_lost,
    garbage,
    figures,
)
"""Each is named by what it watches; the name is what a broken one is reported by."""


@dataclass
class Report:
    """What came of one seed. `violation` is what is wrong, if anything is."""

    seed: int
    seen: Counter[str]
    trace: list[str]
    phases: Counter[str] = field(default_factory=Counter)
    violation: Violation | None = None


def simulate(seed: int, faults: Faults | None = None, turns: int = TURNS) -> Report:
    """Run the world of this seed to its end; the same seed gives the same report, to the letter."""
    shop = Shop(seed, faults if faults is not None else FAULTS.drawn(Random(f"faults {seed}")))
    failpoints.ARMED.update(shop.world.armed())
    violation = None
    try:
        shop.run(turns)
    except Violation as found:
        violation = found
    except Exception as error:  # noqa: BLE001 - a rule that fails is a broken one, and its seed is to be told
        violation = Violation("no_surprise", f"{type(error).__name__}: {error}")
    finally:
        failpoints.ARMED.clear()
    phases = Counter(str(state.phase) for state in shop.books.sagas.values())
    return Report(seed, shop.world.seen, shop.world.mishaps.lines(), phases, violation)


class Shop:
    """The world of one seed."""

    def __init__(self, seed: int, faults: Faults) -> None:
        """Open every service, put goods on the shelves, and let people come."""
        self.world = world = World(seed, faults, 1 + seed % 4, (*GARBAGE, poison, stranger))
        random = world.random
        self.journal = Journal(world)
        self.people = People(world, {})
        rates = [random.choice((1.0, 1.0, 0.9, 0.6)) for _ in range(3)]
        on_hand = {product: random.randint(5, 40) for product in PRODUCTS}
        watch = self.journal.watch
        self._open_bank(rates[0])
        people = self.people
        world.host("order", services.ORDER_TABLES, lambda p: services.order(p, people), watch("order", "sagas"))
        people.sagas = world.hosts["order"].store.state.rows["sagas"]
        world.host(
            "payment",
            services.PAYMENT_TABLES,
            lambda p: services.payment(p, FaultyProvider(self._bank, world.mishaps, world.later)),
            watch("payment", "payments", "parts", "parked"),
        )
        world.host(
            "inventory",
            services.INVENTORY_TABLES,
            lambda p: services.inventory(p, rates[1], seed),
            watch("inventory", "stock", "stock_ledger", "parts", "parked"),
        )
        world.host(
            "shipping",
            services.SHIPPING_TABLES,
            lambda p: services.shipping(p, rates[2], seed),
            watch("shipping", "shipments", "parts", "parked"),
        )
        world.host("notification", services.NOTIFICATION_TABLES, services.notification)
        world.host("analytics", VIEWS, services.analytics)
        world.host("operators", (), lambda p: services.operators(p, people))
        shelves = world.hosts["inventory"].store.state.rows["stock"]
        shelves |= {product: Stock(product, number) for product, number in on_hand.items()}
        people.come(
            random.randint(5, 15), kills=random.random() < KILLING_SHARE, sweeps=world.favourite.startswith("batches")
        )
        self.journal.names = people.names
        self.journal.orders_by_key = {
            name_based_id(order_id, "payment", command): order_id
            for order_id in people.names
            for command in ("ChargePayment", "RefundPayment")
        }
        if world.favourite.startswith("expiry"):
            world.litter("payments.events", stranger)
        self.books = Books(world, self.journal, on_hand, people.names)

    def run(self, turns: int) -> None:
        """Let things go wrong, then everything be finished; audit; say everything again; audit again."""
        for _ in range(turns):
            self.world.turn()
        if self.world.favourite.startswith("expiry"):
            self._an_hour_passes()
        self.world.calm(self.done)
        self.world.clock.pass_by(PARKED_SECONDS_MAX if self.world.garbage else 0)
        self.world.calm(self.done)
        self.audit()
        self.world.seen.update(events(self.books))
        before = self.snapshot()
        self._say_everything_again()
        self.world.calm(self.done)
        after = self.snapshot()
        if changed := [table for table in before if before[table] != after[table]]:
            raise Violation("nothing_twice", f"all messages came a second time and changed {', '.join(changed)}")
        self.audit()

    def _an_hour_passes(self) -> None:
        """Let what was parked in vain be given up while things go wrong; what is awaited must have come before."""
        trouble = self.world.mishaps.faults
        self.world.calm(self.done)
        self.world.mishaps.faults = trouble
        self.world.clock.pass_by(PARKED_SECONDS_MAX)
        for _ in range(HOUR_TURNS):
            self.world.turn()

    def audit(self) -> None:
        """Apply every rule.

        Raises:
            Violation: with the name of the first rule that is broken.
        """
        for rule in RULES:
            for sentence in rule(self.books):
                raise Violation(rule.__name__, sentence)

    def done(self) -> bool:
        """Tell whether nobody waits for anything any more."""
        return (
            not self.people.waiting
            and len(self.books.sagas) == len(self.people.names)
            and all(state.phase.terminal for state in self.books.sagas.values())
            and not any(host.store.state.outbox for host in self.world.hosts.values())
            and not any(part.due for part in self.books.rows("payment", "parts").values())
            and not any(batch.next_at for batch in self.books.rows("order", "batches").values())
            and not self.world.awaited
        )

    def snapshot(self) -> dict[str, dict[str, Any]]:
        """Return every row that means something to somebody."""
        tables = [
            ("order", "sagas"),
            ("order", "orders"),
            ("payment", "payments"),
            ("inventory", "stock"),
            ("inventory", "reservations"),
            ("inventory", "stock_ledger"),
            ("shipping", "shipments"),
            ("notification", "notifications"),
            ("bank", "operations"),
            ("analytics", "joined_orders"),
            ("analytics", "totals"),
            ("analytics", "chunks"),
        ]
        return {table: dict(self.books.rows(service, table)) for service, table in tables}

    def _open_bank(self, success_rate: float) -> None:
        settings = BankSettings(success_rate=success_rate, seed=self.world.seed, limit_minor=LIMIT_MINOR)

        def wire(process: Process) -> tuple[()]:
            self._bank = Bank(process.store, settings, process.clock)
            return ()

        self.world.host("bank", BANK_TABLES, wire, self.journal.watch("bank", "operations"))

    def _say_everything_again(self) -> None:
        old = [record for record in self.books.records() if not record.topic.endswith(".dlq")]
        self.world.append([Draft(record.topic, record.key, record.headers, record.value) for record in old])
