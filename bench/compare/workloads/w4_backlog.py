"""W4: a consumer that lies 5 GB behind reads it all while 10 MB/s are written to the same topic, class D.

rdkafka_performance fills 12 partitions, more than the broker's memory. Publish latency is measured at 10 MB/s without the reader,
and then while Kafka's ConsumerPerformance reads from the beginning. Its rate is what it says itself, over the 5 GB.
"""

import time
import typing

import clients
from bench import MB, Bench, Row, Window, flat, measured, records_per_second
from clients import Shape
from goals import Goal, median, quotient, ratio
from subjects import D, ONE_AND_ONE, Subject

NAME = "W4"
ABOUT = "5 GB backlog read while 10 MB/s are written, class D"
MINUTES = 19
COLUMNS = {
    "publish_p50_ms": "publish p50 ms",
    "publish_p99_ms": "p99",
    "publish_p999_ms": "p99.9",
    "drain_mb_per_s": "drain MB/s",
    "cpu_s_per_gb_moved": "broker CPU s/GB in and out",
    "covered": "share of the window with a reader",
    "load_busy": "load busy",
    "peak_resident_mib": "peak RSS MiB",
}
PARTITIONS = 12
RATE_MB = 10
ALONE, READ = "written alone", "written and drained"


def measure(bench: Bench) -> list[Row]:
    def once(subject: Subject, klass: str, repeat: int) -> typing.Iterator[Row]:
        records = int(bench.pick(5e9, 0.3e9) / clients.RECORD_BYTES)
        bench.create(subject, "backlog", PARTITIONS, klass)
        with bench.clients.produce(subject.address, "backlog", records, linger_ms=20) as producer:
            producer.finish(600)
        alone = measured(bench, subject, "alone", klass, _shape(bench, bench.pick(10, 2)))
        del alone["series"]
        yield bench.row(NAME, subject, klass, ALONE, repeat, alone)
        yield bench.row(NAME, subject, klass, READ, repeat, _drained(bench, subject, records))

    # Filling it warms Kafka up: 5 GB, more than `--warm-gb`.
    return bench.rounds(NAME, ("ailurus", "kafka"), ONE_AND_ONE, once, classes=[D], warm=False)


def _shape(bench: Bench, duration: float) -> Shape:
    return Shape(PARTITIONS, producers=4, rate=records_per_second(RATE_MB), warmup=2, duration=duration)


def _drained(bench: Bench, subject: Subject, records: int) -> Row:
    """The reader begins with the window, and may end within it: `covered` says when."""
    window = Window(subject)
    reader: list[clients.Child] = []
    ends: list[float] = []

    def begin() -> None:
        words = ["--bootstrap-server", subject.address, "--topic", "backlog", "--messages", records, "--timeout", 60_000]
        reader.append(bench.clients.java("ConsumerPerformance", *words))
        backgrounds.append(clients.Background(reader[0], 400))
        window.begin()

    backgrounds: list[clients.Background] = []
    try:
        shape = _shape(bench, bench.pick(20, 4))
        report = bench.clients.run(subject.address, "backlog", shape, begin, lambda: (window.end(), ends.append(time.monotonic())))
        covered_at_end = not backgrounds[0].done()
        said = backgrounds[0].finish()
    finally:
        for child in reader:
            child.__exit__()
    drain = drain_rate(said)
    numbers = {**window.numbers(), **flat(report)}
    del numbers["series"]
    seconds = records * clients.RECORD_BYTES / MB / drain
    numbers["drain_mb_per_s"] = round(drain, 1)
    numbers["said_drain_MB/s"] = round(drain)
    numbers["covered"] = 1.0 if covered_at_end else round(min(1.0, seconds / numbers["seconds"]), 2)
    moved = numbers["mb_per_s_in"] * numbers["seconds"] + drain * min(seconds, numbers["seconds"])
    numbers["cpu_s_per_gb_moved"] = round(numbers["cpu_seconds"] / (moved / 1000), 3)
    return numbers


def drain_rate(lines: list[str]) -> float:
    """MB/s (10^6) from what ConsumerPerformance prints: a line of titles, and one of values, in MiB."""
    rows = [[cell.strip() for cell in line.split(",")] for line in lines if line.count(",") >= 8]
    for titles, values in zip(rows, rows[1:]):
        if "data.consumed.in.MB" in titles:
            said = dict(zip(titles, values))
            return float(said["data.consumed.in.MB"]) * 1.048576 / (float(said["fetch.time.ms"]) / 1000)
    raise clients.tools.Failed(f"ConsumerPerformance did not say what it read: {' / '.join(lines[-3:])}")


def goals(rows: list[Row]) -> list[Goal]:
    during = median(rows, "publish_p99_ms", subject="ailurus", case=READ)
    alone = median(rows, "publish_p99_ms", subject="ailurus", case=ALONE)
    return [
        quotient("W4 publish p99 during the drain against that without", during, alone, at_most=2),
        ratio(rows, "W4 drain rate against Kafka", "drain_mb_per_s", D, "kafka", at_least=1, case=READ),
    ]
