//! Zig-zag numbers of variable length, as records carry them.

/// Appends `value` as Kafka's VARINT.
pub(crate) fn put_i32(out: &mut Vec<u8>, value: i32) {
    put_u64(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends `value` as Kafka's VARLONG.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Undoes the zig-zag of a VARINT.
pub(crate) fn zigzag_i32(raw: u32) -> i32 {
    ((raw >> 1) as i32) ^ -((raw & 1) as i32)
}

/// Undoes the zig-zag of a VARLONG.
pub(crate) fn zigzag_i64(raw: u64) -> i64 {
    ((raw >> 1) as i64) ^ -((raw & 1) as i64)
}

fn put_u64(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}
