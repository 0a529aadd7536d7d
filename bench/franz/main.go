// usage: franz ADDRESS TOPIC PARTITIONS BYTES
//
// Produces one record of BYTES to each partition of TOPIC with acks=all, all of them ready before the first is sent, and
// says how many produce requests that took.
package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const produceKey = 0

type counter struct{ requests atomic.Int64 }

func (c *counter) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	if key == produceKey && err == nil {
		c.requests.Add(1)
	}
}

var _ kgo.HookBrokerWrite = (*counter)(nil)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 5 {
		return fmt.Errorf("usage: franz ADDRESS TOPIC PARTITIONS BYTES")
	}
	address, topic := os.Args[1], os.Args[2]
	if _, _, err := net.SplitHostPort(address); err != nil {
		return err
	}
	partitions, err := strconv.Atoi(os.Args[3])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(os.Args[4])
	if err != nil {
		return err
	}
	count := &counter{}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(address),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ManualFlushing(),
		kgo.MaxBufferedRecords(2*partitions),
		kgo.WithHooks(count),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	within, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	var failed atomic.Pointer[error]
	for partition := range partitions {
		record := &kgo.Record{Topic: topic, Partition: int32(partition), Value: bytes.Repeat([]byte{7}, size)}
		client.Produce(within, record, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	started := time.Now()
	if err := client.Flush(within); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return *err
	}
	fmt.Printf("%d requests, %d ms", count.requests.Load(), time.Since(started).Milliseconds())
	return nil
}
