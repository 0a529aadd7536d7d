//! `ailurus doctor`: what a broker would find on this machine, before it has to.
//!
//! Every finding is a name, a verdict, what was seen, and what it means. It writes one test file into the data directory
//! and removes it, with the directory if that was not there and nobody has put anything into it since.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use ailurus_client::{Broker, Client, ClientConfig, address};
use ailurus_rt as rt;
use ailurus_settings::BrokerSettings;
use clap::Args;
use serde_json::json;

use crate::boot::is_nowhere;
use crate::cli::Global;
use crate::fault::Fault;
use crate::memory;
use crate::report::{Output, Section};
use crate::session::{finish, on_one_shard};
use crate::units::{show_bytes, show_time};

/// What is written to see how fast the disk is.
const TEST_BYTES: u64 = 64 << 20;
/// In pieces of this size, as the segment writer does.
const PIECE_BYTES: usize = 1 << 20;
/// So many small writes are flushed one by one, as the journal does under little load.
const FLUSHES: usize = 100;
/// A flush slower than this at the median makes every acks=all slow.
const FLUSH_SLOW: Duration = Duration::from_millis(10);
/// Open files that a thousand partitions and a thousand clients need.
const FILES_WANTED: u64 = 4096;
/// Less free space than this is soon a full disk.
const FREE_WANTED: u64 = 1 << 30;
/// 2024-01-01: a clock before this release of Kafka's protocol is wrong.
const CLOCK_EARLIEST: i64 = 1_704_067_200_000;

/// Look at this machine as a broker would: I/O backend, limits, disk, clock, addresses.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The data directory to be tested; made if need be.
    #[arg(long, value_name = "DIR", default_value = "ailurus-data")]
    data_dir: PathBuf,
    /// The address that the broker would advertise, to see whether it can be dialled from here.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    advertise_kafka_addr: String,
    /// Leave the disk alone.
    #[arg(long)]
    no_disk: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Warn,
    Bad,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Good => "ok",
            Verdict::Warn => "warn",
            Verdict::Bad => "bad",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    name: &'static str,
    verdict: Verdict,
    seen: String,
}

fn finding(name: &'static str, verdict: Verdict, seen: impl Into<String>) -> Finding {
    Finding { name, verdict, seen: seen.into() }
}

pub(crate) fn run(global: &Global, doctor: Doctor) -> ExitCode {
    let output = Output::new(global.format);
    let timeout = global.timeout.min(Duration::from_secs(5));
    finish(on_one_shard(async move || {
        let findings = doctor.look(output, timeout).await;
        show(output, &findings)
    }))
}

fn show(output: Output, findings: &[Finding]) -> Result<(), Fault> {
    let value = |f: &Finding| json!({ "name": f.name, "verdict": f.verdict.word(), "seen": f.seen });
    let row = |f: &Finding| vec![f.name.to_owned(), f.verdict.word().to_owned(), f.seen.clone()];
    let json = findings.iter().map(value).collect();
    let table = Section::Table { headings: vec!["WHAT", "VERDICT", "SEEN"], rows: findings.iter().map(row).collect() };
    output.show(&json, &[table])?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count() {
        0 => Ok(()),
        1 => Err(Fault::refused("a broker would not run well here: one finding is bad")),
        bad => Err(Fault::refused(format!("a broker would not run well here: {bad} findings are bad"))),
    }
}

impl Doctor {
    async fn look(&self, output: Output, timeout: Duration) -> Vec<Finding> {
        let mut findings = vec![backend(), cpus(), clock(rt::unix_ms(), clock_source().await)];
        findings.extend(limits(&text("/proc/self/limits").await));
        findings.push(memory(memory::available(), &text("/proc/meminfo").await, cpus_usable()));
        if !self.no_disk {
            findings.extend(self.disk(output).await);
        }
        findings.push(dial(&self.advertise_kafka_addr, timeout).await);
        findings
    }

    async fn disk(&self, output: Output) -> Vec<Finding> {
        let dir = &self.data_dir;
        let was_there = rt::fs::exists(dir).await.unwrap_or(true);
        if let Err(error) = rt::fs::create_dir_all(dir).await {
            return vec![finding("data directory", Verdict::Bad, format!("{} cannot be made: {error}", dir.display()))];
        }
        let mut findings = vec![free_space(dir, rt::fs::free_space(dir).await)];
        let path = dir.join("doctor.tmp");
        let bar = output.progress(Some(TEST_BYTES / PIECE_BYTES as u64 + FLUSHES as u64), "disk test");
        let tested = test_disk(&path, &bar).await;
        bar.finish_and_clear();
        if let Err(error) = tidy(dir, &path, was_there).await
            && tested.is_ok()
        {
            findings.push(finding("test file", Verdict::Warn, format!("{} stays: {error}", path.display())));
        }
        findings.extend(match tested {
            Ok(disk) => disk_findings(&disk),
            Err(error) => vec![finding("disk", Verdict::Bad, format!("{} cannot be written: {error}", path.display()))],
        });
        findings
    }
}

