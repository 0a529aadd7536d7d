"""Who is measured: Ailurus, Apache Kafka and the null broker, each as a process on the CPUs and in the memory of a set-up.

Classes of durability: D is flushed before the acknowledgement, R is acknowledged from memory and flushed later. Ailurus and
Kafka take the class from the topic, the null broker at its start.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import typing

from driver import brokers, tools

import cgroup
import probe

D, R = "D", "R"
#: What the topics of a class are created with.
TOPIC_SETTINGS: dict[str, dict[str, dict[str, str]]] = {
    "ailurus": {D: {}, R: {"write.caching": "true"}},
    "kafka": {D: {"flush.messages": "1"}, R: {}},
    "null": {D: {}, R: {}},
}
GIBIBYTE = 1 << 30


@dataclasses.dataclass(frozen=True)
class Setup:
    """Which CPUs are whose. Empty means all."""

    name: str
    shards: int
    broker_cpus: frozenset[int]
    load_cpus: frozenset[int]
    memory_bytes: int = 2 * GIBIBYTE

    def load_prefix(self) -> list[str]:
        """Words before a command of the load."""
        return _taskset(self.load_cpus)


ONE_AND_ONE = Setup("1+1", 1, frozenset({0}), frozenset({1}))
TWO_SHARED = Setup("2 shared", 2, frozenset(), frozenset())


def _taskset(cpus: frozenset[int]) -> list[str]:
    return ["taskset", "-c", ",".join(map(str, sorted(cpus)))] if cpus else []


@dataclasses.dataclass(frozen=True)
class Wish:
    """What `driver.brokers` wants to know of a suite."""

    name: str
    settings: dict[str, str]


class Ailurus(brokers.Ailurus):
    """As users start it, not as developers do."""

    mode = "production"


class Kafka(brokers.Kafka):
    """With the flags that Kafka's own scripts give to the JVM."""

    jvm = [
        *("-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"),
        *("-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"),
    ]


class Null(brokers.Process):
    """bench/null: the limit on this machine."""

    #: It keeps nothing that an orderly end could save.
    GOOD_ENDS = (0, -15, 143)

    def __init__(self, program: pathlib.Path, klass: str, shards: int):
        super().__init__("null")
        self.program, self.klass, self.shards = program, klass, shards

    def command(self, shards: object = None) -> list[str]:
        file = str(self.folder / "ring")
        # Memory for consumers that fall behind: what they no longer find, they would wait for.
        options = ["--class", self.klass.lower(), "--file", file, "--shards", str(self.shards), "--memory-mib", "1536"]
        return [str(self.program), "--listen", self.address, *options]


@dataclasses.dataclass
class Subject:
    """A broker that runs now."""

    name: str
    process: brokers.Process
    setup: Setup
    group: cgroup.Group

    @property
    def address(self) -> str:
        return self.process.address

    @property
    def pid(self) -> int:
        return self.process.child.pid

    def topic_settings(self, klass: str) -> dict[str, str]:
        """What a topic of this class is created with here."""
        return TOPIC_SETTINGS[self.name.partition("-")[0]][klass]

    def counters(self) -> dict[str, float]:
        """Counters of an Ailurus; nobody else has any."""
        admin = getattr(self.process, "admin_port", None)
        return probe.counters(f"127.0.0.1:{admin}") if admin else {}


@dataclasses.dataclass
class Programs:
    """What is started; None for what there is not."""

    ailurus: pathlib.Path
    null: pathlib.Path | None


def make(name: str, klass: str, setup: Setup, programs: Programs, settings: dict[str, str], out: typing.TextIO) -> brokers.Process:
    """A broker that is not started yet. `settings` are the broker's, in the names that Kafka and Ailurus share."""
    wish = Wish(f"bench-{name}", settings)
    if name == "kafka":
        return Kafka(wish, out)
    if name == "null":
        return Null(programs.null, klass, setup.shards)
    if name == "ailurus-direct":
        wish = Wish(wish.name, {**settings, "shard.direct": "true"})
    return Ailurus(programs.ailurus, wish, setup.shards, out)


@contextlib.contextmanager
def made(name: str, klass: str, setup: Setup, programs: Programs, settings: dict[str, str], out: typing.TextIO) -> typing.Iterator[brokers.Process]:
    """The same for the length of the `with`; its files are gone behind it."""
    process = make(name, klass, setup, programs, settings, out)
    try:
        yield process
    finally:
        shutil.rmtree(process.folder, ignore_errors=True)


@contextlib.contextmanager
def running(name: str, process: brokers.Process, setup: Setup) -> typing.Iterator[Subject]:
    """Starts it inside its set-up; ends it, and removes its group, however the `with` is left."""
    with cgroup.held(name, setup.memory_bytes) as group:
        process.prefix = [*group.prefix, *_taskset(setup.broker_cpus)]
        try:
            process.start()
            process.wait_ready()
            yield Subject(name, process, setup, group)
            process.stop()
        finally:
            if process.child is not None and process.child.poll() is None:
                process.kill()


def settle() -> None:
    """What was written before is on the disk, so that nobody else's write-back is measured."""
    os.sync()


def versions(programs: Programs) -> dict[str, str]:
    """What is measured, for the head of the report."""
    said = subprocess.run([str(programs.ailurus), "--version"], capture_output=True, text=True, timeout=10).stdout.split()
    jars = (tools.CACHE / "oracle").glob("kafka-clients-*.jar")
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, timeout=30).stderr.split('"')
    kafka = ", ".join(sorted(jar.stem.removeprefix("kafka-clients-") for jar in jars))
    return {"ailurus": said[-1] if said else "?", "kafka": kafka, "java": java[1] if len(java) > 1 else "?"}
