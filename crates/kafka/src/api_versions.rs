//! ApiVersions: what this broker serves. Answered to anybody at any time, so it must be cheap.

use ailurus_wire::api_versions::{ApiVersion, ApiVersionsRequest, ApiVersionsResponse};
use ailurus_wire::{ApiKey, ErrorCode};

use crate::dispatch::Request;

/// The APIs that the message table knows and this broker does not serve yet, as a pattern: the dispatcher has an arm for
/// every other, and not one of them is advertised.
macro_rules! not_served {
    () => {
        ApiKey::SaslHandshake
            | ApiKey::SaslAuthenticate
            | ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::EndTxn
            | ApiKey::TxnOffsetCommit
            | ApiKey::DescribeAcls
            | ApiKey::CreateAcls
            | ApiKey::DeleteAcls
            | ApiKey::DescribeClientQuotas
            | ApiKey::AlterClientQuotas
            | ApiKey::DescribeUserScramCredentials
            | ApiKey::AlterUserScramCredentials
            | ApiKey::DescribeTransactions
            | ApiKey::ListTransactions
    };
}
pub(crate) use not_served;

/// What is served, as the answer lists it.
fn served() -> Vec<ApiVersion> {
    let apis = ApiKey::ALL.iter().filter(|api| !matches!(api, not_served!()));
    let version = |api: &ApiKey| {
        let range = api.advertised();
        ApiVersion { api_key: api.code(), min_version: *range.start(), max_version: *range.end() }
    };
    apis.map(version).collect()
}

pub(crate) async fn api_versions(request: &mut Request, body: ApiVersionsRequest) -> ApiVersionsResponse {
    let named = |text: &str| is_software_name(text);
    if request.version() >= 3 && !(named(&body.client_software_name) && named(&body.client_software_version)) {
        return ApiVersionsResponse { error_code: ErrorCode::InvalidRequest, ..Default::default() };
    }
    ApiVersionsResponse { api_keys: served(), ..Default::default() }
}

/// The answer to a version that we do not know, sent in version 0 (KIP-511).
pub(crate) fn unsupported_version() -> ApiVersionsResponse {
    ApiVersionsResponse { error_code: ErrorCode::UnsupportedVersion, api_keys: served(), ..Default::default() }
}

/// Kafka's rule for a client's name and version: letters, digits, `-` and `.`, beginning and ending with neither of the
/// latter two.
fn is_software_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kip_511() {
        for name in ["a", "librdkafka", "apache-kafka-java", "1.2.3-rc.1"] {
            assert!(is_software_name(name), "{name}");
        }
        for name in ["", "-a", "a-", ".a", "a b", "a_b", "ä"] {
            assert!(!is_software_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_not_served_is_not_advertised() {
        let served = served();
        let advertised = |api: ApiKey| served.iter().find(|served| served.api_key == api.code());
        assert!(advertised(ApiKey::Produce).is_some_and(|api| api.min_version == 0));
        assert_eq!(advertised(ApiKey::EndTxn), None);
    }

    #[test]
    fn the_page_says_what_is_served() {
        let page = include_str!("../../../docs/protocol.md");
        let is_row = |line: &&str| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit();
        let listed: Vec<&str> = page.lines().filter(is_row).collect();
        let row = |api: &ApiVersion| {
            let name = ApiKey::from_code(api.api_key).map_or("", ApiKey::name);
            format!("| {} | {name} | {}-{} |", api.api_key, api.min_version, api.max_version)
        };
        let served: Vec<String> = served().iter().map(row).collect();
        assert_eq!(listed, served, "left: docs/protocol.md, right: the broker");
    }
}
