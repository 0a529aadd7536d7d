//! What a command found, for people and for programs: tables and facts as text, or one JSON value.
//!
//! Rendering is pure; only [`Output::show`] writes. On a terminal tables have rules, elsewhere they are bare columns
//! that `awk` and `cut` understand.

use std::io::{self, IsTerminal, Write};

use comfy_table::{CellAlignment, Table as Drawn, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::fault::Fault;

/// What `--format` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables and sentences for people.
    Table,
    /// One JSON value for programs.
    Json,
}

/// A piece of a report for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    /// A sentence on a line of its own.
    Line(String),
    /// Names and values, one pair per line.
    Facts(Vec<(&'static str, String)>),
    /// Columns with a heading. A heading that starts with `#` is for numbers, which stand on the right.
    Table { headings: Vec<&'static str>, rows: Vec<Vec<String>> },
}

impl Section {
    pub(crate) fn line(text: impl Into<String>) -> Section {
        Section::Line(text.into())
    }
}

/// Where reports go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: Format,
    terminal: bool,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Output { format, terminal: io::stdout().is_terminal() }
    }

    pub(crate) fn is_json(self) -> bool {
        self.format == Format::Json
    }

    /// Writes the JSON or the sections, whichever was asked for.
    pub(crate) fn show(self, json: &Value, sections: &[Section]) -> Result<(), Fault> {
        let text = match self.format {
            Format::Json => format!("{json:#}\n"),
            Format::Table => render(sections, self.terminal),
        };
        print(text.as_bytes())
    }

    /// A progress bar on standard error, drawn only if that is a terminal and the report is for people.
    pub(crate) fn progress(self, total: Option<u64>, unit: &'static str) -> ProgressBar {
        if self.is_json() || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let (bar, template) = match total {
            Some(total) => (ProgressBar::new(total), "{bar:32} {pos}/{len} {msg} ({per_sec}, {eta} left)"),
            None => (ProgressBar::new_spinner(), "{spinner} {pos} {msg} ({per_sec})"),
        };
        let style = ProgressStyle::with_template(template).expect("the templates are constants");
        bar.with_style(style).with_message(unit)
    }
}

/// Writes to standard output. A reader that went away (`| head`) has enough, which is no reason for the verb to do less, nor
/// for a failure to pass for a success.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Fault> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Fault::local(format!("cannot write to standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to standard error. If nobody reads that either, there is nobody left to tell.
pub(crate) fn tell(line: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The text of a report, each section apart from the next by an empty line where tables or facts are involved.
pub(crate) fn render(sections: &[Section], terminal: bool) -> String {
    let mut out = String::new();
    for (place, section) in sections.iter().enumerate() {
        let lines = matches!(section, Section::Line(_)) && place > 0 && matches!(sections[place - 1], Section::Line(_));
        if place > 0 && !lines {
            out.push('\n');
        }
        match section {
            Section::Line(line) => out.push_str(line),
            Section::Facts(facts) => out.push_str(&render_facts(facts)),
            Section::Table { headings, rows } => out.push_str(&render_table(headings, rows, terminal)),
        }
        out.push('\n');
    }
    out
}

fn render_facts(facts: &[(&'static str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

fn render_table(headings: &[&'static str], rows: &[Vec<String>], terminal: bool) -> String {
    let mut table = Drawn::new();
    table.load_style(if terminal { presets::UTF8_HORIZONTAL_ONLY } else { presets::NOTHING });
    table.set_header(headings.iter().map(|heading| heading.trim_start_matches('#')));
    for row in rows {
        assert_eq!(row.len(), headings.len(), "a row has a cell for each heading");
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    for (place, heading) in headings.iter().enumerate() {
        let column = table.column_mut(place).expect("there is a column for each heading");
        column.set_padding((0, 2));
        if heading.starts_with('#') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Names come from the network: a control character must not reach the terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Vec<Section> {
        vec![
            Section::line("2 topics"),
            Section::line("on one broker"),
            Section::Facts(vec![("cluster", "abc".into()), ("id", "7".into())]),
            Section::Table {
                headings: vec!["TOPIC", "#PARTITIONS"],
                rows: vec![vec!["orders".into(), "12".into()], vec!["a\u{1b}[31m".into(), "3".into()]],
            },
        ]
    }

    #[test]
    fn text_for_a_pipe() {
        let expected = "\
2 topics
on one broker

cluster  abc
id       7

TOPIC        PARTITIONS
orders               12
a\\u{1b}[31m           3
";
        assert_eq!(render(&sections(), false), expected);
    }

    #[test]
    fn text_for_a_terminal_has_rules() {
        let text = render(&sections()[3..], true);
        assert!(text.starts_with('─'), "{text}");
        assert!(text.contains("orders"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
    }
}
