//! The storage of one shard: its journal, its logs, and the tasks that keep them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use ailurus_model::{GroupId, OwnerEpoch, ShardId};
use ailurus_rt as rt;
use bytes::Bytes;

use crate::checkpoint::Checkpoint;
use crate::collect::{Collector, Ended, Found, Groups};
use crate::config::{LogConfig, StorageConfig};
use crate::core::{Core, DrainCounts};
use crate::datadir::{self, OpenedSegments};
use crate::entry::LogId;
use crate::journal::format::Kind;
use crate::journal::scan::{first_file, scan};
use crate::journal::{Journal, JournalStats};
use crate::segment::{CacheStats, Position, SegmentCheckpoint, SegmentSet, SegmentShard};
use crate::{Log, StorageError, drain, housekeeping};

/// How long a stop waits for the last flush while the drain still works.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// The storage of one shard.
///
/// What always holds: a log that was returned once is known until it is removed or released; what a removed log left on
/// disk goes before the journal forgets that it was removed.
pub struct Storage {
    core: Rc<Core>,
    logs: RefCell<BTreeMap<GroupId, Rc<Log>>>,
    /// Removed logs whose directory may still be there.
    removing: RefCell<BTreeMap<GroupId, Rc<Log>>>,
    writer: RefCell<Option<rt::Task<()>>>,
    keepers: RefCell<Vec<rt::Task<()>>>,
}

/// Numbers of one shard's storage.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct StorageStats {
    /// The journal's.
    pub journal: JournalStats,
    /// What was moved from tails to segments.
    pub drain: DrainCounts,
    /// The batch cache's.
    pub cache: CacheStats,
    /// Logs that live here.
    pub logs: u64,
    /// Logs that are offline.
    pub logs_offline: u64,
    /// Bytes of all tails in memory.
    pub tail_bytes: u64,
    /// Segment files that are open.
    pub segment_handles: u64,
    /// 1 while clients' appends are refused for lack of disk space.
    pub disk_full: u64,
}

impl Storage {
    /// Reads this shard's journal, cuts its torn tail, and gives the logs that it holds. What is found is flushed again
    /// before this returns. The [`crate::DataDir`] must be open.
    ///
    /// # Errors
    /// [`StorageError::Layout`], [`StorageError::Corrupt`], [`StorageError::Version`], or what the disk says.
    pub async fn open(config: StorageConfig, shard: ShardId) -> Result<(Rc<Storage>, Vec<Rc<Log>>), StorageError> {
        let config = Rc::new(config);
        let layout = datadir::read_layout(&config.dir).await?;
        let Some(layout) = layout.filter(|layout| shard.0 < layout.shards) else {
            let found = layout.map_or(0, |layout| layout.shards);
            return Err(StorageError::Layout { path: config.dir.clone(), found, expected: shard.0 + 1 });
        };
        let dir = datadir::journal_dir(&config.dir, shard.0);
        let mut collector = Collector::default();
        let mut scanned = scan(&config, &dir, layout.salt, &mut collector).await?;
        let groups = collector.finish().map_err(|error| StorageError::corrupt(&dir, error.to_string()))?;
        first_file(&config, &dir, &mut scanned.ring).await?;
        tracing::debug!(
            shard = shard.0,
            commits = scanned.last,
            clean = scanned.clean,
            groups = groups.len(),
            "journal read"
        );
        let journal = Journal::new(config.clone(), dir, layout.salt, scanned.ring, scanned.last);
        let core = Core::new(layout.shards, scanned.clean, config.clone(), journal, SegmentShard::new(&config));
        let storage = Rc::new(Storage {
            core,
            logs: RefCell::default(),
            removing: RefCell::default(),
            writer: RefCell::new(None),
            keepers: RefCell::default(),
        });
        storage.open_logs(groups).await?;
        storage.start();
        let logs = storage.logs();
        Ok((storage, logs))
    }

    async fn open_logs(&self, groups: Groups) -> Result<(), StorageError> {
        for (group, found) in groups {
            match found {
                Ok(found) => {
                    let segments = self.open_or_offline(&found).await?;
                    self.assemble(found, LogConfig::keeping(), segments);
                }
                Err(Ended::Removed(topic)) => {
                    datadir::remove_dir(&datadir::log_dir(&self.core.config.dir, topic, group)).await?;
                }
                Err(Ended::Released) => {}
            }
            rt::yield_if_needed().await;
        }
        Ok(())
    }

