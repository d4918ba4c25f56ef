//! Why a record cannot be stored, before anything was written.

use std::borrow::Cow;

use millstream_codec::{Code, DecodeError};
use millstream_pipeline::dead_letter::Stage;
use millstream_pipeline::kafka::offsets::Filter;
use millstream_pipeline::registry::RegistryError;
use millstream_pipeline::remap::Rejection;
use millstream_pipeline::sink::BindError;

/// What stops a record on its way to the sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// The record's own fault.
    Dead(Dead),
    /// Something else is wrong: wait, with this reason, and look again.
    Wait {
        /// Whether a person must mend it.
        configuration: bool,
        reason: String,
    },
}

/// A record's own fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dead {
    pub(super) code: Cow<'static, str>,
    pub(super) stage: Stage,
    pub(super) message: String,
    /// Whether many of them in a row mean a bad configuration (semantics of the flood pause).
    pub(super) configuration_like: bool,
}

/// What a record becomes: rows, or nothing on purpose.
pub(super) type Planned<T> = Result<Result<T, Filter>, Fault>;

impl Dead {
    pub(super) fn new(
        code: impl Into<Cow<'static, str>>,
        stage: Stage,
        message: impl Into<String>,
    ) -> Self {
        Self {
            code: code.into(),
            stage,
            message: message.into(),
            configuration_like: false,
        }
    }

    pub(super) fn configuration_like(mut self) -> Self {
        self.configuration_like = true;
        self
    }
}

impl From<Dead> for Fault {
    fn from(dead: Dead) -> Self {
        Self::Dead(dead)
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        let dead = Dead::new(error.code.as_str(), Stage::Decode, error.detail);
        match error.code {
            Code::SchemaNotFound | Code::SchemaIncompatible => dead.configuration_like().into(),
            _ => dead.into(),
        }
    }
}

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::NotFound { .. } => {
                Dead::new(Code::SchemaNotFound.as_str(), Stage::Decode, message)
                    .configuration_like()
                    .into()
            }
            RegistryError::Unusable { error, .. } => {
                Dead::new(error.code.as_str(), Stage::Decode, message).into()
            }
            RegistryError::InvalidConfig { .. } | RegistryError::Refused { .. } => Self::Wait {
                configuration: true,
                reason: message,
            },
            RegistryError::Unavailable { .. } => Self::Wait {
                configuration: false,
                reason: message,
            },
            // Only registering gives this, which a consumer never does.
            RegistryError::Incompatible { .. } => {
                Dead::new(Code::SchemaIncompatible.as_str(), Stage::Decode, message).into()
            }
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.to_string();
        match rejection {
            Rejection::Rejected { code, message } => {
                Dead::new(format!("validation:{code}"), Stage::Remap, message).into()
            }
            Rejection::Aborted { .. } => Dead::new("aborted", Stage::Remap, message).into(),
            Rejection::Runtime { .. } => Dead::new("remap_error", Stage::Remap, message)
                .configuration_like()
                .into(),
        }
    }
}

impl From<BindError> for Fault {
    fn from(error: BindError) -> Self {
        Dead::new(error.code, Stage::Bind, error.to_string()).into()
    }
}
