//! The data directory: whose it is, which version wrote it, for how many shards its journals are laid out.
//!
//! ```text
//! ailurus.lock                                 held while a process uses the directory
//! ailurus.version                              "1"
//! journal/layout                               number of shards, salt; written before the first journal file
//! journal/<shard>/<number>.journal             see docs/formats/journal.md
//! journal.retired/                             journals that were drained; worth nothing
//! topics/<topic id>/<partition>-<group id>/    segments of one log; see docs/formats/segment.md
//!     checkpoint                               only while no shard owns the log: complete, waiting to be taken over
//! ```
//! What always holds: a log is either in exactly one journal, or complete in its directory with a `checkpoint` file.
//! Journals go all at once, by one rename, after every log of theirs is complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ailurus_model::{GroupId, TopicIdPartition};
use ailurus_rt as rt;

use crate::StorageError;
use crate::checkpoint::CheckpointFile;
use crate::collect::{Collector, Ended, Found};
use crate::config::{LogConfig, StorageConfig};
use crate::journal::scan::scan;
use crate::segment::{OpenAt, Position, SegmentCheckpoint, SegmentSet, SegmentShard};

const VERSION: u32 = 1;

/// The lock on the data directory. Held by the first shard for as long as the process lives.
pub struct DataDir {
    dir: PathBuf,
    _lock: rt::fs::Lock,
}

/// What the journals are laid out for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Layout {
    pub(crate) shards: u16,
    pub(crate) salt: u64,
}

impl DataDir {
    /// Takes the directory for this process and makes its journals fit `shards`: journals of another number of shards are
    /// drained, flushed and retired. Before any shard opens its storage; on one shard. Can be repeated after a crash.
    ///
    /// # Errors
    /// [`StorageError::InUse`], [`StorageError::Version`], [`StorageError::Corrupt`], or what the disk says.
    pub async fn open(config: &StorageConfig, shards: u16) -> Result<DataDir, StorageError> {
        let dir = &config.dir;
        rt::fs::create_dir_all(dir).await.map_err(StorageError::io("a creation", dir))?;
        let lock = rt::fs::lock(&dir.join("ailurus.lock")).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => StorageError::InUse(dir.clone()),
            _ => StorageError::io("a lock", dir)(error),
        })?;
        if !check_version(dir).await? {
            furnish(dir, shards).await?;
            return Ok(DataDir { dir: dir.clone(), _lock: lock });
        }
        remove_dir(&dir.join("journal.retired")).await?;
        match read_layout(dir).await? {
            Some(layout) if layout.shards == shards => {}
            Some(layout) => {
                retire(config, layout).await?;
                lay_out(dir, shards).await?;
            }
            None => {
                // Without its salt a journal cannot be told from what another one left.
                if let Some(file) = journal_file_in(dir).await? {
                    let what = format!("it is missing, though there is {}", file.display());
                    return Err(StorageError::corrupt(&layout_path(dir), what));
                }
                lay_out(dir, shards).await?;
            }
        }
        sweep_topics(&dir.join("topics")).await?;
        Ok(DataDir { dir: dir.clone(), _lock: lock })
    }

    /// The directories of all logs but `kept`. If those are the logs that are wanted and those that live in a journal, what is
    /// left was complete in its directory, without an owner, when its partition was deleted: nothing speaks of it any more.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn logs_except(
        &self,
        kept: impl IntoIterator<Item = (TopicIdPartition, GroupId)>,
    ) -> Result<Vec<PathBuf>, StorageError> {
        let kept: BTreeSet<PathBuf> = kept.into_iter().map(|(topic, group)| log_dir(&self.dir, topic, group)).collect();
        let mut others = Vec::new();
        for topic in list(&self.dir.join("topics")).await? {
            let logs = list(&topic).await?;
            others.extend(logs.into_iter().filter(|log| is_log_dir(log) && !kept.contains(log)));
            rt::yield_if_needed().await;
        }
        Ok(others)
    }

    /// Removes directories that [`DataDir::logs_except`] gave.
    ///
    /// # Errors
    /// What the disk says. It can be repeated.
    pub async fn remove_logs(&self, dirs: Vec<PathBuf>) -> Result<(), StorageError> {
        for dir in dirs {
            tracing::info!(path = %dir.display(), "removing the files of a partition that was deleted");
            remove_dir(&dir).await?;
        }
        Ok(())
    }
}

