//! From positions as people name them to offsets in partitions.

use std::collections::BTreeMap;

use ailurus_client::{Client, ClientError, Isolation, When, no_partition};

use crate::position::Position;

/// A partition by name.
pub(crate) type TopicPartition = (String, i32);
/// An offset for each of some partitions.
pub(crate) type Offsets = BTreeMap<TopicPartition, i64>;

/// Where some partitions begin and end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: Offsets,
    pub(crate) end: Offsets,
}

/// Asks the leaders for beginnings and ends.
pub(crate) async fn bounds(
    client: &Client,
    partitions: &[TopicPartition],
    isolation: Isolation,
) -> Result<Bounds, ClientError> {
    let offsets = async |when| {
        let found = client.list_offsets(partitions, when, isolation).await?;
        Ok::<Offsets, ClientError>(found.into_iter().map(|(partition, found)| (partition, found.offset)).collect())
    };
    Ok(Bounds { start: offsets(When::Earliest).await?, end: offsets(When::Latest).await? })
}

/// The offset that `position` means in each partition. Always between beginning and end.
/// A partition without committed offset begins at its beginning; a time after the last record means the end.
pub(crate) async fn resolve(
    client: &Client,
    bounds: &Bounds,
    position: Position,
    committed: &Offsets,
    isolation: Isolation,
) -> Result<Offsets, ClientError> {
    let mut by_time = Offsets::new();
    if let Position::Time(time) = position {
        let partitions: Vec<TopicPartition> = bounds.start.keys().cloned().collect();
        let found = client.list_offsets(&partitions, When::Time(time), isolation).await?;
        by_time.extend(found.into_iter().filter(|(_, found)| found.offset >= 0).map(|(p, found)| (p, found.offset)));
    }
    let ranges = bounds.start.iter().map(|(partition, start)| (partition, *start, bounds.end[partition]));
    let offset = |partition: &TopicPartition, start: i64, end: i64| match position {
        Position::Earliest => start,
        Position::Latest => end,
        Position::Committed => committed.get(partition).copied().unwrap_or(start),
        Position::Offset(offset) => offset,
        Position::BeforeEnd(count) => end.saturating_sub(count),
        Position::Time(_) => by_time.get(partition).copied().unwrap_or(end),
    };
    Ok(ranges.map(|(p, start, end)| (p.clone(), offset(p, start, end).clamp(start, end.max(start)))).collect())
}

/// `orders` (all partitions) or `orders:0,2`.
pub(crate) fn parse_topic_partitions(text: &str) -> Result<(String, Option<Vec<i32>>), String> {
    let Some((topic, partitions)) = text.split_once(':') else { return Ok((text.to_owned(), None)) };
    let number = |part: &str| part.trim().parse::<i32>().ok().filter(|number| *number >= 0);
    let partitions: Option<Vec<i32>> = partitions.split(',').map(number).collect();
    let bad = || format!("\"{text}\" is not TOPIC or TOPIC:PARTITION,PARTITION");
    Ok((topic.to_owned(), Some(partitions.ok_or_else(bad)?)))
}

/// All partitions of a topic, or those named, which must exist.
pub(crate) async fn partitions_of(
    client: &Client,
    topic: &str,
    chosen: Option<&[i32]>,
    create: bool,
) -> Result<Vec<TopicPartition>, ClientError> {
    let known = client.topic(topic, create).await?;
    let all = known.partitions.iter().map(|partition| partition.partition);
    let Some(chosen) = chosen else { return Ok(all.map(|partition| (topic.to_owned(), partition)).collect()) };
    let count = known.partitions.len() as i32;
    match chosen.iter().find(|partition| !(0..count).contains(*partition)) {
        None => Ok(chosen.iter().map(|partition| (topic.to_owned(), *partition)).collect()),
        Some(missing) => Err(no_partition(topic, *missing, count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_with_partitions() {
        assert_eq!(parse_topic_partitions("a"), Ok(("a".into(), None)));
        assert_eq!(parse_topic_partitions("a:0, 2"), Ok(("a".into(), Some(vec![0, 2]))));
        assert!(parse_topic_partitions("a:x").is_err());
        assert!(parse_topic_partitions("a:-1").is_err());
        assert!(parse_topic_partitions("a:").is_err());
    }
}
