//! Configuration file, environment and flags into layers. Whoever mistyped a name is told where, and what is near.

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::registry::{self, nearest};
use crate::{BrokerSettings, Invalid, Layer};

/// Why the broker cannot start with these settings.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum StartupError {
    /// There is no such setting.
    #[error("unknown setting {name}{hint}")]
    Unknown {
        /// What was written.
        name: String,
        /// What may have been meant, as the end of a sentence.
        hint: String,
    },
    /// The setting does not take this value.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// `--set` without a `=`.
    #[error("\"{0}\" is not of the form NAME=VALUE")]
    NotAPair(String),
    /// The file is not TOML.
    #[error("{message}{hint}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// What may be the reason.
        hint: &'static str,
    },
    /// A value in the file is of a kind that no setting has.
    #[error("{name} cannot be {kind}")]
    Shape {
        /// The setting.
        name: String,
        /// What TOML calls the value.
        kind: &'static str,
    },
    /// Any of the above, at its place.
    #[error("{place}: {error}")]
    At {
        /// `file:line`, or the name of the variable.
        place: String,
        /// What is wrong there.
        error: Box<StartupError>,
    },
}

impl StartupError {
    /// The error for a name that no broker setting has.
    pub(crate) fn unknown(name: &str) -> Self {
        let hint = match registry::topic(name).map(|row| row.broker) {
            Some([]) => "; topics have it, brokers do not".to_owned(),
            Some([(default, _), ..]) => format!("; topics have it, the broker's default for it is {default}"),
            None => match nearest(name, registry::broker_settings()) {
                Some(near) => format!("; did you mean {near}?"),
                None => String::new(),
            },
        };
        StartupError::Unknown { name: name.to_owned(), hint }
    }

    fn at(self, place: impl Into<String>) -> Self {
        StartupError::At { place: place.into(), error: Box::new(self) }
    }
}

/// What stands before every setting in the environment.
const PREFIX: &str = "AILURUS_";

impl BrokerSettings {
    /// Takes `NAME=VALUE`, as after `--set`.
    pub fn set_pair(&mut self, pair: &str) -> Result<(), StartupError> {
        let (name, value) = pair.split_once('=').ok_or_else(|| StartupError::NotAPair(pair.to_owned()))?;
        self.set(Layer::Flags, name.trim(), value)
    }

    /// Takes what begins with `AILURUS_`: `AILURUS_NUM_PARTITIONS` is `num.partitions`. Variables in `others` belong to
    /// someone else (the command line's own flags). A variable that names no setting is given back with what is near:
    /// it may be a typo, but Kubernetes puts names such as `AILURUS_PORT` there for every service called `ailurus`.
    ///
    /// # Errors
    /// A setting that does not take its value.
    pub fn load_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
        others: &[&str],
    ) -> Result<Vec<StartupError>, StartupError> {
        let mut strangers = Vec::new();
        for (variable, value) in variables {
            if let Some(name) = variable.strip_prefix(PREFIX).filter(|_| !others.contains(&&*variable)) {
                let name = name.to_ascii_lowercase().replace('_', ".");
                match self.set(Layer::Environment, &name, &value) {
                    Err(unknown @ StartupError::Unknown { .. }) => strangers.push(unknown.at(&variable)),
                    set => set.map_err(|error| error.at(&variable))?,
                }
            }
        }
        Ok(strangers)
    }

    /// Takes a configuration file in TOML: `num.partitions = 4`, `"num.partitions" = 4` and `[num]` with `partitions = 4`
    /// are the same. `file` is its name, for messages.
    pub fn load_file(&mut self, file: &str, bytes: &[u8]) -> Result<(), StartupError> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let line = line_of(bytes, error.valid_up_to());
            StartupError::Syntax { message: "not UTF-8".into(), hint: "" }.at(format!("{file}:{line}"))
        })?;
        let table = DeTable::parse(text).map_err(|error| {
            let line = line_of(bytes, error.span().map_or(0, |span| span.start));
            syntax(error.message()).at(format!("{file}:{line}"))
        })?;
        let mut found = Vec::new();
        flatten("", table.get_ref(), &mut found);
        found.sort_by_key(|(_, value)| value.span().start);
        for (name, value) in found {
            let line = line_of(bytes, value.span().start);
            text_of(&name, value.get_ref())
                .and_then(|text| self.set(Layer::File, &name, &text))
                .map_err(|error| error.at(format!("{file}:{line}")))?;
        }
        Ok(())
    }
}

/// TOML takes `a.b = 1` and `a.b.c = 2` for one key that is both a number and a table; Kafka has such names.
fn syntax(message: &str) -> StartupError {
    let clash = message.contains("duplicate key") || message.contains("dotted key");
    let hint = if clash { r#"; where one name begins another, quote them: "max.connections" = 100"# } else { "" };
    StartupError::Syntax { message: message.to_owned(), hint }
}

/// The leaves of the file, each under its whole name.
fn flatten<'t, 'i>(prefix: &str, table: &'t DeTable<'i>, found: &mut Vec<(String, &'t Spanned<DeValue<'i>>)>) {
    for (key, value) in table.iter() {
        let name = if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(&name, inner, found),
            _ => found.push((name, value)),
        }
    }
}

/// A value as the text that its setting checks.
fn text_of(name: &str, value: &DeValue<'_>) -> Result<String, StartupError> {
    let shape = |kind| StartupError::Shape { name: name.to_owned(), kind };
    Ok(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => number.as_str().to_owned(),
        },
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| text_of(name, item.get_ref())).collect();
            items?.join(",")
        }
        DeValue::Datetime(_) => return Err(shape("a date")),
        // Only empty ones come here; a misspelt section would otherwise go unseen.
        DeValue::Table(_) => return Err(StartupError::unknown(name)),
    })
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].iter().filter(|&&byte| byte == b'\n').count() + 1
}