/// True for the names that [`log_dir`] gives: what somebody else put there is none of ours.
fn is_log_dir(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once('-'));
    name.is_some_and(|(partition, group)| partition.parse::<u32>().is_ok() && group.parse::<u64>().is_ok())
}

/// False if the directory is new, or was not furnished to the end. Where something was stored, the version must be there:
/// to furnish such a directory again would forget all of it.
async fn check_version(dir: &Path) -> Result<bool, StorageError> {
    let path = version_path(dir);
    if !exists(&path).await? {
        return match stored_in(dir).await? {
            None => Ok(false),
            Some(proof) => {
                Err(StorageError::corrupt(&path, format!("it is missing, though there is {}", proof.display())))
            }
        };
    }
    let found = rt::fs::read(&path).await.map_err(StorageError::io("a read", &path))?;
    let found = String::from_utf8_lossy(&found).trim().to_owned();
    match found.parse() {
        Ok(VERSION) => Ok(true),
        _ => Err(StorageError::Version { path, found, expected: VERSION }),
    }
}

/// Something that is only made in a directory that has its version: the node's identity, a journal's file, a topic.
async fn stored_in(dir: &Path) -> Result<Option<PathBuf>, StorageError> {
    let identity = dir.join("node.properties");
    if exists(&identity).await? {
        return Ok(Some(identity));
    }
    for below in [dir.join("journal"), dir.join("topics")] {
        let inside = match rt::fs::read_dir(&below).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            inside => inside.map_err(StorageError::io("a listing", &below))?,
        };
        for entry in inside.iter().filter(|entry| entry.is_dir) {
            let path = below.join(&entry.name);
            let inside = rt::fs::read_dir(&path).await.map_err(StorageError::io("a listing", &path))?;
            if let Some(first) = inside.first() {
                return Ok(Some(path.join(&first.name)));
            }
        }
    }
    Ok(None)
}

