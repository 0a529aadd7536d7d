"""What a workload works with: the choice of what is measured, who goes when, and one measured window.

A row is one measurement of one subject: a flat dictionary of `subject`, `class`, `setup`, `case`, `repeat` and numbers.
"""

import argparse
import contextlib
import dataclasses
import json
import time
import traceback
import typing

from driver import tools

import clients
import probe
import subjects
import wire
from subjects import D, R

Row = dict[str, typing.Any]
MB = 1_000_000
WARM_PARTITIONS = 12
#: Names of numbers that are said while it runs, and not kept.
SAID = "said_"
#: What of a window is kept only where it is asked for.
SERIES = "said_series"
#: Seconds between the last acknowledgement and the last look: what a broker does behind it belongs to its cost.
TAIL_SECONDS = 3


@dataclasses.dataclass
class Bench:
    """One invocation."""

    options: argparse.Namespace
    programs: subjects.Programs
    clients: clients.Clients
    log: typing.TextIO
    #: Each row, as soon as it is measured: what a run that was cut off leaves.
    journal: typing.TextIO
    #: What was measured, by workload.
    rows: dict[str, list[Row]] = dataclasses.field(default_factory=dict)
    failures: list[str] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.monotonic)

    @property
    def quick(self) -> bool:
        return self.options.quick

    def pick(self, full: typing.Any, quick: typing.Any) -> typing.Any:
        """The long or the short form of a number."""
        return quick if self.quick else full

    def say(self, text: str) -> None:
        """One line for who watches, and for the log."""
        line = f"[{time.monotonic() - self.began:6.0f} s] {text}"
        print(line, flush=True)
        print(line, file=self.log, flush=True)

    def versions(self) -> dict[str, str]:
        """Of what is measured and of what loads it."""
        return {**subjects.versions(self.programs), **self.clients.versions()}

    def wants(self, name: str) -> bool:
        """Whether this subject is measured: asked for, and there."""
        if self.options.subjects and name not in self.options.subjects:
            return False
        return name != "null" or self.programs.null is not None

    def classes(self, wanted: typing.Iterable[str] = (D, R)) -> list[str]:
        return [klass for klass in wanted if not self.options.classes or klass in self.options.classes]

    def turns(self, names: typing.Iterable[str]) -> typing.Iterator[tuple[int, str]]:
        """Repeat and subject: each subject once in each repeat, another first each time."""
        chosen = [name for name in names if self.wants(name)]
        for repeat in range(self.options.repeats):
            for at in range(len(chosen)):
                yield repeat, chosen[(at + repeat) % len(chosen)]

    @contextlib.contextmanager
    def broker(self, name: str, klass: str, setup: subjects.Setup, warm: bool = True, settings: dict[str, str] | None = None) -> typing.Iterator[subjects.Subject]:
        """A fresh one that has taken and given `--warm-gb`: Kafka's code is compiled then, and everyone's memory is there."""
        self.clients.prefix = setup.load_prefix()
        with (
            subjects.made(name, klass, setup, self.programs, settings or {}, self.log) as process,
            subjects.running(name, process, setup) as subject,
        ):
            if warm:
                self._warm(subject, klass)
            subjects.settle()
            yield subject

    def rounds(self, workload: str, names: typing.Iterable[str], setup: subjects.Setup, once: "Once", classes: typing.Iterable[str] = (D, R), warm: bool = True) -> None:
        """In each repeat, each subject in turn: a fresh broker, then `once` for each class on it, so that it is warmed up once.

        The null broker has its class from its start, and is started for each.
        """
        wanted = self.classes(classes)
        if not wanted:
            return
        for repeat, name in self.turns(names):
            for together in [[klass] for klass in wanted] if name == "null" else [wanted]:
                with self.attempt(f"{workload} {name}"), self.broker(name, together[0], setup, warm) as subject:
                    for klass in together:
                        with self.attempt(f"{workload} {name} {klass}"):
                            once(subject, klass, repeat)

    @contextlib.contextmanager
    def attempt(self, what: str) -> typing.Iterator[None]:
        """A measurement that fails is said, and remembered, and does not stop the others."""
        try:
            yield
        except Exception as failure:  # whatever went wrong, hours of other measurements go on
            self.say(f"{what} failed: {failure}")
            self.failures.append(f"{what}: {failure!r}")
            traceback.print_exception(failure, file=self.log)

    def create(self, subject: subjects.Subject, topic: str, partitions: int, klass: str, seconds: float = 60, count: int | None = None) -> None:
        """A topic of this class, or `count` of them, whose names are numbered.

        Waits until each partition says its end: Kafka shows leaders before they serve.
        """
        self.clients.create(subject.address, topic, partitions, subject.topic_settings(klass), seconds, count)
        if subject.name != "null":  # which knows few versions of few requests, and is ready when it answers
            for name in [topic] if count is None else [f"{topic}-{number}" for number in range(count)]:
                wire.wait_for_ends(subject.address, name, partitions, seconds)

    def delete(self, subject: subjects.Subject, topic: str) -> None:
        """Gives a topic's space back: a ramp writes more than a disk may hold. (Kafka does so a minute later.)"""
        with self.clients.child(self.programs.ailurus, "topic", "delete", topic, "--bootstrap", subject.address) as child:
            child.finish(60)

    def _warm(self, subject: subjects.Subject, klass: str) -> None:
        records = int(self.options.warm_gb * 1e9 / clients.RECORD_BYTES)
        if not records:
            return
        self.create(subject, "warm", WARM_PARTITIONS, klass)
        with self.clients.consume(subject.address, "warm", WARM_PARTITIONS, records) as consumer:
            background = clients.Background(consumer, 600)
            with self.clients.produce(subject.address, "warm", records) as producer:
                producer.finish(600)
            clients.consumed_to_end(consumer, background, 60)
            background.finish()

    def keep(self, workload: str, subject: subjects.Subject, klass: str, case: str, repeat: int, numbers: Row) -> None:
        """A row of raw data, said aloud and kept at once: whatever fails later does not take it away."""
        head = {"subject": subject.name, "class": klass, "setup": subject.setup.name, "case": case, "repeat": repeat}
        memory = {
            "peak_resident_mib": probe.memory_bytes(subject.pid, "VmHWM") >> 20,
            "peak_group_mib": subject.group.peak_bytes() >> 20,
        }
        self.say(f"{workload} {repeat + 1}/{self.options.repeats} {subject.name} {klass} {case}: {spoken(numbers)}")
        kept = {key: value for key, value in numbers.items() if not key.startswith(SAID)}
        row = {**head, **kept, **memory}
        self.rows.setdefault(workload, []).append(row)
        print(json.dumps({"workload": workload, **row}, separators=(",", ":")), file=self.journal, flush=True)


