//! The message table: what each API's messages look like in which versions.

use std::{collections::BTreeMap, fs, path::Path};

/// A range of versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The first.
    pub min: i16,
    /// The last; `i16::MAX` for "and up".
    pub max: i16,
}

impl Versions {
    /// Whether `version` is one of them.
    pub fn contains(self, version: i16) -> bool {
        (self.min..=self.max).contains(&version)
    }

    /// Those that are in both; may be empty.
    pub fn and(self, other: Versions) -> Versions {
        Versions { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    /// The smallest range that has both.
    pub fn or(self, other: Versions) -> Versions {
        Versions { min: self.min.min(other.min), max: self.max.max(other.max) }
    }

    /// Whether all of `other` are among them.
    pub fn covers(self, other: Versions) -> bool {
        self.min <= other.min && other.max <= self.max
    }

    fn parse(text: &str) -> Option<Versions> {
        if let Some(min) = text.strip_suffix('+') {
            return Some(Versions { min: min.parse().ok()?, max: i16::MAX });
        }
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        Some(Versions { min: if min.is_empty() { 0 } else { min.parse().ok()? }, max: max.parse().ok()? })
    }
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table's own words")]
pub enum Type {
    Bool,
    I8,
    I16,
    U16,
    I32,
    I64,
    F64,
    Str,
    Bytes,
    Records,
    Uuid,
    TopicId,
    Error,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Type {
        match text {
            "bool" => Type::Bool,
            "i8" => Type::I8,
            "i16" => Type::I16,
            "u16" => Type::U16,
            "i32" => Type::I32,
            "i64" => Type::I64,
            "f64" => Type::F64,
            "string" => Type::Str,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            "uuid" => Type::Uuid,
            "topic_id" => Type::TopicId,
            "error" => Type::Error,
            array if array.starts_with('[') && array.ends_with(']') => {
                Type::Array(Box::new(Type::parse(&array[1..array.len() - 1])))
            }
            name => Type::Struct(name.to_owned()),
        }
    }

    /// The struct that it names, as itself or as an array's element.
    pub fn structure(&self) -> Option<&str> {
        match self {
            Type::Struct(name) => Some(name),
            Type::Array(element) => element.structure(),
            _ => None,
        }
    }
}

/// One field of one struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name, in snake case.
    pub name: String,
    /// What it holds.
    pub ty: Type,
    /// The versions in which it may be null, if any; these run to the last one that carries it.
    pub nullable: Option<Versions>,
    /// The versions that carry it, within those of its struct.
    pub versions: Versions,
    /// Its default as written in the table.
    pub default: Option<String>,
    /// Its tag, if it is a tagged field.
    pub tag: Option<u32>,
    /// Whether it is dropped where a version does not carry it.
    pub ignorable: bool,
    /// What it is.
    pub doc: String,
}

/// A message, or a part of one.
#[derive(Clone, Debug)]
pub struct Struct {
    /// Its name, in camel case.
    pub name: String,
    /// What it is.
    pub doc: String,
    /// The versions in which it can occur.
    pub versions: Versions,
    /// Its fields in the order of the wire.
    pub fields: Vec<Field>,
}

/// One API.
#[derive(Clone, Debug)]
pub struct Api {
    /// Kafka's name.
    pub name: String,
    /// Its number.
    pub key: i16,
    /// What we can encode and decode.
    pub versions: Versions,
    /// What a broker that serves it may say in ApiVersions.
    pub advertised: Versions,
    /// The first flexible version, `i16::MAX` for none.
    pub flexible: i16,
    /// What it is for.
    pub doc: String,
    /// The structs of the request, the message itself first.
    pub request: Vec<Struct>,
    /// The structs of the response, the message itself first.
    pub response: Vec<Struct>,
}

impl Api {
    /// The name of its module and file.
    pub fn module(&self) -> String {
        let mut module = String::new();
        for c in self.name.chars() {
            if c.is_uppercase() && !module.is_empty() {
                module.push('_');
            }
            module.extend(c.to_lowercase());
        }
        module
    }

    /// The struct of this name; a struct of the request may be used in the response.
    pub fn structure(&self, name: &str) -> &Struct {
        let mut all = self.request.iter().chain(&self.response);
        all.find(|s| s.name == name).unwrap_or_else(|| panic!("{}: no struct {name}", self.name))
    }

    /// The versions whose strings and arrays are compact and whose structs end with tags.
    pub fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible
    }
}

/// Reads all files of the folder; the APIs come back by rising key.
///
/// # Errors
/// A sentence that names the file and line that cannot be understood.
pub fn load(folder: &Path) -> Result<Vec<Api>, String> {
    let read = |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let glossary = glossary(&read(&folder.join("glossary.txt"))?);
    let mut apis = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))? {
        let path = entry.map_err(|e| e.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".txt") && name != "glossary.txt" {
            let api = parse(&read(&path)?, &glossary).map_err(|e| format!("{name}:{e}"))?;
            if format!("{}.txt", api.module()) != name {
                return Err(format!("{name}: holds {}, which belongs in {}.txt", api.name, api.module()));
            }
            apis.push(api);
        }
    }
    apis.sort_by_key(|api| api.key);
    Ok(apis)
}

