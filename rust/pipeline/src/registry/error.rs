//! Why the registry gave no schema.

use millstream_codec::SchemaError;

/// Why the registry gave no schema, and with it the class of the fault: record, configuration or transient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Settings that cannot be used; found before any request.
    #[error("registry {url}: {detail}")]
    InvalidConfig {
        /// The registry's URL, credentials masked.
        url: String,
        /// Which setting, and what would be right.
        detail: String,
    },
    /// Error code 40403 three times over 5 s; kept for 60 s. A record fault (`schema_not_found`).
    #[error("schema {id} is not in the registry at {url}")]
    NotFound {
        /// The schema id asked for.
        id: u32,
        /// The registry's URL, credentials masked.
        url: String,
    },
    /// The schema is there but cannot be used (Protobuf, recursive ...): `schema_type_unsupported`,
    /// `schema_unsupported`, `schema_recursive`. A record fault.
    #[error("schema {id}: {error}")]
    Unusable {
        /// The schema id asked for.
        id: u32,
        /// What is wrong with the schema.
        error: SchemaError,
    },
    /// 401, 403: a configuration fault.
    #[error("registry {url} refuses us: {detail}; check the registry's user name and password")]
    Refused {
        /// The registry's URL, credentials masked.
        url: String,
        /// The status and the registry's words.
        detail: String,
    },
    /// Not reachable, 429, 5xx, an answer that is not the registry's: transient.
    #[error("registry {url}: {detail}")]
    Unavailable {
        /// The registry's URL, credentials masked.
        url: String,
        /// What happened.
        detail: String,
    },
    /// The subject or the schema sent is refused (409, 422), or looked up and not there: permanent for this call.
    #[error("registry {url} refuses the schema for subject {subject}: {detail}")]
    Incompatible {
        /// The registry's URL, credentials masked.
        url: String,
        /// The subject asked for.
        subject: String,
        /// The registry's words.
        detail: String,
    },
}

impl RegistryError {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::InvalidConfig { .. }
            | Self::NotFound { .. }
            | Self::Unusable { .. }
            | Self::Refused { .. }
            | Self::Incompatible { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_no_setting_of_one_program() {
        let error = RegistryError::Refused {
            url: "http://r".to_owned(),
            detail: "401".to_owned(),
        };
        let text = error.to_string();
        assert!(
            text.ends_with("check the registry's user name and password"),
            "{text}"
        );
        assert!(!text.contains("schema_registry"), "{text}");
    }
}
