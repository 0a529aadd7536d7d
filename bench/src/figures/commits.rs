//! What a coordinator reads to load its groups, after many commits of few keys and a kill.

use std::collections::VecDeque;
use std::time::Duration;

use ailurus_record::BatchBuilder;
use ailurus_wire::find_coordinator::FindCoordinatorRequest;
use ailurus_wire::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use ailurus_wire::{ErrorCode, Str};

use crate::Context;
use crate::broker::{Broker, fresh_directory};
use crate::client::Client;
use crate::report::Row;

const KEYS: i32 = 1000;
const UNDER_WAY: usize = 500;
/// Many more than the groups of a large cluster commit. Without a pace the client would outrun compaction on a slow disk.
const PER_SECOND: f64 = 5_000.0;
const AT_ONCE: i64 = 50;
const OFFSET_COMMIT: i16 = 8;
const FIND_COORDINATOR: i16 = 3;
const LOADED: &str = "ailurus_group_loaded_bytes";

pub(crate) fn measure(context: &Context) -> Result<Vec<Row>, String> {
    let commits = context.pick(1_000_000, 50_000);
    let directory = fresh_directory(context, "commits")?;
    let (group, topic) = (Str::from_static("group"), Str::from_static("topic"));
    let mut broker = Broker::start(context, &directory, &[])?;
    let mut client = Client::connect_when_up(&mut broker)?;
    client.create_topic(&topic, KEYS)?;
    until_coordinated(&mut client, &group)?;
    let before = std::time::Instant::now();
    let mut under_way = VecDeque::new();
    for number in 0..commits {
        if number % AT_ONCE == 0 {
            let due = Duration::from_secs_f64(number as f64 / PER_SECOND);
            std::thread::sleep(due.saturating_sub(before.elapsed()));
        }
        client.send(OFFSET_COMMIT, &commit(&group, &topic, number))?;
        under_way.push_back(());
        if under_way.len() == UNDER_WAY {
            under_way.pop_front();
            acknowledged(&mut client)?;
        }
    }
    under_way.iter().try_for_each(|()| acknowledged(&mut client))?;
    let rate = commits as f64 / before.elapsed().as_secs_f64();
    broker.kill()?;

    let mut broker = Broker::start(context, &directory, &[])?;
    let mut client = Client::connect_when_up(&mut broker)?;
    until_coordinated(&mut client, &group)?;
    let (loaded, live) = (broker.counter(LOADED)?, KEYS as u64 * one_commit(&group, &topic));
    broker.kill()?;
    std::fs::remove_dir_all(&directory).map_err(|error| error.to_string())?;
    let result =
        format!("{:.2} x ({loaded} bytes read, {live} live; {rate:.0} commits/s)", loaded as f64 / live as f64);
    let what = format!("{commits} commits of 1,000 keys, kill -9: what loading the group reads, against what is live");
    // How far compaction is behind depends on the machine.
    Ok(vec![Row::timed(what, "<= 3 x", result, loaded <= 3 * live && loaded >= live)])
}

fn commit(group: &Str, topic: &Str, number: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: (number % i64::from(KEYS)) as i32,
        committed_offset: number,
        committed_leader_epoch: -1,
        committed_metadata: Some(Str::new()),
    };
    let topic = OffsetCommitRequestTopic { name: topic.clone(), partitions: vec![partition], ..Default::default() };
    OffsetCommitRequest {
        group_id: group.clone(),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

fn acknowledged(client: &mut Client) -> Result<(), String> {
    let response: OffsetCommitResponse = client.receive(OFFSET_COMMIT)?;
    match answer(&response)? {
        ErrorCode::None => Ok(()),
        refused => Err(format!("OffsetCommit: {refused:?}")),
    }
}

fn answer(response: &OffsetCommitResponse) -> Result<ErrorCode, String> {
    let partition = response.topics.first().and_then(|topic| topic.partitions.first());
    partition.map(|partition| partition.error_code).ok_or("OffsetCommit answered nothing".to_owned())
}

/// Until the group has a coordinator that has loaded it: then it takes a commit, one to a key of its own kind.
fn until_coordinated(client: &mut Client, group: &Str) -> Result<(), String> {
    for _ in 0..3000 {
        let find = FindCoordinatorRequest { key: group.clone(), ..Default::default() };
        let found = client.call(FIND_COORDINATOR, &find)?.error_code;
        if found == ErrorCode::None {
            let response = client.call(OFFSET_COMMIT, &commit(group, &Str::from_static("topic"), 0))?;
            match answer(&response)? {
                ErrorCode::None => return Ok(()),
                code if code.is_retriable() => {}
                code => return Err(format!("OffsetCommit: {code:?}")),
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err("the group has no coordinator".to_owned())
}

/// Bytes of a batch with one commit: see docs/formats/consumer-offsets.md.
fn one_commit(group: &Str, topic: &Str) -> u64 {
    let (key, value) = (vec![0; 10 + group.len() + topic.len()], vec![0; 24]);
    let mut batch = BatchBuilder::new();
    batch.push(0, Some(&key), Some(&value), &[]);
    batch.build().len() as u64
}
