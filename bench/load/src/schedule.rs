//! When the records of one producer are due. Pure: no clock is read here.

use crate::clock::SECOND;

/// How fast records come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many per second of all producers together, each at its time.
    Open {
        /// Records per second.
        rate: u64,
    },
    /// As fast as librdkafka takes them.
    Closed,
}

/// The due times of producer `index` of `producers`: theirs together are evenly spaced, and they take turns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) pace: Pace,
    pub(crate) index: u64,
    pub(crate) producers: u64,
}

impl Schedule {
    /// Nanoseconds after the start at which this producer's record number `count` (from 0) is due; `None` if that is up
    /// to whoever hands it over.
    pub(crate) fn due(&self, count: u64) -> Option<u64> {
        match self.pace {
            Pace::Closed => None,
            Pace::Open { rate } => {
                let turn = u128::from(count) * u128::from(self.producers) + u128::from(self.index);
                Some((turn * u128::from(SECOND) / u128::from(rate)) as u64)
            }
        }
    }

    /// This producer's share of `records`.
    pub(crate) fn share(&self, records: u64) -> u64 {
        records / self.producers + u64::from(self.index < records % self.producers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedules(rate: u64, producers: u64) -> impl Iterator<Item = Schedule> {
        (0..producers).map(move |index| Schedule { pace: Pace::Open { rate }, index, producers })
    }

    #[test]
    fn together_they_are_evenly_spaced() {
        let mut dues: Vec<u64> =
            schedules(1_000, 3).flat_map(|one| (0..4).map(move |count| one.due(count).expect("open"))).collect();
        dues.sort_unstable();
        assert_eq!(dues, (0..12).map(|turn| turn * 1_000_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_rate_holds_for_hours() {
        let last = schedules(1_000_000, 1).next().and_then(|one| one.due(1_000_000 * 7_200));
        assert_eq!(last, Some(7_200 * SECOND));
    }

    #[test]
    fn shares_add_up() {
        let shares: Vec<u64> = schedules(1, 4).map(|one| one.share(10)).collect();
        assert_eq!(shares, [3, 3, 2, 2]);
    }
}
