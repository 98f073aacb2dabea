"""The payment service, put together by hand: whoever runs it brings the adapters."""

from functools import partial

from payment_service.actions import PAYMENTS, Payments, barred
from payment_service.app import routes
from payment_service.http_provider import INTENTS, HttpProvider
from payment_service.metrics import samples
from payment_service.provider import BANK_TABLES, Bank, BankSettings, PaymentProvider
from payment_service.settings import PaymentSettings
from sagakit.hosting import Adapters
from sagakit.ports import Clock, Log, Store
from sagakit.runtime.parking import PARKED
from sagakit.runtime.participant import PARTS, Participant, heard_topics
from sagakit.runtime.service import KIT_TABLES, Service
from sagakit.runtime.settings import read
from shop_contracts.catalogue import SHOP
from shop_contracts.definitions import read_definition
from shop_contracts.order_saga import ORDER_SAGA

TABLES = (PAYMENTS, PARTS, PARKED, *KIT_TABLES)
VAULT_TABLES = (*BANK_TABLES, INTENTS)
"""What the provider keeps apart from the service, whichever provider it is."""
STORES = {"payment": TABLES, "bank": VAULT_TABLES}
"""The tables of each store that the service has, by its name."""
GROUPS = {"payment": heard_topics("payment", ORDER_SAGA)}
"""The topics that each consumer group of the service listens to, by its name."""
SETTINGS = PaymentSettings


def open_provider(settings: PaymentSettings, store: Store, clock: Clock) -> Bank | HttpProvider:
    """Return the provider that the settings name, over a store of its own with `VAULT_TABLES`; close it in the end.

    Raises:
        SettingsError: when they name one that cannot be asked.
    """
    if not settings.provider_url:
        return open_bank(settings, store, clock)
    return HttpProvider(
        store,
        settings.calls(),
        clock,
        payment_method=settings.provider_method,
        total_seconds=settings.provider_seconds,
    )


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


def build(settings: PaymentSettings, store: Store, log: Log, clock: Clock, bank: PaymentProvider) -> Service:
    """Return the service over a store with `TABLES`; its provider is the built-in bank or another one."""
    service = Service.of("payment", settings, settings.port, store=store, log=log, contracts=SHOP, clock=clock)
    service.routes += routes(store, bank)
    if isinstance(bank, HttpProvider):
        service.sampled.append(partial(samples, bank.caller))
    participant = Participant(
        "payment",
        sagas=[ORDER_SAGA],
        actions=Payments(bank).actions(),
        barred=barred,
        contracts=SHOP,
        store=store,
        clock=clock,
    )
    service.take_part(participant, service.follow(participant, [ORDER_SAGA], read_definition))
    return service


async def host(its: Adapters) -> Service:
    """Return the service with the settings and over the adapters of a process."""
    settings = read(PaymentSettings, its.environment)
    vault = await its.store("payment", VAULT_TABLES, "bank")
    provider = its.closing(open_provider(settings, vault, its.clock))
    return build(settings, await its.store("payment", TABLES), its.log, its.clock, provider)
