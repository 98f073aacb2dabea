"""What Kafka and PostgreSQL allow on this machine, by their plain libraries: the limits beside our own figures."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

import aiokafka
import asyncpg

SECONDS = 3.0
ROWS = 500
RECORDS = 100_000
RECORD_BYTES = 350
TOPIC = "limits"
POLL_MILLISECONDS = 1000


async def commits(url: str, rows: int) -> float:
    """Return how many transactions with so many rows one connection commits in a second, each row an INSERT's share."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS limits (id bigserial PRIMARY KEY, doc text)")
        docs = [os.urandom(150).hex()] * rows
        insert = "INSERT INTO limits (doc) SELECT unnest($1::text[])"

        async def one() -> None:
            await connection.execute("BEGIN")
            await connection.execute(insert, docs)
            await connection.execute("COMMIT")

        return await _rate(one)
    finally:
        await connection.close()


async def produce(brokers: str, partitions: int) -> float:
    """Return how many records aiokafka's producer publishes in a second: idempotent, in batches made by hand."""
    value = os.urandom(RECORD_BYTES)
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=brokers, enable_idempotence=True, acks="all") as producer:
        began, sent = time.perf_counter(), 0
        waiting: list[Awaitable[object]] = []
        while sent < RECORDS:
            batch = producer.create_batch()
            while sent < RECORDS and batch.append(key=b"limit", value=value, timestamp=None) is not None:
                sent += 1
            batch.close()
            waiting.append(await producer.send_batch(batch, TOPIC, partition=sent % partitions))
        await asyncio.gather(*waiting)
        return sent / (time.perf_counter() - began)


async def consume(brokers: str) -> float:
    """Return how many records aiokafka's consumer reads in a second, of those that `produce` left."""
    consumer = aiokafka.AIOKafkaConsumer(TOPIC, bootstrap_servers=brokers, auto_offset_reset="earliest")
    async with consumer:
        began, read = time.perf_counter(), 0
        while read < RECORDS:
            found = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=1000)
            read += sum(map(len, found.values()))
        return read / (time.perf_counter() - began)


async def _rate(work: Callable[[], Awaitable[None]]) -> float:
    await work()
    began, times = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < SECONDS:
        await work()
        times += 1
    return times / passed
