import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.*;

/**
 * What the Java client does, and what it must see. Ends with 0 if all of it was so.
 *
 * <pre>
 *   Suite HOST:PORT                    the whole scenario
 *   Suite HOST:PORT TOPIC GROUP COUNT  one process of a group: so many records, committed; prints their places
 * </pre>
 *
 * Record n goes to partition n % 4, so the record at (partition, offset) is number offset * 4 + partition and every
 * consumer can check what it got by its place alone.
 */
public class Suite {
    static final int COUNT = 10_000;
    static final int PARTITIONS = 4;
    static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
    static final long STEP_MS = 10;
    static final Duration PATIENCE = Duration.ofSeconds(60);

    final String bootstrap;
    final Admin admin;
    final String run = "java-" + UUID.randomUUID().toString().substring(0, 6);

    Suite(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] args) throws Exception {
        Suite suite = new Suite(args[0]);
        if (args.length > 1) {
            suite.oneProcess(args[1], args[2], Integer.parseInt(args[3]));
            return;
        }
        try {
            suite.scenario();
        } catch (Throwable failure) {
            failure.printStackTrace();
            // Members that still run may not keep the process.
            System.exit(1);
        }
        suite.admin.close();
    }

    void scenario() throws Exception {
        step("topics", this::topics);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            step("10,000 records, " + codec, () -> codecRoundTrip(codec));
        }
        step("seek by offset", this::seekByOffset);
        step("seek by time", this::seekByTime);
        step("two members and a rebalance, eager", () -> rebalance("eager", RangeAssignor.class));
        step("two members and a rebalance, cooperative", () -> rebalance("cooperative", CooperativeStickyAssignor.class));
        step("static members", this::staticMembers);
        step("commits resumed by another process", this::resume);
        step("idempotent production", this::idempotent);
        step("console producer and consumer", this::console);
        step("configs", this::configs);
        step("partitions and records", this::partitionsAndRecords);
        step("groups", this::groups);
        step("cluster", this::cluster);
        step("delete topics", this::deleteTopics);
    }

    // -- records ---------------------------------------------------------------------------------------------------

    static byte[] key(int n) {
        return n % 50 == 49 ? null : bytes("key-" + n % 997);
    }

    static byte[] value(String name, int n) {
        if (n % 101 == 100 && key(n) != null) return null;
        return bytes(name + ":" + n + ":" + String.valueOf((char) ('a' + n % 26)).repeat(n * 7 % 200));
    }

    static List<Header> headers(int n) {
        if (n % 10 == 3) return List.of();
        byte[] raw = {(byte) n, 0, (byte) 255};
        return List.of(header("n", bytes("" + n)), header("n", bytes("again")), header("bin", raw), header("nil", null));
    }

    static Header header(String name, byte[] value) {
        return new RecordHeader(name, value);
    }

    static long timestamp(int n) {
        return FIRST_TIMESTAMP + n * STEP_MS;
    }

    static ProducerRecord<byte[], byte[]> record(String topic, String name, int n, boolean place) {
        Integer partition = place ? n % PARTITIONS : null;
        return new ProducerRecord<>(topic, partition, timestamp(n), key(n), value(name, n), headers(n));
    }

    /** Checks that this is record n, in all it has. */
    static void check(ConsumerRecord<byte[], byte[]> found, String name, int n) {
        String where = found.topic() + "-" + found.partition() + "@" + found.offset();
        require(Arrays.equals(found.key(), key(n)), where + ": key " + text(found.key()));
        require(Arrays.equals(found.value(), value(name, n)), where + ": value " + text(found.value()));
        require(found.timestamp() == timestamp(n), where + ": timestamp " + found.timestamp());
        require(Arrays.asList(found.headers().toArray()).equals(headers(n)), where + ": headers " + found.headers());
    }

    static int numberAt(ConsumerRecord<?, ?> found) {
        return (int) found.offset() * PARTITIONS + found.partition();
    }

    // -- steps -----------------------------------------------------------------------------------------------------

    void topics() throws Exception {
        admin.createTopics(List.of(new NewTopic(run, 3, (short) 1))).all().get();
        until("the topic is listed", () -> names().contains(run));
        expect(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(run, 3, (short) 1))).all().get());
        expect(InvalidTopicException.class, () -> create("not a name", 1));
        expect(InvalidReplicationFactorException.class,
            () -> admin.createTopics(List.of(new NewTopic(run + "-three", 1, (short) 3))).all().get());
        expect(InvalidPartitionsException.class, () -> create(run + "-none", 0));
        TopicDescription topic = describe(run);
        require(topic.partitions().size() == 3, "partitions: " + topic);
        require(!topic.topicId().equals(Uuid.ZERO_UUID), "no topic id");
        for (TopicPartitionInfo partition : topic.partitions()) {
            require(partition.leader() != null && partition.replicas().size() == 1 && partition.isr().size() == 1, "" + partition);
        }
    }

    void codecRoundTrip(String codec) throws Exception {
        String topic = create(run + "-" + codec, PARTITIONS);
        List<RecordMetadata> acked = produce(topic, codec, 0, COUNT, true,
            Map.of("compression.type", codec, "enable.idempotence", false));
        for (int n = 0; n < COUNT; n++) {
            RecordMetadata ack = acked.get(n);
            require(ack.partition() == n % PARTITIONS && ack.offset() == n / PARTITIONS, "record " + n + " is at " + ack);
        }
        try (Consumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
            consumer.assign(partitions(topic));
            consumer.seekToBeginning(consumer.assignment());
            long[] next = new long[PARTITIONS];
            for (ConsumerRecord<byte[], byte[]> found : take(consumer, COUNT)) {
                require(found.offset() == next[found.partition()]++, "offset " + found.offset());
                check(found, codec, numberAt(found));
            }
            Collection<Long> ends = consumer.endOffsets(partitions(topic)).values();
            require(ends.stream().allMatch(end -> end == COUNT / PARTITIONS), "ends " + ends);
        }
    }

    void seekByOffset() {
        try (Consumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
            consumer.assign(partitions(source()));
            consumer.pause(partitions(source()));
            for (int n : new int[] {0, 4321, 77, COUNT - 1}) {
                TopicPartition there = new TopicPartition(source(), n % PARTITIONS);
                consumer.resume(List.of(there));
                consumer.seek(there, n / PARTITIONS);
                check(take(consumer, 1).get(0), "none", n);
                consumer.pause(List.of(there));
            }
        }
        Map<String, Object> none = Map.of("auto.offset.reset", "none");
        try (Consumer<byte[], byte[]> consumer = consumer(null, none)) {
            consumer.assign(List.of(new TopicPartition(source(), 0)));
            consumer.seek(new TopicPartition(source(), 0), COUNT);
            try {
                take(consumer, 1);
            } catch (org.apache.kafka.clients.consumer.OffsetOutOfRangeException outOfRange) {
                return;
            }
        }
        throw new AssertionError("an offset beyond the end was served");
    }

    void seekByTime() throws Exception {
        try (Consumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
            for (int n : new int[] {0, 1, 4321, COUNT - 1}) {
                for (long timestamp : new long[] {timestamp(n), timestamp(n) - STEP_MS / 2}) {
                    consumer.offsetsForTimes(byPartition(source(), p -> timestamp)).forEach((partition, found) -> {
                        int first = firstFrom(n, partition.partition());
                        if (first >= COUNT) {
                            require(found == null, partition + " has nothing from " + timestamp + " on, but " + found);
                        } else {
                            require(found.offset() == first / PARTITIONS, partition + " from " + timestamp + ": " + found);
                            require(found.timestamp() == timestamp(first), partition + ": " + found);
                        }
                    });
                }
            }
        }
        TopicPartition one = new TopicPartition(source(), 1);
        long newest = admin.listOffsets(Map.of(one, OffsetSpec.maxTimestamp())).all().get().get(one).offset();
        require(newest == COUNT / PARTITIONS - 1, "the newest record is at " + newest);
    }

    /** The first record from number n on that lies in this partition. */
    static int firstFrom(int n, int partition) {
        return n + Math.floorMod(partition - n, PARTITIONS);
    }

    void rebalance(String name, Class<?> assignor) throws Exception {
        String group = run + "-" + name;
        Map<String, Object> how = Map.of("partition.assignment.strategy", assignor.getName(), "heartbeat.interval.ms", 300);
        Member first = new Member(group, how);
        first.until(4);
        Member second = new Member(group, how);
        first.until(2);
        second.until(2);
        require(Collections.disjoint(first.assigned, second.assigned), first.assigned + " and " + second.assigned);
        Set<Long> places = new ConcurrentSkipListSet<>();
        until("all records are consumed", () -> {
            places.addAll(first.places);
            places.addAll(second.places);
            return places.size() == COUNT;
        });
        second.leave();
        first.until(4);
        first.leave();
        Map<TopicPartition, OffsetAndMetadata> committed = committed(group);
        require(committed.values().stream().allMatch(at -> at.offset() == COUNT / PARTITIONS), "committed " + committed);
        require(committed.size() == PARTITIONS, "committed " + committed);
    }

    /** A static member that comes back gets its partitions without a rebalance of the other. */
    void staticMembers() throws Exception {
        String group = run + "-static";
        Member first = new Member(group, Map.of("group.instance.id", "one", "heartbeat.interval.ms", 300));
        first.until(4);
        Member second = new Member(group, Map.of("group.instance.id", "two", "heartbeat.interval.ms", 300));
        first.until(2);
        second.until(2);
        int before = first.rebalances;
        Set<Integer> had = Set.copyOf(second.assigned);
        second.leave();
        Member again = new Member(group, Map.of("group.instance.id", "two", "heartbeat.interval.ms", 300));
        again.until(2);
        require(again.assigned.equals(had), "had " + had + ", has " + again.assigned);
        require(first.rebalances == before, "the other member was disturbed");
        again.leave();
        List<MemberToRemove> gone = List.of(new MemberToRemove("two"));
        admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(gone)).all().get();
        first.until(4);
        first.leave();
    }

    void resume() throws Exception {
        String group = run + "-resumed";
        Set<String> places = new HashSet<>();
        for (int count : new int[] {4_000, COUNT - 4_000 - 7, 7}) {
            List<String> got = runTool(null, "Suite.java", bootstrap, source(), group, "" + count);
            require(got.size() == count, "asked for " + count + ", got " + got.size());
            got.forEach(place -> require(places.add(place), place + " came twice"));
        }
        require(places.size() == COUNT, places.size() + " places");
    }

    void oneProcess(String topic, String group, int count) {
        try (Consumer<byte[], byte[]> consumer = consumer(group, Map.of("max.poll.records", 100))) {
            consumer.subscribe(List.of(topic));
            List<ConsumerRecord<byte[], byte[]>> records = take(consumer, count);
            Map<TopicPartition, OffsetAndMetadata> next = new HashMap<>();
            for (ConsumerRecord<byte[], byte[]> found : records.subList(0, count)) {
                check(found, "none", numberAt(found));
                next.put(new TopicPartition(topic, found.partition()), new OffsetAndMetadata(found.offset() + 1, "mine"));
                System.out.println(found.partition() + " " + found.offset());
            }
            consumer.commitSync(next);
        }
    }

    /** The defaults of the client: idempotent, acks=all, five requests in flight; it chooses the partition. */
    void idempotent() throws Exception {
        String topic = create(run + "-idempotent", PARTITIONS);
        List<RecordMetadata> acked = produce(topic, "once", 0, COUNT, false, Map.of("compression.type", "lz4"));
        Map<List<Long>, Integer> byPlace = new HashMap<>();
        Map<String, RecordMetadata> lastOfKey = new HashMap<>();
        for (int n = 0; n < COUNT; n++) {
            RecordMetadata ack = acked.get(n);
            require(byPlace.put(List.of((long) ack.partition(), ack.offset()), n) == null, "two records at " + ack);
            RecordMetadata before = key(n) == null ? null : lastOfKey.put(text(key(n)), ack);
            require(before == null || before.partition() == ack.partition() && before.offset() < ack.offset(), "order of " + ack);
        }
        try (Consumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
            consumer.assign(partitions(topic));
            consumer.seekToBeginning(consumer.assignment());
            for (ConsumerRecord<byte[], byte[]> found : take(consumer, COUNT)) {
                Integer n = byPlace.remove(List.of((long) found.partition(), found.offset()));
                require(n != null, "nobody produced " + found);
                check(found, "once", n);
            }
            long total = consumer.endOffsets(partitions(topic)).values().stream().mapToLong(Long::longValue).sum();
            require(total == COUNT, "there are " + total);
        }
        var producers = admin.describeProducers(partitions(topic)).all().get().values();
        require(producers.stream().anyMatch(state -> !state.activeProducers().isEmpty()), "no producer is known");
    }

    void console() throws Exception {
        String topic = create(run + "-console", 1);
        String lines = IntStream.range(0, 500).mapToObj(n -> "h:" + n + "\tk" + n + "\tvalue " + n + "\n").collect(Collectors.joining());
        runTool(lines, "org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", bootstrap, "--topic", topic,
            "--property", "parse.key=true", "--property", "parse.headers=true", "--compression-codec", "zstd");
        List<String> got = runTool(null, "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", bootstrap,
            "--topic", topic, "--from-beginning", "--max-messages", "500", "--group", run + "-console",
            "--property", "print.key=true", "--property", "print.headers=true", "--property", "print.offset=true");
        List<String> wanted = IntStream.range(0, 500)
            .mapToObj(n -> "Offset:" + n + "\th:" + n + "\tk" + n + "\tvalue " + n).toList();
        require(got.equals(wanted), "the console consumer printed " + got.stream().limit(3).toList() + " ...");
    }

    void configs() throws Exception {
        String topic = run + "-configs";
        NewTopic wish = new NewTopic(topic, 1, (short) 1).configs(Map.of("retention.ms", "123456"));
        admin.createTopics(List.of(wish)).all().get();
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry retention = config(resource, "retention.ms");
        require(retention.value().equals("123456"), "" + retention);
        require(retention.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "" + retention);
        require(config(resource, "max.message.bytes").isDefault(), "" + config(resource, "max.message.bytes"));
        alter(resource, "max.message.bytes", "2000", AlterConfigOp.OpType.SET);
        alter(resource, "retention.ms", "", AlterConfigOp.OpType.DELETE);
        alter(resource, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
        until("the configs are changed", () -> config(resource, "max.message.bytes").value().equals("2000")
            && config(resource, "retention.ms").isDefault() && config(resource, "cleanup.policy").value().equals("delete,compact"));
        expect(InvalidConfigurationException.class, () -> alter(resource, "no.such.config", "1", AlterConfigOp.OpType.SET));
        expect(InvalidConfigurationException.class, () -> alter(resource, "retention.ms", "soon", AlterConfigOp.OpType.SET));
        expect(RecordTooLargeException.class, () -> produceOne(topic, new byte[5000]));
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "" + node().id());
        require(config(broker, "num.partitions").value().equals("4"), "" + config(broker, "num.partitions"));
        expect(UnknownTopicOrPartitionException.class,
            () -> config(new ConfigResource(ConfigResource.Type.TOPIC, run + "-missing"), "retention.ms"));
        admin.deleteTopics(List.of(topic)).all().get();
    }

    void partitionsAndRecords() throws Exception {
        String topic = create(run + "-grown", 1);
        for (int n = 0; n < 10; n++) produceOne(topic, bytes("value " + n));
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get();
        until("there are three partitions", () -> describe(topic).partitions().size() == 3);
        expect(InvalidPartitionsException.class,
            () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all().get());
        TopicPartition zero = new TopicPartition(topic, 0);
        long low = admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(6))).lowWatermarks().get(zero).get().lowWatermark();
        require(low == 6, "the low watermark is " + low);
        expect(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
            () -> admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(60))).all().get());
        try (Consumer<byte[], byte[]> consumer = consumer(null, Map.of())) {
            consumer.assign(List.of(zero));
            consumer.seekToBeginning(List.of(zero));
            require(text(take(consumer, 4).get(0).value()).equals("value 6"), "the first record left");
            require(consumer.beginningOffsets(List.of(zero)).get(zero) == 6, "the beginning");
        }
        admin.deleteTopics(List.of(topic)).all().get();
    }

    void groups() throws Exception {
        String group = run + "-groups";
        TopicPartition zero = new TopicPartition(source(), 0);
        Member member = new Member(group, Map.of());
        member.until(4);
        until("it has committed", () -> committed(group).size() == 4);
        GroupDescription busy = new GroupDescription(admin.describeClassicGroups(List.of(group)).all().get().get(group));
        require(busy.state.equals("STABLE") && busy.members == 1 && busy.partitions == 4, "" + busy);
        expect(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
        expect(GroupSubscribedToTopicException.class,
            () -> admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all().get());
        member.leave();
        until("the group is listed", () -> get(admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)));
        admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(17, "seventeen"))).all().get();
        OffsetAndMetadata altered = committed(group).get(zero);
        require(altered.offset() == 17 && altered.metadata().equals("seventeen"), "altered to " + altered);
        admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all().get();
        require(committed(group).get(zero) == null, "the offset is still there");
        admin.deleteConsumerGroups(List.of(group)).all().get();
        require(get(admin.listGroups().all()).stream().noneMatch(g -> g.groupId().equals(group)), "the group is still there");
    }

    /** What is asked of a group's description, of either kind. */
    record GroupDescription(String state, int members, int partitions) {
        GroupDescription(ClassicGroupDescription found) {
            this(found.state().name(), found.members().size(),
                found.members().stream().mapToInt(member -> member.assignment().topicPartitions().size()).sum());
        }
    }

    void cluster() throws Exception {
        // One; or one for each shard.
        Set<Integer> nodes = admin.describeCluster().nodes().get().stream().map(Node::id).collect(Collectors.toSet());
        require(!admin.describeCluster().clusterId().get().isEmpty(), "cluster id");
        require(nodes.contains(admin.describeCluster().controller().get().id()), "the controller is no node");
        long size = 0;
        Map<Integer, Integer> places = new TreeMap<>();
        for (var node : admin.describeLogDirs(nodes).allDescriptions().get().entrySet()) {
            for (LogDirDescription dir : node.getValue().values()) {
                for (var replica : dir.replicaInfos().entrySet()) {
                    if (replica.getKey().topic().equals(source())) {
                        Integer other = places.put(replica.getKey().partition(), node.getKey());
                        require(other == null, replica.getKey() + " is on " + other + " and on " + node.getKey());
                        size += replica.getValue().size();
                    }
                }
            }
        }
        Map<Integer, Integer> leaders = new TreeMap<>();
        describe(source()).partitions().forEach(partition -> leaders.put(partition.partition(), partition.leader().id()));
        require(places.equals(leaders), "the logs are on " + places + ", led by " + leaders);
        require(size > 100 * COUNT / 10, source() + " takes " + size + " bytes on disk");
        require(admin.listPartitionReassignments().reassignments().get().isEmpty(), "reassignments");
        var elected = admin.electLeaders(ElectionType.PREFERRED, Set.of(new TopicPartition(source(), 0))).partitions().get();
        elected.values().forEach(outcome -> require(
            outcome.isEmpty() || outcome.get() instanceof ElectionNotNeededException, "election: " + outcome));
        require(admin.describeFeatures().featureMetadata().get() != null, "features");
    }

    void deleteTopics() throws Exception {
        List<String> mine = names().stream().filter(name -> name.startsWith(run)).toList();
        admin.deleteTopics(mine).all().get();
        until("the topics are gone", () -> Collections.disjoint(names(), mine));
        expect(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(run)).all().get());
    }

    // -- a member of a group ---------------------------------------------------------------------------------------

    /** A consumer in a thread of its own; checks what it gets and commits after each poll. */
    class Member implements ConsumerRebalanceListener {
        final Set<Integer> assigned = new ConcurrentSkipListSet<>();
        final Set<Long> places = new ConcurrentSkipListSet<>();
        final AtomicBoolean leaving = new AtomicBoolean();
        final ExecutorService thread = Executors.newSingleThreadExecutor();
        final Future<?> end;
        volatile int rebalances;

        Member(String group, Map<String, Object> how) {
            this.end = thread.submit(() -> consume(group, how));
            thread.shutdown();
        }

        void consume(String group, Map<String, Object> how) {
            try (Consumer<byte[], byte[]> consumer = consumer(group, how)) {
                consumer.subscribe(List.of(source()), this);
                while (!leaving.get()) {
                    for (ConsumerRecord<byte[], byte[]> found : consumer.poll(Duration.ofMillis(50))) {
                        check(found, "none", numberAt(found));
                        places.add((long) numberAt(found));
                    }
                    commit(consumer);
                }
            }
        }

        void commit(Consumer<?, ?> consumer) {
            try {
                consumer.commitSync();
            } catch (RebalanceInProgressException | CommitFailedException moved) {
                // The records come again, to whoever has them now.
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> assigned.add(partition.partition()));
            rebalances++;
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(partition -> assigned.remove(partition.partition()));
        }

        void until(int partitions) throws Exception {
            Suite.until("a member has " + partitions + " partitions", () -> {
                if (end.isDone()) get(end);
                return assigned.size() == partitions;
            });
        }

        void leave() throws Exception {
            leaving.set(true);
            get(end);
        }
    }

    // -- what the steps are made of --------------------------------------------------------------------------------

    interface Step {
        void run() throws Exception;
    }

    static void step(String name, Step step) throws Exception {
        long started = System.nanoTime();
        System.out.println(name + " ...");
        step.run();
        System.out.printf("%s: ok, %.1f s%n", name, (System.nanoTime() - started) / 1e9);
    }

    static void require(boolean holds, String what) {
        if (!holds) throw new AssertionError(what);
    }

    static void expect(Class<? extends Exception> wanted, Step step) throws Exception {
        try {
            step.run();
        } catch (Exception failure) {
            Throwable cause = failure instanceof ExecutionException ? failure.getCause() : failure;
            require(wanted.isInstance(cause), "not " + wanted.getSimpleName() + " but " + cause);
            return;
        }
        throw new AssertionError("no " + wanted.getSimpleName());
    }

    static void until(String what, BooleanSupplier condition) throws Exception {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.getAsBoolean()) {
            require(System.nanoTime() < deadline, "not in time: " + what);
            Thread.sleep(20);
        }
    }

    /** The value of a future, with what went wrong as it was. */
    static <T> T get(Future<T> future) {
        try {
            return future.get(PATIENCE.toSeconds(), TimeUnit.SECONDS);
        } catch (ExecutionException failure) {
            if (failure.getCause() instanceof RuntimeException cause) throw cause;
            throw new AssertionError(failure.getCause());
        } catch (InterruptedException | java.util.concurrent.TimeoutException failure) {
            throw new AssertionError(failure);
        }
    }

    static <T> T get(KafkaFuture<T> future) {
        return get(future.toCompletionStage().toCompletableFuture());
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(byte[] raw) {
        return raw == null ? "null" : new String(raw, StandardCharsets.UTF_8);
    }

    String source() {
        return run + "-none";
    }

    String create(String topic, int partitions) throws Exception {
        // The records are dated: without this the broker would be right to delete them as too old.
        NewTopic wish = new NewTopic(topic, partitions, (short) 1).configs(Map.of("retention.ms", "-1"));
        admin.createTopics(List.of(wish)).all().get();
        return topic;
    }

    Set<String> names() {
        return get(admin.listTopics().names());
    }

    TopicDescription describe(String topic) {
        return get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
    }

    Node node() {
        return get(admin.describeCluster().nodes()).iterator().next();
    }

    ConfigEntry config(ConfigResource resource, String name) {
        return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name);
    }

    void alter(ConfigResource resource, String name, String value, AlterConfigOp.OpType how) {
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), how);
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all());
    }

    Map<TopicPartition, OffsetAndMetadata> committed(String group) {
        return get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    }

    List<TopicPartition> partitions(String topic) {
        return IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
    }

    <T> Map<TopicPartition, T> byPartition(String topic, java.util.function.IntFunction<T> what) {
        return partitions(topic).stream().collect(Collectors.toMap(p -> p, p -> what.apply(p.partition())));
    }

    Consumer<byte[], byte[]> consumer(String group, Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest",
            "enable.auto.commit", false));
        if (group != null) config.put("group.id", group);
        config.putAll(more);
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    List<ConsumerRecord<byte[], byte[]>> take(Consumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (records.size() < count) {
            require(System.nanoTime() < deadline, records.size() + " of " + count + " records");
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    List<RecordMetadata> produce(String topic, String name, int from, int to, boolean place, Map<String, Object> more)
            throws Exception {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 5));
        config.putAll(more);
        try (Producer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = from; n < to; n++) sent.add(producer.send(record(topic, name, n, place)));
            producer.flush();
            return sent.stream().map(ack -> get(ack)).toList();
        }
    }

    void produceOne(String topic, byte[] value) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap);
        try (Producer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.send(new ProducerRecord<>(topic, value)).get();
        }
    }

    /** Another Java process with the same class path; its lines of output. */
    List<String> runTool(String input, String... words) throws Exception {
        List<String> command = new ArrayList<>(List.of(ProcessHandle.current().info().command().orElse("java"),
            "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path")));
        if (words[0].endsWith(".java")) words[0] = System.getProperty("suite.source");
        command.addAll(List.of(words));
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        try (var into = process.outputWriter()) {
            if (input != null) into.write(input);
        }
        List<String> lines = process.inputReader().lines().toList();
        require(process.waitFor() == 0, words[0] + " ended with " + process.exitValue());
        return lines;
    }
}
