"""The notification service as a process of its own, over whatever log and store the environment names."""

from notification_service.wiring import SETTINGS, host
from sagakit.hosting import run
from shop_contracts.topics import TOPIC_NAMES, topics_of

if __name__ == "__main__":
    run(host, (*TOPIC_NAMES, *(topic.name for topic in topics_of("notification"))), SETTINGS)
