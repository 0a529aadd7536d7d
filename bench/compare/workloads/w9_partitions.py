"""W9: 10, 1,000 and 10,000 partitions: time to create them, memory of each idle, and publish p99 at 2 MB/s over all, class D.

They are those of ten topics, each with a producer of its own: one that knows 10,000 partitions looks at all of them whenever it
has something to send, and four of those took all of the load's core for 2 MB/s. Idle memory is VmRSS 5 s after the topics were made,
less that of the same broker before; of 10 partitions it says nothing. Kafka is measured in the first two repeats.
"""

import time
import typing

import probe
from bench import Bench, Row, loaded, records_per_second
from clients import Shape
from goals import Goal, bounded, exact, latency, median, quotient
from subjects import D, ONE_AND_ONE, Subject

NAME = "W9"
ABOUT = "10, 1,000 and 10,000 partitions"
MINUTES = 13
COLUMNS = {
    "create_s": "creation s",
    "idle_kib_per_partition": "idle KiB per partition",
    "publish_p50_ms": "publish p50 ms",
    "publish_p99_ms": "p99",
    "lost": "lost",
    "flushes_per_s": "flushes/s",
    "cpu_s_per_gb": "broker CPU s/GB",
    "load_busy": "load busy",
}
COUNTS = (10, 1000, 10_000)
TOPICS = 10
RATE_MB = 2
KAFKA_REPEATS = 2


def measure(bench: Bench) -> None:
    for repeat, name in bench.turns(("ailurus", "kafka")):
        if name == "kafka" and repeat >= KAFKA_REPEATS or not bench.classes([D]):
            continue
        for count in bench.pick(COUNTS, COUNTS[:2]):
            case = f"{count:,} partitions"
            # Buffers that warming up left would go while memory is looked at; only Kafka's code needs it.
            warm = name == "kafka"
            with bench.attempt(f"{NAME} {name} {case}"), bench.broker(name, D, ONE_AND_ONE, warm) as subject:
                bench.keep(NAME, subject, D, case, repeat, _of(bench, subject, count))


def _of(bench: Bench, subject: Subject, count: int) -> Row:
    empty = probe.memory_bytes(subject.pid)
    began = time.monotonic()
    bench.create(subject, "wide", count // TOPICS, D, seconds=300, count=TOPICS)
    created = time.monotonic() - began
    time.sleep(bench.pick(5, 1))
    idle = (probe.memory_bytes(subject.pid) - empty) / 1024 / count
    shape = Shape(count // TOPICS, producers=TOPICS, rate=records_per_second(RATE_MB), warmup=bench.pick(3, 1), duration=bench.pick(8, 2), topics=TOPICS)
    numbers = loaded(bench, subject, "wide", shape)
    if count >= COUNTS[1]:
        numbers |= {"idle_kib_per_partition": round(idle, 2), "said_idle_KiB": round(idle, 1)}
    return {**numbers, "create_s": round(created, 3)}


def goals(rows: list[Row]) -> list[Goal]:
    def wanted(count: int) -> Row:
        return {"subject": "ailurus", "case": f"{count:,} partitions"}

    most = max((count for count in COUNTS if latency(rows, "publish_p99_ms", **wanted(count))), default=COUNTS[-1])
    p99 = (latency(rows, "publish_p99_ms", **wanted(count)) for count in (most, COUNTS[0]))
    flushes = (exact(median(rows, "flushes_per_s", **wanted(count))) for count in (most, COUNTS[0]))
    idle = {count: exact(median(rows, "idle_kib_per_partition", **wanted(count))) for count in COUNTS[1:]}
    return [
        *(bounded(f"W9 resident per idle partition, {count:,} of them", found, 20, " KiB") for count, found in idle.items()),
        quotient(f"W9 publish p99 at {most:,} partitions against that at 10", *p99, at_most=2),
        quotient(f"data path: flushes per second at {most:,} partitions against those at 10", *flushes, at_most=1.2),
    ]
