//! `cargo xtask codegen`: from the message table of `crates/wire/messages` to `crates/wire/src/generated`.
//!
//! - [`table`]: reads the table (its grammar is in the folder's README).
//! - [`rust`]: writes one module per API.
//! - [`index`]: writes what is about all APIs: the `ApiKey` enum and the list of modules.

pub mod index;
pub mod rust;
pub mod table;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A file to be written: its name in the folder, and its text before formatting.
pub type Generated = (String, String);

/// Where the wire crate lies.
pub fn wire_crate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wire")
}

/// Reads the table and makes all files in memory, unformatted.
///
/// # Errors
/// A sentence that names the file and line that cannot be understood.
pub fn generate(wire: &Path) -> Result<Vec<Generated>, String> {
    let apis = table::load(&wire.join("messages"))?;
    let mut files: Vec<Generated> =
        apis.iter().map(|api| (format!("{}.rs", api.module()), rust::module(api))).collect();
    files.push(("api_key.rs".into(), index::api_key(&apis)));
    files.push(("mod.rs".into(), index::modules(&apis)));
    Ok(files)
}

/// Makes all files, formats them and puts them in place; files of APIs that left the table are removed.
///
/// # Errors
/// As [`generate`], and when rustfmt or the disk fails.
pub fn write(wire: &Path) -> Result<(), String> {
    let files = generate(wire)?;
    let folder = wire.join("src/generated");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    for stale in list(&folder)?.iter().filter(|name| !files.iter().any(|file| file.0 == **name)) {
        fs::remove_file(folder.join(stale)).map_err(|e| format!("{stale}: {e}"))?;
    }
    for (name, text) in files {
        let path = folder.join(name);
        let text = rustfmt(wire, &text).map_err(|e| format!("{}: {e}", path.display()))?;
        fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

/// Compares what is checked in with what the table says now. Formatting is left out of it, so that the test needs no
/// rustfmt: that the files are formatted is for `cargo fmt --check`.
///
/// # Errors
/// Names the first file that differs.
pub fn check(wire: &Path) -> Result<(), String> {
    let files = generate(wire)?;
    let folder = wire.join("src/generated");
    let stale = |name: &str| format!("src/generated/{name} is not what the table says: run `cargo xtask codegen`");
    for (name, text) in &files {
        let found = fs::read_to_string(folder.join(name)).map_err(|e| format!("{name}: {e}"))?;
        if bare(&found) != bare(text) {
            return Err(stale(name));
        }
    }
    match list(&folder)?.iter().find(|name| !files.iter().any(|file| file.0 == **name)) {
        Some(left_over) => Err(stale(left_over)),
        None => Ok(()),
    }
}

/// A text without what rustfmt moves: white space, commas and the braces around single expressions.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !",{}".contains(*c)).collect()
}

fn list(folder: &Path) -> Result<Vec<String>, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    entries
        .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(|e| e.to_string()))
        .collect()
}

fn rustfmt(wire: &Path, text: &str) -> Result<String, String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout", "--config-path"])
        .arg(wire.join("../../rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("rustfmt: {e}"))?;
    let mut input = child.stdin.take().expect("stdin is piped");
    input.write_all(text.as_bytes()).map_err(|e| format!("rustfmt: {e}"))?;
    drop(input);
    let output = child.wait_with_output().map_err(|e| format!("rustfmt: {e}"))?;
    if !output.status.success() {
        return Err(format!("rustfmt refused the generated code:\n{text}"));
    }
    String::from_utf8(output.stdout).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_checked_in_is_what_the_table_says() {
        check(&wire_crate()).unwrap();
    }
}
