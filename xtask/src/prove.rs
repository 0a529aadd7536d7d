//! The long proof: what CI runs for a minute runs here for as long as it takes, and what came of it is written down with the
//! commit, in `docs/proof.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One thing that is shown.
struct Step {
    name: &'static str,
    about: &'static str,
    /// Program and arguments; the first words may be `NAME=value`.
    command: &'static str,
    /// What is worth keeping of the output.
    summary: fn(&str) -> String,
}

const STEPS: &[Step] = &[
    Step {
        name: "seeds",
        about: "every test, the simulated ones with a hundred times as many seeds (thousands each), property tests with 10,000 cases",
        command: "AILURUS_SIM_TIMES=100 PROPTEST_CASES=10000 cargo test --release --tests",
        summary: tests,
    },
    Step {
        name: "crash",
        about: "100 times kill -9 under idempotent producers and a group; every acknowledged record once, in order, with its content",
        command: "compat/run --full crash crash-shards",
        summary: last_line,
    },
    Step {
        name: "clients",
        about: "the main Kafka clients, unmodified",
        command: "compat/run kcat confluent kafka-python aiokafka kafkajs franz-go rdkafka java",
        summary: last_line,
    },
    Step {
        name: "librdkafka",
        about: "librdkafka's own tests, one process each",
        command: "compat/run --full librdkafka",
        summary: last_suite,
    },
    Step { name: "fuzz", about: "each fuzz target for ten minutes", command: "fuzz/smoke 600", summary: fuzzed },
];

const HEAD: &str = "# Proof

What was shown the long way, by `cargo xtask prove`, and for which commit. CI runs short forms of the same for every change
(`bash .ci/run`). A row stays until its step is run again.

| step | what | command | result | took | commit | date |
|---|---|---|---|---|---|---|
";

/// Runs the steps of these names, or all, and writes the page. The error names what failed.
pub fn prove(docs: &Path, names: &[String]) -> Result<(), String> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
        return Err(format!("no step {unknown}; there are: {}", known.join(", ")));
    }
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)) {
        eprintln!("{}: {}\n  $ {}", step.name, step.about, step.command);
        let began = Instant::now();
        let (passed, output) = run(step.command)?;
        let result = if passed { (step.summary)(&output) } else { "**failed**".to_owned() };
        eprintln!("  {result}");
        write(&docs.join("proof.md"), step, &result, began.elapsed())?;
        if !passed {
            eprintln!("{output}");
            failed.push(step.name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether it passed, and what it printed.
fn run(command: &str) -> Result<(bool, String), String> {
    let words: Vec<&str> = command.split(' ').collect();
    let variables = words.iter().take_while(|word| word.contains('=')).count();
    let mut child = Command::new(words[variables]);
    child.args(&words[variables + 1..]).current_dir(repository()).stdin(Stdio::null());
    child.envs(words[..variables].iter().filter_map(|pair| pair.split_once('=')));
    let out = child.output().map_err(|error| format!("{}: {error}", words[variables]))?;
    let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((out.status.success(), text))
}

fn write(page: &Path, step: &Step, result: &str, took: Duration) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", page.display());
    let before = if page.exists() { std::fs::read_to_string(page).map_err(failed)? } else { String::new() };
    let own = format!("| {} |", step.name);
    let mut rows: Vec<String> =
        before.lines().filter(|line| is_row(line) && !line.starts_with(&own)).map(str::to_owned).collect();
    let (commit, date) = (said("git describe --always --dirty")?, said("date -u +%F")?);
    let minutes = took.as_secs().div_ceil(60);
    rows.push(format!("{own} {} | `{}` | {result} | {minutes} min | {commit} | {date} |", step.about, step.command));
    let place = |row: &String| STEPS.iter().position(|step| row.starts_with(&format!("| {} |", step.name)));
    rows.sort_by_key(place);
    std::fs::write(page, format!("{HEAD}{}\n", rows.join("\n"))).map_err(failed)
}

fn is_row(line: &str) -> bool {
    STEPS.iter().any(|step| line.starts_with(&format!("| {} |", step.name)))
}

fn said(command: &str) -> Result<String, String> {
    let (passed, output) = run(command)?;
    if passed { Ok(output.trim().to_owned()) } else { Err(format!("{command}: {output}")) }
}

/// The sum of what `cargo test` counted.
fn tests(output: &str) -> String {
    let passed = |line: &str| line.strip_prefix("test result: ok. ")?.split(' ').next()?.parse::<u64>().ok();
    format!("{} tests passed", output.lines().filter_map(passed).sum::<u64>())
}

fn last_line(output: &str) -> String {
    output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// The line of the suite that ran last: it says more than the count of suites behind it.
fn last_suite(output: &str) -> String {
    output.lines().rfind(|line| line.contains(" ok, ")).map_or_else(|| last_line(output), |line| line.trim().to_owned())
}

/// Executions of all targets, and that none failed.
fn fuzzed(output: &str) -> String {
    let executed = |line: &str| line.strip_prefix("stat::number_of_executed_units:")?.trim().parse::<u64>().ok();
    format!("{} executions, no finding", output.lines().filter_map(executed).sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_take_what_is_worth_keeping() {
        assert_eq!(tests("test result: ok. 3 passed; 0 failed\nx\ntest result: ok. 4 passed;"), "7 tests passed");
        assert_eq!(last_line("a\n8 passed, 0 failed\n\n"), "8 passed, 0 failed");
        assert_eq!(
            last_suite("librdkafka ok, 60 s: 70 of 80 tests\n1 passed, 0 failed\n"),
            "librdkafka ok, 60 s: 70 of 80 tests"
        );
        let output = "stat::number_of_executed_units: 5\nstat::number_of_executed_units: 6\n";
        assert_eq!(fuzzed(output), "11 executions, no finding");
    }

    #[test]
    fn a_command_may_begin_with_variables() {
        let (passed, output) = run("A=1 B=2 env").expect("env is everywhere");
        assert!(passed && output.contains("A=1\n") && output.contains("B=2\n"));
    }

    #[test]
    fn an_unknown_step_is_named_with_the_known_ones() {
        let refused = prove(Path::new("nowhere"), &["seed".to_owned()]).expect_err("there is no such step");
        assert!(refused.starts_with("no step seed; there are: seeds, crash"), "{refused}");
    }
}
