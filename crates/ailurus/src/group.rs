//! `ailurus group`: list, describe, delete groups; reset and delete their offsets.

use std::collections::BTreeMap;

use ailurus_client::Isolation;
use ailurus_client::groups::{Committed, DescribedGroup, GroupMember, ListedGroup};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::fault::Fault;
use crate::position::Position;
use crate::report::Section;
use crate::resolve::{Offsets, TopicPartition, bounds, parse_topic_partitions, partitions_of, resolve};
use crate::session::{Session, show_outcomes};
use crate::units::parse_time;

/// The verbs for groups.
#[derive(Debug, Subcommand)]
pub(crate) enum Group {
    /// List groups.
    #[command(visible_alias = "ls")]
    List(List),
    /// Show members, offsets and lag of groups.
    Describe(Describe),
    /// Delete groups that have no members, with their offsets.
    #[command(visible_alias = "rm")]
    Delete(Names),
    /// Move the committed offsets of a group that has no members.
    #[command(visible_alias = "seek", visible_alias = "reset-offsets")]
    Reset(Reset),
    /// Make a group forget its offsets of topics.
    #[command(visible_alias = "offset-delete")]
    DeleteOffsets(DeleteOffsets),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only groups in these states, like Stable or Empty.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Names {
    /// Names of the groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Names of the groups.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Show the members and what they read.
    #[arg(short, long)]
    members: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("goal").required(true).args(["to", "to_earliest", "to_latest", "to_offset", "to_timestamp", "shift_by"])))]
pub(crate) struct Reset {
    /// Name of the group; it need not exist yet.
    group: String,
    /// Where to: earliest, latest, an offset, -N for N before the end, @TIME.
    #[arg(long, value_name = "POSITION", allow_hyphen_values = true)]
    to: Option<String>,
    /// To the first record that is still there.
    #[arg(long)]
    to_earliest: bool,
    /// Behind the last record.
    #[arg(long)]
    to_latest: bool,
    /// To this offset.
    #[arg(long, value_name = "N")]
    to_offset: Option<i64>,
    /// To the first record at this time or later: 2026-01-31T12:00:00Z, milliseconds since 1970, or -15m.
    #[arg(long, visible_alias = "to-datetime", value_name = "TIME", allow_hyphen_values = true)]
    to_timestamp: Option<String>,
    /// Forward by this many records, or back with a minus.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    shift_by: Option<i64>,
    /// Only these topics, or partitions as in orders:0,2; all that the group has committed if left out.
    #[arg(short, long = "topic", value_name = "TOPIC[:N,N]", value_parser = parse_topic_partitions)]
    topics: Vec<(String, Option<Vec<i32>>)>,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteOffsets {
    /// Name of the group.
    group: String,
    /// Which topics, or partitions as in orders:0,2.
    #[arg(short, long = "topic", value_name = "TOPIC[:N,N]", required = true, value_parser = parse_topic_partitions)]
    topics: Vec<(String, Option<Vec<i32>>)>,
}

impl Group {
    pub(crate) async fn run(self, session: &Session) -> Result<(), Fault> {
        match self {
            Group::List(list) => list.run(session).await,
            Group::Describe(describe) => describe.run(session).await,
            Group::Delete(names) => names.delete(session).await,
            Group::Reset(reset) => reset.run(session).await,
            Group::DeleteOffsets(delete) => delete.run(session).await,
        }
    }
}

impl List {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let mut groups = session.client.list_groups().await?;
        let wanted = |state: &str| self.state.iter().any(|wanted| wanted.eq_ignore_ascii_case(state));
        groups.retain(|group| self.state.is_empty() || wanted(&group.state));
        let (json, sections) = list_report(&groups);
        session.output.show(&json, &sections)
    }
}

fn list_report(groups: &[ListedGroup]) -> (Value, Vec<Section>) {
    let json = groups.iter().map(|group| {
        json!({ "group": group.id, "state": group.state, "protocol_type": group.protocol_type, "coordinator": group.coordinator })
    });
    let row = |group: &ListedGroup| {
        vec![group.id.clone(), group.state.clone(), group.protocol_type.clone(), group.coordinator.to_string()]
    };
    let rows: Vec<_> = groups.iter().map(row).collect();
    let headings = vec!["GROUP", "STATE", "PROTOCOL", "#COORDINATOR"];
    let sections = match rows.is_empty() {
        true => vec![Section::line("no groups")],
        false => vec![Section::Table { headings, rows }],
    };
    (json.collect(), sections)
}

