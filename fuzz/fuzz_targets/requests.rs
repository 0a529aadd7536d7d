//! A whole request as it comes from a connection, length prefix taken off.
#![no_main]

use ailurus_fuzz::{message, within};
use ailurus_wire::{ApiKey, RequestHeader};
use bytes::Bytes;

macro_rules! by_api {
    ($($name:ident $module:ident $request:ident $response:ident,)*) => {
        fn body(api: ApiKey, version: i16, body: Bytes) {
            match api { $(ApiKey::$name => message::<ailurus_wire::$module::$request>(body, version),)* }
        }
    };
}

ailurus_wire::for_each_api!(by_api);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let mut frame = Bytes::copy_from_slice(data);
    let Ok(header) = within(0, || RequestHeader::decode(&mut frame)) else { return };
    if let Some(api) = header.supported_api() {
        body(api, header.api_version, frame);
    }
});
