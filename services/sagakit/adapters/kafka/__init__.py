"""A log in Kafka: its brokers keep the records and the groups.

Here belong requests to brokers, connections, and the translation of Kafka's errors into sentences. What a message means
does not. aiokafka gives connections, metadata and the record format. Reading, publishing and membership are our own,
because each promises what its clients do not: to say that there is nothing only when there is nothing, to cost no
future per record, and to give up the partitions of a service that hangs.
"""

from sagakit.adapters.kafka.connection import WrongSettingsError
from sagakit.adapters.kafka.log import KafkaLog
from sagakit.adapters.kafka.settings import KafkaSettings
from sagakit.adapters.kafka.specs import WrongTopicsError

__all__ = ["KafkaLog", "KafkaSettings", "WrongSettingsError", "WrongTopicsError"]
