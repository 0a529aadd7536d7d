//! How a command fails: a sentence, a hint, an exit code.

use std::fmt;
use std::process::ExitCode;

use ailurus_client::ClientError;
use ailurus_wire::ErrorCode;

/// Why a command did not do what it was asked. Shown as two lines on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    class: Class,
    sentence: String,
    hint: Option<String>,
}

/// The classes of failure that a script can tell apart by exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 1: the broker said no, or part of the work failed.
    Refused,
    /// 2: the command line or its input makes no sense (clap uses 2 as well).
    Usage,
    /// 3: no broker could be reached.
    Unreachable,
    /// 4: it took longer than `--timeout`.
    Timeout,
    /// 5: a local file or stream failed.
    Local,
}

impl Fault {
    /// A failure of this class. The sentence starts with a small letter and has no full stop, like any Rust error.
    pub(crate) fn new(class: Class, sentence: impl fmt::Display) -> Self {
        Fault { class, sentence: sentence.to_string(), hint: None }
    }

    pub(crate) fn refused(sentence: impl fmt::Display) -> Self {
        Fault::new(Class::Refused, sentence)
    }

    pub(crate) fn usage(sentence: impl fmt::Display) -> Self {
        Fault::new(Class::Usage, sentence)
    }

    pub(crate) fn local(sentence: impl fmt::Display) -> Self {
        Fault::new(Class::Local, sentence)
    }

    /// What the reader may do about it.
    pub(crate) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.class {
            Class::Refused => 1,
            Class::Usage => 2,
            Class::Unreachable => 3,
            Class::Timeout => 4,
            Class::Local => 5,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.sentence)?;
        match &self.hint {
            Some(hint) => write!(f, "\n hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        let class = match &error {
            ClientError::Unreachable { .. } | ClientError::Lost { .. } => Class::Unreachable,
            ClientError::Timeout { .. } => Class::Timeout,
            ClientError::Address(_) => Class::Usage,
            _ => Class::Refused,
        };
        let hint = hint(&error);
        Fault { class, sentence: error.to_string(), hint: hint.map(str::to_owned) }
    }
}

fn hint(error: &ClientError) -> Option<&'static str> {
    Some(match error {
        ClientError::Unreachable { .. } => {
            "is a broker running there? `ailurus start --mode dev` starts one, --bootstrap names another"
        }
        ClientError::Timeout { last: Some(last), .. } => return hint(last),
        ClientError::Timeout { .. } => "--timeout gives it longer",
        ClientError::Unsupported { .. } => "`ailurus cluster versions` shows what it serves",
        ClientError::Address(_) => "write --bootstrap HOST:PORT",
        _ => match error.code()? {
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => {
                "`ailurus topic list` shows what there is"
            }
            ErrorCode::TopicAlreadyExists => "with --if-not-exists that is fine",
            ErrorCode::InvalidReplicationFactor => {
                "there cannot be more replicas than brokers; leave -r out for the broker's default"
            }
            ErrorCode::InvalidTopicException => "names have 1 to 249 letters, digits, '.', '_' and '-'",
            ErrorCode::NonEmptyGroup => "stop its members first; `ailurus group describe` shows them",
            ErrorCode::GroupIdNotFound => "`ailurus group list` shows what there is",
            ErrorCode::GroupSubscribedToTopic => "a member of the group still reads that topic",
            ErrorCode::OffsetOutOfRange => "`ailurus topic describe` shows where partitions begin and end",
            ErrorCode::MessageTooLarge => {
                "max.message.bytes of the topic is the limit; `ailurus config alter topic` changes it"
            }
            ErrorCode::NotEnoughReplicas => "min.insync.replicas of the topic is larger than what is alive",
            ErrorCode::InvalidConfig => "`ailurus config describe` shows the names and values",
            ErrorCode::KafkaStorageError => {
                "the broker's log says what is wrong with its disk; `ailurus doctor` looks at it"
            }
            _ => return None,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_come_with_a_hint() {
        let fault = Fault::from(ClientError::refused("topic x", ErrorCode::UnknownTopicOrPartition, None));
        assert!(fault.to_string().ends_with("hint: `ailurus topic list` shows what there is"), "{fault}");
        assert_eq!(fault.class, Class::Refused);
        let last = "connection refused".to_owned();
        let fault = Fault::from(ClientError::Unreachable { addresses: "localhost:1".into(), last });
        assert_eq!(fault.class, Class::Unreachable);
        assert!(fault.to_string().contains("ailurus start"), "{fault}");
    }

    #[test]
    fn shows_a_sentence_and_a_hint() {
        let fault = Fault::refused("topic \"a b\" has an illegal name").hint("use letters, digits, '.', '_' and '-'");
        assert_eq!(
            fault.to_string(),
            "error: topic \"a b\" has an illegal name\n hint: use letters, digits, '.', '_' and '-'"
        );
    }
}
