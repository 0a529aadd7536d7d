// What kafkajs does, and what it must see. Ends with 0 if all of it was so.
//
//   suite.js HOST:PORT                    the whole scenario
//   suite.js HOST:PORT TOPIC GROUP COUNT  one process of a group: so many records, committed; prints their places
//
// Record n goes to partition n % 4, so the record at (partition, offset) is number offset * 4 + partition and every
// consumer can check what it got by its place alone.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const { writeFileSync } = require("node:fs");
const { randomBytes } = require("node:crypto");
const { Kafka, CompressionTypes, CompressionCodecs, Partitioners, logLevel } = require("kafkajs");
const lz4 = require("lz4-napi");
const snappy = require("kafkajs-snappy");
const zstd = require("@bokuweb/zstd-wasm");

const COUNT = 10_000;
const PARTITIONS = 4;
const PATIENCE_MS = 60_000;
const FIRST_TIMESTAMP = 1_700_000_000_000;
const STEP_MS = 10;
const CODECS = { none: "None", gzip: "GZIP", snappy: "Snappy", lz4: "LZ4", zstd: "ZSTD" };

CompressionCodecs[CompressionTypes.Snappy] = snappy;
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: (encoder) => lz4.compressFrame(encoder.buffer),
  decompress: (bytes) => lz4.decompressFrame(bytes),
});
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (bytes) => Buffer.from(zstd.decompress(bytes)),
});

const [bootstrap, ...oneProcess] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "compat", brokers: [bootstrap], logLevel: logLevel.ERROR });
const admin = kafka.admin();
const run = `kafkajs-${randomBytes(3).toString("hex")}`;
const source = `${run}-none`;

// -- records --------------------------------------------------------------------------------------------------------

const key = (n) => (n % 50 === 49 ? null : Buffer.from(`key-${n % 997}`));
const timestamp = (n) => FIRST_TIMESTAMP + n * STEP_MS;
const letter = (n) => String.fromCharCode(97 + (n % 26));

function value(name, n) {
  if (n % 101 === 100 && key(n)) return null;
  return Buffer.from(`${name}:${n}:${letter(n).repeat((n * 7) % 200)}`);
}

function headers(n) {
  if (n % 10 === 3) return {};
  return { n: [Buffer.from(`${n}`), Buffer.from("again")], bin: Buffer.from([n & 255, 0, 255]) };
}

function message(name, n, place) {
  const record = { key: key(n), value: value(name, n), headers: headers(n), timestamp: `${timestamp(n)}` };
  return place ? { ...record, partition: n % PARTITIONS } : record;
}

/** Checks that this is record n, in all it has. */
function check(found, name, n) {
  const wanted = { key: key(n), value: value(name, n), headers: headers(n), timestamp: `${timestamp(n)}` };
  const { key: k, value: v, headers: h, timestamp: t } = found;
  assert.deepEqual({ key: k, value: v, headers: { ...h }, timestamp: t }, wanted);
}

const numberAt = (partition, offset) => Number(offset) * PARTITIONS + partition;

// -- steps ----------------------------------------------------------------------------------------------------------

async function topics() {
  assert.equal(await admin.createTopics({ topics: [{ topic: run, numPartitions: 3 }] }), true);
  assert.equal(await admin.createTopics({ topics: [{ topic: run, numPartitions: 3 }] }), false, "the same topic twice");
  await until("the topic is listed", async () => (await admin.listTopics()).includes(run));
  const [described] = (await admin.fetchTopicMetadata({ topics: [run] })).topics;
  assert.equal(described.partitions.length, 3);
}

async function codecRoundTrip(codec) {
  const topic = await create(`${run}-${codec}`);
  const next = Array(PARTITIONS).fill(0);
  await produce(kafka.producer(producerConfig), topic, codec, codec, true, (acks, numbers) => {
    for (const { partition, baseOffset } of acks) {
      assert.equal(Number(baseOffset), next[partition], "acknowledged elsewhere");
      next[partition] += numbers.filter((n) => n % PARTITIONS === partition).length;
    }
  });
  const seen = Array(PARTITIONS).fill(0);
  for (const { partition, message: found } of await consume(topic, `${run}-${codec}`, COUNT)) {
    assert.equal(Number(found.offset), seen[partition]++);
    check(found, codec, numberAt(partition, found.offset));
  }
  const ends = await admin.fetchTopicOffsets(topic);
  assert.ok(ends.every(({ offset }) => Number(offset) === COUNT / PARTITIONS), JSON.stringify(ends));
}

