//! Writes the module of one API: its structs, their defaults, and straight-line code that reads and writes them.
//!
//! The code asks `version` at run time and leaves the flexible forms to `Reader` and `Writer`, so that each struct has
//! one `read` and one `write` whatever the number of versions.

use std::fmt::Write;

use super::table::{Api, Field, Struct, Type, Versions};

/// The text of the module.
pub fn module(api: &Api) -> String {
    let mut out = format!(
        "//! {} (API {}), versions {} to {}.\n//!\n//! Made by `cargo xtask codegen` from `messages/{}.txt`.\n\n",
        api.name,
        api.key,
        api.versions.min,
        api.versions.max,
        api.module()
    );
    let body = [&api.request, &api.response].map(|side| side.iter().map(|s| structure(api, s)).collect::<String>());
    out += &imports(&body.concat());
    for (text, side) in body.iter().zip(["Request", "Response"]) {
        out += &message(api, side);
        out += text;
    }
    out
}

fn imports(body: &str) -> String {
    let names = ["ApiKey", "ErrorCode", "Message", "Reader", "Records", "Request", "Response", "Str", "TopicId"];
    let always = ["ApiKey", "Message", "Reader", "Request", "Response"];
    let used = names.into_iter().filter(|name| always.contains(name) || uses(body, name));
    let names: Vec<&str> = used.chain(["WireError", "Writer"]).collect();
    let bytes = if uses(body, "Bytes") { "use bytes::Bytes;\n\n" } else { "" };
    format!("{bytes}use crate::{{{}}};\n\n", names.join(", "))
}

fn message(api: &Api, side: &str) -> String {
    let name = &api.name;
    let kind = match side {
        "Request" => format!("impl Request for {name}Request {{ type Response = {name}Response; }}"),
        _ => format!("impl Response for {name}Response {{}}"),
    };
    format!(
        "impl Message for {name}{side} {{
            const API: ApiKey = ApiKey::{name};

            fn read(r: &mut Reader, version: i16) -> Result<Self, WireError> {{ Self::read_fields(r, version) }}

            fn write(&self, w: &mut Writer, version: i16) {{ self.write_fields(w, version); }}
        }}

        {kind}\n\n"
    )
}

fn structure(api: &Api, s: &Struct) -> String {
    let plain = s.fields.iter().all(|f| default(f) == type_default(f));
    let derived = if plain { ", Default" } else { "" };
    let mut out = doc(&s.doc);
    writeln!(out, "#[derive(Debug, Clone, PartialEq{derived})]\npub struct {} {{", s.name).expect(STRING);
    for field in &s.fields {
        out += &doc(&field_doc(s, field));
        writeln!(out, "pub {}: {},", field.name, field_type(api, s, field)).expect(STRING);
    }
    out += "}\n\n";
    if !plain {
        let values: String = s.fields.iter().map(|f| format!("{}: {},\n", f.name, default(f))).collect();
        writeln!(out, "impl Default for {} {{ fn default() -> Self {{ Self {{\n{values}}} }} }}\n", s.name)
            .expect(STRING);
    }
    writeln!(out, "impl {} {{\n{}\n{}}}\n", s.name, read(api, s), write(api, s)).expect(STRING);
    out
}

const STRING: &str = "a String takes all text";

fn doc(text: &str) -> String {
    let mut lines = vec![String::from("///")];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.len() + 1 + word.len() > 112 {
            lines.push(format!("/// {word}"));
        } else {
            *line += " ";
            *line += word;
        }
    }
    lines.join("\n") + "\n"
}

fn field_doc(s: &Struct, field: &Field) -> String {
    let (low, high) = (field.versions.min > s.versions.min, field.versions.max < s.versions.max);
    let versions = match (low, high) {
        (false, false) => return field.doc.clone(),
        (true, false) => format!("From version {}", field.versions.min),
        (false, true) => format!("Up to version {}", field.versions.max),
        (true, true) => format!("Versions {} to {}", field.versions.min, field.versions.max),
    };
    let ignorable = if field.ignorable { "; else dropped" } else { "" };
    format!("{} ({versions}{ignorable}.)", field.doc)
}

fn is_response(api: &Api, s: &Struct) -> bool {
    api.response.iter().any(|other| other.name == s.name)
}

fn field_type(api: &Api, s: &Struct, field: &Field) -> String {
    let ty = rust_type(&field.ty, is_response(api, s));
    if field.nullable.is_some() { format!("Option<{ty}>") } else { ty }
}

