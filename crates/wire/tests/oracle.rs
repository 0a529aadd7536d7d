//! Our codec against the crate `kafka-protocol`, which was written from Kafka's own message definitions.
//!
//! For every API and every version, in both directions: random bytes made from the table go through our decoder and
//! encoder and through theirs, and must come out unchanged; a message decoded from one version and encoded for another
//! must give the same bytes or be refused by both, which proves defaults, nullability and ignorable fields.
//!
//! The oracle's known defects: it takes unsigned varints of more than 32 bits, and allocates whatever an array length
//! says (which aborts the process), so it must never see hostile bytes; `hostile.rs` is for those.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use ailurus_wire::{
    ApiKey, ErrorCode, Message, RequestHeader, Str, WireError, decode_response, encode_request, encode_response,
};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::{
    messages as theirs,
    protocol::{Decodable, Encodable, HeaderVersion, Message as TheirMessage},
};
use support::{Maker, Random, Side, hex, table};

/// Versions that Kafka 4.2 has and kafka-protocol 0.18 lacks. Here only our own round trip is tested.
const ORACLE_LACKS: [(ApiKey, Side, i16); 4] = [
    (ApiKey::ListOffsets, Side::Request, 11),
    (ApiKey::ListOffsets, Side::Response, 11),
    (ApiKey::OffsetCommit, Side::Request, 10),
    (ApiKey::OffsetFetch, Side::Request, 10),
];

/// Whether the oracle can say this; what it cannot must stand in the table above.
fn oracle_has<T: TheirMessage>(key: ApiKey, side: Side, version: i16) -> bool {
    let has = (T::VERSIONS.min..=T::VERSIONS.max).contains(&version);
    assert_eq!(has, !ORACLE_LACKS.contains(&(key, side, version)), "{key} {side:?} v{version}");
    has
}

/// Where Kafka's generated code refuses to encode and the oracle does not: nulls that a version does not allow, and
/// tagged fields that a version does not carry (the table has one that may not be dropped).
fn oracle_is_lax(refusal: &WireError) -> bool {
    match refusal {
        WireError::NullField { .. } => true,
        WireError::NotInVersion { field, .. } => *field == "FetchRequest.replica_state",
        _ => false,
    }
}

/// Random messages per API, side and version.
const CASES: u64 = 40;

fn theirs_encode<T: Encodable>(message: &T, version: i16) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).ok().map(|()| out.to_vec())
}

fn ours_encode<M: Message>(message: &M, version: i16) -> Option<Vec<u8>> {
    message.encode(version).ok().map(|parts| parts.concat())
}

/// Bytes of one random message; small ones come first.
fn random_bytes(key: ApiKey, side: Side, version: i16, case: u64) -> Vec<u8> {
    thread_local!(static TABLE: Vec<xtask::codegen::table::Api> = table());
    let seed = (key.code() as u64) << 48 | (version as u64) << 32 | (side as u64) << 31 | case;
    TABLE.with(|table| {
        let api = table.iter().find(|api| api.key == key.code()).expect("every key comes from the table");
        let size = 1 + case as usize / 10;
        Maker { api, version, random: &mut Random(seed), size, unknown_tags: false }.message(side)
    })
}

fn for_each_case(key: ApiKey, mut check: impl FnMut(i16, u64)) {
    for version in key.versions() {
        (0..CASES).for_each(|case| check(version, case));
    }
}

fn round_trip<M: Message, T: Decodable + Encodable + TheirMessage>(side: Side) {
    for_each_case(M::API, |version, case| {
        let bytes = random_bytes(M::API, side, version, case);
        let context = || format!("{} {side:?} v{version} case {case}: {}", M::API, hex(&bytes));
        let mut frame = Bytes::from(bytes.clone());
        let ours = M::decode(&mut frame, version).unwrap_or_else(|e| panic!("{e}: {}", context()));
        assert!(frame.is_empty(), "{} bytes left: {}", frame.len(), context());
        assert_eq!(ours_encode(&ours, version).as_ref(), Some(&bytes), "ours: {}", context());
        if !oracle_has::<T>(M::API, side, version) {
            return;
        }
        let theirs =
            T::decode(&mut Bytes::from(bytes.clone()), version).unwrap_or_else(|e| panic!("{e}: {}", context()));
        assert_eq!(theirs_encode(&theirs, version).as_ref(), Some(&bytes), "theirs: {}", context());
    });
}

/// Decoded from one version, encoded for each other.
fn across_versions<M: Message, T: Decodable + Encodable + TheirMessage>(side: Side) {
    let known = |version: i16| oracle_has::<T>(M::API, side, version);
    for_each_case(M::API, |from, case| {
        if !known(from) {
            return;
        }
        let bytes = random_bytes(M::API, side, from, case);
        let ours = M::decode(&mut Bytes::from(bytes.clone()), from).expect("round_trip decodes it");
        let theirs = T::decode(&mut Bytes::from(bytes.clone()), from).expect("round_trip decodes it");
        for to in M::API.versions().filter(|to| known(*to)) {
            let (a, b) = (ours_encode(&ours, to), theirs_encode(&theirs, to));
            if a.is_none() && b.is_some() && oracle_is_lax(&ours.encode(to).expect_err("a is none")) {
                continue;
            }
            assert_eq!(
                a.as_deref().map(hex),
                b.as_deref().map(hex),
                "{} {side:?} v{from} to v{to}, case {case}: {ours:?}",
                M::API
            );
        }
    });
}

