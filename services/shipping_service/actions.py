"""What shipping does for its one command."""

from collections.abc import Sequence
from dataclasses import dataclass

from sagakit.core.facts import AbortCode
from sagakit.ports import Table, Transaction
from sagakit.runtime.actions import Ask, Done, LocalAction, Refused, Reply
from shipping_service.domain import Shipment, refuse, schedule
from shop_contracts.luck import lucky
from shop_contracts.messages import ScheduleShipment, ShipmentFailed, ShipmentScheduled

SHIPMENTS = Table("shipments", Shipment, "order_id")


@dataclass(frozen=True, slots=True)
class Shipping:
    """The action of shipping, with the luck of the demo."""

    success_rate: float = 1.0
    seed: int = 0

    def actions(self) -> tuple[LocalAction[ScheduleShipment], ...]:
        """Return one action per command."""
        return (LocalAction("ScheduleShipment", ScheduleShipment, self.schedule),)

    async def schedule(self, transaction: Transaction, asks: Sequence[Ask[ScheduleShipment]]) -> list[Reply]:
        """Hand the parcels over, or refuse."""
        shipments = [self._one(ask) for ask in asks]
        await transaction.save(SHIPMENTS, shipments)
        return [_reply(shipment) for shipment in shipments]

    def _one(self, ask: Ask[ScheduleShipment]) -> Shipment:
        if ask.by_hand is None and not lucky(self.success_rate, self.seed, "shipping", ask.saga_id):
            return refuse(ask.saga_id, "NO_CARRIER", ask.now)
        return schedule(ask.saga_id, ask.now)


def barred(saga_id: str, step: str, code: AbortCode) -> ShipmentFailed:
    """Say that no parcel will be sent any more."""
    del step
    return ShipmentFailed(order_id=saga_id, reason=code, barred=True)


def _reply(shipment: Shipment) -> Reply:
    if shipment.carrier is None or shipment.tracking_number is None:
        return Refused(ShipmentFailed(order_id=shipment.order_id, reason=shipment.reason or "REFUSED"))
    return Done(
        ShipmentScheduled(
            order_id=shipment.order_id,
            shipment_id=shipment.shipment_id,
            carrier=shipment.carrier,
            tracking_number=shipment.tracking_number,
        )
    )