fn rust_type(ty: &Type, response: bool) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::I8 => "i8".into(),
        Type::I16 => "i16".into(),
        Type::U16 => "u16".into(),
        Type::I32 => "i32".into(),
        Type::I64 => "i64".into(),
        Type::F64 => "f64".into(),
        Type::Str => "Str".into(),
        Type::Bytes => "Bytes".into(),
        Type::Records => if response { "Records" } else { "Bytes" }.into(),
        Type::Uuid => "u128".into(),
        Type::TopicId => "TopicId".into(),
        Type::Error => "ErrorCode".into(),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", rust_type(element, response)),
    }
}

/// What the field holds when nothing was said. As in Kafka, a nullable field is empty, not null, unless the table says
/// so; records are null.
fn default(field: &Field) -> String {
    match (&field.default, &field.nullable) {
        (Some(text), _) if text == "null" => "None".into(),
        (Some(text), None) if text == "2147483647" => "i32::MAX".into(),
        (Some(text), None) if text == "-2147483648" => "i32::MIN".into(),
        (Some(text), None) if text == "9223372036854775807" => "i64::MAX".into(),
        (Some(text), _) => text.clone(),
        (None, Some(_)) if field.ty == Type::Records => "None".into(),
        (None, Some(_)) => format!("Some({})", type_default_of(&field.ty)),
        (None, None) => type_default_of(&field.ty),
    }
}

/// What `derive(Default)` would give the field.
fn type_default(field: &Field) -> String {
    if field.nullable.is_some() { "None".into() } else { type_default_of(&field.ty) }
}

fn type_default_of(ty: &Type) -> String {
    match ty {
        Type::Bool => "false".into(),
        Type::F64 => "0.0".into(),
        Type::I8 | Type::I16 | Type::U16 | Type::I32 | Type::I64 | Type::Uuid => "0".into(),
        Type::Str => "Str::new()".into(),
        Type::Bytes => "Bytes::new()".into(),
        Type::Records => "Records::new()".into(),
        Type::TopicId => "TopicId::NONE".into(),
        Type::Error => "ErrorCode::None".into(),
        Type::Struct(name) => format!("{name}::default()"),
        Type::Array(_) => "Vec::new()".into(),
    }
}

/// A Rust condition on `version` that holds for `wanted` within `known`; `None` if that is always.
fn condition(wanted: Versions, known: Versions) -> Option<String> {
    match (wanted.min > known.min, wanted.max < known.max) {
        (false, false) => None,
        (true, false) => Some(format!("version >= {}", wanted.min)),
        (false, true) => Some(format!("version <= {}", wanted.max)),
        (true, true) if wanted.min == wanted.max => Some(format!("version == {}", wanted.min)),
        (true, true) => Some(format!("({}..={}).contains(&version)", wanted.min, wanted.max)),
    }
}

fn read(api: &Api, s: &Struct) -> String {
    let untagged: Vec<&Field> = s.fields.iter().filter(|f| f.tag.is_none()).collect();
    let mut body = String::new();
    for run in untagged.chunk_by(|a, b| a.versions == b.versions) {
        let takes: String = run.iter().map(|f| format!("m.{} = {};\n", f.name, take(api, s, f))).collect();
        body += &match condition(run[0].versions, s.versions) {
            Some(condition) => format!("if {condition} {{\n{takes}}}\n"),
            None => takes,
        };
    }
    body += &read_tags(api, s);
    let version = if uses(&body, "version") { "version" } else { "_version" };
    format!(
        "fn read_fields(r: &mut Reader, {version}: i16) -> Result<Self, WireError> {{
            let mut m = Self::default();\n{body}Ok(m)\n}}\n"
    )
}

fn read_tags(api: &Api, s: &Struct) -> String {
    let tagged: Vec<&Field> = s.fields.iter().filter(|f| f.tag.is_some()).collect();
    if s.versions.max < api.flexible {
        return String::new();
    }
    if tagged.is_empty() {
        return "r.skip_tags()?;\n".into();
    }
    let arm = |field: &&Field| {
        let condition = condition(field.versions, flexible_part(api, s)).map_or(String::new(), |c| format!("if {c} "));
        let tag = field.tag.expect("filtered above");
        format!("{tag} {condition}=> m.{} = {},\n", field.name, take(api, s, field))
    };
    let arms: String = tagged.iter().map(arm).collect();
    format!(
        "let mut tags = r.tags()?;
        while let Some(tag) = tags.next(r)? {{
            match tag {{\n{arms}_ => tags.skip(r),\n}}
        }}\n"
    )
}

