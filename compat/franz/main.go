// Command franz is what franz-go does against the broker, and what it must see. Ends with 0 if all of it was so.
//
//	franz HOST:PORT                    the whole scenario
//	franz HOST:PORT TOPIC GROUP COUNT  one process of a group: so many records, committed; prints their places
//
// Record n goes to partition n % 4, so the record at (partition, offset) is number offset * 4 + partition and every
// consumer can check what it got by its place alone.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	count          = 10_000
	partitions     = 4
	firstTimestamp = 1_700_000_000_000
	stepMs         = 10
	patience       = 60 * time.Second
)

var codecs = []struct {
	name  string
	codec kgo.CompressionCodec
}{
	{"none", kgo.NoCompression()},
	{"gzip", kgo.GzipCompression()},
	{"snappy", kgo.SnappyCompression()},
	{"lz4", kgo.Lz4Compression()},
	{"zstd", kgo.ZstdCompression()},
}

// suite is one run against one broker; topics and groups carry the name of the run.
type suite struct {
	bootstrap string
	run       string
	admin     *kadm.Client
	ctx       context.Context
}

func main() {
	s := &suite{bootstrap: os.Args[1], ctx: context.Background()}
	id := make([]byte, 3)
	_, err := rand.Read(id)
	must(err)
	s.run = fmt.Sprintf("franz-%x", id)
	s.admin = kadm.NewClient(s.client())
	if len(os.Args) > 2 {
		s.oneProcess(os.Args[2], os.Args[3], os.Args[4])
		return
	}
	s.scenario()
}

func (s *suite) scenario() {
	step("topics", s.topics)
	for _, c := range codecs {
		step("10,000 records, "+c.name, func() { s.codecRoundTrip(c.name, c.codec) })
	}
	step("seek by offset", s.seekByOffset)
	step("seek by time", s.seekByTime)
	step("two members and a rebalance, eager", func() { s.rebalance("eager", kgo.RangeBalancer()) })
	step("two members and a rebalance, cooperative", func() { s.rebalance("cooperative", kgo.CooperativeStickyBalancer()) })
	step("commits resumed by another process", s.resume)
	step("idempotent production", s.idempotent)
	step("a record too large", s.tooLarge)
	step("delete topics", s.deleteTopics)
}

// -- records ---------------------------------------------------------------------------------------------------------

func key(n int) []byte {
	if n%50 == 49 {
		return nil
	}
	return fmt.Appendf(nil, "key-%d", n%997)
}

func value(name string, n int) []byte {
	if n%101 == 100 && key(n) != nil {
		return nil
	}
	return fmt.Appendf(nil, "%s:%d:%s", name, n, strings.Repeat(string(rune('a'+n%26)), n*7%200))
}

func headers(n int) []kgo.RecordHeader {
	if n%10 == 3 {
		return nil
	}
	return []kgo.RecordHeader{
		{Key: "n", Value: fmt.Append(nil, n)},
		{Key: "n", Value: []byte("again")},
		{Key: "bin", Value: []byte{byte(n), 0, 255}},
		{Key: "nil", Value: nil},
	}
}

func timestamp(n int) int64 { return firstTimestamp + int64(n)*stepMs }

func record(topic, name string, n int) *kgo.Record {
	return &kgo.Record{
		Topic:     topic,
		Partition: int32(n % partitions),
		Key:       key(n),
		Value:     value(name, n),
		Headers:   headers(n),
		Timestamp: time.UnixMilli(timestamp(n)),
	}
}

