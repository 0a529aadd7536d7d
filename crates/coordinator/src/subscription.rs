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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_a_subscription() {
        // Version 1 as the Java client writes it: two topics, no user data, one owned partition.
        let metadata = b"\0\x01\0\0\0\x02\0\x01b\0\x02aa\xff\xff\xff\xff\0\0\0\x01\0\x01b\0\0\0\x01\0\0\0\0";
        assert_eq!(topics(metadata), Some(BTreeSet::from(["aa".to_owned(), "b".to_owned()])));
        assert_eq!(topics(b"\0\0\0\0\0\0\0\0\0\0"), Some(BTreeSet::new()));
    }

    #[test]
    fn what_is_no_subscription_has_no_topics() {
        assert_eq!(topics(b""), None);
        assert_eq!(topics(b"range"), None);
        assert_eq!(topics(b"\xff\xff\0\0\0\0"), None, "a negative version");
        assert_eq!(topics(b"\0\0\xff\xff\xff\xff"), None, "null topics");
        assert_eq!(topics(b"\0\0\x7f\xff\xff\xff\0\x01a"), None, "more topics than bytes");
        assert_eq!(topics(b"\0\0\0\0\0\x01\xff\xff"), None, "a null topic");
        assert_eq!(topics(b"\0\0\0\0\0\x01\0\x01\xff"), None, "not UTF-8");
    }
}
