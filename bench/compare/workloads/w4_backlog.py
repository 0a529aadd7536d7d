"""W4: a consumer that lies 5 GB behind reads it all while 10 MB/s are written to the same topic, class D.

rdkafka_performance fills 12 partitions, more than the broker's memory. Publish latency is measured at 10 MB/s without the reader,
and then while Kafka's ConsumerPerformance reads from the beginning: in a window that begins while it reads and is meant to end
before it does. By the reader's own times the row says what share of the window it covers; less than all of it is no measure of a
publish during the drain, and decides nothing. Writing goes on at the same rate before and behind the window, as long as it reads. The drain's rate is what
the reader says itself, over the 5 GB.
"""

import contextlib
import datetime
import time
import typing

import clients
import probe
from bench import MB, Bench, Row, loaded, measured, records_per_second
from clients import Shape
from goals import Goal, latency, quotient, ratio, throughput, values
from subjects import D, ONE_AND_ONE, Subject

NAME = "W4"
ABOUT = "5 GB backlog read while 10 MB/s are written, class D"
MINUTES = 15
COLUMNS = {
    "publish_p50_ms": "publish p50 ms",
    "publish_p99_ms": "p99",
    "publish_p999_ms": "p99.9",
    "drain_mb_per_s": "drain MB/s",
    "drain_s": "drain s",
    "cpu_s_per_gb_moved": "broker CPU s/GB in and out",
    "covered": "share of the window with a reader",
    "load_busy": "load busy",
    "peak_resident_mib": "peak RSS MiB",
}
PARTITIONS = 12
RATE_MB = 10
ALONE, READ = "written alone", "written and drained"
#: What a reader may take for the backlog.
DRAIN_SECONDS_MAX = 400
#: More than its own classes: a reader that has read this much reads the backlog.
READS_BYTES = 150 * MB


def measure(bench: Bench) -> None:
    def once(subject: Subject, klass: str, repeat: int) -> None:
        records = int(bench.pick(5e9, 1.5e9) / clients.RECORD_BYTES)
        bench.create(subject, "backlog", PARTITIONS, klass)
        with bench.clients.produce(subject.address, "backlog", records, linger_ms=20) as producer:
            producer.finish(600)
        bench.keep(NAME, subject, klass, ALONE, repeat, measured(bench, subject, "alone", klass, _shape(bench.pick(10, 2))))
        bench.keep(NAME, subject, klass, READ, repeat, _drained(bench, subject, records))

    # Filling it warms Kafka up: 5 GB, more than `--warm-gb`.
    bench.rounds(NAME, ("ailurus", "kafka"), ONE_AND_ONE, once, classes=[D], warm=False)


def _shape(duration: float, warmup: float = 2) -> Shape:
    return Shape(PARTITIONS, producers=4, rate=records_per_second(RATE_MB), warmup=warmup, duration=duration)


def _drained(bench: Bench, subject: Subject, records: int) -> Row:
    """Publish latency inside the drain, and the drain."""
    words = ["--bootstrap-server", subject.address, "--topic", "backlog", "--messages", records, "--timeout", 60_000]
    with contextlib.ExitStack() as stack:

        def write() -> clients.Child:
            return stack.enter_context(bench.clients.load_on(subject.address, "backlog", _shape(DRAIN_SECONDS_MAX, warmup=0)))

        before = write()
        reader = stack.enter_context(bench.clients.java("ConsumerPerformance", *words))
        background = clients.Background(reader, DRAIN_SECONDS_MAX)
        _wait_until_it_reads(reader, background)
        before.__exit__()

        def go_on() -> None:
            write()

        numbers = loaded(bench, subject, "backlog", _shape(bench.pick(6, 1), warmup=bench.pick(2, 1)), at_end=go_on)
        drain = Drain.of(background.finish())
    begin, end = (milliseconds / 1000 for milliseconds in numbers["window_unix_ms"])
    within = max(0.0, min(end, drain.end) - max(begin, drain.begin))
    moved_mb = numbers["mb_per_s_in"] * numbers["seconds"] + drain.mb_per_s * within
    return {
        **numbers,
        "drain_mb_per_s": round(drain.mb_per_s, 1),
        "drain_s": round(drain.end - drain.begin, 1),
        "covered": round(within / (end - begin), 3),
        "cpu_s_per_gb_moved": round(numbers["cpu_seconds"] / (moved_mb / 1000), 3),
        "said_drain_MB/s": round(drain.mb_per_s),
        "said_covered": f"{within / (end - begin):.0%}",
    }


def _wait_until_it_reads(reader: clients.Child, background: clients.Background) -> None:
    """It takes its seconds to load its classes and to join its group."""
    deadline = time.monotonic() + clients.JAVA_START_SECONDS
    while not background.done() and probe.read_bytes(reader.process.pid) < READS_BYTES:
        if time.monotonic() > deadline:
            raise clients.tools.Failed(f"ConsumerPerformance read nothing within {clients.JAVA_START_SECONDS} s")
        time.sleep(0.02)


class Drain(typing.NamedTuple):
    """What ConsumerPerformance says of itself: seconds since 1970 from its first fetch to its last record, and MB/s (10^6)."""

    begin: float
    end: float
    mb_per_s: float

    @classmethod
    def of(cls, lines: list[str]) -> "Drain":
        """It prints a line of titles and one of values, sizes in MiB; the group is joined before it fetches."""
        rows = [[cell.strip() for cell in line.split(",")] for line in lines if line.count(",") >= 8]
        for titles, cells in zip(rows, rows[1:]):
            if "data.consumed.in.MB" in titles:
                said = dict(zip(titles, cells))
                rate = float(said["data.consumed.in.MB"]) * 1.048576 / (float(said["fetch.time.ms"]) / 1000)
                return cls(_moment(said["start.time"]) + float(said["rebalance.time.ms"]) / 1000, _moment(said["end.time"]), rate)
        raise clients.tools.Failed(f"ConsumerPerformance did not say what it read: {' / '.join(lines[-3:])}")


def _moment(text: str) -> float:
    """As Kafka's tools write it; `Clients.java` has them in UTC."""
    return datetime.datetime.strptime(f"{text} +0000", "%Y-%m-%d %H:%M:%S:%f %z").timestamp()


def goals(rows: list[Row]) -> list[Goal]:
    during = latency(rows, "publish_p99_ms", subject="ailurus", case=READ)
    alone = latency(rows, "publish_p99_ms", subject="ailurus", case=ALONE)
    p99 = quotient("W4 publish p99 during the drain against that without", during, alone, at_most=2)
    covered = min(values(rows, "covered", subject="ailurus", case=READ), default=1)
    if during and covered < 1:
        p99.measured += f"; the reader covered only {covered:.0%} of the window"
        if p99.reached:
            p99.reached, p99.why = None, "window not inside the drain"
    return [p99, ratio(rows, "W4 drain rate against Kafka", "drain_mb_per_s", D, "kafka", at_least=1, kind=throughput, case=READ)]
