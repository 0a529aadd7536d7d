"""What kcat does, both ways, and what it must see. Ends with 0 if all of it was so.

    suite.py HOST:PORT

kcat has one header set per call, no timestamps of its own and lets the broker make its topics, so this scenario is its
own: records are lines, the key chooses the partition, and what comes back is compared by content and order per
partition.
"""

import collections
import json
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import typing

COUNT = 10_000
PARTITIONS = 4
PATIENCE = 60
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
HEADERS = [("first", "1"), ("again", "a"), ("again", "b")]


class Line(typing.NamedTuple):
    """A record as kcat's JSON has it."""

    partition: int
    offset: int
    ts: int
    key: str
    payload: str
    headers: list[tuple[str, str]]


class Kcat:
    """kcat against one broker."""

    def __init__(self, bootstrap: str):
        self.base = ["kcat", "-b", bootstrap, "-E"]

    def __call__(self, *words: object, lines: typing.Iterable[str] | None = None) -> str:
        command = [*self.base, *map(str, words)]
        text = None if lines is None else "".join(line + "\n" for line in lines)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-500:]}"
        return done.stdout

    def produce(self, topic: str, records: typing.Iterable[tuple[str, str]], *words: object) -> None:
        """Keys and values; which partition, the key decides."""
        self("-P", "-t", topic, "-K", "\t", *words, lines=(f"{key}\t{value}" for key, value in records))

    def consume(self, topic: str, *words: object) -> list[Line]:
        """Up to the end of the topic, or what `words` say."""
        return parse(self("-C", "-t", topic, "-J", "-q", *words))


def parse(output: str) -> list[Line]:
    def line(row: dict) -> Line:
        flat = row.get("headers") or []
        pairs = list(zip(flat[::2], flat[1::2]))
        return Line(row["partition"], row["offset"], row["ts"], row["key"], row["payload"], pairs)

    return [line(json.loads(text)) for text in output.splitlines()]


def records(name: str) -> list[tuple[str, str]]:
    return [(f"key-{n % 97}", f"{name}:{n}:" + chr(97 + n % 26) * (n * 7 % 200)) for n in range(COUNT)]


def check(found: list[Line], wanted: list[tuple[str, str]]) -> None:
    """All of it once, each partition in order without a gap, each key in one partition."""
    numbers = {record: n for n, record in enumerate(wanted)}
    last = collections.defaultdict(lambda: (-1, -1))
    home: dict[str, int] = {}
    for line in found:
        n = numbers.pop((line.key, line.payload), None)
        assert n is not None, f"nobody produced {line}, or it came twice"
        offset, before = last[line.partition]
        assert line.offset == offset + 1 and n > before, f"{line} after offset {offset}"
        last[line.partition] = (line.offset, n)
        assert home.setdefault(line.key, line.partition) == line.partition, f"{line.key} in two partitions"
    assert not numbers, f"{len(numbers)} records are missing"


def codec_round_trip(kcat: Kcat, run: str, codec: str) -> None:
    topic = f"{run}-{codec}"
    flags = [word for name, value in HEADERS for word in ("-H", f"{name}={value}")]
    kcat.produce(topic, records(codec), "-z", codec, *flags)
    found = kcat.consume(topic, "-e", "-o", "beginning")
    check(found, records(codec))
    assert all(line.headers == HEADERS for line in found)
    listed = json.loads(kcat("-L", "-J", "-t", topic))["topics"][0]
    assert len(listed["partitions"]) == PARTITIONS, listed


def acks(kcat: Kcat, run: str) -> None:
    for level in (0, 1, -1):
        topic = f"{run}-acks{level}"
        kcat.produce(topic, records("acks"), "-X", f"topic.acks={level}")
        until("all is there", lambda: ends(kcat, topic) == COUNT)
        check(kcat.consume(topic, "-e", "-o", "beginning"), records("acks"))


def ends(kcat: Kcat, topic: str) -> int:
    asked = [word for p in range(PARTITIONS) for word in ("-t", f"{topic}:{p}:-1")]
    return sum(int(offset) for offset in re.findall(r"offset (\d+)", kcat("-Q", *asked)))


def idempotent(kcat: Kcat, run: str) -> None:
    topic = f"{run}-idempotent"
    kcat.produce(topic, records("once"), "-X", "enable.idempotence=true", "-X", "batch.size=20000")
    check(kcat.consume(topic, "-e", "-o", "beginning"), records("once"))