async function seekByOffset() {
  const wanted = new Map([[0, 0], [1, 777], [2, 1234], [3, COUNT / PARTITIONS - 1]]);
  const first = await firstAfterSeek(`${run}-seek`, wanted);
  for (const [partition, offset] of wanted) {
    assert.equal(Number(first.get(partition).offset), offset);
    check(first.get(partition), "none", numberAt(partition, offset));
  }
}

async function seekByTime() {
  for (const n of [0, 1, 4321, COUNT - 1]) {
    for (const at of [timestamp(n), timestamp(n) - STEP_MS / 2]) {
      for (const { partition, offset } of await admin.fetchTopicOffsetsByTimestamp(source, at)) {
        const first = n + ((partition - n) % PARTITIONS + PARTITIONS) % PARTITIONS;
        // Where nothing is as new as that, kafkajs answers with the end.
        const expected = first < COUNT ? Math.floor(first / PARTITIONS) : COUNT / PARTITIONS;
        assert.equal(Number(offset), expected, `partition ${partition} from ${at}`);
      }
    }
  }
}

async function rebalance() {
  const group = `${run}-pair`;
  const first = await member(group);
  await first.has(4);
  const second = await member(group);
  await Promise.all([first.has(2), second.has(2)]);
  assert.equal(new Set([...first.assigned, ...second.assigned]).size, PARTITIONS);
  const places = () => new Set([...first.places, ...second.places]);
  await until("all records are consumed", async () => places().size === COUNT);
  await second.leave();
  await first.has(4);
  await first.leave();
  const committed = await admin.fetchOffsets({ groupId: group, topics: [source] });
  const offsets = committed[0].partitions.map(({ offset }) => Number(offset));
  assert.deepEqual(offsets, Array(PARTITIONS).fill(COUNT / PARTITIONS));
  const { groups } = await admin.describeGroups([group]);
  assert.equal(groups[0].state, "Empty");
  await admin.deleteGroups([group]);
}

async function resume() {
  const places = new Set();
  for (const count of [4_000, COUNT - 4_000 - 7, 7]) {
    const words = [__filename, bootstrap, source, `${run}-resumed`, `${count}`];
    const lines = execFileSync(process.execPath, words, { encoding: "utf8", timeout: 2 * PATIENCE_MS }).trim().split("\n");
    assert.equal(lines.length, count);
    for (const place of lines) {
      assert.ok(!places.has(place), `${place} came twice`);
      places.add(place);
    }
  }
  assert.equal(places.size, COUNT);
}

async function consumeInOneProcess(topic, group, count) {
  const places = (await consume(topic, group, Number(count))).map(({ partition, message: found }) => {
    check(found, "none", numberAt(partition, found.offset));
    return `${partition} ${found.offset}\n`;
  });
  // At once: what console.log has not written yet to a pipe is lost at the exit.
  writeFileSync(1, places.join(""));
}

async function idempotent() {
  const topic = await create(`${run}-idempotent`);
  const producer = kafka.producer({ ...producerConfig, idempotent: true, maxInFlightRequests: 1 });
  const acked = Array(PARTITIONS).fill(0);
  await produce(producer, topic, "once", "none", false, (acks, numbers) => {
    for (const { partition, baseOffset } of acks) assert.ok(Number(baseOffset) >= acked[partition]++);
    assert.ok(numbers.length > 0);
  });
  const seen = new Map();
  for (const { partition, message: found } of await consume(topic, `${run}-once`, COUNT)) {
    const n = (Number(found.timestamp) - FIRST_TIMESTAMP) / STEP_MS;
    check(found, "once", n);
    assert.ok(!seen.has(n), `record ${n} is there twice`);
    seen.set(n, partition);
  }
  assert.equal(seen.size, COUNT);
  const ends = await admin.fetchTopicOffsets(topic);
  assert.equal(ends.reduce((sum, { offset }) => sum + Number(offset), 0), COUNT, "more than was produced");
}

