//! `members`: a group whose members come and go, while records flow to all partitions all the time.
//!
//! What is measured is for how long partitions stand still. Progress of a partition is a record beyond all that any member
//! has received of it so far: what is read a second time after a rebalance is none. A pause is a time without progress of
//! more than a second; all of it counts.

use crate::client::{self, Plain};
use crate::clock::{self, SECOND};
use crate::consumer::due_of;
use crate::latency::{self, Series};
use crate::ledger::Ledger;
use crate::producer::{Plan, Producer, Spread, hand_over, named};
use crate::report::{Marks, write};
use crate::schedule::{Pace, Schedule};
use crate::{Measure, Protocol, Target};
use clap::Args;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a member waits for a record before it looks whether it is to leave.
const POLL: Duration = Duration::from_millis(100);
/// A partition that makes no progress for longer than this pauses.
const PAUSE_MIN: u64 = SECOND;
/// How long the group may take until it reads all partitions for the first time.
const SETTLE: u64 = 60 * SECOND;
/// How long members may take to leave in the end.
const LEAVE: u64 = 20 * SECOND;
const LOOK: Duration = Duration::from_millis(10);

/// A group whose members come and go while records flow: for how long does consumption pause?
#[derive(Args)]
pub(crate) struct Members {
    #[command(flatten)]
    target: Target,
    /// How many members the group has, give or take the one that is away.
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..))]
    members: u64,
    /// Every so many seconds one leaves or, the next time, one joins.
    #[arg(long)]
    every: f64,
    /// Seconds of the window. It begins when all partitions are read.
    #[arg(long)]
    duration: f64,
    /// Which group protocol they speak.
    #[arg(long, value_enum)]
    protocol: Protocol,
    /// Records per second; without it, 10 for each partition.
    #[arg(long)]
    rate: Option<u64>,
    /// Bytes of a record's value.
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(8..))]
    size: u32,
    /// Name of the group; without it, one that is new.
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    measure: Measure,
}

impl Members {
    pub(crate) fn carry_out(&self) -> Result<(), String> {
        let (ledger, started_ms) = (Arc::new(Ledger::new()), clock::unix_ms());
        let shared = Arc::new(Shared::new(self.target.partitions, ledger.clone()));
        let published = Series::default();
        let producer = Producer::connect(&self.target, &self.measure.settings, &ledger, &published)?;
        let group = self.group.clone().unwrap_or_else(|| format!("members-{started_ms}"));
        let mut crowd = Crowd { present: VecDeque::new(), left: Vec::new() };
        for _ in 0..self.members {
            crowd.present.push_back(self.join(&group, &shared)?);
        }
        let hand = hand_over(vec![producer.hand(self.plan(), self.schedule())]);
        self.settle(&shared)?;

        let from = clock::now();
        let to = from + (self.duration * SECOND as f64) as u64;
        let marks = Marks { print: self.measure.marks };
        shared.begin(from);
        ledger.window.set(from, Some(to));
        let (cpu, from_ms) = (clock::cpu(), clock::unix_ms());
        marks.begin();
        let changes = self.come_and_go(&mut crowd, &group, &shared, from, to)?;
        clock::sleep_until(to);
        marks.end();
        let (cpu, to_ms) = ((clock::cpu() - cpu) as f64 / SECOND as f64, clock::unix_ms());
        shared.end(to);
        hand.join().map_err(|_| "the producer panicked")?;
        let publish = producer.finish();
        crowd.leave(&ledger)?;

        let mut result = self.counts(&shared, changes);
        result["publish_us"] = latency::summary(&publish.total);
        result["cpu_seconds"] = cpu.into();
        result["started_unix_ms"] = started_ms.into();
        result["window_unix_ms"] = json!([from_ms, to_ms]);
        write(&self.measure.out, &result)
    }

    fn plan(&self) -> Plan {
        Plan {
            target: self.target.clone(),
            size: self.size as usize,
            spread: Spread::Turns,
            start: clock::now(),
            records: None,
            drain: 10 * SECOND,
        }
    }