// check ensures that this is record n, in all it has.
func check(found *kgo.Record, name string, n int) {
	where := fmt.Sprintf("%s-%d@%d", found.Topic, found.Partition, found.Offset)
	same := func(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
	require(same(found.Key, key(n)), "%s: key %q, not %q", where, found.Key, key(n))
	require(same(found.Value, value(name, n)), "%s: value %q", where, found.Value)
	require(found.Timestamp.UnixMilli() == timestamp(n), "%s: timestamp %v", where, found.Timestamp)
	equal := func(a, b kgo.RecordHeader) bool { return a.Key == b.Key && same(a.Value, b.Value) }
	require(slices.EqualFunc(found.Headers, headers(n), equal), "%s: headers %v", where, found.Headers)
}

func numberAt(found *kgo.Record) int { return int(found.Offset)*partitions + int(found.Partition) }

// -- steps -----------------------------------------------------------------------------------------------------------

func (s *suite) topics() {
	made := func(name string, count int32) error {
		answer, err := s.admin.CreateTopic(s.ctx, count, 1, nil, name)
		return errors.Join(err, answer.Err)
	}
	must(made(s.run, 3))
	require(errors.Is(made(s.run, 3), kerr.TopicAlreadyExists), "the same topic twice")
	require(errors.Is(made("not a name", 1), kerr.InvalidTopicException), "an illegal name")
	until("the topic is listed", func() bool {
		listed, err := s.admin.ListTopics(s.ctx, s.run)
		return err == nil && len(listed[s.run].Partitions) == 3
	})
}

func (s *suite) codecRoundTrip(name string, codec kgo.CompressionCodec) {
	topic := s.create(name)
	client := s.client(
		kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DisableIdempotentWrite(),
		kgo.MaxProduceRequestsInflightPerBroker(1),
	)
	for n, acked := range s.produce(client, topic, name) {
		at := numberAt(acked)
		require(at == n, "record %d was acknowledged as %d", n, at)
	}
	next := [partitions]int64{}
	for _, found := range s.read(topic, count) {
		require(found.Offset == next[found.Partition], "offset %d", found.Offset)
		next[found.Partition]++
		check(found, name, numberAt(found))
	}
	require(s.total(topic) == count, "there are %d records", s.total(topic))
}

func (s *suite) seekByOffset() {
	for _, n := range []int{0, 4321, 77, count - 1} {
		start := map[int32]kgo.Offset{int32(n % partitions): kgo.NewOffset().At(int64(n / partitions))}
		check(s.readFrom(start, 1)[0], "none", n)
	}
	end := map[int32]kgo.Offset{2: kgo.NewOffset().AtEnd().Relative(-5)}
	check(s.readFrom(end, 1)[0], "none", count-5*partitions+2)
}

func (s *suite) seekByTime() {
	for _, n := range []int{0, 1, 4321, count - 1} {
		for _, at := range []int64{timestamp(n), timestamp(n) - stepMs/2} {
			listed, err := s.admin.ListOffsetsAfterMilli(s.ctx, at, s.source())
			must(errors.Join(err, listed.Error()))
			listed.Each(func(found kadm.ListedOffset) {
				first := n + ((int(found.Partition)-n)%partitions+partitions)%partitions
				want := int64(min(first, count) / partitions)
				if first >= count { // kadm answers with the end where nothing is as new as that
					want = count / partitions
				}
				require(found.Offset == want, "partition %d from %d: offset %d, not %d", found.Partition, at, found.Offset, want)
			})
		}
	}
	start := map[int32]kgo.Offset{0: kgo.NewOffset().AfterMilli(timestamp(6000))}
	check(s.readFrom(start, 1)[0], "none", 6000)
	newest, err := s.admin.ListMaxTimestampOffsets(s.ctx, s.source())
	must(err)
	last, _ := newest.Lookup(s.source(), 1)
	require(last.Offset == count/partitions-1, "the newest record is at %d", last.Offset)
}

func (s *suite) rebalance(name string, balancer kgo.GroupBalancer) {
	group := s.run + "-" + name
	first := s.join(group, balancer)
	first.has(4)
	second := s.join(group, balancer)
	first.has(2)
	second.has(2)
	places := func() int {
		both := map[int]bool{}
		first.each(func(n int) { both[n] = true })
		second.each(func(n int) { both[n] = true })
		return len(both)
	}
	until("all records are consumed", func() bool { return places() == count })
	second.leave()
	first.has(4)
	first.leave()
	committed, err := s.admin.FetchOffsets(s.ctx, group)
	must(err)
	require(len(committed[s.source()]) == partitions, "committed %v", committed)
	committed.Each(func(at kadm.OffsetResponse) {
		require(at.At == count/partitions, "partition %d is committed at %d", at.Partition, at.At)
	})
	deleted, err := s.admin.DeleteGroup(s.ctx, group)
	must(errors.Join(err, deleted.Err))
}

func (s *suite) resume() {
	places := map[string]bool{}
	for _, part := range []int{4_000, count - 4_000 - 7, 7} {
		command := exec.Command(os.Args[0], s.bootstrap, s.source(), s.run+"-resumed", fmt.Sprint(part))
		command.Stderr = os.Stderr
		answer, err := command.Output()
		must(err)
		lines := strings.Split(strings.TrimSpace(string(answer)), "\n")
		require(len(lines) == part, "asked for %d, got %d", part, len(lines))
		for _, place := range lines {
			require(!places[place], "%s came twice", place)
			places[place] = true
		}
	}
	require(len(places) == count, "%d places", len(places))
}

func (s *suite) oneProcess(topic, group, amount string) {
	var wanted int
	_, err := fmt.Sscan(amount, &wanted)
	must(err)
	client := s.client(kgo.ConsumeTopics(topic), kgo.ConsumerGroup(group), kgo.DisableAutoCommit(), fromStart)
	records := s.take(client, wanted)[:wanted]
	for _, found := range records {
		check(found, "none", numberAt(found))
		fmt.Println(found.Partition, found.Offset)
	}
	must(client.CommitRecords(s.ctx, records...))
	client.Close()
}

// idempotent uses the client's defaults: idempotent, acks=all, many requests in flight; it chooses the partition.
func (s *suite) idempotent() {
	topic := s.create("idempotent")
	byPlace := map[[2]int64]int{}
	lastOfKey := map[string]*kgo.Record{}
	for n, acked := range s.produce(s.client(kgo.ProducerBatchMaxBytes(20_000)), topic, "once") {
		place := [2]int64{int64(acked.Partition), acked.Offset}
		_, taken := byPlace[place]
		require(!taken, "two records at %v", place)
		byPlace[place] = n
		if before := lastOfKey[string(key(n))]; key(n) != nil && before != nil {
			require(before.Partition == acked.Partition && before.Offset < acked.Offset, "order of %q", key(n))
		}
		lastOfKey[string(key(n))] = acked
	}
	for _, found := range s.read(topic, count) {
		n, there := byPlace[[2]int64{int64(found.Partition), found.Offset}]
		require(there, "nobody produced %d@%d", found.Partition, found.Offset)
		check(found, "once", n)
	}
	require(s.total(topic) == count, "there are %d records", s.total(topic))
}

func (s *suite) tooLarge() {
	topic := s.create("small", "max.message.bytes", "10000")
	client := s.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgo.NoCompression()))
	err := client.ProduceSync(s.ctx, kgo.SliceRecord(make([]byte, 20_000))).FirstErr()
	require(errors.Is(err, kerr.MessageTooLarge), "not too large: %v", err)
	must(client.ProduceSync(s.ctx, kgo.SliceRecord(make([]byte, 5_000))).FirstErr())
	client.Close()
}

