//! Appending a batch: every check that needs the partition, in Kafka's order, then one step into the log.

use ailurus_model::{Acks, TimestampType};
use ailurus_record::VerifiedBatch;
use ailurus_replica::{Receipt, Refused, Settlement};
use ailurus_settings::TopicConfig;
use ailurus_storage::{Entry, StorageError};

use crate::Partition;
use crate::producers::{ProducerBatch, SequenceCheck, sequence_plus};

/// Who asks for an append.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A producer over the network.
    Client,
    /// A coordinator of this broker, writing its own state.
    Coordinator,
}

/// What became of a batch.
#[derive(Debug)]
pub enum AppendOutcome {
    /// It is enqueued; [`Partition::settled`] tells when its promise holds.
    Appended(Appended),
    /// It was there already; the same promise is waited for in the same way.
    Duplicate(Appended),
    /// It was not taken, and nothing was changed.
    Refused(Refusal),
}

/// Where a batch is.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// Its place, to wait on.
    pub receipt: Receipt,
    /// Milliseconds since 1970 under which the broker stamped it, if the topic says LogAppendTime.
    pub log_append_time: Option<i64>,
}

/// Why a batch was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// MESSAGE_TOO_LARGE: bytes of the batch, and what the topic allows.
    TooLarge {
        /// Bytes of the batch as sent.
        size: usize,
        /// The topic's `max.message.bytes`.
        max: usize,
    },
    /// INVALID_RECORD, with the reason for people.
    InvalidRecord(&'static str),
    /// INVALID_RECORD: a compacted topic needs keys; the index of the first record without.
    KeyMissing {
        /// Place of that record in the batch.
        record: i32,
    },
    /// INVALID_TIMESTAMP: outside the topic's window around the broker's clock.
    InvalidTimestamp {
        /// The offending timestamp.
        timestamp: i64,
    },
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrderSequence {
        /// The sequence that would follow.
        expected: i32,
        /// The one that came.
        got: i32,
    },
    /// INVALID_PRODUCER_EPOCH.
    ProducerFenced {
        /// The epoch in force.
        current: i16,
    },
    /// NOT_LEADER_OR_FOLLOWER.
    NotLeader,
    /// The disk is below its reserve; service resumes by itself.
    DiskFull,
    /// The log cannot be written or read any more (KAFKA_STORAGE_ERROR).
    Offline,
}

impl Partition {
    /// Takes a batch, or says why not. Decides in the order of the calls; never waits.
    ///
    /// The batch's CRC and structure are proven already ([`ailurus_record::verify`]).
    pub fn append(&self, batch: &VerifiedBatch, origin: Origin, now_ms: i64) -> AppendOutcome {
        let config = self.config();
        if let Err(refusal) = admissible(batch, origin, &config, now_ms) {
            return AppendOutcome::Refused(refusal);
        }
        let producer = producer_batch(batch);
        if let Some(producer) = &producer {
            match self.producers().check(producer) {
                SequenceCheck::Next => {}
                SequenceCheck::Duplicate { base, last, timestamp } => {
                    return AppendOutcome::Duplicate(Appended {
                        receipt: self.replica().receipt_of(base, last),
                        log_append_time: stamp_time(&config, timestamp),
                    });
                }
                SequenceCheck::OutOfOrder { expected } => {
                    let got = producer.first_sequence;
                    return AppendOutcome::Refused(Refusal::OutOfOrderSequence { expected, got });
                }
                SequenceCheck::Fenced { current } => {
                    return AppendOutcome::Refused(Refusal::ProducerFenced { current });
                }
            }
        }
        match self.enqueue(batch, producer, stamp_time(&config, now_ms), now_ms) {
            Ok(appended) => AppendOutcome::Appended(appended),
            Err(refusal) => {
                if let Some(producer) = &producer {
                    self.producers_mut().refused(producer);
                }
                AppendOutcome::Refused(refusal)
            }
        }
    }

    fn enqueue(
        &self,
        batch: &VerifiedBatch,
        producer: Option<ProducerBatch>,
        log_append_time: Option<i64>,
        now_ms: i64,
    ) -> Result<Appended, Refusal> {
        let replica = self.replica();
        let base = replica.next_offset();
        let last = base.plus(i64::from(batch.header.last_offset_delta));
        let time = batch.time(self.config().message_timestamp_type, now_ms);
        let header = batch.stamped(base, replica.term(), time);
        let entry = Entry::Batch { header, bytes: batch.bytes.clone() };
        let receipt = replica.propose(base, last, entry).map_err(refusal)?;
        if let Some(mut producer) = producer {
            producer.max_timestamp = log_append_time.unwrap_or(producer.max_timestamp);
            self.producers_mut().replay(&producer, base, last, now_ms);
        }
        self.count_append(batch);
        Ok(Appended { receipt, log_append_time })
    }

    /// Waits for the promise that `acks` asks for.
    pub async fn settled(&self, receipt: Receipt, acks: Acks) -> Settlement {
        self.replica().settled(receipt, acks).await
    }
}

/// The checks that need no producer state.
fn admissible(batch: &VerifiedBatch, origin: Origin, config: &TopicConfig, now_ms: i64) -> Result<(), Refusal> {
    let header = &batch.header;
    if origin == Origin::Client {
        if header.base_offset != 0 {
            return Err(Refusal::InvalidRecord("the base offset of a batch that is produced must be 0"));
        }
        if header.is_control() || header.is_transactional() {
            return Err(Refusal::InvalidRecord("transactional and control batches are not accepted from clients"));
        }
        if header.producer_id >= 0 && header.base_sequence < 0 {
            return Err(Refusal::InvalidRecord("a batch with a producer id needs a sequence of 0 or above"));
        }
    }
    let (size, max) = (header.size_in_bytes(), config.max_message_bytes as usize);
    if origin == Origin::Client && size > max {
        return Err(Refusal::TooLarge { size, max });
    }
    if config.cleanup_policy.compact
        && let Some(record) = batch.first_null_key
    {
        return Err(Refusal::KeyMissing { record });
    }
    if origin == Origin::Client && config.message_timestamp_type == TimestampType::CreateTime {
        timestamps_near(batch, config, now_ms)?;
    }
    Ok(())
}

/// `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms` (KIP-937).
fn timestamps_near(batch: &VerifiedBatch, config: &TopicConfig, now_ms: i64) -> Result<(), Refusal> {
    let oldest = now_ms.saturating_sub(config.message_timestamp_before_max_ms);
    let newest = now_ms.saturating_add(config.message_timestamp_after_max_ms);
    for (timestamp, _) in [batch.min_timestamp, batch.max_timestamp] {
        // -1 is Kafka's "no timestamp".
        if timestamp != -1 && (timestamp < oldest || timestamp > newest) {
            return Err(Refusal::InvalidTimestamp { timestamp });
        }
    }
    Ok(())
}

fn producer_batch(batch: &VerifiedBatch) -> Option<ProducerBatch> {
    let header = &batch.header;
    (header.producer_id >= 0 && !header.is_control()).then(|| ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: sequence_plus(header.base_sequence, header.last_offset_delta),
        max_timestamp: header.max_timestamp,
    })
}

fn stamp_time(config: &TopicConfig, time: i64) -> Option<i64> {
    (config.message_timestamp_type == TimestampType::LogAppendTime).then_some(time)
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::NotLeader => Refusal::NotLeader,
        Refused::Log(StorageError::Full) => Refusal::DiskFull,
        Refused::Log(_) => Refusal::Offline,
    }
}