fn defaults<M: Message, T: Default + Encodable + TheirMessage>(side: Side) {
    for version in M::API.versions().filter(|v| oracle_has::<T>(M::API, side, *v)) {
        let (a, b) = (ours_encode(&M::default(), version), theirs_encode(&T::default(), version));
        assert_eq!(a.as_deref().map(hex), b.as_deref().map(hex), "{} {side:?} v{version}", M::API);
    }
}

macro_rules! against_the_oracle {
    ($($name:ident $module:ident $request:ident $response:ident,)*) => {
        #[test]
        fn random_messages_pass_both_codecs_unchanged() {
            $(
                round_trip::<ailurus_wire::$module::$request, theirs::$request>(Side::Request);
                round_trip::<ailurus_wire::$module::$response, theirs::$response>(Side::Response);
            )*
        }

        #[test]
        fn what_another_version_cannot_say_is_dropped_or_refused_alike() {
            $(
                across_versions::<ailurus_wire::$module::$request, theirs::$request>(Side::Request);
                across_versions::<ailurus_wire::$module::$response, theirs::$response>(Side::Response);
            )*
        }

        #[test]
        fn defaults_are_the_same() {
            $(
                defaults::<ailurus_wire::$module::$request, theirs::$request>(Side::Request);
                defaults::<ailurus_wire::$module::$response, theirs::$response>(Side::Response);
            )*
        }

        #[test]
        fn headers_are_the_same() {
            $(headers::<ailurus_wire::$module::$request, theirs::$request, theirs::$response>();)*
        }

        #[test]
        fn keys_and_flexible_versions_are_the_same() {
            $(keys::<theirs::$request>(ApiKey::$name, theirs::ApiKey::$name);)*
        }
    };
}

ailurus_wire::for_each_api!(against_the_oracle);

fn keys<T: TheirMessage + HeaderVersion>(ours: ApiKey, theirs: theirs::ApiKey) {
    assert_eq!(ours.code(), theirs as i16);
    assert_eq!(ours.name(), format!("{theirs:?}"));
    assert_eq!(*ours.versions().start(), T::VERSIONS.min, "{ours}");
    for version in ours.versions() {
        assert_eq!(ours.flexible(version).unwrap(), T::header_version(version) == 2, "{ours} v{version}");
    }
}

/// Our frames through their headers, and their frames through ours.
fn headers<R, Q, P>()
where
    R: ailurus_wire::Request,
    Q: HeaderVersion,
    P: HeaderVersion,
{
    for version in R::API.versions() {
        let me = Str::from("me");
        for client_id in [Some(&me), None] {
            let request = encode_request(77, client_id, version, &R::default());
            let Ok(parts) = request else { continue };
            let frame = Bytes::from(parts.concat());
            assert_eq!(frame.len(), 4 + i32::from_be_bytes(frame[..4].try_into().unwrap()) as usize);
            let mut body = frame.slice(4..);
            let theirs = theirs::RequestHeader::decode(&mut body, Q::header_version(version)).unwrap();
            assert_eq!(theirs.request_api_key, R::API.code());
            assert_eq!(theirs.request_api_version, version);
            assert_eq!(theirs.correlation_id, 77);
            assert_eq!(theirs.client_id.as_deref(), client_id.map(Str::as_str));
            let mut same = frame.slice(4..);
            let ours = RequestHeader::decode(&mut same).unwrap();
            assert_eq!((ours.supported_api(), ours.api_version), (Some(R::API), version));
            assert_eq!((ours.correlation_id, ours.client_id.as_ref()), (77, client_id));
            assert_eq!(same, body, "both stop at the body of {} v{version}", R::API);
        }
        let Ok(parts) = encode_response(78, version, &R::Response::default()) else { continue };
        let mut frame = Bytes::from(parts.concat());
        frame.advance(4);
        let (correlation_id, _) = decode_response::<R::Response>(&mut frame.clone(), version).unwrap();
        let header = theirs::ResponseHeader::decode(&mut frame, P::header_version(version)).unwrap();
        assert_eq!((correlation_id, header.correlation_id), (78, 78));
        let body = R::Response::default().encode(version).unwrap().concat();
        assert_eq!(frame, body, "{} v{version}", R::API);
    }
}

#[test]
fn error_codes_are_the_same() {
    for code in ErrorCode::ALL.iter().filter(|code| code.is_error()) {
        let theirs = kafka_protocol::ResponseError::try_from_code(code.code()).unwrap();
        assert_eq!(format!("{theirs:?}"), format!("{code:?}"));
        // Kafka made CONCURRENT_TRANSACTIONS retriable with KIP-890; the oracle has the older word.
        if *code != ErrorCode::ConcurrentTransactions {
            assert_eq!(theirs.is_retriable(), code.is_retriable(), "{code}");
        }
    }
}
