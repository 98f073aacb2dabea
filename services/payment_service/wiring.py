"""The payment service, put together by hand: whoever runs it brings the adapters."""

from payment_service.actions import PAYMENTS, Payments, barred
from payment_service.app import routes
from payment_service.provider import Bank, BankSettings
from payment_service.settings import PaymentSettings
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant
from sagakit.runtime.service import Service
from shop_contracts.catalogue import SHOP
from shop_contracts.order_saga import ORDER_SAGA

TABLES = (PAYMENTS, PARTS, PARKED)


def open_bank(settings: PaymentSettings, store: Store, clock: Clock) -> Bank:
    """Return the built-in provider over a store of its own (with `provider.BANK_TABLES`)."""
    behaviour = BankSettings(
        success_rate=settings.success_rate,
        seed=settings.seed,
        limit_minor=settings.limit_minor,
        latency_seconds=settings.latency_seconds,
        unknown_rate=settings.unknown_rate,
    )
    return Bank(store, behaviour, clock)


def build(settings: PaymentSettings, store: Store, log: Log, clock: Clock, bank: Bank) -> Service:
    """Return the service over a store with `TABLES`; its provider is the bank."""
    service = Service.of("payment", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store, bank)
    service.take_part(
        Participant(
            "payment",
            sagas=[ORDER_SAGA],
            actions=Payments(bank).actions(),
            barred=barred,
            contracts=SHOP,
            store=store,
            clock=clock,
        )
    )
    return service
