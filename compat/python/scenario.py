"""What every Python client does, and what it must see. Ends with 0 if all of it was so.

    scenario.py CLIENT HOST:PORT                 the whole scenario
    scenario.py CLIENT HOST:PORT TOPIC GROUP N   one process of a group: N records, committed; prints what it got
"""

import json
import secrets
import subprocess
import sys
import time

import records
from adapters import base
from records import COUNT, PARTITIONS

ADAPTERS = {"confluent": "confluent", "kafka-python": "kafka_python", "aiokafka": "aio"}


def main() -> None:
    name, bootstrap, *process = sys.argv[1:]
    adapter = __import__(f"adapters.{ADAPTERS[name]}", fromlist=["Client"])
    client = adapter.Client(bootstrap)
    if process:
        one_process(client, *process)
        return
    run = f"{name}-{secrets.token_hex(3)}"
    step("topics", topics, client, run)
    for codec in records.CODECS:
        step(f"10,000 records, {codec}", codec_round_trip, client, run, codec)
    source = f"{run}-none"
    step("seek by offset", seek_by_offset, client, source)
    step("seek by time", seek_by_time, client, source)
    step("two members and a rebalance", rebalance, client, source, f"{run}-pair")
    step("commits resumed by another process", resume, client, name, source, f"{run}-resumed")
    step("idempotent production", idempotent, client, run)
    step("delete topics", delete_topics, client, run)


def step(name: str, work, *arguments) -> None:
    started = time.monotonic()
    print(f"{name} ...", flush=True)
    work(*arguments)
    print(f"{name}: ok, {time.monotonic() - started:.1f} s", flush=True)


def topics(client: base.Client, run: str) -> None:
    client.create_topic(run, 3)
    base.wait_until("the topic is listed", lambda: client.topics().get(run) == 3)
    try:
        client.create_topic(run, 3)
    except base.TopicExists:
        return
    raise AssertionError("the same topic twice")