    /// The segments of a log as recovery found it. If its files are damaged or missing the log is offline, alone: the
    /// journal keeps what it has of it, and the next start looks again.
    async fn open_or_offline(&self, found: &Found) -> Result<OpenedSegments, StorageError> {
        let (config, dir) = (LogConfig::keeping(), self.log_dir(found));
        match datadir::open_segments(&self.core.segments, &dir, found, config.clone()).await {
            Err(StorageError::Segment(error)) if !error.is_passing() => {
                let (group, topic) = (found.group, found.checkpoint.topic);
                tracing::error!(%group, %topic, %error, "log offline; its journal entries are kept");
                let at = datadir::segment_checkpoint(&dir, found)?;
                let end = found.checkpoint.drained;
                Ok((SegmentSet::offline(self.core.segments.clone(), dir, group, config, end), at))
            }
            opened => opened,
        }
    }

    /// Makes the log known that `found` describes.
    fn assemble(&self, found: Found, config: LogConfig, (segments, at): OpenedSegments) -> Rc<Log> {
        let (group, checkpoint) = (found.group, &found.checkpoint);
        let config = LogConfig { internal: config.internal || checkpoint.internal, ..config };
        let id = LogId { group, topic: checkpoint.topic, owner_epoch: found.last.0 };
        let log = Log::assemble(&self.core, id, config, found, segments, at);
        self.logs.borrow_mut().insert(group, log.clone());
        log
    }

    fn log_dir(&self, found: &Found) -> PathBuf {
        datadir::log_dir(&self.core.config.dir, found.checkpoint.topic, found.group)
    }

    fn start(self: &Rc<Self>) {
        let journal = &self.core.journal;
        *self.writer.borrow_mut() = Some(rt::spawn(rt::Group::Raft, journal.clone().run()));
        *self.keepers.borrow_mut() = vec![
            rt::spawn(rt::Group::Recovery, journal.clone().prepare_spares()),
            rt::spawn(rt::Group::Compaction, drain::run(self.clone())),
            rt::spawn(rt::Group::Compaction, housekeeping::watch_space(self.core.clone())),
            rt::spawn(rt::Group::Compaction, housekeeping::clean(self.clone())),
            rt::spawn(rt::Group::Compaction, housekeeping::compact(self.clone())),
            rt::spawn(rt::Group::Compaction, housekeeping::compact_loaded_whole(self.clone())),
        ];
    }

    /// Creates a log, or opens what is there: one that was recovered (it takes over `config`), or one that another shard
    /// has released or that was left by another number of shards (its owner epoch rises, durably, before this returns).
    ///
    /// A log that lives in another shard's journal must be released there first; this cannot see it.
    ///
    /// # Errors
    /// [`StorageError::NotHere`] if its directory belongs to another shard; or what the disk says.
    pub async fn create_log(&self, id: LogId, config: LogConfig) -> Result<Rc<Log>, StorageError> {
        if let Some(log) = self.find_log(id, config.clone()).await? {
            return Ok(log);
        }
        let segments = SegmentCheckpoint::empty(Position::START);
        let checkpoint = Checkpoint::genesis(id.topic, config.internal, Bytes::from(segments.encode()));
        self.begin(id.group, id.owner_epoch, checkpoint, config).await
    }

    /// As [`Storage::create_log`], but creates nothing: `None` if there is no trace of the log.
    ///
    /// # Errors
    /// As there.
    pub async fn find_log(&self, id: LogId, config: LogConfig) -> Result<Option<Rc<Log>>, StorageError> {
        if let Some(log) = self.log(id.group) {
            log.set_config(config);
            return Ok(Some(log));
        }
        let dir = datadir::log_dir(&self.core.config.dir, id.topic, id.group);
        if !rt::fs::exists(&dir).await.map_err(StorageError::io("a look", &dir))? {
            return Ok(None);
        }
        if let Some(file) = datadir::read_checkpoint_file(&dir).await? {
            if file.group != id.group || file.checkpoint.topic != id.topic {
                return Err(StorageError::corrupt(&dir, "its checkpoint is another log's"));
            }
            let owner_epoch = OwnerEpoch(file.owner_epoch.0 + 1);
            let log = self.begin(id.group, owner_epoch, file.checkpoint, config).await?;
            self.core.journal.settled().await;
            datadir::remove_checkpoint_file(&dir).await?;
            return Ok(Some(log));
        }
        Err(StorageError::NotHere(id.group))
    }

    /// Begins a log in this shard's journal with `checkpoint` as its first entry.
    async fn begin(
        &self,
        group: GroupId,
        owner_epoch: OwnerEpoch,
        checkpoint: Checkpoint,
        config: LogConfig,
    ) -> Result<Rc<Log>, StorageError> {
        let found = Found { group, last: (owner_epoch, 0), checkpoint, frames: Vec::new(), cut: None };
        let segments =
            datadir::open_segments(&self.core.segments, &self.log_dir(&found), &found, config.clone()).await?;
        let log = self.assemble(found, config, segments);
        log.checkpoint().await?;
        Ok(log)
    }

    /// The log of `group`, if it lives here.
    pub fn log(&self, group: GroupId) -> Option<Rc<Log>> {
        self.logs.borrow().get(&group).cloned()
    }

