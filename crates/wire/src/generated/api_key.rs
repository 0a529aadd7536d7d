//! The APIs of the message table. Made by `cargo xtask codegen`.

use crate::api_key::Facts;

/// Which API a request is of. Those that are not here are unknown to this broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ApiKey {
    /// Appends record batches to partitions. Minimum 0 is advertised although 0 to 2 are refused: librdkafka up to 2.11.0 stops compressing otherwise (KAFKA-18659).
    Produce = 0,
    /// Reads record batches from partitions, waiting for them if need be.
    Fetch = 1,
    /// Finds offsets by time, or the ends of a partition.
    ListOffsets = 2,
    /// Who the brokers are, and where the partitions of some or all topics live.
    Metadata = 3,
    /// Commits offsets for a group.
    OffsetCommit = 8,
    /// Reads the committed offsets of one group (to version 7) or several (from 8).
    OffsetFetch = 9,
    /// Which broker coordinates a group, a transactional id or (from version 6) a share group.
    FindCoordinator = 10,
    /// Joins a group of the classic protocol, or takes part in its rebalance.
    JoinGroup = 11,
    /// Keeps a member of a classic group alive, and tells it of rebalances.
    Heartbeat = 12,
    /// Takes members out of a group.
    LeaveGroup = 13,
    /// Brings the leader's assignments to the coordinator and every member's own back.
    SyncGroup = 14,
    /// Describes groups of the classic protocol.
    DescribeGroups = 15,
    /// Lists the groups that this broker coordinates.
    ListGroups = 16,
    /// Chooses a SASL mechanism. After version 0 raw tokens follow, after version 1 SaslAuthenticate requests.
    SaslHandshake = 17,
    /// Which APIs and versions this broker serves. The header of the answer is never flexible.
    ApiVersions = 18,
    /// Creates topics.
    CreateTopics = 19,
    /// Deletes topics, by name or (from version 6) by id.
    DeleteTopics = 20,
    /// Moves the log start of partitions.
    DeleteRecords = 21,
    /// Gives a producer its id and epoch.
    InitProducerId = 22,
    /// Where a leader epoch ended, so that logs can be compared (KIP-320).
    OffsetForLeaderEpoch = 23,
    /// Makes partitions part of a transaction. Versions 4 and 5 are for brokers, which verify many transactions at once (KIP-890).
    AddPartitionsToTxn = 24,
    /// Makes the offsets of a group part of a transaction.
    AddOffsetsToTxn = 25,
    /// Commits or aborts a transaction.
    EndTxn = 26,
    /// Commits offsets for a group as part of a transaction.
    TxnOffsetCommit = 28,
    /// Lists the ACLs that match a filter.
    DescribeAcls = 29,
    /// Adds ACLs.
    CreateAcls = 30,
    /// Deletes the ACLs that match filters.
    DeleteAcls = 31,
    /// Reads the configurations of topics, brokers and groups.
    DescribeConfigs = 32,
    /// Replaces all configurations of a resource by the ones given.
    AlterConfigs = 33,
    /// How large the logs on a broker's disks are.
    DescribeLogDirs = 35,
    /// Carries the tokens of a SASL exchange.
    SaslAuthenticate = 36,
    /// Adds partitions to topics.
    CreatePartitions = 37,
    /// Deletes groups without members.
    DeleteGroups = 42,
    /// Elects leaders anew.
    ElectLeaders = 43,
    /// Changes single configurations of a resource (KIP-339).
    IncrementalAlterConfigs = 44,
    /// Moves partitions to other brokers, or cancels that.
    AlterPartitionReassignments = 45,
    /// Lists the partitions that are on the move.
    ListPartitionReassignments = 46,
    /// Deletes committed offsets of a group.
    OffsetDelete = 47,
    /// Reads the quotas of clients.
    DescribeClientQuotas = 48,
    /// Sets and removes the quotas of clients.
    AlterClientQuotas = 49,
    /// Which SCRAM credentials users have, without the secrets.
    DescribeUserScramCredentials = 50,
    /// Sets and removes SCRAM credentials of users.
    AlterUserScramCredentials = 51,
    /// Who the brokers (or controllers) are (KIP-700).
    DescribeCluster = 60,
    /// The producers that partitions remember.
    DescribeProducers = 61,
    /// Describes transactions by their ids.
    DescribeTransactions = 65,
    /// Lists the transactions that this broker coordinates.
    ListTransactions = 66,
    /// Topics and partitions, page by page (KIP-966).
    DescribeTopicPartitions = 75,
}