func (s *suite) deleteTopics() {
	listed, err := s.admin.ListTopics(s.ctx)
	must(err)
	mine := slices.DeleteFunc(listed.Names(), func(name string) bool { return !strings.HasPrefix(name, s.run) })
	deleted, err := s.admin.DeleteTopics(s.ctx, mine...)
	must(errors.Join(err, deleted.Error()))
	until("the topics are gone", func() bool {
		left, err := s.admin.ListTopics(s.ctx)
		return err == nil && !slices.ContainsFunc(left.Names(), func(name string) bool { return slices.Contains(mine, name) })
	})
}

// -- a member of a group ---------------------------------------------------------------------------------------------

// member consumes in the background, checks what it gets and commits it.
type member struct {
	suite    *suite
	client   *kgo.Client
	lock     sync.Mutex
	assigned map[int32]bool
	places   map[int]bool
	done     chan struct{}
}

func (s *suite) join(group string, balancer kgo.GroupBalancer) *member {
	m := &member{suite: s, assigned: map[int32]bool{}, places: map[int]bool{}, done: make(chan struct{})}
	note := func(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, moved map[string][]int32) {
			m.lock.Lock()
			defer m.lock.Unlock()
			for _, partition := range moved[s.source()] {
				if m.assigned[partition] = has; !has {
					delete(m.assigned, partition)
				}
			}
		}
	}
	m.client = s.client(
		kgo.ConsumeTopics(s.source()), kgo.ConsumerGroup(group), kgo.Balancers(balancer), fromStart,
		kgo.HeartbeatInterval(300*time.Millisecond), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(200*time.Millisecond),
		kgo.OnPartitionsAssigned(note(true)), kgo.OnPartitionsRevoked(note(false)), kgo.OnPartitionsLost(note(false)),
	)
	go m.consume()
	return m
}

