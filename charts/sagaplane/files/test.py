#!/usr/bin/env python3
"""Ask whether everything is ready and, where that is wanted, place an order and wait for its end."""

import os
import sys
import time
from collections.abc import Callable
from functools import partial

import httpx

READY_SECONDS_MAX = 90.0
ENDED_SECONDS_MAX = 60.0
LOOK_SECONDS = 0.5
NOTHING_ON_THE_SHELF = {"productId": "chart-test", "quantity": 1, "price": "0.01"}
"""It ends cancelled, OUT_OF_STOCK, and its cent is refunded: every service but shipping has had its part in it."""


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def placed() -> str:
    order = {"userId": "chart-test", "items": [NOTHING_ON_THE_SHELF]}
    answer = httpx.post(f"{os.environ['ORDER_URL']}/orders", json=order, timeout=10)
    answer.raise_for_status()
    return str(answer.json()["id"])


def ended(order_id: str) -> bool:
    answer = httpx.get(f"{os.environ['ORDER_URL']}/orders/{order_id}", timeout=10)
    answer.raise_for_status()
    return bool(answer.json()["status"] != "pending")


def within(seconds: float, true: Callable[[], bool], text: str) -> None:
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            sys.exit(f"not within {seconds:.0f} s: {text}")
        time.sleep(LOOK_SECONDS)
    sys.stdout.write(f"✔ {text}\n")
    sys.stdout.flush()


for url in os.environ["URLS"].split():
    within(READY_SECONDS_MAX, partial(ready, url), f"{url} is ready")
if os.environ["PLACE_ORDER"]:
    order_id = placed()
    within(ENDED_SECONDS_MAX, partial(ended, order_id), f"order {order_id} came to its end")
