"""W6: a group of 50 members of which one leaves or joins every 5 s: for how long is nothing consumed?

Records flow to each partition ten times a second. A time of more than 1 s in which a partition makes no progress (nothing beyond
what any member has received of it so far) is a pause, and all of it counts, its first second too; paused seconds are the sum over
partitions. Class R: what Kafka's flushes cost is measured elsewhere, and commits of groups are not of the topic's class anyway.
"""

from bench import Bench, Row
from goals import Goal
from subjects import ONE_AND_ONE, R, Subject

NAME = "W6"
ABOUT = "a group of 50 members, one joins or leaves every 5 s"
MINUTES = 10
COLUMNS = {
    "paused_seconds": "paused s, all partitions",
    "longest_pause_seconds": "longest pause s",
    "pauses": "pauses",
    "changes": "changes",
    "read_again": "records read again",
}
PARTITIONS = 100


def measure(bench: Bench) -> None:
    def once(subject: Subject, klass: str, repeat: int) -> None:
        bench.create(subject, "members", PARTITIONS, klass)
        members = bench.pick(50, 10)
        report = bench.clients.members(subject.address, "members", PARTITIONS, members, bench.pick(5, 2), bench.pick(40, 8), "classic")
        numbers = {key: value for key, value in report.items() if isinstance(value, (int, float))}
        spoken = {f"said_{key}": value for key, value in numbers.items() if "pause" in key}
        bench.keep(NAME, subject, klass, f"{members} members, classic", repeat, {**numbers, **spoken})

    bench.rounds(NAME, ("ailurus", "kafka"), ONE_AND_ONE, once, classes=[R], warm=False)


def goals(rows: list[Row]) -> list[Goal]:
    return []
