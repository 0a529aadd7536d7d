//! What is known of each [`ApiKey`]: names, versions, which of them are flexible.

use std::{fmt, ops::RangeInclusive};

use crate::WireError;
pub use crate::generated::api_key::ApiKey;

/// One row of the message table.
pub(crate) struct Facts {
    pub(crate) name: &'static str,
    pub(crate) versions: (i16, i16),
    pub(crate) advertised: (i16, i16),
    pub(crate) flexible: Option<i16>,
}

impl ApiKey {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The API of this number, if it is one that we can decode.
    pub fn from_code(code: i16) -> Option<Self> {
        Self::ALL.binary_search_by_key(&code, |api| api.code()).ok().map(|place| Self::ALL[place])
    }

    /// Kafka's name, such as `ListOffsets`.
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The versions that can be encoded and decoded.
    pub const fn versions(self) -> RangeInclusive<i16> {
        let (min, max) = self.facts().versions;
        min..=max
    }

    /// The versions that a broker which serves this API says it serves. Produce says 0 to 2 although it refuses them:
    /// librdkafka up to 2.11.0 takes a higher minimum for a broker that cannot compress (KAFKA-18659).
    pub const fn advertised(self) -> RangeInclusive<i16> {
        let (min, max) = self.facts().advertised;
        min..=max
    }

    /// The first version with compact forms and tagged fields (KIP-482), if there is one.
    pub const fn flexible_from(self) -> Option<i16> {
        self.facts().flexible
    }

    /// Whether a body of `version` is flexible.
    ///
    /// # Errors
    /// When we cannot decode `version`.
    pub fn flexible(self, version: i16) -> Result<bool, WireError> {
        if !self.versions().contains(&version) {
            return Err(WireError::UnsupportedVersion { api: self, version });
        }
        Ok(self.flexible_from().is_some_and(|from| version >= from))
    }

    /// Whether the header of a response to `version` has tagged fields. Never for ApiVersions: its client cannot know
    /// what the broker understands before it has read the answer.
    ///
    /// # Errors
    /// When we cannot decode `version`.
    pub fn flexible_response_header(self, version: i16) -> Result<bool, WireError> {
        Ok(self.flexible(version)? && self != ApiKey::ApiVersions)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_advertised_that_cannot_be_decoded_but_for_produce() {
        for api in ApiKey::ALL {
            let (known, said) = (api.versions(), api.advertised());
            assert!(said.end() <= known.end(), "{api}");
            assert!(said.start() >= known.start() || *api == ApiKey::Produce, "{api}");
            assert_eq!(ApiKey::from_code(api.code()), Some(*api));
        }
        assert_eq!(ApiKey::Produce.advertised(), 0..=12);
        assert_eq!(ApiKey::from_code(4), None);
    }

    #[test]
    fn only_the_answer_to_api_versions_has_a_plain_header_in_flexible_versions() {
        for api in ApiKey::ALL {
            for version in api.versions() {
                let plain = api.flexible(version) != api.flexible_response_header(version);
                assert_eq!(plain, *api == ApiKey::ApiVersions && version >= 3, "{api} v{version}");
            }
            assert!(api.flexible(api.versions().end() + 1).is_err());
        }
    }
}