#: Measures one subject in one class, in one repeat, and keeps its rows.
Once = typing.Callable[[subjects.Subject, str, int], None]


class Window:
    """Looks at a broker where a window begins and ends."""

    def __init__(self, subject: subjects.Subject):
        self.subject = subject
        self.before: dict[str, float] = {}
        self.first: probe.Look | None = None
        self.last: probe.Look | None = None
        self.after: dict[str, float] = {}

    def begin(self) -> None:
        probe.forget_peak(self.subject.pid)
        self.before = self.subject.counters()
        self.first = probe.look(self.subject.pid)

    def end(self) -> None:
        self.last = probe.look(self.subject.pid)
        self.after = self.subject.counters()

    def numbers(self) -> Row:
        """What /proc and, of an Ailurus, /metrics say of the window."""
        if self.first is None or self.last is None:
            raise tools.Failed("the load did not say where its window begins and ends")
        found = probe.difference(self.first, self.last, set(self.subject.setup.load_cpus))
        for key, counter in COUNTERS.items():
            if counter in self.after:
                found[key] = self.after[counter] - self.before.get(counter, 0)
        if "flushes" in found:
            found["flushes_per_s"] = round(found["flushes"] / found["seconds"], 1)
        return found


#: Counters of Ailurus that rows keep, by their name there.
COUNTERS = {
    "flushes": "ailurus_journal_flushes_total",
    "commits": "ailurus_journal_commits_total",
    "crossings": "ailurus_crossings_total",
    "requests": "kafka_network_requestmetrics_requests_total",
    "parks": "ailurus_parks_total",
    "journal_bytes": "ailurus_journal_bytes_total",
    "drained_bytes": "ailurus_drained_bytes_total",
}


