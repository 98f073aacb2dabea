"""The demonstration's script: ten orders in both modes, chosen by a seed so that every kind of ending occurs. No IO."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onebox.answers import Answer, SagaLine
from onebox.audit import Verdict
from onebox.figures import Figures, JoinedOrder
from onebox.recount.verdict import Verdict as Recount
from sagakit.core.messages import Mode
from shop_contracts.identity import keyed_order_id
from shop_contracts.luck import lucky

ORDERS_PER_MODE = 5
PRODUCTS = tuple(f"prod-{number}" for number in range(1, 11))
STOCK_QUANTITY = 10_000
PAYMENT_SUCCESS_RATE = 0.7
INVENTORY_SUCCESS_RATE = 0.8
CONFIRMED, DECLINED, REFUSED = "confirmed", "declined", "refused"


@dataclass(frozen=True, slots=True)
class Planned:
    """An order of the demonstration; `ending` is what luck has in store for it."""

    key: str
    order_id: str
    ending: str
    body: dict[str, Any]


class ModeSummary(Answer, frozen=True, kw_only=True):
    """How the orders of one mode ended."""

    mode: str
    confirmed: int
    compensated: int
    unfinished: int
    reasons: dict[str, int]


class Joined(Answer, frozen=True, kw_only=True):
    """What the analytics say of one order, beside how its saga ended; None where they do not know it, or it did not."""

    order_id: str
    ended: str | None
    status: str | None
    missing: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """True when both say the same, and nothing is missing any more."""
        return self.ended is not None and self.status == self.ended and not self.missing


class Summary(Answer, frozen=True, kw_only=True):
    """How the demonstration went; the first saga had ended so many seconds after the start.

    `joined` is told in a shop that was there before: there the other figures are about all orders.
    """

    seed: int
    modes: list[ModeSummary]
    first_ended_seconds: float | None
    audit: Verdict
    analytics: Figures
    recount: Recount | None
    joined: list[Joined] | None = None

    @property
    def good(self) -> bool:
        """True when every saga ended, the books balance, and the analytics say the same, also counted again."""
        recounted = self.recount is None or self.recount.equal
        return self.audit.clean and self.agrees and recounted and not any(mode.unfinished for mode in self.modes)

    @property
    def agrees(self) -> bool:
        """True when the analytics have the orders, mode by mode, as the sagas ended.

        In a shop that may have other orders, only these ten are looked at, one by one.
        """
        if self.joined is not None:
            return all(order.agrees for order in self.joined)
        told = {mode.mode: (mode.confirmed, mode.cancelled) for mode in self.analytics.by_mode}
        return all(told.get(mode.mode) == (mode.confirmed, mode.compensated) for mode in self.modes)


def plan(seed: int) -> list[Planned]:
    """Return ten orders, the modes in turn; in each mode some are confirmed, declined, and refused by the warehouse."""
    chance = random.Random(seed)
    by_mode = [_orders(mode, seed, chance) for mode in Mode]
    return [order for turn in zip(*by_mode, strict=True) for order in turn]


def environment(seed: int) -> dict[str, str]:
    """Return the settings with which the services keep to files, and have the luck that the plan counts on."""
    return {
        "SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS": "",
        "SAGAPLANE_DATABASE_URL": "",
        "SAGAPLANE_SEED": str(seed),
        "PAYMENT_SUCCESS_RATE": str(PAYMENT_SUCCESS_RATE),
        "INVENTORY_SUCCESS_RATE": str(INVENTORY_SUCCESS_RATE),
        "SHIPPING_SUCCESS_RATE": "1.0",
    }


def summary(
    seed: int,
    sagas: Sequence[SagaLine],
    first_ended_seconds: float | None,
    audit: Verdict,
    analytics: Figures,
    recount: Recount | None,
    joined: list[Joined] | None = None,
) -> Summary:
    """Return how it went, mode by mode."""
    modes = []
    for mode in Mode:
        own = [saga for saga in sagas if saga.mode == mode]
        phases = Counter(saga.phase for saga in own)
        modes.append(
            ModeSummary(
                mode=mode,
                confirmed=phases["Completed"],
                compensated=phases["Compensated"],
                unfinished=ORDERS_PER_MODE - phases["Completed"] - phases["Compensated"],
                reasons=dict(sorted(Counter(saga.reason for saga in own if saga.ended and saga.reason).items())),
            )
        )
    return Summary(
        seed=seed,
        modes=modes,
        first_ended_seconds=first_ended_seconds,
        audit=audit,
        analytics=analytics,
        recount=recount,
        joined=joined,
    )


ENDINGS = {"Completed": "confirmed", "Compensated": "cancelled"}
"""What an order is once its saga has ended in a phase."""


def joined(saga: SagaLine, order: JoinedOrder | None) -> Joined:
    """Return what the analytics say of the order of a saga."""
    return Joined(
        order_id=saga.saga_id,
        ended=ENDINGS.get(saga.phase) if saga.ended else None,
        status=order.status if order is not None else None,
        missing=tuple(order.missing) if order is not None else (),
    )


def _orders(mode: Mode, seed: int, chance: random.Random) -> list[Planned]:
    """Draw five orders at a time until every kind of ending is among them."""
    draw = 0
    while True:
        drawn = [
            _order(mode, seed, f"demo-{seed}-{mode[0]}{draw}-{number}", chance) for number in range(ORDERS_PER_MODE)
        ]
        if {order.ending for order in drawn} == {CONFIRMED, DECLINED, REFUSED}:
            return drawn
        draw += 1


def _order(mode: Mode, seed: int, key: str, chance: random.Random) -> Planned:
    user = f"user-{chance.randint(1, 3)}"
    products = chance.sample(PRODUCTS, chance.randint(1, 3))
    items = [
        {"productId": product, "quantity": chance.randint(1, 3), "price": f"{chance.randint(99, 4999) / 100:.2f}"}
        for product in products
    ]
    order_id = keyed_order_id(user, key)
    return Planned(key, order_id, _ending(seed, order_id), {"userId": user, "items": items, "mode": mode.value})


def _ending(seed: int, order_id: str) -> str:
    if not lucky(PAYMENT_SUCCESS_RATE, seed, "payment", order_id):
        return DECLINED
    return CONFIRMED if lucky(INVENTORY_SUCCESS_RATE, seed, "inventory", order_id) else REFUSED
