//! Producers of librdkafka. A thread of each takes its delivery reports; one thread hands over the records of all, in
//! bursts of what is due (in a closed loop there is one for each).

use crate::Target;
use crate::client::{self, patience, say};
use crate::clock;
use crate::latency::{Latency, Series};
use crate::ledger::Ledger;
use crate::schedule::Schedule;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Records that become due within so many nanoseconds go together: at high rates, waking up costs more than sending.
/// What is late by it counts as late.
const NAP_MIN: u64 = 250_000;
/// Nanoseconds of pause while the queue of librdkafka is full. The record stays due.
const FULL_PAUSE: u64 = 500_000;
/// Records of one producer in a row, while others wait for their turn.
const BURST_MAX: usize = 1000;
/// How long the thread for delivery reports sleeps if there are none.
const POLL: Duration = Duration::from_millis(100);
/// How many different keys there are.
const KEYS: u64 = 100_000;

/// Where records go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// No key: where the client puts them.
    Client,
    /// By keys of 8 bytes, of which there are many and all are used equally.
    Keyed,
    /// To each partition in turn.
    Turns,
}

/// What all producers of a run do.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) size: usize,
    pub(crate) spread: Spread,
    /// Time 0 of the schedule.
    pub(crate) start: u64,
    /// Records that all producers together produce; those of the warm-up come on top.
    pub(crate) records: Option<u64>,
    /// What is still waiting for a full queue so many nanoseconds after the window is lost.
    pub(crate) drain: u64,
}

/// One client, connected, with its own latencies.
pub(crate) struct Producer {
    client: Arc<BaseProducer<Reports>>,
    polling: Arc<AtomicBool>,
    poller: JoinHandle<()>,
}

impl Producer {
    /// Starts a client and lets it look for the topic.
    pub(crate) fn connect(
        target: &Target,
        set: &[(String, String)],
        ledger: &Arc<Ledger>,
        series: &Series,
    ) -> Result<Producer, String> {
        let reports = Reports { ledger: ledger.clone(), latency: Mutex::new(Latency::new(series)) };
        let client: BaseProducer<Reports> = client::config(target, &[], set)
            .create_with_context(reports)
            .map_err(|error| format!("cannot start a producer: {error}"))?;
        client
            .client()
            .fetch_metadata(Some(&target.topic), patience())
            .map_err(|error| format!("no metadata of {}: {error}", target.topic))?;
        let (client, polling) = (Arc::new(client), Arc::new(AtomicBool::new(true)));
        let poller = named("reports", {
            let (client, polling) = (client.clone(), polling.clone());
            move || {
                while polling.load(Ordering::Relaxed) {
                    client.poll(POLL);
                }
            }
        });
        Ok(Producer { client, polling, poller })
    }

    /// What hands over the records of this producer.
    pub(crate) fn hand(&self, plan: Plan, schedule: Schedule) -> Hand {
        let payload = noise(schedule.index, plan.size);
        Hand { client: self.client.clone(), plan, schedule, payload, count: 0, counted: 0, stuck: None }
    }

    /// Takes no more delivery reports, and gives back what it measured and how many came within the window.
    pub(crate) fn finish(self) -> Latency {
        self.polling.store(false, Ordering::Relaxed);
        self.poller.join().expect("delivery reports cause no panic");
        let reports = self.client.context();
        let mut latency = reports.latency.lock().expect("the poller has ended");
        latency.close_second();
        // What librdkafka still says while it parts from the broker goes nowhere.
        let rest = Latency::new(&Series::default());
        std::mem::replace(&mut *latency, rest)
    }
}

/// What is done with delivery reports. Called by the poller alone: the lock is never waited for.
pub(crate) struct Reports {
    ledger: Arc<Ledger>,
    latency: Mutex<Latency>,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        say(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("librdkafka: {error}: {reason}");
    }
}

impl ProducerContext for Reports {
    /// When the record was due: so nothing is allocated per record.
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, due: usize) {
        let due = due as u64;
        match report {
            Ok(_) => {
                let now = clock::now();
                self.ledger.is_acknowledged(due);
                self.latency.lock().expect("recording causes no panic").record(&self.ledger.window, due, now);
            }
            Err((error, _)) => self.ledger.is_failed(due, error.to_string()),
        }
    }
}