impl ApiKey {
    /// Every API, by rising number.
    pub const ALL: &[ApiKey] = &[
        ApiKey::Produce,
        ApiKey::Fetch,
        ApiKey::ListOffsets,
        ApiKey::Metadata,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::Heartbeat,
        ApiKey::LeaveGroup,
        ApiKey::SyncGroup,
        ApiKey::DescribeGroups,
        ApiKey::ListGroups,
        ApiKey::SaslHandshake,
        ApiKey::ApiVersions,
        ApiKey::CreateTopics,
        ApiKey::DeleteTopics,
        ApiKey::DeleteRecords,
        ApiKey::InitProducerId,
        ApiKey::OffsetForLeaderEpoch,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::EndTxn,
        ApiKey::TxnOffsetCommit,
        ApiKey::DescribeAcls,
        ApiKey::CreateAcls,
        ApiKey::DeleteAcls,
        ApiKey::DescribeConfigs,
        ApiKey::AlterConfigs,
        ApiKey::DescribeLogDirs,
        ApiKey::SaslAuthenticate,
        ApiKey::CreatePartitions,
        ApiKey::DeleteGroups,
        ApiKey::ElectLeaders,
        ApiKey::IncrementalAlterConfigs,
        ApiKey::AlterPartitionReassignments,
        ApiKey::ListPartitionReassignments,
        ApiKey::OffsetDelete,
        ApiKey::DescribeClientQuotas,
        ApiKey::AlterClientQuotas,
        ApiKey::DescribeUserScramCredentials,
        ApiKey::AlterUserScramCredentials,
        ApiKey::DescribeCluster,
        ApiKey::DescribeProducers,
        ApiKey::DescribeTransactions,
        ApiKey::ListTransactions,
        ApiKey::DescribeTopicPartitions,
    ];

