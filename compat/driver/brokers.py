"""Who is tested: an Ailurus of our own, Apache Kafka from its jars, or a broker that runs already."""

import argparse
import contextlib
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import typing

from . import tools

READY_SECONDS = 60


def choose(options: argparse.Namespace, suite: typing.Any, out: typing.TextIO) -> typing.ContextManager["Broker"]:
    """The broker for this suite, started, and stopped at the end of the `with`."""
    if options.broker:
        return contextlib.nullcontext(Broker(options.broker))
    if options.oracle:
        broker = Kafka(suite, out)
    else:
        broker = Ailurus(binary(options, out), suite, options.shards, out)
    return kept(broker) if suite.owns_broker else started(broker)


def binary(options: argparse.Namespace, out: typing.TextIO) -> pathlib.Path:
    """The ailurus to test: the one named, or a release build of this tree."""
    if options.bin:
        return options.bin.resolve()
    manifest = tools.ROOT / "Cargo.toml"
    tools.run(out, "cargo", "build", "--release", "-p", "ailurus", "--manifest-path", manifest, timeout=1800)
    return tools.TARGET / "release" / "ailurus"


class Broker:
    """Somebody who listens at `address`."""

    def __init__(self, address: str):
        self.address = address

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])


class Process(Broker):
    """A broker that is a child of this process."""

    #: Where data directories are made; where temporary files are, if not set.
    scratch: typing.ClassVar[pathlib.Path | None] = None

    def __init__(self, name: str, ports: int = 1):
        super().__init__(f"127.0.0.1:{free_port(ports)}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"compat-{name}-", dir=self.scratch))
        #: Words before the command: what puts it on a CPU or into a cgroup. The process must stay the same one.
        self.prefix: list[str] = []
        self.log = tools.LOGS / f"{name}.broker.log"
        self.log.unlink(missing_ok=True)
        self.child: subprocess.Popen[bytes] | None = None

    def command(self, shards: object = None) -> list[str]:
        """What starts it, with so many shards if it has shards."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts the process; does not wait until it serves."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen([*self.prefix, *self.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        """Until a connection is accepted."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.child.poll() is not None:
                raise tools.Failed(f"the broker ended with {self.child.returncode} at its start; see {self.log}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.005)
        raise tools.Failed(f"the broker did not listen within {READY_SECONDS} s; see {self.log}")

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait()

    def stop(self) -> None:
        """SIGTERM; a broker that does not end by itself in time, or not well, is a failure."""
        code = self.child.poll()
        if code is not None:
            raise tools.Failed(f"the broker ended by itself with {code}; see {self.log}")
        self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(self.STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise tools.Failed(f"the broker did not stop within {self.STOP_SECONDS} s of SIGTERM") from None
        if code not in self.GOOD_ENDS:
            raise tools.Failed(f"the broker ended with {code} after SIGTERM; see {self.log}")

    GOOD_ENDS = (0,)
    #: How long an orderly end may take.
    STOP_SECONDS = 30


class Ailurus(Process):
    """The broker of this repository."""

    mode: typing.ClassVar[str] = "dev"

    def __init__(self, program: pathlib.Path, suite: typing.Any, shards: int, out: typing.TextIO):
        # In shard-direct mode each shard has a port, from that of the broker on. The one behind them is for admin.
        direct = suite.settings.get("shard.direct") == "true"
        doors = max(shards, *getattr(suite, "shards", ()), 1) if direct else 1
        super().__init__(suite.name, doors + 1)
        self.program = program
        self.shards = shards
        self.settings = suite.settings
        self.admin_port = self.port + doors

    def command(self, shards: object = None) -> list[str]:
        settings = [word for name, value in self.settings.items() for word in ("--set", f"{name}={value}")]
        return [
            str(self.program),
            "start",
            *("--mode", self.mode),
            *("--data-dir", str(self.folder / "data")),
            *("--kafka-addr", self.address),
            *("--admin-addr", f"127.0.0.1:{self.admin_port}"),
            *("--shards", str(self.shards if shards is None else shards)),
            *settings,
        ]


class Kafka(Process):
    """Apache Kafka, one node, KRaft."""

    # The JVM says 128 + SIGTERM after an orderly end.
    GOOD_ENDS = (0, 143)
    # With 10,000 partitions a minute is not enough.
    STOP_SECONDS = 180
    #: What the suites need is a small one.
    jvm: typing.ClassVar[list[str]] = ["-Xmx1g", "-XX:+UseSerialGC"]

    def __init__(self, suite: typing.Any, out: typing.TextIO):
        super().__init__(suite.name)
        jars = tools.CACHE / "oracle"
        self.java = ["java", *self.jvm, "-cp", f"{jars}/*"]
        self.properties = self.folder / "server.properties"
        try:
            tools.maven(out, tools.COMPAT / "oracle", jars)
            self.properties.write_text(self._properties(suite.settings))
            cluster = "MkU3OEVBNTcwNTJENDM2Qk"
            tools.run(out, *self.java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", self.properties)
        except BaseException:  # nobody else knows of the folder yet
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def command(self, shards: object = None) -> list[str]:
        return [*self.java, "kafka.Kafka", str(self.properties)]

    def _properties(self, settings: dict[str, str]) -> str:
        controller = f"127.0.0.1:{free_port()}"
        values = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            **settings,
        }
        return "".join(f"{name}={value}\n" for name, value in values.items())


@contextlib.contextmanager
def kept(broker: Process) -> typing.Iterator[Process]:
    """For a suite that starts and kills the broker itself. Its files stay if anything failed."""
    yield broker
    shutil.rmtree(broker.folder, ignore_errors=True)


@contextlib.contextmanager
def started(broker: Process) -> typing.Iterator[Process]:
    """Runs the broker for the length of the `with`. Its files stay if anything failed."""
    try:
        broker.start()
        broker.wait_ready()
        yield broker
        broker.stop()
        shutil.rmtree(broker.folder, ignore_errors=True)
    except BaseException as failure:
        died = broker.child is not None and broker.child.poll() is not None
        if broker.child is not None and not died:
            broker.kill()
        if died and isinstance(failure, tools.Failed) and "broker" not in str(failure):
            raise tools.Failed(f"{failure}; the broker had ended with {broker.child.returncode}, see {broker.log}") from failure
        raise


def free_port(count: int = 1) -> int:
    """A port that nobody has now, nor those behind it up to so many, below those the kernel gives to connections.

    One of those could be taken by any client while a killed broker is away; it could even be the client's own that tries
    to reach the broker, which then meets itself.
    """
    while True:
        first = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError):
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return first
