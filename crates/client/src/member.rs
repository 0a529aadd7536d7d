//! A member of a classic consumer group: joins, assigns when it leads, gives signs of life, commits, leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use ailurus_wire::heartbeat::HeartbeatRequest;
use ailurus_wire::join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse};
use ailurus_wire::leave_group::{LeaveGroupRequest, MemberIdentity};
use ailurus_wire::sync_group::{SyncGroupRequest, SyncGroupRequestAssignment};
use ailurus_wire::{ApiKey, ErrorCode};

use crate::assignor::{
    Assignment, RANGE, assign, decode_assignment, decode_subscription, encode_assignment, encode_subscription,
};
use crate::client::incomplete;
use crate::error::check;
use crate::groups::{Committed, Committer};
use crate::offsets::TopicPartition;
use crate::{Client, ClientError, Target};

/// A coordinator answers a join by the end of the rebalance timeout; so much later at most it is here.
const JOIN_GRACE: Duration = Duration::from_secs(5);

/// How a member takes part.
#[derive(Clone, Debug)]
pub struct MemberConfig {
    /// The group.
    pub group: String,
    /// The topics it wants.
    pub topics: Vec<String>,
    /// Its static id (KIP-345), if any.
    pub instance_id: Option<String>,
    /// Silent for so long, it is taken for dead.
    pub session_timeout: Duration,
    /// So long the group waits for it to join again.
    pub rebalance_timeout: Duration,
}

impl Default for MemberConfig {
    fn default() -> Self {
        MemberConfig {
            group: String::new(),
            topics: Vec::new(),
            instance_id: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
        }
    }
}

/// What a heartbeat brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// All is well.
    Steady,
    /// The group rebalances: commit, then [`Member::join`] again.
    Rebalance,
    /// The group went on without us: what was read since the last commit will be read again by others. Join again.
    Lost,
}

/// A member that has joined.
pub struct Member {
    client: Client,
    config: MemberConfig,
    id: String,
    generation: i32,
    assignment: Assignment,
}

impl Member {
    /// Joins the group and waits until it has an assignment.
    pub async fn start(client: Client, config: MemberConfig) -> Result<Member, ClientError> {
        let mut member = Member { client, config, id: String::new(), generation: -1, assignment: Assignment::new() };
        member.join().await?;
        Ok(member)
    }

    /// What it is to read, since the last join.
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Its id, and the generation of the group.
    pub fn identity(&self) -> (&str, i32) {
        (&self.id, self.generation)
    }

    /// How often to send heartbeats.
    pub fn heartbeat_interval(&self) -> Duration {
        (self.config.session_timeout / 3).min(Duration::from_secs(3))
    }

    /// Joins (again), and assigns if it is chosen to lead. Takes longer than [`ClientConfig::timeout`] where the group waits
    /// for others: for a dead member until its session is over, and for a slow one as long as the rebalance may take.
    ///
    /// [`ClientConfig::timeout`]: crate::ClientConfig::timeout
    pub async fn join(&mut self) -> Result<(), ClientError> {
        let client = self.client.clone();
        let what = format!("joining group {}", self.config.group);
        let retriable = |error: &ClientError| {
            let again = [
                ErrorCode::MemberIdRequired,
                ErrorCode::UnknownMemberId,
                ErrorCode::IllegalGeneration,
                ErrorCode::RebalanceInProgress,
            ];
            error.is_retriable() || error.code().is_some_and(|code| again.contains(&code))
        };
        let after = client.config().timeout.max(self.config.rebalance_timeout + JOIN_GRACE);
        client.retry_for(after, &what, retriable, async || self.join_once(&what).await).await
    }

    async fn join_once(&mut self, what: &str) -> Result<(), ClientError> {
        let joined = self.ask_to_join(what).await?;
        self.generation = joined.generation_id;
        self.id = joined.member_id.to_string();
        let assignments = if joined.leader == joined.member_id { self.lead(&joined).await? } else { Vec::new() };
        let request = SyncGroupRequest {
            group_id: (&self.config.group).into(),
            generation_id: self.generation,
            member_id: (&self.id).into(),
            group_instance_id: self.config.instance_id.as_ref().map(Into::into),
            protocol_type: Some("consumer".into()),
            protocol_name: joined.protocol_name.clone(),
            assignments,
        };
        let response = self.client.call(Target::Coordinator(&self.config.group), &request).await?;
        self.check(what, response.error_code)?;
        let assignment = decode_assignment(&response.assignment);
        self.assignment = assignment.ok_or_else(|| incomplete(ApiKey::SyncGroup, "a readable assignment"))?;
        Ok(())
    }

