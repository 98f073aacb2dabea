"""The identity of an order: the same wish has the same id, whoever passes it on and however often."""

from sagakit.core.messages import name_based_id


def keyed_order_id(user_id: str, key: str) -> str:
    """Return the id of the order that this user places under this idempotency key.

    The length keeps user `a/b` with key `c` apart from user `a` with key `b/c`.
    """
    return name_based_id("order", str(len(user_id)), user_id, key)
