//! The partition itself: its parts, its opening, its positions and its end.

use std::cell::{Cell, Ref, RefCell, RefMut};
use std::rc::Rc;

use ailurus_model::{NodeId, Offset, Term, TopicIdPartition};
use ailurus_record::VerifiedBatch;
use ailurus_replica::{Replica, Role};
use ailurus_rt as rt;
use ailurus_settings::TopicConfig;
use ailurus_storage::{Log, StorageError, Ticket};

use crate::bells::{Bell, Bells, Subscription};
use crate::producers::{self, ProducerBatch, ProducerView, Producers, sequence_plus};

/// Why a partition could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its replica could not take up its work.
    #[error(transparent)]
    Replica(#[from] ailurus_replica::OpenError),
    /// Its log could not be read to rebuild what is known of producers.
    #[error("the log could not be read: {0}")]
    Replay(#[from] ailurus_storage::ReadError),
}

/// A client's idea of the leader epoch is not ours (KIP-320).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EpochMismatch {
    /// FENCED_LEADER_EPOCH: theirs is older.
    Fenced,
    /// UNKNOWN_LEADER_EPOCH: theirs is newer.
    Unknown,
}

/// Counts of one partition since it was opened.
#[derive(Clone, Copy, Default, Debug)]
pub struct PartitionStats {
    /// Batches appended.
    pub batches_in: u64,
    /// Records appended.
    pub records_in: u64,
    /// Bytes appended.
    pub bytes_in: u64,
}

/// A partition on the shard that owns it.
pub struct Partition {
    id: TopicIdPartition,
    replica: Rc<Replica>,
    config: RefCell<Rc<TopicConfig>>,
    producers: Rc<RefCell<Producers>>,
    bells: Rc<Bells>,
    stats: Cell<PartitionStats>,
    ringer: Cell<Option<rt::Task<()>>>,
}

