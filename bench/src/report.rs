//! What was measured, on the screen and in docs/benchmarks.md.

use std::path::Path;
use std::process::Command;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benchmarks.md");
const BEGIN: &str = "<!-- figures: written by bench/run -->";
const END: &str = "<!-- end of figures -->";

/// One line of the table.
pub(crate) struct Row {
    what: String,
    goal: String,
    result: String,
    /// Whether the goal is reached. Without a goal: yes.
    pub(crate) met: bool,
    /// A count or a size: the same on every machine, so that it may be judged anywhere. Times may not.
    pub(crate) counted: bool,
}

impl Row {
    /// A figure that depends on the machine and on what else runs there.
    pub(crate) fn timed(what: impl Into<String>, goal: &str, result: String, met: bool) -> Row {
        Row { what: what.into(), goal: goal.to_owned(), result, met, counted: false }
    }

    /// A figure that does not.
    pub(crate) fn counted(what: impl Into<String>, goal: &str, result: String, met: bool) -> Row {
        Row { counted: true, ..Row::timed(what, goal, result, met) }
    }

    fn verdict(&self) -> &'static str {
        match (self.goal.is_empty(), self.met) {
            (true, _) => "",
            (false, true) => "reached",
            (false, false) => "not reached",
        }
    }
}

/// The table for people.
pub(crate) fn print(rows: &[(&str, Row)]) {
    for (figure, row) in rows {
        println!("{figure:10}  {}\n            {}   goal: {} {}", row.what, row.result, row.goal, row.verdict());
    }
}

/// Puts these rows into the page; rows of figures that were not measured now stay as they are.
pub(crate) fn write(rows: &[(&str, Row)]) -> Result<(), String> {
    let page = std::fs::read_to_string(PAGE).map_err(|error| format!("{PAGE}: {error}"))?;
    let (head, rest) = page.split_once(BEGIN).ok_or(format!("{PAGE} has no line {BEGIN}"))?;
    let (table, tail) = rest.split_once(END).ok_or(format!("{PAGE} has no line {END}"))?;
    let mut lines: Vec<String> = table.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    lines.retain(|line| !rows.iter().any(|(figure, _)| line.starts_with(&format!("| `bench/run {figure}`"))));
    let (when, commit) = (said("date", &["-u", "+%F"]), said("git", &["describe", "--always", "--dirty"]));
    for (figure, row) in rows {
        let Row { what, goal, result, .. } = row;
        lines.push(format!(
            "| `bench/run {figure}` | {what} | {goal} | {result} | {} | {commit} | {when} |",
            row.verdict()
        ));
    }
    let table = format!(
        "\n{}\n\n| command | figure | goal | measured | | commit | date |\n|---|---|---|---|---|---|---|\n{}\n",
        machine(),
        lines.join("\n")
    );
    std::fs::write(PAGE, format!("{head}{BEGIN}{table}{END}{tail}")).map_err(|error| format!("{PAGE}: {error}"))
}

/// Processor, cores, memory, kernel, file system.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let memory = read("/proc/meminfo");
    let kibibytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let file_system = said("stat", &["-f", "-c", "%T", "."]);
    format!(
        "Machine: {} x {}, {} GiB, Linux {}, {}.",
        cores,
        model.trim_start_matches(['\t', ' ', ':']),
        kibibytes >> 20,
        said("uname", &["-r"]),
        file_system,
    )
}

/// What a program prints, or a question mark.
fn said(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program).args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output();
    out.ok()
        .filter(|out| out.status.success())
        .map_or("?".to_owned(), |out| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
