//! `host:port`, and what it resolves to.

use std::net::SocketAddr;

use crate::ClientError;

/// Kafka's usual port, for an address that names none.
pub const DEFAULT_PORT: u16 = 9092;

/// Splits `host:port`, `host`, `1.2.3.4:9092`, `[::1]:9092` or `::1`.
pub fn parse(text: &str) -> Result<(String, u16), ClientError> {
    let text = text.trim();
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let bad = |why: &str| ClientError::Address(format!("\"{text}\" is not host:port: {why}"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']').ok_or_else(|| bad("the bracket is not closed"))? {
            (host, "") => (host, None),
            (host, port) => (host, Some(port.strip_prefix(':').ok_or_else(|| bad("a colon belongs before the port"))?)),
        },
        // More than one colon without brackets is an IPv6 address.
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return Err(bad("the host is missing"));
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| bad("the port is 1 to 65535"))?,
    };
    Ok((host.to_owned(), port))
}

/// All addresses of a host, IPv4 first: brokers that listen on 127.0.0.1 only are the common case on a laptop.
/// A literal address asks nobody.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ClientError> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = ailurus_rt::resolve(host, port).await;
    let mut addresses =
        found.map_err(|error| ClientError::Address(format!("the host name {host} cannot be resolved: {error}")))?;
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("localhost:9093", ("localhost", 9093)),
            ("broker", ("broker", 9092)),
            ("[::1]:9094", ("::1", 9094)),
            ("[::1]", ("::1", 9092)),
            ("::1", ("::1", 9092)),
            ("PLAINTEXT://10.0.0.1:1", ("10.0.0.1", 1)),
        ];
        for (text, (host, port)) in cases {
            assert_eq!(parse(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for bad in ["", ":9092", "host:", "host:0", "host:70000", "host:x", "[::1", "[::1]9092"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
