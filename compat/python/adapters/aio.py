"""aiokafka: the protocol in Python on asyncio."""

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, TopicAlreadyExistsError
from records import Record

from . import base


def _records(polled) -> list[Record]:
    return [
        Record(m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers))
        for messages in polled.values()
        for m in messages
    ]


def _now(work):
    """Runs a coroutine method to its end."""

    def run(self, *arguments, **named):
        return asyncio.run(asyncio.wait_for(work(self, *arguments, **named), base.PATIENCE))

    return run


class Client(base.Client):
    async def _with_admin(self, work):
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            return await work(admin)
        finally:
            await admin.close()

    @_now
    async def create_topic(self, name, partitions):
        answer = await self._with_admin(lambda admin: admin.create_topics([NewTopic(name, partitions, 1, topic_configs=base.KEEP)]))
        code = answer.topic_errors[0][1]
        if code == TopicAlreadyExistsError.errno:
            raise base.TopicExists
        assert code == 0, answer

    @_now
    async def topics(self):
        described = await self._with_admin(lambda admin: admin.describe_topics())
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    @_now
    async def delete_topic(self, name):
        answer = await self._with_admin(lambda admin: admin.delete_topics([name]))
        assert answer.topic_error_codes[0][1] == 0, answer

    @_now
    async def produce(self, topic, records, codec, idempotent):
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            linger_ms=5,
            acks="all",
        )
        await producer.start()
        futures = [
            await producer.send(topic, value, key, partition, timestamp, headers)
            for partition, timestamp, key, value, headers in records
        ]
        acked = [await future for future in futures]
        await producer.stop()
        return [(ack.partition, ack.offset) for ack in acked]

    async def _consumer(self, group, *topics) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self.bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            heartbeat_interval_ms=300,
        )
        await consumer.start()
        return consumer

    @_now
    async def read(self, topic, starts, count):
        consumer = await self._consumer(None)
        consumer.assign([TopicPartition(topic, p) for p in starts])
        for p, offset in starts.items():
            consumer.seek(TopicPartition(topic, p), offset)
        records = await self._take(consumer, count)
        await consumer.stop()
        return records

    async def _take(self, consumer, count):
        records = []
        while len(records) < count:
            records += _records(await consumer.getmany(timeout_ms=200, max_records=count - len(records)))
        return records

    @_now
    async def ends(self, topic, partitions):
        consumer = await self._consumer(None)
        found = await consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        await consumer.stop()
        return {tp.partition: offset for tp, offset in found.items()}

    @_now
    async def offsets_for_time(self, topic, partitions, timestamp):
        consumer = await self._consumer(None)
        found = await consumer.offsets_for_times({TopicPartition(topic, p): timestamp for p in range(partitions)})
        await consumer.stop()
        return {tp.partition: offset and offset.offset for tp, offset in found.items()}

    @_now
    async def consume(self, topic, group, count):
        consumer = await self._consumer(group, topic)
        records = await self._take(consumer, count)
        await consumer.commit(_next_offsets(topic, records))
        await consumer.stop()
        return records

    @_now
    async def committed(self, topic, group, partitions):
        # A consumer that joins nothing: with a subscription it would take part in the group.
        consumer = await self._consumer(group)
        consumer.assign([TopicPartition(topic, p) for p in range(partitions)])
        found = {p: await consumer.committed(TopicPartition(topic, p)) or 0 for p in range(partitions)}
        await consumer.stop()
        return found

    def member(self, topic, group):
        return Member(self, topic, group)


def _next_offsets(topic, records):
    return {TopicPartition(topic, record.partition): record.offset + 1 for record in records}


class Member(base.Member):
    def __init__(self, client, topic, group):
        super().__init__()
        self.client, self.topic, self.group = client, topic, group

    def consume_until_leaving(self):
        asyncio.run(self._consume_until_leaving())

    async def _consume_until_leaving(self):
        consumer = await self.client._consumer(self.group, self.topic)
        while not self.leaving.is_set():
            records = _records(await consumer.getmany(timeout_ms=50, max_records=500))
            self.records += records
            self.assigned = {tp.partition for tp in consumer.assignment()}
            if records:
                await self._commit(consumer, records)
        await consumer.stop()

    async def _commit(self, consumer, records):
        try:
            await consumer.commit(_next_offsets(self.topic, records))
        except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError):
            # A rebalance between the poll and the commit: the records come again, to whoever has them now.
            pass
