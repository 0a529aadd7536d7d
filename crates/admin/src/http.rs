//! Request to response, without a socket: [`need`] says what must be gathered, [`answer`] makes the reply of it.

use crate::metric::Family;
use crate::text;

/// What of an HTTP request matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`, `HEAD`, ...
    pub method: &'a str,
    /// The path, without query.
    pub path: &'a str,
}

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// The `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

/// What must be gathered from the shards before a request can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: the answer is known.
    Nothing,
    /// All metrics.
    Metrics,
    /// Whether each shard still answers.
    Health,
}

/// What was gathered. An `Err` says which source stayed silent, in a sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Facts {
    /// For [`Need::Nothing`].
    Nothing,
    /// For [`Need::Metrics`].
    Metrics(Result<Vec<Family>, String>),
    /// For [`Need::Health`]: the number of shards that answered.
    Health(Result<u16, String>),
}

const PLAIN: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";

const INDEX: &str = "<!doctype html><title>Ailurus</title><h1>Ailurus</h1>\
<ul><li><a href=\"/metrics\">/metrics</a> for Prometheus<li><a href=\"/healthz\">/healthz</a></ul>\n";

/// What this request needs. Anything but a `GET` or `HEAD` of a known path needs nothing.
pub fn need(request: Request<'_>) -> Need {
    match (request.method, request.path) {
        ("GET" | "HEAD", "/metrics") => Need::Metrics,
        ("GET" | "HEAD", "/healthz") => Need::Health,
        _ => Need::Nothing,
    }
}

/// The response to a request, with what [`need`] asked for.
pub fn answer(request: Request<'_>, facts: Facts) -> Response {
    match facts {
        Facts::Metrics(Ok(families)) => {
            Response { status: 200, content_type: text::CONTENT_TYPE, body: text::encode(families) }
        }
        Facts::Health(Ok(shards)) => {
            let body = format!("{{\"status\":\"ok\",\"shards\":{shards}}}\n");
            Response { status: 200, content_type: JSON, body }
        }
        Facts::Metrics(Err(why)) => unavailable(PLAIN, format!("{why}\n")),
        Facts::Health(Err(why)) => {
            // `{:?}` of a string escapes what JSON wants escaped in the sentences we write.
            unavailable(JSON, format!("{{\"status\":\"unavailable\",\"reason\":{why:?}}}\n"))
        }
        Facts::Nothing => answer_unaided(request),
    }
}

fn unavailable(content_type: &'static str, body: String) -> Response {
    Response { status: 503, content_type, body }
}

fn answer_unaided(request: Request<'_>) -> Response {
    match (request.method, request.path) {
        ("GET" | "HEAD", "/") => Response { status: 200, content_type: HTML, body: INDEX.to_owned() },
        (_, "/" | "/metrics" | "/healthz") => {
            Response { status: 405, content_type: PLAIN, body: "Only GET and HEAD are served here.\n".to_owned() }
        }
        _ => Response { status: 404, content_type: PLAIN, body: "Not found. Try /metrics or /healthz.\n".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Request<'_> {
        Request { method: "GET", path }
    }

    #[test]
    fn only_known_paths_make_the_shards_work() {
        assert_eq!(need(get("/metrics")), Need::Metrics);
        assert_eq!(need(get("/healthz")), Need::Health);
        assert_eq!(need(get("/")), Need::Nothing);
        assert_eq!(need(get("/metrics/")), Need::Nothing);
        assert_eq!(need(Request { method: "POST", path: "/metrics" }), Need::Nothing);
    }

    #[test]
    fn answers_by_status() {
        let status = |request, facts| answer(request, facts).status;
        assert_eq!(status(get("/"), Facts::Nothing), 200);
        assert_eq!(status(get("/nowhere"), Facts::Nothing), 404);
        assert_eq!(status(Request { method: "DELETE", path: "/healthz" }, Facts::Nothing), 405);
        assert_eq!(status(get("/metrics"), Facts::Metrics(Ok(vec![]))), 200);
        assert_eq!(status(get("/metrics"), Facts::Metrics(Err("shard 1 is silent".into()))), 503);
    }

    #[test]
    fn health_is_json_both_ways() {
        assert_eq!(answer(get("/healthz"), Facts::Health(Ok(4))).body, "{\"status\":\"ok\",\"shards\":4}\n");
        let ill = answer(get("/healthz"), Facts::Health(Err("shard 1 did not answer".into())));
        assert_eq!(ill.status, 503);
        assert_eq!(ill.body, "{\"status\":\"unavailable\",\"reason\":\"shard 1 did not answer\"}\n");
    }
}