def seek_by_offset(kcat: Kcat, topic: str) -> None:
    whole = by_partition(kcat.consume(topic, "-e", "-o", "beginning"))
    for p, lines in whole.items():
        for start in (0, 7, len(lines) - 1):
            assert kcat.consume(topic, "-p", p, "-o", start, "-c", 1) == lines[start : start + 1]
        assert kcat.consume(topic, "-p", p, "-o", -5, "-e") == lines[-5:]


def seek_by_time(kcat: Kcat, run: str) -> None:
    topic = f"{run}-time"
    for part in ("early", "late"):
        kcat.produce(topic, records(part))
        time.sleep(0.05)
    whole = by_partition(kcat.consume(topic, "-e", "-o", "beginning"))
    for p, lines in whole.items():
        late = next(line for line in lines if line.payload.startswith("late"))
        first = next(line for line in lines if line.ts >= late.ts)
        assert kcat.consume(topic, "-p", p, "-o", f"s@{late.ts}", "-c", 1) == [first]
        assert f"[{p}] offset {first.offset}" in kcat("-Q", "-t", f"{topic}:{p}:{late.ts}")


def by_partition(lines: list[Line]) -> dict[int, list[Line]]:
    grouped = collections.defaultdict(list)
    for line in lines:
        grouped[line.partition].append(line)
    return grouped


class Member:
    """A kcat in balanced consumer mode. It tells of its assignments on stderr, of records on stdout."""

    def __init__(self, kcat: Kcat, group: str, topic: str):
        self.out, self.err = tempfile.NamedTemporaryFile(), tempfile.NamedTemporaryFile()
        how = ["-o", "beginning", "-J", "-u", "-X", "heartbeat.interval.ms=300", "-X", "auto.commit.interval.ms=200"]
        command = [*kcat.base, "-G", group, *how, "-X", "auto.offset.reset=earliest", topic]
        self.child = subprocess.Popen(command, stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL)

    def assigned(self) -> int:
        assert self.child.poll() is None, f"kcat ended with {self.child.returncode}: {read(self.err)[-500:]}"
        said = re.findall(r"rebalanced .*: (assigned|revoked): (.*)", read(self.err))
        return said[-1][1].count("[") if said and said[-1][0] == "assigned" else 0

    def lines(self) -> list[Line]:
        whole = read(self.out)
        return parse(whole[: whole.rfind("\n") + 1])

    def leave(self) -> None:
        self.child.send_signal(signal.SIGINT)
        self.child.wait(PATIENCE)


def read(file: typing.IO[bytes]) -> str:
    # Opened anew: a seek would move the place where kcat writes.
    with open(file.name) as again:
        return again.read()


def rebalance(kcat: Kcat, topic: str, group: str) -> None:
    first = Member(kcat, group, topic)
    until("the first member has all", lambda: first.assigned() == PARTITIONS)
    second = Member(kcat, group, topic)
    until("the two have half each", lambda: first.assigned() == 2 and second.assigned() == 2)
    everything = lambda: {(line.partition, line.offset): line for line in first.lines() + second.lines()}
    until("all records are consumed", lambda: len(everything()) == COUNT)
    second.leave()
    until("the first member has all again", lambda: first.assigned() == PARTITIONS)
    first.leave()
    found = everything()
    check([found[place] for place in sorted(found)], records("none"))


def resume(kcat: Kcat, topic: str, group: str) -> None:
    """Each process takes some and leaves; the next goes on where it stopped."""
    found: list[Line] = []
    for count in (4_000, COUNT - 4_000 - 7, 7):
        command = [*kcat.base, "-G", group, "-J", "-q", "-c", str(count), "-X", "auto.offset.reset=earliest", topic]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
        found += parse(done.stdout)
    check(sorted(found), records("none"))


def until(what: str, condition: typing.Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def step(name: str, work, *arguments) -> None:
    started = time.monotonic()
    print(f"{name} ...", flush=True)
    work(*arguments)
    print(f"{name}: ok, {time.monotonic() - started:.1f} s", flush=True)


def main() -> None:
    kcat = Kcat(sys.argv[1])
    run = f"kcat-{secrets.token_hex(3)}"
    for codec in CODECS:
        step(f"10,000 records, {codec}", codec_round_trip, kcat, run, codec)
    step("acks 0, 1 and all", acks, kcat, run)
    step("idempotent production", idempotent, kcat, run)
    step("seek by offset", seek_by_offset, kcat, f"{run}-none")
    step("seek by time", seek_by_time, kcat, run)
    step("two members and a rebalance", rebalance, kcat, f"{run}-none", f"{run}-pair")
    step("commits resumed by another process", resume, kcat, f"{run}-none", f"{run}-resumed")


if __name__ == "__main__":
    main()
