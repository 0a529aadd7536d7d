"""What brokers ask of the kernel: a run under `strace -f`, apart from all others because it slows down what it counts.

rdkafka_performance produces 10,000 records of 1 KiB a second to 12 partitions and another one consumes them. Once that is steady,
strace is attached to all threads of the broker, and to those that come later; threads of the kernel (io_uring's) make no calls.
Records and requests are those of the clients' own statistics. Each of these says when it was made, and each call when it began: what
counts are the calls between the producer's two statistics. Shard threads are told by their names, each with its futex calls; Kafka
has none, so all of its threads are under `others`.
"""

import collections
import contextlib
import json
import pathlib
import re
import signal
import time
import typing

from driver import tools

import clients
import probe
from bench import Bench, Row
from goals import Goal, bounded, exact, values
from subjects import TWO_SHARED, Subject

NAME = "calls"
ABOUT = "system calls per request, futex calls of shard threads (strace)"
MINUTES = 3
COLUMNS = {
    "calls_per_request": "calls per request",
    "calls_per_1000": "calls per 1,000 records",
    "requests_per_1000": "requests per 1,000 records",
    "futex_per_million": "futex per million records",
    "shard_futex_per_million": "of shard threads",
    "shard_threads": "shard threads (futex calls)",
    "most_frequent": "most frequent, per 1,000 records",
}
PARTITIONS = 12
RATE = 10_000
SHARDED = ("ailurus", "null")
#: What strace may take until it has stopped each thread once, and until the clients speak again.
ATTACH_SECONDS = 20
#: A line of `strace -f -ttt`: thread, when the call began, its name. What is resumed has been counted where it began.
CALL = re.compile(r"^(\d+) +(\d+\.\d+) (\w+)\(")


def measure(bench: Bench) -> None:
    tools.need_program(bench.log, "strace", "strace")
    for name in ("ailurus", "kafka", "null"):
        for klass in bench.classes() if bench.wants(name) else []:
            with bench.attempt(f"{NAME} {name} {klass}"), bench.broker(name, klass, TWO_SHARED) as subject:
                bench.keep(NAME, subject, klass, f"{RATE:,} records/s", 0, _count(bench, subject, klass))


def _count(bench: Bench, subject: Subject, klass: str) -> Row:
    topic, endless = "calls", 100_000_000
    bench.create(subject, topic, PARTITIONS, klass)
    files = [bench.clients.scratch / f"calls-{name}.json" for name in ("producer", "consumer")]
    for file in files:
        file.unlink(missing_ok=True)
    with (
        bench.clients.consume(subject.address, topic, PARTITIONS, endless, statistics=files[1]) as consumer,
        bench.clients.produce(subject.address, topic, endless, statistics=files[0], rate=RATE) as producer,
    ):
        readers = [clients.Background(child, 120) for child in (consumer, producer)]
        time.sleep(bench.pick(4, 2))
        before, after, calls = _traced(bench, subject, files, bench.pick(8, 3))
        for child in (producer, consumer):
            child.signal(signal.SIGINT)
        for child, reader in zip((producer, consumer), readers):
            reader.thread.join(10)
            child.__exit__()
    if after.records <= before.records:
        raise tools.Failed("no record was acknowledged while strace looked on")
    threads = probe.look(subject.pid).threads
    shards = {tid: threads[tid].name for tid in probe.shard_threads(threads)}
    if subject.name in SHARDED and len(shards) != subject.setup.shards:
        raise tools.Failed(f"{subject.setup.shards} shard threads are expected, there are {sorted(shards.values())}")
    return _numbers(calls, shards, after.records - before.records, after.requests - before.requests, after.at - before.at)


