//! `ailurus-load`: the load that `cargo xtask bench` puts on a broker, and the clock that judges it.
//!
//! What it is: producers and consumers of librdkafka, unmodified, driven in an *open loop*: a record is due at a time that
//! the rate alone fixes, whether or not the broker keeps up, and latency is counted from there. Waiting in a full queue is
//! therefore part of it (no coordinated omission). What did not come back ten seconds after the window is `lost`, and
//! enters the histograms with the age it has by then. `--rate 0` is a closed loop: due is when it is handed over.
//!
//! What it is not: a tool to find out what a client can do. Its own cost is measured beside (`cpu_seconds`), since a
//! throughput counts only while the core of the load is not the limit. Payloads do not compress. Records of a run that
//! others made, older than its window, count as received and never as latency.
//!
//! In reading order: [`schedule`] (when records are due), [`clock`], [`client`] (librdkafka's settings), [`create`],
//! [`ledger`] (what was due, acknowledged, received in the window), [`latency`], [`producer`], [`consumer`], [`run`],
//! [`members`], [`report`].
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program beside the broker, on real time")]

mod client;
mod clock;
mod consumer;
mod create;
mod latency;
mod ledger;
mod members;
mod producer;
mod report;
mod run;
mod schedule;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Puts a load on a Kafka broker and measures what it does to it.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a topic, or several, and wait until all partitions have a leader.
    Create(create::Create),
    /// Produce and consume for a while, and write what it took.
    Run(run::Run),
    /// A group whose members come and go while records flow: for how long does consumption pause?
    Members(members::Members),
}

/// Whom a command talks to.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// Bootstrap address: HOST:PORT.
    #[arg(long)]
    pub(crate) brokers: String,
    /// Name of the topic.
    #[arg(long)]
    pub(crate) topic: String,
    /// How many partitions it has.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: i32,
}

/// What every command that measures takes.
#[derive(Args, Clone)]
pub(crate) struct Measure {
    /// A setting of librdkafka for all clients, such as linger.ms=1. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = client::setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Print a line where the measured window begins and where it ends.
    #[arg(long)]
    pub(crate) marks: bool,
    /// Where to write the result (JSON).
    #[arg(long)]
    pub(crate) out: PathBuf,
}

/// Which group protocol members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// JoinGroup and SyncGroup.
    Classic,
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Create(create) => create.carry_out(),
        Command::Run(run) => run.carry_out(),
        Command::Members(members) => members.carry_out(),
    };
    // librdkafka takes its time to part from a broker that is gone, and all is written: nothing is left to be dropped.
    std::process::exit(match done {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("ailurus-load: {reason}");
            1
        }
    })
}