impl Describe {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let mut values = Vec::new();
        let mut sections = Vec::new();
        for name in &self.groups {
            let group = session.client.describe_group(name).await?;
            let coordinator = session.client.find_coordinator(name).await?;
            let committed = session.client.committed(name).await?;
            if group.state == "Dead" && committed.is_empty() {
                let hint = "`ailurus group list` shows what there is";
                return Err(Fault::refused(format!("there is no group {name}")).hint(hint));
            }
            let partitions = read_partitions(&group, &committed);
            let ends = ends(session, &partitions).await?;
            let (value, page) = describe_report(&group, coordinator, &committed, &ends, self.members);
            values.push(value);
            sections.extend(page);
        }
        session.output.show(&Value::Array(values), &sections)
    }
}

/// What a group has committed or its members are to read.
fn read_partitions(group: &DescribedGroup, committed: &BTreeMap<TopicPartition, Committed>) -> Vec<TopicPartition> {
    let mut partitions: Vec<TopicPartition> = committed.keys().cloned().collect();
    for (topic, numbers) in group.members.iter().flat_map(|member| member.assignment.iter().flatten()) {
        partitions.extend(numbers.iter().map(|number| (topic.clone(), *number)));
    }
    partitions.sort();
    partitions.dedup();
    partitions
}

/// The ends of those partitions that still exist and have a leader.
async fn ends(session: &Session, partitions: &[TopicPartition]) -> Result<Offsets, Fault> {
    let mut topics: Vec<String> = partitions.iter().map(|(topic, _)| topic.clone()).collect();
    topics.dedup();
    let metadata = session.client.metadata(Some(&topics), false).await?;
    let led = |(topic, partition): &&TopicPartition| {
        let known = metadata.topic(topic).into_iter().flat_map(|topic| &topic.partitions);
        known.into_iter().any(|known| known.partition == *partition && known.leader >= 0)
    };
    let led: Vec<TopicPartition> = partitions.iter().filter(led).cloned().collect();
    Ok(bounds(&session.client, &led, Isolation::ReadUncommitted).await?.end)
}