def measured(bench: Bench, subject: subjects.Subject, topic: str, klass: str, shape: clients.Shape) -> Row:
    """A fresh topic under ailurus-load: latency, CPU and everything else of the window."""
    bench.create(subject, topic, shape.partitions, klass)
    return loaded(bench, subject, topic, shape)


def loaded(bench: Bench, subject: subjects.Subject, topic: str, shape: clients.Shape, at_end: typing.Callable[[], None] = lambda: None) -> Row:
    """The same of a topic that is there; `at_end` is called where the window ends."""
    window = Window(subject)

    def end() -> None:
        window.end()
        at_end()

    report = bench.clients.run(subject.address, topic, shape, window.begin, end)
    return {**window.numbers(), **flat(report), **costs(window, report["bytes_per_second_in"] * report["seconds"])}


def costs(window: Window, bytes_in: float) -> Row:
    """CPU for each GB that was produced in the window, and consumed if there were consumers."""
    cpu = window.last.cpu_seconds - window.first.cpu_seconds
    return {"cpu_s_per_gb": round(cpu / (bytes_in / 1e9), 4)} if bytes_in else {}


def flat(report: Row) -> Row:
    """What rows keep of a report of ailurus-load. `SERIES`, its seconds one by one, only a plot wants."""
    numbers = {key: report[key] for key in ("produced", "acknowledged", "consumed", "errors", "lost")}
    numbers["window_unix_ms"] = report["window_unix_ms"]
    numbers["mb_per_s_in"] = round(report["bytes_per_second_in"] / MB, 3)
    numbers["mb_per_s_out"] = round(report["bytes_per_second_out"] / MB, 3)
    for kind, key in (("publish", "publish_us"), ("e2e", "end_to_end_us")):
        if report.get(key) and report[key].get("count"):
            for quantile in ("p50", "p90", "p99", "p999", "max"):
                numbers[f"{kind}_{quantile}_ms"] = round(report[key][quantile] / 1000, 3)
    if report.get("error_kinds"):
        numbers["error_kinds"] = report["error_kinds"]
    numbers[SERIES] = report.get("series_end_to_end") or report.get("series", [])
    return numbers


def spoken(numbers: Row) -> str:
    """The few numbers that a person wants while it runs."""
    wanted = {
        "mb_per_s_in": "{:.1f} MB/s in",
        "mb_per_s_out": "{:.1f} MB/s out",
        "publish_p99_ms": "publish p99 {:.2f} ms",
        "e2e_p99_ms": "e2e p99 {:.2f} ms",
        "cpu_s_per_gb": "{:.2f} CPU s/GB",
        "load_busy": "load {:.0%} busy",
        "lost": "{} lost",
        "errors": "{} errors",
    }
    hidden = {key for key in ("lost", "errors", "mb_per_s_out", "load_busy") if not numbers.get(key)}
    shown = [text.format(numbers[key]) for key, text in wanted.items() if key in numbers and key not in hidden]
    rest = {key: value for key, value in numbers.items() if key.startswith(SAID) and key != SERIES}
    return ", ".join([*shown, *(f"{key.removeprefix(SAID).replace('_', ' ')} {value}" for key, value in rest.items())])


def of(rows: list[Row], **wanted: typing.Any) -> list[Row]:
    """Rows with these values."""
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def records_per_second(mb_per_second: float, size: int = clients.RECORD_BYTES) -> float:
    return mb_per_second * MB / size

