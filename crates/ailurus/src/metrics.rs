//! What the broker counts, under the names that people look for.
//!
//! Every crate keeps plain numbers per shard. Here they are asked for through [`rt::Outside`] when somebody scrapes, and
//! named: as jmx_exporter commonly names Kafka's own, `ailurus_` for the rest. Topics are labels, partitions are not: a
//! scrape of a thousand partitions stays small.

use std::collections::BTreeMap;
use std::rc::Rc;

use ailurus_admin::{Family, Gather, Histogram, Source, Sources, Unanswered};
use ailurus_cluster::Cluster;
use ailurus_kafka::KafkaShard;
use ailurus_model::ShardId;
use ailurus_rt::{self as rt, Outside, ShardStats, Sharded};
use ailurus_storage::StorageStats;
use ailurus_wire::ApiKey;

/// The smallest bucket of a histogram of times: 2^10 ns, about a microsecond.
const BUCKET_FIRST: usize = 9;
/// Every second power of two, up to 2^34 ns, about 17 s.
const BUCKET_LAST: usize = 33;

/// In which `/proc` counts CPU time; fixed in the kernel's interface on all machines we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one shard says.
#[derive(Default)]
struct Shard {
    reactor: ShardStats,
    storage: StorageStats,
    /// By topic: partitions here, records, bytes and batches appended, bytes on disk.
    topics: BTreeMap<String, TopicCounts>,
    leaders: u64,
    view: View,
}

/// What the first shard knows of the whole cluster; each knows the same.
#[derive(Clone, Copy, Default)]
struct View {
    topics: u64,
    partitions: u64,
    without_leader: u64,
}

#[derive(Default)]
struct TopicCounts {
    partitions: u64,
    records: u64,
    bytes: u64,
    batches: u64,
    size: u64,
}

/// What the Kafka face of one shard says.
struct Face {
    requests: BTreeMap<ApiKey, rt::Histogram>,
    bytes_in: u64,
    bytes_fetched: u64,
    refused: u64,
    connections: u64,
    group_loaded_bytes: u64,
}

/// All sources, for the admin thread. Called on a shard.
pub(crate) fn sources(cluster: Sharded<Cluster>, kafka: Sharded<KafkaShard>) -> Sources {
    let outside = Outside::get();
    let (shards, faces, health) = (outside.clone(), outside.clone(), outside);
    let process: Source =
        Box::new(|| Box::pin(async { Ok(process_families(&proc_file("stat"), &proc_file("status"))) }));
    Sources {
        metrics: vec![
            ("process", process),
            (
                "shards",
                Box::new(move || gather(shards.clone(), cluster, async |part| ask_shard(&part).await, shard_families)),
            ),
            ("kafka", Box::new(move || gather(faces.clone(), kafka, async |part| ask_face(&part), face_families))),
        ],
        health: Box::new(move || gather(health.clone(), cluster, async |_| (), |answers| answers.len() as u16)),
    }
}

/// Asks every shard at once and makes one thing of the answers, which come in shard order.
fn gather<S: 'static, R: Send + 'static, T: Send + 'static>(
    outside: Outside,
    service: Sharded<S>,
    ask: impl AsyncFn(Rc<S>) -> R + Copy + Send + 'static,
    sum_up: fn(Vec<R>) -> T,
) -> Gather<T> {
    Box::pin(async move {
        let silent = |shard: u16, why: rt::Refused| Unanswered(format!("shard {shard} did not answer: {why}"));
        let mut calls = Vec::new();
        for shard in 0..outside.shard_count() {
            let call = outside.call(service, ShardId(shard), move |part| Box::pin(async move { ask(part).await }));
            calls.push((shard, call.map_err(|why| silent(shard, why))?));
        }
        let mut answers = Vec::new();
        for (shard, call) in calls {
            answers.push(call.await.map_err(|why| silent(shard, why))?);
        }
        Ok(sum_up(answers))
    })
}