/// Leaves the directory as it was. A broker that was started in the meantime may live in what the doctor made.
async fn tidy(dir: &Path, test_file: &Path, was_there: bool) -> std::io::Result<()> {
    match rt::fs::remove_file(test_file).await {
        // It could not even be made.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    if was_there {
        return Ok(());
    }
    match rt::fs::remove_dir(dir).await {
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        removed => removed,
    }
}

fn backend() -> Finding {
    let report = rt::backend();
    let verdict = if report.rung.is_uring() { Verdict::Good } else { Verdict::Warn };
    let mut seen = report.to_string();
    if !report.rung.is_uring() {
        seen.push_str("; files go through a small thread pool, which costs speed, nothing else");
    }
    finding("I/O backend", verdict, seen)
}

fn cpus() -> Finding {
    match std::thread::available_parallelism() {
        Ok(cpus) => finding("CPUs", Verdict::Good, format!("{cpus} usable, so {cpus} shards")),
        Err(error) => finding("CPUs", Verdict::Warn, format!("unknown: {error}")),
    }
}

async fn text(path: &str) -> String {
    rt::fs::read(Path::new(path)).await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

async fn clock_source() -> String {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    text(path).await.trim().to_owned()
}

fn clock(now: i64, source: String) -> Finding {
    let shown = show_time(now);
    if now < CLOCK_EARLIEST {
        return finding(
            "clock",
            Verdict::Bad,
            format!("{shown} is in the past: retention and timestamps would be wrong"),
        );
    }
    match &source[..] {
        "" => finding("clock", Verdict::Good, shown),
        "tsc" | "kvm-clock" | "arch_sys_counter" | "hyperv_clocksource_tsc_page" => {
            finding("clock", Verdict::Good, format!("{shown}, read from {source}"))
        }
        slow => {
            finding("clock", Verdict::Warn, format!("{shown}, read from {slow}, which takes a system call each time"))
        }
    }
}

/// From `/proc/self/limits`: soft and hard limit stand behind the name.
fn limits(text: &str) -> Vec<Finding> {
    let limit = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let enough = |text: &str| text == "unlimited" || text.parse::<u64>().is_ok_and(|limit| limit >= FILES_WANTED);
    let mut findings = Vec::new();
    if let Some((soft, hard)) = limit("Max open files") {
        let verdict = if enough(&hard) { Verdict::Good } else { Verdict::Warn };
        let seen = format!("{soft}, may be raised to {hard}; a broker raises it itself");
        let seen = if verdict == Verdict::Good { seen } else { format!("{seen}, and wants {FILES_WANTED}") };
        findings.push(finding("open files", verdict, seen));
    }
    if let Some((soft, _)) = limit("Max locked memory") {
        findings.push(finding(
            "locked memory",
            Verdict::Good,
            format!("{soft} (bytes); old kernels count rings against it"),
        ));
    }
    findings
}

/// What a broker that is told nothing else takes at most, against what it may have.
fn memory(limit: Option<u64>, meminfo: &str, shards: u64) -> Finding {
    let Some(limit) = limit else { return finding("memory", Verdict::Warn, "unknown: there is no /proc/meminfo") };
    let free = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let free = free.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).map(|kib| kib << 10);
    let config = BrokerSettings::default().config();
    let wanted = memory::wanted(&config, memory::default_bytes(Some(limit)), shards);
    let seen =
        format!("a broker of {shards} shards takes up to {}, and may have {}", show_bytes(wanted), show_bytes(limit));
    let seen = match free {
        Some(free) if free < limit => format!("{seen}, {} of it free", show_bytes(free)),
        _ => seen,
    };
    match wanted > limit {
        true => {
            let advice =
                "fewer --shards, or smaller storage.tail.max.bytes and storage.cache.bytes, which are per shard";
            finding("memory", Verdict::Warn, format!("{seen}; {advice}"))
        }
        false => finding("memory", Verdict::Good, seen),
    }
}

fn cpus_usable() -> u64 {
    std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64)
}

fn free_space(dir: &Path, free: std::io::Result<u64>) -> Finding {
    match free {
        Ok(free) => {
            let verdict = if free < FREE_WANTED { Verdict::Warn } else { Verdict::Good };
            finding("free space", verdict, format!("{} in {}", show_bytes(free), dir.display()))
        }
        Err(error) => finding("free space", Verdict::Warn, format!("unknown: {error}")),
    }
}

