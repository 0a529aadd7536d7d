"""W6: a group of 50 members of which one leaves or joins every 5 s: for how long is nothing consumed?

A pause is time beyond 1 s in which a partition makes no progress while records flow, summed over partitions. Class R: what Kafka's
flushes cost is measured elsewhere, and commits of groups are not of the topic's class anyway.
"""

import typing

from bench import Bench, Row
from goals import Goal
from subjects import ONE_AND_ONE, R, Subject

NAME = "W6"
ABOUT = "a group of 50 members, one joins or leaves every 5 s"
MINUTES = 8
COLUMNS = {
    "paused_seconds": "paused s, all partitions",
    "longest_pause_seconds": "longest pause s",
    "pauses": "pauses",
    "changes": "changes",
    "read_again": "records read again",
}
PARTITIONS = 100


def measure(bench: Bench) -> list[Row]:
    def once(subject: Subject, klass: str, repeat: int) -> typing.Iterator[Row]:
        bench.create(subject, "members", PARTITIONS, klass)
        members = bench.pick(50, 10)
        report = bench.clients.members(subject.address, "members", PARTITIONS, members, bench.pick(5, 2), bench.pick(40, 8), "classic")
        numbers = {key: value for key, value in report.items() if isinstance(value, (int, float))}
        spoken = {f"said_{key}": value for key, value in numbers.items() if "pause" in key}
        yield bench.row(NAME, subject, klass, f"{members} members, classic", repeat, {**numbers, **spoken})

    return bench.rounds(NAME, ("ailurus", "kafka"), ONE_AND_ONE, once, classes=[R], warm=False)


def goals(rows: list[Row]) -> list[Goal]:
    return []
