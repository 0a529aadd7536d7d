// Capture runs a fake broker (kfake of franz-go) whose connections write down every frame, so that clients of all
// kinds can be pointed at it. With "client" as first argument it is the franz-go client of the capture itself.
//
//	capture broker PORT FILE      lines: "C <conn> <hex>" from the client, "S <conn> <hex>" from the server
//	capture client PORT
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	out   *os.File
	lock  sync.Mutex
	conns atomic.Int64
)

type stream struct{ pending []byte }

// add takes bytes of one direction and writes down each whole frame.
func (s *stream) add(side string, conn int64, bytes []byte) {
	s.pending = append(s.pending, bytes...)
	for len(s.pending) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(s.pending))
		if len(s.pending) < n {
			return
		}
		lock.Lock()
		fmt.Fprintf(out, "%s %d %x\n", side, conn, s.pending[:n])
		lock.Unlock()
		s.pending = append([]byte{}, s.pending[n:]...)
	}
}

type tap struct {
	net.Conn
	id     int64
	rx, tx stream
}

func (t *tap) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.rx.add("C", t.id, b[:n])
	return n, err
}

func (t *tap) Write(b []byte) (int, error) {
	n, err := t.Conn.Write(b)
	t.tx.add("S", t.id, b[:n])
	return n, err
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &tap{Conn: c, id: conns.Add(1)}, nil
}

func broker(port int, file string) {
	var err error
	if out, err = os.Create(file); err != nil {
		panic(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.AllowAutoTopicCreation(),
		kfake.SeedTopics(2, "events"), kfake.GroupMinSessionTimeout(time.Second),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			return listener{l}, err
		}))
	if err != nil {
		panic(err)
	}
	defer cluster.Close()
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt)
	<-end
}

func client(port int) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	seed := kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", port))
	cl, err := kgo.NewClient(seed, kgo.ConsumeTopics("events"), kgo.ConsumerGroup("g-franz"), kgo.TransactionalID("tx-franz"))
	if err != nil {
		panic(err)
	}
	must := func(err error) {
		if err != nil {
			fmt.Println("franz-go:", err)
		}
	}
	must(cl.BeginTransaction())
	record := &kgo.Record{Topic: "events", Key: []byte("k"), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}
	must(cl.ProduceSync(ctx, record).FirstErr())
	must(cl.EndTransaction(ctx, kgo.TryCommit))
	cl.PollFetches(ctx)
	must(cl.CommitUncommittedOffsets(ctx))
	admin := kadm.NewClient(cl)
	_, err = admin.CreateTopics(ctx, 3, 1, map[string]*string{}, "made", "made2")
	must(err)
	_, err = admin.CreatePartitions(ctx, 1, "made")
	must(err)
	_, err = admin.DescribeTopicConfigs(ctx, "made")
	must(err)
	value := "1000"
	_, err = admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &value}}, "made")
	must(err)
	_, err = admin.ListEndOffsets(ctx, "events")
	must(err)
	_, err = admin.ListOffsetsAfterMilli(ctx, 1, "events")
	must(err)
	_, err = admin.DescribeGroups(ctx, "g-franz")
	must(err)
	_, err = admin.ListGroups(ctx)
	must(err)
	_, err = admin.FetchOffsets(ctx, "g-franz")
	must(err)
	_, err = admin.DescribeAllLogDirs(ctx, nil)
	must(err)
	_, err = admin.ListTransactions(ctx, nil, nil)
	must(err)
	_, err = admin.DescribeTransactions(ctx, "tx-franz")
	must(err)
	_, err = admin.DescribeProducers(ctx, kadm.TopicsSet{"events": {0: {}}})
	must(err)
	_, err = admin.DeleteRecords(ctx, kadm.Offsets{"events": {0: {Topic: "events", Partition: 0, At: 0}}})
	must(err)
	_, err = admin.OffetForLeaderEpoch(ctx, kadm.OffsetForLeaderEpochRequest{"events": {0: 0}})
	must(err)
	_, err = admin.DescribeClientQuotas(ctx, false, nil)
	must(err)
	_, err = admin.DescribeUserSCRAMs(ctx)
	must(err)
	_, err = admin.DescribeACLs(ctx, kadm.NewACLs().AnyResource("x").Allow().Operations().ResourcePatternType(kadm.ACLPatternLiteral))
	must(err)
	_, err = admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, kadm.TopicsSet{"events": {0: {}}})
	must(err)
	_, err = admin.ListPartitionReassignments(ctx, nil)
	must(err)
	cl.LeaveGroup()
	_, err = admin.DeleteOffsets(ctx, "g-franz", kadm.TopicsSet{"events": {0: {}}})
	must(err)
	_, err = admin.DeleteGroups(ctx, "g-franz")
	must(err)
	_, err = admin.DeleteTopics(ctx, "made")
	must(err)
	cl.Close()
}

func main() {
	port, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	switch os.Args[1] {
	case "broker":
		broker(port, os.Args[3])
	case "client":
		client(port)
	}
}