    /// All logs that live here, by group id.
    pub fn logs(&self) -> Vec<Rc<Log>> {
        self.logs.borrow().values().cloned().collect()
    }

    /// Removes a log and everything it holds. Durable when this returns; removing what is not there is no error.
    ///
    /// # Errors
    /// What the disk says. The log is gone all the same; its directory is tried again from time to time, and at the next
    /// start.
    pub async fn remove_log(&self, group: GroupId) -> Result<(), StorageError> {
        let Some(log) = self.logs.borrow_mut().remove(&group) else { return Ok(()) };
        log.end(Kind::GroupRemoved);
        self.removing.borrow_mut().insert(group, log.clone());
        self.clear_away(&log).await
    }

    /// Takes the directory of a removed log away. Until that is done the journal keeps saying that it is to go.
    async fn clear_away(&self, log: &Log) -> Result<(), StorageError> {
        self.core.journal.settled().await;
        // First, or who has the keeper may wait for what a compaction holds that waits for something itself.
        log.segments.end_compaction().await;
        let _keeper = log.keeper.acquire(1).await;
        if self.removing.borrow().contains_key(&log.id().group) {
            log.segments.remove().await?;
            self.removing.borrow_mut().remove(&log.id().group);
        }
        Ok(())
    }

    /// Goes on with removals that failed.
    pub(crate) async fn clear_away_all(&self) {
        for log in self.removing() {
            if let Err(error) = self.clear_away(&log).await {
                tracing::warn!(group = %log.id().group, %error, "the directory of a removed log is still there");
            }
        }
    }

    /// Completes a log in its directory and lets it go, so that another shard can take it over with `create_log`.
    ///
    /// # Errors
    /// [`StorageError::Offline`] if its files failed; [`StorageError::Full`] if there is no room to drain it, or something
    /// in it is not committed yet. It stays then.
    pub async fn release_log(&self, group: GroupId) -> Result<(), StorageError> {
        let Some(log) = self.log(group) else { return Ok(()) };
        self.core.journal.settled().await;
        drain::drain_together(&self.core, std::slice::from_ref(&log)).await;
        let keeper = log.keeper.acquire(1).await;
        if log.failed() {
            return Err(StorageError::Offline);
        }
        let checkpoint = log.segments.flush().await?;
        // What is taken after this would not be in the file.
        if !log.leave(checkpoint.end) {
            return Err(StorageError::Full);
        }
        let dir = log.segments.dir();
        if let Err(error) = datadir::write_checkpoint_file(dir, &log.checkpoint_file(&checkpoint)).await {
            // It must not be found by whoever looks for a log without an owner.
            let _ = datadir::remove_checkpoint_file(dir).await;
            log.stay();
            return Err(error);
        }
        self.logs.borrow_mut().remove(&group);
        log.end(Kind::GroupReleased);
        self.core.journal.settled().await;
        log.segments.close().await;
        drop(keeper);
        Ok(())
    }

    /// Returns when tails are below their limit, or when the disk is full and an append would be refused at once.
    /// Backpressure for producers; nothing is refused without it.
    pub async fn until_room(&self) {
        self.core.until_room().await;
    }

    /// Returns when everything appended before the call is durable.
    pub async fn settled(&self) {
        self.core.journal.settled().await;
    }

    /// Commits what was appended and marks the journal as shut down in order. Appends are refused from then on. Ends the process
    /// if the disk has no room for that for some seconds.
    pub async fn shutdown(&self) {
        // While retention, or an administrator, can still make room: what was acknowledged from memory depends on it.
        let _ = rt::timeout(SETTLE_MAX, self.core.journal.settled()).await;
        let keepers = std::mem::take(&mut *self.keepers.borrow_mut());
        for keeper in keepers {
            keeper.cancel().await;
        }
        for log in self.logs() {
            log.segments.close().await;
        }
        self.core.journal.close();
        let writer = self.writer.borrow_mut().take();
        if let Some(writer) = writer {
            writer.await;
        }
        // Whoever still waits for something that was refused learns it.
        self.logs().iter().for_each(|log| log.progress().notify_all());
    }

    /// Numbers since start.
    pub fn stats(&self) -> StorageStats {
        let logs = self.logs.borrow();
        StorageStats {
            journal: self.core.journal.stats(),
            drain: self.core.counts.get(),
            cache: self.core.segments.cache_stats(),
            logs: logs.len() as u64,
            logs_offline: logs.values().filter(|log| log.failed()).count() as u64,
            tail_bytes: self.core.tail_bytes(),
            segment_handles: self.core.segments.handles_count() as u64,
            disk_full: u64::from(self.core.full.get()),
        }
    }

    pub(crate) fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// Removed logs whose directory may still be there.
    pub(crate) fn removing(&self) -> Vec<Rc<Log>> {
        self.removing.borrow().values().cloned().collect()
    }
}