/// Tags occur in flexible versions only, so these are what a tagged field's versions are compared with.
fn flexible_part(api: &Api, s: &Struct) -> Versions {
    s.versions.and(Versions { min: api.flexible, max: i16::MAX })
}

/// The expression that takes the field's value from `r`.
fn take(api: &Api, s: &Struct, field: &Field) -> String {
    let response = is_response(api, s);
    let plain = || format!("{}?", take_plain(api, &field.ty));
    let Some(nullable) = field.nullable else { return plain() };
    let optional = match &field.ty {
        Type::Str => "r.opt_str()?".into(),
        Type::Bytes => "r.opt_bytes()?".into(),
        Type::Records if response => "r.opt_records()?".into(),
        Type::Records => "r.opt_bytes()?".into(),
        Type::Array(element) => {
            format!("r.opt_array({}, |r| {})?", size_min(api, element), take_plain(api, element))
        }
        Type::Struct(_) => format!("if r.present()? {{ Some({}) }} else {{ None }}", plain()),
        other => panic!("{}.{}: {other:?} cannot be null", s.name, field.name),
    };
    match condition(nullable, field.versions) {
        Some(condition) => format!("if {condition} {{ {optional} }} else {{ Some({}) }}", plain()),
        None => optional,
    }
}

/// The call that takes a value of this type from `r`, as a `Result`.
fn take_plain(api: &Api, ty: &Type) -> String {
    match ty {
        Type::Struct(name) => format!("{name}::read_fields(r, version)"),
        Type::Array(element) => format!("r.array({}, |r| {})", size_min(api, element), take_plain(api, element)),
        Type::Records => panic!("records are always nullable"),
        simple => format!("r.{}()", verb(simple)),
    }
}

fn verb(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::I8 => "i8",
        Type::I16 => "i16",
        Type::U16 => "u16",
        Type::I32 => "i32",
        Type::I64 => "i64",
        Type::F64 => "f64",
        Type::Str => "str",
        Type::Bytes => "bytes",
        Type::Uuid => "uuid",
        Type::TopicId => "topic_id",
        Type::Error => "error_code",
        Type::Records | Type::Struct(_) | Type::Array(_) => panic!("{ty:?} has no verb of its own"),
    }
}

/// The fewest bytes that a value of this type takes on the wire in any version.
fn size_min(api: &Api, ty: &Type) -> usize {
    let compact = api.is_flexible(api.versions.max);
    match ty {
        Type::Bool | Type::I8 => 1,
        Type::I16 | Type::U16 | Type::Error => 2,
        Type::I32 => 4,
        Type::I64 | Type::F64 => 8,
        Type::Uuid | Type::TopicId => 16,
        Type::Str if !compact => 2,
        Type::Bytes | Type::Records | Type::Array(_) if !compact => 4,
        Type::Str | Type::Bytes | Type::Records | Type::Array(_) => 1,
        Type::Struct(name) => {
            let s = api.structure(name);
            let always = s.fields.iter().filter(|f| f.tag.is_none() && f.versions.covers(s.versions));
            let fields = always.map(|f| match f.ty {
                Type::Struct(_) if f.nullable.is_some() => 1,
                _ => size_min(api, &f.ty),
            });
            fields.sum::<usize>().max(1)
        }
    }
}

fn write(api: &Api, s: &Struct) -> String {
    let mut body = String::new();
    for field in s.fields.iter().filter(|f| f.tag.is_none()) {
        let put = put_checked(api, s, field);
        match condition(field.versions, s.versions) {
            None => writeln!(body, "{put}").expect(STRING),
            Some(condition) if field.ignorable => writeln!(body, "if {condition} {{ {put} }}").expect(STRING),
            Some(condition) => {
                let refuse = refuse(s, field);
                writeln!(body, "if {condition} {{ {put} }} else if {} {{ {refuse} }}", is_set(field)).expect(STRING);
            }
        }
    }
    body += &write_tags(api, s);
    let version = if uses(&body, "version") { "version" } else { "_version" };
    format!("fn write_fields(&self, w: &mut Writer, {version}: i16) {{\n{body}}}\n")
}

fn refuse(s: &Struct, field: &Field) -> String {
    format!("w.not_in_version(\"{}.{}\", version);", s.name, field.name)
}

