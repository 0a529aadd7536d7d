"""Who loads the brokers: librdkafka's rdkafka_performance, Kafka's Java perf tools, and ailurus-load.

The public ones carry throughput and CPU; ailurus-load carries latency, because it sends when a record is due and not when
the last one came back. All get the same settings for all brokers: acks=all, no compression, linger 1 ms.
"""

import dataclasses
import json
import os
import pathlib
import re
import selectors
import shutil
import signal
import subprocess
import threading
import time
import typing

from driver import tools

LINGER_MS = 1
RECORD_BYTES = 1024
FOLDER = tools.CACHE / "rdkafka-performance"
LOAD_MANIFEST = tools.ROOT / "bench" / "load" / "Cargo.toml"
#: What a perf tool of Kafka's may take to load its classes and to find the group.
JAVA_START_SECONDS = 60


class Child:
    """A program whose output we read. Ended by its own process id at the end of the `with`."""

    def __init__(self, words: list[str], log: typing.TextIO, cwd: pathlib.Path | None = None):
        print("$", " ".join(words), file=log, flush=True)
        self.name = next((pathlib.Path(word).name for word in words if "/" in word), words[0])
        self.log = log
        self.lines: list[str] = []
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(words, cwd=cwd, **pipes, start_new_session=True)

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def signal(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)

    def read(self, seconds: float) -> typing.Iterator[str]:
        """Its lines as they come; ends with its output. `Failed` if that takes longer."""
        deadline = time.monotonic() + seconds
        descriptor = self.process.stdout.fileno()
        pending = b""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise tools.Failed(f"{self.name} took longer than {seconds:.0f} s")
                chunk = os.read(descriptor, 1 << 16)
                if not chunk:
                    return
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    text = line.decode(errors="replace").rstrip()
                    print(f"  {text}", file=self.log, flush=True)
                    self.lines.append(text)
                    yield text

    def finish(self, seconds: float, good: tuple[int, ...] = (0,)) -> list[str]:
        """Until it has ended, well; all its lines."""
        for _ in self.read(seconds):
            pass
        code = self.process.wait()
        if code not in good:
            raise tools.Failed(f"{self.name} ended with {code}: {' / '.join(self.lines[-3:])}")
        return self.lines


class Background:
    """Reads a child to its end beside us, so that its pipe never fills."""

    def __init__(self, child: Child, seconds: float):
        self.child = child
        self.failure: tools.Failed | None = None
        self.thread = threading.Thread(target=self._read, args=(seconds,), daemon=True)
        self.thread.start()

    def _read(self, seconds: float) -> None:
        try:
            for _ in self.child.read(seconds):
                pass
        except (tools.Failed, OSError, ValueError) as failure:
            self.failure = failure if isinstance(failure, tools.Failed) else tools.Failed(str(failure))

    def wait_for(self, text: str, seconds: float) -> None:
        """Until it has said a line with this in it."""
        deadline = time.monotonic() + seconds
        while not any(text in line for line in list(self.child.lines)):
            if self.done() or time.monotonic() > deadline:
                raise tools.Failed(f"{self.child.name} did not say {text!r}: {' / '.join(self.child.lines[-3:])}")
            time.sleep(0.02)

    def done(self) -> bool:
        return not self.thread.is_alive()

    def finish(self) -> list[str]:
        self.thread.join()
        if self.failure:
            raise self.failure
        return self.child.lines


# What is built ------------------------------------------------------------------------------------------------------


