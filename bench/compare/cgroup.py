"""A memory group for one broker: its own memory and the page cache of what it reads and writes, together.

Version 1 and version 2 of control groups are known; which one is there is seen from the mounts. CPUs need no group:
they are given by `taskset`.
"""

import contextlib
import os
import pathlib
import time
import typing

ROOT = pathlib.Path("/sys/fs/cgroup")
LEAVE_SECONDS = 10


class Refused(Exception):
    """There is no memory group to be had here; the text says why."""


class Group:
    """One memory group; gone after `remove`."""

    def __init__(self, path: pathlib.Path, version: int):
        self.path = path
        self.version = version

    @property
    def prefix(self) -> list[str]:
        """Words before a command that is to live in the group. The command keeps the process."""
        return ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self.path / "cgroup.procs")]

    def peak_bytes(self) -> int:
        """The most that it held at once, page cache included."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        try:
            return int((self.path / name).read_text())
        except FileNotFoundError:
            return 0  # memory.peak is younger than version 2

    def remove(self) -> None:
        """Needs that all its processes have ended; the kernel may need a moment after that."""
        deadline = time.monotonic() + LEAVE_SECONDS
        while True:
            try:
                self.path.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def version() -> int:
    """1 or 2, by who has the memory controller."""
    if (ROOT / "memory" / "memory.limit_in_bytes").exists():
        return 1
    if "memory" in _words(ROOT / "cgroup.controllers"):
        return 2
    raise Refused(f"no memory control group, version 1 or 2, under {ROOT}: the brokers cannot be held to the same memory")


def make(name: str, limit_bytes: int) -> Group:
    """A new group with that limit, below the root of what this process sees."""
    known = version()
    parent = ROOT / "memory" if known == 1 else ROOT
    path = parent / f"ailurus-bench-{os.getpid()}-{name}"
    try:
        if known == 2 and "memory" not in _words(ROOT / "cgroup.subtree_control"):
            (ROOT / "cgroup.subtree_control").write_text("+memory")
        path.mkdir()
        limit = "memory.limit_in_bytes" if known == 1 else "memory.max"
        (path / limit).write_text(str(limit_bytes))
    except OSError as error:
        with contextlib.suppress(OSError):
            path.rmdir()
        raise Refused(f"no right to make a memory group: {error}; run as root, outside a container without one") from None
    return Group(path, known)


@contextlib.contextmanager
def held(name: str, limit_bytes: int) -> typing.Iterator[Group]:
    """A group for the length of the `with`."""
    group = make(name, limit_bytes)
    try:
        yield group
    finally:
        group.remove()


def _words(path: pathlib.Path) -> list[str]:
    return path.read_text().split() if path.exists() else []