fn describe_report(
    group: &DescribedGroup,
    coordinator: i32,
    committed: &BTreeMap<TopicPartition, Committed>,
    ends: &Offsets,
    members: bool,
) -> (Value, Vec<Section>) {
    let partitions = read_partitions(group, committed);
    let reader = |(topic, partition): &TopicPartition| {
        let reads = |member: &&GroupMember| {
            member.assignment.as_ref().is_some_and(|a| a.get(topic).is_some_and(|numbers| numbers.contains(partition)))
        };
        group.members.iter().find(reads)
    };
    let lag = |place: &TopicPartition| {
        let (end, committed) = (ends.get(place)?, committed.get(place)?);
        Some((end - committed.offset).max(0))
    };
    let total: i64 = partitions.iter().filter_map(lag).sum();
    let json = json!({
        "group": group.id, "state": group.state, "coordinator": coordinator,
        "protocol_type": group.protocol_type, "protocol": group.protocol, "lag": total,
        "members": group.members.iter().map(member_json).collect::<Vec<_>>(),
        "partitions": partitions.iter().map(|place| json!({
            "topic": place.0, "partition": place.1, "committed": committed.get(place).map(|c| c.offset),
            "metadata": committed.get(place).map(|c| c.metadata.clone()),
            "end": ends.get(place), "lag": lag(place), "member": reader(place).map(|member| member.id.clone()),
        })).collect::<Vec<_>>(),
    });
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let rows = partitions.iter().map(|place| {
        let member = reader(place);
        vec![
            place.0.clone(),
            place.1.to_string(),
            number(committed.get(place).map(|committed| committed.offset)),
            number(ends.get(place).copied()),
            number(lag(place)),
            member.map_or("-".to_owned(), |member| member.id.clone()),
            member.map_or("-".to_owned(), |member| member.client_host.clone()),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let mut sections = vec![Section::Facts(vec![
        ("group", group.id.clone()),
        ("state", group.state.clone()),
        ("coordinator", coordinator.to_string()),
        ("assignor", group.protocol.clone()),
        ("members", group.members.len().to_string()),
        ("lag", total.to_string()),
    ])];
    if !rows.is_empty() {
        let headings = vec!["TOPIC", "#PARTITION", "#COMMITTED", "#END", "#LAG", "MEMBER", "HOST"];
        sections.push(Section::Table { headings, rows });
    }
    if members && !group.members.is_empty() {
        let headings = vec!["MEMBER", "INSTANCE", "CLIENT", "HOST", "READS"];
        let rows = group.members.iter().map(member_row).collect();
        sections.push(Section::Table { headings, rows });
    }
    (json, sections)
}

fn member_json(member: &GroupMember) -> Value {
    json!({
        "member": member.id, "instance": member.instance_id, "client": member.client_id,
        "host": member.client_host, "assignment": member.assignment,
    })
}

fn member_row(member: &GroupMember) -> Vec<String> {
    let reads = member.assignment.iter().flatten().map(|(topic, numbers)| {
        let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", numbers.join(","))
    });
    vec![
        member.id.clone(),
        member.instance_id.clone().unwrap_or_default(),
        member.client_id.clone(),
        member.client_host.clone(),
        reads.collect::<Vec<_>>().join(" "),
    ]
}

impl Names {
    async fn delete(self, session: &Session) -> Result<(), Fault> {
        let outcomes = session.client.delete_groups(&self.groups).await?;
        let outcomes = outcomes.into_iter().map(|(name, outcome)| {
            let line = format!("deleted group {name}");
            (json!({ "group": name }), outcome.map(|()| line).map_err(Fault::from))
        });
        show_outcomes(session.output, outcomes.collect())
    }
}

impl Reset {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let committed = self.check_idle(session).await?;
        let partitions = self.partitions(session, &committed).await?;
        let isolation = Isolation::ReadUncommitted;
        let bounds = bounds(&session.client, &partitions, isolation).await?;
        let goals = match self.shift_by {
            None => resolve(&session.client, &bounds, self.position()?, &committed, isolation).await?,
            Some(by) => {
                let shifted = |place: &TopicPartition| {
                    let (start, end) = (bounds.start[place], bounds.end[place]);
                    committed.get(place).map(|now| now.saturating_add(by).clamp(start, end))
                };
                partitions.iter().filter_map(|place| Some((place.clone(), shifted(place)?))).collect()
            }
        };
        if !self.dry_run {
            session.client.commit(&self.group, &goals).await?;
        }
        let (json, sections) = reset_report(&self.group, &committed, &goals, self.dry_run);
        session.output.show(&json, &sections)
    }

    /// What the group has committed; refused while somebody is in it, because members would overwrite it.
    async fn check_idle(&self, session: &Session) -> Result<Offsets, Fault> {
        // A group that does not exist yet is idle.
        let found = session.client.describe_group(&self.group).await;
        let members = match found {
            Ok(group) => group.members.len(),
            Err(error) if error.code() == Some(ailurus_wire::ErrorCode::GroupIdNotFound) => 0,
            Err(error) => return Err(error.into()),
        };
        if members > 0 {
            let sentence = format!("group {} has {members} members, who would go on where they are", self.group);
            return Err(Fault::refused(sentence).hint("stop them first; `ailurus group describe --members` shows them"));
        }
        let committed = session.client.committed(&self.group).await?;
        Ok(committed.into_iter().map(|(place, committed)| (place, committed.offset)).collect())
    }

    async fn partitions(&self, session: &Session, committed: &Offsets) -> Result<Vec<TopicPartition>, Fault> {
        if self.topics.is_empty() {
            if committed.is_empty() {
                let sentence = format!("group {} has committed nothing, so there is nothing to move", self.group);
                return Err(Fault::refused(sentence).hint("name topics with --topic"));
            }
            return Ok(committed.keys().cloned().collect());
        }
        let mut partitions = Vec::new();
        for (topic, chosen) in &self.topics {
            partitions.extend(partitions_of(&session.client, topic, chosen.as_deref(), false).await?);
        }
        Ok(partitions)
    }

    fn position(&self) -> Result<Position, Fault> {
        let now = ailurus_rt::unix_ms();
        Ok(match self {
            Reset { to_earliest: true, .. } => Position::Earliest,
            Reset { to_latest: true, .. } => Position::Latest,
            Reset { to_offset: Some(offset), .. } => Position::Offset(*offset),
            Reset { to_timestamp: Some(time), .. } => Position::Time(parse_time(time, now).map_err(Fault::usage)?),
            Reset { to, .. } => Position::parse(to.as_deref().unwrap_or_default(), now).map_err(Fault::usage)?,
        })
    }
}

fn reset_report(group: &str, before: &Offsets, after: &Offsets, dry_run: bool) -> (Value, Vec<Section>) {
    let json = json!({
        "group": group, "dry_run": dry_run,
        "partitions": after.iter().map(|(place, offset)| json!({
            "topic": place.0, "partition": place.1, "before": before.get(place), "after": offset,
        })).collect::<Vec<_>>(),
    });
    let number = |number: Option<&i64>| number.map_or("-".to_owned(), ToString::to_string);
    let rows = after.iter().map(|(place, offset)| {
        vec![place.0.clone(), place.1.to_string(), number(before.get(place)), offset.to_string()]
    });
    let verb = if dry_run { "would move" } else { "moved" };
    let line = format!("{verb} group {group}");
    let headings = vec!["TOPIC", "#PARTITION", "#BEFORE", "#AFTER"];
    (json, vec![Section::line(line), Section::Table { headings, rows: rows.collect() }])
}

impl DeleteOffsets {
    async fn run(self, session: &Session) -> Result<(), Fault> {
        let committed = session.client.committed(&self.group).await?;
        let chosen = |(topic, partition): &&TopicPartition| {
            let of = |(name, numbers): &(String, Option<Vec<i32>>)| {
                name == topic && numbers.as_ref().is_none_or(|numbers| numbers.contains(partition))
            };
            self.topics.iter().any(of)
        };
        let partitions: Vec<TopicPartition> = committed.keys().filter(chosen).cloned().collect();
        if partitions.is_empty() {
            return Err(Fault::refused(format!("group {} has committed nothing there", self.group)));
        }
        let outcomes = session.client.delete_offsets(&self.group, &partitions).await?;
        let outcomes = outcomes.into_iter().map(|((topic, partition), outcome)| {
            let line = format!("group {} forgot {topic} partition {partition}", self.group);
            (json!({ "topic": topic, "partition": partition }), outcome.map(|()| line).map_err(Fault::from))
        });
        show_outcomes(session.output, outcomes.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::render;

    fn committed(offset: i64) -> Committed {
        Committed { offset, leader_epoch: -1, metadata: String::new() }
    }

    #[test]
    fn describe_joins_members_offsets_and_ends() {
        let group = DescribedGroup {
            id: "g".into(),
            state: "Stable".into(),
            protocol_type: "consumer".into(),
            protocol: "range".into(),
            members: vec![GroupMember {
                id: "m-1".into(),
                instance_id: None,
                client_id: "c".into(),
                client_host: "/127.0.0.1".into(),
                assignment: Some([("t".to_owned(), vec![0, 1])].into()),
            }],
        };
        let committed = BTreeMap::from([(("t".to_owned(), 0), committed(40)), (("gone".to_owned(), 0), committed(7))]);
        let ends = Offsets::from([(("t".to_owned(), 0), 100), (("t".to_owned(), 1), 5)]);
        let expected = "\
group        g
state        Stable
coordinator  1
assignor     range
members      1
lag          60

TOPIC  PARTITION  COMMITTED  END  LAG  MEMBER  HOST
gone           0          7    -    -  -       -
t              0         40  100   60  m-1     /127.0.0.1
t              1          -    5    -  m-1     /127.0.0.1

MEMBER  INSTANCE  CLIENT  HOST        READS
m-1               c       /127.0.0.1  t:0,1
";
        let (json, sections) = describe_report(&group, 1, &committed, &ends, true);
        assert_eq!(render(&sections, false), expected);
        assert_eq!(json["partitions"][1]["lag"], 60);
        assert_eq!(json["members"][0]["assignment"]["t"], json!([0, 1]));
    }

    #[test]
    fn reset_shows_before_and_after() {
        let before = Offsets::from([(("t".to_owned(), 0), 40)]);
        let after = Offsets::from([(("t".to_owned(), 0), 0), (("t".to_owned(), 1), 3)]);
        let expected = "\
would move group g

TOPIC  PARTITION  BEFORE  AFTER
t              0      40      0
t              1       -      3
";
        assert_eq!(render(&reset_report("g", &before, &after, true).1, false), expected);
    }
}
