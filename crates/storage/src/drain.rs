//! Moves tails into segments and sets journal files free, in the background.
//!
//! Flushes follow bytes and time, never the number of logs: a few logs are flushed one by one, many under one flush of
//! the file system.

use std::rc::Rc;
use std::time::Duration;

use ailurus_rt as rt;

use crate::Log;
use crate::core::Core;
use crate::journal::{disk_failed, is_out_of_handles};
use crate::log::keep::Drained;
use crate::segment::{PendingFlush, ROLLS_MAX};
use crate::storage::Storage;

/// From this many logs on, one flush of the file system is cheaper than one of each log.
const FLUSH_EACH_MAX: usize = 3;
/// How often the drain looks at tails that are to be drained as soon as they may be.
const SOON: Duration = Duration::from_millis(50);
/// How long the drain waits for room on the disk, or for a file handle.
const FULL_RETRY: Duration = Duration::from_millis(200);

/// Runs until it is dropped. One task per shard.
pub(crate) async fn run(storage: Rc<Storage>) {
    let core = storage.core().clone();
    loop {
        let bell = core.journal.turned().notified();
        let logs = due(&core, &storage.logs());
        let mut worked = drain_together(&core, &logs).await;
        worked |= make_room(&storage).await;
        if worked {
            rt::yield_if_needed().await;
            continue;
        }
        // A tail that is quiet now is due later, one that is cached when it is flushed, and one that makes producers wait, or
        // soon will, when it is committed: all without a bell.
        let cached = || storage.logs().iter().any(|log| log.caches() && log.tail_cost() > 0);
        if core.tail_bytes() > 0 {
            let soon = core.is_pressed() || cached();
            let _ = rt::timeout(if soon { SOON } else { core.config.drain_idle / 2 }, bell).await;
        } else {
            bell.await;
        }
    }
}

/// The logs whose tails are large, quiet for long, or the largest while all together are too large.
fn due(core: &Core, logs: &[Rc<Log>]) -> Vec<Rc<Log>> {
    let (now, config) = (rt::now(), &core.config);
    let mut logs: Vec<(u64, &Rc<Log>)> =
        logs.iter().filter(|log| log.is_drainable()).map(|log| (log.tail_cost(), log)).collect();
    logs.sort_by_key(|(cost, log)| (std::cmp::Reverse(*cost), log.id().group));
    let mut excess = core.tail_bytes().saturating_sub(config.tail_bytes_max / 2);
    let mut due = Vec::new();
    for (cost, log) in logs {
        let quiet = now - log.last_append() >= config.drain_idle;
        if cost >= log.drain_bytes() || excess > 0 || quiet {
            excess = excess.saturating_sub(cost);
            due.push(log.clone());
        }
    }
    due
}

/// Drains these logs, with as few flushes as may be. False if nothing could be drained.
pub(crate) async fn drain_together(core: &Rc<Core>, logs: &[Rc<Log>]) -> bool {
    let (mut drained, mut rolls_left) = (Vec::new(), ROLLS_MAX);
    for log in logs {
        match log.drain(&mut rolls_left).await {
            Ok(Some(one)) => drained.push((one.log.segments.begin_flush(), one)),
            Ok(None) => {}
            Err(error) if error.is_passing() => {
                if error.is_full() {
                    core.set_full(true);
                }
                rt::sleep(FULL_RETRY).await;
                break;
            }
            // It is offline now, and said so.
            Err(_) => {}
        }
        rt::yield_if_needed().await;
    }
    if drained.is_empty() {
        return false;
    }
    core.count(|counts| {
        counts.logs += drained.len() as u64;
        counts.bytes += drained.iter().map(|(_, one)| one.bytes).sum::<u64>();
    });
    if drained.len() > FLUSH_EACH_MAX { flush_all(core, drained).await } else { flush_each(core, drained).await }
}

async fn flush_each(core: &Core, drained: Vec<(PendingFlush, Drained)>) -> bool {
    let mut finished = false;
    for (_, one) in drained {
        core.count(|counts| counts.flushes += 1);
        if let Ok(checkpoint) = one.log.flush_segments().await {
            one.log.finish_drain(checkpoint);
            finished = true;
        }
    }
    finished
}

async fn flush_all(core: &Core, drained: Vec<(PendingFlush, Drained)>) -> bool {
    if let Err(error) = rt::fs::sync_fs(&core.config.dir).await {
        // It opens a directory. Nothing was flushed and nothing is lost: the next round finds the same to do.
        if is_out_of_handles(&error) {
            tracing::warn!(%error, "what was drained could not be flushed, which is tried again");
            drop(drained);
            rt::sleep(FULL_RETRY).await;
            return false;
        }
        // It does not say whose bytes are lost, and the journal's are among those it covered: later flushes may pass
        // over them and report success.
        disk_failed("a flush of the file system", &core.config.dir, &error);
    }
    core.count(|counts| counts.fs_flushes += 1);
    for (pending, one) in drained {
        match one.log.segments.end_flush(pending) {
            Some(checkpoint) => one.log.finish_drain(checkpoint),
            // Compacted meanwhile: what was noted is void, so it asks for itself.
            None => {
                if let Ok(checkpoint) = one.log.flush_segments().await {
                    one.log.finish_drain(checkpoint);
                }
            }
        }
    }
    true
}

/// Sets the journal's oldest file free if it has to make way: what lives in it is drained or written again.
async fn make_room(storage: &Rc<Storage>) -> bool {
    let core = storage.core();
    let Some(oldest) = core.journal.wants_room() else { return false };
    let mut needing = storage.logs();
    needing.extend(storage.removing());
    needing.retain(|log| log.needs(oldest));
    let (small, large): (Vec<_>, Vec<_>) = needing.iter().cloned().partition(|log| is_small(core, log, oldest));
    drain_together(core, &large).await;
    core.journal.settled().await;
    for log in small.iter().chain(&large).filter(|log| log.needs(oldest)) {
        renew(core, log, oldest).await;
        rt::yield_if_needed().await;
    }
    core.journal.settled().await;
    if needing.iter().any(|log| log.needs(oldest)) {
        // Something moved meanwhile, or the disk is full: look again after a moment.
        rt::sleep(FULL_RETRY).await;
        return true;
    }
    core.journal.retire_before(oldest + 1);
    core.journal.nudge();
    core.journal.settled().await;
    true
}

/// Writes again what `log` has in files up to `oldest`: its checkpoint, and entries that are few or cannot be drained. Of
/// a removed one, that it was removed: the journal says so for as long as its directory may be there.
async fn renew(core: &Core, log: &Rc<Log>, oldest: u64) {
    if log.repeat_end() {
        return;
    }
    let _keeper = log.keeper.acquire(1).await;
    let carried = log.carry_forward(oldest);
    match log.checkpoint().await {
        Ok(()) => {}
        Err(_) if log.failed() => log.repeat_checkpoint(),
        Err(error) => tracing::warn!(%error, group = %log.id().group, "no checkpoint could be written"),
    }
    core.count(|counts| {
        counts.carried_bytes += carried;
        counts.checkpoints += 1;
    });
}

fn is_small(core: &Core, log: &Log, oldest: u64) -> bool {
    let reach = log.reach(oldest);
    !log.is_drainable() || reach.is_none_or(|reach| log.tail_cost_until(reach) <= core.config.carry_bytes_max)
}
