//! `run`: producers and consumers for a while, and what it took.

use crate::clock::{self, SECOND};
use crate::consumer::{Consumer, From};
use crate::create::numbered;
use crate::latency::{self, Latency, Series};
use crate::ledger::{Ledger, Missing};
use crate::producer::{Hand, Plan, Producer, Spread, hand_over};
use crate::report::{Marks, write};
use crate::schedule::{Pace, Schedule};
use crate::{Measure, Target};
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// After the window, so long is waited for what is still under way.
const DRAIN: u64 = 10 * SECOND;
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(5);
/// Threads are started so long before the first record is due.
const RUN_UP: u64 = SECOND / 20;

/// Produce and consume for a while, and write what it took.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    target: Target,
    /// How many producers, each a client of its own.
    #[arg(long, default_value_t = 0)]
    producers: u64,
    /// Producers take turns at so many topics, named T-0, T-1 and so on, each of these partitions: librdkafka's cost grows
    /// with the partitions that one client knows.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    topics: Option<u16>,
    /// How many consumers; the partitions are split evenly.
    #[arg(long, default_value_t = 0)]
    consumers: usize,
    /// Records per second of all producers together; 0 = as fast as librdkafka takes them.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..))]
    size: u32,
    /// Seconds before the window.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    /// Seconds of the window.
    #[arg(long, default_value_t = 10.0)]
    duration: f64,
    /// Instead of a duration: the window ends when so many records were acknowledged and consumed. Without producers:
    /// when so many were received.
    #[arg(long, conflicts_with = "duration")]
    records: Option<u64>,
    /// Give records a key.
    #[arg(long)]
    keyed: bool,
    /// Which acknowledgement producers wait for.
    #[arg(long, default_value = "all")]
    acks: String,
    /// Where consumers begin.
    #[arg(long, value_enum, default_value_t = From::End)]
    from: From,
    #[command(flatten)]
    measure: Measure,
}

/// CPU seconds and wall clock at both ends of the window.
struct Measured {
    from_ms: u64,
    to_ms: u64,
    cpu: f64,
}

impl Run {
    pub(crate) fn carry_out(&self) -> Result<(), String> {
        if self.producers == 0 && self.consumers == 0 {
            return Err("neither producers nor consumers: nothing to do".to_owned());
        }
        if self.topics.is_some() && self.consumers > 0 {
            return Err("consumers read one topic, and --topics names several".to_owned());
        }
        if self.consumers > self.target.partitions as usize {
            return Err("more consumers than partitions: some would have nothing to read".to_owned());
        }
        let (ledger, started_ms) = (Arc::new(Ledger::new()), clock::unix_ms());
        let (published, received) = (Series::default(), Series::default());
        let producers = self.connect_producers(&ledger, &published)?;
        let consumers = self.connect_consumers()?;

        let start = clock::now() + RUN_UP;
        let from = start + nanos(self.warmup);
        let end = self.records.is_none().then(|| from + nanos(self.duration));
        ledger.window.set(from, end);
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<JoinHandle<Latency>> =
            consumers.into_iter().map(|one| one.begin(ledger.clone(), &received, stop.clone())).collect();
        let hands = self.begin_producers(&producers, start);

        let measured = self.watch(&ledger);
        for hand in hands {
            hand.join().map_err(|_| "a producer panicked")?;
        }
        self.drain(&ledger);
        let over = clock::now();
        stop.store(true, Relaxed);
        let published_by: Vec<Latency> = producers.into_iter().map(Producer::finish).collect();
        let received_by = readers
            .into_iter()
            .map(|reader| reader.join().map_err(|_| "a consumer panicked"))
            .collect::<Result<_, _>>()?;
        let missing = ledger.missing(self.consumers > 0);
        let (publish, in_window) = merged(published_by, &missing.unacknowledged, over);
        let (end_to_end, out_window) = merged(received_by, &missing.unreceived, over);
        let mut result = self.counts(&ledger, &missing, &measured, in_window, out_window);
        result["publish_us"] = latency::summary(&publish);
        result["end_to_end_us"] = latency::summary(&end_to_end);
        result["started_unix_ms"] = started_ms.into();
        result["series"] = latency::table(&published);
        result["series_end_to_end"] = latency::table(&received);
        write(&self.measure.out, &result)
    }

    fn connect_producers(&self, ledger: &Arc<Ledger>, series: &Series) -> Result<Vec<Producer>, String> {
        let mut set = vec![("acks".to_owned(), self.acks.clone())];
        set.extend(self.measure.settings.iter().cloned());
        (0..self.producers).map(|index| Producer::connect(&self.target_of(index), &set, ledger, series)).collect()
    }

    /// Where the producer with this index sends to.
    fn target_of(&self, index: u64) -> Target {
        let mut target = self.target.clone();
        if let Some(topics) = self.topics {
            target.topic = numbered(&target.topic, (index % u64::from(topics)) as usize);
        }
        target
    }