async fn ask_shard(cluster: &Rc<Cluster>) -> Shard {
    let mut topics: BTreeMap<String, TopicCounts> = BTreeMap::new();
    let mut leaders = 0;
    for partition in cluster.partitions() {
        rt::yield_if_needed().await;
        let state = cluster.state();
        // Being deleted: no longer in the state, not yet closed.
        let Some(topic) = state.topic_by_id(partition.id().topic) else { continue };
        let counts = topics.entry(topic.name.to_string()).or_default();
        let stats = partition.stats();
        counts.partitions += 1;
        counts.records += stats.records_in;
        counts.bytes += stats.bytes_in;
        counts.batches += stats.batches_in;
        counts.size += partition.size_bytes();
        leaders += u64::from(partition.is_leader());
    }
    // Each shard would say the same of the cluster: one is enough.
    let view = if rt::this_shard() == ShardId(0) { view(cluster).await } else { View::default() };
    Shard { reactor: rt::stats(), storage: cluster.storage().stats(), topics, leaders, view }
}

async fn view(cluster: &Rc<Cluster>) -> View {
    let topics = cluster.state().topics().len() as u64;
    let partitions: Vec<_> =
        cluster.state().topics().flat_map(|topic| topic.iter()).map(|(partition, _)| partition).collect();
    let mut view = View { topics, partitions: partitions.len() as u64, without_leader: 0 };
    for partition in partitions {
        rt::yield_if_needed().await;
        view.without_leader += u64::from(cluster.leader(partition).is_none());
    }
    view
}

fn ask_face(kafka: &Rc<KafkaShard>) -> Face {
    let stats = kafka.stats();
    Face {
        requests: stats.requests(),
        bytes_in: stats.bytes_in.get(),
        bytes_fetched: stats.bytes_fetched.get(),
        refused: stats.refused_connections.get(),
        connections: kafka.connection_count() as u64,
        group_loaded_bytes: kafka.group_loaded_bytes(),
    }
}

fn face_families(faces: Vec<Face>) -> Vec<Family> {
    let mut requests: BTreeMap<ApiKey, rt::Histogram> = BTreeMap::new();
    for face in &faces {
        for (api, times) in &face.requests {
            requests.entry(*api).or_default().merge(times);
        }
    }
    let sum = |of: fn(&Face) -> u64| faces.iter().map(of).sum::<u64>();
    let mut count = Family::counter("kafka_network_requestmetrics_requests_total", "Requests answered, by API.");
    let mut time =
        Family::histogram("ailurus_request_seconds", "Time from a request read to its answer ready, by API.");
    for (api, times) in &requests {
        count = count.count(&[("request", api)], times.count);
        time = time.spread(&[("request", api)], seconds(times));
    }
    let bytes_in = sum(|face| face.bytes_in);
    let bytes_out = sum(|face| face.bytes_fetched);
    let connections =
        Family::gauge("kafka_server_socket_server_metrics_connection_count", "Connections of Kafka clients.");
    let loaded = Family::gauge(
        "ailurus_group_loaded_bytes",
        "Bytes of `__consumer_offsets` read to load the groups that are served now.",
    );
    vec![
        count,
        time,
        Family::counter("ailurus_request_bytes_total", "Bytes of requests, lengths included.").count(&[], bytes_in),
        Family::counter("kafka_server_brokertopicmetrics_bytesout_total", "Bytes of records fetched.")
            .count(&[], bytes_out),
        Family::counter("ailurus_connections_refused_total", "Connections closed because of what they sent.")
            .count(&[], sum(|face| face.refused)),
        connections.level(&[], sum(|face| face.connections) as f64),
        loaded.level(&[], sum(|face| face.group_loaded_bytes) as f64),
    ]
}

fn shard_families(shards: Vec<Shard>) -> Vec<Family> {
    let mut families = topic_families(&shards);
    families.extend(reactor_families(&shards));
    families.extend(disk_families(&shards));
    families.extend(storage_families(&shards));
    families
}

