//! The pass, and how a new file takes the place of old ones.
//!
//! ```text
//! write <name>.log.tmp, flush it               crash: the file is cleared away
//! rename to <name>.<end>.merged, flush dir     <- the commit: from here on, opening finishes what follows
//! remove all old files of the range, flush dir but the one whose name the new file takes
//! rename to <name>.log, flush dir
//! write <name>.index
//! ```

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ailurus_model::Offset;
use ailurus_record::{Limits, records};
use ailurus_rt::{File, IoClass, fs};

use super::keys::KeyMap;
use super::plan::{self, CompactionFacts, CompactionPlan};
use super::sieve::{Sieve, Sieved};
use crate::config::LogConfig;
use crate::segment::SegmentError;
use crate::segment::blocks::BlockWriter;
use crate::segment::frame::{Body, Frame, Seal};
use crate::segment::header::FileHeader;
use crate::segment::index::SparseIndex;
use crate::segment::name::SegmentName;
use crate::segment::read::{Seek, bad_payload, check_adjoins};
use crate::segment::set::{Segment, SegmentSet, remove_file};
use crate::segment::summary::Summary;
use crate::segment::walker::Walked;

/// How long a step that must not stay half done waits before it asks for a file handle again.
pub(crate) const HANDLE_RETRY: Duration = Duration::from_millis(200);

/// What a pass did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CompactionReport {
    /// Distinct keys of the dirty part that the pass looked at.
    pub keys: u64,
    /// Segments written anew, and files that came of them.
    pub segments: (u64, u64),
    /// Their bytes before and after.
    pub bytes: (u64, u64),
}

/// One output of a pass.
struct Rewritten {
    temporary: PathBuf,
    file: File,
    name: SegmentName,
    end: Offset,
    summary: Summary,
    index: SparseIndex,
}

