"""Kills a broker again and again under real producers and a real group, and checks what it owes them.

    crash.py --port PORT --log FILE --cycles N --shards 2[,1,3] [--seed S] -- BROKER COMMAND WITH {shards}

Three idempotent producers (acks=all) and a group of one run all the time and never learn that the broker dies under
them. A cycle lets them run for a moment, kills the broker with SIGKILL, starts it again on the same data (every fourth
time it is killed once more while it recovers), and then checks:

- every acknowledged record is at the partition and offset that was acknowledged, with its content;
- each producer's records are there once and in order, and no record is there that nobody produced;
- the group's committed offsets are at or after the last commit that was acknowledged;
- offsets have no gap, and what was read once reads the same at the end.

At the end the producers are drained, so that each record must be there exactly once, and a new member of the group goes
on exactly where the old one committed.

A killed process leaves its writes to the kernel, so this does not show a flush that is missing: the simulated disk does.
"""

import argparse
import contextlib
import random
import socket
import subprocess
import sys
import threading
import time
import zlib

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC, GROUP = "crash", "crash-group"
PARTITIONS = 4
PRODUCERS = 3
#: Records that one producer has under way at most; keeps the check and the drain at the end short.
UNDER_WAY = 2_000
#: What a broker may answer, or a client say for it, while it comes up.
LOADING = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
    KafkaError._WAIT_COORD,
)
READY_SECONDS = 30
PATIENCE = 60


class Broker:
    """The process that is killed."""

    def __init__(self, command: list[str], port: int, log: str, shards: list[int], dice: random.Random):
        self.command, self.port, self.log, self.shards, self.dice = command, port, log, shards, dice
        self.child: subprocess.Popen[bytes] | None = None
        self.started = 0.0
        self.ready_times: list[float] = []

    def start(self) -> int:
        shards = self.dice.choice(self.shards)
        words = [word.format(shards=shards) for word in self.command]
        self.started = time.monotonic()
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return shards

    def wait_ready(self) -> None:
        while time.monotonic() < self.started + READY_SECONDS:
            self.check_alive()
            if self._answers():
                self.ready_times.append(time.monotonic() - self.started)
                return
            time.sleep(0.002)
        raise AssertionError(f"the broker did not answer within {READY_SECONDS} s")

    def _answers(self) -> bool:
        """A connection alone says nothing: the kernel may still accept for the process that was killed."""
        api_versions = bytes.fromhex("0000000b 0012 0000 00000001 0001 63")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as conn:
            conn.settimeout(1)
            conn.sendall(api_versions)
            return len(conn.recv(4)) > 0
        return False

    def check_alive(self) -> None:
        code = self.child.poll()
        assert code is None, f"the broker ended by itself with {code}; see {self.log}"

    def kill(self) -> None:
        self.check_alive()
        self.child.kill()
        self.child.wait()


def content(producer: int, seq: int) -> bytes:
    """Up to 2 KiB that depend on nothing but whose record it is; a checksum of that at its end."""
    dice = random.Random(producer << 40 | seq)
    body = f"{producer}:{seq}:".encode() + dice.randbytes(dice.choice([0, 10, 100, 2_000]))
    return body + zlib.crc32(body).to_bytes(4, "big")


class Writer(threading.Thread):
    """One idempotent producer. `acked` is what the broker owes it."""

    def __init__(self, address: str, number: int):
        super().__init__(daemon=True)
        self.number = number
        self.producer = Producer(
            {
                "bootstrap.servers": address,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "compression.type": ["none", "lz4", "zstd"][number % 3],
                # Nothing may be given up: the broker always comes back.
                "message.timeout.ms": 600_000,
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 20,
                "retry.backoff.max.ms": 200,
                "log_level": 2,
            }
        )
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        #: Place of each acknowledged record of this producer.
        self.acked: dict[int, tuple[int, int]] = {}
        self.produced = 0
        self.failure: str | None = None

    def run(self) -> None:
        while not self.stopping.is_set() and not self.failure:
            if len(self.producer) >= UNDER_WAY:
                self.producer.poll(0.01)
                continue
            seq = self.produced
            self.produced += 1
            place = {"partition": seq % PARTITIONS, "on_delivery": self._on_delivery(seq)}
            self.producer.produce(TOPIC, content(self.number, seq), str(seq).encode(), **place)
            self.producer.poll(0)
            if seq % 50 == 0:
                time.sleep(0.01)

    def _on_delivery(self, seq: int):
        def note(error, message) -> None:
            if error is not None:
                self.failure = f"producer {self.number} gave up record {seq}: {error}"
                return
            with self.lock:
                self.acked[seq] = (message.partition(), message.offset())

        return note

    def drain(self) -> None:
        """Until everything is acknowledged."""
        self.stopping.set()
        self.join(PATIENCE)
        left = self.producer.flush(PATIENCE)
        assert left == 0 and not self.failure, self.failure or f"{left} records were never acknowledged"
        assert len(self.acked) == self.produced

    def owed(self) -> dict[int, tuple[int, int]]:
        assert not self.failure, self.failure
        with self.lock:
            return dict(self.acked)


