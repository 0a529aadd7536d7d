//! The `ailurus` binary: the broker, and the command line for people.
//!
//! It decides nothing about data: it reads settings and flags, boots the crates below in order, and shows what a
//! [`ailurus_client::Client`] brings. Every verb family is one module whose reports are pure functions from what was
//! found to text and JSON.
//!
//! What always holds: reports go to standard output, everything else to standard error; a failure is a sentence with a
//! hint and an exit code of its class ([`fault`]); tables have rules and bars move only on a terminal.
//!
//! Reading order: [`cli`] (what can be said), [`fault`], [`report`], [`session`] (what every verb has); [`units`],
//! [`position`], [`template`], [`message`], [`resolve`] (the words of the verbs); the verbs [`topic`], [`group`],
//! [`produce`], [`consume`], [`cluster`], [`config`], [`doctor`]; the broker: [`start`], [`boot`], [`memory`], [`banner`],
//! [`metrics`].

mod banner;
mod boot;
mod cli;
mod cluster;
mod config;
mod consume;
mod doctor;
mod fault;
mod group;
mod memory;
mod message;
mod metrics;
mod position;
mod produce;
mod report;
mod resolve;
mod session;
mod start;
mod template;
mod topic;
mod units;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use cli::{Cli, Command};

/// What one shard frees of another's memory goes home without a lock: the C library's allocator would take one, and have
/// the two wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    log_to_stderr(global.verbose, matches!(command, Command::Start(_)));
    match command {
        Command::Start(start) => start::run(&global, &start),
        Command::Doctor(doctor) => doctor::run(&global, doctor),
        Command::Topic(verb) => session::run(global, async move |session| verb.run(&session).await),
        Command::Group(verb) => session::run(global, async move |session| verb.run(&session).await),
        Command::Produce(verb) => session::run(global, async move |session| verb.run(&session).await),
        Command::Consume(verb) => session::run(global, async move |session| verb.run(&session).await),
        Command::Cluster(verb) => session::run(global, async move |session| verb.run(&session).await),
        Command::Config(verb) => session::run(global, async move |session| verb.run(&session).await),
    }
}

/// A broker tells what happens, a verb only what goes wrong. `AILURUS_LOG` overrides both.
fn log_to_stderr(verbose: u8, broker: bool) {
    let level = match verbose + u8::from(broker) {
        // A verb that prints a lot, or to a slow reader, keeps its only shard busy; that is nobody's concern.
        0 => "warn,ailurus_rt=off",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let asked = std::env::var("AILURUS_LOG").ok();
    let filter = EnvFilter::new(asked.as_deref().unwrap_or(level));
    let ansi = std::io::stderr().is_terminal();
    // A log that nobody reads is no reason to end: without the last word, a failed write would be told by a panic.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi);
    log.log_internal_errors(false).init();
}
