//! The records of `__consumer_offsets`, byte for byte as Apache Kafka writes them, so that tools which read the topic work.
//!
//! ```text
//! key     int16 version, then       0, 1: group string, topic string, partition int32        a committed offset
//!                                   2:    group string                                       the group itself
//! value   int16 version, then       offset  0-3 (4: compact strings and tagged fields), written as 3, or as 1 with its own expiry
//!                                   group   0-3 (4: compact strings and tagged fields), written as 3
//! ```
//! A string is int16 length and UTF-8, null is -1; bytes have an int32 length. A record without value is a tombstone.
//! Keys of other versions belong to coordinators that this broker does not have (KIP-848, KIP-932); they are told apart,
//! not guessed at.
//!
//! Whoever may write to the topic writes what is read here: what this broker could not hold or write again is an error.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes};
use thiserror::Error;

/// A committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedOffset {
    /// The next offset to consume.
    pub offset: i64,
    /// Epoch of the last record consumed, -1 if unknown.
    pub leader_epoch: i32,
    /// The client's own text.
    pub metadata: String,
    /// When it was committed, ms since 1970.
    pub commit_timestamp: i64,
    /// Only for a commit that asked for a retention of its own (OffsetCommit 2-4): when it ends, ms since 1970.
    pub expire_timestamp: Option<i64>,
}

/// A group at the end of a rebalance.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupMetadata {
    /// `consumer`, `connect`, ...; "" if the group never had members.
    pub protocol_type: String,
    /// The generation.
    pub generation: i32,
    /// The chosen protocol; `None` without members.
    pub protocol: Option<String>,
    /// Member id of the leader; `None` without members.
    pub leader: Option<String>,
    /// Since when it is in this state, ms since 1970.
    pub current_state_timestamp: Option<i64>,
    /// The members; none = Empty.
    pub members: Vec<MemberMetadata>,
}

/// A member of a stored group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MemberMetadata {
    /// Its member id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub instance_id: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Its address.
    pub client_host: String,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Its metadata for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader assigned.
    pub assignment: Bytes,
}

/// One record of `__consumer_offsets` that classic groups use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    /// An offset was committed, or removed (`None`).
    Offset {
        /// The group.
        group: String,
        /// The topic.
        topic: String,
        /// Its partition.
        partition: i32,
        /// `None` is a tombstone.
        value: Option<CommittedOffset>,
    },
    /// A group reached a new generation, or was removed (`None`).
    Group {
        /// The group.
        group: String,
        /// `None` is a tombstone.
        value: Option<GroupMetadata>,
    },
}

/// Bytes that are not a record of `__consumer_offsets`.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FormatError {
    /// The bytes end before the field does.
    #[error("the {field} needs {needed} bytes, {left} are left")]
    Short {
        /// Which field.
        field: &'static str,
        /// How many it needs.
        needed: usize,
        /// How many there are.
        left: usize,
    },
    /// A string is not UTF-8.
    #[error("the {0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A field that must not be null is.
    #[error("the {0} is null")]
    Null(&'static str),
    /// A string is longer than this broker could write it again.
    #[error("the {field} has {length} bytes, at most {max} can be written")]
    TooLong {
        /// Which field.
        field: &'static str,
        /// Its length.
        length: usize,
        /// The longest that can be written.
        max: usize,
    },
    /// Two members of a group have the same id.
    #[error("two members have the {field} {id}")]
    Twice {
        /// Member id or instance id.
        field: &'static str,
        /// The id.
        id: String,
    },
    /// A number of variable length has more than five bytes.
    #[error("the length of the {0} has more than five bytes")]
    Varint(&'static str),
    /// A value of a version that this broker does not know.
    #[error("{what} has version {version}; 0 to {max} are known")]
    Version {
        /// `offset value` or `group value`.
        what: &'static str,
        /// The version found.
        version: i16,
        /// The highest known.
        max: i16,
    },
}

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const OFFSET_VALUE: i16 = 3;
/// The only version with an expiry of its own.
const OFFSET_VALUE_EXPIRING: i16 = 1;
const GROUP_VALUE: i16 = 3;
/// The first version with compact strings and tagged fields, for both values; also the highest known.
const FLEXIBLE: i16 = 4;

impl Record {
    /// The group it is about.
    pub fn group(&self) -> &str {
        match self {
            Record::Offset { group, .. } | Record::Group { group, .. } => group,
        }
    }

    /// Key and value for a record batch.
    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        match self {
            Record::Offset { group, topic, partition, value } => {
                (offset_key(group, topic, *partition), value.as_ref().map(offset_value))
            }
            Record::Group { group, value } => (group_key(group), value.as_ref().map(group_value)),
        }
    }

    /// From key and value of a record; `Ok(None)` for a key that belongs to another kind of coordinator.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, FormatError> {
        let mut key = Reader { rest: key, flexible: false };
        match key.i16("key version")? {
            0 | 1 => {
                let group = key.string("group")?;
                let topic = key.string("topic")?;
                let partition = key.i32("partition")?;
                let value = value.map(read_offset).transpose()?;
                Ok(Some(Record::Offset { group, topic, partition, value }))
            }
            GROUP_KEY => {
                let group = key.string("group")?;
                Ok(Some(Record::Group { group, value: value.map(read_group).transpose()? }))
            }
            _ => Ok(None),
        }
    }
}

