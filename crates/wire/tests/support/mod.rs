//! Random messages, made from the message table alone: a second reading of the table, independent of the generated code.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use xtask::codegen::table::{Api, Field, Struct, Type};

/// The whole table.
pub fn table() -> Vec<Api> {
    xtask::codegen::table::load(&xtask::codegen::wire_crate().join("messages")).expect("the table is well-formed")
}

/// Splitmix64: small, and the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Side {
    Request,
    Response,
}

/// Makes the bytes of one random message in the one form in which it is written.
pub struct Maker<'a> {
    pub api: &'a Api,
    pub version: i16,
    pub random: &'a mut Random,
    /// The longest strings and arrays.
    pub size: usize,
    /// Sprinkle tagged fields that nobody knows; then the form is no longer the one in which it is written.
    pub unknown_tags: bool,
}

impl Maker<'_> {
    pub fn message(&mut self, side: Side) -> Vec<u8> {
        let api = self.api;
        let root = match side {
            Side::Request => &api.request[0],
            Side::Response => &api.response[0],
        };
        let mut out = Vec::new();
        self.structure(root, &mut out);
        out
    }

    fn flexible(&self) -> bool {
        self.api.is_flexible(self.version)
    }

    fn structure(&mut self, s: &Struct, out: &mut Vec<u8>) {
        let carried = |f: &&Field| f.versions.contains(self.version);
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) =
            s.fields.iter().filter(carried).partition(|f| f.tag.is_some());
        for field in plain {
            self.field(field, out);
        }
        if self.flexible() {
            self.tags(tagged, out);
        }
    }

    fn tags(&mut self, mut tagged: Vec<&Field>, out: &mut Vec<u8>) {
        tagged.sort_by_key(|field| field.tag);
        let mut values: Vec<(u32, Vec<u8>)> = Vec::new();
        for field in tagged {
            let mut value = Vec::new();
            self.field(field, &mut value);
            if self.random.one_in(2) && value != self.default(field) {
                values.push((field.tag.expect("partitioned by tag"), value));
            }
        }
        if self.unknown_tags && self.random.one_in(2) {
            values.push((1000, vec![0xff; self.random.below(200)]));
        }
        uvarint(values.len() as u32, out);
        for (tag, value) in values {
            uvarint(tag, out);
            uvarint(value.len() as u32, out);
            out.extend(value);
        }
    }

    /// The bytes of a tagged field that holds its default; nullable ones default to null.
    fn default(&self, field: &Field) -> Vec<u8> {
        let number = |text: &Option<String>| text.as_deref().unwrap_or("0").parse::<i128>().expect("a number");
        let default = &field.default;
        match &field.ty {
            Type::Str | Type::Array(_) => vec![u8::from(default.is_none())],
            Type::Bool => vec![0],
            Type::I16 | Type::Error => (number(default) as i16).to_be_bytes().into(),
            Type::I32 => (number(default) as i32).to_be_bytes().into(),
            Type::I64 => (number(default) as i64).to_be_bytes().into(),
            Type::Uuid => vec![0; 16],
            Type::Struct(name) => {
                let fields = &self.api.structure(name).fields;
                fields.iter().flat_map(|f| self.default(f)).chain([0]).collect()
            }
            other => panic!("no tagged field is a {other:?}"),
        }
    }

    fn field(&mut self, field: &Field, out: &mut Vec<u8>) {
        let nullable = field.nullable.is_some_and(|versions| versions.contains(self.version));
        let null = nullable && self.random.one_in(4);
        match &field.ty {
            Type::Struct(_) if nullable => {
                out.push(if null { 0xff } else { 1 });
                if !null {
                    self.value(&field.ty, out);
                }
            }
            Type::Str if null => self.length(None, false, out),
            _ if null => self.length(None, true, out),
            ty => self.value(ty, out),
        }
    }

    fn value(&mut self, ty: &Type, out: &mut Vec<u8>) {
        match ty {
            Type::Bool => out.push(self.random.below(2) as u8),
            Type::I8 => self.number(1, out),
            Type::I16 | Type::U16 => self.number(2, out),
            Type::I32 => self.number(4, out),
            Type::I64 => self.number(8, out),
            Type::F64 => out.extend((self.random.next() as f64 / 3.0).to_be_bytes()),
            Type::Uuid | Type::TopicId => self.number(16, out),
            Type::Error => out.extend((self.random.below(131) as i16 - 1).to_be_bytes()),
            Type::Str => self.text(out),
            Type::Bytes | Type::Records => {
                let len = self.some();
                self.length(Some(len), true, out);
                self.number(len, out);
            }
            Type::Array(element) => {
                let len = self.some();
                self.length(Some(len), true, out);
                (0..len).for_each(|_| self.value(element, out));
            }
            Type::Struct(name) => {
                let api = self.api;
                self.structure(api.structure(name), out);
            }
        }
    }

    fn some(&mut self) -> usize {
        self.random.below(self.size + 1)
    }

    /// Often 0 or -1, so that defaults occur.
    fn number(&mut self, bytes: usize, out: &mut Vec<u8>) {
        let kind = self.random.below(4);
        out.extend((0..bytes).map(|_| match kind {
            0 => 0,
            1 => 0xff,
            _ => self.random.next() as u8,
        }));
    }

    fn text(&mut self, out: &mut Vec<u8>) {
        const LETTERS: [&str; 6] = ["a", "Z", "-", "7", "é", "熊"];
        let len = self.some() * if self.random.one_in(8) { 40 } else { 1 };
        let text: String = (0..len).map(|_| LETTERS[self.random.below(LETTERS.len())]).collect();
        self.length(Some(text.len()), false, out);
        out.extend(text.as_bytes());
    }

    fn length(&self, length: Option<usize>, wide: bool, out: &mut Vec<u8>) {
        let plain = length.map_or(-1, |length| length as i32);
        match (self.flexible(), wide) {
            (true, _) => uvarint((plain + 1) as u32, out),
            (false, true) => out.extend(plain.to_be_bytes()),
            (false, false) => out.extend((plain as i16).to_be_bytes()),
        }
    }
}

pub fn uvarint(mut value: u32, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// For messages of failed assertions.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The inverse of [`hex`]; white space is left out.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|c| !c.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
    digits.chunks(2).map(pair).collect()
}