fn write_tags(api: &Api, s: &Struct) -> String {
    let tagged: Vec<&Field> = s.fields.iter().filter(|f| f.tag.is_some()).collect();
    if s.versions.max < api.flexible {
        return String::new();
    }
    if tagged.is_empty() {
        return "w.tags(0);\n".into();
    }
    let (mut present, mut puts, mut counts) = (String::new(), String::new(), Vec::new());
    for field in tagged {
        let tag = field.tag.expect("filtered above");
        let condition = condition(field.versions, s.versions);
        let carried = condition.as_ref().map_or(String::new(), |c| format!("{c} && "));
        writeln!(present, "let tag{tag} = {carried}{};", is_set(field)).expect(STRING);
        let otherwise = match condition {
            Some(_) if !field.ignorable => format!("else if {} {{ {} }}", is_set(field), refuse(s, field)),
            _ => String::new(),
        };
        let put = put(api, s, field);
        writeln!(puts, "if tag{tag} {{ w.tag({tag}, |w| {{ {put} }}); }} {otherwise}").expect(STRING);
        counts.push(format!("u32::from(tag{tag})"));
    }
    format!("{present}w.tags({});\n{puts}", counts.join(" + "))
}

/// The condition that the field does not hold its default.
fn is_set(field: &Field) -> String {
    let name = &field.name;
    match (&field.ty, &field.nullable, &field.default) {
        (_, Some(_), Some(default)) if default == "null" => format!("self.{name}.is_some()"),
        (Type::Records, Some(_), _) => format!("self.{name}.is_some()"),
        (_, Some(_), _) => format!("self.{name}.as_ref().is_none_or(|x| !x.is_empty())"),
        (Type::Bool, None, None) => format!("self.{name}"),
        (Type::Bool, None, Some(_)) => format!("!self.{name}"),
        (Type::Error, None, _) => format!("self.{name}.is_error()"),
        (Type::Str | Type::Bytes | Type::Array(_), None, _) => format!("!self.{name}.is_empty()"),
        _ => format!("self.{name} != {}", default(field)),
    }
}

/// `put`, after a look whether null is allowed. Allowed or not, a present value has the same form.
fn put_checked(api: &Api, s: &Struct, field: &Field) -> String {
    let put = put(api, s, field);
    match field.nullable {
        Some(nullable) if nullable.min > field.versions.min => format!(
            "if self.{0}.is_none() && version < {1} {{ w.null_field(\"{2}.{0}\", version); }}\n{put}",
            field.name, nullable.min, s.name
        ),
        _ => put,
    }
}

/// The statement that puts the field's value into `w`.
fn put(api: &Api, s: &Struct, field: &Field) -> String {
    let name = &field.name;
    let response = is_response(api, s);
    match (&field.ty, field.nullable) {
        (Type::Records, _) if response => format!("w.opt_records(&self.{name});"),
        (Type::Records, _) => format!("w.opt_record_bytes(&self.{name});"),
        (Type::Str, Some(_)) => format!("w.opt_str(&self.{name});"),
        (Type::Bytes, Some(_)) => format!("w.opt_bytes(&self.{name});"),
        (Type::Array(element), Some(_)) => format!("w.opt_array(&self.{name}, |w, x| {});", put_element(element)),
        (Type::Array(element), None) => format!("w.array(&self.{name}, |w, x| {});", put_element(element)),
        (Type::Struct(_), Some(_)) => format!(
            "w.present(self.{name}.is_some());\nif let Some(x) = &self.{name} {{ x.write_fields(w, version); }}"
        ),
        (Type::Struct(_), None) => format!("self.{name}.write_fields(w, version);"),
        (Type::Str | Type::Bytes, None) => format!("w.{}(&self.{name});", verb(&field.ty)),
        (simple, _) => format!("w.{}(self.{name});", verb(simple)),
    }
}

fn put_element(element: &Type) -> String {
    match element {
        Type::Struct(_) => "x.write_fields(w, version)".into(),
        Type::Array(inner) => format!("w.array(x, |w, x| {})", put_element(inner)),
        Type::Str | Type::Bytes => format!("w.{}(x)", verb(element)),
        simple => format!("w.{}(*x)", verb(simple)),
    }
}

/// Whether `word` occurs in `text` as a word of its own, outside comments.
fn uses(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.into_iter().any(|line| {
        line.match_indices(word).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let after = line[at + word.len()..].chars().next();
            !before.is_some_and(|c| inside(c) || c == '.') && !after.is_some_and(inside)
        })
    })
}
