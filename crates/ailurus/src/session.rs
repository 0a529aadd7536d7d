//! What every verb that talks to a broker has: a client, and a place for its report. And how such a verb is run.

use std::process::ExitCode;

use ailurus_client::{Client, ClientConfig};
use ailurus_rt as rt;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::fault::Fault;
use crate::report::{Output, Section, tell};

/// Memory for the answers under way.
const MEMORY_BYTES: u64 = 256 << 20;

/// A verb's surroundings.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
}

impl Session {
    fn new(global: &Global) -> Session {
        let config = ClientConfig {
            bootstrap: global.bootstrap.clone(),
            client_id: "ailurus-cli".to_owned(),
            timeout: global.timeout,
            ..ClientConfig::default()
        };
        Session { client: Client::new(config), output: Output::new(global.format) }
    }
}

/// Runs a verb on one shard and says how it went.
pub(crate) fn run<F>(global: Global, verb: F) -> ExitCode
where
    F: AsyncFnOnce(Session) -> Result<(), Fault> + Send + 'static,
{
    finish(on_one_shard(async move || verb(Session::new(&global)).await))
}

/// Runs something on one shard that leaves the machine to others.
pub(crate) fn on_one_shard<F>(main: F) -> Result<(), Fault>
where
    F: AsyncFnOnce() -> Result<(), Fault> + Send + 'static,
{
    let config = rt::Config { shards: 1, memory: MEMORY_BYTES, pin: false, ..rt::Config::small() };
    match rt::run(config, move || async move { main().await }) {
        Ok(outcome) => outcome,
        Err(error) => {
            Err(Fault::local(format!("the reactor cannot start: {error}")).hint("`ailurus doctor` looks why"))
        }
    }
}

/// Says what went wrong and gives the exit code.
pub(crate) fn finish(outcome: Result<(), Fault>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tell(&fault);
            fault.exit_code()
        }
    }
}

/// Reports on many things, each of which went well or not: a line for each success, the faults together.
pub(crate) fn show_outcomes(output: Output, outcomes: Vec<(Value, Result<String, Fault>)>) -> Result<(), Fault> {
    let mut lines = Vec::new();
    let mut values = Vec::new();
    let mut faults = Vec::new();
    for (mut value, outcome) in outcomes {
        match outcome {
            Ok(line) => lines.push(Section::line(line)),
            Err(fault) => {
                value["error"] = json!(fault.to_string());
                faults.push(fault);
            }
        }
        values.push(value);
    }
    if !lines.is_empty() || output.is_json() {
        output.show(&Value::Array(values), &lines)?;
    }
    // The last fault is what the program ends with; those before are said here.
    let last = faults.pop();
    faults.iter().for_each(|fault| tell(fault));
    last.map_or(Ok(()), Err)
}
