//! What the fuzz targets hold the decoders to: no panic, memory within the promise, and what was decoded can be written
//! and read again.

use std::alloc::System;

use ailurus_wire::{Message, Reader, WireError};
use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// `Bytes` counts its owners in an allocation of its own.
const OVERHEAD: usize = 256;

/// Runs `work`, which may allocate at most `limit` bytes in all.
pub fn within<T>(limit: usize, work: impl FnOnce() -> T) -> T {
    let region = Region::new(ALLOCATOR);
    let result = work();
    let taken = region.change().bytes_allocated;
    assert!(taken <= limit + OVERHEAD, "{taken} bytes allocated, {limit} promised");
    result
}

/// One message body, whatever it is. Bytes are compared rather than values, for NaN is not itself.
pub fn message<M: Message>(body: Bytes, version: i16) {
    let decode = |bytes: Bytes| -> Result<M, WireError> {
        within(Reader::budget_for(bytes.len()), || M::decode(&mut bytes.clone(), version))
    };
    let Ok(message) = decode(body) else { return };
    let written = message.encode(version).expect("what was decoded can be written").concat();
    let again = decode(written.clone().into()).expect("what was written can be decoded");
    assert_eq!(again.encode(version).expect("as before").concat(), written);
}