fn glossary(text: &str) -> BTreeMap<String, String> {
    let entries = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" | "));
    entries.map(|(name, doc)| (name.to_owned(), doc.to_owned())).collect()
}

/// The lines of one side of an API being read: the open structs by depth, and those that are complete in order.
struct Side {
    structs: Vec<Struct>,
    /// Places in `structs` of the structs that the current line stands in, outermost first.
    open: Vec<usize>,
}

impl Side {
    fn start(name: String, doc: String, versions: Versions) -> Side {
        Side { structs: vec![Struct { name, doc, versions, fields: Vec::new() }], open: vec![0] }
    }

    fn field(&mut self, depth: usize, field: Field) -> Result<(), String> {
        if depth >= self.open.len() {
            return Err("indented deeper than the struct it could belong to".into());
        }
        self.open.truncate(depth + 1);
        let parent = self.open[depth];
        if let Some(name) = field.ty.structure()
            && !self.structs.iter().any(|s| s.name == name)
        {
            self.open.push(self.structs.len());
            self.structs.push(Struct { name: name.into(), doc: field.doc.clone(), versions: NONE, fields: Vec::new() });
        }
        self.structs[parent].fields.push(field);
        Ok(())
    }
}

fn parse(text: &str, glossary: &BTreeMap<String, String>) -> Result<Api, String> {
    let mut api: Option<Api> = None;
    let mut sides: Vec<Side> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let at = |reason: String| format!("{}: {reason}", number + 1);
        let trimmed = line.trim_start();
        let depth = (line.len() - trimmed.len()) / 2;
        match (&mut api, trimmed) {
            (_, "") => {}
            (None, _) => api = Some(header(trimmed).ok_or_else(|| at("not an api line".into()))?),
            (Some(api), _) if trimmed.starts_with("| ") && sides.is_empty() => api.doc = trimmed[2..].to_owned(),
            (Some(api), "request") => {
                sides.push(Side::start(format!("{}Request", api.name), api.doc.clone(), api.versions));
            }
            (Some(api), "response") => {
                let doc = format!("The answer to [`{}Request`].", api.name);
                sides.push(Side::start(format!("{}Response", api.name), doc, api.versions));
            }
            (Some(_), _) => {
                let field = field(trimmed, glossary).map_err(at)?;
                sides
                    .last_mut()
                    .ok_or_else(|| at("a field before `request`".into()))?
                    .field(depth, field)
                    .map_err(at)?;
            }
        }
    }
    let (mut api, [request, response]) = match (api, <[Side; 2]>::try_from(sides)) {
        (Some(api), Ok(sides)) => (api, sides),
        _ => return Err(" must have an api line, a request and a response".into()),
    };
    api.request = request.structs;
    api.response = response.structs;
    share(&mut api);
    settle(&mut api)?;
    Ok(api)
}

/// A struct that the response uses but the request wrote out was taken for a new, empty one: it is the request's.
fn share(api: &mut Api) {
    let request: Vec<String> = api.request.iter().map(|s| s.name.clone()).collect();
    api.response.retain(|s| !(s.fields.is_empty() && request.contains(&s.name)));
}

/// Works out in which versions each struct can occur, then narrows its fields to them.
fn settle(api: &mut Api) -> Result<(), String> {
    let mut structs: Vec<&mut Struct> = api.request.iter_mut().chain(&mut api.response).collect();
    // Parents come before children, except where a struct is used again: twice is enough for one step back.
    for place in (0..structs.len()).chain(0..structs.len()) {
        for (name, versions) in uses(structs[place]) {
            let used = structs.iter_mut().find(|s| s.name == name).ok_or(format!(" no struct {name}"))?;
            used.versions = used.versions.or(versions);
        }
    }
    for s in structs {
        for field in &mut s.fields {
            field.versions = field.versions.and(s.versions);
            if field.versions.min > field.versions.max {
                return Err(format!(" {}.{} is in no version", s.name, field.name));
            }
        }
    }
    Ok(())
}

