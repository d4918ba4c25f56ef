//! `parse_json(value)`: the library's, but exact. Its own turns integers beyond i64 into floats.

use millstream_codec::json;
use vrl::compiler::prelude::*;

/// The function.
#[derive(Clone, Copy, Debug)]
pub(super) struct ParseJson;

impl Function for ParseJson {
    fn identifier(&self) -> &'static str {
        "parse_json"
    }

    fn usage(&self) -> &'static str {
        "Parses JSON. An integer beyond 64 bits becomes a string of its digits. At most 127 levels."
    }

    fn category(&self) -> &'static str {
        Category::Parse.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::ANY
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[Parameter::required(
            "value",
            kind::BYTES,
            "The JSON text, in UTF-8.",
        )];
        PARAMETERS
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn compile(
        &self,
        _state: &state::TypeState,
        _ctx: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        Ok(ParseJsonFn {
            value: arguments.required("value"),
        }
        .as_expr())
    }
}

#[derive(Debug, Clone)]
struct ParseJsonFn {
    value: Box<dyn Expression>,
}

impl FunctionExpression for ParseJsonFn {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let text = self.value.resolve(ctx)?.try_bytes()?;
        json::decode(&text)
            .map_err(|error| format!("unable to parse json: {}", error.detail).into())
    }

    fn type_def(&self, _: &state::TypeState) -> TypeDef {
        let any = Kind::bytes()
            .or_integer()
            .or_float()
            .or_boolean()
            .or_null()
            .or_array(Collection::any())
            .or_object(Collection::any());
        TypeDef::from(any).fallible()
    }
}
