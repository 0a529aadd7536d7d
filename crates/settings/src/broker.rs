//! The layers of a broker's settings, from built-in defaults to AlterConfigs.

use crate::registry;
use crate::setting::Setting;
use crate::startup::StartupError;
use crate::table::BrokerConfig;
use crate::{ConfigSource as Source, ConfigSynonym, Texts};

/// A set of starting values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Profile {
    /// Kafka's defaults.
    #[default]
    Production,
    /// For a developer's machine: topics come by themselves, one replica, groups form at once. As durable as any other.
    Dev,
}

impl Profile {
    /// From the name after `--mode`.
    pub fn from_name(name: &str) -> Option<Profile> {
        match name {
            "production" => Some(Profile::Production),
            "dev" => Some(Profile::Dev),
            _ => None,
        }
    }

    /// What it sets.
    pub fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Profile::Production => &[],
            Profile::Dev => &[
                ("auto.create.topics.enable", "true"),
                ("default.replication.factor", "1"),
                ("group.initial.rebalance.delay.ms", "0"),
                ("offsets.topic.replication.factor", "1"),
            ],
        }
    }
}

/// Where a setting that is fixed at the start came from; later ones go first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Layer {
    /// `--mode`.
    Profile,
    /// The configuration file.
    File,
    /// `AILURUS_...`.
    Environment,
    /// `--set` and the flags that stand for settings.
    Flags,
}

const LAYERS: usize = 4;

/// All that is set on a broker. Every text in it has been checked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BrokerSettings {
    fixed: [Texts; LAYERS],
    cluster: Texts,
    own: Texts,
}

/// A value as someone set it, of a setting or one of its synonyms.
pub(crate) struct Candidate {
    /// How it is shown: under the name it was set by.
    pub(crate) synonym: ConfigSynonym,
    /// The same in the units of the setting that was asked for.
    pub(crate) value: String,
}

impl BrokerSettings {
    /// The profile's settings over the defaults.
    pub fn new(profile: Profile) -> Self {
        let mut settings = BrokerSettings::default();
        for (name, value) in profile.settings() {
            settings.fixed[Layer::Profile as usize].insert((*name).to_owned(), (*value).to_owned());
        }
        settings
    }

    /// Sets `name` in a layer that is fixed at the start. Sizes and times may carry units (`64MiB`, `7d`).
    pub fn set(&mut self, layer: Layer, name: &str, value: &str) -> Result<(), StartupError> {
        let row = registry::broker(name).ok_or_else(|| StartupError::unknown(name))?;
        let value = row.check_human(value)?;
        self.fixed[layer as usize].insert(name.to_owned(), value);
        Ok(())
    }

    /// Puts in what AlterConfigs left: `cluster` for all brokers, `own` for this one. What is no longer a setting or
    /// no longer a value of it is left out and given back by name, for the log.
    pub fn set_dynamic(&mut self, cluster: &Texts, own: &Texts) -> Vec<String> {
        let mut refused = Vec::new();
        let mut checked = |texts: &Texts| {
            let check = |(name, value): (&String, &String)| match registry::broker(name).map(|row| row.check(value)) {
                Some(Ok(value)) => Some((name.clone(), value)),
                _ => {
                    refused.push(name.clone());
                    None
                }
            };
            texts.iter().filter_map(check).collect()
        };
        self.cluster = checked(cluster);
        self.own = checked(own);
        refused
    }

    /// The typed view of all layers.
    pub fn config(&self) -> BrokerConfig {
        BrokerConfig::from_texts(|name| {
            let row = registry::broker(name).expect("the view is made of rows");
            self.candidates(&chain(row)).into_iter().next().map(|candidate| candidate.value)
        })
    }

    /// The text of one setting, synonyms and defaults included; none if it is unknown or unset.
    pub fn get(&self, name: &str) -> Option<String> {
        let row = registry::broker(name)?;
        self.candidates(&chain(row)).into_iter().next().map(|candidate| candidate.value)
    }

    /// What goes together among the settings of several layers: for the end of start-up.
    pub fn check(&self) -> Result<(), StartupError> {
        let config = self.config();
        if config.group_min_session_timeout_ms > config.group_max_session_timeout_ms {
            let reason = "is above group.max.session.timeout.ms".to_owned();
            let value = config.group_min_session_timeout_ms.to_string();
            return Err(crate::Invalid { name: "group.min.session.timeout.ms".into(), value, reason }.into());
        }
        crate::TopicOverrides::default().check_with(self).map_err(StartupError::from)
    }

    /// The same with other checked settings of this broker's own: to look at what would be.
    pub(crate) fn with_own(&self, own: Texts) -> BrokerSettings {
        BrokerSettings { own, ..self.clone() }
    }

    /// The same with other checked settings for all brokers.
    pub(crate) fn with_cluster(&self, cluster: Texts) -> BrokerSettings {
        BrokerSettings { cluster, ..self.clone() }
    }

    pub(crate) fn cluster(&self) -> &Texts {
        &self.cluster
    }

    /// The values along a chain of names, best first: for this broker, for all, at the start, by default.
    pub(crate) fn candidates(&self, chain: &[(&'static Setting, i64)]) -> Vec<Candidate> {
        let mut found = Vec::new();
        for source in [Source::DynamicBroker, Source::DynamicDefaultBroker, Source::StaticBroker, Source::Default] {
            for &(row, factor) in chain {
                if let Some(text) = self.set_by(source, row) {
                    let value = (!row.is_sensitive()).then(|| text.to_owned());
                    let synonym = ConfigSynonym { name: row.name.to_owned(), value, source };
                    found.push(Candidate { synonym, value: scaled(text, factor) });
                }
            }
        }
        found
    }

    fn set_by(&self, source: Source, row: &'static Setting) -> Option<&str> {
        match source {
            Source::DynamicTopic => None,
            Source::DynamicBroker => self.own.get(row.name).map(String::as_str),
            Source::DynamicDefaultBroker => self.cluster.get(row.name).map(String::as_str),
            Source::StaticBroker => self.fixed.iter().rev().find_map(|layer| layer.get(row.name)).map(String::as_str),
            Source::Default => row.default,
        }
    }
}

/// A broker setting and its synonyms, with what their numbers are to be multiplied by.
pub(crate) fn chain(row: &'static Setting) -> Vec<(&'static Setting, i64)> {
    let find = |&(name, factor): &(&str, i64)| (registry::broker(name).expect("synonyms are rows"), factor);
    std::iter::once((row, 1)).chain(row.synonyms.iter().map(find)).collect()
}

/// A number in finer units; what stands for "none" or "for ever" (below 0) means the same there.
fn scaled(text: &str, factor: i64) -> String {
    match text.parse::<i64>() {
        Ok(number) if factor != 1 && number >= 0 => number.saturating_mul(factor).to_string(),
        _ => text.to_owned(),
    }
}
