"""What the scenario asks of a client. Each adapter answers with nothing but the client's public API."""

import threading
import time
import typing

from records import Record

#: How long anything may take before it counts as hanging.
PATIENCE = 60

#: Configs of the topics.
KEEP = {"retention.ms": "-1"}


class TopicExists(Exception):
    """The broker said that there is such a topic."""


class Client:
    """One client library, against one broker."""

    def __init__(self, bootstrap: str):
        self.bootstrap = bootstrap

    def create_topic(self, name: str, partitions: int) -> None:
        """With `KEEP`: the records are dated, and without it the broker would be right to delete them as too old."""
        raise NotImplementedError

    def topics(self) -> dict[str, int]:
        """Names and numbers of partitions."""
        raise NotImplementedError

    def delete_topic(self, name: str) -> None:
        raise NotImplementedError

    def produce(self, topic: str, records: typing.Iterable[tuple], codec: str, idempotent: bool) -> list[tuple[int, int]]:
        """Produces (partition or None, timestamp, key, value, headers); returns partition and offset of each."""
        raise NotImplementedError

    def read(self, topic: str, starts: dict[int, int], count: int) -> list[Record]:
        """Reads assigned partitions from these offsets until there are so many records."""
        raise NotImplementedError

    def ends(self, topic: str, partitions: int) -> dict[int, int]:
        """The offset after the last record of each partition."""
        raise NotImplementedError

    def offsets_for_time(self, topic: str, partitions: int, timestamp: int) -> dict[int, int | None]:
        """The first record of each partition that is not older; None if all are."""
        raise NotImplementedError

    def consume(self, topic: str, group: str, count: int) -> list[Record]:
        """As a member of the group: so many records, exactly these committed, then leaves."""
        raise NotImplementedError

    def committed(self, topic: str, group: str, partitions: int) -> dict[int, int]:
        """Where the group would go on."""
        raise NotImplementedError

    def member(self, topic: str, group: str) -> "Member":
        raise NotImplementedError


class Member(threading.Thread):
    """A consumer of a group in a thread of its own; commits what it has seen after each batch."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.records: list[Record] = []
        self.assigned: set[int] = set()
        self.failure: BaseException | None = None
        self.leaving = threading.Event()

    def run(self) -> None:
        try:
            self.consume_until_leaving()
        except BaseException as failure:
            self.failure = failure

    def consume_until_leaving(self) -> None:
        """Polls, extends `records`, replaces `assigned`, commits; closes when `leaving` is set."""
        raise NotImplementedError

    def leave(self) -> None:
        self.leaving.set()
        self.join(PATIENCE)
        assert not self.is_alive(), "the member does not leave"
        self.check()

    def check(self) -> None:
        if self.failure:
            raise self.failure


def wait_until(what: str, condition: typing.Callable[[], bool], members: typing.Iterable[Member] = ()) -> None:
    """Waits for a condition that the broker and its clients bring about."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        for member in members:
            member.check()
        assert time.monotonic() < deadline, f"{PATIENCE} s and not yet: {what}"
        time.sleep(0.02)