fn offset_key(group: &str, topic: &str, partition: i32) -> Bytes {
    let mut out = Vec::with_capacity(10 + group.len() + topic.len());
    out.put_i16(OFFSET_KEY);
    put_string(&mut out, group);
    put_string(&mut out, topic);
    out.put_i32(partition);
    out.into()
}

fn group_key(group: &str) -> Bytes {
    let mut out = Vec::with_capacity(4 + group.len());
    out.put_i16(GROUP_KEY);
    put_string(&mut out, group);
    out.into()
}

fn offset_value(value: &CommittedOffset) -> Bytes {
    let mut out = Vec::with_capacity(32 + value.metadata.len());
    // Version 1 has no room for the epoch: Kafka too loses it for a commit with a retention of its own.
    let version = if value.expire_timestamp.is_some() { OFFSET_VALUE_EXPIRING } else { OFFSET_VALUE };
    out.put_i16(version);
    out.put_i64(value.offset);
    if version == OFFSET_VALUE {
        out.put_i32(value.leader_epoch);
    }
    put_string(&mut out, &value.metadata);
    out.put_i64(value.commit_timestamp);
    if let Some(expire) = value.expire_timestamp {
        out.put_i64(expire);
    }
    out.into()
}

fn group_value(value: &GroupMetadata) -> Bytes {
    let mut out = Vec::with_capacity(64);
    out.put_i16(GROUP_VALUE);
    put_string(&mut out, &value.protocol_type);
    out.put_i32(value.generation);
    put_nullable(&mut out, value.protocol.as_deref());
    put_nullable(&mut out, value.leader.as_deref());
    out.put_i64(value.current_state_timestamp.unwrap_or(-1));
    out.put_i32(i32::try_from(value.members.len()).expect("a group has at most i32::MAX members"));
    for member in &value.members {
        put_string(&mut out, &member.member_id);
        put_nullable(&mut out, member.instance_id.as_deref());
        put_string(&mut out, &member.client_id);
        put_string(&mut out, &member.client_host);
        out.put_i32(member.rebalance_timeout_ms);
        out.put_i32(member.session_timeout_ms);
        put_bytes(&mut out, &member.subscription);
        put_bytes(&mut out, &member.assignment);
    }
    out.into()
}

/// Strings come from requests, where their length is an int16 or, in flexible versions, bounded by the decoder's own cap;
/// [`string_fits`] refuses the longer ones before a record is made of them.
fn put_string(out: &mut Vec<u8>, text: &str) {
    out.put_i16(i16::try_from(text.len()).expect("requests with longer strings are refused on entry"));
    out.put_slice(text.as_bytes());
}

fn put_nullable(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => put_string(out, text),
        None => out.put_i16(-1),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).expect("a request is below 2 GiB"));
    out.put_slice(bytes);
}

/// True if the record format can hold the string.
pub fn string_fits(text: &str) -> bool {
    text.len() <= STRING_BYTES_MAX
}

/// The longest string of the versions that are written.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

fn read_offset(bytes: &[u8]) -> Result<CommittedOffset, FormatError> {
    let mut reader = Reader { rest: bytes, flexible: false };
    let version = reader.version("offset value")?;
    let offset = reader.i64("offset")?;
    let leader_epoch = if version >= 3 { reader.i32("leader epoch")? } else { -1 };
    let metadata = reader.string("metadata")?;
    let commit_timestamp = reader.i64("commit timestamp")?;
    let expire = if version == 1 { reader.i64("expire timestamp")? } else { -1 };
    let expire_timestamp = (expire != -1).then_some(expire);
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_timestamp, expire_timestamp })
}

fn read_group(bytes: &[u8]) -> Result<GroupMetadata, FormatError> {
    let mut reader = Reader { rest: bytes, flexible: false };
    let version = reader.version("group value")?;
    let protocol_type = reader.string("protocol type")?;
    let generation = reader.i32("generation")?;
    let protocol = reader.nullable("protocol")?;
    let leader = reader.nullable("leader")?;
    let since = if version >= 2 { reader.i64("state timestamp")? } else { -1 };
    let count = reader.length("members")?.ok_or(FormatError::Null("members"))?;
    // No capacity is taken from the count: it is only believed as far as there are bytes.
    let mut members = Vec::new();
    for _ in 0..count {
        members.push(read_member(&mut reader, version)?);
    }
    check_distinct("member id", members.iter().map(|member| member.member_id.as_str()))?;
    check_distinct("instance id", members.iter().filter_map(|member| member.instance_id.as_deref()))?;
    Ok(GroupMetadata {
        protocol_type,
        generation,
        protocol,
        leader,
        current_state_timestamp: (since != -1).then_some(since),
        members,
    })
}

