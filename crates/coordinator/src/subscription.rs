//! The one piece of member metadata a broker looks into: which topics a consumer has subscribed to.

use std::collections::BTreeSet;

/// The protocol type whose metadata follows Kafka's ConsumerProtocolSubscription.
pub(crate) const CONSUMER: &str = "consumer";

/// The topics in a ConsumerProtocolSubscription (versions 0-3 and any later one: they only add at the end).
/// `None` if the bytes are not one.
pub(crate) fn topics(metadata: &[u8]) -> Option<BTreeSet<String>> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
    if version < 0 {
        return None;
    }
    let count = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
    let mut topics = BTreeSet::new();
    for _ in 0..u32::try_from(count).ok()? {
        let length = i16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
        let name = take(&mut rest, usize::try_from(length).ok()?)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
    }
    Some(topics)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}
