//! Every knob of the broker, declared once.
//!
//! A row of the tables in [`table`] is all there is to a setting: name, type, unit, default, bounds, who may change it,
//! text. What Kafka has goes by Kafka's name and type, so that its tools find what they know. From the rows come the
//! typed views that the rest of the house reads ([`TopicConfig`], [`BrokerConfig`]), the answers to DescribeConfigs,
//! the checks of AlterConfigs, the configuration file, and the reference page.
//!
//! It is not: where dynamic settings are kept (the controller's log), or reading of files and environment: bytes and
//! pairs come in, decisions go out, and nothing here waits.
//!
//! What always holds: text that has passed a check ([`TopicOverrides`], the layers of [`BrokerSettings`]) resolves
//! without failing; nothing unknown is ever swallowed.
//!
//! In reading order:
//! - [`setting`]: what a row is, and how its text is checked.
//! - [`table`]: the rows.
//! - [`registry`]: finding rows by name, and the broker's defaults behind topic settings.
//! - [`value`]: text to typed values.
//! - [`broker`]: the layers of a broker's settings, from built-in defaults to AlterConfigs.
//! - [`startup`]: configuration file, environment and flags into layers.
//! - [`topic`]: a topic's overrides and what follows from them.
//! - [`describe`]: what DescribeConfigs answers.
//! - [`alter`]: what becomes of IncrementalAlterConfigs and AlterConfigs.
//! - [`reference`](mod@reference): the page for people.

pub mod alter;
pub mod broker;
pub mod describe;
pub mod reference;
pub mod registry;
pub mod setting;
pub mod startup;
pub mod table;
pub mod topic;
pub mod value;

pub use alter::{AlterError, Alteration, Brokers, Operation, alter_broker, alter_topic, replace_broker, replace_topic};
pub use broker::{BrokerSettings, Layer, Profile};
pub use describe::{ConfigEntry, ConfigSource, ConfigSynonym, describe_broker, describe_cluster, describe_topic};
pub use setting::{Invalid, Kind, Scope, Setting, Unit, Valid};
pub use startup::StartupError;
pub use table::{BrokerConfig, TopicConfig};
pub use topic::TopicOverrides;
pub use value::{CleanupPolicy, Endpoint, IoBackend};

/// Settings by name, as text. Which names and whether the text has been checked, its owner says.
pub type Texts = std::collections::BTreeMap<String, String>;
