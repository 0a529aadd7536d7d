//! The consumer protocol inside a classic group: who wants what, who gets what. Pure.
//!
//! Written and read is version 0 of both messages, which every client understands (KIP-429 calls later ones optional).
//! The assignment is Kafka's `range`: per topic, the sorted members get runs of partitions, the first ones one more.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What a member is to read: topics with partitions.
pub type Assignment = BTreeMap<String, Vec<i32>>;

/// The name under which [`assign`] is known to other clients.
pub const RANGE: &str = "range";

/// The metadata of a member: the topics that it wants.
pub fn encode_subscription(topics: &[String]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(topics.len() as i32);
    topics.iter().for_each(|topic| put_string(&mut out, topic));
    out.put_i32(-1);
    out.freeze()
}

/// The topics of a member's metadata, whatever its version adds behind them. `None` if the bytes are something else.
pub fn decode_subscription(bytes: &Bytes) -> Option<Vec<String>> {
    let mut bytes = bytes.clone();
    bytes.try_get_i16().ok()?;
    let count = bytes.try_get_i32().ok()?;
    (0..count).map(|_| get_string(&mut bytes)).collect()
}

/// What the leader tells a member.
pub fn encode_assignment(assignment: &Assignment) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(0);
    out.put_i32(assignment.len() as i32);
    for (topic, partitions) in assignment {
        put_string(&mut out, topic);
        out.put_i32(partitions.len() as i32);
        partitions.iter().for_each(|partition| out.put_i32(*partition));
    }
    out.put_i32(-1);
    out.freeze()
}

/// What a member is told; nothing for no bytes. `None` if the bytes are something else.
pub fn decode_assignment(bytes: &Bytes) -> Option<Assignment> {
    let mut bytes = bytes.clone();
    if bytes.is_empty() {
        return Some(Assignment::new());
    }
    bytes.try_get_i16().ok()?;
    let topics = bytes.try_get_i32().ok()?;
    let mut topic = || {
        let name = get_string(&mut bytes)?;
        let count = bytes.try_get_i32().ok()?;
        let partitions: Option<Vec<i32>> = (0..count).map(|_| bytes.try_get_i32().ok()).collect();
        Some((name, partitions?))
    };
    (0..topics).map(|_| topic()).collect()
}

fn put_string(out: &mut BytesMut, text: &str) {
    out.put_i16(text.len() as i16);
    out.put_slice(text.as_bytes());
}

fn get_string(bytes: &mut Bytes) -> Option<String> {
    let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
    if length > bytes.len() {
        return None;
    }
    String::from_utf8(bytes.split_to(length).to_vec()).ok()
}

/// Gives every partition of every wanted topic to one member that wants it. `members`: ids with wanted topics;
/// `partitions`: how many each topic has.
pub fn assign(
    members: &BTreeMap<String, Vec<String>>,
    partitions: &BTreeMap<String, i32>,
) -> BTreeMap<String, Assignment> {
    let mut assigned: BTreeMap<String, Assignment> = members.keys().map(|id| (id.clone(), Assignment::new())).collect();
    for (topic, count) in partitions {
        let wanting: Vec<&String> =
            members.iter().filter(|(_, topics)| topics.contains(topic)).map(|(id, _)| id).collect();
        let mut next = 0;
        for (place, member) in wanting.iter().enumerate() {
            let (all, share) = (wanting.len() as i32, count / wanting.len() as i32);
            let run = share + i32::from((place as i32) < count % all);
            if run > 0 {
                let partitions = (next..next + run).collect();
                assigned.entry((*member).clone()).or_default().insert(topic.clone(), partitions);
            }
            next += run;
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(wanted: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |topics: &[&str]| topics.iter().map(ToString::to_string).collect();
        wanted.iter().map(|(id, topics)| (id.to_string(), owned(topics))).collect()
    }

    #[test]
    fn ranges_are_those_of_kafka() {
        let members = members(&[("a", &["t", "u"]), ("b", &["t"]), ("c", &["t"])]);
        let counts = BTreeMap::from([("t".to_owned(), 7), ("u".to_owned(), 2), ("nobody's".to_owned(), 1)]);
        let assigned = assign(&members, &counts);
        assert_eq!(assigned["a"], Assignment::from([("t".into(), vec![0, 1, 2]), ("u".into(), vec![0, 1])]));
        assert_eq!(assigned["b"], Assignment::from([("t".into(), vec![3, 4])]));
        assert_eq!(assigned["c"], Assignment::from([("t".into(), vec![5, 6])]));
    }

    #[test]
    fn more_members_than_partitions() {
        let assigned = assign(&members(&[("a", &["t"]), ("b", &["t"])]), &BTreeMap::from([("t".to_owned(), 1)]));
        assert_eq!(assigned["a"]["t"], [0]);
        assert!(assigned["b"].is_empty());
    }

    #[test]
    fn messages_go_there_and_back() {
        let topics = vec!["orders".to_owned(), "ä".to_owned()];
        assert_eq!(decode_subscription(&encode_subscription(&topics)), Some(topics));
        let assignment = Assignment::from([("orders".into(), vec![0, 5]), ("x".into(), vec![])]);
        assert_eq!(decode_assignment(&encode_assignment(&assignment)), Some(assignment));
        assert_eq!(decode_assignment(&Bytes::new()), Some(Assignment::new()));
    }

    #[test]
    fn hostile_bytes_are_refused() {
        for bytes in [&b"\0"[..], b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\x7f\xffx", b"\0\0\0\0\0\x01\0\x01\xff"] {
            assert_eq!(decode_subscription(&Bytes::from_static(bytes)), None, "{bytes:?}");
            assert_eq!(decode_assignment(&Bytes::from_static(bytes)), None, "{bytes:?}");
        }
    }
}
