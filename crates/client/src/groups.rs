//! Groups from outside: which there are, who is in them, what they committed, and how to change that.

use std::collections::BTreeMap;

use ailurus_wire::ApiKey;
use ailurus_wire::delete_groups::DeleteGroupsRequest;
use ailurus_wire::describe_groups::{DescribeGroupsRequest, DescribedGroupMember};
use ailurus_wire::list_groups::ListGroupsRequest;
use ailurus_wire::offset_commit::{OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use ailurus_wire::offset_delete::{OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use ailurus_wire::offset_fetch::OffsetFetchRequest;
use bytes::Bytes;

use crate::admin::Outcome;
use crate::assignor::{Assignment, decode_assignment};
use crate::client::incomplete;
use crate::error::check;
use crate::offsets::TopicPartition;
use crate::{Client, ClientError, Target};

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub id: String,
    /// Its state; empty if the broker is too old to say.
    pub state: String,
    /// `consumer` for consumer groups, else what its members speak; empty for groups that only commit.
    pub protocol_type: String,
    /// The node that coordinates it.
    pub coordinator: i32,
}

/// A group with its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Its id.
    pub id: String,
    /// `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Stable` or `Dead`.
    pub state: String,
    /// See [`ListedGroup::protocol_type`].
    pub protocol_type: String,
    /// The assignor that the members agreed upon.
    pub protocol: String,
    /// The members.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub id: String,
    /// Its static id (KIP-345), if it has one.
    pub instance_id: Option<String>,
    /// What its client calls itself.
    pub client_id: String,
    /// From where it connects.
    pub client_host: String,
    /// What it reads; `None` if it speaks another protocol than consumers do.
    pub assignment: Option<Assignment>,
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// The leader epoch of the record before it; -1 if unknown.
    pub leader_epoch: i32,
    /// Text that was kept beside it.
    pub metadata: String,
}

/// Who commits: nobody in particular (for groups without members), or a member in a generation.
#[derive(Clone, Debug)]
pub(crate) struct Committer<'a> {
    pub(crate) generation: i32,
    pub(crate) member_id: &'a str,
    pub(crate) instance_id: Option<&'a str>,
}

/// For a group that has no members.
pub(crate) const OUTSIDER: Committer<'static> = Committer { generation: -1, member_id: "", instance_id: None };

impl Client {
    /// All groups of all brokers, by id.
    pub async fn list_groups(&self) -> Result<Vec<ListedGroup>, ClientError> {
        let brokers = self.metadata(Some(&[]), false).await?.brokers;
        let mut groups = Vec::new();
        for broker in brokers {
            let what = format!("the groups of broker {}", broker.id);
            let response = self.retry(&what, async || {
                let response = self.call(Target::Node(broker.id), &ListGroupsRequest::default()).await?;
                check(|| what.clone(), response.error_code, None)?;
                Ok(response)
            });
            groups.extend(response.await?.groups.iter().map(|group| ListedGroup {
                id: group.group_id.to_string(),
                state: group.group_state.to_string(),
                protocol_type: group.protocol_type.to_string(),
                coordinator: broker.id,
            }));
        }
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// One group with its members. A group that does not exist is `Dead` to old brokers, refused by new ones.
    pub async fn describe_group(&self, group: &str) -> Result<DescribedGroup, ClientError> {
        let request = DescribeGroupsRequest { groups: vec![group.into()], include_authorized_operations: false };
        let what = format!("group {group}");
        self.retry(&what, async || {
            let response = self.call(Target::Coordinator(group), &request).await?;
            let found = response.groups.first().ok_or_else(|| incomplete(ApiKey::DescribeGroups, &what))?;
            check(|| what.clone(), found.error_code, found.error_message.as_deref())?;
            Ok(DescribedGroup {
                id: group.to_owned(),
                state: found.group_state.to_string(),
                protocol_type: found.protocol_type.to_string(),
                protocol: found.protocol_data.to_string(),
                members: found.members.iter().map(member).collect(),
            })
        })
        .await
    }

    /// The node that coordinates a group.
    pub async fn find_coordinator(&self, group: &str) -> Result<i32, ClientError> {
        let what = format!("the coordinator of group {group}");
        self.retry(&what, async || self.coordinator(group).await).await
    }

    /// Deletes groups without members.
    pub async fn delete_groups(&self, groups: &[String]) -> Result<Vec<Outcome<()>>, ClientError> {
        let mut outcomes = Vec::new();
        for group in groups {
            let request = DeleteGroupsRequest { groups_names: vec![group.into()] };
            let what = format!("group {group}");
            let outcome = self.retry(&what, async || {
                let response = self.call(Target::Coordinator(group), &request).await?;
                let result = response.results.first().ok_or_else(|| incomplete(ApiKey::DeleteGroups, &what))?;
                check(|| what.clone(), result.error_code, None)
            });
            outcomes.push((group.clone(), outcome.await));
        }
        Ok(outcomes)
    }

    /// All offsets that a group committed.
    pub async fn committed(&self, group: &str) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        // From version 8 on a request names several groups; before version 2 it could not ask for all topics.
        let request = OffsetFetchRequest { group_id: group.into(), topics: None, ..Default::default() };
        let what = format!("the offsets of group {group}");
        let response = self.retry(&what, async || {
            let response = self.call_in(Target::Coordinator(group), 2..=7, &request).await?;
            check(|| what.clone(), response.error_code, None)?;
            for partition in response.topics.iter().flat_map(|topic| &topic.partitions) {
                check(|| what.clone(), partition.error_code, None)?;
            }
            Ok(response)
        });
        let mut committed = BTreeMap::new();
        for topic in response.await?.topics {
            for partition in topic.partitions.iter().filter(|partition| partition.committed_offset >= 0) {
                let found = Committed {
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.metadata.as_deref().unwrap_or_default().to_owned(),
                };
                committed.insert((topic.name.to_string(), partition.partition_index), found);
            }
        }
        Ok(committed)
    }

