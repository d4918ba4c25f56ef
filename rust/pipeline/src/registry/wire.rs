//! The registry's JSON, and what each answer means. Pure.

use crate::http::Answer;
use crate::http::fault::one_line;
use crate::http::retry::is_retried_status;
use serde::{Deserialize, Serialize};

/// The media type of Confluent's API.
pub(super) const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// A schema as the registry gives it, by id or by version.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SchemaDocument {
    pub(super) schema: String,
    /// Missing means AVRO.
    #[serde(rename = "schemaType")]
    pub(super) schema_type: Option<String>,
    pub(super) references: Option<Vec<Reference>>,
}

/// A schema that another one names.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Reference {
    pub(super) subject: String,
    pub(super) version: i64,
}

/// The body of a registration or a lookup; AVRO is the default type and is not named, as Confluent's clients do.
#[derive(Debug, Serialize)]
pub(super) struct SchemaRequest<'a> {
    pub(super) schema: &'a str,
}

/// The part of a registration's or a lookup's answer that is used.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct IdDocument {
    pub(super) id: u32,
}

#[derive(Debug, Deserialize)]
struct ErrorDocument {
    error_code: u32,
    #[serde(default)]
    message: String,
}

/// An answer the registry meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<T> {
    /// What was asked for.
    Found(T),
    /// One of the registry's own 404 codes: 40401 subject, 40402 version, 40403 schema.
    Missing(String),
    /// 409 or 422.
    Rejected(String),
}

/// An answer that settles nothing.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// 401 or 403.
    Refused(String),
    /// Everything else, and whether another try at once is worth it.
    Unavailable { detail: String, again: bool },
}

/// Reads an answer. Nothing but the registry's own error document makes something missing or rejected.
pub(super) fn read<T: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<Said<T>, Trouble> {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body)
            .map(Said::Found)
            .map_err(|error| Trouble::Unavailable {
                detail: format!(
                    "answered {status} with something that is not a registry's ({}); does the URL lead to one?",
                    one_line(&error.to_string())
                ),
                again: false,
            });
    }
    let document: Option<ErrorDocument> = serde_json::from_slice(&answer.body).ok();
    let code = document.as_ref().map(|document| document.error_code);
    let words = document.map_or_else(
        || status.to_string(),
        |document| one_line(&format!("{} {}", document.error_code, document.message)),
    );
    match (status, code) {
        (401 | 403, _) => Err(Trouble::Refused(words)),
        (404, Some(40401..=40403)) => Ok(Said::Missing(words)),
        (409 | 422, Some(_)) => Ok(Said::Rejected(words)),
        (404, _) => Err(Trouble::Unavailable {
            detail: format!(
                "answered {words}, not as a registry does; is the URL's path right (Apicurio: /apis/ccompat/v7)?"
            ),
            again: false,
        }),
        _ => Err(Trouble::Unavailable {
            detail: format!("answered {words}"),
            again: is_retried_status(status),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;
    use reqwest::header::HeaderMap;

    fn said(status: u16, body: &str) -> Result<Said<IdDocument>, Trouble> {
        read(&Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn only_the_registrys_own_words_make_a_schema_missing() {
        let missing = r#"{"error_code":40403,"message":"Schema not found"}"#;
        assert_eq!(
            said(404, missing),
            Ok(Said::Missing("40403 Schema not found".into()))
        );
        for (status, body) in [
            (404, "<html>404 Not Found</html>"),
            (404, ""),
            (404, r#"{"error_code":404,"message":"HTTP 404 Not Found"}"#),
            (404, r#"{"detail":"Not Found"}"#),
            (409, "conflict"),
            (200, "<html>Please log in</html>"),
            (200, r#"{"id":"1"}"#),
            (200, r#"{"id":-1}"#),
            (200, ""),
            (302, ""),
            (400, r#"{"error_code":400,"message":"bad"}"#),
        ] {
            let trouble = said(status, body).unwrap_err();
            assert!(
                matches!(trouble, Trouble::Unavailable { again: false, .. }),
                "{status} {body}: {trouble:?}"
            );
        }
    }

    #[test]
    fn every_status_has_its_class() {
        for status in [408, 429, 500, 502, 503, 504] {
            let trouble = said(status, "x").unwrap_err();
            assert!(
                matches!(trouble, Trouble::Unavailable { again: true, .. }),
                "{status}"
            );
        }
        let unauthorized = said(401, r#"{"error_code":40101,"message":"who?\n"}"#);
        assert_eq!(unauthorized, Err(Trouble::Refused("40101 who?".into())));
        assert_eq!(said(403, "<html>"), Err(Trouble::Refused("403".into())));
        let incompatible = said(409, r#"{"error_code":409,"message":"incompatible"}"#);
        assert_eq!(incompatible, Ok(Said::Rejected("409 incompatible".into())));
        let invalid = said(422, r#"{"error_code":42201,"message":"Invalid schema"}"#);
        assert_eq!(invalid, Ok(Said::Rejected("42201 Invalid schema".into())));
        assert_eq!(
            said(200, r#"{"id":7,"more":1}"#),
            Ok(Said::Found(IdDocument { id: 7 }))
        );
    }
}
