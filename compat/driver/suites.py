"""What is run, by name. A suite prepares (installs, compiles), then runs against a broker; `Failed` if it does not pass."""

import argparse
import dataclasses
import sys
import typing

from . import librdkafka, tools
from .brokers import Broker

SUITE_SECONDS = 240


@dataclasses.dataclass
class Suite:
    """One program, or one family of tests."""

    name: str
    about: str
    settings: dict[str, str] = dataclasses.field(default_factory=lambda: {"num.partitions": "4"})
    #: Starts and kills the broker itself, so it must be one of ours.
    owns_broker: typing.ClassVar[bool] = False

    def prepare(self, out: typing.TextIO) -> None:
        """Installs and compiles; nothing that needs the broker."""

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        raise NotImplementedError

    def remark(self) -> str:
        """What the line of a passed suite says beyond its time."""
        return ""


class KcatSuite(Suite):
    """kcat: compat/kcat/suite.py."""

    def prepare(self, out: typing.TextIO) -> None:
        tools.need_program(out, "kcat", "kcat")

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        tools.run(out, sys.executable, "-u", tools.COMPAT / "kcat" / "suite.py", broker.address, timeout=SUITE_SECONDS)


class PythonSuite(Suite):
    """A client for Python: compat/python/scenario.py with the adapter for it."""

    def prepare(self, out: typing.TextIO) -> None:
        tools.python(out)

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        program = tools.COMPAT / "python" / "scenario.py"
        tools.run(out, tools.python(out), "-u", program, self.name, broker.address, timeout=SUITE_SECONDS)


class NodeSuite(Suite):
    """kafkajs: compat/kafkajs/suite.js."""

    def prepare(self, out: typing.TextIO) -> None:
        tools.need_program(out, "npm", "npm")
        tools.npm(out, tools.COMPAT / "kafkajs", tools.CACHE / "kafkajs")

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        modules = str(tools.CACHE / "kafkajs" / "node_modules")
        program = tools.COMPAT / "kafkajs" / "suite.js"
        tools.run(out, "node", program, broker.address, timeout=SUITE_SECONDS, NODE_PATH=modules)


class JavaSuite(Suite):
    """The Java client: compat/java/Suite.java, started from its source."""

    def prepare(self, out: typing.TextIO) -> None:
        tools.need_program(out, "javac", "openjdk-17-jdk-headless")
        tools.maven(out, tools.COMPAT / "java", tools.CACHE / "java")

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        source = tools.COMPAT / "java" / "Suite.java"
        flags = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        classes = ["-cp", f"{tools.CACHE / 'java'}/*", f"-Dsuite.source={source}"]
        tools.run(out, "java", *flags, *classes, source, broker.address, timeout=SUITE_SECONDS)


class GoSuite(Suite):
    """franz-go: compat/franz."""

    program = tools.CACHE / "franz"

    def prepare(self, out: typing.TextIO) -> None:
        tools.need_program(out, "go", "golang")
        tools.run(out, "go", "build", "-o", self.program, ".", cwd=tools.COMPAT / "franz")

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        tools.run(out, self.program, broker.address, timeout=SUITE_SECONDS)


class RustSuite(Suite):
    """The crate rdkafka: compat/rdkafka, a workspace of its own."""

    target = tools.CACHE / "rdkafka"

    def prepare(self, out: typing.TextIO) -> None:
        tools.need_program(out, "make", "make")
        tools.need_program(out, "g++", "g++")
        tools.need_library(out, "zlib.h", "zlib1g-dev")
        manifest = tools.COMPAT / "rdkafka" / "Cargo.toml"
        build = ["cargo", "build", "--locked", "--manifest-path", manifest]
        tools.run(out, *build, timeout=1200, CARGO_TARGET_DIR=str(self.target))

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        tools.run(out, self.target / "debug" / "ailurus-compat-rdkafka", broker.address, timeout=SUITE_SECONDS)


class LibrdkafkaSuite(Suite):
    """librdkafka's own tests."""

    passed = 0

    def prepare(self, out: typing.TextIO) -> None:
        tools.maven(out, tools.COMPAT / "java", tools.CACHE / "java")
        librdkafka.build(out)

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        scripts = librdkafka.kafka_scripts(tools.CACHE / "java")
        only = options.only.split(",") if options.only else []
        self.passed = librdkafka.run(broker.address, scripts, only, out)["passed"]

    def remark(self) -> str:
        return f", {self.passed} tests passed (target/compat/librdkafka.md)"


class CrashSuite(Suite):
    """kill -9 under real producers: compat/crash/crash.py."""

    owns_broker = True
    #: How many shards the broker starts with, one of these each time. Empty: as the driver was told.
    shards: tuple[int, ...] = ()
    cycles, cycles_full = 10, 100

    def prepare(self, out: typing.TextIO) -> None:
        tools.python(out)

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        shards = ",".join(map(str, self.shards or (options.shards,)))
        words = ["--port", broker.port, "--log", broker.log, "--shards", shards]
        words += ["--cycles", self.cycles_full if options.full else self.cycles]
        words += ["--seed", options.seed] if options.seed is not None else []
        program = tools.COMPAT / "crash" / "crash.py"
        limit = SUITE_SECONDS * (10 if options.full else 1)
        tools.run(out, tools.python(out), "-u", program, *words, "--", *broker.command("{shards}"), timeout=limit)


class CrashShardsSuite(CrashSuite):
    """The same, with another number of shards at each start."""

    shards = (4, 1, 3, 2)


def _all() -> list[Suite]:
    return [
        KcatSuite("kcat", "kcat (librdkafka 2.0, as Debian has it)"),
        PythonSuite("confluent", "confluent-kafka for Python (librdkafka)"),
        PythonSuite(
            "kafka-python",
            "kafka-python",
            # Without a delay it may wait in vain for its first assignment, with Apache Kafka too (docs/protocol.md).
            {"num.partitions": "4", "group.initial.rebalance.delay.ms": "500"},
        ),
        PythonSuite("aiokafka", "aiokafka"),
        NodeSuite("kafkajs", "kafkajs"),
        GoSuite("franz-go", "franz-go"),
        RustSuite("rdkafka", "the Rust crate rdkafka (librdkafka)"),
        JavaSuite("java", "the Java client 4.x, its Admin and its console producer and consumer"),
        CrashSuite("crash", "kill -9 under producers and a group; nothing acknowledged is lost"),
        CrashShardsSuite("crash-shards", "the same, with another number of shards after each kill"),
        LibrdkafkaSuite(
            "librdkafka",
            "librdkafka's own test-runner",
            # Some tests count rebalances and start their consumers one after the other.
            {"num.partitions": "4", "group.initial.rebalance.delay.ms": "500"},
        ),
    ]


ALL = {suite.name: suite for suite in _all()}
