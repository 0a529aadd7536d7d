//! Journal flushes for 1,000 partitions x 4 KiB with acks=all, from franz-go, which puts all partitions into one request.

use std::path::Path;
use std::process::Command;

use ailurus_wire::Str;

use crate::Context;
use crate::broker::{Broker, fresh_directory};
use crate::client::Client;
use crate::report::Row;

const PARTITIONS: i32 = 1000;
const FLUSHES_MAX: u64 = 20;
const FLUSHES: &str = "ailurus_journal_flushes_total";
const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/franz");

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    let program = build(context)?;
    let directory = fresh_directory(context, "flushes")?;
    let mut broker = Broker::start(context, &directory, &[])?;
    let topic = Str::from_static("wide");
    Client::connect_when_up(&mut broker)?.create_topic(&topic, PARTITIONS)?;

    let before = broker.counter(FLUSHES)?;
    let out = Command::new(&program)
        .args([&broker.kafka.to_string(), topic.as_str(), &PARTITIONS.to_string(), "4096"])
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let flushes = broker.counter(FLUSHES)? - before;
    let said = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if !out.status.success() {
        return Err(format!("franz-go: {said} {}", String::from_utf8_lossy(&out.stderr)));
    }
    let ends =
        Client::connect(broker.kafka)?.ends(&topic, PARTITIONS)?.map_err(|code| format!("ListOffsets: {code:?}"))?;
    if ends.iter().any(|end| *end != 1) {
        return Err("not every partition has its one record".to_owned());
    }
    let result = format!("{flushes} flushes ({said})");
    Ok(vec![Row::counted(
        "1,000 partitions x 4 KiB, acks=all: journal flushes",
        "<= 20",
        result,
        flushes <= FLUSHES_MAX,
    )])
}

fn build(context: &Context) -> Result<std::path::PathBuf, String> {
    let program = std::path::absolute(context.scratch.join("franz")).map_err(|error| error.to_string())?;
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(PROGRAM))
        .output()
        .map_err(|error| format!("go build: {error}"))?;
    if !built.status.success() {
        return Err(format!("go build: {}", String::from_utf8_lossy(&built.stderr)));
    }
    Ok(program)
}
