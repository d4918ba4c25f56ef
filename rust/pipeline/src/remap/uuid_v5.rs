//! `uuid_v5(namespace, name)`: the same name always has the same id.

use millstream_codec::id;
use uuid::Uuid;
use vrl::compiler::prelude::*;

/// The function.
#[derive(Clone, Copy, Debug)]
pub(super) struct UuidV5;

impl Function for UuidV5 {
    fn identifier(&self) -> &'static str {
        "uuid_v5"
    }

    fn usage(&self) -> &'static str {
        "The UUID of version 5 (RFC 9562) of a name in a namespace: a UUID, or one of millstream, dns, url, oid, x500."
    }

    fn category(&self) -> &'static str {
        Category::Random.as_ref()
    }

    fn return_kind(&self) -> u16 {
        kind::BYTES
    }

    fn parameters(&self) -> &'static [Parameter] {
        const PARAMETERS: &[Parameter] = &[
            Parameter::required(
                "namespace",
                kind::BYTES,
                "A UUID, or one of millstream, dns, url, oid, x500.",
            ),
            Parameter::required("name", kind::BYTES, "The name within the namespace."),
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
        let expression = arguments.required_expr("namespace");
        let namespace = match expression.resolve_constant(state) {
            None => Namespace::Given(Box::new(expression)),
            Some(value) => match value.to_str_lossy().and_then(|text| namespace(&text)) {
                Some(id) => Namespace::Known(id),
                None => {
                    return Err(Box::new(function::Error::InvalidArgument {
                        keyword: "namespace",
                        value,
                        error: "expected a UUID, or one of millstream, dns, url, oid, x500",
                    }));
                }
            },
        };
        Ok(UuidV5Fn {
            namespace,
            name: arguments.required("name"),
        }
        .as_expr())
    }
}

fn namespace(text: &str) -> Option<Uuid> {
    match text {
        "millstream" => Some(id::NAMESPACE),
        "dns" => Some(Uuid::NAMESPACE_DNS),
        "url" => Some(Uuid::NAMESPACE_URL),
        "oid" => Some(Uuid::NAMESPACE_OID),
        "x500" => Some(Uuid::NAMESPACE_X500),
        other => Uuid::try_parse(other).ok(),
    }
}

#[derive(Debug, Clone)]
enum Namespace {
    /// A literal, checked by the compiler: the call cannot fail.
    Known(Uuid),
    Given(Box<dyn Expression>),
}

#[derive(Debug, Clone)]
struct UuidV5Fn {
    namespace: Namespace,
    name: Box<dyn Expression>,
}

impl FunctionExpression for UuidV5Fn {
    fn resolve(&self, ctx: &mut Context) -> Resolved {
        let space = match &self.namespace {
            Namespace::Known(id) => *id,
            Namespace::Given(expression) => {
                let value = expression.resolve(ctx)?;
                let text = value.try_bytes_utf8_lossy()?;
                namespace(&text).ok_or(
                    "the namespace is neither a UUID nor one of millstream, dns, url, oid, x500",
                )?
            }
        };
        let name = self.name.resolve(ctx)?.try_bytes()?;
        let mut text = Uuid::encode_buffer();
        let id = Uuid::new_v5(&space, &name);
        Ok(Value::from(&*id.hyphenated().encode_lower(&mut text)))
    }

    fn type_def(&self, _: &state::TypeState) -> TypeDef {
        TypeDef::bytes().maybe_fallible(matches!(self.namespace, Namespace::Given(_)))
    }
}
