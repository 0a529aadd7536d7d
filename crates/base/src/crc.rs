//! CRC-32C (Castagnoli), which Kafka's batches carry and our files as well. RFC 3720, appendix B.4.

use crc_fast::{CrcAlgorithm::Crc32Iscsi, Digest};

/// The checksum of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c_append(0, bytes)
}

/// The checksum of what `crc` is the checksum of, with `bytes` behind it.
pub fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    // The state is the checksum before its bits are turned over.
    let mut digest = Digest::new_with_init_state(Crc32Iscsi, u64::from(!crc));
    digest.update(bytes);
    u32::try_from(digest.finalize()).expect("a checksum of 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix B.4 of RFC 3720 and the usual check value.
    #[test]
    fn it_is_the_one_of_the_rfc() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let rising: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&rising), 0x46dd_794e);
    }

    #[test]
    fn it_goes_on_where_it_ended_wherever_that_was() {
        let bytes: Vec<u8> = (0..5000u32).map(|at| (at * 7 + at / 256) as u8).collect();
        let whole = crc32c(&bytes);
        for cut in [0, 1, 7, 61, 128, 256, 1000, 4096, 4999, 5000] {
            assert_eq!(crc32c_append(crc32c(&bytes[..cut]), &bytes[cut..]), whole, "cut at {cut}");
        }
    }
}
