//! `ailurus-null`: the null broker, the limit that this machine sets for a broker on `ailurus-rt`.
//!
//! What it is: it receives produce requests, checks each batch's CRC, copies the batch into memory from which fetches are
//! served and from there into an aligned block, writes that into one file that was laid out and written before (direct
//! I/O, used as a ring), and acknowledges. Class D flushes before it acknowledges, once for all that arrived meanwhile
//! (group commit); class R acknowledges at once and writes in the background. Fetches wait as they ask to.
//!
//! What it is not: a broker. No replication, no index, no segments, no recovery (what is written is never read), no
//! admission, no groups, no transactions, no look at records or sequence numbers. Memory is a ring: the oldest batches
//! are forgotten, and the log's start moves. The file's bytes are nothing that anybody could read back.
//!
//! Shards share nothing: each is a machine of its own, with its own port (the given one, and those that follow), shown to
//! clients as a node of its own that leads every N-th partition. So nothing ever crosses.
//!
//! In reading order: [`node`] (one shard), [`topics`] (which topics there are: the only thing that shards share),
//! [`partition`] and [`memory`] (what fetches are served from), [`commit`] and [`disk`] (how batches get there and onto
//! the disk), [`connection`], [`answer`] (requests), [`produce`], [`fetch`].
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program beside the broker")]

mod answer;
mod commit;
mod connection;
mod disk;
mod fetch;
mod memory;
mod node;
mod partition;
mod produce;
mod topics;

use ailurus_rt::{self as rt, Config};
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use crate::topics::Registry;

/// Answers like a broker and does nothing but the least: the limit of this machine.
#[derive(Parser, Clone)]
#[command(version)]
struct Cli {
    /// Where to listen; further shards take the ports that follow. Port 0 takes free ones.
    #[arg(long)]
    listen: SocketAddr,
    /// What an acknowledgement promises.
    #[arg(long, value_enum)]
    class: Class,
    /// The file that is written to. What is in it is lost.
    #[arg(long)]
    file: PathBuf,
    /// Size of the file, in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(16..))]
    file_mib: u64,
    /// Memory from which fetches are served, in MiB.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u64).range(16..))]
    memory_mib: u64,
    /// How many shards.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    shards: u16,
}

/// The class of durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Class {
    /// Flushed before it is acknowledged.
    D,
    /// Acknowledged from memory, written in the background, never flushed.
    R,
}

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let registry = Arc::new(Registry::default());
    let (said, says) = mpsc::channel();
    for shard in 0..cli.shards {
        let (cli, registry, said) = (cli.clone(), registry.clone(), said.clone());
        std::thread::spawn(move || {
            // Nobody asks for admission here; a part of it is how many bytes of free buffers a shard keeps for the next.
            let config = Config { shards: 1, memory: (4 << 30) / u64::from(cli.shards), ..Config::default() };
            let on = said.clone();
            let run = move || rt::run(config, move || node::serve(cli, shard, registry, on));
            // A null broker of which a shard is gone measures nothing: all of it ends.
            let error = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                Ok(Ok(Ok(()))) => "it stopped".to_owned(),
                Ok(Ok(Err(error))) => error,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it panicked".to_owned(),
            };
            // Nobody listens once main has ended, and then it does not matter.
            _ = said.send(Err(format!("shard {shard}: {error}")));
        });
    }
    match announce(&cli, &registry, &says) {
        Err(reason) => {
            eprintln!("ailurus-null: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Says where it listens once all shards do; comes back only when one of them has failed.
fn announce(
    cli: &Cli,
    registry: &Registry,
    says: &mpsc::Receiver<Result<(u16, SocketAddr), String>>,
) -> Result<std::convert::Infallible, String> {
    let mut addrs = vec![None; usize::from(cli.shards)];
    while addrs.contains(&None) {
        let (shard, addr) = says.recv().expect("main holds a sender")?;
        addrs[usize::from(shard)] = Some(addr);
    }
    let addrs: Vec<SocketAddr> = addrs.into_iter().flatten().collect();
    let first = addrs[0];
    registry.nodes.set(addrs).expect("set once");
    println!("listening on {first}");
    loop {
        says.recv().expect("main holds a sender")?;
    }
}