fn topic_families(shards: &[Shard]) -> Vec<Family> {
    let mut topics: BTreeMap<&str, TopicCounts> = BTreeMap::new();
    for (name, counts) in shards.iter().flat_map(|shard| &shard.topics) {
        let sum = topics.entry(name).or_default();
        sum.partitions += counts.partitions;
        sum.records += counts.records;
        sum.bytes += counts.bytes;
        sum.batches += counts.batches;
        sum.size += counts.size;
    }
    let mut messages =
        Family::counter("kafka_server_brokertopicmetrics_messagesin_total", "Records appended, by topic.");
    let mut bytes =
        Family::counter("kafka_server_brokertopicmetrics_bytesin_total", "Bytes of batches appended, by topic.");
    let mut batches = Family::counter("ailurus_topic_batches_in_total", "Batches appended, by topic.");
    let mut size = Family::gauge("kafka_log_log_size", "Bytes on disk, by topic.");
    for (topic, counts) in &topics {
        messages = messages.count(&[("topic", topic)], counts.records);
        bytes = bytes.count(&[("topic", topic)], counts.bytes);
        batches = batches.count(&[("topic", topic)], counts.batches);
        size = size.level(&[("topic", topic)], counts.size as f64);
    }
    let partitions: u64 = topics.values().map(|counts| counts.partitions).sum();
    let view = shards.first().map_or(View::default(), |shard| shard.view);
    let leaders: u64 = shards.iter().map(|shard| shard.leaders).sum();
    let gauge = |name, help, value: u64| Family::gauge(name, help).level(&[], value as f64);
    vec![
        messages,
        bytes,
        batches,
        size,
        gauge("kafka_server_replicamanager_partitioncount", "Partitions on this broker.", partitions),
        gauge("kafka_server_replicamanager_leadercount", "Partitions that this broker leads.", leaders),
        gauge("kafka_controller_kafkacontroller_globaltopiccount", "Topics of the cluster.", view.topics),
        gauge("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions of the cluster.", view.partitions),
        gauge(
            "kafka_controller_kafkacontroller_offlinepartitionscount",
            "Partitions of the cluster without a leader.",
            view.without_leader,
        ),
    ]
}

/// One counter per shard.
fn counters(shards: &[Shard], name: &'static str, help: &'static str, of: fn(&Shard) -> u64) -> Family {
    let numbered = shards.iter().enumerate();
    numbered.fold(Family::counter(name, help), |family, (shard, stats)| family.count(&[("shard", &shard)], of(stats)))
}

/// One counter of what has fractions per shard.
fn amounts(shards: &[Shard], name: &'static str, help: &'static str, of: fn(&Shard) -> f64) -> Family {
    let numbered = shards.iter().enumerate();
    numbered.fold(Family::counter(name, help), |family, (shard, stats)| family.amount(&[("shard", &shard)], of(stats)))
}

/// One gauge per shard.
fn gauges(shards: &[Shard], name: &'static str, help: &'static str, of: fn(&Shard) -> f64) -> Family {
    let numbered = shards.iter().enumerate();
    numbered.fold(Family::gauge(name, help), |family, (shard, stats)| family.level(&[("shard", &shard)], of(stats)))
}

