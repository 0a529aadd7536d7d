//! Why an operation failed: what was asked, of whom, and what they said.

use std::time::Duration;

use ailurus_record::RecordError;
use ailurus_wire::{ApiKey, ErrorCode, WireError};

/// Why an operation failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClientError {
    /// None of the addresses accepted a connection and spoke Kafka.
    #[error("no broker answers at {addresses}: {last}")]
    Unreachable {
        /// What was tried, separated by commas.
        addresses: String,
        /// Why the last one failed.
        last: String,
    },
    /// An established connection ended or broke under a request.
    #[error("the connection to {peer} was lost: {why}")]
    Lost {
        /// The broker's address.
        peer: String,
        /// What the system or the protocol said.
        why: String,
    },
    /// The time was over.
    #[error("{what} took longer than {} ms{}", after.as_millis(), last.as_ref().map(|last| format!("; the last try: {last}")).unwrap_or_default())]
    Timeout {
        /// What was tried.
        what: String,
        /// The limit.
        after: Duration,
        /// What the last finished try met.
        last: Option<Box<ClientError>>,
    },
    /// A broker answered with an error.
    #[error("{what}: {} ({code})", message.strip_suffix('.').unwrap_or(message))]
    Refused {
        /// What was asked.
        what: String,
        /// Kafka's code.
        code: ErrorCode,
        /// The broker's own words, else what the code means.
        message: String,
    },
    /// The broker does not serve this API, or no version that we can use.
    #[error("{peer} does not serve {api} in versions {from} to {to}")]
    Unsupported {
        /// The broker's address.
        peer: String,
        /// The API.
        api: ApiKey,
        /// The lowest version that would do.
        from: i16,
        /// The highest version that would do.
        to: i16,
    },
    /// An answer that is not what the protocol says, or a request that cannot be put into it.
    #[error("{what} cannot be read or written: {error}")]
    Malformed {
        /// Which message.
        what: String,
        /// What is wrong with it.
        error: WireError,
    },
    /// A stored batch that is not valid.
    #[error("a batch of {what} is damaged: {error}")]
    Damaged {
        /// Topic and partition.
        what: String,
        /// What is wrong with it.
        error: RecordError,
    },
    /// An address that is not `host:port`, or whose host is unknown.
    #[error("{0}")]
    Address(String),
    /// The answer lacks what was asked for.
    #[error("{peer} answered {api} without {what}")]
    Incomplete {
        /// The broker's address, or "the broker".
        peer: String,
        /// The API.
        api: ApiKey,
        /// What is missing.
        what: String,
    },
}

impl ClientError {
    /// A refusal, with the broker's words if it has any.
    pub fn refused(what: impl Into<String>, code: ErrorCode, message: Option<&str>) -> Self {
        let message = message.filter(|text| !text.is_empty()).unwrap_or(code.message()).to_owned();
        ClientError::Refused { what: what.into(), code, message }
    }

    /// Kafka's code, if a broker answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::Refused { code, .. } => code.is_retriable(),
            ClientError::Lost { .. } => true,
            _ => false,
        }
    }

    /// Whether what we believe about leaders and coordinators may be old.
    pub(crate) fn is_stale(&self) -> bool {
        match self.code() {
            Some(code) => matches!(
                code,
                ErrorCode::NotLeaderOrFollower
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::NotController
                    | ErrorCode::NotCoordinator
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::ReplicaNotAvailable
                    | ErrorCode::KafkaStorageError
            ),
            None => matches!(self, ClientError::Lost { .. } | ClientError::Unreachable { .. }),
        }
    }
}

/// `Ok` for code 0, else the refusal.
pub(crate) fn check(what: impl FnOnce() -> String, code: ErrorCode, message: Option<&str>) -> Result<(), ClientError> {
    if code.is_none() { Ok(()) } else { Err(ClientError::refused(what(), code, message)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_read_like_sentences() {
        let refused = ClientError::refused("topic orders", ErrorCode::TopicAlreadyExists, Some("It is there."));
        assert_eq!(refused.to_string(), "topic orders: It is there (TOPIC_ALREADY_EXISTS)");
        let what = "creating topics".to_owned();
        let timeout = ClientError::Timeout { what, after: Duration::from_secs(1), last: Some(Box::new(refused)) };
        assert_eq!(
            timeout.to_string(),
            "creating topics took longer than 1000 ms; the last try: topic orders: It is there (TOPIC_ALREADY_EXISTS)"
        );
    }

    #[test]
    fn a_lost_leader_is_retried_and_makes_metadata_stale() {
        let moved = ClientError::refused("t-0", ErrorCode::NotLeaderOrFollower, None);
        assert!(moved.is_retriable() && moved.is_stale());
        let denied = ClientError::refused("t-0", ErrorCode::TopicAuthorizationFailed, None);
        assert!(!denied.is_retriable() && !denied.is_stale());
    }
}
