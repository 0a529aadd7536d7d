//! The refusals that a coordinator can give, with Kafka's names and numbers.

use std::fmt;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal $text:literal,)*) => {
        /// Why a coordinator refuses. Each is an error of the Kafka protocol; success is `Ok` or `None` around it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum GroupError {
            $($(#[$doc])* $name,)*
        }

        impl GroupError {
            /// All of them, by code.
            pub const ALL: &'static [GroupError] = &[$(GroupError::$name,)*];

            /// The error code on the wire.
            pub fn code(self) -> i16 {
                match self { $(GroupError::$name => $code,)* }
            }

            /// Kafka's constant, such as `UNKNOWN_MEMBER_ID`.
            pub fn name(self) -> &'static str {
                match self { $(GroupError::$name => $text,)* }
            }
        }
    };
}

errors! {
    /// The batch of records was refused for a reason that has no better name.
    UnknownServerError = -1 "UNKNOWN_SERVER_ERROR",
    /// The metadata string of a committed offset is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge = 12 "OFFSET_METADATA_TOO_LARGE",
    /// The slice is reading its log. Retriable.
    CoordinatorLoadInProgress = 14 "COORDINATOR_LOAD_IN_PROGRESS",
    /// The decision could not be made durable, or the slice has no leader now. Retriable.
    CoordinatorNotAvailable = 15 "COORDINATOR_NOT_AVAILABLE",
    /// Another broker coordinates this group. Retriable after FindCoordinator.
    NotCoordinator = 16 "NOT_COORDINATOR",
    /// The generation is not the group's.
    IllegalGeneration = 22 "ILLEGAL_GENERATION",
    /// No protocol in common with the group, or another protocol type.
    InconsistentGroupProtocol = 23 "INCONSISTENT_GROUP_PROTOCOL",
    /// The group id is empty where it must not be.
    InvalidGroupId = 24 "INVALID_GROUP_ID",
    /// The coordinator does not know this member.
    UnknownMemberId = 25 "UNKNOWN_MEMBER_ID",
    /// The session timeout is outside `group.{min,max}.session.timeout.ms`.
    InvalidSessionTimeout = 26 "INVALID_SESSION_TIMEOUT",
    /// The group is rebalancing: join again.
    RebalanceInProgress = 27 "REBALANCE_IN_PROGRESS",
    /// A string is longer than a record of `__consumer_offsets` can hold.
    InvalidRequest = 42 "INVALID_REQUEST",
    /// The group has members and cannot be deleted.
    NonEmptyGroup = 68 "NON_EMPTY_GROUP",
    /// There is no such group.
    GroupIdNotFound = 69 "GROUP_ID_NOT_FOUND",
    /// KIP-394: join again with the member id in this answer.
    MemberIdRequired = 79 "MEMBER_ID_REQUIRED",
    /// The group has `group.max.size` members.
    GroupMaxSizeReached = 81 "GROUP_MAX_SIZE_REACHED",
    /// KIP-345: another process has joined with the same `group.instance.id`.
    FencedInstanceId = 82 "FENCED_INSTANCE_ID",
    /// Offsets of a topic that the group consumes cannot be deleted.
    GroupSubscribedToTopic = 86 "GROUP_SUBSCRIBED_TO_TOPIC",
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for GroupError {}
