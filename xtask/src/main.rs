//! The project's own chores: `cargo xtask <chore>`.
#![allow(clippy::disallowed_methods, reason = "a program beside the broker: its disk is the developer's")]

use std::process::ExitCode;

use xtask::{bench, codegen, docs, prove};

const HELP: &str = "usage: cargo xtask <chore>

  bench      measure Ailurus beside Apache Kafka and the null broker, or `bench WORKLOAD...`; `bench --help` says how
  codegen    write crates/wire/src/generated from the message table in crates/wire/messages
  docs       write docs/reference from the settings that crates/settings declares
  prove      run the long proof, or `prove STEP...`, and write docs/proof.md (hours)";

fn main() -> ExitCode {
    let chores: Vec<String> = std::env::args().skip(1).collect();
    let done = match chores.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bench", ..] => bench::bench(&chores[1..]),
        ["codegen"] => codegen::write(&codegen::wire_crate()),
        ["docs"] => docs::write(&docs::folder()),
        ["prove", ..] => prove::prove(&docs::folder(), &chores[1..]),
        _ => Err(HELP.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}
