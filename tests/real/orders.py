"""Customers who order in the background, one by one and in batches, and try again until they have an answer."""

import random
import threading
import time
from collections.abc import Mapping, Sequence

import httpx

BATCH_ORDERS = 8
PATIENCE_SECONDS = 90.0
ANSWER_SECONDS = 10.0
TIMEOUT_SECONDS = 120
"""Of an order: more than any disturbance takes, so that what was held up by one is confirmed after it."""
MODES = ("choreography", "orchestration")


class Load:
    """Places orders from a thread of its own; `placed` has the order of each key."""

    PRODUCTS = ("prod-1", "prod-2", "prod-3")

    def __init__(self, addresses: Sequence[str], seed: int, per_second: float, before: "Load | None" = None) -> None:
        """Order nothing yet; what was placed `before` counts too."""
        self.placed: dict[str, str] = dict(before.placed) if before is not None else {}
        self.retries = 0
        self.trouble: BaseException | None = None
        self._addresses = addresses
        self._random = random.Random(seed)
        self._seed = seed
        self._pause = (BATCH_ORDERS + 1) / per_second
        self._times: list[tuple[float, str]] = []
        self._number = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let every customer have an answer, and no new one come."""
        self._over.set()
        self._thread.join(PATIENCE_SECONDS + ANSWER_SECONDS)
        assert not self._thread.is_alive(), "a customer waits for an answer"
        if self.trouble is not None:
            raise self.trouble

    def has_placed(self) -> bool:
        """Tell whether there is an order, or never will be one."""
        return bool(self._times) or self.trouble is not None

    def placed_since(self, moment: float) -> list[str]:
        """Return the orders whose customers began to ask after a moment of the monotonic clock."""
        if self.trouble is not None:
            raise self.trouble
        return [order_id for asked_at, order_id in list(self._times) if asked_at > moment]

    def _run(self) -> None:
        try:
            with httpx.Client(timeout=ANSWER_SECONDS, trust_env=False) as client:
                while not self._over.is_set():
                    self._one(client)
                    self._batch(client)
                    self._over.wait(self._pause)
        except BaseException as error:  # noqa: BLE001 - the test hears of it in `stop`
            self.trouble = error

    def _one(self, client: httpx.Client) -> None:
        key, body = self._order()
        asked_at = time.monotonic()
        answer = self._answered(client, "/orders", body, {"Idempotency-Key": key})
        self._note(asked_at, key, answer.json()["id"])

    def _batch(self, client: httpx.Client) -> None:
        orders = [self._order() for _ in range(BATCH_ORDERS)]
        asked_at = time.monotonic()
        body = {"orders": [{**body, "idempotencyKey": key} for key, body in orders]}
        results = self._answered(client, "/orders/batch", body, {}).json()["results"]
        for (key, _), result in zip(orders, results, strict=True):
            self._note(asked_at, key, result["order"]["id"])

    def _note(self, asked_at: float, key: str, order_id: str) -> None:
        self.placed[key] = order_id
        self._times.append((asked_at, order_id))

    def _answered(
        self, client: httpx.Client, path: str, body: Mapping[str, object], headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return the answer of success; whatever else comes, the same is asked again, of any instance."""
        give_up_at = time.monotonic() + PATIENCE_SECONDS
        said = ""
        while time.monotonic() < give_up_at:
            try:
                answer = client.post(f"{self._random.choice(self._addresses)}{path}", json=body, headers=headers)
            except httpx.HTTPError as error:
                said = repr(error)
            else:
                if answer.is_success:
                    return answer
                said = f"{answer.status_code} {answer.text[:500]}"
                assert answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or answer.status_code in (408, 429), said
            self.retries += 1
            time.sleep(self._random.uniform(0.05, 0.4))
        raise AssertionError(f"no answer in {PATIENCE_SECONDS:g} s; the last one: {said}")

    def _order(self) -> tuple[str, dict[str, object]]:
        self._number += 1
        lines = [
            {"productId": product, "quantity": self._random.randint(1, 3), "price": "9.99"}
            for product in self._random.sample(self.PRODUCTS, self._random.randint(1, 2))
        ]
        body: dict[str, object] = {
            "userId": f"user-{self._number % 50}",
            "items": lines,
            "mode": MODES[self._number % 2],
            "timeoutSeconds": TIMEOUT_SECONDS,
        }
        return f"k{self._seed}-{self._number}", body
