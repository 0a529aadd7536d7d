//! Text that has been checked, as typed values.

use ailurus_model::TimestampType;

use crate::setting::{Kind, list};

/// A type that a row of the tables can have. `read` is given text that has passed the row's check, or its default.
pub trait Typed: Sized {
    /// Kafka's type for it.
    const KIND: Kind;

    /// From checked text; none only for settings without default.
    fn read(name: &str, text: Option<String>) -> Self;
}

fn number<T: std::str::FromStr>(name: &str, text: Option<String>) -> T {
    let text = text.unwrap_or_else(|| panic!("{name} has a default"));
    text.parse().unwrap_or_else(|_| panic!("{name} was checked, and its default is of its type"))
}

macro_rules! typed_number {
    ($($type:ty => $kind:ident),*) => {$(
        impl Typed for $type {
            const KIND: Kind = Kind::$kind;

            fn read(name: &str, text: Option<String>) -> Self {
                number(name, text)
            }
        }

        impl Typed for Option<$type> {
            const KIND: Kind = Kind::$kind;

            fn read(name: &str, text: Option<String>) -> Self {
                text.map(|text| number(name, Some(text)))
            }
        }
    )*};
}
typed_number!(i16 => Short, i32 => Int, i64 => Long, f64 => Double, bool => Boolean);

impl Typed for String {
    const KIND: Kind = Kind::String;

    fn read(_: &str, text: Option<String>) -> Self {
        text.unwrap_or_default()
    }
}

impl Typed for Option<String> {
    const KIND: Kind = Kind::String;

    fn read(_: &str, text: Option<String>) -> Self {
        text.filter(|text| !text.is_empty())
    }
}

impl Typed for TimestampType {
    const KIND: Kind = Kind::String;

    fn read(_: &str, text: Option<String>) -> Self {
        match text.as_deref() {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }
}

/// What becomes of old records. Kafka's `cleanup.policy`; neither means that everything stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CleanupPolicy {
    /// The last record of each key stays.
    pub compact: bool,
    /// Records go by age and size.
    pub delete: bool,
}

impl Typed for CleanupPolicy {
    const KIND: Kind = Kind::List;

    fn read(_: &str, text: Option<String>) -> Self {
        let text = text.unwrap_or_default();
        let has = |policy| list(&text).any(|part| part == policy);
        CleanupPolicy { compact: has("compact"), delete: has("delete") }
    }
}

/// Which I/O driver to ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoBackend {
    /// The best that the kernel grants.
    Auto,
    /// io_uring or nothing.
    Uring,
    /// epoll.
    Epoll,
}

impl Typed for IoBackend {
    const KIND: Kind = Kind::String;

    fn read(_: &str, text: Option<String>) -> Self {
        match text.as_deref() {
            Some("uring") => IoBackend::Uring,
            Some("epoll") => IoBackend::Epoll,
            _ => IoBackend::Auto,
        }
    }
}

/// Where the broker listens, or says that it does: `PLAINTEXT://127.0.0.1:9092`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// The listener's name.
    pub listener: String,
    /// A name or address, IPv6 without its brackets; empty for all addresses of the machine.
    pub host: String,
    /// The port; 0 for any free one.
    pub port: u16,
}

impl Endpoint {
    /// Reads endpoints with commas between them; a missing `NAME://` means PLAINTEXT.
    pub fn parse_all(text: &str) -> Result<Vec<Endpoint>, String> {
        list(text).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Endpoint, String> {
        let (listener, address) = text.split_once("://").unwrap_or(("PLAINTEXT", text));
        let shape = || format!("\"{text}\" is not of the form NAME://host:port");
        let (host, port) = address.rsplit_once(':').ok_or_else(shape)?;
        let port = port.parse().map_err(|_| shape())?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if listener.is_empty() || bare.unwrap_or(host).contains(['/', '[', ']']) || bare.is_none() && host.contains(':')
        {
            return Err(shape());
        }
        Ok(Endpoint { listener: listener.to_owned(), host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{}://[{}]:{}", self.listener, self.host, self.port),
            false => write!(f, "{}://{}:{}", self.listener, self.host, self.port),
        }
    }
}

impl Typed for Vec<Endpoint> {
    const KIND: Kind = Kind::String;

    fn read(_: &str, text: Option<String>) -> Self {
        Endpoint::parse_all(&text.unwrap_or_default()).expect("listeners were checked")
    }
}
