//! Micro benches that count instructions. `bench/micro/run` runs each case under callgrind, holds the counts against
//! `docs/benchmarks/instructions.md`, and fails where one has become worse.
//!
//! `ailurus-micro CASE` prepares, warms up, calls [`count_begins`], does its operations, calls [`count_ends`], and prints
//! how many operations that were. Callgrind forgets what was before the first and writes down what it has at the second
//! (`--zero-before`, `--dump-before`), so a count and its profile hold the operations and nothing else; what prepares may
//! be as long as it likes.
//!
//! Whatever needs a disk or a second shard is on the simulated machine: one thread, a virtual clock, everything from one
//! seed, no system call that valgrind would have to know. So a count repeats to the instruction, on any machine whose
//! processor offers the same extensions (valgrind shows a processor of its own, not the machine's). The simulated
//! machine's own work (its choices, its pages) is part of a count; it is the same for everybody.
//!
//! What is not in a count: sockets, system calls, caches that miss, anything that costs time without being an instruction.
//! Background work is kept out on purpose ([`broker::storage`]): whether a drain falls among the operations or just
//! after them would otherwise decide over a count.
//!
//! Why not gungraun (once iai-callgrind), which does all this and more: it wants a runner of exactly its version installed
//! beside cargo, and keeps the figures that it compares with under `target/`; we want them checked in, and a fresh clone to
//! compare.
//!
//! Reading order: here the table of cases; [`cases`] what each does; [`broker`] a broker on the simulated machine.
#![allow(clippy::disallowed_methods, reason = "a program beside the broker")]

mod broker;
mod cases;
mod journal;

use std::hint::black_box;
use std::process::ExitCode;

/// Name, what one operation is, and what does them: it gives how many it did between [`count_begins`] and [`count_ends`].
type Case = (&'static str, &'static str, fn() -> u64);

const CASES: &[Case] = &[
    ("produce", "Produce, acks=all, 1 batch of 16 records of 1 KiB, until the answer", || cases::produce(1, 1)),
    ("produce-100", "the same with 100 partitions on 2 shards", || cases::produce(100, 2)),
    ("fetch", "Fetch of 1 partition with 16 KiB in memory", || cases::fetch(1, 1)),
    ("fetch-100", "the same of 100 partitions on 2 shards", || cases::fetch(100, 2)),
    (
        "fetch-idle",
        "Fetch in a session of 1,000 partitions on 2 shards: waits 500 ms, nothing is new",
        cases::fetch_idle,
    ),
    ("metadata-1000", "Metadata of 1,000 topics of 1 partition", cases::metadata),
    ("crossing", "a call to another shard and back, one at a time", || cases::crossing(1)),
    ("crossing-64", "the same with 64 under way, per call", || cases::crossing(64)),
    ("journal", "an append of a batch of 4 KiB until it is durable", || journal::append(1)),
    ("journal-100", "the same in 100 logs at once, in one commit", || journal::append(100)),
    ("drain", "1 MiB of batches of 16 KiB from memory into a segment", journal::drain),
    ("validation", "proof of a batch of 16 records of 1 KiB", cases::validation),
];

/// The simulated machine of every case has this seed.
const SEED: u64 = 1;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => {
            for (name, operation, _) in CASES {
                println!("{name}\t{operation}");
            }
            ExitCode::SUCCESS
        }
        [wanted] if let Some((.., case)) = CASES.iter().find(|(name, ..)| *name == wanted) => {
            println!("{}", case());
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: ailurus-micro CASE | --list       (bench/micro/run is what you are looking for)");
            ExitCode::from(2)
        }
    }
}

/// Callgrind knows it by its name: what was before is not counted.
#[inline(never)]
fn count_begins() {
    black_box("begins");
}

/// Callgrind knows it by its name: what comes after is not counted.
#[inline(never)]
fn count_ends() {
    black_box("ends");
}