def _numbers(calls: dict[int, collections.Counter[str]], shards: dict[int, str], records: int, requests: int, seconds: float) -> Row:
    tables: dict[str, collections.Counter[str]] = {"shards": collections.Counter(), "others": collections.Counter()}
    for tid, table in calls.items():
        tables["shards" if tid in shards else "others"].update(table)
    both = tables["shards"] + tables["others"]
    found = {
        "records": records,
        "client_requests": requests,
        "traced_seconds": round(seconds, 3),
        "traced_threads": len(calls),
        "calls": {name: dict(table.most_common()) for name, table in tables.items() if table},
        "calls_per_request": round(both.total() / max(1, requests), 3),
        "calls_per_1000": round(both.total() / records * 1000, 2),
        "requests_per_1000": round(requests / records * 1000, 2),
        "futex_per_million": round(both["futex"] / records * 1e6, 1),
        "most_frequent": ", ".join(f"{name} {count / records * 1000:.1f}" for name, count in both.most_common(5)),
    }
    if shards:
        found["shard_futex_per_million"] = round(tables["shards"]["futex"] / records * 1e6, 1)
        of_each = sorted((name, calls.get(tid, collections.Counter())["futex"]) for tid, name in shards.items())
        found["shard_threads"] = ", ".join(f"{name} ({futex})" for name, futex in of_each)
    return {**found, "said_calls_per_request": found["calls_per_request"], "said_per_1,000": found["most_frequent"]}


class Progress(typing.NamedTuple):
    """When the producer said so (CLOCK_MONOTONIC), records acknowledged, and requests of both clients."""

    at: float
    records: int
    requests: int


def _progress(files: list[pathlib.Path]) -> Progress:
    """By their latest statistics."""
    said = [_latest(file) for file in files]
    requests = sum(broker["req"].get(name, 0) for client in said for broker in client["brokers"].values() for name in ("Produce", "Fetch"))
    return Progress(said[0]["ts"] / 1e6, said[0]["txmsgs"], requests)


def _progress_after(files: list[pathlib.Path], moment: float) -> Progress:
    """The first that the producer says behind a moment."""
    deadline = time.monotonic() + ATTACH_SECONDS
    while (found := _progress(files)).at <= moment:
        if time.monotonic() > deadline:
            raise tools.Failed("the producer says no more while strace looks on")
        time.sleep(0.02)
    return found


def _latest(file: pathlib.Path) -> dict[str, typing.Any]:
    """The last whole line; the one after it may be in writing."""
    for line in reversed(file.read_text(errors="replace").splitlines() if file.exists() else []):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(line)
    raise tools.Failed(f"{file.name}: the client has said nothing yet")


def _traced(bench: Bench, subject: Subject, files: list[pathlib.Path], seconds: float) -> tuple[Progress, Progress, dict[int, collections.Counter[str]]]:
    """The clients' progress at both ends, and the calls in between, by thread."""
    file = bench.clients.scratch / "strace"
    file.unlink(missing_ok=True)
    # On whichever CPU; not among the load. Arguments are not looked at.
    words = ["strace", "-f", "-ttt", "-e", "raw=all", "-e", "signal=none", "-o", str(file), "-p", str(subject.pid)]
    with clients.Child(words, bench.log) as strace:
        background = clients.Background(strace, 120)
        background.wait_for("attached", ATTACH_SECONDS)
        before = _progress_after(files, time.monotonic())
        time.sleep(seconds)
        after = _progress_after(files, before.at)
        # What the statistics speak of has been written behind this.
        time.sleep(0.2)
        strace.signal(signal.SIGINT)
        background.finish()
    to_wall = time.time() - time.monotonic()
    return before, after, _between(file, before.at + to_wall, after.at + to_wall)


def _between(file: pathlib.Path, begin: float, end: float) -> dict[int, collections.Counter[str]]:
    """Calls that began in this time, by thread and name."""
    found: dict[int, collections.Counter[str]] = {}
    with file.open(errors="replace") as lines:
        for call in filter(None, map(CALL.match, lines)):
            if begin <= float(call[2]) < end:
                found.setdefault(int(call[1]), collections.Counter())[call[3]] += 1
    return found


def goals(rows: list[Row]) -> list[Goal]:
    worst = max(values(rows, "shard_futex_per_million", subject="ailurus"), default=None)
    return [bounded("data path: futex calls of shard threads per million records", exact(worst), 0)]
