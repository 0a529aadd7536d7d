"""W5: the same 20 MB/s over 1, 10 and 50 connections, class D: more connections are smaller batches."""

from bench import Bench, Row, measured, records_per_second
from clients import Shape
from goals import Goal
from subjects import D, ONE_AND_ONE, Subject

NAME = "W5"
ABOUT = "20 MB/s over 1, 10 and 50 connections, class D"
MINUTES = 10
COLUMNS = {
    "publish_p50_ms": "publish p50 ms",
    "publish_p99_ms": "p99",
    "publish_p999_ms": "p99.9",
    "mb_per_s_in": "MB/s in",
    "lost": "lost",
    "cpu_s_per_gb": "broker CPU s/GB",
    "load_busy": "load busy",
}


def measure(bench: Bench) -> None:
    def once(subject: Subject, klass: str, repeat: int) -> None:
        for connections in (1, 10, 50):
            shape = Shape(12, connections, rate=records_per_second(20), warmup=bench.pick(2, 1), duration=bench.pick(6, 2))
            found = measured(bench, subject, f"connections-{connections}", klass, shape)
            bench.keep(NAME, subject, klass, f"{connections:2} connections", repeat, found)

    bench.rounds(NAME, ("ailurus", "kafka"), ONE_AND_ONE, once, classes=[D])


def goals(rows: list[Row]) -> list[Goal]:
    return []
