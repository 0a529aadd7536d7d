"""W1: latency at rates that everybody can serve.

One topic of 12 partitions, 1 KiB records with keys, 16 producers, 2 consumers, at 5, 10 and 20 MB/s, each rate on a fresh topic.
"""

import pathlib

import plots
from bench import Bench, Row, measured, of, records_per_second
from clients import Shape
from goals import Goal, latency, median, quotient, values
from subjects import D, ONE_AND_ONE, R, Subject

NAME = "W1"
ABOUT = "latency of 16 producers on 12 partitions at 5, 10 and 20 MB/s"
MINUTES = 22
COLUMNS = {
    "publish_p50_ms": "publish p50 ms",
    "publish_p99_ms": "p99",
    "publish_p999_ms": "p99.9",
    "e2e_p50_ms": "end to end p50 ms",
    "e2e_p99_ms": "p99",
    "e2e_p999_ms": "p99.9",
    "cpu_s_per_gb": "broker CPU s/GB",
    "load_busy": "load busy",
    "lost": "lost",
}
RATES_MB = (5, 10, 20)


def measure(bench: Bench) -> None:
    def once(subject: Subject, klass: str, repeat: int) -> None:
        for rate in RATES_MB:
            found = measured(bench, subject, f"latency-{klass.lower()}-{rate}", klass, shape(bench, rate))
            bench.keep(NAME, subject, klass, f"{rate} MB/s", repeat, found)

    bench.rounds(NAME, ("ailurus", "kafka", "null"), ONE_AND_ONE, once)


def shape(bench: Bench, rate_mb: float) -> Shape:
    """Also what other workloads call a usual load."""
    return Shape(
        partitions=12,
        producers=16,
        consumers=2,
        rate=records_per_second(rate_mb),
        warmup=bench.pick(2, 1),
        duration=bench.pick(8, 2),
        keyed=True,
    )


def goals(rows: list[Row]) -> list[Goal]:
    rows = of(rows, case="10 MB/s")
    found = []
    for title, key in (("publish", "publish_p999_ms"), ("end to end", "e2e_p999_ms")):
        ours = latency(rows, key, subject="ailurus", **{"class": D})
        kafka_d = latency(rows, key, subject="kafka", **{"class": D})
        found.append(quotient(f"W1 {title} p99.9 at 10 MB/s, class D, against Kafka D", ours, kafka_d, at_most=1 / 5))
        kafka_r = latency(rows, key, subject="kafka", **{"class": R})
        # What the null broker takes longer where it flushes before it answers.
        flushed, unflushed = (latency(rows, "publish_p999_ms", subject="null", **{"class": klass}) for klass in (D, R))
        limit = kafka_r.plus(flushed.beyond(unflushed)) if kafka_r and flushed and unflushed else None
        what = f"W1 {title} p99.9 at 10 MB/s, class D, against Kafka R plus the null broker's p99.9 of a flush (class D less R)"
        found.append(quotient(what, ours, limit, at_most=1))
    return found


def plot(rows: list[Row], folder: pathlib.Path) -> list[tuple[str, str]]:
    quantiles = {"p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}
    series = {}
    for klass in (D, R):
        for subject in ("ailurus", "kafka", "null"):
            chosen = of(rows, case="10 MB/s", subject=subject, **{"class": klass})
            points = [(at, median(chosen, f"e2e_{key}_ms")) for at, key in enumerate(quantiles)]
            if values(chosen, "e2e_p50_ms"):
                series[f"{subject} {klass}"] = points
    if not series:
        return []
    title = "W1: end to end at 10 MB/s (medians of the repeats)"
    plots.lines(folder / "W1.svg", title, "ms", "quantile", series, list(quantiles.values()))
    return [("W1.svg", title)]
