"""The shipping service as a process of its own, over whatever log and store the environment names."""

from sagakit.hosting import run
from shipping_service.wiring import SETTINGS, host
from shop_contracts.topics import TOPIC_NAMES

if __name__ == "__main__":
    run(host, TOPIC_NAMES, SETTINGS)