def build_rdkafka_performance(log: typing.TextIO) -> pathlib.Path:
    """From the source inside the package rdkafka-sys, in the version that bench/load uses."""
    for program in ("make", "gcc"):
        tools.need_program(log, program, program)
    tools.run(log, "cargo", "fetch", "--locked", "--manifest-path", LOAD_MANIFEST)
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--manifest-path", str(LOAD_MANIFEST)]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    package = next(package for package in metadata["packages"] if package["name"] == "rdkafka-sys")
    source = pathlib.Path(package["manifest_path"]).parent / "librdkafka"

    def make() -> None:
        shutil.copytree(source, FOLDER)
        (FOLDER / "configure").chmod(0o755)
        plain = ["--disable-gssapi", "--disable-curl", "--disable-ssl", "--disable-zstd", "--disable-lz4-ext"]
        tools.run(log, "./configure", *plain, cwd=FOLDER)
        tools.run(log, "make", "-j2", "-C", "src", "librdkafka.a", cwd=FOLDER, timeout=1800)
        tools.run(log, "make", "-C", "examples", "rdkafka_performance", cwd=FOLDER)

    tools.once(log, FOLDER, package["version"], make)
    return FOLDER / "examples" / "rdkafka_performance"


def build_crate(log: typing.TextIO, manifest: pathlib.Path, program: str) -> pathlib.Path:
    """A program beside the workspace, built for release into the same target folder."""
    target = {"CARGO_TARGET_DIR": str(tools.TARGET)}
    tools.run(log, "cargo", "build", "--locked", "--release", "--manifest-path", manifest, timeout=1800, **target)
    return tools.TARGET / "release" / program


def java_tools(log: typing.TextIO) -> pathlib.Path:
    """The jars of Kafka's tools: those that the suite of the Java client has."""
    jars = tools.CACHE / "java"
    tools.maven(log, tools.COMPAT / "java", jars)
    return jars


# What is run --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Clients:
    """The programs of the load, on the CPUs of the load."""

    load: pathlib.Path
    performance: pathlib.Path
    jars: pathlib.Path
    scratch: pathlib.Path
    log: typing.TextIO
    #: Words before each command: `Setup.load_prefix`.
    prefix: list[str] = dataclasses.field(default_factory=list)

    def versions(self) -> dict[str, str]:
        """What the clients are, for the head of the report."""
        header = (FOLDER / "src" / "rdkafka.h").read_text()
        number = int(re.search(r"#define RD_KAFKA_VERSION\s+0x([0-9a-f]{8})", header)[1], 16)
        return {"librdkafka": ".".join(str(number >> shift & 0xFF) for shift in (24, 16, 8))}

    def child(self, *words: object) -> Child:
        return Child([*self.prefix, *map(str, words)], self.log)

    def create(self, address: str, topic: str, partitions: int, settings: dict[str, str], seconds: float = 60, count: int | None = None) -> None:
        """A topic, or `count` of them, whose names are numbered, and waits until they are there."""
        options = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        words = ["create", "--brokers", address, "--topic", topic, "--partitions", partitions, *options]
        if count is not None:
            words += ["--count", count]
        with self.child(self.load, *words) as child:
            child.finish(seconds)

    def run(
        self,
        address: str,
        topic: str,
        shape: "Shape",
        begin: typing.Callable[[], None] = lambda: None,
        end: typing.Callable[[], None] = lambda: None,
    ) -> dict[str, typing.Any]:
        """ailurus-load run; `begin` and `end` are called when its measured window begins and ends. Gives its report."""
        report = self.scratch / "load.json"
        report.unlink(missing_ok=True)
        words = ["run", "--brokers", address, "--topic", topic, *shape.words(), "--marks", "--out", report]
        with self.child(self.load, *words) as child:
            for line in child.read(shape.seconds_max()):
                if line.startswith("window begins"):
                    begin()
                elif line.startswith("window ends"):
                    end()
            if child.process.wait() != 0:
                raise tools.Failed(f"ailurus-load ended with {child.process.returncode}: {' / '.join(child.lines[-3:])}")
        return json.loads(report.read_text())

    def load_on(self, address: str, topic: str, shape: "Shape") -> Child:
        """ailurus-load run, of which nobody wants a report; ended with the `with`."""
        words = ["run", "--brokers", address, "--topic", topic, *shape.words(), "--out", os.devnull]
        return self.child(self.load, *words)

    def members(self, address: str, topic: str, partitions: int, members: int, every: float, duration: float, protocol: str) -> dict[str, typing.Any]:
        """ailurus-load members: a group whose members come and go."""
        report = self.scratch / "members.json"
        report.unlink(missing_ok=True)
        words = ["--members", members, "--every", every, "--duration", duration, "--protocol", protocol, "--out", report]
        with self.child(self.load, "members", "--brokers", address, "--topic", topic, "--partitions", partitions, *words) as child:
            child.finish(duration + 120)
        return json.loads(report.read_text())

    def produce(self, address: str, topic: str, records: int, size: int = RECORD_BYTES, linger_ms: int = LINGER_MS, statistics: pathlib.Path | None = None, rate: int = 0) -> Child:
        """rdkafka_performance as producer, over all partitions at random, as fast as it goes or (spinning) at a rate."""
        options = [*(["-r", rate] if rate else []), "-X", "acks=all", "-X", f"linger.ms={linger_ms}", "-z", "none", *_statistics(statistics)]
        words = ["-P", "-t", topic, "-b", address, "-s", size, "-c", records, "-i", 1000, "-q"]
        return self.child(self.performance, *words, *options)

    def consume(self, address: str, topic: str, partitions: int, records: int, start: str = "beginning", statistics: pathlib.Path | None = None) -> Child:
        """rdkafka_performance as consumer of all partitions, without a group."""
        chosen = [word for partition in range(partitions) for word in ("-p", str(partition))]
        words = ["-C", "-t", topic, "-b", address, "-c", records, "-o", start, "-i", 1000, "-q", *chosen]
        return self.child(self.performance, *words, *_statistics(statistics))

    def java(self, name: str, *words: object) -> Child:
        """A tool of org.apache.kafka.tools, with the memory that Kafka's scripts give it, and its clock in UTC."""
        options = ["-Xmx512M", "-Duser.timezone=UTC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{self.jars}/*"]
        return self.child("java", *options, f"org.apache.kafka.tools.{name}", *words)


