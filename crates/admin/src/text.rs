//! Metrics as text: the OpenMetrics exposition, through `prometheus-client`.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::metric::{Family, Kind, Number, Sample, merge};

/// The content type of what [`encode`] gives.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The exposition of these families, ended by `# EOF`. Families of one name are merged.
pub fn encode(families: Vec<Family>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Gathered(merge(families))));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("writing into a string does not fail");
    out
}

#[derive(Debug)]
struct Gathered(Vec<Family>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            // The encoder appends `_total` to counters, as the format demands.
            let name = family.name.strip_suffix("_total").unwrap_or(family.name);
            let mut metric = encoder.encode_descriptor(name, family.help, None, kind(family.kind))?;
            for sample in &family.samples {
                encode_sample(&mut metric, sample)?;
            }
        }
        Ok(())
    }
}

fn kind(kind: Kind) -> MetricType {
    match kind {
        Kind::Counter => MetricType::Counter,
        Kind::Gauge => MetricType::Gauge,
        Kind::Histogram => MetricType::Histogram,
    }
}

fn encode_sample(metric: &mut MetricEncoder<'_>, sample: &Sample) -> fmt::Result {
    if sample.labels.is_empty() {
        encode_number(metric, &sample.number)
    } else {
        encode_number(&mut metric.encode_family(&sample.labels)?, &sample.number)
    }
}

fn encode_number(encoder: &mut MetricEncoder<'_>, number: &Number) -> fmt::Result {
    match number {
        Number::Count(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
        Number::Amount(amount) => encoder.encode_counter::<NoLabelSet, _, u64>(amount, None),
        Number::Level(level) => encoder.encode_gauge(level),
        Number::Spread(spread) => {
            let mut buckets = spread.buckets.clone();
            buckets.push((f64::INFINITY, spread.above));
            encoder.encode_histogram::<NoLabelSet>(spread.sum, spread.count(), &buckets, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Histogram;

    #[test]
    fn families_of_all_kinds_and_shards_become_one_exposition() {
        let spread = Histogram { buckets: vec![(0.001, 3), (0.01, 1)], above: 2, sum: 1.5 };
        let families = vec![
            Family::counter("ailurus_journal_flushes_total", "Flushes of the shard journal.")
                .count(&[("shard", &0)], 7),
            Family::counter("process_cpu_seconds_total", "CPU time.").amount(&[], 1.25),
            Family::gauge("kafka_server_replicamanager_partitioncount", "Partitions on this broker.").level(&[], 12.0),
            Family::histogram("ailurus_flush_seconds", "Time of a flush.").spread(&[("shard", &1)], spread),
            Family::counter("ailurus_journal_flushes_total", "Flushes of the shard journal.")
                .count(&[("shard", &1)], 9),
        ];
        let expected = "\
# HELP ailurus_flush_seconds Time of a flush.
# TYPE ailurus_flush_seconds histogram
ailurus_flush_seconds_sum{shard=\"1\"} 1.5
ailurus_flush_seconds_count{shard=\"1\"} 6
ailurus_flush_seconds_bucket{le=\"0.001\",shard=\"1\"} 3
ailurus_flush_seconds_bucket{le=\"0.01\",shard=\"1\"} 4
ailurus_flush_seconds_bucket{le=\"+Inf\",shard=\"1\"} 6
# HELP ailurus_journal_flushes Flushes of the shard journal.
# TYPE ailurus_journal_flushes counter
ailurus_journal_flushes_total{shard=\"0\"} 7
ailurus_journal_flushes_total{shard=\"1\"} 9
# HELP kafka_server_replicamanager_partitioncount Partitions on this broker.
# TYPE kafka_server_replicamanager_partitioncount gauge
kafka_server_replicamanager_partitioncount 12.0
# HELP process_cpu_seconds CPU time.
# TYPE process_cpu_seconds counter
process_cpu_seconds_total 1.25
# EOF
";
        assert_eq!(encode(families), expected);
    }

    #[test]
    fn label_values_are_escaped() {
        let out = encode(vec![Family::counter("x_total", "X").count(&[("topic", &"a\"b\\c\nd")], 1)]);
        assert!(out.contains(r#"x_total{topic="a\"b\\c\nd"} 1"#), "{out}");
    }
}
