//! What a row of the tables is, and how the text of a value is checked against it.

use std::fmt;

use thiserror::Error;

/// One knob.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Kafka's name where Kafka has it, else dotted lower case. Unique among topic settings and among broker settings.
    pub name: &'static str,
    /// How its text is read.
    pub kind: Kind,
    /// What the number counts.
    pub unit: Unit,
    /// The default as text; none for settings that may be unset. For topic settings with `broker` names, the last of
    /// those has this default.
    pub default: Option<&'static str>,
    /// What is allowed beyond the type.
    pub valid: Valid,
    /// Who may set it, and when it takes effect.
    pub scope: Scope,
    /// False if it is only stored and shown: Kafka's tools set and read it, and nothing here depends on it.
    pub active: bool,
    /// Whether Kafka 4 no longer has it: accepted and stored, shown only where it is set.
    pub legacy: bool,
    /// Topic settings: the broker settings that are its default, best first, and how many of the topic's units are in
    /// one of theirs.
    pub broker: &'static [(&'static str, i64)],
    /// Broker settings: other names that count where this one is not set, best first, and their units as in `broker`.
    pub synonyms: &'static [(&'static str, i64)],
    /// A value one might set.
    pub example: &'static str,
    /// What it does.
    pub doc: &'static str,
}

impl Setting {
    /// What rows are filled up from.
    pub const fn blank(scope: Scope) -> Setting {
        Setting {
            name: "",
            kind: Kind::String,
            unit: Unit::None,
            default: None,
            valid: Valid::Any,
            scope,
            active: true,
            legacy: false,
            broker: &[],
            synonyms: &[],
            example: "",
            doc: "",
        }
    }

    /// The text in the form it is kept in, if it is a value of this setting.
    pub fn check(&self, text: &str) -> Result<String, Invalid> {
        let text = text.trim();
        let refuse = |reason: String| Invalid { name: self.name.to_owned(), value: self.shown(text), reason };
        if text.len() > VALUE_BYTES_MAX {
            return Err(refuse(format!("has {} bytes, at most {VALUE_BYTES_MAX} are kept", text.len())));
        }
        match self.kind {
            Kind::Boolean => {
                let lower = text.to_ascii_lowercase();
                if lower != "true" && lower != "false" {
                    return Err(refuse("must be true or false".into()));
                }
                self.valid.check_text(&lower).map_err(refuse)?;
                Ok(lower)
            }
            Kind::Int | Kind::Short | Kind::Long => {
                let number: i64 = text.parse().map_err(|_| refuse(format!("not a number of type {}", self.kind)))?;
                let (min, max) = self.kind.range();
                if number < min || number > max {
                    return Err(refuse(format!("not a number of type {}", self.kind)));
                }
                self.valid.check_number(number).map_err(refuse)?;
                Ok(number.to_string())
            }
            Kind::Double => {
                let number: f64 = text.parse().map_err(|_| refuse("not a number of type DOUBLE".into()))?;
                self.valid.check_double(number).map_err(refuse)?;
                Ok(text.to_owned())
            }
            Kind::String | Kind::Class | Kind::Password => {
                self.valid.check_text(text).map_err(refuse)?;
                Ok(text.to_owned())
            }
            Kind::List => {
                let parts: Vec<_> = list(text).collect();
                parts.iter().try_for_each(|part| self.valid.check_text(part)).map_err(refuse)?;
                Ok(parts.join(","))
            }
        }
    }

    /// As [`Setting::check`], and sizes and times may be written with a unit (`64MiB`, `7d`): for people, not clients.
    pub fn check_human(&self, text: &str) -> Result<String, Invalid> {
        match self.unit.read(text.trim()) {
            Some(number) => self.check(&number.to_string()),
            None => self.check(text),
        }
    }

    /// Whether values must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    fn shown(&self, value: &str) -> String {
        if self.is_sensitive() { "[hidden]".to_owned() } else { excerpt(value) }
    }
}

/// The longest text that is kept as a value: every value is in the memory of every shard and in the controller's log, and this
/// is what DescribeConfigs can answer in all of its versions.
pub const VALUE_BYTES_MAX: usize = i16::MAX as usize;

/// What an error quotes of a text that a client sent: enough to recognise it.
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

const QUOTED_CHARS_MAX: usize = 200;

/// The parts of a LIST.
pub(crate) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// Kafka's ConfigDef types. The numbers are those of DescribeConfigs (KIP-569).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Text.
    String = 2,
    /// 32 bits.
    Int = 3,
    /// 16 bits.
    Short = 4,
    /// 64 bits.
    Long = 5,
    /// A floating point number.
    Double = 6,
    /// Texts with commas between them.
    List = 7,
    /// The name of a class.
    Class = 8,
    /// A secret: never shown.
    Password = 9,
}