async function deleteTopics() {
  const mine = (await admin.listTopics()).filter((name) => name.startsWith(run));
  await admin.deleteTopics({ topics: mine });
  await until("the topics are gone", async () => !(await admin.listTopics()).some((name) => mine.includes(name)));
}

// -- what the steps are made of -------------------------------------------------------------------------------------

// Its default waits of five seconds for a fetch and three between heartbeats would be most of the time of the suite.
const consumerConfig = { heartbeatInterval: 300, maxWaitTimeInMs: 200 };
const producerConfig = { createPartitioner: Partitioners.DefaultPartitioner };

async function create(topic) {
  // The records are dated: without this the broker would be right to delete them as too old.
  const configEntries = [{ name: "retention.ms", value: "-1" }];
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, configEntries }] });
  return topic;
}

async function produce(producer, topic, name, codec, place, onAcks) {
  await producer.connect();
  for (let from = 0; from < COUNT; from += 500) {
    const numbers = Array.from({ length: 500 }, (_, n) => from + n);
    const messages = numbers.map((n) => message(name, n, place));
    onAcks(await producer.send({ topic, acks: -1, compression: CompressionTypes[CODECS[codec]], messages }), numbers);
  }
  await producer.disconnect();
}

/** As a member of the group: so many records, exactly these committed, then leaves. */
async function consume(topic, groupId, count) {
  const consumer = kafka.consumer({ groupId, ...consumerConfig });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const found = [];
  await patiently(`${count} records`, (done) =>
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (found.length < count && found.push({ partition, message }) === count) done();
      },
    }),
  );
  const next = new Map(found.map(({ partition, message }) => [partition, Number(message.offset) + 1]));
  await consumer.commitOffsets([...next].map(([partition, offset]) => ({ topic, partition, offset: `${offset}` })));
  await consumer.disconnect();
  return found;
}

/** The first message of each partition after it was sent to an offset. */
async function firstAfterSeek(groupId, offsets) {
  const consumer = kafka.consumer({ groupId, ...consumerConfig });
  await consumer.connect();
  await consumer.subscribe({ topics: [source], fromBeginning: true });
  const first = new Map();
  await patiently("a message after each seek", async (done) => {
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (!first.has(partition) && Number(message.offset) >= offsets.get(partition)) first.set(partition, message);
        if (first.size === offsets.size) done();
      },
    });
    for (const [partition, offset] of offsets) consumer.seek({ topic: source, partition, offset: `${offset}` });
  });
  await consumer.disconnect();
  return first;
}

/** A consumer of a group that checks what it gets and commits it. */
async function member(groupId) {
  const consumer = kafka.consumer({ groupId, ...consumerConfig });
  const self = { assigned: [], places: new Set() };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    self.assigned = payload.memberAssignment[source] ?? [];
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [source], fromBeginning: true });
  await consumer.run({
    autoCommitThreshold: 500,
    eachMessage: async ({ partition, message }) => {
      check(message, "none", numberAt(partition, message.offset));
      self.places.add(numberAt(partition, message.offset));
    },
  });
  self.has = (partitions) => until(`a member has ${partitions}`, async () => self.assigned.length === partitions);
  self.leave = () => consumer.disconnect();
  return self;
}

async function patiently(what, work) {
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`not in time: ${what}`)), PATIENCE_MS);
  });
  const done = new Promise((resolve, fail) => Promise.resolve(work(resolve)).catch(fail));
  await Promise.race([done, late]).finally(() => clearTimeout(timer));
}

async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function step(name, work) {
  const started = Date.now();
  console.log(`${name} ...`);
  await work();
  console.log(`${name}: ok, ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

async function scenario() {
  await admin.connect();
  await step("topics", topics);
  for (const codec of Object.keys(CODECS)) await step(`10,000 records, ${codec}`, () => codecRoundTrip(codec));
  await step("seek by offset", seekByOffset);
  await step("seek by time", seekByTime);
  await step("two members and a rebalance", rebalance);
  await step("commits resumed by another process", resume);
  await step("idempotent production", idempotent);
  await step("delete topics", deleteTopics);
  await admin.disconnect();
}

async function main() {
  await zstd.init();
  await (oneProcess.length > 0 ? consumeInOneProcess(...oneProcess) : scenario());
}

main().then(
  () => process.exit(0),
  (failure) => {
    console.error(failure);
    process.exit(1);
  },
);
