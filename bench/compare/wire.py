"""A client of a few requests, spoken raw, for what public clients cannot tell: the first moment at which a broker serves.

Metadata (v4), Produce (v3) and ListOffsets (v1), in the versions that every broker of today still has.
"""

import socket
import struct
import time
import typing

from driver import tools

METADATA, PRODUCE, LIST_OFFSETS = (3, 4), (0, 3), (2, 1)
LATEST = -1


class Broken(tools.Failed):
    """The connection, or what came on it, is of no use."""


class Client:
    """One connection, one request at a time."""

    def __init__(self, address: str, seconds: float = 60):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent = 0

    def close(self) -> None:
        self.socket.close()

    def leaders(self, topic: str) -> list[int]:
        """Leaders of the topic's partitions by index, -1 for none; empty if it is not there. Asks for it to be created."""
        answer = self._call(METADATA, _array([_string(topic)]) + b"\x01")
        answer.take("i")
        for _ in range(answer.take("i")):
            answer.take("i"), answer.string(), answer.take("i"), answer.string()
        answer.string(), answer.take("i")
        leaders: dict[int, int] = {}
        for _ in range(answer.take("i")):
            answer.take("h"), answer.string(), answer.take("b")
            for _ in range(answer.take("i")):
                _, index, leader = answer.take("h"), answer.take("i"), answer.take("i")
                leaders[index] = leader
                for _ in range(2):
                    answer.skip(4 * answer.take("i"))
        return [leaders[index] for index in sorted(leaders)]

    def produce(self, topic: str, batch: bytes, partitions: typing.Sequence[int]) -> bool:
        """The same batch to each partition with acks=all; whether all were taken."""
        entries = [struct.pack(">ii", partition, len(batch)) + batch for partition in partitions]
        body = _string(None) + struct.pack(">hi", -1, 30_000) + _array([_string(topic) + _array(entries)])
        answer = self._call(PRODUCE, body)
        codes = []
        for _ in range(answer.take("i")):
            answer.string()
            for _ in range(answer.take("i")):
                answer.take("i")
                codes.append(answer.take("h"))
                answer.skip(16)
        return len(codes) == len(partitions) and not any(codes)

    def ends(self, topic: str, partitions: int) -> list[int] | None:
        """The end of each partition, or None while one of them cannot say it."""
        entries = [struct.pack(">iq", partition, LATEST) for partition in range(partitions)]
        answer = self._call(LIST_OFFSETS, struct.pack(">i", -1) + _array([_string(topic) + _array(entries)]))
        found: dict[int, int] = {}
        for _ in range(answer.take("i")):
            answer.string()
            for _ in range(answer.take("i")):
                index, code, _, offset = answer.take("i"), answer.take("h"), answer.take("q"), answer.take("q")
                if code:
                    return None
                found[index] = offset
        return [found[index] for index in sorted(found)] if len(found) == partitions else None

    def _call(self, api: tuple[int, int], body: bytes) -> "Answer":
        self.sent += 1
        request = struct.pack(">hhi", *api, self.sent) + _string("bench") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        answer = Answer(self._receive(struct.unpack(">i", self._receive(4))[0]))
        if answer.take("i") != self.sent:
            raise Broken("an answer to another request")
        return answer

    def _receive(self, count: int) -> bytes:
        parts = []
        while count:
            part = self.socket.recv(min(count, 1 << 16))
            if not part:
                raise Broken("the connection was closed")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def wait_for_ends(address: str, topic: str, partitions: int, seconds: float) -> list[int]:
    """The end of each partition, as soon as all of them can say it."""
    deadline = time.monotonic() + seconds
    client = Client(address)
    try:
        while (found := client.ends(topic, partitions)) is None:
            if time.monotonic() > deadline:
                raise Broken(f"not every partition of {topic} serves after {seconds:.0f} s")
            time.sleep(0.02)
        return found
    finally:
        client.close()


class Answer:
    """The bytes of an answer, taken from the front."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, kind: str) -> int:
        """One number: b, h, i or q."""
        (value,) = struct.unpack_from(">" + kind, self.data, self.at)
        self.at += struct.calcsize(">" + kind)
        return value

    def skip(self, count: int) -> None:
        self.at += count

    def string(self) -> None:
        """Passed over; null is -1."""
        self.skip(max(0, self.take("h")))


def batch(value: bytes) -> bytes:
    """A record batch (v2) of one record without a key, of now: what is older than retention.ms would soon go again."""
    now = int(time.time() * 1000)
    body = b"\x00\x00\x00" + _varint(-1) + _varint(len(value)) + value + _varint(0)
    record = _varint(len(body)) + body
    tail = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + record
    head = struct.pack(">ibI", -1, 2, crc32c(tail))
    return struct.pack(">qi", 0, len(head) + len(tail)) + head + tail


def crc32c(data: bytes) -> int:
    """Castagnoli's; slow, for small batches."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def _string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def _array(items: list[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def _varint(number: int) -> bytes:
    zigzag = number << 1 ^ number >> 63
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)
