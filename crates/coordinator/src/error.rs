//! The refusals that a coordinator can give, a few of Kafka's error codes.

use std::fmt;

use ailurus_wire::ErrorCode;

/// Declares the enum and its way to the wire from one list; the names are those of [`ErrorCode`].
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a coordinator refuses. Each is an error of the Kafka protocol; success is `Ok` or `None` around it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum GroupError {
            $($(#[$doc])* $name,)*
        }

        impl GroupError {
            /// All of them.
            pub const ALL: &'static [GroupError] = &[$(GroupError::$name,)*];
        }

        impl From<GroupError> for ErrorCode {
            fn from(error: GroupError) -> ErrorCode {
                match error { $(GroupError::$name => ErrorCode::$name,)* }
            }
        }
    };
}

errors! {
    /// The batch of records was refused for a reason that has no better name.
    UnknownServerError,
    /// The metadata string of a committed offset is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge,
    /// The slice is reading its log. Retriable.
    CoordinatorLoadInProgress,
    /// The decision could not be made durable, or the slice has no leader now. Retriable.
    CoordinatorNotAvailable,
    /// Another broker coordinates this group. Retriable after FindCoordinator.
    NotCoordinator,
    /// The generation is not the group's.
    IllegalGeneration,
    /// No protocol in common with the group, or another protocol type.
    InconsistentGroupProtocol,
    /// The group id is empty where it must not be.
    InvalidGroupId,
    /// The coordinator does not know this member.
    UnknownMemberId,
    /// The session timeout is outside `group.{min,max}.session.timeout.ms`.
    InvalidSessionTimeout,
    /// The group is rebalancing: join again.
    RebalanceInProgress,
    /// A string is longer than a record of `__consumer_offsets` can hold, or there are more entries than any client has.
    InvalidRequest,
    /// One commit has more offsets than are stored at once.
    InvalidCommitOffsetSize,
    /// The group has members and cannot be deleted.
    NonEmptyGroup,
    /// There is no such group.
    GroupIdNotFound,
    /// KIP-394: join again with the member id in this answer.
    MemberIdRequired,
    /// The group has `group.max.size` members.
    GroupMaxSizeReached,
    /// KIP-345: another process has joined with the same `group.instance.id`.
    FencedInstanceId,
    /// Offsets of a topic that the group consumes cannot be deleted.
    GroupSubscribedToTopic,
}

impl GroupError {
    /// Kafka's constant, such as `UNKNOWN_MEMBER_ID`.
    pub fn name(self) -> &'static str {
        ErrorCode::from(self).name()
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for GroupError {}
