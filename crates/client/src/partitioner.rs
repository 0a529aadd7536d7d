//! Which partition a record goes to when nobody says: by key as Kafka's Java client does it, else in turn.

/// The partition of a key among `partitions` (at least 1): murmur2, sign bit off, modulo. Equal to what Kafka's Java
/// producer computes, so that records of one key meet in one partition whoever wrote them.
pub fn by_key(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has partitions");
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

/// Austin Appleby's MurmurHash2 with the seed that Kafka chose.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const MIX: u32 = 0x5bd1_e995;
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let word = u32::from_le_bytes(word.try_into().expect("chunks of four")).wrapping_mul(MIX);
        hash = hash.wrapping_mul(MIX) ^ (word ^ (word >> 24)).wrapping_mul(MIX);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0u32, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(MIX);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// Partitions for records without key: the same one until [`Sticky::turn`], then the next.
#[derive(Debug, Default)]
pub struct Sticky {
    next: u32,
}

impl Sticky {
    /// The partition now.
    pub fn now(&self, partitions: i32) -> i32 {
        assert!(partitions > 0, "a topic has partitions");
        (self.next % partitions as u32) as i32
    }

    /// A batch is full: go on with the next partition.
    pub fn turn(&mut self) {
        self.next = self.next.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka() {
        // The pairs that Apache Kafka's own UtilsTest lists.
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973932308),
            (b"foobar", -790332482),
            (b"a-little-bit-long-string", -985981536),
            (b"a-little-bit-longer-string", -1486304829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
            (b"abc", 479470107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn keys_stay_and_turns_go_round() {
        assert_eq!(by_key(b"abc", 12), by_key(b"abc", 12));
        assert!((0..100u8).all(|key| (0..7).contains(&by_key(&[key], 7))));
        let mut sticky = Sticky::default();
        let turns: Vec<i32> = (0..4).map(|_| (sticky.now(3), sticky.turn()).0).collect();
        assert_eq!(turns, [0, 1, 2, 0]);
    }
}
