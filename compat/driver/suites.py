"""What is run, by name. A suite prepares (installs, compiles), then runs against a broker; `Failed` if it does not pass."""

import argparse
import dataclasses
import os
import typing

from . import tools
from .brokers import Broker

SUITE_SECONDS = 240


@dataclasses.dataclass
class Suite:
    """One program, or one family of tests."""

    name: str
    about: str
    settings: dict[str, str] = dataclasses.field(default_factory=lambda: {"num.partitions": "4"})
    #: Starts and kills the broker itself, so it must be one of ours.
    owns_broker: bool = False

    def prepare(self, out: typing.TextIO) -> None:
        """Installs and compiles; nothing that needs the broker."""

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        raise NotImplementedError

    def remark(self) -> str:
        """What the line of a passed suite says beyond its time."""
        return ""


class PythonSuite(Suite):
    """A client for Python: compat/python/scenario.py with the adapter for it."""

    def prepare(self, out: typing.TextIO) -> None:
        tools.python(out)

    def run(self, broker: Broker, options: argparse.Namespace, out: typing.TextIO) -> None:
        program = tools.COMPAT / "python" / "scenario.py"
        tools.run(out, tools.python(out), "-u", program, self.name, broker.address, timeout=SUITE_SECONDS)


def _all() -> list[Suite]:
    return [
        PythonSuite("confluent", "confluent-kafka for Python (librdkafka)"),
        PythonSuite("kafka-python", "kafka-python"),
        PythonSuite("aiokafka", "aiokafka"),
    ]


ALL = {suite.name: suite for suite in _all()}
