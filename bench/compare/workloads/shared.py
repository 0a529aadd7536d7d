"""Two shards and an unpinned load at a fixed 5 MB/s: what hopping between shards costs.

The load of W1 at its lowest rate: at the others load and broker together take all of both cores, and latency is that of a queue
which grows. *ailurus* shows one node and hops to the shard that owns a partition, *ailurus-direct*
(`shard.direct=true`) shows each shard as a node of its own.
"""

from bench import Bench, Row, measured
from goals import Found, Goal, bounded, exact, latency, median, quotient, values
from subjects import D, R, TWO_SHARED, Subject

from .w1_latency import shape

NAME = "shared"
ABOUT = "two shards, load unpinned at 5 MB/s: CPU per GB, crossings, hop against shard-direct"
MINUTES = 10
COLUMNS = {
    "cpu_s_per_gb": "broker CPU s/GB",
    "crossings_per_record": "crossings per record",
    "publish_p50_ms": "publish p50 ms",
    "publish_p99_ms": "p99",
    "e2e_p99_ms": "end to end p99 ms",
    "shard_migrations": "migrations of shard threads",
    "switches_per_s": "switches/s",
    "flushes_per_s": "flushes/s",
}
RATE_MB = 5


def measure(bench: Bench) -> None:
    def once(subject: Subject, klass: str, repeat: int) -> None:
        found = measured(bench, subject, f"shared-{klass.lower()}", klass, shape(bench, RATE_MB))
        switches = found["switches_voluntary"] + found["switches_involuntary"]
        found["switches_per_s"] = round(switches / found["seconds"])
        if "crossings" in found:
            found["crossings_per_record"] = round(found["crossings"] / max(1, found["acknowledged"]), 5)
        bench.keep(NAME, subject, klass, f"{RATE_MB} MB/s", repeat, found)

    bench.rounds(NAME, ("ailurus", "ailurus-direct", "kafka"), TWO_SHARED, once)


def goals(rows: list[Row]) -> list[Goal]:
    def of(key: str, subject: str, klass: str) -> Found | None:
        if key.startswith("e2e"):
            return latency(rows, key, subject=subject, **{"class": klass})
        return exact(median(rows, key, subject=subject, **{"class": klass}))

    found = [
        bounded("data path: migrations of shard threads in a window", exact(max(values(rows, "shard_migrations", subject="ailurus"), default=None)), 0),
        bounded("shard-direct: crossings per record, unmodified client", of("crossings_per_record", "ailurus-direct", D), 0),
    ]
    # No bound: the default is chosen by these.
    for title, key in (("CPU per GB", "cpu_s_per_gb"), ("end to end p99", "e2e_p99_ms")):
        for klass in (D, R):
            beside = quotient("", of(key, "ailurus-direct", klass), of(key, "ailurus", klass), at_most=1)
            found.append(Goal(f"shard-direct: {title} beside hop mode, class {klass}", "stated", beside.measured, None))
    return found