/// What the disk did.
#[derive(Clone, Debug, PartialEq)]
struct Disk {
    direct: bool,
    alignment: usize,
    bytes_per_second: f64,
    flush_median: Duration,
    flush_worst: Duration,
}

async fn test_disk(path: &Path, bar: &indicatif::ProgressBar) -> std::io::Result<Disk> {
    let options = rt::OpenOptions { direct: true, create: true, create_new: false, write: true, truncate: true };
    let file = rt::File::open(path, options).await?;
    file.allocate(0, TEST_BYTES).await?;
    let mut piece = rt::DmaBuf::new(PIECE_BYTES);
    piece.extend_from_slice(&vec![0xa5; PIECE_BYTES]);
    let start = rt::now();
    for offset in (0..TEST_BYTES).step_by(PIECE_BYTES) {
        let (written, back) = file.write_at(rt::IoClass::Background, offset, piece).await;
        written?;
        piece = back;
        bar.inc(1);
    }
    file.sync_data(rt::IoClass::Background).await?;
    let bytes_per_second = TEST_BYTES as f64 / (rt::now() - start).as_secs_f64();
    let mut flushes = Vec::with_capacity(FLUSHES);
    for place in 0..FLUSHES as u64 {
        flushes.push(time_flush(&file, place * 4096).await?);
        bar.inc(1);
    }
    flushes.sort();
    let disk = Disk {
        direct: file.is_direct(),
        alignment: file.alignment(),
        bytes_per_second,
        flush_median: flushes[FLUSHES / 2],
        flush_worst: flushes[FLUSHES - 1],
    };
    file.close().await?;
    Ok(disk)
}

async fn time_flush(file: &rt::File, offset: u64) -> std::io::Result<Duration> {
    let mut block = rt::DmaBuf::new(4096);
    block.extend_from_slice(&[0x5a; 4096]);
    let start = rt::now();
    file.write_at(rt::IoClass::Produce, offset, block).await.0?;
    file.sync_data(rt::IoClass::Produce).await?;
    Ok(rt::now() - start)
}

fn disk_findings(disk: &Disk) -> Vec<Finding> {
    let direct = match disk.direct {
        true => finding("direct I/O", Verdict::Good, format!("yes, in blocks of {} bytes", disk.alignment)),
        false => finding("direct I/O", Verdict::Warn, "refused by the file system; the log is buffered and flushed"),
    };
    let speed =
        format!("{}/s in pieces of {}", show_bytes(disk.bytes_per_second as u64), show_bytes(PIECE_BYTES as u64));
    let milliseconds = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1e3);
    let flush =
        format!("{} at the median, {} at worst", milliseconds(disk.flush_median), milliseconds(disk.flush_worst));
    let verdict = if disk.flush_median > FLUSH_SLOW { Verdict::Warn } else { Verdict::Good };
    vec![direct, finding("disk writes", Verdict::Good, speed), finding("disk flush of 4 KiB", verdict, flush)]
}

/// Dials what clients would be told to dial. If nobody listens there, listens for a moment.
async fn dial(advertised: &str, timeout: Duration) -> Finding {
    const NAME: &str = "advertised address";
    let (host, port) = match address::parse(advertised) {
        Ok(parsed) => parsed,
        Err(error) => return finding(NAME, Verdict::Bad, error.to_string()),
    };
    if is_nowhere(&host) {
        let seen = format!("{advertised} stands for all addresses of a machine: clients cannot connect to it");
        return finding(NAME, Verdict::Bad, seen);
    }
    let addrs = match address::resolve(&host, port).await {
        Ok(addrs) if !addrs.is_empty() => addrs,
        Ok(_) => return finding(NAME, Verdict::Bad, format!("{host} has no address")),
        Err(error) => return finding(NAME, Verdict::Bad, error.to_string()),
    };
    let addr = addrs[0];
    if connects(addr, timeout).await {
        let config = ClientConfig { bootstrap: vec![addr.to_string()], timeout, ..ClientConfig::default() };
        return match Client::new(config).metadata(Some(&[]), false).await {
            Ok(metadata) => {
                let seen = format!("{advertised} is {addr}, and a broker answers there");
                match unreachable(&metadata.brokers, timeout).await {
                    None => finding(NAME, Verdict::Good, seen),
                    Some(lost) => finding(NAME, Verdict::Bad, format!("{seen}; it tells clients of {lost}")),
                }
            }
            Err(error) => finding(NAME, Verdict::Bad, format!("what answers at {advertised} is no broker: {error}")),
        };
    }
    match rt::Listener::bind(addr).await {
        // The kernel takes the connection; nobody needs to accept it.
        Ok(listener) if connects(listener.local_addr(), timeout).await => finding(
            NAME,
            Verdict::Good,
            format!("{advertised} is {addr}, an address of this machine that can be dialled"),
        ),
        Ok(_) => finding(NAME, Verdict::Bad, format!("{advertised} is {addr}, which cannot be dialled from here")),
        Err(error) => {
            let seen =
                format!("{advertised} is {addr}; nobody answers there, and this machine cannot listen there: {error}");
            finding(NAME, Verdict::Warn, seen)
        }
    }
}

