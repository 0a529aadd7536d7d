//! The figures that the broker has to reach, each measured from outside: a started binary, raw or public clients, /proc
//! and /metrics. `bench/run --list` names them.
//!
//! In reading order: [`broker`] (the program under test), [`client`] (a raw client), [`figures`], [`report`].
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a program beside the broker, on real time")]

mod broker;
mod client;
mod figures;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

/// What a figure may use.
pub(crate) struct Context {
    /// The `ailurus` binary.
    pub(crate) binary: PathBuf,
    /// A folder for data directories and logs.
    pub(crate) scratch: PathBuf,
    /// Everything small, in a minute or two.
    pub(crate) smoke: bool,
}

impl Context {
    /// The long or the short form of a number.
    pub(crate) fn pick<T>(&self, full: T, smoke: T) -> T {
        if self.smoke { smoke } else { full }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, String> {
    let mut context = Context { binary: PathBuf::new(), scratch: PathBuf::new(), smoke: false };
    let mut wanted = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--list" => {
                figures::ALL.iter().for_each(|figure| println!("{:14} {}", figure.name, figure.about));
                return Ok(true);
            }
            "--smoke" => context.smoke = true,
            "--default-bin" if context.binary.as_os_str().is_empty() => context.binary = value()?.into(),
            "--bin" => context.binary = value()?.into(),
            "--scratch" => context.scratch = value()?.into(),
            name => wanted.push(figures::named(name)?),
        }
    }
    if wanted.is_empty() {
        wanted.extend(&figures::ALL);
    }
    std::fs::create_dir_all(&context.scratch).map_err(|error| format!("{}: {error}", context.scratch.display()))?;

    let mut rows = Vec::new();
    let mut failed = false;
    for figure in wanted {
        eprintln!("{}: {}", figure.name, figure.about);
        match (figure.measure)(&context) {
            Ok(found) => rows.extend(found.into_iter().map(|row| (figure.name, row))),
            Err(reason) => {
                eprintln!("{} failed: {reason}", figure.name);
                failed = true;
            }
        }
    }
    report::print(&rows);
    if !context.smoke {
        report::write(&rows)?;
    }
    let exceeded = rows.iter().any(|(_, row)| row.counted && !row.met);
    Ok(!failed && !exceeded)
}