class Reader(threading.Thread):
    """A group of one. `committed` is what the broker has acknowledged to it."""

    def __init__(self, address: str):
        super().__init__(daemon=True)
        self.consumer = consumer(address, GROUP)
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.committed: dict[int, int] = {}
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self.consumer.subscribe([TOPIC])
            while not self.stopping.is_set():
                batch = [message for message in self.consumer.consume(200, 0.1) if message.error() is None]
                if batch:
                    self._commit({message.partition(): message.offset() + 1 for message in batch})
            self.consumer.close()
        except BaseException as failure:
            self.failure = failure

    def _commit(self, offsets: dict[int, int]) -> None:
        try:
            answered = self.consumer.commit(
                offsets=[TopicPartition(TOPIC, p, offset) for p, offset in offsets.items()], asynchronous=False
            )
        except KafkaException:
            return  # The broker is dead or the group moved: nothing was promised.
        with self.lock:
            self.committed.update({tp.partition: tp.offset for tp in answered if tp.error is None})

    def owed(self) -> dict[int, int]:
        if self.failure:
            raise self.failure
        with self.lock:
            return dict(self.committed)

    def stop(self) -> None:
        self.stopping.set()
        self.join(PATIENCE)
        assert not self.is_alive(), "the group's member does not end"


def consumer(address: str, group: str, **more) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": address,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 500,
            "reconnect.backoff.max.ms": 200,
            "fetch.wait.max.ms": 50,
            "log_level": 2,
            **more,
        }
    )


class Ledger:
    """All that was read so far, checked as it comes."""

    def __init__(self) -> None:
        #: Producer and number of the record at each partition and offset.
        self.rows: dict[tuple[int, int], tuple[int, int]] = {}
        self.next_offset = dict.fromkeys(range(PARTITIONS), 0)
        #: Per producer and partition: its newest record. They are dealt out in turn, so the next is PARTITIONS on.
        self.newest: dict[tuple[int, int], int] = {}

    def add(self, message) -> None:
        partition, offset, value = message.partition(), message.offset(), message.value()
        where = f"partition {partition} offset {offset}"
        assert offset == self.next_offset[partition], f"{where}: {self.next_offset[partition]} should come next"
        assert zlib.crc32(value[:-4]) == int.from_bytes(value[-4:], "big"), f"{where}: content is broken"
        producer, seq = (int(word) for word in value.split(b":", 2)[:2])
        assert value == content(producer, seq) and message.key() == str(seq).encode(), f"{where}: content is not record {seq}"
        before = self.newest.get((producer, partition), partition - PARTITIONS)
        assert seq == before + PARTITIONS, f"{where}: producer {producer}'s record {seq} after {before}"
        self.newest[producer, partition] = seq
        self.rows[partition, offset] = (producer, seq)
        self.next_offset[partition] = offset + 1

    def check(self, producer: int, acked: dict[int, tuple[int, int]]) -> None:
        for seq, place in acked.items():
            row = self.rows.get(place)
            assert row is not None, f"LOST: record {seq} of producer {producer}, acknowledged at {place}"
            assert row == (producer, seq), f"{place}: acknowledged for {producer}:{seq}, holds {row[0]}:{row[1]}"


def read_on(address: str, ledger: Ledger, upto: dict[int, int]) -> None:
    """Reads from where the ledger is to these ends."""
    reader = consumer(address, "crash-check")
    todo = {p for p, end in upto.items() if ledger.next_offset[p] < end}
    reader.assign([TopicPartition(TOPIC, p, ledger.next_offset[p]) for p in todo])
    deadline = time.monotonic() + PATIENCE
    while todo:
        assert time.monotonic() < deadline, f"partitions {todo} cannot be read to {upto}; stuck at {ledger.next_offset}"
        batch = reader.consume(1000, 0.2)
        deadline = time.monotonic() + PATIENCE if batch else deadline
        for message in batch:
            assert message.error() is None, message.error()
            if message.offset() < upto[message.partition()]:
                ledger.add(message)
        todo = {p for p in todo if ledger.next_offset[p] < upto[p]}
    reader.close()


def ends(address: str) -> dict[int, int]:
    reader = consumer(address, "crash-check")
    marks = {}
    for p in range(PARTITIONS):
        marks[p] = insist(lambda p=p: reader.get_watermark_offsets(TopicPartition(TOPIC, p), 10, cached=False))
    reader.close()
    assert all(low == 0 for low, _ in marks.values()), f"the log begins at {marks}"
    return {p: high for p, (_, high) in marks.items()}


