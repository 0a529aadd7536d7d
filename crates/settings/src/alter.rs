//! IncrementalAlterConfigs (KIP-339) and AlterConfigs as pure functions: what is set and what is asked for give what
//! will be set, or Kafka's error; nothing in between.

use std::collections::BTreeSet;

use thiserror::Error;

use crate::broker::chain;
use crate::registry::{self, nearest};
use crate::setting::{Kind, Scope, Setting, excerpt, list};
use crate::{BrokerSettings, Invalid, Texts, TopicOverrides, topic};

/// What to do with one setting. The numbers are those of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Set it.
    Set = 0,
    /// Take away what is set.
    Delete = 1,
    /// Add to a list what is not in it.
    Append = 2,
    /// Take from a list.
    Subtract = 3,
}

impl Operation {
    /// From the number on the wire.
    pub fn from_code(code: i8) -> Result<Operation, AlterError> {
        Ok(match code {
            0 => Operation::Set,
            1 => Operation::Delete,
            2 => Operation::Append,
            3 => Operation::Subtract,
            unknown => return Err(AlterError::InvalidRequest(format!("Unknown operation type {unknown}"))),
        })
    }
}

/// One change that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alteration {
    /// The setting.
    pub name: String,
    /// What to do with it.
    pub operation: Operation,
    /// The value; none only for [`Operation::Delete`].
    pub value: Option<String>,
}

/// Why nothing of what was asked for is done. The text is for the client.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AlterError {
    /// INVALID_CONFIG (40).
    #[error("{0}")]
    InvalidConfig(String),
    /// INVALID_REQUEST (42).
    #[error("{0}")]
    InvalidRequest(String),
}

impl AlterError {
    /// Kafka's error code.
    pub fn code(&self) -> i16 {
        match self {
            AlterError::InvalidConfig(_) => 40,
            AlterError::InvalidRequest(_) => 42,
        }
    }
}

impl From<Invalid> for AlterError {
    fn from(invalid: Invalid) -> Self {
        AlterError::InvalidConfig(invalid.to_string())
    }
}

/// A topic's overrides after these changes.
pub fn alter_topic(
    current: &TopicOverrides,
    changes: &[Alteration],
    broker: &BrokerSettings,
) -> Result<TopicOverrides, AlterError> {
    check_distinct(changes.iter().map(|change| &*change.name))?;
    let mut altered = current.clone();
    for change in changes {
        let row = registry::topic(&change.name).ok_or_else(|| topic::unknown(&change.name, change.shown()))?;
        let in_force = || altered.synonyms(row, broker).into_iter().next().map(|(_, value)| value);
        match apply(row, change, in_force)? {
            Some(value) => altered.set(row.name, &value)?,
            None => altered.remove(row.name),
        }
    }
    altered.check_with(broker)?;
    Ok(altered)
}

/// A topic's overrides after AlterConfigs, which replaces them all. A value that is none is an error.
pub fn replace_topic(
    pairs: &[(String, Option<String>)],
    broker: &BrokerSettings,
) -> Result<TopicOverrides, AlterError> {
    alter_topic(&TopicOverrides::default(), &as_sets(pairs), broker)
}

/// Which brokers an alteration is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Brokers {
    /// The one whose settings are given.
    This,
    /// All of them: the broker named "".
    All,
}

/// What is set on `brokers` over the API, after these changes to `current`. `broker` is what holds on this one before them.
pub fn alter_broker(
    brokers: Brokers,
    current: &Texts,
    changes: &[Alteration],
    broker: &BrokerSettings,
) -> Result<Texts, AlterError> {
    check_distinct(changes.iter().map(|change| &*change.name))?;
    let behind = match brokers {
        Brokers::This => broker.clone(),
        // What one broker has for itself says nothing about all.
        Brokers::All => broker.with_own(Texts::new()),
    };
    let mut altered = current.clone();
    for change in changes {
        let row = registry::broker(&change.name).ok_or_else(|| unknown(&change.name))?;
        if row.scope != Scope::BrokerDynamic {
            return Err(AlterError::InvalidRequest(format!(
                "Cannot update {} without a restart of the broker",
                row.name
            )));
        }
        let in_force = || match altered.get(row.name) {
            Some(value) => Some(value.clone()),
            None => behind.candidates(&chain(row)).into_iter().next().map(|candidate| candidate.value),
        };
        match apply(row, change, in_force)? {
            Some(value) => altered.insert(row.name.to_owned(), row.check(&value)?),
            None => altered.remove(row.name),
        };
    }
    let then = match brokers {
        Brokers::This => broker.with_own(altered.clone()),
        Brokers::All => broker.with_cluster(altered.clone()),
    };
    then.check().map_err(|error| AlterError::InvalidConfig(error.to_string()))?;
    Ok(altered)
}

/// What is set on `brokers` over the API after AlterConfigs, which replaces it all.
pub fn replace_broker(
    brokers: Brokers,
    pairs: &[(String, Option<String>)],
    broker: &BrokerSettings,
) -> Result<Texts, AlterError> {
    alter_broker(brokers, &Texts::new(), &as_sets(pairs), broker)
}

/// The text after one change; none if the setting is to be unset. `in_force` is what lists start from.
fn apply(
    row: &Setting,
    change: &Alteration,
    in_force: impl FnOnce() -> Option<String>,
) -> Result<Option<String>, AlterError> {
    if change.operation == Operation::Delete {
        return Ok(None);
    }
    let missing = || AlterError::InvalidRequest(format!("Null value not supported for {}", row.name));
    let value = change.value.as_deref().ok_or_else(missing)?;
    if change.operation == Operation::Set {
        return Ok(Some(value.to_owned()));
    }
    if row.kind != Kind::List {
        let message = format!("Can't {:?} to {} because its type is not LIST", change.operation, row.name);
        return Err(AlterError::InvalidConfig(message));
    }
    let before = in_force().unwrap_or_default();
    let mut parts: Vec<&str> = list(&before).collect();
    if change.operation == Operation::Append {
        let mut have: BTreeSet<&str> = parts.iter().copied().collect();
        parts.extend(list(value).filter(|part| have.insert(part)));
    } else {
        let gone: BTreeSet<&str> = list(value).collect();
        parts.retain(|part| !gone.contains(part));
    }
    Ok(Some(parts.join(",")))
}

impl Alteration {
    fn shown(&self) -> &str {
        self.value.as_deref().unwrap_or("null")
    }
}

fn as_sets(pairs: &[(String, Option<String>)]) -> Vec<Alteration> {
    let set = |(name, value): &(String, Option<String>)| Alteration {
        name: name.clone(),
        operation: Operation::Set,
        value: value.clone(),
    };
    pairs.iter().map(set).collect()
}

fn check_distinct<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), AlterError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(AlterError::InvalidRequest(format!("{} is named more than once", excerpt(name))));
        }
    }
    Ok(())
}

fn unknown(name: &str) -> AlterError {
    AlterError::InvalidConfig(match nearest(name, registry::broker_settings()) {
        Some(near) => format!("Unknown broker config name {name}; did you mean {near}?"),
        None => format!("Unknown broker config name {}", excerpt(name)),
    })
}
