//! What may stand in a source file.

use std::path::{Path, PathBuf};

use crate::repository::{files, no_complaints, read, short};

/// Longer, and a file holds more than one thing.
const LINES_MAX: usize = 900;

/// Crates whose job includes what the compiler cannot prove.
const UNSAFE_ALLOWED: [&str; 2] = ["crates/rt/", "crates/base/"];

/// A proof belongs right above what it proves.
const PROOF_LINES: usize = 12;

fn generated(path: &Path) -> bool {
    short(path).contains("/generated/")
}

/// Rust files, but for this folder: it spells out what it forbids.
fn rust_files() -> Vec<PathBuf> {
    files(&[".rs"]).into_iter().filter(|path| !short(path).starts_with("xtask/tests/house/")).collect()
}

/// Lines of code, numbered from one: no comments, no documentation.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn complain_of(forbidden: &[&str], allowed: impl Fn(&Path) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in rust_files().into_iter().filter(|path| !allowed(path)) {
        for (number, line) in code(&read(&path)) {
            if let Some(found) = forbidden.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{number}: {found}", short(&path)));
            }
        }
    }
    complaints
}

#[test]
fn unsafe_stands_in_two_crates_only() {
    let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe(", "(unsafe_code"];
    let complaints = complain_of(&words, |path| UNSAFE_ALLOWED.iter().any(|folder| short(path).starts_with(folder)));
    no_complaints("only rt and base may hold unsafe code", &complaints);
}

#[test]
fn unsafe_carries_its_proof() {
    let mut complaints = Vec::new();
    let mut blocks = 0;
    for path in rust_files() {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in code(&text) {
            // A function without a name is a type.
            if !["unsafe {", "unsafe impl", "unsafe fn ", "unsafe extern"].iter().any(|word| line.contains(word)) {
                continue;
            }
            blocks += 1;
            let above = &lines[number.saturating_sub(PROOF_LINES + 1)..number];
            // What a function asks of its callers stands in its documentation.
            if !above.iter().any(|line| line.contains("SAFETY:") || line.contains("/// # Safety")) {
                complaints.push(format!("{}:{number}", short(&path)));
            }
        }
    }
    assert!(blocks > 0, "rt has unsafe blocks: the test does not see them");
    no_complaints("unsafe code has a `SAFETY:` comment right above it", &complaints);
}

#[test]
fn only_rt_knows_that_there_is_a_simulated_machine() {
    let words = ["feature = \"sim\"", "cfg(sim)"];
    let complaints = complain_of(&words, |path| short(path).starts_with("crates/rt/"));
    no_complaints("the same program runs on both machines: only rt is built differently", &complaints);
}

/// Where a door may be gone round (`clippy.toml`), beside tests, examples and the project's own chores. Each place says why.
const DOORS: [&str; 9] = [
    "crates/rt/src/",
    "crates/base/src/hash.rs",
    // A thread beside the shards.
    "crates/admin/src/server.rs",
    // Before there is a reactor, and what no door is for.
    "crates/ailurus/src/boot.rs",
    "crates/ailurus/src/memory.rs",
    "crates/ailurus/src/metrics.rs",
    "crates/ailurus/src/start.rs",
    // A program on a terminal.
    "crates/ailurus/src/produce.rs",
    "xtask/",
];

#[test]
fn doors_are_gone_round_in_known_places_only() {
    let test = |path: &Path| short(path).contains("/tests/") || short(path).contains("/examples/");
    let known = |path: &Path| test(path) || DOORS.iter().any(|door| short(path).starts_with(door));
    let outside = |path: &Path| ["bench/", "compat/", "fuzz/"].iter().any(|folder| short(path).starts_with(folder));
    let complaints = complain_of(&["clippy::disallowed_"], |path| known(path) || outside(path));
    no_complaints("a new place that goes round a door is named in DOORS", &complaints);
}

#[test]
fn files_hold_one_thing() {
    let sources = files(&[".rs", ".py", ".sh", ".go", ".java", ".js", ".mjs", ".ts", "run"]);
    let long = sources.iter().filter(|path| !generated(path)).map(|path| (read(path).lines().count(), path));
    let complaints: Vec<String> = long
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| format!("{}: {lines} lines", short(path)))
        .collect();
    no_complaints(&format!("a file has at most {LINES_MAX} lines"), &complaints);
}

#[test]
fn nothing_is_left_undone() {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "dbg!("];
    no_complaints("no stub, no ignored test, no traces", &complain_of(&words, |_| false));
}
