//! Finding rows by name.
//!
//! The broker's defaults behind topic settings are not in the tables: `log.retention.ms`, `log.retention.minutes` and
//! `log.retention.hours` follow from the row of `retention.ms`, and aliases such as `broker.id` from the row that
//! names them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::setting::{Kind, Scope, Setting, Unit};
use crate::table::accepted::{BROKER_ACCEPTED, TOPIC_ACCEPTED};
use crate::table::broker::BROKER;
use crate::table::topic::TOPIC;

type Rows = BTreeMap<&'static str, Setting>;

static TOPIC_ROWS: LazyLock<Rows> =
    LazyLock::new(|| TOPIC.iter().chain(TOPIC_ACCEPTED).map(|row| (row.name, *row)).collect());

static BROKER_ROWS: LazyLock<Rows> = LazyLock::new(|| {
    let own = BROKER.iter().chain(BROKER_ACCEPTED);
    let aliases = own.clone().flat_map(aliases);
    let defaults = TOPIC_ROWS.values().flat_map(defaults);
    own.copied().chain(aliases).chain(defaults).map(|row| (row.name, row)).collect()
});

/// The topic setting of this name.
pub fn topic(name: &str) -> Option<&'static Setting> {
    TOPIC_ROWS.get(name)
}

/// The broker setting of this name.
pub fn broker(name: &str) -> Option<&'static Setting> {
    BROKER_ROWS.get(name)
}

/// All topic settings, by name.
pub fn topic_settings() -> impl Iterator<Item = &'static Setting> {
    TOPIC_ROWS.values()
}

/// All broker settings, by name; those behind topic settings among them.
pub fn broker_settings() -> impl Iterator<Item = &'static Setting> {
    BROKER_ROWS.values()
}

/// The name of a setting that someone who wrote `name` may have meant. Comparing costs the product of the lengths, so a text
/// that is far longer than any name is not compared.
pub fn nearest(name: &str, among: impl Iterator<Item = &'static Setting>) -> Option<&'static str> {
    if name.len() > TYPO_BYTES_MAX {
        return None;
    }
    let typos = |row: &Setting| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), row.name);
    let (distance, row) = among.map(|row| (typos(row), row)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(name.len() / 4)).then_some(row.name)
}

/// Above any name by more than typos.
const TYPO_BYTES_MAX: usize = 120;

/// The rows of the broker settings behind one topic setting: the first can be changed live, the last has the default.
fn defaults(of: &'static Setting) -> Vec<Setting> {
    let last = of.broker.len().saturating_sub(1);
    let row = |(at, &(name, factor)): (usize, &(&'static str, i64))| Setting {
        name,
        kind: if factor == 1 { of.kind } else { Kind::Int },
        unit: match factor {
            60_000 => Unit::Minutes,
            3_600_000 => Unit::Hours,
            _ => of.unit,
        },
        default: of.default.filter(|_| at == last).map(|text| unscaled(text, factor)),
        valid: of.valid,
        scope: if at == 0 { Scope::BrokerDynamic } else { Scope::BrokerStatic },
        active: of.active,
        legacy: false,
        broker: &[],
        synonyms: leak(of.broker[at + 1..].iter().map(|(name, coarser)| (*name, coarser / factor)).collect()),
        example: unscaled(of.example, factor),
        doc: String::leak(format!("For topics that do not set `{}`. {}", of.name, of.doc)),
    };
    of.broker.iter().enumerate().map(row).collect()
}

/// The rows of the other names of a broker setting: each counts where the setting itself is not set.
fn aliases(of: &Setting) -> Vec<Setting> {
    let row = |&(name, _): &(&'static str, i64)| Setting {
        name,
        default: None,
        synonyms: leak(vec![(of.name, 1)]),
        doc: String::leak(format!("Another name of `{}`, which goes first. {}", of.name, of.doc)),
        ..*of
    };
    of.synonyms.iter().map(row).collect()
}

fn unscaled(text: &'static str, factor: i64) -> &'static str {
    match text.parse::<i64>() {
        Ok(number) if factor != 1 => String::leak((number / factor).to_string()),
        _ => text,
    }
}

/// Rows live as long as the process, and are made once.
fn leak<T>(rows: Vec<T>) -> &'static [T] {
    Vec::leak(rows)
}
