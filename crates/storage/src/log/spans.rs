//! In which journal files the undrained entries of a log lie.
//!
//! Always: the first span that reaches an entry names a generation that is at most that of a file which holds it. So a
//! file that no span and no checkpoint names holds nothing that is needed.

use ailurus_model::Index;

/// See the module's head. Spans rise by index.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<(u64, Index)>,
}

impl Spans {
    /// Entries up to `last` may lie in any file: nothing is known after a restart.
    pub(crate) fn anywhere(last: Index) -> Self {
        Spans { spans: vec![(0, last)] }
    }

    /// A commit in the file of `generation` is durable; entries up to `upto` are in it or in earlier ones.
    pub(crate) fn on_durable(&mut self, generation: u64, upto: Index) {
        match self.spans.last_mut() {
            Some((_, last)) if *last >= upto => {}
            Some((held, last)) if *held == generation => *last = upto,
            _ => self.spans.push((generation, upto)),
        }
    }

    /// The commit in the file of `generation` holds again all entries before `end` from files up to `from`.
    pub(crate) fn on_carried(&mut self, generation: u64, from: u64, end: Index) {
        let reach =
            self.spans.iter().rev().find(|(held, last)| *held <= from && last.next() <= end).map(|(_, last)| *last);
        let Some(reach) = reach else { return };
        self.spans.retain(|(_, last)| *last > reach);
        self.spans.insert(0, (generation, reach));
    }

    /// Entries before `drained` are in segments, durably so.
    pub(crate) fn on_drained(&mut self, drained: Index) {
        self.spans.retain(|(_, last)| *last >= drained);
    }

    /// Entries from `to` on are cut off.
    pub(crate) fn on_truncated(&mut self, to: Index) {
        let before = Index(to.0 - 1);
        let kept = self.spans.partition_point(|(_, last)| *last < before);
        self.spans.truncate(kept + 1);
        if let Some((_, last)) = self.spans.get_mut(kept) {
            *last = (*last).min(before);
        }
    }

    /// The last entry that may lie in a file of up to `generation`.
    pub(crate) fn reach(&self, generation: u64) -> Option<Index> {
        self.spans.iter().rev().find(|(held, _)| *held <= generation).map(|(_, last)| *last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_follow_commits_drains_carries_and_cuts() {
        let mut spans = Spans::default();
        spans.on_durable(1, Index(4));
        spans.on_durable(1, Index(9));
        spans.on_durable(2, Index(9));
        spans.on_durable(2, Index(12));
        spans.on_durable(3, Index(20));
        assert_eq!(spans.spans, [(1, Index(9)), (2, Index(12)), (3, Index(20))]);
        assert_eq!((spans.reach(0), spans.reach(1), spans.reach(7)), (None, Some(Index(9)), Some(Index(20))));
        spans.on_carried(4, 1, Index(10));
        assert_eq!(spans.spans, [(4, Index(9)), (2, Index(12)), (3, Index(20))]);
        assert_eq!(
            spans.reach(2),
            Some(Index(12)),
            "what lies before it counts as lying there: too careful, never too bold"
        );
        spans.on_carried(4, 2, Index(13));
        assert_eq!(spans.spans, [(4, Index(12)), (3, Index(20))]);
        spans.on_truncated(Index(15));
        assert_eq!(spans.spans, [(4, Index(12)), (3, Index(14))]);
        spans.on_drained(Index(13));
        assert_eq!(spans.spans, [(3, Index(14))]);
        spans.on_truncated(Index(0));
        spans.on_drained(Index(0));
        assert_eq!(spans.spans, []);
    }
}
