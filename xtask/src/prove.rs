//! The long proof: what CI runs for a minute runs here for as long as it takes, and what came of it is written down with the
//! commit, in `docs/proof.md`. What a step says is in `target/prove/STEP.log` while it runs and after.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// One thing that is shown.
struct Step {
    name: &'static str,
    about: &'static str,
    /// Program and arguments; the first words may be `NAME=value`.
    command: &'static str,
    /// Minutes after which it hangs, and is ended with all it started: some times what it takes on a small machine.
    minutes_max: u64,
    /// What is worth keeping of the output.
    summary: fn(&str) -> String,
}

const STEPS: &[Step] = &[
    Step {
        name: "seeds",
        about: "every test, the simulated ones with a hundred times as many seeds (thousands each), property tests with 10,000 cases",
        command: "AILURUS_SIM_TIMES=100 PROPTEST_CASES=10000 cargo test --release --tests",
        minutes_max: 240,
        summary: tests,
    },
    Step {
        name: "crash",
        about: "100 times kill -9 under idempotent producers and a group; every acknowledged record once, in order, with its content",
        command: "compat/run --full crash crash-shards",
        minutes_max: 120,
        summary: last_line,
    },
    Step {
        name: "clients",
        about: "the main Kafka clients, unmodified",
        command: "compat/run kcat confluent kafka-python aiokafka kafkajs franz-go rdkafka java",
        minutes_max: 60,
        summary: last_line,
    },
    Step {
        name: "librdkafka",
        about: "librdkafka's own tests, one process each",
        command: "compat/run --full librdkafka",
        minutes_max: 120,
        summary: last_suite,
    },
    Step {
        name: "fuzz",
        about: "each fuzz target for ten minutes",
        command: "fuzz/smoke 600",
        minutes_max: 60,
        summary: fuzzed,
    },
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
    // Before the page is written, which would make every tree a dirty one.
    let commit = commit(&repository())?;
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)) {
        let log = logs()?.join(format!("{}.log", step.name));
        // `timeout` takes no variables before its command, `env` does.
        let command = format!("timeout --kill-after=30 {}m env {}", step.minutes_max, step.command);
        eprintln!("{}: {}\n  $ {}\n  > {}", step.name, step.about, step.command, log.display());
        let began = Instant::now();
        let (code, output) = run(&command, &log)?;
        let result = result(step, code, &output);
        eprintln!("  {result}");
        write(&docs.join("proof.md"), step, &result, began.elapsed(), &commit)?;
        if code != Some(0) {
            eprintln!("{output}");
            failed.push(step.name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// What the page says of a step.
fn result(step: &Step, code: Option<i32>, output: &str) -> String {
    match code {
        Some(0) => (step.summary)(output),
        Some(124 | 137) => format!("**failed**: it was not done after {} min", step.minutes_max),
        _ => "**failed**".to_owned(),
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn logs() -> Result<PathBuf, String> {
    let dir = repository().join("target").join("prove");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(dir)
}

/// The commit that is checked out, and whether the tree has anything that is not in it, the page itself aside.
fn commit(repository: &Path) -> Result<String, String> {
    let git = |arguments: &[&str]| {
        let out = Command::new("git").args(arguments).current_dir(repository).output();
        let out = out.map_err(|error| format!("git: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    };
    let commit = git(&["describe", "--always"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs/proof.md"])?;
    Ok(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// Runs a program, its output into `log`; gives its exit code and what it said. A file rather than a pipe, which whatever
/// the program left running would keep open.
fn run(command: &str, log: &Path) -> Result<(Option<i32>, String), String> {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let failed = |error: std::io::Error| format!("{}: {error}", log.display());
    let out = File::create(log).map_err(failed)?;
    let mut child = Command::new(program);
    child.args(words).current_dir(repository()).stdin(Stdio::null());
    child.stdout(out.try_clone().map_err(failed)?).stderr(out);
    let status = child.status().map_err(|error| format!("{program}: {error}"))?;
    let said = std::fs::read(log).map_err(failed)?;
    Ok((status.code(), String::from_utf8_lossy(&said).into_owned()))
}

fn write(page: &Path, step: &Step, result: &str, took: Duration, commit: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", page.display());
    let before = if page.exists() { std::fs::read_to_string(page).map_err(failed)? } else { String::new() };
    let own = format!("| {} |", step.name);
    let mut rows: Vec<String> =
        before.lines().filter(|line| is_row(line) && !line.starts_with(&own)).map(str::to_owned).collect();
    let date = today()?;
    let minutes = took.as_secs().div_ceil(60);
    rows.push(format!("{own} {} | `{}` | {result} | {minutes} min | {commit} | {date} |", step.about, step.command));
    let place = |row: &String| STEPS.iter().position(|step| row.starts_with(&format!("| {} |", step.name)));
    rows.sort_by_key(place);
    std::fs::write(page, format!("{HEAD}{}\n", rows.join("\n"))).map_err(failed)
}

fn is_row(line: &str) -> bool {
    STEPS.iter().any(|step| line.starts_with(&format!("| {} |", step.name)))
}

fn today() -> Result<String, String> {
    let out = Command::new("date").args(["-u", "+%F"]).output().map_err(|error| format!("date: {error}"))?;
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
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
    fn a_step_that_fails_or_hangs_is_said_to() {
        let fuzz = STEPS.iter().find(|step| step.name == "fuzz").expect("it is a step");
        let output = "stat::number_of_executed_units: 5\n==1== ERROR: libFuzzer: deadly signal\n";
        assert_eq!(result(fuzz, Some(0), output), "5 executions, no finding");
        assert_eq!(result(fuzz, Some(1), output), "**failed**");
        assert_eq!(result(fuzz, Some(124), output), "**failed**: it was not done after 60 min");
        assert_eq!(result(fuzz, None, output), "**failed**");
    }

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("ailurus-prove-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a folder for the test");
        dir
    }

    #[test]
    fn a_command_may_begin_with_variables_and_has_a_limit() {
        let dir = folder("run");
        let (code, output) = run("timeout 60 env A=1 B=2 env", &dir.join("log")).expect("env is everywhere");
        assert!(code == Some(0) && output.contains("A=1\n") && output.contains("B=2\n"));
        let (code, _) = run("timeout 0.1 env sleep 60", &dir.join("log")).expect("so is sleep");
        assert_eq!(code, Some(124));
        let (code, _) = run("false", &dir.join("log")).expect("so is false");
        assert_eq!(code, Some(1));
        std::fs::remove_dir_all(dir).expect("it is ours");
    }

    #[test]
    fn the_page_itself_makes_no_tree_dirty() {
        let dir = folder("commit");
        let git = |words: &str| {
            let done = Command::new("git").args(words.split(' ')).current_dir(&dir).output().expect("git is here");
            assert!(done.status.success(), "{words}: {done:?}");
        };
        std::fs::create_dir_all(dir.join("docs")).expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("a file");
        write("docs/proof.md", "a");
        write("code", "a");
        for words in ["init -q", "add .", "-c user.name=a -c user.email=a@b commit -q -m a"] {
            git(words);
        }
        write("docs/proof.md", "b");
        let clean = commit(&dir).expect("it is a repository");
        assert!(!clean.ends_with("-dirty"), "{clean}");
        write("code", "b");
        assert_eq!(commit(&dir).expect("as before"), format!("{clean}-dirty"));
        std::fs::remove_dir_all(dir).expect("it is ours");
    }

    #[test]
    fn an_unknown_step_is_named_with_the_known_ones() {
        let refused = prove(Path::new("nowhere"), &["seed".to_owned()]).expect_err("there is no such step");
        assert!(refused.starts_with("no step seed; there are: seeds, crash"), "{refused}");
    }
}