fn reactor_families(shards: &[Shard]) -> Vec<Family> {
    let mut run =
        Family::counter("ailurus_group_run_seconds_total", "Seconds that tasks of a scheduling group have run.");
    let mut crossings = Family::counter("ailurus_crossings_total", "Calls to other shards, by lane.");
    for (shard, stats) in shards.iter().enumerate() {
        for group in rt::Group::ALL {
            let (_, nanoseconds) = stats.reactor.group(group);
            run = run.amount(&[("shard", &shard), ("group", &format!("{group:?}"))], nanoseconds as f64 / 1e9);
        }
        for (lane, calls) in ["kafka", "raft", "cluster", "admin"].iter().zip(stats.reactor.crossings) {
            crossings = crossings.count(&[("shard", &shard), ("lane", lane)], calls);
        }
    }
    vec![
        run,
        crossings,
        counters(shards, "ailurus_credit_waits_total", "Calls to other shards that waited for a credit.", |s| {
            s.reactor.credit_waits
        }),
        counters(shards, "ailurus_parks_total", "How often the shard slept.", |s| s.reactor.parks),
        amounts(shards, "ailurus_parked_seconds_total", "Seconds that the shard slept.", |s| {
            s.reactor.park_ns as f64 / 1e9
        }),
        counters(shards, "ailurus_spin_hits_total", "How often looking at the rings instead of sleeping paid.", |s| {
            s.reactor.spin_hits
        }),
        counters(shards, "ailurus_spin_misses_total", "How often looking at the rings did not pay.", |s| {
            s.reactor.spin_misses
        }),
        counters(shards, "ailurus_stalls_total", "Tasks that held the shard for too long.", |s| s.reactor.stalls),
        gauges(shards, "ailurus_stall_worst_seconds", "The longest time that a task held the shard.", |s| {
            s.reactor.stall_worst_ns as f64 / 1e9
        }),
        gauges(shards, "ailurus_tasks", "Tasks that have not ended.", |s| s.reactor.tasks_now as f64),
        counters(shards, "ailurus_connections_accepted_total", "Connections accepted.", |s| s.reactor.accepted),
        counters(shards, "ailurus_accepts_failed_total", "Accepts that failed and were tried again.", |s| {
            s.reactor.accepts_failed
        }),
        gauges(shards, "ailurus_connections", "Connections, clients' and others'.", |s| {
            s.reactor.connections_now as f64
        }),
        counters(shards, "ailurus_network_received_bytes_total", "Bytes received.", |s| s.reactor.bytes_received),
        counters(shards, "ailurus_network_sent_bytes_total", "Bytes sent.", |s| s.reactor.bytes_sent),
        gauges(shards, "ailurus_memory_free_bytes", "Request memory that nobody holds.", |s| {
            s.reactor.memory_free_now as f64
        }),
        gauges(shards, "ailurus_slab_kept_bytes", "Bytes that the buffer slab keeps.", |s| {
            s.reactor.slab_kept_now as f64
        }),
    ]
}

fn disk_families(shards: &[Shard]) -> Vec<Family> {
    let mut operations = Family::counter("ailurus_disk_operations_total", "Disk operations, by class and kind.");
    let mut bytes = Family::counter("ailurus_disk_bytes_total", "Bytes read and written, by class and kind.");
    let mut errors = Family::counter("ailurus_disk_errors_total", "Disk operations that failed, by class.");
    let mut depth = Family::gauge("ailurus_disk_queue_depth", "Disk operations under way or waiting, by class.");
    let mut time =
        Family::histogram("ailurus_disk_seconds", "How long disk operations took, by class and kind, of all shards.");
    for class in rt::IoClass::ALL {
        let name = class.name();
        let (mut reads, mut writes, mut flushes) = <(rt::Histogram, rt::Histogram, rt::Histogram)>::default();
        for (shard, stats) in shards.iter().enumerate() {
            let disk = stats.reactor.disk(class);
            for (kind, count) in [("read", disk.reads), ("write", disk.writes), ("flush", disk.flushes)] {
                operations = operations.count(&[("shard", &shard), ("class", &name), ("kind", &kind)], count);
            }
            for (kind, count) in [("read", disk.read_bytes), ("write", disk.write_bytes)] {
                bytes = bytes.count(&[("shard", &shard), ("class", &name), ("kind", &kind)], count);
            }
            errors = errors.count(&[("shard", &shard), ("class", &name)], disk.errors);
            depth = depth.level(&[("shard", &shard), ("class", &name)], disk.in_flight_now as f64);
            reads.merge(&disk.read_ns);
            writes.merge(&disk.write_ns);
            flushes.merge(&disk.flush_ns);
        }
        for (kind, times) in [("read", &reads), ("write", &writes), ("flush", &flushes)] {
            // Most classes never do most things.
            if times.count > 0 {
                time = time.spread(&[("class", &name), ("kind", &kind)], seconds(times));
            }
        }
    }
    vec![operations, bytes, errors, depth, time]
}