/// Hands the records of some producers over when they are due, on a thread of its own, until all is handed over or given
/// up.
pub(crate) fn hand_over(hands: Vec<Hand>) -> JoinHandle<()> {
    named("hand", move || work(hands))
}

fn work(mut hands: Vec<Hand>) {
    while !hands.is_empty() {
        let now = clock::now();
        let mut next = u64::MAX;
        hands.retain_mut(|hand| match hand.work(now) {
            Some(again) => {
                next = next.min(again);
                true
            }
            None => false,
        });
        if next > now && !hands.is_empty() {
            clock::sleep_until(next.max(now + NAP_MIN));
        }
    }
}

/// The side of a producer that hands records over.
pub(crate) struct Hand {
    client: Arc<BaseProducer<Reports>>,
    plan: Plan,
    schedule: Schedule,
    payload: Vec<u8>,
    /// Records handed over or given up, the warm-up's included.
    count: u64,
    /// Those that were due in the window.
    counted: u64,
    /// A record that was due, and found the queue full.
    stuck: Option<u64>,
}

impl Hand {
    /// Hands over what is due by `now`, and says when there is more to do; `None` after the last record.
    fn work(&mut self, now: u64) -> Option<u64> {
        for _ in 0..BURST_MAX {
            let due = match self.stuck {
                Some(due) => due,
                None => self.next(now)?,
            };
            if due > now {
                return Some(due);
            }
            if self.stuck.is_none() {
                self.ledger().is_due(due);
            }
            self.stuck = self.send(due).then_some(due);
            if self.stuck.is_none() {
                self.count += 1;
                self.counted += u64::from(self.ledger().window.holds(due));
            } else if now > self.ledger().window.to().saturating_add(self.plan.drain) {
                self.give_up();
                return None;
            } else {
                return Some(now + FULL_PAUSE);
            }
        }
        Some(now)
    }

    fn ledger(&self) -> &Ledger {
        &self.client.context().ledger
    }

    /// When the next record is due; `None` after the last.
    fn next(&self, now: u64) -> Option<u64> {
        let due = self.schedule.due(self.count).map_or(now.max(self.plan.start), |after| self.plan.start + after);
        // Asked for each time: a window that has no end yet may be given one.
        let over = due >= self.ledger().window.to();
        let all = self.plan.records.is_some_and(|records| self.counted >= self.schedule.share(records));
        (!over && !all).then_some(due)
    }

    /// True if the queue is full and it has to be tried again.
    fn send(&mut self, due: u64) -> bool {
        self.payload[..8].copy_from_slice(&due.to_le_bytes());
        let number = self.count * self.schedule.producers + self.schedule.index;
        let key = mixed(number % KEYS).to_le_bytes();
        let record = BaseRecord::with_opaque_to(&self.plan.target.topic, due as usize).payload(&self.payload[..]);
        let sent = match self.plan.spread {
            Spread::Client => self.client.send::<[u8], _>(record),
            Spread::Keyed => self.client.send(record.key(&key[..])),
            Spread::Turns => {
                let partition = (number % self.plan.target.partitions as u64) as i32;
                self.client.send::<[u8], _>(record.partition(partition))
            }
        };
        match sent.map_err(|(error, _)| error) {
            Ok(()) => self.ledger().is_produced(due),
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => return true,
            Err(error) => self.ledger().is_failed(due, error.to_string()),
        }
        false
    }

    /// The queue stayed full to the end of the drain: all that is due is lost. The first of it is counted as due already.
    fn give_up(&mut self) {
        let ledger = self.ledger();
        let dues = (self.count + 1..).map_while(|count| self.schedule.due(count)).map(|after| self.plan.start + after);
        dues.take_while(|due| *due < ledger.window.to()).for_each(|due| ledger.is_due(due));
    }
}

/// Bytes that do not compress.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let words = (0..).flat_map(|number: u64| mixed(seed << 32 | number).to_le_bytes());
    words.take(size).collect()
}

/// SplitMix64: spreads numbers that follow each other over all of 64 bits.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A thread whose name shows in /proc.
pub(crate) fn named<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work).expect("the system has threads")
}
