"""Customers who place orders, operators who ask for this and that, and the desk at which both are served."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from msgspec.structs import replace

from order_service.desk import OrderDesk
from order_service.domain import OrderLine, OrderRequest
from order_service.intake import Intake
from order_service.verbs import Verbs
from sagakit.core.contracts import encode_data
from sagakit.core.facts import Phase, Verb
from sagakit.core.messages import Message, Mode
from sagakit.core.state import SagaState
from sagakit.runtime.batches import Batch, begin
from sagakit.runtime.http.problems import ProblemError
from sagakit.runtime.ids import TimeOrderedIds
from sagakit.runtime.sagas import SagaFilter
from sagakit.runtime.topics import commands_topic
from sagakit.runtime.tracker import Tracker
from sagakit.runtime.wire import draft
from sagakit.testing.simulation import Process, World
from shop_contracts.identity import keyed_order_id
from shop_contracts.messages import RefundMethod

PRODUCTS = ("prod-1", "prod-2", "prod-3")
USERS = ("ann", "bob", "cy", "dee")
LIMIT_MINOR = 12_000
RUSH_SECONDS = 15.0
"""All orders come within this time."""
WISHES = (Verb.CANCEL, Verb.CANCEL, Verb.CANCEL, Verb.SUSPEND, Verb.SUSPEND, Verb.RESUME, Verb.RETRY)
BY_MESSAGE_SHARE = 0.2
WISH_SHARE = 0.35
KILL_SHARE = 0.15
REPAIR_SHARE = 0.2
WISH_SECONDS_MAX = 20.0
SWEEP_SHARE = 0.3
SWEEPS_MAX = 4
SWEEPS = (
    (Verb.CANCEL, Phase.PENDING),
    (Verb.SUSPEND, Phase.RUNNING),
    (Verb.RESUME, None),
    (Verb.RETRY, Phase.NEEDS_INTERVENTION),
    (Verb.SKIP, Phase.NEEDS_INTERVENTION),
)
REPAIRS = (Verb.RETRY, Verb.RETRY, Verb.SKIP, Verb.MARK_DONE)


@dataclass(frozen=True, slots=True)
class Placing:
    """A customer at the desk; asks again until she is answered."""

    at: float
    key: str
    request: OrderRequest


@dataclass(frozen=True, slots=True)
class Wishing:
    """An operator, or a customer who changes her mind."""

    at: float
    order_id: str
    verb: Verb
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Sweeping:
    """An operator who asks one verb of all sagas in a phase, by a batch job."""

    at: float
    verb: Verb
    phase: Phase | None


Want = Placing | Wishing | Sweeping


@dataclass
class People:
    """Everybody outside of the shop, and what they still want. `names` are the orders as people call them."""

    world: World
    sagas: Mapping[str, SagaState]
    waiting: list[Want] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def come(self, orders: int, *, kills: bool, sweeps: bool) -> None:
        """Decide who will want what, and when."""
        random = self.world.random
        for number in range(orders):
            at = random.random() * RUSH_SECONDS
            request = _an_order(random)
            if random.random() < BY_MESSAGE_SHARE:
                order_id = f"order-{number}"
                self.names[order_id] = order_id
                self._send(order_id, request)
            else:
                key = f"{self.world.seed}-{number}"
                order_id = keyed_order_id(request.user_id, key)
                self.names[order_id] = f"order-{number}"
                chosen = replace(request, definition=random.choice(("order/1", "order/2", "order/3")))
                self.waiting.append(Placing(at, key, chosen))
            while random.random() < WISH_SHARE:
                verb = random.choice(WISHES)
                self.waiting.append(Wishing(at + random.random() ** 2 * WISH_SECONDS_MAX, order_id, verb))
            if kills and random.random() < KILL_SHARE:
                self.waiting.append(Wishing(at + random.random() * WISH_SECONDS_MAX, order_id, Verb.KILL))
        for _ in range(SWEEPS_MAX if sweeps else random.random() < SWEEP_SHARE):
            at = RUSH_SECONDS * (0.3 + random.random())
            self.waiting.append(Sweeping(at, *random.choice(SWEEPS)))
        self.waiting.sort(key=lambda want: want.at)

    def next(self) -> Want | None:
        """Return whose turn it is."""
        if self.waiting and self.waiting[0].at <= self.world.clock.seconds:
            return self.waiting[0]
        return None

    def served(self, want: Want) -> None:
        """Let them go."""
        if want in self.waiting:
            self.waiting.remove(want)

    def _send(self, order_id: str, request: OrderRequest) -> None:
        """Place the order by a message instead of at the desk."""
        message = Message(
            id=f"create-{order_id}",
            type="CreateOrder",
            source="customer",
            time=self.world.clock.now(),
            saga_id=order_id,
            correlation_id=order_id,
            causation_id="",
            data=encode_data(request),
        )
        self.world.append([draft(commands_topic("order"), message)])


class Desk:
    """The HTTP side of one order process, without the HTTP: the same handlers behind it."""

    name = "desk"

    def __init__(self, people: People, tracker: Tracker, desk: OrderDesk, process: Process) -> None:
        """Serve `people`."""
        self._people = people
        ids = TimeOrderedIds(process.clock)
        self._intake = Intake(desk, process.store, process.clock, ids)
        self._verbs = Verbs(tracker, process.store, process.clock)
        self._store = process.store
        self._clock = process.clock

    async def step(self) -> bool:
        """Serve who is next; who is not answered, because we crash or fail, stays and asks again."""
        want = self._people.next()
        if want is None:
            return False
        note = self._people.world.note
        try:
            match want:
                case Placing():
                    await self._intake.place_one(want.request, want.key, None)
                    note("desk", f"placed {self._people.names[keyed_order_id(want.request.user_id, want.key)]}")
                case Wishing():
                    await self._verbs.ask(want.order_id, want.verb, "ops", "simulated", want.step)
                    note("desk", f"{want.verb} of {self._people.names[want.order_id]}")
                case Sweeping():
                    await self._store.transact(lambda transaction: begin(transaction, self._job(want), None))
                    note("desk", f"{want.verb} of all in {want.phase}")
        except ProblemError as error:
            note("desk", f"refused: {error.problem.detail}")
        self._people.served(want)
        return True

    def _job(self, want: Sweeping) -> Batch:
        return Batch(
            batch_id=f"batch-{want.at}",
            verb=want.verb,
            reason="simulated",
            actor="ops",
            rate_per_second=20,
            created_at=self._clock.now(),
            wanted=SagaFilter(phase=want.phase),
        )


class Operator:
    """Sees to sagas that need a person: now and then while things go wrong, and to all of them in the end."""

    name = "operator"

    def __init__(self, people: People) -> None:
        """Look after the orders of `people`."""
        self._people = people

    async def step(self) -> bool:
        """Look at every saga, and ask for what would help."""
        world = self._people.world
        calm = world.is_calm
        asked = False
        for state in list(self._people.sagas.values()):
            if state.phase is Phase.NEEDS_INTERVENTION and (calm or world.random.random() < REPAIR_SHARE):
                asked = self._ask(state, Verb.RETRY if calm else world.random.choice(REPAIRS)) or asked
            if state.suspended and not state.phase.terminal and calm:
                asked = self._ask(state, Verb.RESUME) or asked
        return asked

    def _ask(self, state: SagaState, verb: Verb) -> bool:
        want = Wishing(0.0, state.saga_id, verb)
        if want in self._people.waiting:
            return False
        self._people.waiting.insert(0, want)
        return True


def _an_order(random: Random) -> OrderRequest:
    lines = random.sample(PRODUCTS, random.randint(1, len(PRODUCTS)))
    return OrderRequest(
        user_id=random.choice(USERS),
        items=[
            OrderLine(product_id=p, quantity=random.randint(1, 4), price=Decimal(random.randint(1, 2500)) / 100)
            for p in lines
        ],
        mode=random.choice(list(Mode)),
        timeout_seconds=random.choice((None, None, 300, 300, 300, 8, 3)),
        refund_policy=random.choice(list(RefundMethod)),
    )
