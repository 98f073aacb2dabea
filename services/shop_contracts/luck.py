"""How the shop's simulated world decides: a seeded hash of the order, so that a run can be repeated."""

from hashlib import sha1


def lucky(success_rate: float, seed: int, service: str, order_id: str) -> bool:
    """Tell whether this order succeeds at this service, for about `success_rate` of all orders."""
    if success_rate >= 1.0:
        return True
    digest = sha1(f"{seed}/{service}/{order_id}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8]) < success_rate * 2.0**64
