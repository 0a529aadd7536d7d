//! One consumer of librdkafka: it reads given partitions from given offsets, in no group, on one thread.

use crate::client::{self, Plain, patience};
use crate::latency::{Latency, Series};
use crate::ledger::Ledger;
use crate::producer::named;
use crate::{Target, clock};
use clap::ValueEnum;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long it waits for a record before it looks whether it is to end.
const POLL: Duration = Duration::from_millis(100);

/// Large fetches and deep queues: what is measured is the broker. Without `group.id` librdkafka assigns nothing; nobody
/// ever joins this group or commits.
const DEFAULTS: &[(&str, &str)] = &[
    ("group.id", "ailurus-load"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("fetch.message.max.bytes", "4194304"),
    ("fetch.max.bytes", "67108864"),
    ("queued.min.messages", "1000000"),
    ("queued.max.messages.kbytes", "131072"),
    // With the default of a second, a drain would stop and go.
    ("fetch.queue.backoff.ms", "5"),
];

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// With the oldest record there is.
    Beginning,
    /// With what comes after the consumers have been started.
    End,
}

/// A client that knows where it will begin.
pub(crate) struct Consumer {
    client: BaseConsumer<Plain>,
    begin: TopicPartitionList,
}

impl Consumer {
    /// Starts a client and asks where `partitions` begin or end.
    pub(crate) fn connect(
        target: &Target,
        set: &[(String, String)],
        from: From,
        partitions: impl Iterator<Item = i32>,
    ) -> Result<Consumer, String> {
        let client: BaseConsumer<Plain> = client::config(target, DEFAULTS, set)
            .create_with_context(Plain)
            .map_err(|error| format!("cannot start a consumer: {error}"))?;
        let mut begin = TopicPartitionList::new();
        for partition in partitions {
            // Asked for now and not left to the assignment: what is produced from here on has to be received.
            let (first, next) = client
                .fetch_watermarks(&target.topic, partition, patience())
                .map_err(|error| format!("no offsets of partition {partition}: {error}"))?;
            let offset = if from == From::Beginning { first } else { next };
            begin
                .add_partition_offset(&target.topic, partition, Offset::Offset(offset))
                .map_err(|error| error.to_string())?;
        }
        Ok(Consumer { client, begin })
    }

    /// Begins to read, until told to `stop`; then gives back what it measured.
    pub(crate) fn begin(self, ledger: Arc<Ledger>, series: &Series, stop: Arc<AtomicBool>) -> JoinHandle<Latency> {
        let mut latency = Latency::new(series);
        named("reader", move || {
            if let Err(error) = self.client.assign(&self.begin) {
                ledger.error(error.to_string());
            }
            while !stop.load(Ordering::Relaxed) {
                match self.client.poll(POLL) {
                    Some(Ok(message)) => receive(message.payload(), &ledger, &mut latency),
                    Some(Err(error)) => ledger.error(error.to_string()),
                    None => {}
                }
            }
            latency.close_second();
            // To part from the broker takes a while, and whoever waits here wants the numbers.
            std::mem::forget(self.client);
            latency
        })
    }
}

fn receive(payload: Option<&[u8]>, ledger: &Ledger, latency: &mut Latency) {
    let now = clock::now();
    match due_of(payload) {
        Some(due) => {
            ledger.is_received(due, now);
            latency.record(&ledger.window, due, now);
        }
        None => ledger.error("a record that no load has made".to_owned()),
    }
}

/// When a record was due: its first eight bytes.
pub(crate) fn due_of(payload: Option<&[u8]>) -> Option<u64> {
    payload?.first_chunk().map(|due| u64::from_le_bytes(*due))
}