impl Partition {
    /// Opens the partition over its log: rebuilds what is known of producers, then leads as the only replica.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        id: TopicIdPartition,
        log: Rc<Log>,
        node: NodeId,
        config: Rc<TopicConfig>,
    ) -> Result<Rc<Partition>, OpenError> {
        let producers = Rc::new(RefCell::new(rebuild(&log).await?));
        let source = producers.clone();
        log.set_state_source(Rc::new(move || producers::encode(&source.borrow()).into()));
        let source = producers.clone();
        log.set_producer_source(Rc::new(move || source.borrow().last_batches().collect()));
        let replica = Replica::open(log, node).await?;
        let rolled_back = producers.clone();
        replica.on_truncated(Box::new(move |end| rolled_back.borrow_mut().truncate(end)));
        let partition = Rc::new(Partition {
            id,
            replica,
            config: RefCell::new(config),
            producers,
            bells: Rc::default(),
            stats: Cell::default(),
            ringer: Cell::new(None),
        });
        let ringer = rt::spawn(rt::Group::Raft, ring(partition.replica.clone(), partition.bells.clone()));
        partition.ringer.set(Some(ringer));
        Ok(partition)
    }

    /// Which partition this is.
    pub fn id(&self) -> TopicIdPartition {
        self.id
    }

    /// The replicated log underneath.
    pub fn replica(&self) -> &Rc<Replica> {
        &self.replica
    }

    /// The topic's configuration as it applies now.
    pub fn config(&self) -> Rc<TopicConfig> {
        self.config.borrow().clone()
    }

    /// Takes over a changed configuration; it applies from the next append and the next cleaning on.
    pub fn set_config(&self, config: Rc<TopicConfig>) {
        *self.config.borrow_mut() = config;
    }

    /// True as long as it takes appends and serves reads.
    pub fn is_leader(&self) -> bool {
        self.replica.role() == Role::Leader
    }

    /// The leader epoch.
    pub fn leader_epoch(&self) -> Term {
        self.replica.term()
    }

    /// The first offset that is still there.
    pub fn log_start(&self) -> Offset {
        self.replica.log_start()
    }

    /// Everything before it is committed and may be read.
    pub fn high_watermark(&self) -> Offset {
        self.replica.high_watermark()
    }

    /// Compares a client's leader epoch (-1: it has none) with ours.
    ///
    /// # Errors
    /// [`EpochMismatch`].
    pub fn check_epoch(&self, current: i32) -> Result<(), EpochMismatch> {
        match current {
            -1 => Ok(()),
            epoch if epoch < self.leader_epoch().0 => Err(EpochMismatch::Fenced),
            epoch if epoch > self.leader_epoch().0 => Err(EpochMismatch::Unknown),
            _ => Ok(()),
        }
    }

    /// Hangs a bell that rings whenever more may be read, the log start moves, or the partition ends.
    pub fn hang(&self, bell: &Rc<Bell>) -> Subscription {
        self.bells.hang(bell)
    }

    /// The producers as DescribeProducers shows them.
    pub fn describe_producers(&self) -> Vec<ProducerView> {
        self.producers.borrow().describe()
    }

    /// Forgets producers that were silent for `expiration_ms`.
    pub fn expire_producers(&self, now_ms: i64, expiration_ms: i64) {
        self.producers.borrow_mut().expire(now_ms, expiration_ms);
    }

    /// Makes `offset` the first that is still there. [`Partition::records_deleted`] waits until that is durable; many
    /// partitions may be moved first and then share a flush.
    ///
    /// The caller has checked that it does not pass the high watermark. A log start that is further already stays.
    ///
    /// # Errors
    /// The log is offline.
    pub fn delete_records(&self, offset: Offset) -> Result<Ticket, StorageError> {
        self.replica.truncate_prefix(offset)
    }

    /// Waits until the move is durable and answers the log start that then holds.
    ///
    /// # Errors
    /// The log is offline.
    pub async fn records_deleted(&self, ticket: Ticket) -> Result<Offset, StorageError> {
        self.replica.log().settled(ticket).await?;
        Ok(self.log_start())
    }

    /// Counts since it was opened.
    pub fn stats(&self) -> PartitionStats {
        self.stats.get()
    }

    /// Bytes on disk and in the tail.
    pub fn size_bytes(&self) -> u64 {
        self.replica.log().size_bytes()
    }

    /// Ends it: appends and reads are refused from now on, and all who wait learn it.
    pub fn close(&self) {
        self.replica.close();
        self.ringer.set(None);
        self.bells.ring();
    }

    pub(crate) fn producers(&self) -> Ref<'_, Producers> {
        self.producers.borrow()
    }

    pub(crate) fn producers_mut(&self) -> RefMut<'_, Producers> {
        self.producers.borrow_mut()
    }

    pub(crate) fn count_append(&self, batch: &VerifiedBatch) {
        let mut stats = self.stats.get();
        stats.batches_in += 1;
        stats.records_in += batch.header.records_count as u64;
        stats.bytes_in += batch.header.size_in_bytes() as u64;
        self.stats.set(stats);
    }
}

/// Carries every move of the replica to the bells.
async fn ring(replica: Rc<Replica>, bells: Rc<Bells>) {
    loop {
        let moved = replica.moved().notified();
        // Also before the first wait: what moved until this task first ran was seen by nobody.
        bells.ring();
        moved.await;
    }
}

/// What the log says of producers: the last checkpoint's state, then every batch after it.
async fn rebuild(log: &Rc<Log>) -> Result<Producers, ailurus_storage::ReadError> {
    let (mut producers, from) = match log.recovered_state() {
        Some((index, state)) => match producers::decode(&state) {
            Some(producers) => (producers, index.next()),
            None => (Producers::default(), log.log_start().index),
        },
        None => (Producers::default(), log.log_start().index),
    };
    let now_ms = rt::unix_ms();
    log.replay(from, |header| {
        if header.producer_id < 0 || header.is_control() {
            return;
        }
        let batch = ProducerBatch {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            last_sequence: sequence_plus(header.base_sequence, header.last_offset_delta),
            max_timestamp: header.max_timestamp,
        };
        producers.replay(&batch, Offset(header.base_offset), header.last_offset(), now_ms);
    })
    .await?;
    if log.may_have_lost() {
        producers.allow_a_gap();
    }
    Ok(producers)
}