def codec_round_trip(client: base.Client, run: str, codec: str) -> None:
    topic = f"{run}-{codec}"
    client.create_topic(topic, PARTITIONS)
    wanted = records.expected(codec, range(COUNT))
    acked = client.produce(topic, records.produced(codec, range(COUNT)), codec, idempotent=False)
    assert acked == [(n % PARTITIONS, n // PARTITIONS) for n in range(COUNT)], "acknowledged elsewhere"
    assert client.ends(topic, PARTITIONS) == {p: len(there) for p, there in wanted.items()}
    found = client.read(topic, {p: 0 for p in range(PARTITIONS)}, COUNT)
    records.compare(found, wanted)


def seek_by_offset(client: base.Client, topic: str) -> None:
    wanted = records.expected("none", range(COUNT))
    for partition, offset in ((0, 0), (1, 777), (2, 1234), (3, COUNT // PARTITIONS - 1)):
        rest = wanted[partition][offset : offset + 50]
        assert client.read(topic, {partition: offset}, len(rest))[:50] == rest, f"from offset {offset}"


def seek_by_time(client: base.Client, topic: str) -> None:
    wanted = records.expected("none", range(COUNT))
    for n in (0, 1, 4321, COUNT - 1):
        for timestamp in (records.timestamp(n), records.timestamp(n) - records.STEP_MS // 2):
            first = {p: next((r.offset for r in there if r.timestamp >= timestamp), None) for p, there in wanted.items()}
            found = client.offsets_for_time(topic, PARTITIONS, timestamp)
            assert found == first, f"at {timestamp}: {found}, not {first}"
    after = client.offsets_for_time(topic, PARTITIONS, records.timestamp(COUNT))
    assert all(offset is None for offset in after.values()), after
    start = client.offsets_for_time(topic, PARTITIONS, records.timestamp(6000))[0]
    assert client.read(topic, {0: start}, 1)[0] == wanted[0][1500]


def rebalance(client: base.Client, topic: str, group: str) -> None:
    everything = set(range(PARTITIONS))
    first, second = client.member(topic, group), client.member(topic, group)
    first.start()
    base.wait_until("the first member has all", lambda: first.assigned == everything, [first])
    second.start()
    both = [first, second]
    shared = lambda: len(first.assigned) == len(second.assigned) == 2 and first.assigned | second.assigned == everything
    base.wait_until("the two have half each", shared, both)
    more = client.produce(topic, records.produced("none", range(COUNT, COUNT + 400)), "none", idempotent=False)
    assert len(more) == 400
    wanted = records.expected("none", range(COUNT + 400))
    places = lambda: {(r.partition, r.offset) for member in both for r in list(member.records)}
    base.wait_until("all records are consumed", lambda: len(places()) == COUNT + 400, both)
    assert {r.partition for r in second.records[-100:]} <= second.assigned
    second.leave()
    base.wait_until("the first member has all again", lambda: first.assigned == everything, [first])
    first.leave()
    records.compare_as_sets(first.records + second.records, wanted, twice=True)
    ends = {p: len(there) for p, there in wanted.items()}
    assert client.committed(topic, group, PARTITIONS) == ends


def resume(client: base.Client, name: str, topic: str, group: str) -> None:
    total = sum(client.ends(topic, PARTITIONS).values())
    found: list[records.Record] = []
    for count in (4_000, total - 4_000 - 7, 7):
        found += in_another_process(name, client.bootstrap, topic, group, count)
    records.compare_as_sets(found, records.expected("none", range(total)), twice=False)
    assert sum(client.committed(topic, group, PARTITIONS).values()) == total


def in_another_process(name: str, bootstrap: str, topic: str, group: str, count: int) -> list[records.Record]:
    command = [sys.executable, __file__, name, bootstrap, topic, group, str(count)]
    answer = subprocess.run(command, stdout=subprocess.PIPE, timeout=2 * base.PATIENCE, check=True).stdout
    return [from_json(row) for row in json.loads(answer)]


def one_process(client: base.Client, topic: str, group: str, count: str) -> None:
    json.dump([to_json(record) for record in client.consume(topic, group, int(count))], sys.stdout)


def to_json(record: records.Record) -> list:
    text = lambda raw: None if raw is None else raw.hex()
    headers = [[name, value.hex()] for name, value in record.headers]
    return [*record[:3], text(record.key), text(record.value), headers]


def from_json(row: list) -> records.Record:
    raw = lambda text: None if text is None else bytes.fromhex(text)
    headers = [(name, bytes.fromhex(value)) for name, value in row[5]]
    return records.Record(*row[:3], raw(row[3]), raw(row[4]), headers)


def idempotent(client: base.Client, run: str) -> None:
    """The client chooses the partition by key, so each key keeps its order and nothing is there twice."""
    topic = f"{run}-idempotent"
    client.create_topic(topic, PARTITIONS)
    made = [(None, *row[1:]) for row in records.produced("once", range(COUNT))]
    acked = client.produce(topic, made, "lz4", idempotent=True)
    assert len(set(acked)) == COUNT, "two records acknowledged at one place"
    by_place = {}
    for n, (partition, offset) in enumerate(acked):
        row = (records.timestamp(n), records.key(n), records.value("once", n), records.headers(n))
        by_place[partition, offset] = records.Record(partition, offset, *row)
    found = client.read(topic, {p: 0 for p in range(PARTITIONS)}, COUNT)
    assert {(r.partition, r.offset): r for r in found} == by_place
    assert sum(client.ends(topic, PARTITIONS).values()) == COUNT, "more than was produced"
    places = {}
    for n, (partition, offset) in enumerate(acked):
        key = records.key(n)
        if key is not None:
            before = places.get(key, (partition, -1))
            assert before[0] == partition and before[1] < offset, f"{key} out of order"
            places[key] = (partition, offset)


def delete_topics(client: base.Client, run: str) -> None:
    mine = [run, f"{run}-idempotent", *(f"{run}-{codec}" for codec in records.CODECS)]
    for topic in mine:
        client.delete_topic(topic)
    base.wait_until("the topics are gone", lambda: not set(mine) & set(client.topics()))


if __name__ == "__main__":
    main()
