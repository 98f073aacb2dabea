"""The analytics service as a process of its own, over whatever log and store the environment names."""

from analytics_service.wiring import SETTINGS, host
from sagakit.hosting import run
from shop_contracts.topics import TOPIC_NAMES

if __name__ == "__main__":
    run(host, TOPIC_NAMES, SETTINGS)
