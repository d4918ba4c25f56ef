//! The driver's errors in our three classes: one function each, table-tested.

use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};

use crate::sink::SinkError;

/// The class of a failed write.
pub fn classify(error: &ExecutionError) -> SinkError {
    let text = one_line(&error.to_string());
    match error {
        // The client's own check against the prepared statement: the table changed, or the row is at fault.
        ExecutionError::BadQuery(_) => SinkError::Refused(text),
        ExecutionError::EmptyPlan => SinkError::Configuration(
            "no Cassandra node to ask: check cassandra.local_datacenter".to_owned(),
        ),
        ExecutionError::PrepareError(error) => classify_prepare(error),
        ExecutionError::LastAttemptError(error) => classify_attempt(error, text),
        _ => SinkError::Transient(text),
    }
}

/// The class of a failed prepare: what the server refuses here it refuses for every row.
pub(super) fn classify_prepare(error: &PrepareError) -> SinkError {
    let text = one_line(&error.to_string());
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => {
            match classify_attempt(first_attempt, text) {
                SinkError::Refused(text) => SinkError::Configuration(text),
                other => other,
            }
        }
        _ => SinkError::Transient(text),
    }
}

fn classify_attempt(error: &RequestAttemptError, text: String) -> SinkError {
    match error {
        RequestAttemptError::DbError(error, message) => classify_server(error, one_line(message)),
        RequestAttemptError::SerializationError(_)
        | RequestAttemptError::CqlRequestSerialization(_)
        | RequestAttemptError::RepreparedIdChanged { .. } => SinkError::Refused(text),
        _ => SinkError::Transient(text),
    }
}

fn classify_server(error: &DbError, message: String) -> SinkError {
    match error {
        // 0x2200: a dropped table or column as well as a bad or oversized key; the caller finds out which.
        DbError::Invalid | DbError::FunctionFailure { .. } => SinkError::Refused(message),
        DbError::SyntaxError | DbError::ConfigError | DbError::AlreadyExists { .. } => {
            SinkError::Configuration(message)
        }
        DbError::Unauthorized | DbError::AuthenticationError => SinkError::Configuration(format!(
            "no right: {message}; GRANT MODIFY and SELECT, or check cassandra.username"
        )),
        _ => SinkError::Transient(if message.is_empty() {
            one_line(&error.to_string())
        } else {
            message
        }),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use scylla::frame::types::Consistency;

    fn server(error: DbError) -> SinkError {
        classify(&ExecutionError::LastAttemptError(
            RequestAttemptError::DbError(error, "m".to_owned()),
        ))
    }

    #[test]
    fn each_server_error_has_its_class() {
        assert!(matches!(server(DbError::Invalid), SinkError::Refused(_)));
        assert!(matches!(
            server(DbError::Unauthorized),
            SinkError::Configuration(_)
        ));
        assert!(matches!(
            server(DbError::SyntaxError),
            SinkError::Configuration(_)
        ));
        let unavailable = DbError::Unavailable {
            consistency: Consistency::Two,
            required: 2,
            alive: 1,
        };
        assert!(server(unavailable).retryable());
        assert!(server(DbError::Overloaded).retryable());
        assert!(server(DbError::ServerError).retryable());
    }

    #[test]
    fn a_client_timeout_is_transient() {
        assert!(
            classify(&ExecutionError::RequestTimeout(
                std::time::Duration::from_secs(5)
            ))
            .retryable()
        );
    }
}
