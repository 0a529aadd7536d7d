"""W3: the highest rate with a publish p99 under 50 ms, for records of 100 B, 1 KiB and 16 KiB.

4 producers on 12 partitions, no consumers. The rate doubles until the p99 is too high, something is lost, less than 97 % of what
was due is acknowledged, or the load's core is the limit: a rate counts only while that has room (where the first step is too
much, it is halved); then one step lies halfway (x 1.41). A step that fails is tried once more, unless its p99 is ten times too high.
Later repeats begin two steps below what the first one reached. 100 B and 16 KiB are measured in the first two repeats only.
Where the load's core was busy in the step that ended the ramp, the client may be what ended it: the result is client-bound.
"""

import pathlib

import plots
from bench import Bench, Row, measured, of, records_per_second
from clients import Shape
from goals import CLIENT_BOUND, Goal, ratio, throughput, values
from subjects import D, ONE_AND_ONE, R, Subject

NAME = "W3"
ABOUT = "ramp to the highest rate with p99 under 50 ms, at 100 B, 1 KiB and 16 KiB"
MINUTES = 40
COLUMNS = {
    "highest_mb_per_s": "highest MB/s",
    "publish_p99_ms": "publish p99 ms there",
    "cpu_s_per_gb": "broker CPU s/GB",
    "load_busy": "load busy",
    "failed_mb_per_s": "ended at MB/s",
    "failed_load_busy": "load busy there",
}
#: Bytes of a record, and MB/s where the ramp begins.
SIZES = {"100 B": (100, 2), "1 KiB": (1024, 10), "16 KiB": (16384, 20)}
P99_MAX_MS = 50
#: Beyond this a step is not tried again: no noise of the machine does that.
P99_HOPELESS_MS = 10 * P99_MAX_MS
ACKNOWLEDGED_MIN = 0.97
REPEATS_OF_OTHERS = 2
#: What a step shows: it is borne; borne by a load that had no room; not borne; so little that it is not tried again.
GOOD, BUSY, BAD, HOPELESS = range(4)
MB_MIN, MB_MAX = 0.2, 2000


def measure(bench: Bench) -> None:
    reached: dict[tuple[str, str, str], float] = {}

    def once(subject: Subject, klass: str, repeat: int) -> None:
        for case, (size, begin) in SIZES.items():
            if case == "1 KiB" or repeat < REPEATS_OF_OTHERS:
                key = (subject.name, klass, case)
                best = Ramp(bench, subject, klass, size).climb(max(begin, reached.get(key, 0) / 4))
                reached.setdefault(key, best["highest_mb_per_s"])
                bench.keep(NAME, subject, klass, case, repeat, {**best, "said_highest_MB/s": best["highest_mb_per_s"]})

    bench.rounds(NAME, ("ailurus", "kafka"), ONE_AND_ONE, once)


class Ramp:
    """One climb. What it gives is the row of the highest step that counts, and where it ended with how busy a load."""

    def __init__(self, bench: Bench, subject: Subject, klass: str, size: int):
        self.bench, self.subject, self.klass, self.size = bench, subject, klass, size
        self.best: Row = {"highest_mb_per_s": 0.0}
        #: The highest that was borne by a load without room, for a ramp of which no step counts.
        self.busy: Row = {"highest_mb_per_s": 0.0}
        self.steps = 0
        #: By rate, of those at which it cannot go on: the load's busyness, the higher of both attempts.
        self.failed: dict[float, float] = {}

    def climb(self, rate: float) -> Row:
        if self._good(rate):
            while rate < MB_MAX and self._good(rate * 2):
                rate *= 2
        else:
            while rate > MB_MIN and not self._good(rate / 2):
                rate /= 2
            rate /= 2
        self._good(rate * 2**0.5)
        if not self.best["highest_mb_per_s"]:
            return self.busy
        above = [failed for failed in self.failed if failed > self.best["highest_mb_per_s"]]
        if not above:
            return self.best
        return {**self.best, "failed_mb_per_s": round(min(above), 2), "failed_load_busy": self.failed[min(above)]}

    def _good(self, rate: float) -> bool:
        """Whether this rate is borne by a load that has room, at the first or the second attempt."""
        shown = self._attempt(rate)
        return (self._attempt(rate) if shown == BAD else shown) == GOOD

    def _attempt(self, rate: float) -> int:
        self.steps += 1
        seconds = self.bench.pick((1, 4), (0.5, 1))
        due = records_per_second(rate, self.size)
        shape = Shape(12, producers=4, rate=due, size=self.size, warmup=seconds[0], duration=seconds[1])
        topic = f"ramp-{self.klass.lower()}-{self.size}-{self.steps}"
        found = measured(self.bench, self.subject, topic, self.klass, shape)
        self.bench.delete(self.subject, topic)
        borne = found["acknowledged"] >= ACKNOWLEDGED_MIN * due * seconds[1] and not found["lost"] and not found["errors"]
        p99 = found.get("publish_p99_ms", float("inf"))
        if not borne or p99 >= P99_MAX_MS:
            shown = BAD if p99 < P99_HOPELESS_MS else HOPELESS
        else:
            shown = GOOD if found["load_busy"] < CLIENT_BOUND else BUSY
        remark = {GOOD: "", BUSY: ", the client's limit"}.get(shown, ", too much")
        self.bench.say(f"  {rate:.0f} MB/s of {self.size} B: p99 {p99:.1f} ms, load {found['load_busy']:.0%} busy{remark}")
        if shown == GOOD:
            self.failed.pop(rate, None)
            self.best = max(self.best, {"highest_mb_per_s": round(rate, 2), **found}, key=_rate)
        else:
            self.failed[rate] = max(found["load_busy"], self.failed.get(rate, 0))
        if shown == BUSY:
            self.busy = max(self.busy, {"highest_mb_per_s": round(rate, 2), **found}, key=_rate)
        return shown


def _rate(row: Row) -> float:
    return row["highest_mb_per_s"]


def goals(rows: list[Row]) -> list[Goal]:
    def goal(klass: str) -> Goal:
        what = f"W3 highest rate at 1 KiB, class {klass}, against Kafka"
        return ratio(rows, what, "highest_mb_per_s", klass, "kafka", at_least=2, kind=throughput, case="1 KiB")

    return [goal(klass) for klass in (D, R)]


def plot(rows: list[Row], folder: pathlib.Path) -> list[tuple[str, str]]:
    groups = [(klass, case) for klass in (D, R) for case in SIZES]
    series = {name: [plots.whisker(values(of(rows, subject=name, case=case, **{"class": klass}), "highest_mb_per_s")) for klass, case in groups] for name in ("ailurus", "kafka")}
    title = "W3: highest rate with a publish p99 under 50 ms"
    plots.bars(folder / "W3.svg", title, "MB/s", [f"{klass} {case}" for klass, case in groups], series)
    return [("W3.svg", title)]