func (m *member) consume() {
	defer close(m.done)
	for {
		fetches := m.client.PollFetches(m.suite.ctx)
		if fetches.IsClientClosed() {
			return
		}
		must(fetches.Err())
		m.lock.Lock()
		fetches.EachRecord(func(found *kgo.Record) {
			check(found, "none", numberAt(found))
			m.places[numberAt(found)] = true
		})
		m.lock.Unlock()
		m.client.MarkCommitRecords(fetches.Records()...)
	}
}

func (m *member) has(wanted int) {
	until(fmt.Sprintf("a member has %d partitions", wanted), func() bool {
		m.lock.Lock()
		defer m.lock.Unlock()
		return len(m.assigned) == wanted
	})
}

func (m *member) each(what func(int)) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for n := range m.places {
		what(n)
	}
}

func (m *member) leave() {
	must(m.client.CommitMarkedOffsets(m.suite.ctx))
	m.client.Close()
	<-m.done
}

// -- what the steps are made of --------------------------------------------------------------------------------------

var fromStart = kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())

func (s *suite) client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(s.bootstrap))...)
	must(err)
	return client
}

func (s *suite) source() string { return s.run + "-none" }

// create makes a topic of the run; configs are names and values. The records are dated: without retention.ms the broker
// would be right to delete them as too old.
func (s *suite) create(name string, configs ...string) string {
	topic := s.run + "-" + name
	wanted := map[string]*string{"retention.ms": kadm.StringPtr("-1")}
	for n := 0; n < len(configs); n += 2 {
		wanted[configs[n]] = &configs[n+1]
	}
	answer, err := s.admin.CreateTopic(s.ctx, partitions, 1, wanted, topic)
	must(errors.Join(err, answer.Err))
	return topic
}

// produce sends all records and returns them with the offsets they were given, in the order they were sent.
func (s *suite) produce(client *kgo.Client, topic, name string) []*kgo.Record {
	defer client.Close()
	sent := make([]*kgo.Record, count)
	failed := make(chan error, count)
	for n := range sent {
		sent[n] = record(topic, name, n)
		client.Produce(s.ctx, sent[n], func(_ *kgo.Record, err error) { failed <- err })
	}
	for range sent {
		must(<-failed)
	}
	return sent
}

func (s *suite) read(topic string, amount int) []*kgo.Record {
	client := s.client(kgo.ConsumeTopics(topic), fromStart)
	defer client.Close()
	return s.take(client, amount)
}

func (s *suite) readFrom(start map[int32]kgo.Offset, amount int) []*kgo.Record {
	client := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.source(): start}))
	defer client.Close()
	return s.take(client, amount)
}

func (s *suite) take(client *kgo.Client, amount int) []*kgo.Record {
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < amount {
		fetches := client.PollRecords(ctx, amount-len(records))
		must(fetches.Err())
		records = append(records, fetches.Records()...)
	}
	return records
}

func (s *suite) total(topic string) (sum int64) {
	listed, err := s.admin.ListEndOffsets(s.ctx, topic)
	must(errors.Join(err, listed.Error()))
	listed.Each(func(end kadm.ListedOffset) { sum += end.Offset })
	return sum
}

func until(what string, condition func() bool) {
	deadline := time.Now().Add(patience)
	for !condition() {
		require(time.Now().Before(deadline), "not in time: %s", what)
		time.Sleep(20 * time.Millisecond)
	}
}

func step(name string, work func()) {
	started := time.Now()
	fmt.Println(name, "...")
	work()
	fmt.Printf("%s: ok, %.1f s\n", name, time.Since(started).Seconds())
}

func require(holds bool, format string, arguments ...any) {
	if !holds {
		panic(fmt.Sprintf(format, arguments...))
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
