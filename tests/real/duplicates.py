"""Every record of every topic once more: the same bytes in the same partition, in any order."""

import asyncio
from collections.abc import Mapping
from random import Random

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from onebox.wiring import ALL_TOPICS

BATCH_MS = 500


def copy_everything(environment: Mapping[str, str], random: Random) -> int:
    """Publish again what all topics have now, and return how many records that were."""
    return asyncio.run(_copy(environment, random))


async def _copy(environment: Mapping[str, str], random: Random) -> int:
    servers = environment["SAGAPLANE_KAFKA_BOOTSTRAP_SERVERS"]
    topics = [f"{environment['SAGAPLANE_KAFKA_TOPIC_PREFIX']}{topic.name}" for topic in ALL_TOPICS]
    async with (
        AIOKafkaConsumer(*topics, bootstrap_servers=servers) as reader,
        AIOKafkaProducer(bootstrap_servers=servers, acks="all") as writer,
    ):
        places = [TopicPartition(t, p) for t in topics for p in reader.partitions_for_topic(t) or ()]
        records = await _read(reader, places)
        random.shuffle(records)
        sent = [
            await writer.send(r.topic, value=r.value, key=r.key, partition=r.partition, headers=[*r.headers])
            for r in records
        ]
        await asyncio.gather(*sent)
    return len(records)


async def _read(reader: AIOKafkaConsumer, places: list[TopicPartition]) -> list[AIOKafkaConsumer]:
    ends = await reader.end_offsets(places)
    await reader.seek_to_beginning(*places)
    records = []
    while any([await reader.position(place) < ends[place] for place in places]):
        for fetched in (await reader.getmany(timeout_ms=BATCH_MS)).values():
            records += [
                record for record in fetched if record.offset < ends[TopicPartition(record.topic, record.partition)]
            ]
    return records
