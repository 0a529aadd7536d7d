//! Fills a target's corpus from the frames of real clients: `seed requests|responses|batches FOLDER`.

use std::{fs, path::Path};

fn unhex(text: &str) -> Vec<u8> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
    text.as_bytes().chunks(2).map(pair).collect()
}

/// What `target` wants of one line of a capture, if anything.
fn seed(target: &str, line: &str) -> Option<Vec<u8>> {
    let [side, api, version, hex] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
    let (version, frame): (u8, _) = (version.parse().ok()?, unhex(hex));
    match (target, side) {
        ("requests", "request") => Some(frame),
        ("responses", "response") => {
            let api = ailurus_wire::ApiKey::ALL.iter().find(|key| key.name() == api)?;
            let tags = usize::from(api.flexible_response_header(version.into()).ok()?);
            Some([&[api.code() as u8, version], &frame[4 + tags..]].concat())
        }
        ("batches", "request") if api == "Produce" => {
            // The batch begins 16 bytes before its magic, which is the last 2 with a 4-byte epoch before it.
            let start = frame.windows(5).position(|w| w == [0, 0, 0, 0, 2] || w == [0xff, 0xff, 0xff, 0xff, 2])?;
            Some(frame[start.checked_sub(12)?..].to_vec())
        }
        _ => None,
    }
}

fn main() {
    let [_, target, folder] = &std::env::args().collect::<Vec<_>>()[..] else {
        panic!("usage: seed requests|responses|batches FOLDER")
    };
    fs::create_dir_all(folder).expect("the corpus folder can be made");
    let captured = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/wire/testdata/captured");
    let mut count = 0;
    for file in fs::read_dir(captured).expect("captures are checked in") {
        let text = fs::read_to_string(file.expect("a folder can be listed").path()).expect("hex is text");
        for bytes in text.lines().filter_map(|line| seed(target, line)) {
            fs::write(Path::new(folder).join(format!("seed-{count}")), bytes).expect("the corpus can be written");
            count += 1;
        }
    }
    assert!(count > 0, "no seed for {target}");
}
