"""kafka-python: the protocol in pure Python."""

import time

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import CommitFailedError, IllegalGenerationError, RebalanceInProgressError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata
from records import Record

from . import base


def _records(polled) -> list[Record]:
    return [
        Record(m.partition, m.offset, m.timestamp, m.key, m.value, list(m.headers))
        for messages in polled.values()
        for m in messages
    ]


class Client(base.Client):
    def __init__(self, bootstrap: str):
        super().__init__(bootstrap)
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)

    def create_topic(self, name, partitions):
        try:
            self.admin.create_topics([NewTopic(name, partitions, 1, topic_configs=base.KEEP)])
        except TopicAlreadyExistsError as failure:
            raise base.TopicExists from failure

    def topics(self):
        described = self.admin.describe_topics(self.admin.list_topics())
        return {topic.get("topic") or topic["name"]: len(topic["partitions"]) for topic in described}

    def delete_topic(self, name):
        self.admin.delete_topics([name])

    def produce(self, topic, records, codec, idempotent):
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            compression_type=None if codec == "none" else codec,
            enable_idempotence=idempotent,
            linger_ms=5,
            acks="all",
        )
        futures = [
            producer.send(topic, value, key, headers, partition, timestamp)
            for partition, timestamp, key, value, headers in records
        ]
        producer.flush(base.PATIENCE)
        acked = [future.get(base.PATIENCE) for future in futures]
        producer.close()
        return [(ack.partition, ack.offset) for ack in acked]

    def _consumer(self, group) -> KafkaConsumer:
        return KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # Its default is three seconds between heartbeats: that long each rebalance would take.
            heartbeat_interval_ms=300,
        )

    def read(self, topic, starts, count):
        consumer = self._consumer(None)
        consumer.assign([TopicPartition(topic, p) for p in starts])
        for p, offset in starts.items():
            consumer.seek(TopicPartition(topic, p), offset)
        records = self._take(consumer, count)
        consumer.close()
        return records

    def _take(self, consumer, count):
        records, deadline = [], time.monotonic() + base.PATIENCE
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} records"
            records += _records(consumer.poll(200, max_records=count - len(records)))
        return records

    def ends(self, topic, partitions):
        consumer = self._consumer(None)
        found = consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        consumer.close()
        return {tp.partition: offset for tp, offset in found.items()}

    def offsets_for_time(self, topic, partitions, timestamp):
        consumer = self._consumer(None)
        found = consumer.offsets_for_times({TopicPartition(topic, p): timestamp for p in range(partitions)})
        consumer.close()
        return {tp.partition: offset and offset.offset for tp, offset in found.items()}

    def consume(self, topic, group, count):
        consumer = self._consumer(group)
        consumer.subscribe([topic])
        records = self._take(consumer, count)
        consumer.commit(_next_offsets(topic, records))
        consumer.close()
        return records

    def committed(self, topic, group, partitions):
        consumer = self._consumer(group)
        found = {p: consumer.committed(TopicPartition(topic, p)) or 0 for p in range(partitions)}
        consumer.close()
        return found

    def member(self, topic, group):
        return Member(self._consumer(group), topic)


def _next_offsets(topic, records):
    following = {record.partition: record.offset + 1 for record in records}
    return {TopicPartition(topic, p): OffsetAndMetadata(offset, "", -1) for p, offset in following.items()}


class Member(base.Member):
    def __init__(self, consumer, topic):
        super().__init__()
        self.consumer, self.topic = consumer, topic

    def consume_until_leaving(self):
        self.consumer.subscribe([self.topic])
        while not self.leaving.is_set():
            records = _records(self.consumer.poll(50))
            self.records += records
            self.assigned = {tp.partition for tp in self.consumer.assignment()}
            if records:
                self._commit(records)
        self.consumer.close()

    def _commit(self, records):
        try:
            self.consumer.commit(_next_offsets(self.topic, records))
        except (CommitFailedError, IllegalGenerationError, RebalanceInProgressError):
            # A rebalance between the poll and the commit: the records come again, to whoever has them now.
            pass
