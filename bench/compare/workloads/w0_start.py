"""W0: starting, doing nothing, and starting again after `kill -9`. A raw client that retries each millisecond is the clock.

*First ack*: from exec on an empty directory to the first acknowledged produce to a topic that is created on the way, with acks=all
and class D; four times per repeat. *Idle*: 1,000 partitions, each written once; VmRSS, and CPU over 30 s beginning 15 s
behind the last request; in the first two repeats. *Restart*: 10 GB in 1,000 partitions, killed; from exec until all
say their old ends, and until a new topic takes a record; once.
"""

import contextlib
import time
import typing

from driver import tools

import clients
import probe
import subjects
import wire
from bench import Bench, Row
from goals import Found, Goal, bounded, exact, values
from subjects import D, TWO_SHARED, Subject

NAME = "W0"
ABOUT = "exec to first acknowledged produce, idle, restart after kill -9"
MINUTES = 12
COLUMNS = {
    "first_ack_ms": "first ack ms",
    "idle_resident_mib": "idle RSS MiB",
    "idle_cpu_percent": "idle CPU %",
    "ends_s": "every end s",
    "restart_s": "new topic written s",
}
PARTITIONS = 1000
STARTS = 4
IDLE_REPEATS, RESTART_REPEATS = 2, 1
READY_SECONDS = 300
#: Class D for topics that come by themselves.
SETTINGS = {"ailurus": {}, "kafka": {"log.flush.interval.messages": "1"}}


def measure(bench: Bench) -> None:
    for repeat, name in bench.turns(("ailurus", "kafka")):
        if not bench.classes([D]):
            continue
        for case, times, kind in (("first ack", STARTS, _first_ack), ("idle", 1, _idle), ("restart", 1, _restart)):
            if repeat >= {"idle": IDLE_REPEATS, "restart": RESTART_REPEATS}.get(case, repeat + 1):
                continue
            for _ in range(bench.pick(times, 1)):
                with bench.attempt(f"{NAME} {name} {case}"), _broker(bench, name) as (subject, started):
                    bench.keep(NAME, subject, D, case, repeat, kind(bench, subject, started))


@contextlib.contextmanager
def _broker(bench: Bench, name: str) -> typing.Iterator[tuple[Subject, float]]:
    """Started, but not waited for, and when."""
    settings = {**SETTINGS[name], "auto.create.topics.enable": "true"}
    bench.clients.prefix = []
    with subjects.made(name, D, TWO_SHARED, bench.programs, settings, bench.log) as process:
        subjects.settle()
        began: list[float] = []
        start = process.start
        process.start = lambda: (began.append(time.monotonic()), start())
        process.wait_ready = lambda: None
        with subjects.running(name, process, TWO_SHARED) as subject:
            yield subject, began[0]


def _patient(subject: Subject, attempt: typing.Callable[[wire.Client], typing.Any]) -> typing.Any:
    """What `attempt` gives as soon as it gives something; a connection that fails is made again. Each millisecond."""
    deadline = time.monotonic() + READY_SECONDS
    client = None
    while time.monotonic() < deadline:
        if subject.process.child.poll() is not None:
            raise tools.Failed(f"the broker ended at its start; see {subject.process.log}")
        try:
            client = client or wire.Client(subject.address)
            found = attempt(client)
            if found:
                client.close()
                return found
        except (OSError, wire.Broken):
            client = None
        time.sleep(0.001)
    raise tools.Failed(f"the broker did not serve within {READY_SECONDS} s; see {subject.process.log}")


def _first_produce(subject: Subject, topic: str) -> None:
    record = wire.batch(b"first")

    def attempt(client: wire.Client) -> bool:
        leaders = client.leaders(topic)
        return bool(leaders) and leaders[0] >= 0 and client.produce(topic, record, [0])

    _patient(subject, attempt)


def _first_ack(bench: Bench, subject: Subject, started: float) -> Row:
    _first_produce(subject, "first")
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    return {"first_ack_ms": milliseconds, "said_first_ack_ms": milliseconds}


def _idle(bench: Bench, subject: Subject, started: float) -> Row:
    _first_produce(subject, "ready")
    bench.create(subject, "idle", PARTITIONS, D)
    record = wire.batch(bytes(clients.RECORD_BYTES))
    _patient(subject, lambda client: client.produce("idle", record, range(PARTITIONS)))
    time.sleep(bench.pick(15, 2))
    cpu, began = probe.cpu_seconds(subject.pid), time.monotonic()
    time.sleep(bench.pick(30, 2))
    percent = (probe.cpu_seconds(subject.pid) - cpu) / (time.monotonic() - began) * 100
    resident = probe.memory_bytes(subject.pid) / (1 << 20)
    return {
        "idle_resident_mib": round(resident, 1),
        "idle_cpu_percent": round(percent, 3),
        "said_resident_MiB": round(resident),
        "said_CPU_%": round(percent, 2),
    }


def _restart(bench: Bench, subject: Subject, started: float) -> Row:
    _first_produce(subject, "ready")
    bench.create(subject, "full", PARTITIONS, D)
    records = int(bench.pick(10e9, 0.2e9) / clients.RECORD_BYTES)
    with bench.clients.produce(subject.address, "full", records, linger_ms=1000) as producer:
        producer.finish(900)
    before = _patient(subject, lambda client: client.ends("full", PARTITIONS))
    if sum(before) != records:
        raise tools.Failed(f"{sum(before)} records of {records} are there before the crash")
    subject.process.kill()
    began = time.monotonic()
    subject.process.start()
    after = _patient(subject, lambda client: client.ends("full", PARTITIONS))
    ends = time.monotonic() - began
    if after != before:
        raise tools.Failed(f"{sum(before)} records were there before the crash, {sum(after)} after it")
    _first_produce(subject, "after")
    written = time.monotonic() - began
    return {"ends_s": round(ends, 2), "restart_s": round(written, 2), "said_ends_s": round(ends, 2), "said_written_s": round(written, 2)}


def goals(rows: list[Row]) -> list[Goal]:
    def worst(key: str) -> Found | None:
        return exact(max(values(rows, key, subject="ailurus"), default=None))

    return [
        bounded("W0 exec to first acknowledged produce, worst", worst("first_ack_ms"), 100, " ms"),
        bounded("W0 idle with 1,000 partitions: resident", worst("idle_resident_mib"), 64, " MiB"),
        bounded("W0 idle with 1,000 partitions: CPU", worst("idle_cpu_percent"), 0.5, " %"),
        bounded("W0 restart after kill -9 with 1,000 partitions and 10 GB", worst("restart_s"), 5, " s"),
    ]