/// The structs that `s` holds, and when.
fn uses(s: &Struct) -> Vec<(String, Versions)> {
    let held = |f: &Field| f.ty.structure().map(|name| (name.to_owned(), f.versions.and(s.versions)));
    s.fields.iter().filter_map(held).collect()
}

fn header(line: &str) -> Option<Api> {
    let mut words = line.strip_prefix("api ")?.split(' ');
    let name = words.next()?.to_owned();
    let facts: BTreeMap<&str, &str> = words.filter_map(|word| word.split_once('=')).collect();
    let flexible = match *facts.get("flexible")? {
        "none" => i16::MAX,
        first => first.parse().ok()?,
    };
    Some(Api {
        name,
        key: facts.get("key")?.parse().ok()?,
        versions: Versions::parse(facts.get("versions")?)?,
        advertised: Versions::parse(facts.get("advertised")?)?,
        flexible,
        doc: String::new(),
        request: Vec::new(),
        response: Vec::new(),
    })
}

const ALL: Versions = Versions { min: 0, max: i16::MAX };

/// Of a struct whose uses have not been counted yet; `or` with anything gives that thing.
const NONE: Versions = Versions { min: i16::MAX, max: i16::MIN };

fn field(line: &str, glossary: &BTreeMap<String, String>) -> Result<Field, String> {
    let (facts, doc) = match line.split_once(" | ") {
        Some((facts, doc)) => (facts, Some(doc.to_owned())),
        None => (line, None),
    };
    let mut words = facts.split_whitespace();
    let (Some(name), Some(ty)) = (words.next(), words.next()) else {
        return Err("a field needs a name and a type".into());
    };
    let doc = doc.or_else(|| glossary.get(name).cloned()).ok_or_else(|| format!("{name} has no doc"))?;
    let (ty, nullable) = match ty.split_once('?') {
        Some((ty, "")) => (ty, Some(ALL)),
        Some((ty, from)) => (ty, Some(open_ended(from)?)),
        None => (ty, None),
    };
    let mut field = Field {
        name: name.to_owned(),
        ty: Type::parse(ty),
        nullable,
        versions: ALL,
        default: None,
        tag: None,
        ignorable: false,
        doc,
    };
    for word in words {
        if let Some(default) = word.strip_prefix('=') {
            field.default = Some(default.to_owned());
        } else if let Some(tag) = word.strip_prefix("tag") {
            field.tag = Some(tag.parse().map_err(|_| format!("{word} is no tag"))?);
        } else if word == "ignorable" {
            field.ignorable = true;
        } else {
            field.versions = Versions::parse(word).ok_or_else(|| format!("{word} is no version"))?;
        }
    }
    Ok(field)
}

fn open_ended(text: &str) -> Result<Versions, String> {
    let versions = Versions::parse(text).filter(|versions| versions.max == i16::MAX);
    versions.ok_or_else(|| format!("{text} is not like 3+"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "api Thing key=1 versions=1-5 advertised=1-5 flexible=3\n  | A thing.\nrequest\n";

    fn thing(fields: &str) -> Result<Api, String> {
        parse(&format!("{HEAD}{fields}\nresponse\nname string | A name.\n"), &BTreeMap::new())
    }

    #[test]
    fn a_struct_occurs_where_its_uses_do() {
        let api = thing("late [Part] 4+ | x\n  name string | x\nearly [Part] -2 | x").unwrap();
        assert_eq!(api.structure("Part").versions, Versions { min: 1, max: 5 });
        assert_eq!(api.structure("Part").fields[0].versions, Versions { min: 1, max: 5 });
        assert_eq!(api.request[0].fields[0].versions, Versions { min: 4, max: 5 });
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        for (fields, reason) in [
            ("name string", "4: name has no doc"),
            ("name string never | x", "4: never is no version"),
            ("name string?1-2 | x", "4: 1-2 is not like 3+"),
            ("name string | x\n    deeper string | x", "5: indented deeper than the struct it could belong to"),
            ("name string 7+ | x", " ThingRequest.name is in no version"),
        ] {
            assert_eq!(thing(fields).unwrap_err(), reason);
        }
    }

    #[test]
    fn tags_are_unique_and_only_in_flexible_versions() {
        for api in load(&crate::codegen::wire_crate().join("messages")).unwrap() {
            for s in api.request.iter().chain(&api.response) {
                let tagged = s.fields.iter().filter(|f| f.tag.is_some());
                assert!(tagged.clone().all(|f| f.versions.min >= api.flexible), "{}", s.name);
                let tags: std::collections::BTreeSet<_> = tagged.clone().map(|f| f.tag).collect();
                assert_eq!(tags.len(), tagged.count(), "{}", s.name);
            }
        }
    }
}
