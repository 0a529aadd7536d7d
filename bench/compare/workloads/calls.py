"""What brokers ask of the kernel: a run under `strace -c`, apart from all others because it slows down what it counts.

rdkafka_performance produces 10,000 records of 1 KiB a second to 12 partitions and another one consumes them. Once that is steady,
strace looks on for some seconds. Records and requests in between are those of the clients' own statistics. Shard threads are
counted apart: Kafka has none, so all of its threads are under `others`.
"""

import contextlib
import json
import pathlib
import signal
import time
import typing

from driver import tools

import clients
import probe
from bench import Bench, Row
from goals import Goal, bounded, values
from subjects import TWO_SHARED, Subject

NAME = "calls"
ABOUT = "system calls per request, futex calls of shard threads (strace)"
MINUTES = 4
COLUMNS = {
    "calls_per_request": "calls per request",
    "calls_per_1000": "calls per 1,000 records",
    "requests_per_1000": "requests per 1,000 records",
    "futex_per_million": "futex per million records",
    "shard_futex_per_million": "of shard threads",
    "most_frequent": "most frequent, per 1,000 records",
}
PARTITIONS = 12
RATE = 10_000


def measure(bench: Bench) -> list[Row]:
    tools.need_program(bench.log, "strace", "strace")
    rows = []
    for name in ("ailurus", "kafka", "null"):
        for klass in bench.classes() if bench.wants(name) else []:
            with bench.attempt(f"{NAME} {name} {klass}"), bench.broker(name, klass, TWO_SHARED) as subject:
                rows.append(bench.row(NAME, subject, klass, f"{RATE:,} records/s", 0, _count(bench, subject, klass)))
    return rows


def _count(bench: Bench, subject: Subject, klass: str) -> Row:
    topic, endless = "calls", 100_000_000
    bench.create(subject, topic, PARTITIONS, klass)
    files = [bench.clients.scratch / f"calls-{name}.json" for name in ("producer", "consumer")]
    with (
        bench.clients.consume(subject.address, topic, PARTITIONS, endless, statistics=files[1]) as consumer,
        bench.clients.produce(subject.address, topic, endless, statistics=files[0], rate=RATE) as producer,
    ):
        readers = [clients.Background(child, 120) for child in (consumer, producer)]
        time.sleep(bench.pick(4, 2))
        before = _progress(files)
        tables = _strace(bench, subject, bench.pick(8, 3))
        after = _progress(files)
        for child in (producer, consumer):
            child.signal(signal.SIGINT)
        for child, reader in zip((producer, consumer), readers):
            reader.thread.join(10)
            child.__exit__()
    records, requests = (end - begin for begin, end in zip(before, after))
    if records <= 0:
        raise tools.Failed("no record was acknowledged while strace looked on")
    return _numbers(tables, records, requests)


def _numbers(tables: dict[str, dict[str, int]], records: int, requests: int) -> Row:
    both = {name: sum(table.get(name, 0) for table in tables.values()) for table in tables.values() for name in table}
    most = sorted(both.items(), key=lambda item: -item[1])[:5]
    found = {
        "records": records,
        "client_requests": requests,
        "calls": tables,
        "calls_per_request": round(sum(both.values()) / max(1, requests), 3),
        "calls_per_1000": round(sum(both.values()) / records * 1000, 2),
        "requests_per_1000": round(requests / records * 1000, 2),
        "futex_per_million": round(both.get("futex", 0) / records * 1e6, 1),
        **({"shard_futex_per_million": round(tables["shards"].get("futex", 0) / records * 1e6, 1)} if "shards" in tables else {}),
        "most_frequent": ", ".join(f"{name} {count / records * 1000:.1f}" for name, count in most),
    }
    return {**found, "said_calls_per_request": found["calls_per_request"], "said_per_1,000": found["most_frequent"]}


def _progress(files: list[pathlib.Path]) -> tuple[int, int]:
    """Records acknowledged, and requests of both clients, by their latest statistics."""
    said = [_latest(file) for file in files]
    requests = sum(broker["req"].get(name, 0) for client in said for broker in client["brokers"].values() for name in ("Produce", "Fetch"))
    return said[0]["txmsgs"], requests


def _latest(file: pathlib.Path) -> dict[str, typing.Any]:
    """The last whole line; the one after it may be in writing."""
    for line in reversed(file.read_text(errors="replace").splitlines() if file.exists() else []):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(line)
    raise tools.Failed(f"{file.name}: the client has said nothing yet")


def _strace(bench: Bench, subject: Subject, seconds: float) -> dict[str, dict[str, int]]:
    """Calls by name, of shard threads and of all others. Threads of the kernel (io_uring's) make none and cannot be traced."""
    threads = probe.look(subject.pid).threads
    shards = set(probe.shard_threads(threads))
    others = {tid for tid, thread in threads.items() if not thread.name.startswith("iou-")} - shards
    traced = {}
    with contextlib.ExitStack() as stack:
        for name, tids in (("shards", shards), ("others", others)):
            if tids:
                file = bench.clients.scratch / f"strace-{name}"
                file.unlink(missing_ok=True)
                # On whichever CPU; not among the load.
                words = ["strace", "-c", "-o", str(file), *(word for tid in sorted(tids) for word in ("-p", str(tid)))]
                traced[name] = (file, stack.enter_context(clients.Child(words, bench.log)))
        time.sleep(seconds)
        for file, child in traced.values():
            child.signal(signal.SIGINT)
            child.finish(30, good=(0, 130, -2))
    return {name: _table(file.read_text()) for name, (file, _) in traced.items()}


def _table(text: str) -> dict[str, int]:
    """strace's summary: % time, seconds, usecs/call, calls, errors if any, name."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 5 and words[0][0].isdigit() and words[3].isdigit() and words[-1] != "total":
            found[words[-1]] = int(words[3])
    return found


def goals(rows: list[Row]) -> list[Goal]:
    worst = max(values(rows, "shard_futex_per_million", subject="ailurus"), default=None)
    return [bounded("data path: futex calls of shard threads per million records", worst, 0)]
