"""confluent-kafka: librdkafka under Python."""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from records import Record

from . import base


def _record(message) -> Record:
    assert message.error() is None, message.error()
    return Record(
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        [(name, value) for name, value in message.headers() or []],
    )


class Client(base.Client):
    def __init__(self, bootstrap: str):
        super().__init__(bootstrap)
        self.admin = AdminClient({"bootstrap.servers": bootstrap})

    def create_topic(self, name, partitions):
        try:
            self.admin.create_topics([NewTopic(name, partitions, 1, config=base.KEEP)])[name].result(base.PATIENCE)
        except KafkaException as failure:
            if failure.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                raise base.TopicExists from failure
            raise

    def topics(self):
        listed = self.admin.list_topics(timeout=base.PATIENCE).topics
        return {name: len(topic.partitions) for name, topic in listed.items()}

    def delete_topic(self, name):
        self.admin.delete_topics([name])[name].result(base.PATIENCE)

    def produce(self, topic, records, codec, idempotent):
        producer = Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "compression.type": codec,
                "enable.idempotence": idempotent,
                "linger.ms": 5,
                "acks": "all",
            }
        )
        acked = {}

        def on_delivery(n):
            def note(error, message):
                assert error is None, error
                acked[n] = (message.partition(), message.offset())

            return note

        for n, (partition, timestamp, key, value, headers) in enumerate(records):
            place = {} if partition is None else {"partition": partition}
            producer.produce(topic, value, key, timestamp=timestamp, headers=headers, on_delivery=on_delivery(n), **place)
            producer.poll(0)
        assert producer.flush(base.PATIENCE) == 0, "records are left unsent"
        return [acked[n] for n in sorted(acked)]

    def _consumer(self, group, **more) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                **more,
            }
        )

    def read(self, topic, starts, count):
        consumer = self._consumer("reader")
        consumer.assign([TopicPartition(topic, p, offset) for p, offset in starts.items()])
        records = self._take(consumer, count)
        consumer.close()
        return records

    def _take(self, consumer, count):
        records, deadline = [], time.monotonic() + base.PATIENCE
        while len(records) < count:
            assert time.monotonic() < deadline, f"{len(records)} of {count} records"
            records += map(_record, consumer.consume(min(500, count - len(records)), 0.2))
        return records

    def ends(self, topic, partitions):
        consumer = self._consumer("reader")
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p))[1] for p in range(partitions)}
        consumer.close()
        return ends

    def offsets_for_time(self, topic, partitions, timestamp):
        consumer = self._consumer("reader")
        asked = [TopicPartition(topic, p, timestamp) for p in range(partitions)]
        found = {tp.partition: tp.offset for tp in consumer.offsets_for_times(asked, base.PATIENCE)}
        consumer.close()
        return {p: None if offset < 0 else offset for p, offset in found.items()}

    def consume(self, topic, group, count):
        consumer = self._consumer(group)
        consumer.subscribe([topic])
        records = self._take(consumer, count)
        consumer.commit(offsets=_next_offsets(topic, records), asynchronous=False)
        consumer.close()
        return records

    def committed(self, topic, group, partitions):
        consumer = self._consumer(group)
        found = consumer.committed([TopicPartition(topic, p) for p in range(partitions)], base.PATIENCE)
        consumer.close()
        return {tp.partition: max(tp.offset, 0) for tp in found}

    def member(self, topic, group):
        return Member(self._consumer(group), topic)


def _next_offsets(topic, records):
    following = {record.partition: record.offset + 1 for record in records}
    return [TopicPartition(topic, p, offset) for p, offset in following.items()]


class Member(base.Member):
    def __init__(self, consumer, topic):
        super().__init__()
        self.consumer, self.topic = consumer, topic

    def consume_until_leaving(self):
        self.consumer.subscribe([self.topic])
        while not self.leaving.is_set():
            records = [_record(message) for message in self.consumer.consume(500, 0.05)]
            self.records += records
            self.assigned = {tp.partition for tp in self.consumer.assignment()}
            if records:
                self._commit(records)
        self.consumer.close()

    def _commit(self, records):
        try:
            self.consumer.commit(offsets=_next_offsets(self.topic, records), asynchronous=False)
        except KafkaException as failure:
            # A rebalance between the poll and the commit: the records come again, to whoever has them now.
            moved = (KafkaError.REBALANCE_IN_PROGRESS, KafkaError.ILLEGAL_GENERATION)
            if failure.args[0].code() not in moved:
                raise
