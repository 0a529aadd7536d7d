//! What is looked at from time to time: free space, and what may go from each log.

use std::rc::Rc;

use ailurus_rt as rt;

use crate::core::Core;
use crate::storage::Storage;

/// Refuses clients' appends while free space is below `storage.min.free.bytes`, and takes them again by itself.
///
/// What was accepted and still has to find its place in a segment, and the journal's next file, count as used. Looks again
/// whenever files turn over, because a fast disk fills faster than any interval.
pub(crate) async fn watch_space(core: Rc<Core>) {
    loop {
        let bell = core.journal.turned().notified();
        let short = match rt::fs::free_space(&core.config.dir).await {
            Ok(free) => free < core.config.min_free_bytes + core.tail_bytes() + core.journal.unprepared_bytes(),
            Err(error) => {
                tracing::warn!(%error, "free space could not be learnt");
                false
            }
        };
        core.set_full(short || core.journal.out_of_space());
        let _ = rt::timeout(core.config.housekeeping_interval, bell).await;
    }
}

/// Retention, overdue segments and files before the log start, log by log.
pub(crate) async fn clean(storage: Rc<Storage>) {
    loop {
        rt::sleep_coarse(storage.core().config.clean_interval).await;
        storage.clear_away_all().await;
        for log in storage.logs() {
            if let Err(error) = log.clean(rt::unix_ms()).await {
                tracing::warn!(group = %log.id().group, topic = %log.id().topic, %error, "a log could not be cleaned");
            }
            rt::yield_if_needed().await;
        }
    }
}
