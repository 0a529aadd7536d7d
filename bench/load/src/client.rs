//! What librdkafka's clients are set to, and what they say.

use crate::Target;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::util::Timeout;
use std::time::Duration;

/// How long a broker may take for what is not measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Parses NAME=VALUE.
pub(crate) fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// librdkafka's defaults with `defaults` over them and what the caller `set` over these.
pub(crate) fn config(target: &Target, defaults: &[(&str, &str)], set: &[(String, String)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &target.brokers).set_log_level(RDKafkaLogLevel::Error);
    for (name, value) in defaults {
        config.set(*name, *value);
    }
    for (name, value) in set {
        config.set(name, value);
    }
    config
}

/// How long librdkafka may take to answer.
pub(crate) fn patience() -> Timeout {
    Timeout::After(PATIENCE)
}

/// A client that says on standard error what it has to say.
#[derive(Default)]
pub(crate) struct Plain;

impl ClientContext for Plain {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        say(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("librdkafka: {error}: {reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for Plain {}

/// One line of librdkafka's log.
pub(crate) fn say(level: RDKafkaLogLevel, facility: &str, message: &str) {
    // That a producer's setting means nothing to a consumer is so on purpose: `--set` is for all clients.
    if facility != "CONFWARN" {
        eprintln!("librdkafka: {level:?} {facility} {message}");
    }
}
