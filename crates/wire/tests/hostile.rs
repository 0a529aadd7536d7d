//! Bytes that lie: cut short, with lengths out of all proportion, changed at random.
//!
//! No decoder may panic, and what it allocates (counted by the allocator, all of it, freed or not) stays within what
//! [`Reader::budget_for`] allows for the length of the frame. One test function, because the count is the process's.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::alloc::System;

use ailurus_wire::{
    ApiKey, DECODED_FACTOR, DECODED_FLOOR, Message, Reader, RequestHeader, WireError,
    find_coordinator::FindCoordinatorRequest,
    metadata::{MetadataRequest, MetadataRequestTopic},
};
use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{Maker, Random, Side, hex, table};
use xtask::codegen::table::Api;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// `Bytes` counts its owners in an allocation of its own.
const OVERHEAD: usize = 256;

/// Decodes, and holds the memory that it took against the promise.
fn decode<M: Message>(bytes: &[u8], version: i16) -> Result<M, WireError> {
    let mut frame = Bytes::copy_from_slice(bytes);
    let region = Region::new(ALLOCATOR);
    let message = M::decode(&mut frame, version);
    let taken = region.change().bytes_allocated;
    let promise = Reader::budget_for(bytes.len()) + OVERHEAD;
    assert!(taken <= promise, "{} v{version}: {taken} bytes taken for {}", M::API, hex(bytes));
    message
}

struct Attack<'a> {
    api: &'a Api,
    side: Side,
    version: i16,
    random: Random,
}

impl Attack<'_> {
    fn honest(&mut self, size: usize, unknown_tags: bool) -> Vec<u8> {
        let (api, version) = (self.api, self.version);
        Maker { api, version, random: &mut self.random, size, unknown_tags }.message(self.side)
    }

    fn all<M: Message>(&mut self) {
        for size in [1, 3] {
            let bytes = self.honest(size, false);
            self.cut_short::<M>(&bytes);
            self.huge_lengths::<M>(&bytes);
            self.changed_at_random::<M>(&bytes);
        }
        self.unknown_tags::<M>();
        self.large::<M>();
    }

    fn cut_short<M: Message>(&self, bytes: &[u8]) {
        // Each byte of the small ones; of the large ones enough to land in every kind of field.
        for end in (0..bytes.len()).step_by(bytes.len().div_ceil(400).max(1)) {
            let cut = decode::<M>(&bytes[..end], self.version);
            assert!(cut.is_err(), "{} v{} to byte {end} of {}", M::API, self.version, hex(bytes));
        }
    }

    fn huge_lengths<M: Message>(&self, bytes: &[u8]) {
        const LENGTHS: [&[u8]; 6] = [
            &[0x7f, 0xff, 0xff, 0xff],
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x80, 0x00, 0x00, 0x00],
            &[0x7f, 0xff],
            &[0x00, 0x01, 0x00, 0x00],
        ];
        let step = bytes.len().div_ceil(60).max(1);
        for at in (0..bytes.len()).step_by(step) {
            for length in LENGTHS {
                let mut lie = bytes.to_vec();
                lie.splice(at..(at + length.len()).min(bytes.len()), length.iter().copied());
                let _ = decode::<M>(&lie, self.version);
                lie.resize(1024, 1);
                let _ = decode::<M>(&lie, self.version);
            }
        }
    }

    fn changed_at_random<M: Message>(&mut self, bytes: &[u8]) {
        for _ in 0..80 {
            let mut lie = bytes.to_vec();
            lie.push(0);
            for _ in 0..1 + self.random.below(4) {
                let at = self.random.below(lie.len());
                match self.random.below(3) {
                    0 => lie[at] = self.random.next() as u8,
                    1 => lie.insert(at, self.random.next() as u8),
                    _ if lie.len() > 1 => drop(lie.remove(at)),
                    _ => {}
                }
            }
            if let Ok(message) = decode::<M>(&lie, self.version) {
                // Bytes are compared rather than values, for NaN is not itself.
                let written = message.encode(self.version).unwrap().concat();
                let again = decode::<M>(&written, self.version).unwrap();
                assert_eq!(again.encode(self.version).unwrap().concat(), written, "{}", hex(&lie));
            }
        }
    }

    fn unknown_tags<M: Message>(&mut self) {
        for _ in 0..10 {
            let bytes = self.honest(3, true);
            let message = decode::<M>(&bytes, self.version).unwrap();
            let known = message.encode(self.version).unwrap().concat();
            assert_eq!(decode::<M>(&known, self.version), Ok(message));
        }
    }

    /// An honest message must not be refused for its size: well beyond the floor that every frame may take, its
    /// arrays stay below the factor.
    fn large<M: Message>(&mut self) {
        for size in [6, 9, 13, 20, 30, 45] {
            let bytes = self.honest(size, false);
            decode::<M>(&bytes, self.version).unwrap();
            if bytes.len() > 2 * DECODED_FLOOR {
                break;
            }
        }
    }
}

