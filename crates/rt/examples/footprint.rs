//! What an idle machine holds: `cargo run --release -p ailurus-rt --example footprint -- 4 5000`
//!
//! Prints resident memory before the start, with that many shards, and with that many idle connections (both ends are
//! in this process), and the CPU time of one idle second.
#![allow(clippy::disallowed_methods, reason = "a measuring program beside the broker")]

use ailurus_rt as rt;
use rt::{Abort, Config, Conn, Group, Listener};
use std::net::SocketAddr;
use std::time::Duration;

fn main() -> Result<(), rt::Error> {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse().unwrap_or(0));
    let (shards, connections) = (numbers.next().unwrap_or(4), numbers.next().unwrap_or(1000));
    println!("before the start: {} KiB", resident_kib());
    rt::run(Config { shards, ..Config::default() }, move || async move {
        println!("{shards} shards on {}: {} KiB", rt::backend(), resident_kib());
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port");
        let addr = listener.local_addr();
        let stop = Abort::new();
        let serve = |conn: Conn| async move {
            let (mut rx, _tx) = conn.split();
            while let Ok(Some(_)) = rx.read(4).await {}
        };
        rt::spawn(Group::Kafka, listener.serve(stop.clone(), serve)).detach();
        let mut open = Vec::new();
        for _ in 0..connections {
            match Conn::connect(addr).await {
                Ok(conn) => open.push(conn),
                Err(error) => {
                    println!("no more: {error}");
                    break;
                }
            }
        }
        rt::sleep(Duration::from_millis(500)).await;
        println!("{} idle connections: {} KiB", open.len(), resident_kib());
        let begun = cpu_ticks();
        rt::sleep(Duration::from_secs(5)).await;
        println!("CPU in 5 idle seconds: {} ms", (cpu_ticks() - begun) * 10);
        stop.request();
    })
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// User and system time of the process, in hundredths of a second.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum()
}