    fn connect_consumers(&self) -> Result<Vec<Consumer>, String> {
        let connect = |index: usize| {
            let mine = (0..self.target.partitions).skip(index).step_by(self.consumers);
            Consumer::connect(&self.target, &self.measure.settings, self.from, mine)
        };
        (0..self.consumers).map(connect).collect()
    }

    fn begin_producers(&self, producers: &[Producer], start: u64) -> Vec<JoinHandle<()>> {
        let pace = if self.rate == 0 { Pace::Closed } else { Pace::Open { rate: self.rate } };
        let plan = |index: usize| Plan {
            target: self.target_of(index as u64),
            size: self.size as usize,
            spread: if self.keyed { Spread::Keyed } else { Spread::Client },
            start,
            records: self.records,
            drain: DRAIN,
        };
        let hand = |(index, producer): (usize, &Producer)| {
            let schedule = Schedule { pace, index: index as u64, producers: self.producers };
            producer.hand(plan(index), schedule)
        };
        let hands: Vec<Hand> = producers.iter().enumerate().map(hand).collect();
        match pace {
            // One thread wakes up for all of them: that is what costs.
            Pace::Open { .. } => vec![hand_over(hands)],
            Pace::Closed => hands.into_iter().map(|hand| hand_over(vec![hand])).collect(),
        }
    }

    /// Sits through the window, and says so where it begins and ends.
    fn watch(&self, ledger: &Ledger) -> Measured {
        let marks = Marks { print: self.measure.marks };
        clock::sleep_until(ledger.window.from());
        let (cpu, from_ms) = (clock::cpu(), clock::unix_ms());
        marks.begin();
        match self.records {
            None => clock::sleep_until(ledger.window.to()),
            Some(records) => {
                wait_while_it_moves(ledger, || self.is_done(ledger, records));
                ledger.window.set(ledger.window.from(), Some(clock::now()));
            }
        }
        marks.end();
        let cpu = (clock::cpu() - cpu) as f64 / SECOND as f64;
        Measured { from_ms, to_ms: clock::unix_ms(), cpu }
    }

    /// True if `records` were acknowledged (or given up) and consumed, as far as there is anyone to do it.
    fn is_done(&self, ledger: &Ledger, records: u64) -> bool {
        let failed = ledger.failed.load(Relaxed);
        let received = if self.producers == 0 { &ledger.received } else { &ledger.consumed };
        (self.producers == 0 || ledger.acknowledged.load(Relaxed) + failed >= records)
            && (self.consumers == 0 || received.load(Relaxed) + failed >= records)
    }

    /// Waits for what is under way, but not for long.
    fn drain(&self, ledger: &Ledger) {
        let produced = ledger.produced.load(Relaxed);
        while !self.is_done(ledger, produced) && clock::now() < ledger.window.to() + DRAIN {
            std::thread::sleep(LOOK);
        }
    }

    fn counts(&self, ledger: &Ledger, missing: &Missing, measured: &Measured, acked: u64, received: u64) -> Value {
        let seconds = (ledger.window.to() - ledger.window.from()) as f64 / SECOND as f64;
        let rate = |records: u64| (records as f64 * f64::from(self.size) / seconds) as u64;
        let (consumed, lost) = match self.producers {
            0 => (received, self.records.map_or(0, |records| records.saturating_sub(received))),
            _ => (ledger.consumed.load(Relaxed), missing.lost),
        };
        let errors = ledger.errors();
        json!({
            "publish_us": null,
            "end_to_end_us": null,
            "due": missing.due,
            "produced": ledger.produced.load(Relaxed),
            "acknowledged": ledger.acknowledged.load(Relaxed),
            "consumed": consumed,
            "received": received,
            "errors": errors.values().sum::<u64>(),
            "error_kinds": errors,
            "lost": lost,
            "seconds": seconds,
            "bytes_per_second_in": rate(acked),
            "bytes_per_second_out": rate(received),
            "cpu_seconds": measured.cpu,
            "started_unix_ms": null,
            "window_unix_ms": [measured.from_ms, measured.to_ms],
        })
    }
}

/// Until `done`, or until nothing has come back for as long as a drain may take.
fn wait_while_it_moves(ledger: &Ledger, done: impl Fn() -> bool) {
    let progress = || {
        let counts = [&ledger.acknowledged, &ledger.failed, &ledger.consumed, &ledger.received];
        counts.map(|count| count.load(Relaxed))
    };
    let (mut last, mut moved) = (progress(), clock::now());
    while !done() && clock::now() < moved + DRAIN {
        std::thread::sleep(LOOK);
        if progress() != last {
            (last, moved) = (progress(), clock::now());
        }
    }
}

/// The latencies of all threads and of what is missing, and how many records came within the window.
fn merged(threads: Vec<Latency>, missing: &[(u64, u64)], over: u64) -> (Histogram<u64>, u64) {
    let (mut total, mut within) = (latency::whole(), 0);
    for thread in &threads {
        total.add(&thread.total).expect("all have the same bounds");
        within += thread.within;
    }
    latency::add_missing(&mut total, missing, over);
    (total, within)
}

fn nanos(seconds: f64) -> u64 {
    (seconds * SECOND as f64) as u64
}
