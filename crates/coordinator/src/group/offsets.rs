//! Committed offsets: who may commit, what is kept, and for how long.

use crate::error::GroupError;
use crate::format::{CommittedOffset, Record, string_fits};
use crate::group::{Cx, Group, Kept, Phase};
use crate::request::{CommitPartition, CommitRequest, FetchRequest, FetchedPartition, FetchedTopics};
use crate::request::{OffsetDeleteRequest, PartitionErrors};
use crate::subscription;

impl Group {
    /// May this commit be stored?
    ///
    /// Members commit with their id and generation; those outside group management (tools, consumers that assign
    /// themselves) with neither, as long as the group has no members. In Preparing commits are welcome: members commit
    /// before they give up their partitions. In Completing the partitions may be somebody else's already.
    pub(crate) fn check_commit(&self, request: &CommitRequest) -> Result<(), GroupError> {
        if request.generation < 0 && self.phase == Phase::Empty {
            return Ok(());
        }
        let names_member = request.generation >= 0 || !request.member_id.is_empty() || request.instance_id.is_some();
        if !names_member {
            return Err(GroupError::UnknownMemberId);
        }
        self.check_member(&request.member_id, request.instance_id.as_deref())?;
        self.check_generation(request.generation)?;
        if let Phase::Completing { .. } = self.phase {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// After the check: the records of those offsets that can be stored.
    pub(crate) fn commit(&mut self, cx: &mut Cx<'_>, request: CommitRequest) -> PartitionErrors {
        self.heard_of(cx, &request.member_id);
        let expire_timestamp = request.retention_ms.map(|keep| cx.now.unix_ms.saturating_add(keep));
        let mut answer = PartitionErrors::with_capacity(request.topics.len());
        for (topic, partitions) in request.topics {
            let mut results = Vec::with_capacity(partitions.len());
            if !string_fits(&topic) {
                let refuse = |partition: CommitPartition| (partition.partition, Some(GroupError::InvalidRequest));
                answer.push((topic, partitions.into_iter().map(refuse).collect()));
                continue;
            }
            for CommitPartition { partition, offset, leader_epoch, metadata } in partitions {
                if metadata.encode_utf16().count() > cx.config.offset_metadata_max || !string_fits(&metadata) {
                    results.push((partition, Some(GroupError::OffsetMetadataTooLarge)));
                    continue;
                }
                let commit_timestamp = cx.now.unix_ms;
                // A record with an expiry of its own has no room for the epoch (nor do the requests that ask for one).
                let leader_epoch = if expire_timestamp.is_some() { -1 } else { leader_epoch };
                let value = CommittedOffset { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp };
                cx.effects.records.push(self.offset_record(&topic, partition, Some(value)));
                results.push((partition, None));
            }
            answer.push((topic, results));
        }
        answer
    }

    fn offset_record(&self, topic: &str, partition: i32, value: Option<CommittedOffset>) -> Record {
        Record::Offset { group: self.id.to_string(), topic: topic.to_owned(), partition, value }
    }

    /// What is stored; -1 where nothing is.
    pub(crate) fn fetch(&self, request: &FetchRequest) -> FetchedTopics {
        match &request.topics {
            Some(topics) => {
                let fetch = |topic: &str, partition: i32| match self.offset(topic, partition) {
                    Some(stored) => fetched(partition, stored),
                    None => missing(partition),
                };
                let fetch = |(topic, partitions): &(String, Vec<i32>)| {
                    (topic.clone(), partitions.iter().map(|partition| fetch(topic, *partition)).collect())
                };
                topics.iter().map(fetch).collect()
            }
            None => {
                let all = |(topic, partitions): (&String, &std::collections::BTreeMap<i32, Kept>)| {
                    let fetched = |(partition, kept): (&i32, &Kept)| fetched(*partition, &kept.stored);
                    (topic.clone(), partitions.iter().map(fetched).collect())
                };
                self.offsets.iter().map(all).collect()
            }
        }
    }

    fn offset(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.get(topic)?.get(&partition).map(|kept| &kept.stored)
    }

    /// OffsetDelete: what no member reads may go.
    pub(crate) fn delete_offsets(
        &self,
        cx: &mut Cx<'_>,
        request: OffsetDeleteRequest,
    ) -> Result<PartitionErrors, GroupError> {
        let consumers = self.protocol_type() == subscription::CONSUMER;
        if self.phase != Phase::Empty && !consumers {
            return Err(GroupError::NonEmptyGroup);
        }
        let subscribed = self.subscribed_topics();
        // Members whose subscription cannot be read may read anything.
        let is_read =
            |topic: &str| self.phase != Phase::Empty && subscribed.as_ref().is_none_or(|topics| topics.contains(topic));
        let mut answer = PartitionErrors::with_capacity(request.topics.len());
        for (topic, partitions) in request.topics {
            let error = is_read(&topic).then_some(GroupError::GroupSubscribedToTopic);
            for partition in
                partitions.iter().filter(|partition| error.is_none() && self.offset(&topic, **partition).is_some())
            {
                cx.effects.records.push(self.offset_record(&topic, *partition, None));
            }
            answer.push((topic, partitions.into_iter().map(|partition| (partition, error)).collect()));
        }
        Ok(answer)
    }

    /// DeleteGroups: tombstones for all that the log has of the group.
    pub(crate) fn delete(&self, cx: &mut Cx<'_>) -> Result<(), GroupError> {
        if self.phase != Phase::Empty {
            return Err(GroupError::NonEmptyGroup);
        }
        self.remove_offsets(cx, |_, _| true);
        if self.stored {
            cx.effects.records.push(Record::Group { group: self.id.to_string(), value: None });
        }
        Ok(())
    }

    /// Tombstones for the offsets of topics that were deleted, of those whose place is below `before`: what came later is for
    /// another topic of that name.
    pub(crate) fn forget_topics(&self, cx: &mut Cx<'_>, deleted: impl Fn(&str) -> bool, before: u64) {
        self.remove_offsets(cx, |topic, kept| kept.place < before && deleted(topic));
    }

    /// Tombstones for what has not been used for `offsets.retention.minutes`, and for the group itself once it is empty and
    /// has nothing left.
    ///
    /// An offset with an expiry of its own keeps to that. Otherwise the time runs: without members, from when the last one
    /// left; for those outside group management, from the commit; and for consumers in a stable group, from the commit for
    /// topics that they no longer subscribe to. Everything else is in use.
    pub(crate) fn expire(&self, cx: &mut Cx<'_>) {
        let subscribed = matches!(self.phase, Phase::Stable { .. }).then(|| self.subscribed_topics()).flatten();
        let (now, retention) = (cx.now.unix_ms, cx.config.offsets_retention_ms);
        let is_old = |topic: &str, stored: &CommittedOffset| {
            let since = match (self.phase, &self.protocol_type) {
                (_, None) => stored.commit_timestamp,
                (Phase::Empty, Some(_)) => {
                    self.state_since.unwrap_or(stored.commit_timestamp).max(stored.commit_timestamp)
                }
                (Phase::Stable { .. }, Some(_)) => match &subscribed {
                    Some(topics) if !topics.contains(topic) => stored.commit_timestamp,
                    _ => return false,
                },
                (Phase::Preparing { .. } | Phase::Completing { .. }, Some(_)) => return false,
            };
            match stored.expire_timestamp {
                Some(expires) => now >= expires,
                None => now.saturating_sub(since) >= retention,
            }
        };
        let kept = self.remove_offsets(cx, |topic, kept| is_old(topic, &kept.stored));
        if kept == 0 && self.phase == Phase::Empty && self.stored && self.pending.is_empty() {
            cx.effects.records.push(Record::Group { group: self.id.to_string(), value: None });
        }
    }

    /// Pushes tombstones for the offsets that `gone` picks; how many are kept.
    fn remove_offsets(&self, cx: &mut Cx<'_>, gone: impl Fn(&str, &Kept) -> bool) -> usize {
        let mut kept = 0;
        for (topic, partitions) in &self.offsets {
            for (partition, kept_here) in partitions {
                if gone(topic, kept_here) {
                    cx.effects.records.push(self.offset_record(topic, *partition, None));
                } else {
                    kept += 1;
                }
            }
        }
        kept
    }
}

fn fetched(partition: i32, stored: &CommittedOffset) -> FetchedPartition {
    FetchedPartition {
        partition,
        offset: stored.offset,
        leader_epoch: stored.leader_epoch,
        metadata: stored.metadata.clone(),
    }
}

fn missing(partition: i32) -> FetchedPartition {
    FetchedPartition { partition, offset: -1, leader_epoch: -1, metadata: String::new() }
}