    fn schedule(&self) -> Schedule {
        let rate = self.rate.unwrap_or(10 * self.target.partitions as u64);
        Schedule { pace: Pace::Open { rate }, index: 0, producers: 1 }
    }

    /// Waits until each partition has been read.
    fn settle(&self, shared: &Shared) -> Result<(), String> {
        let deadline = clock::now() + SETTLE;
        loop {
            let waiting = shared.partitions.iter().filter(|partition| partition.highest.load(Relaxed) < 0).count();
            if waiting == 0 {
                return Ok(());
            }
            if clock::now() > deadline {
                let errors = shared.ledger.errors();
                return Err(format!("{waiting} partitions were not read within {} s; {errors:?}", SETTLE / SECOND));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// One leaves or joins at a time, until the window is over. How often.
    fn come_and_go(
        &self,
        crowd: &mut Crowd,
        group: &str,
        shared: &Arc<Shared>,
        from: u64,
        to: u64,
    ) -> Result<u64, String> {
        let every = ((self.every * SECOND as f64) as u64).max(1);
        let mut changes = 0;
        loop {
            let next = from + (changes + 1) * every;
            if next >= to {
                return Ok(changes);
            }
            clock::sleep_until(next);
            if changes % 2 == 0 {
                crowd.send_one_away();
            } else {
                crowd.present.push_back(self.join(group, shared)?);
            }
            changes += 1;
        }
    }

    fn join(&self, group: &str, shared: &Arc<Shared>) -> Result<Member, String> {
        let protocol = match self.protocol {
            Protocol::Classic => "classic",
            Protocol::Consumer => "consumer",
        };
        let defaults = [
            ("group.id", group),
            ("group.protocol", protocol),
            ("auto.offset.reset", "earliest"),
            ("auto.commit.interval.ms", "1000"),
        ];
        let client: BaseConsumer<Plain> = client::config(&self.target, &defaults, &self.measure.settings)
            .create_with_context(Plain)
            .map_err(|error| format!("cannot start a member: {error}"))?;
        client.subscribe(&[&self.target.topic]).map_err(|error| format!("cannot subscribe: {error}"))?;
        let leave = Arc::new(AtomicBool::new(false));
        let thread = named("member", {
            let (shared, leave) = (shared.clone(), leave.clone());
            move || read(client, &shared, &leave)
        });
        Ok(Member { leave, thread })
    }

    fn counts(&self, shared: &Shared, changes: u64) -> Value {
        let ledger = &shared.ledger;
        let errors = ledger.errors();
        json!({
            "protocol": if self.protocol == Protocol::Classic { "classic" } else { "consumer" },
            "members": self.members,
            "partitions": self.target.partitions,
            "changes": changes,
            "paused_seconds": shared.paused.load(Relaxed) as f64 / SECOND as f64,
            "longest_pause_seconds": shared.longest.load(Relaxed) as f64 / SECOND as f64,
            "pauses": shared.pauses.load(Relaxed),
            "publish_us": null,
            "produced": ledger.produced.load(Relaxed),
            "acknowledged": ledger.acknowledged.load(Relaxed),
            "consumed": ledger.consumed.load(Relaxed),
            "read_again": shared.again.load(Relaxed),
            "errors": errors.values().sum::<u64>(),
            "error_kinds": errors,
            "seconds": self.duration,
            "cpu_seconds": null,
            "started_unix_ms": null,
            "window_unix_ms": null,
        })
    }
}

/// One member of the group.
struct Member {
    leave: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Those who are in the group, the one who joined first in front, and those who were told to leave.
struct Crowd {
    present: VecDeque<Member>,
    left: Vec<Member>,
}

impl Crowd {
    fn send_one_away(&mut self) {
        let first = self.present.pop_front().expect("at most one of two or more is away");
        first.leave.store(true, Relaxed);
        self.left.push(first);
    }

    /// All leave. Whoever does not come to an end is an error of the run.
    fn leave(mut self, ledger: &Ledger) -> Result<(), String> {
        while !self.present.is_empty() {
            self.send_one_away();
        }
        let deadline = clock::now() + LEAVE;
        for member in self.left {
            while !member.thread.is_finished() && clock::now() < deadline {
                std::thread::sleep(LOOK);
            }
            if !member.thread.is_finished() {
                ledger.error(format!("a member did not leave within {} s", LEAVE / SECOND));
            } else {
                member.thread.join().map_err(|_| "a member panicked")?;
            }
        }
        Ok(())
    }
}

/// What a member does until it leaves.
fn read(client: BaseConsumer<Plain>, shared: &Shared, leave: &AtomicBool) {
    while !leave.load(Relaxed) {
        match client.poll(POLL) {
            Some(Ok(message)) => {
                let now = clock::now();
                shared.progress(message.partition() as usize, message.offset(), due_of(message.payload()), now);
            }
            Some(Err(error)) => shared.ledger.error(error.to_string()),
            None => {}
        }
    }
    // Dropping it commits, leaves the group and waits for both.
    drop(client);
}

/// How far a partition was read, and since when that is so.
struct Partition {
    highest: AtomicI64,
    since: AtomicU64,
}

/// What all members see together.
struct Shared {
    partitions: Vec<Partition>,
    ledger: Arc<Ledger>,
    counting: AtomicBool,
    paused: AtomicU64,
    longest: AtomicU64,
    pauses: AtomicU64,
    again: AtomicU64,
}

impl Shared {
    fn new(partitions: i32, ledger: Arc<Ledger>) -> Shared {
        let partition = |_| Partition { highest: AtomicI64::new(-1), since: AtomicU64::new(0) };
        Shared {
            partitions: (0..partitions).map(partition).collect(),
            ledger,
            counting: AtomicBool::new(false),
            paused: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
            again: AtomicU64::new(0),
        }
    }

    fn begin(&self, now: u64) {
        self.partitions.iter().for_each(|partition| partition.since.store(now, Relaxed));
        self.counting.store(true, Relaxed);
    }

    /// Somebody received `offset`.
    fn progress(&self, partition: usize, offset: i64, due: Option<u64>, now: u64) {
        let partition = &self.partitions[partition];
        if partition.highest.fetch_max(offset, Relaxed) >= offset {
            self.again.fetch_add(u64::from(self.counting.load(Relaxed)), Relaxed);
            return;
        }
        if let Some(due) = due {
            self.ledger.is_received(due, now);
        }
        let since = partition.since.swap(now, Relaxed);
        self.pause(now.saturating_sub(since));
    }

    /// The window is over: what stands still now has paused up to here.
    fn end(&self, now: u64) {
        for partition in &self.partitions {
            self.pause(now.saturating_sub(partition.since.load(Relaxed)));
        }
        self.counting.store(false, Relaxed);
    }

    fn pause(&self, time: u64) {
        if time > PAUSE_MIN && self.counting.load(Relaxed) {
            self.paused.fetch_add(time, Relaxed);
            self.longest.fetch_max(time, Relaxed);
            self.pauses.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_progress() {
        let shared = Shared::new(2, Arc::new(Ledger::new()));
        shared.progress(0, 7, None, SECOND);
        shared.begin(10 * SECOND);
        shared.progress(0, 8, None, 10 * SECOND + SECOND / 2);
        shared.progress(0, 7, None, 12 * SECOND);
        shared.progress(0, 8, None, 13 * SECOND);
        assert_eq!(shared.pauses.load(Relaxed), 0, "what is read again neither ends a pause nor is one");
        shared.progress(0, 9, None, 14 * SECOND);
        shared.end(16 * SECOND);
        assert_eq!(shared.again.load(Relaxed), 2);
        assert_eq!(shared.pauses.load(Relaxed), 3);
        assert_eq!(shared.paused.load(Relaxed), 3 * SECOND + SECOND / 2 + 2 * SECOND + 6 * SECOND);
        assert_eq!(shared.longest.load(Relaxed), 6 * SECOND, "a partition that nobody reads");
    }
}