fn read_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberMetadata, FormatError> {
    let member_id = reader.string("member id")?;
    let instance_id = if version >= 3 { reader.nullable("instance id")? } else { None };
    let client_id = reader.string("client id")?;
    let client_host = reader.string("client host")?;
    let rebalance = if version >= 1 { Some(reader.i32("rebalance timeout")?) } else { None };
    let session_timeout_ms = reader.i32("session timeout")?;
    let member = MemberMetadata {
        member_id,
        instance_id,
        client_id,
        client_host,
        // Version 0 is from before KIP-62, when the session timeout served for both.
        rebalance_timeout_ms: rebalance.unwrap_or(session_timeout_ms),
        session_timeout_ms,
        subscription: reader.bytes("subscription")?,
        assignment: reader.bytes("assignment")?,
    };
    reader.skip_tags()?;
    Ok(member)
}

fn check_distinct<'a>(field: &'static str, ids: impl Iterator<Item = &'a str>) -> Result<(), FormatError> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(FormatError::Twice { field, id: id.to_owned() });
        }
    }
    Ok(())
}

/// Reads Kafka's primitive types, both encodings.
struct Reader<'a> {
    rest: &'a [u8],
    flexible: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, field: &'static str, needed: usize) -> Result<&'a [u8], FormatError> {
        let left = self.rest.len();
        let (taken, rest) = self.rest.split_at_checked(needed).ok_or(FormatError::Short { field, needed, left })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], FormatError> {
        Ok(self.take(field, N)?.try_into().expect("take gives as many bytes as asked"))
    }

    fn i16(&mut self, field: &'static str) -> Result<i16, FormatError> {
        Ok(i16::from_be_bytes(self.array(field)?))
    }

    fn i32(&mut self, field: &'static str) -> Result<i32, FormatError> {
        Ok(i32::from_be_bytes(self.array(field)?))
    }

    fn i64(&mut self, field: &'static str) -> Result<i64, FormatError> {
        Ok(i64::from_be_bytes(self.array(field)?))
    }

    /// The version of a value, after which the encoding is known.
    fn version(&mut self, what: &'static str) -> Result<i16, FormatError> {
        let version = self.i16(what)?;
        if !(0..=FLEXIBLE).contains(&version) {
            return Err(FormatError::Version { what, version, max: FLEXIBLE });
        }
        self.flexible = version >= FLEXIBLE;
        Ok(version)
    }

    fn uvarint(&mut self, field: &'static str) -> Result<u32, FormatError> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array(field)?;
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FormatError::Varint(field))
    }

    /// Length of an array or of bytes; `None` is null.
    fn length(&mut self, field: &'static str) -> Result<Option<usize>, FormatError> {
        if self.flexible {
            Ok((self.uvarint(field)? as usize).checked_sub(1))
        } else {
            Ok(usize::try_from(self.i32(field)?).ok())
        }
    }

    fn nullable(&mut self, field: &'static str) -> Result<Option<String>, FormatError> {
        let length = if self.flexible { self.length(field)? } else { usize::try_from(self.i16(field)?).ok() };
        let Some(length) = length else { return Ok(None) };
        if length > STRING_BYTES_MAX {
            return Err(FormatError::TooLong { field, length, max: STRING_BYTES_MAX });
        }
        let text = std::str::from_utf8(self.take(field, length)?).map_err(|_| FormatError::NotUtf8(field))?;
        Ok(Some(text.to_owned()))
    }

    fn string(&mut self, field: &'static str) -> Result<String, FormatError> {
        self.nullable(field)?.ok_or(FormatError::Null(field))
    }

    fn bytes(&mut self, field: &'static str) -> Result<Bytes, FormatError> {
        let length = self.length(field)?.ok_or(FormatError::Null(field))?;
        Ok(Bytes::copy_from_slice(self.take(field, length)?))
    }

    /// Later Kafka versions may add fields here; none changes what the ones before mean (KIP-915).
    fn skip_tags(&mut self) -> Result<(), FormatError> {
        if self.flexible {
            for _ in 0..self.uvarint("tagged fields")? {
                self.uvarint("tag")?;
                let size = self.uvarint("tag size")? as usize;
                self.take("tagged field", size)?;
            }
        }
        Ok(())
    }
}