def committed(address: str) -> dict[int, int]:
    """The group's offsets."""
    asker = consumer(address, GROUP)
    found = insist(lambda: asker.committed([TopicPartition(TOPIC, p) for p in range(PARTITIONS)], 10))
    asker.close()
    return {tp.partition: tp.offset for tp in found}


def wait_until(what: str, condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{PATIENCE} s and not yet: {what}"
        time.sleep(0.01)


def insist(ask):
    """Asks until there is an answer: a broker that has just started may still be loading what is asked for."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask()
        except KafkaException as failure:
            assert failure.args[0].code() in LOADING and time.monotonic() < deadline, failure
            time.sleep(0.05)


def check_everything(address: str, ledger: Ledger, owed_records, owed_commits) -> None:
    read_on(address, ledger, ends(address))
    for number, acked in owed_records.items():
        ledger.check(number, acked)
    now = committed(address)
    for partition, offset in owed_commits.items():
        assert now[partition] >= offset, f"partition {partition}: committed {offset} was acknowledged, {now[partition]} is left"


def one_cycle(number: int, broker: Broker, address: str, writers, reader, ledger, dice: random.Random) -> None:
    before = {writer: len(writer.owed()) for writer in writers}
    wait_until("the producers are served again", lambda: all(len(w.owed()) > count for w, count in before.items()))
    time.sleep(dice.uniform(0, 0.8))
    broker.kill()
    # Taken after the kill: whatever is acknowledged here was acknowledged by the dead one.
    records = {writer.number: writer.owed() for writer in writers}
    commits = reader.owed()
    shards = broker.start()
    if number % 4 == 3:
        time.sleep(dice.uniform(0, 0.1))
        broker.kill()
        shards = broker.start()
    broker.wait_ready()
    check_everything(address, ledger, records, commits)
    acked = sum(map(len, records.values()))
    print(f"cycle {number}: {acked} acknowledged, all there; up with {shards} shards in {broker.ready_times[-1]:.3f} s", flush=True)


def finish(address: str, writers, reader, ledger: Ledger) -> None:
    for writer in writers:
        writer.drain()
    reader.stop()
    # From the first offset: what was right once must not have changed since.
    again = Ledger()
    check_everything(address, again, {writer.number: writer.owed() for writer in writers}, reader.owed())
    assert all(again.rows[place] == row for place, row in ledger.rows.items()), "a record changed after it was read"
    total = sum(writer.produced for writer in writers)
    assert len(again.rows) == total, f"{total} records were produced, {len(again.rows)} are there"
    resume(address, again)
    print(f"{total} records, each there once, in order, at its offset; the group resumed where it had committed")


def resume(address: str, ledger: Ledger) -> None:
    """A new member starts exactly at the committed offsets."""
    start = {p: max(offset, 0) for p, offset in committed(address).items()}
    left = {p for p in start if start[p] < ledger.next_offset[p]}
    member = consumer(address, GROUP)
    member.subscribe([TOPIC])
    first: dict[int, int] = {}
    deadline = time.monotonic() + PATIENCE
    while left - set(first):
        assert time.monotonic() < deadline, f"the group does not go on in {left - set(first)}"
        for message in member.consume(100, 0.2):
            if message.error() is None:
                first.setdefault(message.partition(), message.offset())
    member.close()
    assert first == {p: start[p] for p in left}, f"committed {start}, resumed at {first}"


def main() -> None:
    options = parse()
    dice = random.Random(options.seed)
    address = f"127.0.0.1:{options.port}"
    shards = [int(word) for word in options.shards.split(",")]
    broker = Broker(options.command, options.port, options.log, shards, dice)
    print(f"seed {options.seed}", flush=True)
    broker.start()
    broker.wait_ready()
    try:
        run(options.cycles, broker, address, dice)
    finally:
        if broker.child.poll() is None:
            broker.child.terminate()
            broker.child.wait(PATIENCE)


def run(cycles: int, broker: Broker, address: str, dice: random.Random) -> None:
    wanted = NewTopic(TOPIC, PARTITIONS, 1, config={"retention.ms": "-1"})
    admin = AdminClient({"bootstrap.servers": address, "log_level": 2})
    admin.create_topics([wanted])[TOPIC].result(PATIENCE)
    writers = [Writer(address, number) for number in range(PRODUCERS)]
    reader = Reader(address)
    for thread in (*writers, reader):
        thread.start()
    ledger = Ledger()
    for number in range(cycles):
        one_cycle(number, broker, address, writers, reader, ledger, dice)
    finish(address, writers, reader, ledger)
    times = sorted(broker.ready_times)
    print(f"{cycles} kills; answering again after {times[len(times) // 2]:.3f} s in the middle, {times[-1]:.3f} s at most")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--log", required=True)
    parser.add_argument("--cycles", type=int, default=10)
    parser.add_argument("--shards", default="2")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("command", nargs="+")
    return parser.parse_args()


if __name__ == "__main__":
    main()