fn storage_families(shards: &[Shard]) -> Vec<Family> {
    vec![
        counters(shards, "ailurus_journal_commits_total", "Commits written to the journal.", |s| {
            s.storage.journal.commits
        }),
        counters(shards, "ailurus_journal_flushes_total", "Flushes of the journal.", |s| s.storage.journal.flushes),
        counters(shards, "ailurus_journal_entries_total", "Entries written to the journal.", |s| {
            s.storage.journal.entries
        }),
        counters(shards, "ailurus_journal_bytes_total", "Bytes written to the journal.", |s| s.storage.journal.bytes),
        counters(shards, "ailurus_journal_recycled_total", "Journal files that became free again.", |s| {
            s.storage.journal.recycled
        }),
        gauges(shards, "ailurus_journal_unflushed_bytes", "Bytes of entries that are not flushed.", |s| {
            s.storage.journal.unflushed_bytes as f64
        }),
        gauges(shards, "ailurus_journal_file_bytes", "Size of all journal files.", |s| {
            s.storage.journal.file_bytes as f64
        }),
        gauges(shards, "ailurus_journal_live_files", "Journal files that hold part of the journal.", |s| {
            s.storage.journal.live_files as f64
        }),
        counters(shards, "ailurus_drains_total", "How often a log was moved from the journal to its segment.", |s| {
            s.storage.drain.logs
        }),
        counters(shards, "ailurus_drained_bytes_total", "Bytes moved to segments.", |s| s.storage.drain.bytes),
        counters(shards, "ailurus_segment_flushes_total", "Flushes of single segments.", |s| s.storage.drain.flushes),
        counters(shards, "ailurus_filesystem_flushes_total", "Flushes of the whole file system for many logs.", |s| {
            s.storage.drain.fs_flushes
        }),
        counters(
            shards,
            "ailurus_carried_bytes_total",
            "Bytes of small tails written again at the journal's head.",
            |s| s.storage.drain.carried_bytes,
        ),
        counters(shards, "ailurus_cache_hits_total", "Reads that the batch cache answered.", |s| s.storage.cache.hits),
        counters(shards, "ailurus_cache_misses_total", "Reads that went to the disk.", |s| s.storage.cache.misses),
        gauges(shards, "ailurus_cache_bytes", "Bytes in the batch cache.", |s| s.storage.cache.bytes as f64),
        gauges(shards, "ailurus_tail_bytes", "Bytes of appends not yet moved to segments.", |s| {
            s.storage.tail_bytes as f64
        }),
        gauges(shards, "ailurus_logs", "Logs of this shard.", |s| s.storage.logs as f64),
        gauges(shards, "ailurus_logs_offline", "Logs whose files failed.", |s| s.storage.logs_offline as f64),
        gauges(shards, "ailurus_segment_handles", "Segment files that are open.", |s| s.storage.segment_handles as f64),
        gauges(shards, "ailurus_disk_full", "1 while appends are refused for lack of disk space.", |s| {
            s.storage.disk_full as f64
        }),
    ]
}

fn proc_file(name: &str) -> String {
    #[allow(clippy::disallowed_methods, reason = "on the admin thread; the kernel makes this file up in memory")]
    std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default()
}

/// What every Prometheus client library says of its process; absent where there is no `/proc`.
fn process_families(stat: &str, status: &str) -> Vec<Family> {
    let version = Family::gauge("ailurus_info", "1, with the version of the broker.");
    let mut families = vec![version.level(&[("version", &env!("CARGO_PKG_VERSION"))], 1.0)];
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    if let Some(kib) = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()) {
        let memory = Family::gauge("process_resident_memory_bytes", "Memory of the process that is not swapped out.");
        families.push(memory.level(&[], (kib << 10) as f64));
    }
    // The program's name in brackets may hold blanks; what follows it does not. Fields 14 and 15, counted from 1.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok());
    if let Some(busy) = ticks(14).zip(ticks(15)).map(|(user, system)| user + system) {
        let seconds = Family::counter("process_cpu_seconds_total", "CPU time of all threads, in user and kernel mode.");
        families.push(seconds.amount(&[], busy as f64 / TICKS_PER_SECOND));
    }
    families
}