fn attack<M: Message>(table: &[Api], side: Side) {
    for version in M::API.versions() {
        let api = table.iter().find(|api| api.key == M::API.code()).unwrap();
        let seed = (M::API.code() as u64) << 32 | (version as u64) << 1 | side as u64;
        Attack { api, side, version, random: Random(seed) }.all::<M>();
    }
}

/// The cheapest frames to write and the dearest to believe: a million elements of one byte each.
fn densest_lie() {
    let frame = [&[0, 0xf1, 0xff, 0x3f], &vec![1; 1 << 20][..]].concat();
    let refused = decode::<FindCoordinatorRequest>(&frame, 6);
    assert!(matches!(refused, Err(WireError::TooMuchMemory { .. })), "{refused:?}");
    const { assert!(DECODED_FACTOR <= 16, "a small multiple") };
}

/// The densest honest request: Metadata version 1 for tens of thousands of topics with names of three letters.
fn densest_truth() {
    let name = |n: usize| format!("{n:x}").into();
    let topics = (0x100..0x1000).map(|n| MetadataRequestTopic { name: Some(name(n)), ..Default::default() });
    let topics: Vec<_> = topics.cycle().take(40_000).collect();
    let request = MetadataRequest { topics: Some(topics), ..Default::default() };
    let bytes = request.encode(1).unwrap().concat();
    assert!(bytes.len() > 2 * DECODED_FLOOR);
    assert_eq!(decode::<MetadataRequest>(&bytes, 1), Ok(request));
}

fn headers() {
    let mut random = Random(7);
    for key in [0, 1, 3, 18, 17, 99, -1] {
        for _ in 0..2000 {
            let mut bytes = vec![0, 0, 0, 0, 0, 0, 0, 1];
            bytes[..2].copy_from_slice(&i16::to_be_bytes(key));
            bytes[3] = random.below(20) as u8;
            bytes.extend((0..random.below(20)).map(|_| if random.one_in(3) { 0xff } else { random.below(4) as u8 }));
            let region = Region::new(ALLOCATOR);
            let mut frame = Bytes::from(bytes);
            let header = RequestHeader::decode(&mut frame);
            assert!(region.change().bytes_allocated <= OVERHEAD);
            if let Ok(header) = header {
                assert_eq!(header.api(), ApiKey::from_code(key));
            }
        }
    }
}

macro_rules! every_message {
    ($($name:ident $module:ident $request:ident $response:ident,)*) => {
        #[test]
        fn lies_cost_little_and_never_panic() {
            let table = table();
            headers();
            densest_lie();
            densest_truth();
            $(
                attack::<ailurus_wire::$module::$request>(&table, Side::Request);
                attack::<ailurus_wire::$module::$response>(&table, Side::Response);
            )*
        }
    };
}

ailurus_wire::for_each_api!(every_message);
