//! The log of a slice: a partition of `__consumer_offsets`, as records in and records out.

use std::rc::Rc;

use ailurus_model::{Acks, Offset};
use ailurus_partition::append::Origin;
use ailurus_partition::{AppendOutcome, Partition, ReadError, Refusal};
use ailurus_record::{BatchBuilder, BatchHeader, Limits, RecordError, records, verify};
use ailurus_replica::{Receipt, Settlement};
use ailurus_rt as rt;
use bytes::Bytes;

use crate::error::GroupError;
use crate::format::{FormatError, Record};

/// Bytes of records after which a batch is closed. A decision may have any number of records (tombstones of a large group);
/// a batch stays well below what a follower or a tool takes in one piece. A single larger record is a batch of its own.
const BATCH_BYTES: usize = 256 << 10;

/// Bytes read at a time while a slice loads.
const LOAD_BYTES: usize = 1 << 20;

/// See the module.
pub(crate) struct SliceLog {
    partition: Rc<Partition>,
}

/// How far the records of a decision came.
pub(crate) struct Appended {
    /// So many of them, from the first on, are in the log.
    pub(crate) count: usize,
    /// The place of the last of these.
    pub(crate) receipt: Option<Receipt>,
    /// Why the others are not.
    pub(crate) refused: Option<GroupError>,
}

/// Why a slice could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The partition could not be read.
    #[error("reading at offset {0} failed: {1:?}")]
    Read(Offset, ReadError),
    /// A batch could not be opened.
    #[error(transparent)]
    Batch(#[from] RecordError),
}

impl SliceLog {
    pub(crate) fn new(partition: Rc<Partition>) -> Self {
        SliceLog { partition }
    }

    /// True if this log is on `partition` as it is open now.
    pub(crate) fn is_on(&self, partition: &Rc<Partition>) -> bool {
        Rc::ptr_eq(&self.partition, partition)
    }

    pub(crate) fn leads(&self) -> bool {
        self.partition.is_leader()
    }

    /// Enqueues the records in order, without waiting.
    pub(crate) fn append(&self, records: &[Record], unix_ms: i64) -> Appended {
        let mut done = Appended { count: 0, receipt: None, refused: None };
        for (count, batch) in batches(records, unix_ms) {
            let batch = verify(batch, &Limits::default()).expect("a batch that was just built is right");
            match self.partition.append(&batch, Origin::Coordinator, unix_ms) {
                AppendOutcome::Appended(appended) => {
                    done.count += count;
                    done.receipt = Some(appended.receipt);
                }
                AppendOutcome::Duplicate(_) => unreachable!("a coordinator is no idempotent producer"),
                AppendOutcome::Refused(refusal) => {
                    tracing::warn!(partition = %self.partition.id(), ?refusal, "group state could not be stored");
                    done.refused = Some(error(&refusal));
                    break;
                }
            }
        }
        done
    }

    /// Waits until what the receipt stands for is committed.
    pub(crate) async fn settled(&self, receipt: Receipt) -> Result<(), GroupError> {
        if self.partition.high_watermark() > receipt.last {
            return Ok(());
        }
        match self.partition.settled(receipt, Acks::All).await {
            Settlement::Kept => Ok(()),
            Settlement::Truncated => Err(GroupError::NotCoordinator),
            Settlement::Unknown => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// Reads the whole log, in order, and answers how many bytes it has. What is not a record of classic groups is passed over.
    pub(crate) async fn load(&self, mut take: impl FnMut(&Record)) -> Result<u64, LoadError> {
        let mut bytes = 0;
        let end = self.partition.replica().next_offset();
        let mut next = self.partition.log_start();
        while next < end {
            let seen = self.partition.replica().moved().notified();
            let read = self.partition.read(next, LOAD_BYTES, true).await;
            let read = read.map_err(|error| LoadError::Read(next, error))?;
            if read.batches.is_empty() {
                // What is there is not committed yet.
                seen.await;
            }
            for batch in &read.batches {
                next = BatchHeader::parse(batch)?.next_offset();
                bytes += batch.len() as u64;
                self.load_batch(batch, &mut take)?;
                rt::yield_if_needed().await;
            }
        }
        Ok(bytes)
    }

    fn load_batch(&self, batch: &Bytes, take: &mut impl FnMut(&Record)) -> Result<(), LoadError> {
        if BatchHeader::parse(batch)?.is_control() {
            return Ok(());
        }
        for record in records(batch, &Limits::STORED)? {
            let record = record?;
            match decode(record.key.as_deref(), record.value.as_deref()) {
                Ok(Some(decoded)) => take(&decoded),
                Ok(None) => {}
                // Kafka too goes on: one record that cannot be read must not keep all groups of the slice away.
                Err(error) => {
                    let (partition, offset) = (self.partition.id(), record.offset);
                    tracing::error!(%partition, %offset, %error, "a record of group state does not count");
                }
            }
        }
        Ok(())
    }
}

fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Option<Record>, FormatError> {
    key.map_or(Ok(None), |key| Record::decode(key, value))
}

/// The records in batches, each with the number of records in it.
fn batches(records: &[Record], unix_ms: i64) -> impl Iterator<Item = (usize, Bytes)> + '_ {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut batch = BatchBuilder::new();
        let mut count = 0;
        while let Some(record) = rest.get(count)
            && batch.body_len() < BATCH_BYTES
        {
            let (key, value) = record.encode();
            batch.push(unix_ms, Some(&key), value.as_deref(), &[]);
            count += 1;
        }
        rest = &rest[count..];
        (count > 0).then(|| (count, batch.build()))
    })
}

fn error(refusal: &Refusal) -> GroupError {
    match refusal {
        Refusal::NotLeader => GroupError::NotCoordinator,
        Refusal::DiskFull | Refusal::Offline => GroupError::CoordinatorNotAvailable,
        Refusal::TooLarge { .. }
        | Refusal::InvalidRecord(_)
        | Refusal::KeyMissing { .. }
        | Refusal::InvalidTimestamp { .. }
        | Refusal::OutOfOrderSequence { .. }
        | Refusal::ProducerFenced { .. } => GroupError::UnknownServerError,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tombstone(partition: i32) -> Record {
        Record::Offset { group: "g".to_owned(), topic: "t".repeat(200), partition, value: None }
    }

    #[test]
    fn many_records_become_several_batches_in_order() {
        let all: Vec<_> = (0..5_000).map(tombstone).collect();
        let batches: Vec<_> = batches(&all, 7).collect();
        assert!(batches.len() > 3, "1 MB in {} batches", batches.len());
        let mut read = Vec::new();
        for (count, batch) in batches {
            assert!(batch.len() < BATCH_BYTES + 1_000);
            assert_eq!(BatchHeader::parse(&batch).unwrap().records_count as usize, count);
            for record in records(&batch, &Limits::default()).unwrap() {
                let record = record.unwrap();
                assert_eq!(record.timestamp, 7);
                read.push(decode(record.key.as_deref(), record.value.as_deref()).unwrap().unwrap());
            }
        }
        assert_eq!(read, all);
    }

    #[test]
    fn no_records_are_no_batch() {
        assert_eq!(batches(&[], 7).count(), 0);
    }
}