    /// Sets the offsets of a group that has no members.
    pub async fn commit(&self, group: &str, offsets: &BTreeMap<TopicPartition, i64>) -> Result<(), ClientError> {
        self.commit_as(group, &OUTSIDER, offsets).await
    }

    pub(crate) async fn commit_as(
        &self,
        group: &str,
        committer: &Committer<'_>,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        let request = commit_request(group, committer, offsets);
        let what = format!("committing offsets of group {group}");
        self.retry(&what, async || {
            // Up to version 9 topics go by name.
            let response = self.call_in(Target::Coordinator(group), 2..=9, &request).await?;
            for topic in &response.topics {
                for answer in &topic.partitions {
                    let what = || format!("{what}: {} partition {}", topic.name, answer.partition_index);
                    check(what, answer.error_code, None)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Makes a group forget what it committed for these partitions; nobody in it may read the topics.
    pub async fn delete_offsets(
        &self,
        group: &str,
        partitions: &[TopicPartition],
    ) -> Result<Vec<(TopicPartition, Result<(), ClientError>)>, ClientError> {
        let mut topics: BTreeMap<&str, Vec<OffsetDeleteRequestPartition>> = BTreeMap::new();
        for (topic, partition) in partitions {
            let partition = OffsetDeleteRequestPartition { partition_index: *partition };
            topics.entry(topic).or_default().push(partition);
        }
        let topic = |(name, partitions): (&str, _)| OffsetDeleteRequestTopic { name: name.into(), partitions };
        let topics = topics.into_iter().map(topic).collect();
        let request = OffsetDeleteRequest { group_id: group.into(), topics };
        let what = format!("deleting offsets of group {group}");
        let response = self.retry(&what, async || {
            let response = self.call(Target::Coordinator(group), &request).await?;
            check(|| what.clone(), response.error_code, None)?;
            Ok(response)
        });
        let mut outcomes = Vec::new();
        for topic in response.await?.topics {
            for answer in &topic.partitions {
                let place = (topic.name.to_string(), answer.partition_index);
                let what = || format!("{} partition {}", place.0, place.1);
                let outcome = check(what, answer.error_code, None);
                outcomes.push((place, outcome));
            }
        }
        Ok(outcomes)
    }
}

fn member(member: &DescribedGroupMember) -> GroupMember {
    GroupMember {
        id: member.member_id.to_string(),
        instance_id: member.group_instance_id.as_ref().map(ToString::to_string),
        client_id: member.client_id.to_string(),
        client_host: member.client_host.to_string(),
        assignment: decode_assignment(&Bytes::copy_from_slice(&member.member_assignment)),
    }
}

fn commit_request(
    group: &str,
    committer: &Committer<'_>,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> OffsetCommitRequest {
    let mut topics: BTreeMap<&str, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
    for ((topic, partition), offset) in offsets {
        topics.entry(topic).or_default().push(OffsetCommitRequestPartition {
            partition_index: *partition,
            committed_offset: *offset,
            committed_metadata: Some("".into()),
            ..Default::default()
        });
    }
    let topic = |(name, partitions): (&str, _)| OffsetCommitRequestTopic {
        name: name.into(),
        partitions,
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: committer.generation,
        member_id: committer.member_id.into(),
        group_instance_id: committer.instance_id.map(Into::into),
        topics: topics.into_iter().map(topic).collect(),
        ..Default::default()
    }
}
