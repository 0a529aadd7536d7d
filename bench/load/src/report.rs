//! The result as a file, and the marks on standard output.

use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Writes `result` to `path`.
pub(crate) fn write(path: &Path, result: &Value) -> Result<(), String> {
    let text = format!("{result}\n");
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// The lines by which others know when to look at the broker.
pub(crate) struct Marks {
    pub(crate) print: bool,
}

impl Marks {
    pub(crate) fn begin(&self) {
        self.say("window begins");
    }

    pub(crate) fn end(&self) {
        self.say("window ends");
    }

    fn say(&self, mark: &str) {
        if self.print {
            println!("{mark}");
            // Whoever reads the marks may be gone; the measurement is worth its file all the same.
            _ = std::io::stdout().flush();
        }
    }
}
