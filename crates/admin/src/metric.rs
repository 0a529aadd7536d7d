//! What a source of metrics gives: families of samples, as plain numbers.
//!
//! Names are Kafka's own where Kafka has one, written the way jmx_exporter commonly writes them
//! (`kafka_server_brokertopicmetrics_messagesin_total`), else start with `ailurus_`. A counter's name ends in `_total`.

use std::collections::BTreeMap;

/// One metric with all its label values.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The full name as Prometheus sees it.
    pub name: &'static str,
    /// One sentence for the `# HELP` line.
    pub help: &'static str,
    /// How the numbers may move.
    pub kind: Kind,
    /// The numbers, one for each set of label values.
    pub samples: Vec<Sample>,
}

/// How the numbers of a family may move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives. The name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// One number with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Label names and values, in the order they are written.
    pub labels: Vec<(&'static str, String)>,
    /// The number.
    pub number: Number,
}

/// A number of one of the kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// For [`Kind::Counter`].
    Count(u64),
    /// For [`Kind::Counter`] of what has fractions, such as seconds.
    Amount(f64),
    /// For [`Kind::Gauge`].
    Level(f64),
    /// For [`Kind::Histogram`].
    Spread(Histogram),
}

/// A distribution: how many observations were at most each bound, not counting those of the bound before.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Histogram {
    /// Upper bounds, rising, with the number of observations between the bound before (exclusive) and this one (inclusive).
    pub buckets: Vec<(f64, u64)>,
    /// Observations above the last bound.
    pub above: u64,
    /// Sum of all observations, in the unit that the family's name ends with.
    pub sum: f64,
}

impl Histogram {
    /// All observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, n)| n).sum::<u64>() + self.above
    }
}

impl Family {
    /// An empty family of counters. `name` ends in `_total`.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        assert!(name.ends_with("_total"), "the counter {name} must end in _total");
        Family { name, help, kind: Kind::Counter, samples: Vec::new() }
    }

    /// An empty family of gauges.
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Gauge, samples: Vec::new() }
    }

    /// An empty family of histograms.
    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Family { name, help, kind: Kind::Histogram, samples: Vec::new() }
    }

    /// Adds a counter's number.
    pub fn count(mut self, labels: &[(&'static str, &dyn ToString)], count: u64) -> Self {
        assert_eq!(self.kind, Kind::Counter, "{}", self.name);
        self.samples.push(Sample { labels: owned(labels), number: Number::Count(count) });
        self
    }

    /// Adds the number of a counter of what has fractions.
    pub fn amount(mut self, labels: &[(&'static str, &dyn ToString)], amount: f64) -> Self {
        assert_eq!(self.kind, Kind::Counter, "{}", self.name);
        self.samples.push(Sample { labels: owned(labels), number: Number::Amount(amount) });
        self
    }

    /// Adds a gauge's number.
    pub fn level(mut self, labels: &[(&'static str, &dyn ToString)], level: f64) -> Self {
        assert_eq!(self.kind, Kind::Gauge, "{}", self.name);
        self.samples.push(Sample { labels: owned(labels), number: Number::Level(level) });
        self
    }

    /// Adds a distribution.
    pub fn spread(mut self, labels: &[(&'static str, &dyn ToString)], spread: Histogram) -> Self {
        assert_eq!(self.kind, Kind::Histogram, "{}", self.name);
        self.samples.push(Sample { labels: owned(labels), number: Number::Spread(spread) });
        self
    }
}

fn owned(labels: &[(&'static str, &dyn ToString)]) -> Vec<(&'static str, String)> {
    labels.iter().map(|(name, value)| (*name, value.to_string())).collect()
}

/// Families of the same name from several shards or sources become one, as the text format demands; sorted by name.
pub fn merge(families: Vec<Family>) -> Vec<Family> {
    let mut by_name: BTreeMap<&'static str, Family> = BTreeMap::new();
    for family in families {
        match by_name.get_mut(family.name) {
            Some(known) => {
                assert_eq!(known.kind, family.kind, "two sources disagree about what {} is", family.name);
                known.samples.extend(family.samples);
            }
            None => {
                by_name.insert(family.name, family);
            }
        }
    }
    by_name.into_values().collect()
}
