//! The figures, a module each.

mod commits;
mod crossing;
mod first_ack;
mod flushes;
mod idle;
mod restart;
mod waiting;

use crate::Context;
use crate::report::Row;

/// One thing that is measured.
pub(crate) struct Figure {
    /// How it is called on the command line.
    pub(crate) name: &'static str,
    /// What it shows, in a line.
    pub(crate) about: &'static str,
    /// Measures; the error says what went wrong, not that a goal was missed.
    pub(crate) measure: fn(&Context) -> Result<Vec<Row>, String>,
}

/// All of them, the quick ones first.
pub(crate) const ALL: [Figure; 7] = [
    Figure { name: "crossing", about: "a call to another shard and back, both awake", measure: crossing::measure },
    Figure {
        name: "first-ack",
        about: "from exec to the first acknowledged produce on an empty directory, topic creation included",
        measure: first_ack::measure,
    },
    Figure {
        name: "flushes",
        about: "journal flushes for 1,000 partitions x 4 KiB, acks=all, from franz-go",
        measure: flushes::measure,
    },
    Figure {
        name: "waiting",
        about: "how long after it was sent a waiting consumer has a record, at 1,000 records/s, flushed",
        measure: waiting::measure,
    },
    Figure {
        name: "commits",
        about: "what loading a group reads after 1,000,000 commits of 1,000 keys and kill -9",
        measure: commits::measure,
    },
    Figure {
        name: "idle",
        about: "memory and CPU of an idle broker with 1,000 partitions that were each written once",
        measure: idle::measure,
    },
    Figure {
        name: "restart",
        about: "restart after kill -9 with 1,000 partitions and 10 GB",
        measure: restart::measure,
    },
];

/// The figure of that name.
pub(crate) fn named(name: &str) -> Result<&'static Figure, String> {
    ALL.iter().find(|figure| figure.name == name).ok_or(format!("no figure {name}; bench/run --list names them"))
}

/// The value below which `share` of these lie. Sorts.
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
