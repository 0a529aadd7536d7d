//! A topic's overrides and what follows from them.

use crate::broker::chain;
use crate::registry::{self, nearest};
use crate::setting::{Setting, excerpt};
use crate::table::TopicConfig;
use crate::{BrokerSettings, ConfigSource, ConfigSynonym, Invalid, Texts};

/// What is set on a topic itself. Every name is a topic setting and every text a value of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TopicOverrides {
    texts: Texts,
}

impl TopicOverrides {
    /// From pairs such as CreateTopics and the controller's log carry. The error's text is for the client:
    /// INVALID_CONFIG (40). Does not look at what only goes together with the broker's defaults: see
    /// [`TopicOverrides::check_with`].
    pub fn parse<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<TopicOverrides, Invalid> {
        let mut overrides = TopicOverrides::default();
        for (name, value) in pairs {
            overrides.set(name.as_ref(), value.as_ref())?;
        }
        Ok(overrides)
    }

    /// Sets one.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Invalid> {
        let row = registry::topic(name).ok_or_else(|| unknown(name, value))?;
        let value = row.check(value)?;
        self.texts.insert(name.to_owned(), value);
        Ok(())
    }

    /// Takes one away.
    pub fn remove(&mut self, name: &str) {
        self.texts.remove(name);
    }

    /// Their texts, by name: what is kept.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// What holds for the topic: these over the broker's defaults.
    pub fn config(&self, broker: &BrokerSettings) -> TopicConfig {
        TopicConfig::from_texts(|name| {
            let row = registry::topic(name).expect("the view is made of rows");
            self.synonyms(row, broker).into_iter().next().map(|(_, value)| value)
        })
    }

    /// Whether the settings that result go together.
    pub fn check_with(&self, broker: &BrokerSettings) -> Result<(), Invalid> {
        let config = self.config(broker);
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(Invalid {
                name: "min.compaction.lag.ms".into(),
                value: config.min_compaction_lag_ms.to_string(),
                reason: format!("is above max.compaction.lag.ms, which is {}", config.max_compaction_lag_ms),
            });
        }
        Ok(())
    }

    /// Everything that says something about a topic setting, best first, each with its value in the setting's units.
    pub(crate) fn synonyms(&self, row: &'static Setting, broker: &BrokerSettings) -> Vec<(ConfigSynonym, String)> {
        let own = self.texts.get(row.name).map(|value| {
            let source = ConfigSource::DynamicTopic;
            (ConfigSynonym { name: row.name.to_owned(), value: Some(value.clone()), source }, value.clone())
        });
        let behind: Vec<_> = match row.broker {
            [] => row
                .default
                .map(|value| {
                    let source = ConfigSource::Default;
                    (
                        ConfigSynonym { name: row.name.to_owned(), value: Some(value.to_owned()), source },
                        value.to_owned(),
                    )
                })
                .into_iter()
                .collect(),
            [(first, _), ..] => {
                // The rows behind it name each other as synonyms, in the same units as the topic's.
                let first = registry::broker(first).expect("the broker's defaults are rows");
                broker.candidates(&chain(first)).into_iter().map(|c| (c.synonym, c.value)).collect()
            }
        };
        own.into_iter().chain(behind).collect()
    }
}

/// The error for a name that no topic setting has.
pub(crate) fn unknown(name: &str, value: &str) -> Invalid {
    let reason = match nearest(name, registry::topic_settings()) {
        Some(near) => format!("unknown topic config; did you mean {near}?"),
        None => "unknown topic config".to_owned(),
    };
    Invalid { name: excerpt(name), value: excerpt(value), reason }
}