@dataclasses.dataclass(frozen=True)
class Shape:
    """What ailurus-load is to do. Rates are records a second of all producers; 0 is as fast as they are taken."""

    partitions: int
    producers: int = 0
    consumers: int = 0
    rate: float = 0
    size: int = RECORD_BYTES
    warmup: float = 2
    duration: float = 10
    keyed: bool = False
    #: Producers take turns at so many numbered topics of so many partitions; `None` is one topic with the name as it is.
    topics: int | None = None

    def words(self) -> list[str]:
        settings = ["--set", f"linger.ms={LINGER_MS}"]
        numbers = {
            "partitions": self.partitions,
            "producers": self.producers,
            "consumers": self.consumers,
            "rate": round(self.rate),
            "size": self.size,
            "warmup": f"{self.warmup:g}",
            "duration": f"{self.duration:g}",
        }
        pairs = [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        topics = ["--topics", str(self.topics)] if self.topics else []
        return [*pairs, *topics, *(["--keyed"] if self.keyed else []), "--acks", "all", *settings]

    def seconds_max(self) -> float:
        """The drain behind the window takes 10 s at most; the rest is for what cannot be foreseen."""
        return self.warmup + self.duration + 60


def performance_counts(lines: list[str]) -> dict[str, float]:
    """Records and bytes of the last summary that rdkafka_performance has printed."""
    for line in reversed(lines):
        found = re.search(r"%\s+(\d+) messages (?:produced )?\((\d+) bytes\)", line)
        if found:
            return {"records": int(found[1]), "bytes": int(found[2])}
    return {"records": 0, "bytes": 0}


def consumed_to_end(consumer: Child, background: Background, seconds: float) -> None:
    """Gives a consumer so many seconds to reach its count, then asks it to say how far it came."""
    deadline = time.monotonic() + seconds
    while not background.done() and time.monotonic() < deadline:
        time.sleep(0.02)
    consumer.signal(signal.SIGINT)


def _statistics(file: pathlib.Path | None) -> list[str]:
    return ["-T", "200", "-Y", f"cat >{file}"] if file else []