async fn connects(addr: SocketAddr, timeout: Duration) -> bool {
    rt::timeout(timeout, rt::Conn::connect(addr)).await.is_ok_and(|conn| conn.is_ok())
}

/// The first of `brokers` that cannot be dialled from here: clients need all of them, and in shard-direct mode each shard is
/// one.
async fn unreachable(brokers: &[Broker], timeout: Duration) -> Option<String> {
    for Broker { id, host, port, .. } in brokers {
        let port = u16::try_from(*port).unwrap_or(0);
        let addrs = address::resolve(host, port).await.unwrap_or_default();
        let dialled = match addrs.first() {
            Some(addr) => connects(*addr, timeout).await,
            None => false,
        };
        if !dialled {
            return Some(format!("node {id} at {host}:{port}, which cannot be dialled from here"));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_proc() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n\
                    Max locked memory         8388608              8388608              bytes     \n";
        let findings = limits(text);
        assert_eq!(findings[0].seen, "1024, may be raised to 524288; a broker raises it itself");
        assert_eq!(findings[0].verdict, Verdict::Good);
        assert!(findings[1].seen.starts_with("8388608"));
        assert_eq!(limits("Max open files            256      512     files\n")[0].verdict, Verdict::Warn);
        assert!(limits("").is_empty());
    }

    #[test]
    fn all_addresses_are_none_that_can_be_dialled() {
        on_one_shard(async || {
            for advertised in ["0.0.0.0:9092", "[::]:9092"] {
                assert_eq!(dial(advertised, Duration::from_secs(1)).await.verdict, Verdict::Bad, "{advertised}");
            }
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn clocks() {
        assert_eq!(clock(0, "tsc".into()).verdict, Verdict::Bad);
        assert_eq!(clock(CLOCK_EARLIEST + 1, "tsc".into()).verdict, Verdict::Good);
        assert_eq!(clock(CLOCK_EARLIEST + 1, "hpet".into()).verdict, Verdict::Warn);
    }

    #[test]
    fn memory_of_a_container() {
        let found = memory(Some(1 << 30), "MemTotal: 9 kB\nMemAvailable:    2097152 kB\n", 2);
        assert_eq!(found.seen, "a broker of 2 shards takes up to 768.0 MiB, and may have 1.0 GiB");
        assert_eq!(found.verdict, Verdict::Good);
        let found = memory(Some(1 << 30), "MemAvailable: 524288 kB", 8);
        assert!(found.seen.contains("1.5 GiB, and may have 1.0 GiB, 512.0 MiB of it free; fewer"), "{}", found.seen);
        assert_eq!((found.verdict, memory(None, "", 1).verdict), (Verdict::Warn, Verdict::Warn));
    }

    #[test]
    fn what_others_put_into_its_directory_stays() {
        let dir = std::env::temp_dir().join(format!("ailurus-doctor-{}", std::process::id()));
        on_one_shard(async move || {
            let (test_file, others) = (dir.join("doctor.tmp"), dir.join("ailurus.version"));
            let there = async |path: &Path| rt::fs::exists(path).await.unwrap();
            for (was_there, occupied, stays) in [(false, true, true), (true, false, true), (false, false, false)] {
                rt::fs::create_dir_all(&dir).await.unwrap();
                rt::fs::write_durably(&test_file, b"x").await.unwrap();
                if occupied {
                    rt::fs::write_durably(&others, b"1").await.unwrap();
                }
                tidy(&dir, &test_file, was_there).await.unwrap();
                assert!(!there(&test_file).await);
                assert_eq!((there(&dir).await, there(&others).await), (stays, occupied));
                if occupied {
                    rt::fs::remove_file(&others).await.unwrap();
                }
            }
            Ok(())
        })
        .unwrap();
    }

    #[test]
    fn slow_flushes_are_said() {
        let ms = Duration::from_millis;
        let disk =
            Disk { direct: false, alignment: 1, bytes_per_second: 1e8, flush_median: ms(12), flush_worst: ms(99) };
        let findings = disk_findings(&disk);
        let verdicts: Vec<Verdict> = findings.iter().map(|finding| finding.verdict).collect();
        assert_eq!(verdicts, [Verdict::Warn, Verdict::Good, Verdict::Warn]);
        assert_eq!(findings[2].seen, "12.00 ms at the median, 99.00 ms at worst");
    }
}