/// Nanoseconds in powers of two as seconds in every second of them.
fn seconds(times: &rt::Histogram) -> Histogram {
    let bound = |bucket: usize| (2u64 << bucket) as f64 / 1e9;
    let mut buckets = Vec::new();
    let mut from = 0;
    for last in (BUCKET_FIRST..=BUCKET_LAST).step_by(2) {
        buckets.push((bound(last), times.buckets[from..=last].iter().sum()));
        from = last + 1;
    }
    Histogram { buckets, above: times.buckets[from..].iter().sum(), sum: times.sum as f64 / 1e9 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_read_from_proc() {
        let stat = "42 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 5 0 99";
        let families = process_families(stat, "Name:\tx\nVmRSS:\t  2048 kB\n");
        let levels: Vec<_> = families.iter().map(|family| (family.name, family.samples[0].number.clone())).collect();
        assert_eq!(levels[1], ("process_resident_memory_bytes", ailurus_admin::Number::Level(2097152.0)));
        assert_eq!(levels[2], ("process_cpu_seconds_total", ailurus_admin::Number::Amount(2.0)));
        assert_eq!(process_families("", "").len(), 1);
    }

    /// Every family with what it means, as the reference page has them.
    fn page() -> String {
        let api = (ApiKey::Produce, rt::Histogram::default());
        let face = Face {
            requests: [api].into(),
            bytes_in: 0,
            bytes_fetched: 0,
            refused: 0,
            connections: 0,
            group_loaded_bytes: 0,
        };
        let stat = "1 (x) S 1 2 3 4 5 6 7 8 9 10 1 1";
        let mut families = process_families(stat, "VmRSS: 1 kB");
        families.extend(face_families(vec![face]));
        let mut shard = Shard { topics: [("t".to_owned(), TopicCounts::default())].into(), ..Shard::default() };
        shard.reactor.disk[0].flush_ns.record(1);
        families.extend(shard_families(vec![shard]));
        families.sort_by_key(|family| family.name);
        let mut page = String::from(PAGE_HEAD);
        for family in families {
            let labels: Vec<&str> =
                family.samples.iter().flat_map(|sample| sample.labels.iter().map(|(name, _)| *name)).collect();
            let mut labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            labels.dedup();
            labels.sort();
            labels.dedup();
            let kind = format!("{:?}", family.kind).to_lowercase();
            page += &format!("| `{}` | {kind} | {} | {} |\n", family.name, labels.join(" "), family.help);
        }
        page
    }

    const PAGE_HEAD: &str = "\
# Metrics

What `http://<admin address>/metrics` says, in the OpenMetrics text format. Names are those that jmx_exporter commonly
gives to Kafka's own metrics, else begin with `ailurus_`. Counters begin at 0 with the process. Written by
`AILURUS_WRITE_PAGES=1 cargo test -p ailurus`; the texts are in `crates/ailurus/src/metrics.rs`.

| name | kind | labels | what it says |
|---|---|---|---|
";

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a page of this repository")]
    fn the_reference_page_is_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/metrics.md");
        if std::env::var_os("AILURUS_WRITE_PAGES").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), page(), "AILURUS_WRITE_PAGES=1 writes it anew");
    }

    #[test]
    fn times_keep_their_count_and_fall_below_their_bounds() {
        let mut times = rt::Histogram::default();
        for nanoseconds in [1, 900, 1_500_000, 3_000_000_000, u64::MAX / 4] {
            times.record(nanoseconds);
        }
        let seconds = seconds(&times);
        assert_eq!(seconds.count(), 5);
        assert_eq!(seconds.above, 1);
        let below = |bound: f64| seconds.buckets.iter().filter(|(b, _)| *b <= bound).map(|(_, n)| n).sum::<u64>();
        assert_eq!(below(0.000_002), 2);
        assert_eq!(below(0.005), 3);
        assert_eq!(below(5.0), 4);
        assert!(seconds.buckets.is_sorted_by(|a, b| a.0 < b.0));
    }
}
