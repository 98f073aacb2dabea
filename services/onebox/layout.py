"""Which services the box has, at which ports, and how they are spread over processes."""

from collections.abc import Mapping
from dataclasses import dataclass

PORTS: Mapping[str, int] = {
    "order": 3002,
    "payment": 3003,
    "inventory": 3004,
    "analytics": 3005,
    "shipping": 3006,
    "notification": 3007,
}
SERVICES = tuple(PORTS)
SPREADS: Mapping[int, tuple[tuple[str, ...], ...]] = {
    1: (SERVICES,),
    2: (("order", "notification"), ("payment", "inventory", "shipping", "analytics")),
    3: (("order",), ("payment", "inventory", "shipping"), ("analytics", "notification")),
    4: (("order",), ("payment", "shipping"), ("inventory", "notification"), ("analytics",)),
    5: (("order",), ("payment",), ("inventory",), ("shipping", "notification"), ("analytics",)),
    6: tuple((service,) for service in SERVICES),
}
"""By measured work: the order service, which tracks every saga, costs about as much as all the others together."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Ports of the services; `offset` moves them all, so that several boxes fit on one machine.

    A box may be `without` some services, to see what the others do alone.
    """

    offset: int = 0
    without: frozenset[str] = frozenset()

    @property
    def services(self) -> tuple[str, ...]:
        """The services that such a box has."""
        return tuple(service for service in SERVICES if service not in self.without)

    def port(self, service: str) -> int:
        """Return the service's port."""
        return PORTS[service] + self.offset

    def url(self, service: str) -> str:
        """Return the service's address on this machine."""
        return f"http://127.0.0.1:{self.port(service)}"

    def environment(self) -> dict[str, str]:
        """Return the settings that tell the services their ports."""
        return {f"{service.upper()}_PORT": str(self.port(service)) for service in SERVICES}

    def spread(self, processes: int) -> tuple[tuple[str, ...], ...]:
        """Return which services share a process; more processes than services are not needed."""
        spread = SPREADS[min(max(processes, 1), len(SERVICES))]
        kept = (tuple(service for service in services if service not in self.without) for services in spread)
        return tuple(services for services in kept if services)
