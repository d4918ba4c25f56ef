//! `reject(code, message)`: refuses the record, whatever stands around it.
//!
//! The runtime knows one way to end that nothing in the language can catch: interruption. Code and message wait in
//! the target's secrets, which no function of the language reads.

use super::{Rejection, one_line};
use vrl::compiler::SecretTarget;
use vrl::compiler::prelude::*;

const CODE: &str = "reject.code";
const MESSAGE: &str = "reject.message";

/// The function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reject;

impl Function for Reject {
    fn identifier(&self) -> &'static str {
        "reject"
    }

    fn usage(&self) -> &'static str {
        "Refuses the record: it goes to the dead letters as `validation:<code>`. Nothing catches it."
    }

    fn category(&self) -> &'static str {
        Category::Debug.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::NULL
    }

    fn pure(&self) -> bool {
        false
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[
            Parameter::required(
                "code",
                kind::BYTES,
                "A literal of the form [a-z][a-z0-9_]*.",
            ),
            Parameter::required("message", kind::BYTES, "What is wrong with the record."),
        ];
        PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn compile(
        &self,
        state: &state::TypeState,
        _ctx: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        let code = arguments.required_literal("code", state)?;
        let text = code
            .to_str_lossy()
            .filter(|text| is_code(text))
            .map(std::borrow::Cow::into_owned);
        let Some(text) = text else {
            return Err(Box::new(function::Error::InvalidArgument {
                keyword: "code",
                value: code,
                error: "a code is of the form [a-z][a-z0-9_]*, at most 64 characters",
            }));
        };
        Ok(RejectFn {
            code: text,
            message: arguments.required("message"),
        }
        .as_expr())
    }
}

/// A code is part of the dead letter's code and of a metric's label: few and short.
fn is_code(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[derive(Debug, Clone)]
struct RejectFn {
    code: String,
    message: Box<dyn Expression>,
}

impl FunctionExpression for RejectFn {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let message = self.message.resolve(ctx)?;
        let message = message.try_bytes_utf8_lossy()?;
        let target = ctx.target_mut();
        target.insert_secret(CODE, &self.code);
        target.insert_secret(MESSAGE, &one_line(&message));
        Err(ExpressionError::Interrupted)
    }

    fn type_def(&self, _: &state::TypeState) -> TypeDef {
        TypeDef::never().infallible().impure()
    }
}

/// The rejection that ended the program, if one did.
pub(super) fn taken(target: &impl SecretTarget) -> Option<Rejection> {
    Some(Rejection::Rejected {
        code: target.get_secret(CODE)?.to_owned(),
        message: target.get_secret(MESSAGE)?.to_owned(),
    })
}