            #[rustfmt::skip]
    pub(crate) const fn facts(self) -> Facts {
                match self {
ApiKey::Produce => Facts { name: "Produce", versions: (3, 13), advertised: (0, 12), flexible: Some(9) },
ApiKey::Fetch => Facts { name: "Fetch", versions: (4, 18), advertised: (4, 17), flexible: Some(12) },
ApiKey::ListOffsets => Facts { name: "ListOffsets", versions: (1, 11), advertised: (1, 9), flexible: Some(6) },
ApiKey::Metadata => Facts { name: "Metadata", versions: (0, 13), advertised: (0, 13), flexible: Some(9) },
ApiKey::OffsetCommit => Facts { name: "OffsetCommit", versions: (2, 10), advertised: (2, 9), flexible: Some(8) },
ApiKey::OffsetFetch => Facts { name: "OffsetFetch", versions: (1, 10), advertised: (1, 9), flexible: Some(6) },
ApiKey::FindCoordinator => Facts { name: "FindCoordinator", versions: (0, 6), advertised: (0, 6), flexible: Some(3) },
ApiKey::JoinGroup => Facts { name: "JoinGroup", versions: (0, 9), advertised: (0, 9), flexible: Some(6) },
ApiKey::Heartbeat => Facts { name: "Heartbeat", versions: (0, 4), advertised: (0, 4), flexible: Some(4) },
ApiKey::LeaveGroup => Facts { name: "LeaveGroup", versions: (0, 5), advertised: (0, 5), flexible: Some(4) },
ApiKey::SyncGroup => Facts { name: "SyncGroup", versions: (0, 5), advertised: (0, 5), flexible: Some(4) },
ApiKey::DescribeGroups => Facts { name: "DescribeGroups", versions: (0, 6), advertised: (0, 6), flexible: Some(5) },
ApiKey::ListGroups => Facts { name: "ListGroups", versions: (0, 5), advertised: (0, 5), flexible: Some(3) },
ApiKey::SaslHandshake => Facts { name: "SaslHandshake", versions: (0, 1), advertised: (0, 1), flexible: None },
ApiKey::ApiVersions => Facts { name: "ApiVersions", versions: (0, 4), advertised: (0, 4), flexible: Some(3) },
ApiKey::CreateTopics => Facts { name: "CreateTopics", versions: (2, 7), advertised: (2, 7), flexible: Some(5) },
ApiKey::DeleteTopics => Facts { name: "DeleteTopics", versions: (1, 6), advertised: (1, 6), flexible: Some(4) },
ApiKey::DeleteRecords => Facts { name: "DeleteRecords", versions: (0, 2), advertised: (0, 2), flexible: Some(2) },
ApiKey::InitProducerId => Facts { name: "InitProducerId", versions: (0, 5), advertised: (0, 5), flexible: Some(2) },
ApiKey::OffsetForLeaderEpoch => Facts { name: "OffsetForLeaderEpoch", versions: (2, 4), advertised: (2, 4), flexible: Some(4) },
ApiKey::AddPartitionsToTxn => Facts { name: "AddPartitionsToTxn", versions: (0, 5), advertised: (0, 3), flexible: Some(3) },
ApiKey::AddOffsetsToTxn => Facts { name: "AddOffsetsToTxn", versions: (0, 4), advertised: (0, 4), flexible: Some(3) },
ApiKey::EndTxn => Facts { name: "EndTxn", versions: (0, 5), advertised: (0, 5), flexible: Some(3) },
ApiKey::TxnOffsetCommit => Facts { name: "TxnOffsetCommit", versions: (0, 5), advertised: (0, 5), flexible: Some(3) },
ApiKey::DescribeAcls => Facts { name: "DescribeAcls", versions: (1, 3), advertised: (1, 3), flexible: Some(2) },
ApiKey::CreateAcls => Facts { name: "CreateAcls", versions: (1, 3), advertised: (1, 3), flexible: Some(2) },
ApiKey::DeleteAcls => Facts { name: "DeleteAcls", versions: (1, 3), advertised: (1, 3), flexible: Some(2) },
ApiKey::DescribeConfigs => Facts { name: "DescribeConfigs", versions: (1, 4), advertised: (1, 4), flexible: Some(4) },
ApiKey::AlterConfigs => Facts { name: "AlterConfigs", versions: (0, 2), advertised: (0, 2), flexible: Some(2) },
ApiKey::DescribeLogDirs => Facts { name: "DescribeLogDirs", versions: (1, 4), advertised: (1, 4), flexible: Some(2) },
ApiKey::SaslAuthenticate => Facts { name: "SaslAuthenticate", versions: (0, 2), advertised: (0, 2), flexible: Some(2) },
ApiKey::CreatePartitions => Facts { name: "CreatePartitions", versions: (0, 3), advertised: (0, 3), flexible: Some(2) },
ApiKey::DeleteGroups => Facts { name: "DeleteGroups", versions: (0, 2), advertised: (0, 2), flexible: Some(2) },
ApiKey::ElectLeaders => Facts { name: "ElectLeaders", versions: (0, 2), advertised: (0, 2), flexible: Some(2) },
ApiKey::IncrementalAlterConfigs => Facts { name: "IncrementalAlterConfigs", versions: (0, 1), advertised: (0, 1), flexible: Some(1) },
ApiKey::AlterPartitionReassignments => Facts { name: "AlterPartitionReassignments", versions: (0, 1), advertised: (0, 1), flexible: Some(0) },
ApiKey::ListPartitionReassignments => Facts { name: "ListPartitionReassignments", versions: (0, 0), advertised: (0, 0), flexible: Some(0) },
ApiKey::OffsetDelete => Facts { name: "OffsetDelete", versions: (0, 0), advertised: (0, 0), flexible: None },
ApiKey::DescribeClientQuotas => Facts { name: "DescribeClientQuotas", versions: (0, 1), advertised: (0, 1), flexible: Some(1) },
ApiKey::AlterClientQuotas => Facts { name: "AlterClientQuotas", versions: (0, 1), advertised: (0, 1), flexible: Some(1) },
ApiKey::DescribeUserScramCredentials => Facts { name: "DescribeUserScramCredentials", versions: (0, 0), advertised: (0, 0), flexible: Some(0) },
ApiKey::AlterUserScramCredentials => Facts { name: "AlterUserScramCredentials", versions: (0, 0), advertised: (0, 0), flexible: Some(0) },
ApiKey::DescribeCluster => Facts { name: "DescribeCluster", versions: (0, 2), advertised: (0, 2), flexible: Some(0) },
ApiKey::DescribeProducers => Facts { name: "DescribeProducers", versions: (0, 0), advertised: (0, 0), flexible: Some(0) },
ApiKey::DescribeTransactions => Facts { name: "DescribeTransactions", versions: (0, 0), advertised: (0, 0), flexible: Some(0) },
ApiKey::ListTransactions => Facts { name: "ListTransactions", versions: (0, 2), advertised: (0, 2), flexible: Some(0) },
ApiKey::DescribeTopicPartitions => Facts { name: "DescribeTopicPartitions", versions: (0, 0), advertised: (0, 0), flexible: Some(0) },
}
            }
}
