//! How far a log has come.

use ailurus_model::Index;

/// How far a log has come. Each is the last index that has the property; one before the log start if none has.
///
/// Always: `durable <= written <= appended` and `durable <= committable <= appended`. Only what is `committable` counts
/// towards a quorum: what is durable, and with `write.caching` also what is still in memory. A suffix truncation raises
/// `generation`: what was promised about indexes of an older generation is void.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frontiers {
    /// Flushed: survives the loss of power.
    pub durable: Index,
    /// The journal write has returned.
    pub written: Index,
    /// May be committed: durable, unless [`Frontiers::on_cached`] said so before it was.
    pub committable: Index,
    /// In the tail and on its way to the journal.
    pub appended: Index,
    /// How many suffix truncations there have been since the log was opened.
    pub generation: u32,
}

impl Frontiers {
    /// Those of a log in which everything up to `last` has been read back and flushed.
    pub fn all_at(last: Index) -> Self {
        Frontiers { durable: last, written: last, committable: last, appended: last, generation: 0 }
    }

    /// An entry ending at `last` is in the tail.
    pub fn on_appended(&mut self, last: Index) {
        assert!(last > self.appended, "appended {} does not rise to {last}", self.appended);
        self.appended = last;
    }

    /// All that is appended may be committed from memory: the log caches writes.
    pub fn on_cached(&mut self) {
        self.committable = self.appended;
    }

    /// A journal write that was begun in `generation` has returned. One of an older generation says nothing.
    pub fn on_written(&mut self, generation: u32, upto: Index) {
        if generation != self.generation {
            return;
        }
        assert!(upto <= self.appended, "the disk reported {upto}, but only {} was appended", self.appended);
        self.written = self.written.max(upto);
    }

    /// A flush that was begun in `generation` has returned. One of an older generation says nothing (S4).
    pub fn on_flushed(&mut self, generation: u32, upto: Index) {
        if generation != self.generation {
            return;
        }
        assert!(upto <= self.written, "the disk reported {upto} flushed, but only {} was written", self.written);
        self.durable = self.durable.max(upto);
        self.committable = self.committable.max(upto);
    }

    /// The entries after `last` are cut off.
    pub fn on_truncated(&mut self, last: Index) {
        assert!(last <= self.appended, "cannot cut behind the end {} at {last}", self.appended);
        self.appended = last;
        self.written = self.written.min(last);
        self.durable = self.durable.min(last);
        self.committable = self.committable.min(last);
        self.generation += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_that_a_truncation_overtook_says_nothing() {
        let mut frontiers = Frontiers::all_at(Index(-1));
        frontiers.on_appended(Index(9));
        frontiers.on_written(0, Index(9));
        frontiers.on_truncated(Index(4));
        frontiers.on_appended(Index(12));
        frontiers.on_written(0, Index(9));
        frontiers.on_flushed(0, Index(9));
        let none = Index(-1);
        let (written, appended) = (Index(4), Index(12));
        assert_eq!(frontiers, Frontiers { durable: none, written, committable: none, appended, generation: 1 });
        frontiers.on_written(1, Index(12));
        frontiers.on_flushed(1, Index(12));
        assert_eq!((frontiers.durable, frontiers.committable), (Index(12), Index(12)));
    }

    #[test]
    fn what_is_cached_is_committable_before_it_is_durable() {
        let mut frontiers = Frontiers::all_at(Index(-1));
        frontiers.on_appended(Index(3));
        assert_eq!(frontiers.committable, Index(-1));
        frontiers.on_cached();
        frontiers.on_appended(Index(7));
        assert_eq!((frontiers.durable, frontiers.committable), (Index(-1), Index(3)));
        frontiers.on_written(0, Index(1));
        frontiers.on_flushed(0, Index(1));
        assert_eq!((frontiers.durable, frontiers.committable), (Index(1), Index(3)), "it never falls");
        frontiers.on_truncated(Index(2));
        assert_eq!((frontiers.durable, frontiers.committable), (Index(1), Index(2)));
    }

    #[test]
    #[should_panic(expected = "only -1 was written")]
    fn nothing_is_flushed_before_it_is_written() {
        let mut frontiers = Frontiers::all_at(Index(-1));
        frontiers.on_appended(Index(3));
        frontiers.on_flushed(0, Index(3));
    }
}