/// Some file of some journal, if there is one.
async fn journal_file_in(dir: &Path) -> Result<Option<PathBuf>, StorageError> {
    let journals = dir.join("journal");
    if !exists(&journals).await? {
        return Ok(None);
    }
    for shard in rt::fs::read_dir(&journals).await.map_err(StorageError::io("a listing", &journals))? {
        let files = if shard.is_dir { list(&journals.join(&shard.name)).await? } else { Vec::new() };
        if let Some(file) = files.into_iter().find(|file| file.extension().is_some_and(|name| name == "journal")) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

fn version_path(dir: &Path) -> PathBuf {
    dir.join("ailurus.version")
}

/// Makes a new directory ready. The version comes last: where it stands, all the rest is durable, and where it does not,
/// nothing was ever stored. The flushes before it go together, because a first start is waited for.
async fn furnish(dir: &Path, shards: u16) -> Result<(), StorageError> {
    let topics = dir.join("topics");
    rt::fs::create_dir_all(&topics).await.map_err(StorageError::io("a creation", &topics))?;
    // The directory may be new, and those above it: their names must last, too.
    let named = |above: &Path| if above.as_os_str().is_empty() { PathBuf::from(".") } else { above.to_owned() };
    let above: Vec<PathBuf> = dir.ancestors().skip(1).map(named).collect();
    let flush = |above: PathBuf| rt::spawn(rt::Group::Cluster, async move { sync_ancestor(&above).await });
    let flushes: Vec<_> = above.into_iter().map(flush).collect();
    lay_out(dir, shards).await?;
    for flush in flushes {
        flush.await?;
    }
    let (path, mark) = (version_path(dir), format!("{VERSION}\n"));
    rt::fs::write_durably(&path, mark.as_bytes()).await.map_err(StorageError::io("a write", &path))
}

async fn sync_ancestor(dir: &Path) -> Result<(), StorageError> {
    match rt::fs::sync_dir(dir).await {
        // What we may not open was there before us.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced.map_err(StorageError::io("a flush", dir)),
    }
}

fn layout_path(dir: &Path) -> PathBuf {
    dir.join("journal").join("layout")
}

/// The directory of one shard's journal.
pub(crate) fn journal_dir(dir: &Path, shard: u16) -> PathBuf {
    dir.join("journal").join(shard.to_string())
}

/// The directory of one log.
pub(crate) fn log_dir(dir: &Path, topic: TopicIdPartition, group: GroupId) -> PathBuf {
    dir.join("topics").join(topic.topic.to_string()).join(format!("{}-{group}", topic.partition))
}

/// What the journals are laid out for; `None` in a new directory.
pub(crate) async fn read_layout(dir: &Path) -> Result<Option<Layout>, StorageError> {
    let path = layout_path(dir);
    if !exists(&path).await? {
        return Ok(None);
    }
    let bytes = rt::fs::read(&path).await.map_err(StorageError::io("a read", &path))?;
    let layout = String::from_utf8(bytes).ok().and_then(|text| parse_layout(&text));
    layout.map(Some).ok_or_else(|| StorageError::corrupt(&path, "expected the lines `shards N` and `salt HEX`"))
}

fn parse_layout(text: &str) -> Option<Layout> {
    let mut lines = text.lines();
    let shards = lines.next()?.strip_prefix("shards ")?.parse().ok()?;
    let salt = u64::from_str_radix(lines.next()?.strip_prefix("salt ")?, 16).ok()?;
    Some(Layout { shards, salt })
}

async fn lay_out(dir: &Path, shards: u16) -> Result<(), StorageError> {
    for shard in 0..shards {
        let path = journal_dir(dir, shard);
        rt::fs::create_dir_all(&path).await.map_err(StorageError::io("a creation", &path))?;
    }
    // Its flush of the directory also covers the names of the shards' directories.
    let path = layout_path(dir);
    let text = format!("shards {shards}\nsalt {:016x}\n", rt::random_u64());
    rt::fs::write_durably(&path, text.as_bytes()).await.map_err(StorageError::io("a write", &path))?;
    rt::fs::sync_dir(dir).await.map_err(StorageError::io("a flush", dir))
}

/// Completes every log of the old journals in its directory, then lets the journals go.
async fn retire(config: &StorageConfig, layout: Layout) -> Result<(), StorageError> {
    tracing::info!(shards = layout.shards, "draining the journals of another number of shards");
    let mut collector = Collector::default();
    for shard in 0..layout.shards {
        let dir = journal_dir(&config.dir, shard);
        scan(config, &dir, layout.salt, &mut collector).await?;
    }
    let groups =
        collector.finish().map_err(|error| StorageError::corrupt(&config.dir.join("journal"), error.to_string()))?;
    let segments = SegmentShard::new(config);
    for (group, found) in groups {
        match found {
            Ok(found) => complete(config, &segments, found).await?,
            Err(Ended::Removed(topic)) => remove_dir(&log_dir(&config.dir, topic, group)).await?,
            Err(Ended::Released) => {}
        }
        rt::yield_if_needed().await;
    }
    // One flush for what of the segments and names was not flushed by now, whatever their number.
    rt::fs::sync_fs(&config.dir).await.map_err(StorageError::io("a flush", &config.dir))?;
    let (old, retired) = (config.dir.join("journal"), config.dir.join("journal.retired"));
    rt::fs::rename(&old, &retired).await.map_err(StorageError::io("a rename", &old))?;
    rt::fs::sync_dir(&config.dir).await.map_err(StorageError::io("a flush", &config.dir))?;
    remove_dir(&retired).await
}

/// Drains one log and writes its checkpoint file. The journals stay until all that is flushed.
async fn complete(config: &StorageConfig, shard: &Rc<SegmentShard>, found: Found) -> Result<(), StorageError> {
    let dir = log_dir(&config.dir, found.checkpoint.topic, found.group);
    let (segments, _) = open_segments(shard, &dir, &found, LogConfig::keeping()).await?;
    let written = segments.end().index;
    let mut checkpoint = found.checkpoint;
    let mut frames = Vec::new();
    for (_, frame) in found.frames {
        let header = frame.header();
        checkpoint.epochs.on_appended(frame.index, header.offset, frame.term, header.batch.is_none());
        if frame.index >= written {
            frames.push(frame);
        }
    }
    segments.append(&frames).await?;
    let flushed = segments.flush().await?;
    checkpoint.epochs.truncate_prefix(checkpoint.start.index);
    checkpoint.drained = flushed.end;
    checkpoint.segments = flushed.encode().into();
    let file = CheckpointFile { group: found.group, owner_epoch: found.last.0, checkpoint };
    write_checkpoint_file(&dir, &file).await?;
    segments.close().await;
    Ok(())
}

/// The segments of a log, and what its last checkpoint said of them.
pub(crate) type OpenedSegments = (Rc<SegmentSet>, SegmentCheckpoint);

/// What the journal says of the segments of a log.
pub(crate) fn segment_checkpoint(dir: &Path, found: &Found) -> Result<SegmentCheckpoint, StorageError> {
    let checkpoint = SegmentCheckpoint::decode(&found.checkpoint.segments, found.group)
        .ok_or_else(|| StorageError::corrupt(dir, "the checkpoint's part about segments cannot be read"))?;
    if checkpoint.end != found.checkpoint.drained || found.cut.is_some() {
        return Err(StorageError::corrupt(dir, "the journal speaks of other segments than its checkpoint"));
    }
    Ok(checkpoint)
}

/// Opens the segments of a log as its checkpoint says.
pub(crate) async fn open_segments(
    shard: &Rc<SegmentShard>,
    dir: &Path,
    found: &Found,
    config: LogConfig,
) -> Result<OpenedSegments, StorageError> {
    let checkpoint = segment_checkpoint(dir, found)?;
    // The start may lie behind what is drained; the tail then holds it, and the segments go on where they ended.
    let (start, end) = (found.checkpoint.start, checkpoint.end);
    let start: Position = if start.index < end.index { start } else { end };
    let at = OpenAt { checkpoint: Some(&checkpoint), cut: None, start };
    let segments = SegmentSet::open(shard.clone(), dir.to_owned(), found.group, config, at).await?;
    Ok((segments, checkpoint))
}

/// The checkpoint that a released log left in its directory.
pub(crate) async fn read_checkpoint_file(dir: &Path) -> Result<Option<CheckpointFile>, StorageError> {
    let path = dir.join("checkpoint");
    if !exists(&path).await? {
        return Ok(None);
    }
    let bytes = rt::fs::read(&path).await.map_err(StorageError::io("a read", &path))?;
    let file = CheckpointFile::decode(&bytes);
    file.map(Some).ok_or_else(|| StorageError::corrupt(&path, "it is no checkpoint of this version, or damaged"))
}

/// Leaves a log complete in its directory.
pub(crate) async fn write_checkpoint_file(dir: &Path, file: &CheckpointFile) -> Result<(), StorageError> {
    rt::fs::create_dir_all(dir).await.map_err(StorageError::io("a creation", dir))?;
    let path = dir.join("checkpoint");
    rt::fs::write_durably(&path, &file.encode()).await.map_err(StorageError::io("a write", &path))
}

/// The log has an owner again.
pub(crate) async fn remove_checkpoint_file(dir: &Path) -> Result<(), StorageError> {
    let path = dir.join("checkpoint");
    rt::fs::remove_file(&path).await.map_err(StorageError::io("a removal", &path))
}

/// Removes a directory, which may be gone already, durably.
pub(crate) async fn remove_dir(path: &Path) -> Result<(), StorageError> {
    if !exists(path).await? {
        return Ok(());
    }
    rt::fs::remove_dir_all(path).await.map_err(StorageError::io("a removal", path))?;
    let parent = path.parent().expect("it lies in the data directory");
    rt::fs::sync_dir(parent).await.map_err(StorageError::io("a flush", parent))
}

/// Removes directories of topics that have no partition left here.
async fn sweep_topics(topics: &Path) -> Result<(), StorageError> {
    for path in list(topics).await? {
        if list(&path).await?.is_empty() {
            rt::fs::remove_dir_all(&path).await.map_err(StorageError::io("a removal", &path))?;
        }
    }
    Ok(())
}

async fn list(path: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let listed = rt::fs::read_dir(path).await.map_err(StorageError::io("a listing", path))?;
    Ok(listed.into_iter().map(|entry| path.join(entry.name)).collect())
}

async fn exists(path: &Path) -> Result<bool, StorageError> {
    rt::fs::exists(path).await.map_err(StorageError::io("a look", path))
}