impl SegmentSet {
    /// One pass of compaction, if it pays now. `below` is the high watermark; `live` gives the last offset of the last batch
    /// of each producer that is still known, which stays.
    ///
    /// Housekeeping: [`SegmentSet::roll_if_due`], flush and journal the checkpoint, then this until it gives `None`.
    ///
    /// # Errors
    /// [`SegmentError::Full`] and [`SegmentError::Corrupt`] leave the log as it was; after [`SegmentError::Io`] it may be
    /// offline ([`SegmentSet::failed`]).
    pub async fn compact(
        &self,
        below: Offset,
        live: &dyn Fn(i64) -> Option<Offset>,
    ) -> Result<Option<CompactionReport>, SegmentError> {
        // The turn first: who waits for another log's pass must not hold up the removal of this one.
        let _turn = self.shard.compaction.acquire(1).await;
        let Ok(_pass) = self.gate.enter() else { return Ok(None) };
        self.check_online()?;
        match self.try_compact(below, live).await {
            // The log is being removed or closed.
            Err(SegmentError::Offline { .. }) if self.gate.is_closed() => Ok(None),
            // Retention took a segment that was being read: another time.
            Err(SegmentError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            other => other,
        }
    }

    async fn try_compact(
        &self,
        below: Offset,
        live: &dyn Fn(i64) -> Option<Offset>,
    ) -> Result<Option<CompactionReport>, SegmentError> {
        let (config, closed, settled) = {
            let state = self.state.borrow();
            (state.config.clone(), state.closed.clone(), state.settled)
        };
        if !config.compact {
            return Ok(None);
        }
        let facts = self.compaction_facts(&closed).await?;
        let now_ms = ailurus_rt::unix_ms();
        let Some(plan) = plan::plan(&facts, &config, below.min(settled), now_ms) else { return Ok(None) };
        let (newest, pass_end) = self.map_keys(&closed, &facts, &plan).await?;
        let sieve =
            Sieve { newest: &newest, below: pass_end, now_ms, delete_retention_ms: config.delete_retention_ms, live };
        let report = self.rewrite_below(&closed, &facts, &config, &sieve).await?;
        Ok(Some(CompactionReport { keys: newest.count() as u64, ..report }))
    }

    /// Whether a pass pays now, of what lies below the high watermark.
    ///
    /// # Errors
    /// As [`SegmentSet::compact`].
    pub async fn compaction_pays(&self, below: Offset, now_ms: i64) -> Result<bool, SegmentError> {
        let Ok(_pass) = self.gate.enter() else { return Ok(false) };
        let (config, closed) = {
            let state = self.state.borrow();
            (state.config.clone(), state.closed.clone())
        };
        let facts = self.compaction_facts(&closed).await?;
        Ok(config.compact && plan::plan(&facts, &config, below, now_ms).is_some())
    }

    async fn compaction_facts(&self, closed: &[Rc<Segment>]) -> Result<Vec<CompactionFacts>, SegmentError> {
        let mut facts = Vec::with_capacity(closed.len());
        for (place, segment) in closed.iter().enumerate() {
            let summary = self.summary(segment).await?;
            if let Some(next) = closed.get(place + 1) {
                // A merge over a hole would make it look like what compaction leaves.
                check_adjoins(segment, &summary, next.name.base)?;
            }
            facts.push(CompactionFacts {
                base: summary.base.offset,
                end: summary.end.offset,
                bytes: summary.bytes,
                cleaned_below: summary.cleaned_below,
                max_timestamp: summary.max_timestamp,
                created_ms: summary.created_ms,
            });
        }
        Ok(facts)
    }

    /// The newest offset of every key from the start of the dirty part up to where the map is full; at least one batch.
    async fn map_keys(
        &self,
        closed: &[Rc<Segment>],
        facts: &[CompactionFacts],
        plan: &CompactionPlan,
    ) -> Result<(KeyMap, Offset), SegmentError> {
        let mut newest = KeyMap::new(self.shard.limits.compaction_map_bytes);
        for place in plan.dirty.clone() {
            let source = self.closed_source(&closed[place], facts[place].end, Seek::Offset(plan.dirty_from)).await?;
            let mut walker = self.walk(source, IoClass::Background, self.shard.limits.read_bytes.1).await?;
            while let Some(walked) = walker.next().await? {
                self.pause().await?;
                if walked.header.end().offset <= plan.dirty_from {
                    continue;
                }
                if newest.is_full() {
                    return Ok((newest, walked.header.offset));
                }
                if !walked.header.payload_ok(&walked.payload) {
                    return Err(bad_payload(&walker, &walked));
                }
                note_keys(&mut newest, &walked)
                    .map_err(|error| SegmentError::corrupt(walker.path(), walked.position, error.to_string()))?;
            }
        }
        Ok((newest, facts[plan.dirty.end - 1].end))
    }

    /// Writes anew all segments with records below the end of the pass, oldest first.
    async fn rewrite_below(
        &self,
        closed: &[Rc<Segment>],
        facts: &[CompactionFacts],
        config: &LogConfig,
        sieve: &Sieve<'_>,
    ) -> Result<CompactionReport, SegmentError> {
        let count = facts.partition_point(|segment| segment.base < sieve.below);
        let sizes: Vec<u64> = facts[..count].iter().map(|segment| segment.bytes).collect();
        let mut report = CompactionReport::default();
        let mut clean_bytes = 0;
        for group in plan::merge_groups(&sizes, config.segment_bytes) {
            let before: u64 = sizes[group.clone()].iter().sum();
            let Some(rewritten) = self.rewrite_group(&closed[group.clone()], &facts[group.clone()], sieve).await?
            else {
                clean_bytes += before;
                continue;
            };
            let bytes = rewritten.summary.bytes;
            let replaced = self.put_in_place(&closed[group.clone()], rewritten).await;
            if replaced.is_err() {
                // Which names there are is not known, whatever the reason.
                self.state.borrow_mut().failed = true;
            }
            if !self.fail_on_error(replaced)? {
                break;
            }
            clean_bytes += bytes;
            report.segments = (report.segments.0 + group.len() as u64, report.segments.1 + 1);
            report.bytes = (report.bytes.0 + before, report.bytes.1 + bytes);
        }
        self.state.borrow_mut().clean_bytes = clean_bytes;
        Ok(report)
    }

    /// Writes the new file for neighbouring segments. `None` if it would be the same as the only old one.
    async fn rewrite_group(
        &self,
        group: &[Rc<Segment>],
        facts: &[CompactionFacts],
        sieve: &Sieve<'_>,
    ) -> Result<Option<Rewritten>, SegmentError> {
        let was_clean = facts.iter().all(|segment| segment.cleaned_below >= segment.end);
        if group.len() == 1 && was_clean && !self.would_change(&group[0], &facts[0], sieve).await? {
            return Ok(None);
        }
        let temporary = self.path_of(&group[0].name.temporary());
        let written = self.write_group(group, facts, sieve, &temporary).await;
        if written.is_err() {
            remove_file(&temporary).await?;
        }
        written.map(Some)
    }

    async fn would_change(
        &self,
        segment: &Rc<Segment>,
        facts: &CompactionFacts,
        sieve: &Sieve<'_>,
    ) -> Result<bool, SegmentError> {
        let source = self.closed_source(segment, facts.end, Seek::Start).await?;
        let mut walker = self.walk(source, IoClass::Background, self.shard.limits.read_bytes.1).await?;
        while let Some(walked) = walker.next().await? {
            if !walked.header.payload_ok(&walked.payload) {
                return Err(bad_payload(&walker, &walked));
            }
            if sift(sieve, &walked, walker.path())? != Sieved::Whole {
                return Ok(true);
            }
            self.pause().await?;
        }
        Ok(false)
    }

    /// Lets others run; ends the pass when the log is being removed or closed, which waits for it.
    async fn pause(&self) -> Result<(), SegmentError> {
        ailurus_rt::yield_if_needed().await;
        match self.gate.is_closed() {
            true => Err(SegmentError::Offline { path: self.dir.clone() }),
            false => Ok(()),
        }
    }

    async fn write_group(
        &self,
        group: &[Rc<Segment>],
        facts: &[CompactionFacts],
        sieve: &Sieve<'_>,
        temporary: &Path,
    ) -> Result<Rewritten, SegmentError> {
        let (header, end) = self.header_of(group, facts, sieve).await?;
        let io = |doing| SegmentError::io(doing, temporary);
        let file = self.shard.create_unlisted(temporary).await.map_err(io("create"))?;
        let expected = facts.iter().map(|segment| segment.bytes).sum();
        let mut writer = BlockWriter::new(0, &[], expected, self.shard.limits.write_bytes, IoClass::Background);
        writer.put(&header.encode());
        let (mut summary, mut index) = (Summary::of_empty(&header), self.new_index());
        for (segment, facts) in group.iter().zip(facts) {
            let source = self.closed_source(segment, facts.end, Seek::Start).await?;
            let mut walker = self.walk(source, IoClass::Background, self.shard.limits.read_bytes.1).await?;
            while let Some(walked) = walker.next().await? {
                if !walked.header.payload_ok(&walked.payload) {
                    return Err(bad_payload(&walker, &walked));
                }
                let sieved = sift(sieve, &walked, walker.path())?;
                if let Some(frame) = frame_of(walked, sieved) {
                    let header = frame.header();
                    index.note(&header, summary.bytes, summary.max_timestamp);
                    summary.push(&header);
                    frame.encode(summary.seal, |piece| writer.put(piece));
                    writer.write_full(&file).await.map_err(io("write"))?;
                }
                self.pause().await?;
            }
        }
        writer.finish(&file).await.map_err(io("write"))?;
        file.set_len(summary.bytes).await.map_err(io("cut"))?;
        file.sync_data(IoClass::Background).await.map_err(io("flush"))?;
        summary.end = end;
        Ok(Rewritten { temporary: temporary.to_owned(), file, name: group[0].name, end: end.offset, summary, index })
    }

    async fn header_of(
        &self,
        group: &[Rc<Segment>],
        facts: &[CompactionFacts],
        sieve: &Sieve<'_>,
    ) -> Result<(FileHeader, crate::segment::Position), SegmentError> {
        let base = self.summary(&group[0]).await?.base;
        let end = self.summary(&group[group.len() - 1]).await?.end;
        let header = FileHeader {
            seal: Seal { group: self.group, salt: ailurus_rt::random_u64() },
            base,
            created_ms: facts.iter().map(|segment| segment.created_ms).min().unwrap_or_default(),
            // Segments that were clean before and lie above the pass do not occur: dirty ones lie between.
            cleaned_below: end.offset.min(sieve.below),
            end: Some(end),
        };
        Ok((header, end))
    }

    /// Puts the new file in the place of the old ones; false if retention has taken them meanwhile.
    async fn put_in_place(&self, old: &[Rc<Segment>], new: Rewritten) -> Result<bool, SegmentError> {
        let _lock = self.lock().await?;
        let Some(range) = self.places_of(old) else {
            remove_file(&new.temporary).await?;
            return Ok(false);
        };
        let merged = self.path_of(&new.name.merged(new.end));
        rename(&new.temporary, &merged).await?;
        self.sync_names().await?;
        let segment = self.adopt(range, old, &new, merged.clone());
        for old in old {
            self.shard.forget(old.id);
            if old.name != new.name {
                self.remove_file(&old.name.log()).await?;
            }
            self.remove_file(&old.name.index()).await?;
        }
        // The last name that tells of the range may only go when no old file can come back.
        self.sync_names().await?;
        let path = self.path_of(&new.name.log());
        rename(&merged, &path).await?;
        segment.path.replace(path);
        segment.pinned.replace(None);
        self.sync_names().await?;
        self.write_sidecar(new.name, &new.summary, &new.index).await;
        Ok(true)
    }

    /// Makes names durable of which some are changed and some are not yet. If no file handle is left for that, it gives up some
    /// that the shard keeps and waits, unless the log is being closed: whoever opens it next finishes.
    async fn sync_names(&self) -> Result<(), SegmentError> {
        loop {
            match self.sync_dir().await {
                Err(SegmentError::NoHandles { .. }) if !self.gate.is_closed() => {
                    self.shard.close_oldest();
                    ailurus_rt::sleep(HANDLE_RETRY).await;
                }
                other => return other,
            }
        }
    }

    /// Where in the list the segments are, if they are all still there.
    fn places_of(&self, old: &[Rc<Segment>]) -> Option<Range<usize>> {
        let state = self.state.borrow();
        let first = state.closed.iter().position(|segment| segment.id == old[0].id)?;
        let range = first..first + old.len();
        let there = state.closed.get(range.clone())?;
        there.iter().zip(old).all(|(there, old)| there.id == old.id).then_some(range)
    }

    fn adopt(&self, range: Range<usize>, old: &[Rc<Segment>], new: &Rewritten, path: PathBuf) -> Rc<Segment> {
        let segment = Rc::new(Segment {
            id: self.shard.new_id(),
            name: new.name,
            path: path.into(),
            pinned: Some(new.file.clone()).into(),
            bytes: new.summary.bytes,
            summary: Some(new.summary).into(),
        });
        self.shard.keep(segment.id, new.file.clone());
        let index = Rc::new(new.index.clone());
        self.shard.indexes.borrow_mut().put(segment.id, index.clone(), index.memory() as u64);
        let mut state = self.state.borrow_mut();
        state.closed.splice(range, [segment.clone()]);
        state.closed_changed();
        state.generation += 1;
        self.shard.cache.borrow_mut().forget(self.group, old[0].name.base, new.end);
        self.readers.forget_cursors();
        segment
    }
}

async fn rename(from: &Path, to: &Path) -> Result<(), SegmentError> {
    fs::rename(from, to).await.map_err(SegmentError::io("rename", from))
}

fn note_keys(newest: &mut KeyMap, walked: &Walked) -> Result<(), ailurus_record::RecordError> {
    let Some(batch) = walked.header.batch.filter(|batch| !batch.is_control() && !batch.is_transactional()) else {
        return Ok(());
    };
    debug_assert!(batch.records_count >= 0);
    for record in records(&walked.payload, &Limits::STORED)? {
        let record = record?;
        if let Some(key) = &record.key {
            newest.note(key, record.offset);
        }
    }
    Ok(())
}

fn sift(sieve: &Sieve<'_>, walked: &Walked, path: &Path) -> Result<Sieved, SegmentError> {
    match &walked.header.batch {
        Some(batch) => sieve
            .sift(batch, &walked.payload)
            .map_err(|error| SegmentError::corrupt(path, walked.position, error.to_string())),
        None => Ok(Sieved::Whole),
    }
}

fn frame_of(walked: Walked, sieved: Sieved) -> Option<Frame> {
    let Walked { header, payload, .. } = walked;
    let body = match sieved {
        Sieved::Whole => header.body(payload),
        Sieved::Part(part) => Body::Batch(part),
        Sieved::Gone => return None,
    };
    Some(Frame { term: header.term, index: header.index, body })
}
