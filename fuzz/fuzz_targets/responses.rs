//! The body of a response, behind one byte for the API and one for the version.
#![no_main]

use ailurus_fuzz::message;
use ailurus_wire::ApiKey;
use bytes::Bytes;

macro_rules! by_api {
    ($($name:ident $module:ident $request:ident $response:ident,)*) => {
        fn body(api: ApiKey, version: i16, body: Bytes) {
            match api { $(ApiKey::$name => message::<ailurus_wire::$module::$response>(body, version),)* }
        }
    };
}

ailurus_wire::for_each_api!(by_api);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [api, version, rest @ ..] = data else { return };
    if let Some(api) = ApiKey::from_code((*api).into()) {
        body(api, (*version).into(), Bytes::copy_from_slice(rest));
    }
});
