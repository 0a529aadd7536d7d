//! [`ErrorCode`]: Kafka's error codes.

use std::fmt;

/// Declares the enum and its three tables from one list. A macro, because 131 names in four places would drift apart.
macro_rules! error_codes {
    ($($(#[$attribute:meta])? $code:literal $name:ident $kafka:ident $kind:ident $message:literal,)*) => {
        /// What went wrong, as the protocol says it: a number that clients branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(
                $(#[$attribute])?
                #[doc = $message]
                $name = $code,
            )*
        }

        impl ErrorCode {
            /// Every code, rising from -1.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$name),*];

            /// Kafka's name, such as `UNKNOWN_TOPIC_OR_PARTITION`.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$name => stringify!($kafka),)* }
            }

            /// One sentence for people; also the default of `error_message` fields.
            pub const fn message(self) -> &'static str {
                match self { $(ErrorCode::$name => $message,)* }
            }

            /// Whether clients may send the same request again and hope.
            pub const fn is_retriable(self) -> bool {
                match self { $(ErrorCode::$name => error_codes!(@$kind),)* }
            }
        }
    };
    (@retriable) => { true };
    (@final) => { false };
}

error_codes! {
     -1 UnknownServerError UNKNOWN_SERVER_ERROR final "The broker failed in a way that has no code of its own.",
    #[default] 0 None NONE final "No error.",
      1 OffsetOutOfRange OFFSET_OUT_OF_RANGE final "The offset asked for is not in the log of the partition.",
      2 CorruptMessage CORRUPT_MESSAGE retriable "A batch failed its CRC, has an impossible size, or lacks a key in a compacted topic.",
      3 UnknownTopicOrPartition UNKNOWN_TOPIC_OR_PARTITION retriable "This broker does not have the topic or partition.",
      4 InvalidFetchSize INVALID_FETCH_SIZE final "The fetch size asked for is not valid.",
      5 LeaderNotAvailable LEADER_NOT_AVAILABLE retriable "The partition has no leader at the moment.",
      6 NotLeaderOrFollower NOT_LEADER_OR_FOLLOWER retriable "This broker is not the leader of the partition, or not one of its replicas.",
      7 RequestTimedOut REQUEST_TIMED_OUT retriable "The request was not finished in time; what it asked for may have happened.",
      8 BrokerNotAvailable BROKER_NOT_AVAILABLE final "The broker is not available.",
      9 ReplicaNotAvailable REPLICA_NOT_AVAILABLE retriable "The replica is not available for this request.",
     10 MessageTooLarge MESSAGE_TOO_LARGE final "The batch is larger than the topic or the broker allows.",
     11 StaleControllerEpoch STALE_CONTROLLER_EPOCH final "The request comes from a controller that has been replaced.",
     12 OffsetMetadataTooLarge OFFSET_METADATA_TOO_LARGE final "The metadata text of the offset commit is too long.",
     13 NetworkException NETWORK_EXCEPTION retriable "The connection was lost before an answer came.",
     14 CoordinatorLoadInProgress COORDINATOR_LOAD_IN_PROGRESS retriable "The coordinator is still loading its state.",
     15 CoordinatorNotAvailable COORDINATOR_NOT_AVAILABLE retriable "The coordinator is not available.",
     16 NotCoordinator NOT_COORDINATOR retriable "This broker is not the coordinator.",
     17 InvalidTopicException INVALID_TOPIC_EXCEPTION final "The topic's name is not legal, or the topic may not be used so.",
     18 RecordListTooLarge RECORD_LIST_TOO_LARGE final "The request holds a batch larger than a segment.",
     19 NotEnoughReplicas NOT_ENOUGH_REPLICAS retriable "Too few replicas are in sync to accept the write.",
     20 NotEnoughReplicasAfterAppend NOT_ENOUGH_REPLICAS_AFTER_APPEND retriable "The records were written, but to fewer replicas than required.",
     21 InvalidRequiredAcks INVALID_REQUIRED_ACKS final "acks is none of -1, 0 and 1.",
     22 IllegalGeneration ILLEGAL_GENERATION final "The generation is not the group's current one.",
     23 InconsistentGroupProtocol INCONSISTENT_GROUP_PROTOCOL final "The member has no protocol in common with the group.",
     24 InvalidGroupId INVALID_GROUP_ID final "The group id is not legal.",
     25 UnknownMemberId UNKNOWN_MEMBER_ID final "The group has no such member.",
     26 InvalidSessionTimeout INVALID_SESSION_TIMEOUT final "The session timeout is outside the range that the broker allows.",
     27 RebalanceInProgress REBALANCE_IN_PROGRESS final "The group is rebalancing; the member has to join again.",
     28 InvalidCommitOffsetSize INVALID_COMMIT_OFFSET_SIZE final "The offsets of the commit do not fit.",
     29 TopicAuthorizationFailed TOPIC_AUTHORIZATION_FAILED final "Not authorized for the topic.",
     30 GroupAuthorizationFailed GROUP_AUTHORIZATION_FAILED final "Not authorized for the group.",
     31 ClusterAuthorizationFailed CLUSTER_AUTHORIZATION_FAILED final "Not authorized for the cluster.",
     32 InvalidTimestamp INVALID_TIMESTAMP final "The timestamp of a record is outside the range that the topic allows.",
     33 UnsupportedSaslMechanism UNSUPPORTED_SASL_MECHANISM final "The broker does not offer this SASL mechanism.",
     34 IllegalSaslState ILLEGAL_SASL_STATE final "The request does not fit the state of the SASL exchange.",
     35 UnsupportedVersion UNSUPPORTED_VERSION final "This version of the API is not supported.",
     36 TopicAlreadyExists TOPIC_ALREADY_EXISTS final "A topic of this name exists.",
     37 InvalidPartitions INVALID_PARTITIONS final "The number of partitions is not valid.",
     38 InvalidReplicationFactor INVALID_REPLICATION_FACTOR final "The replication factor is below 1 or above the number of brokers.",
     39 InvalidReplicaAssignment INVALID_REPLICA_ASSIGNMENT final "The replica assignment is not valid.",
     40 InvalidConfig INVALID_CONFIG final "A configuration is not valid.",
     41 NotController NOT_CONTROLLER retriable "This broker is not the controller.",
     42 InvalidRequest INVALID_REQUEST final "The request contradicts itself or the protocol.",
     43 UnsupportedForMessageFormat UNSUPPORTED_FOR_MESSAGE_FORMAT final "The stored message format does not support this.",
     44 PolicyViolation POLICY_VIOLATION final "The request breaks a policy of the cluster.",
     45 OutOfOrderSequenceNumber OUT_OF_ORDER_SEQUENCE_NUMBER final "The producer's sequence number does not follow its last one.",
     46 DuplicateSequenceNumber DUPLICATE_SEQUENCE_NUMBER final "The producer's sequence number was used before.",
     47 InvalidProducerEpoch INVALID_PRODUCER_EPOCH final "The producer's epoch is older than one already seen.",
     48 InvalidTxnState INVALID_TXN_STATE final "The transaction is not in a state that allows this.",
     49 InvalidProducerIdMapping INVALID_PRODUCER_ID_MAPPING final "The producer id does not belong to the transactional id.",
     50 InvalidTransactionTimeout INVALID_TRANSACTION_TIMEOUT final "The transaction timeout is above the broker's maximum.",
     51 ConcurrentTransactions CONCURRENT_TRANSACTIONS retriable "An earlier operation of the same transactional id is still under way.",
     52 TransactionCoordinatorFenced TRANSACTION_COORDINATOR_FENCED final "The transaction coordinator that sent this has been replaced.",
     53 TransactionalIdAuthorizationFailed TRANSACTIONAL_ID_AUTHORIZATION_FAILED final "Not authorized for the transactional id.",
     54 SecurityDisabled SECURITY_DISABLED final "Security features are switched off.",
     55 OperationNotAttempted OPERATION_NOT_ATTEMPTED final "Not attempted, because another part of the request failed.",
     56 KafkaStorageError KAFKA_STORAGE_ERROR retriable "The disk failed on a log of this partition.",
     57 LogDirNotFound LOG_DIR_NOT_FOUND final "The broker has no such log directory.",
     58 SaslAuthenticationFailed SASL_AUTHENTICATION_FAILED final "SASL authentication failed.",
     59 UnknownProducerId UNKNOWN_PRODUCER_ID final "The broker knows nothing of this producer id.",
     60 ReassignmentInProgress REASSIGNMENT_IN_PROGRESS final "The partition is being reassigned.",
     61 DelegationTokenAuthDisabled DELEGATION_TOKEN_AUTH_DISABLED final "Delegation tokens are switched off.",
     62 DelegationTokenNotFound DELEGATION_TOKEN_NOT_FOUND final "There is no such delegation token.",
     63 DelegationTokenOwnerMismatch DELEGATION_TOKEN_OWNER_MISMATCH final "The delegation token belongs to someone else.",
     64 DelegationTokenRequestNotAllowed DELEGATION_TOKEN_REQUEST_NOT_ALLOWED final "Delegation tokens cannot be asked for over this connection.",
     65 DelegationTokenAuthorizationFailed DELEGATION_TOKEN_AUTHORIZATION_FAILED final "Not authorized for the delegation token.",
     66 DelegationTokenExpired DELEGATION_TOKEN_EXPIRED final "The delegation token has expired.",
     67 InvalidPrincipalType INVALID_PRINCIPAL_TYPE final "The principal is of a type that is not supported.",
     68 NonEmptyGroup NON_EMPTY_GROUP final "The group has members.",
     69 GroupIdNotFound GROUP_ID_NOT_FOUND final "There is no such group.",
     70 FetchSessionIdNotFound FETCH_SESSION_ID_NOT_FOUND retriable "There is no such fetch session.",
     71 InvalidFetchSessionEpoch INVALID_FETCH_SESSION_EPOCH retriable "The epoch of the fetch session is not the one expected.",
     72 ListenerNotFound LISTENER_NOT_FOUND retriable "The leader has no listener of the name that the request came in on.",
     73 TopicDeletionDisabled TOPIC_DELETION_DISABLED final "Topics cannot be deleted here.",
     74 FencedLeaderEpoch FENCED_LEADER_EPOCH retriable "The leader epoch in the request is older than the broker's.",
     75 UnknownLeaderEpoch UNKNOWN_LEADER_EPOCH retriable "The leader epoch in the request is newer than the broker's.",
     76 UnsupportedCompressionType UNSUPPORTED_COMPRESSION_TYPE final "The compression type is not supported for this version of the request.",
     77 StaleBrokerEpoch STALE_BROKER_EPOCH final "The broker epoch has changed.",
     78 OffsetNotAvailable OFFSET_NOT_AVAILABLE retriable "The leader's high watermark has not caught up after an election.",
     79 MemberIdRequired MEMBER_ID_REQUIRED final "The member has to join again with the member id given here.",
     80 PreferredLeaderNotAvailable PREFERRED_LEADER_NOT_AVAILABLE retriable "The preferred leader is not available.",
     81 GroupMaxSizeReached GROUP_MAX_SIZE_REACHED final "The group has as many members as it may.",
     82 FencedInstanceId FENCED_INSTANCE_ID final "Another member has taken over this group instance id.",
     83 EligibleLeadersNotAvailable ELIGIBLE_LEADERS_NOT_AVAILABLE retriable "No replica is eligible to lead.",
     84 ElectionNotNeeded ELECTION_NOT_NEEDED retriable "The partition needs no election.",
     85 NoReassignmentInProgress NO_REASSIGNMENT_IN_PROGRESS final "The partition is not being reassigned.",
     86 GroupSubscribedToTopic GROUP_SUBSCRIBED_TO_TOPIC final "The group is subscribed to the topic.",
     87 InvalidRecord INVALID_RECORD final "A record or batch breaks the rules of the log.",
     88 UnstableOffsetCommit UNSTABLE_OFFSET_COMMIT retriable "A transaction that commits offsets for this partition is still open.",
     89 ThrottlingQuotaExceeded THROTTLING_QUOTA_EXCEEDED retriable "A quota is exceeded.",
     90 ProducerFenced PRODUCER_FENCED final "A newer producer has taken over the transactional id.",
     91 ResourceNotFound RESOURCE_NOT_FOUND final "The resource does not exist.",
     92 DuplicateResource DUPLICATE_RESOURCE final "The resource is named more than once.",
     93 UnacceptableCredential UNACCEPTABLE_CREDENTIAL final "The credential does not meet the requirements.",
     94 InconsistentVoterSet INCONSISTENT_VOTER_SET final "The voters differ between sender and receiver.",
     95 InvalidUpdateVersion INVALID_UPDATE_VERSION final "The version to update to is not valid.",
     96 FeatureUpdateFailed FEATURE_UPDATE_FAILED final "The features could not be updated.",
     97 PrincipalDeserializationFailure PRINCIPAL_DESERIALIZATION_FAILURE final "The forwarded principal could not be read.",
     98 SnapshotNotFound SNAPSHOT_NOT_FOUND final "There is no such snapshot.",
     99 PositionOutOfRange POSITION_OUT_OF_RANGE final "The position is outside the snapshot.",
    100 UnknownTopicId UNKNOWN_TOPIC_ID retriable "This broker does not know the topic id.",
    101 DuplicateBrokerRegistration DUPLICATE_BROKER_REGISTRATION final "The broker id is registered already.",
    102 BrokerIdNotRegistered BROKER_ID_NOT_REGISTERED final "The broker id is not registered.",
    103 InconsistentTopicId INCONSISTENT_TOPIC_ID retriable "The topic id of the log is another than that of the request.",
    104 InconsistentClusterId INCONSISTENT_CLUSTER_ID final "The cluster id is another than the broker's.",
    105 TransactionalIdNotFound TRANSACTIONAL_ID_NOT_FOUND final "There is no such transactional id.",
    106 FetchSessionTopicIdError FETCH_SESSION_TOPIC_ID_ERROR retriable "The fetch session mixes topic ids and names.",
    107 IneligibleReplica INELIGIBLE_REPLICA final "The replica may not join the in-sync set.",
    108 NewLeaderElected NEW_LEADER_ELECTED final "Leadership moved as part of this change.",
    109 OffsetMovedToTieredStorage OFFSET_MOVED_TO_TIERED_STORAGE final "The offset is in tiered storage.",
    110 FencedMemberEpoch FENCED_MEMBER_EPOCH final "The member epoch is fenced by the group coordinator.",
    111 UnreleasedInstanceId UNRELEASED_INSTANCE_ID final "Another member still holds this group instance id.",
    112 UnsupportedAssignor UNSUPPORTED_ASSIGNOR final "The group does not support this assignor.",
    113 StaleMemberEpoch STALE_MEMBER_EPOCH final "The member epoch is older than the group's; ask again with the current one.",
    114 MismatchedEndpointType MISMATCHED_ENDPOINT_TYPE final "The request was meant for the other kind of endpoint.",
    115 UnsupportedEndpointType UNSUPPORTED_ENDPOINT_TYPE final "This kind of endpoint is not supported.",
    116 UnknownControllerId UNKNOWN_CONTROLLER_ID final "There is no such controller.",
    117 UnknownSubscriptionId UNKNOWN_SUBSCRIPTION_ID final "The telemetry subscription has changed.",
    118 TelemetryTooLarge TELEMETRY_TOO_LARGE final "The telemetry is larger than the broker accepts.",
    119 InvalidRegistration INVALID_REGISTRATION final "The registration of the controller is not valid.",
    120 TransactionAbortable TRANSACTION_ABORTABLE final "The transaction has to be aborted.",
    121 InvalidRecordState INVALID_RECORD_STATE final "The record is not in a state that allows this acknowledgement.",
    122 ShareSessionNotFound SHARE_SESSION_NOT_FOUND retriable "There is no such share session.",
    123 InvalidShareSessionEpoch INVALID_SHARE_SESSION_EPOCH retriable "The epoch of the share session is not the one expected.",
    124 FencedStateEpoch FENCED_STATE_EPOCH final "The share group state epoch is older than the coordinator's.",
    125 InvalidVoterKey INVALID_VOTER_KEY final "The key of the voter is another than the one expected.",
    126 DuplicateVoter DUPLICATE_VOTER final "The voter is in the set already.",
    127 VoterNotFound VOTER_NOT_FOUND final "The voter is not in the set.",
    128 InvalidRegularExpression INVALID_REGULAR_EXPRESSION final "The regular expression is not valid.",
    129 RebootstrapRequired REBOOTSTRAP_REQUIRED final "The client's metadata is stale; it has to start again from its bootstrap servers.",
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The code of this number; `UnknownServerError` for numbers newer than this broker, as Kafka's own clients do.
    pub fn from_code(code: i16) -> Self {
        let place = usize::try_from(i32::from(code) + 1).unwrap_or(0);
        Self::ALL.get(place).copied().unwrap_or(ErrorCode::UnknownServerError)
    }

    /// Whether it is `None`.
    pub const fn is_none(self) -> bool {
        matches!(self, ErrorCode::None)
    }

    /// Whether it is anything but `None`.
    pub const fn is_error(self) -> bool {
        !self.is_none()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_run_from_minus_one_without_gap() {
        for (place, error) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(i32::from(error.code()), place as i32 - 1);
            assert_eq!(ErrorCode::from_code(error.code()), *error);
        }
        assert_eq!(ErrorCode::ALL.last(), Some(&ErrorCode::RebootstrapRequired));
        for unknown in [i16::MIN, -2, 130, i16::MAX] {
            assert_eq!(ErrorCode::from_code(unknown), ErrorCode::UnknownServerError);
        }
    }
}