    async fn ask_to_join(&mut self, what: &str) -> Result<JoinGroupResponse, ClientError> {
        let metadata = encode_subscription(&self.config.topics);
        let mut request = JoinGroupRequest {
            group_id: (&self.config.group).into(),
            session_timeout_ms: self.config.session_timeout.as_millis() as i32,
            rebalance_timeout_ms: self.config.rebalance_timeout.as_millis() as i32,
            member_id: (&self.id).into(),
            group_instance_id: self.config.instance_id.as_ref().map(Into::into),
            protocol_type: "consumer".into(),
            protocols: vec![JoinGroupRequestProtocol { name: RANGE.into(), metadata }],
            ..Default::default()
        };
        let coordinator = Target::Coordinator(&self.config.group);
        let mut response = self.client.call(coordinator, &request).await?;
        if response.error_code == ErrorCode::MemberIdRequired {
            // KIP-394: the id comes first, the group is joined with it.
            self.id = response.member_id.to_string();
            request.member_id = response.member_id;
            response = self.client.call(coordinator, &request).await?;
        }
        self.check(what, response.error_code)?;
        Ok(response)
    }

    /// Forgets an id that the coordinator does not know.
    fn check(&mut self, what: &str, code: ErrorCode) -> Result<(), ClientError> {
        if code == ErrorCode::UnknownMemberId {
            self.id.clear();
        }
        check(|| what.to_owned(), code, None)
    }

    async fn lead(&self, joined: &JoinGroupResponse) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut members = BTreeMap::new();
        for member in &joined.members {
            let topics = decode_subscription(&member.metadata);
            let topics = topics.ok_or_else(|| incomplete(ApiKey::JoinGroup, "readable subscriptions"))?;
            members.insert(member.member_id.to_string(), topics);
        }
        let mut topics: Vec<String> = members.values().flatten().cloned().collect();
        topics.sort();
        topics.dedup();
        // Topics that do not exist (yet) have no partitions to give.
        let metadata = self.client.metadata(Some(&topics), false).await?;
        let existing = metadata.topics.iter().filter(|topic| topic.error.is_none());
        let partitions = existing.map(|topic| (topic.name.clone(), topic.partitions.len() as i32)).collect();
        let assigned = assign(&members, &partitions);
        let assignment = |(id, assignment): (&String, &Assignment)| SyncGroupRequestAssignment {
            member_id: id.into(),
            assignment: encode_assignment(assignment),
        };
        Ok(assigned.iter().map(assignment).collect())
    }

    /// Gives a sign of life.
    pub async fn heartbeat(&mut self) -> Result<Sign, ClientError> {
        let request = HeartbeatRequest {
            group_id: (&self.config.group).into(),
            generation_id: self.generation,
            member_id: (&self.id).into(),
            group_instance_id: self.config.instance_id.as_ref().map(Into::into),
        };
        let what = format!("the heartbeat of group {}", self.config.group);
        let group = self.config.group.clone();
        let client = self.client.clone();
        let final_codes = [ErrorCode::RebalanceInProgress, ErrorCode::UnknownMemberId, ErrorCode::IllegalGeneration];
        let code = client
            .retry(&what, async || {
                let response = client.call(Target::Coordinator(&group), &request).await?;
                if final_codes.contains(&response.error_code) {
                    return Ok(response.error_code);
                }
                check(|| what.clone(), response.error_code, None)?;
                Ok(ErrorCode::None)
            })
            .await?;
        Ok(match code {
            ErrorCode::None => Sign::Steady,
            ErrorCode::RebalanceInProgress => Sign::Rebalance,
            code => {
                // Checked again so that an unknown id is forgotten.
                let _ = self.check(&what, code);
                Sign::Lost
            }
        })
    }

    /// What the group committed.
    pub async fn committed(&self) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        self.client.committed(&self.config.group).await
    }

    /// Commits as this member in this generation; refused if the group went on without it.
    pub async fn commit(&self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<(), ClientError> {
        let committer = Committer {
            generation: self.generation,
            member_id: &self.id,
            instance_id: self.config.instance_id.as_deref(),
        };
        self.client.commit_as(&self.config.group, &committer, offsets).await
    }

    /// Leaves, so that the others take over at once. A static member does not leave (KIP-345).
    pub async fn leave(self) -> Result<(), ClientError> {
        if self.config.instance_id.is_some() {
            return Ok(());
        }
        let members = vec![MemberIdentity { member_id: (&self.id).into(), ..Default::default() }];
        let group_id = (&self.config.group).into();
        let request = LeaveGroupRequest { group_id, members, ..Default::default() };
        let what = format!("leaving group {}", self.config.group);
        // Once is enough: the group notices by itself, a little later.
        self.client
            .retry_if(
                &what,
                |_| false,
                async || {
                    // From version 3 on the members are a list.
                    let coordinator = Target::Coordinator(&self.config.group);
                    let response = self.client.call_in(coordinator, 3..=5, &request).await?;
                    check(|| what.clone(), response.error_code, None)
                },
            )
            .await
    }
}
