"""Shipments: one per order, scheduled or refused, never taken back. No IO."""

import enum
from datetime import datetime

import msgspec

from sagakit.core.messages import name_based_id

CARRIERS = ("Northwind", "Bluebird", "Meridian")


class ShipmentStatus(enum.StrEnum):
    """Where a shipment stands."""

    SCHEDULED = "scheduled"
    REFUSED = "refused"


class Shipment(msgspec.Struct, frozen=True):
    """The parcel of one order; its unique row is the effect."""

    order_id: str
    shipment_id: str
    status: ShipmentStatus
    at: datetime
    carrier: str | None = None
    tracking_number: str | None = None
    reason: str | None = None


def schedule(order_id: str, at: datetime) -> Shipment:
    """Return the shipment of an order, with a carrier chosen by the order's own id."""
    shipment_id = name_based_id(order_id, "shipment")
    carrier = CARRIERS[int(shipment_id[:8], 16) % len(CARRIERS)]
    tracking_number = f"{carrier[:2].upper()}{int(shipment_id[:13].replace('-', ''), 16):015d}"
    return Shipment(order_id, shipment_id, ShipmentStatus.SCHEDULED, at, carrier, tracking_number)


def refuse(order_id: str, reason: str, at: datetime) -> Shipment:
    """Return the shipment that will not be."""
    return Shipment(order_id, name_based_id(order_id, "shipment"), ShipmentStatus.REFUSED, at, reason=reason)
