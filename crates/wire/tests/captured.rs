//! Frames that real clients and another broker sent (`testdata/captured`): each must decode whole and come out of the
//! encoder byte for byte as it came in.
#![allow(clippy::disallowed_methods, reason = "a test reads its own files")]

use std::path::Path;

use ailurus_wire::{RequestHeader, WireError, decode_response, encode_request, encode_response};
use bytes::Bytes;

fn unhex(text: &str) -> Bytes {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
    text.as_bytes().chunks(2).map(pair).collect()
}

fn request<R: ailurus_wire::Request>(frame: &Bytes, version: i16) -> Result<Vec<u8>, WireError> {
    let mut rest = frame.clone();
    let header = RequestHeader::decode(&mut rest)?;
    assert_eq!((header.supported_api(), header.api_version), (Some(R::API), version));
    let request = R::decode(&mut rest, version)?;
    assert!(rest.is_empty(), "{} bytes left", rest.len());
    Ok(encode_request(header.correlation_id, header.client_id.as_ref(), version, &request)?.concat()[4..].to_vec())
}

fn response<R: ailurus_wire::Response>(frame: &Bytes, version: i16) -> Result<Vec<u8>, WireError> {
    let mut rest = frame.clone();
    let (correlation_id, response) = decode_response::<R>(&mut rest, version)?;
    assert!(rest.is_empty(), "{} bytes left", rest.len());
    Ok(encode_response(correlation_id, version, &response)?.concat()[4..].to_vec())
}

macro_rules! by_api {
    ($($name:ident $module:ident $request:ident $response:ident,)*) => {
        fn through_the_codec(side: &str, api: &str, version: i16, frame: &Bytes) -> Result<Vec<u8>, WireError> {
            match (side, api) {
                $(
                    ("request", stringify!($name)) => request::<ailurus_wire::$module::$request>(frame, version),
                    ("response", stringify!($name)) => response::<ailurus_wire::$module::$response>(frame, version),
                )*
                other => panic!("{other:?} is not in the table"),
            }
        }
    };
}

ailurus_wire::for_each_api!(by_api);

/// What franz-go asked a fake broker that is ahead of Kafka 4.2.
const NEWER: [(&str, i16); 3] = [("ApiVersions", 5), ("DescribeLogDirs", 5), ("DeleteGroups", 3)];

/// A version that we do not know: the header can be read all the same, so that ApiVersions can be answered in version 0
/// (KIP-511) and others be logged before the connection is closed.
fn newer_than_we_are(frame: &Bytes) {
    let header = RequestHeader::decode(&mut frame.clone()).expect("the header is as ever");
    assert!(header.api().is_some() && header.supported_api().is_none());
}

#[test]
fn frames_of_real_clients_come_back_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captured");
    let mut frames = 0;
    for file in std::fs::read_dir(folder).expect("testdata is checked in") {
        let path = file.expect("a folder can be listed").path();
        let text = std::fs::read_to_string(&path).expect("hex is text");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let [side, api, version, hex] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let (frame, version) = (unhex(hex), version.parse().expect("a number"));
            frames += 1;
            if NEWER.contains(&(api, version)) {
                newer_than_we_are(&frame);
                continue;
            }
            let again = through_the_codec(side, api, version, &frame);
            assert_eq!(again.as_deref(), Ok(&frame[..]), "{}: {side} {api} {version}", path.display());
        }
    }
    assert!(frames > 200, "only {frames} frames found");
}
