"""The records that the suites produce, and what a consumer must get back. Record `n` is a function of `n` and a name."""

import typing

COUNT = 10_000
PARTITIONS = 4
FIRST_TIMESTAMP = 1_700_000_000_000
STEP_MS = 10
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


class Record(typing.NamedTuple):
    """A record as consumed."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def key(n: int) -> bytes | None:
    """Some records have none."""
    return None if n % 50 == 49 else f"key-{n % 997}".encode()


def value(name: str, n: int) -> bytes | None:
    """Up to some 1,000 bytes that compress; some records have none (never without a key: kafka-python refuses those)."""
    if n % 101 == 100 and key(n) is not None:
        return None
    return f"{name}:{n}:".encode() + bytes([97 + n % 26]) * (n * 7 % 200) + b"\x00\xff" * (n % 3) * (n % 200)


def headers(n: int) -> list[tuple[str, bytes]]:
    """None, or three: one name twice (the order counts), one with bytes that are no text."""
    if n % 10 == 3:
        return []
    return [("n", str(n).encode()), ("n", b"again"), ("bin", bytes([n & 255, 0, 255]))]


def timestamp(n: int) -> int:
    """Milliseconds since 1970, rising with `n`."""
    return FIRST_TIMESTAMP + n * STEP_MS


def partition(n: int) -> int:
    """Where record `n` goes when the suite chooses."""
    return n % PARTITIONS


def produced(name: str, numbers: typing.Iterable[int]) -> typing.Iterator[tuple]:
    """(partition, timestamp, key, value, headers) for each number."""
    for n in numbers:
        yield partition(n), timestamp(n), key(n), value(name, n), headers(n)


def expected(name: str, numbers: typing.Iterable[int]) -> dict[int, list[Record]]:
    """What each partition holds, if the suite chose it and these are all."""
    by_partition: dict[int, list[Record]] = {p: [] for p in range(PARTITIONS)}
    for n in numbers:
        there = by_partition[partition(n)]
        there.append(Record(partition(n), len(there), timestamp(n), key(n), value(name, n), headers(n)))
    return by_partition


def compare(found: typing.Iterable[Record], wanted: dict[int, list[Record]]) -> None:
    """Each partition in order, record by record."""
    by_partition: dict[int, list[Record]] = {p: [] for p in wanted}
    for record in found:
        by_partition[record.partition].append(record)
    for p, records in wanted.items():
        for there, should in zip(by_partition[p], records):
            assert there == should, f"partition {p}:\n  found  {there}\n  wanted {should}"
        assert len(by_partition[p]) == len(records), f"partition {p}: {len(by_partition[p])} of {len(records)} records"


def compare_as_sets(found: typing.Iterable[Record], wanted: dict[int, list[Record]], twice: bool) -> None:
    """Everything is there with its content; `twice` allows records that a rebalance delivered again."""
    seen: dict[tuple[int, int], Record] = {}
    for record in found:
        place = (record.partition, record.offset)
        assert twice or place not in seen, f"{place} came twice"
        seen[place] = record
    compare((seen[place] for place in sorted(seen)), wanted)