impl Kind {
    /// The number on the wire.
    pub fn code(self) -> i8 {
        self as i8
    }

    fn range(self) -> (i64, i64) {
        match self {
            Kind::Short => (i64::from(i16::MIN), i64::from(i16::MAX)),
            Kind::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Boolean => "BOOLEAN",
            Kind::String => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        })
    }
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Nothing, or things.
    None,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

impl Unit {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Unit::None => "",
            Unit::Bytes => "bytes",
            Unit::Milliseconds => "ms",
            Unit::Minutes => "minutes",
            Unit::Hours => "hours",
        }
    }

    /// A number with a unit behind it, in this unit: `64MiB`, `1.5h` is not one.
    fn read(self, text: &str) -> Option<i64> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, suffix) = text.split_at(digits);
        let factor: i64 = match (self, suffix.trim().to_ascii_lowercase().as_str()) {
            (Unit::Bytes, "k" | "kb" | "kib") => 1 << 10,
            (Unit::Bytes, "m" | "mb" | "mib") => 1 << 20,
            (Unit::Bytes, "g" | "gb" | "gib") => 1 << 30,
            (Unit::Bytes, "t" | "tb" | "tib") => 1 << 40,
            (Unit::Milliseconds, "ms") => 1,
            (Unit::Milliseconds, "s") => 1000,
            (Unit::Milliseconds, "m" | "min") => 60_000,
            (Unit::Milliseconds, "h") => 3_600_000,
            (Unit::Milliseconds, "d") => 86_400_000,
            _ => return None,
        };
        number.parse::<i64>().ok()?.checked_mul(factor)
    }
}

/// What is allowed beyond the type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Valid {
    /// Everything.
    Any,
    /// Not below.
    AtLeast(i64),
    /// Both included.
    Between(i64, i64),
    /// This number, or one between the others (both included).
    ExactlyOrBetween(i64, i64, i64),
    /// One of these texts; for lists, each element.
    OneOf(&'static [&'static str]),
    /// Listeners: `NAME://host:port`, commas between them; the host may be empty. See [`crate::Endpoint`].
    Listeners,
    /// Not empty.
    NotEmpty,
}

impl Valid {
    fn check_number(self, number: i64) -> Result<(), String> {
        match self {
            Valid::AtLeast(min) if number < min => Err(format!("must be at least {min}")),
            Valid::Between(min, max) if number < min || number > max => Err(format!("must be from {min} to {max}")),
            Valid::ExactlyOrBetween(only, min, max) if number != only && (number < min || number > max) => {
                Err(format!("must be {only}, or from {min} to {max}"))
            }
            _ => Ok(()),
        }
    }

    fn check_double(self, number: f64) -> Result<(), String> {
        match self {
            Valid::Between(min, max) if !(min as f64..=max as f64).contains(&number) => {
                Err(format!("must be from {min} to {max}"))
            }
            Valid::AtLeast(min) if number.is_nan() || number < min as f64 => Err(format!("must be at least {min}")),
            _ => Ok(()),
        }
    }

    fn check_text(self, text: &str) -> Result<(), String> {
        match self {
            Valid::OneOf(allowed) if !allowed.contains(&text) => Err(format!("must be one of {}", allowed.join(", "))),
            Valid::NotEmpty if text.is_empty() => Err("must not be empty".into()),
            Valid::Listeners => crate::Endpoint::parse_all(text).map(drop),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Valid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Valid::Any => Ok(()),
            Valid::AtLeast(min) => write!(f, "at least {min}"),
            Valid::Between(min, max) => write!(f, "{min} to {max}"),
            Valid::ExactlyOrBetween(only, min, max) => write!(f, "{only}, or {min} to {max}"),
            Valid::OneOf(allowed) => f.write_str(&allowed.join(", ")),
            Valid::Listeners => f.write_str("NAME://host:port, ..."),
            Valid::NotEmpty => f.write_str("not empty"),
        }
    }
}

/// Who may set a setting, and when it takes effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Per topic, over the API; at once.
    Topic,
    /// Per broker or for all, over the API; at once. Also by file, environment and flags.
    BrokerDynamic,
    /// By file, environment and flags; at the next start. Kafka calls it read-only.
    BrokerStatic,
}

/// A value that its setting does not take.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("Invalid value {value} for configuration {name}: {reason}")]
pub struct Invalid {
    /// The setting.
    pub name: String,
    /// What was given; hidden if it is a secret.
    pub value: String,
    /// What is wrong with it.
    pub reason: String,
}
