//! What is looked at from time to time: free space, what may go from each log, what compaction makes smaller.

use std::cmp::Reverse;
use std::rc::Rc;

use ailurus_rt as rt;

use crate::Log;
use crate::core::Core;
use crate::storage::Storage;

/// Refuses clients' appends while free space is below `storage.min.free.bytes`, and takes them again by itself.
///
/// What was accepted and still has to find its place in a segment, and the journal's next file, count as used. All shards
/// see the same space, so each promises at most its share of it. Looks again whenever files turn over, because a fast disk
/// fills faster than any interval.
pub(crate) async fn watch_space(core: Rc<Core>) {
    loop {
        let bell = core.journal.turned().notified();
        let short = match rt::fs::free_space(&core.config.dir).await {
            Ok(free) => is_short(&core, free),
            Err(error) => {
                tracing::warn!(%error, "free space could not be learnt");
                false
            }
        };
        core.set_full(short || core.journal.out_of_space());
        let _ = rt::timeout(core.config.housekeeping_interval, bell).await;
    }
}

fn is_short(core: &Core, free: u64) -> bool {
    let Some(left) = free.checked_sub(core.config.min_free_bytes) else { return true };
    left / u64::from(core.shards) < core.tail_bytes() + core.journal.unprepared_bytes()
}

/// Retention, overdue segments and files before the log start, log by log; directories that a removal left behind.
pub(crate) async fn clean(storage: Rc<Storage>) {
    loop {
        rt::sleep_coarse(storage.core().config.clean_interval).await;
        storage.clear_away_all().await;
        for log in storage.logs() {
            told(&log, log.clean(rt::unix_ms()).await);
            rt::yield_if_needed().await;
        }
    }
}

/// Compaction, the log that is dirtiest by share first. One pass of each at a time, so that none waits for all the passes
/// of a large one; a task of its own, so that retention waits for none.
pub(crate) async fn compact(storage: Rc<Storage>) {
    let mut worked = false;
    loop {
        if !worked {
            rt::sleep_coarse(storage.core().config.clean_interval).await;
        }
        worked = false;
        let mut logs: Vec<(Reverse<u64>, Rc<Log>)> =
            storage.logs().into_iter().map(|log| (Reverse(log.dirty_permille()), log)).collect();
        logs.retain(|(dirty, _)| dirty.0 > 0);
        logs.sort_by_key(|(dirty, _)| *dirty);
        for (_, log) in logs {
            worked |= told(&log, log.compact().await).unwrap_or(false);
            rt::yield_if_needed().await;
        }
    }
}

/// Compacts logs that are loaded whole as soon as it pays, rather than at the next look: how long a load takes must not depend
/// on how much was written since. (It may wait for one pass of another log: the key maps of two are not in the budget.)
pub(crate) async fn compact_loaded_whole(storage: Rc<Storage>) {
    let core = storage.core().clone();
    loop {
        let bell = core.compact.notified();
        let logs: Vec<_> = storage.logs().into_iter().filter(|log| log.drained_whole.take()).collect();
        for log in &logs {
            while told(log, log.compact_if_it_pays(rt::unix_ms()).await).unwrap_or(false) {
                rt::yield_if_needed().await;
            }
        }
        if logs.is_empty() {
            bell.await;
        }
    }
}

/// Says what went wrong with one log; the others go on.
fn told<T>(log: &Log, result: Result<T, crate::SegmentError>) -> Option<T> {
    result
        .inspect_err(|error| {
            tracing::warn!(group = %log.id().group, topic = %log.id().topic, %error, "a log could not be cleaned");
        })
        .ok()
}
