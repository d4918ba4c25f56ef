//! Which functions a program may call, and why the others are left out.
//!
//! The list is by name and explicit: a function that a new version of the language brings is refused until somebody
//! has read it and put it here.

use super::closures::{Form, Metered};
use super::{parse_json::ParseJson, reject::Reject, uuid_v5::UuidV5};
use std::sync::Arc;
use vrl::compiler::Function;
use vrl::compiler::function::{
    self, ArgumentList, Compiled, Example, FunctionCompileContext, Parameter, closure,
};
use vrl::compiler::state::TypeState;
use vrl::value::Value;

/// Functions of the language's own library that a program may call: their result depends on their arguments alone.
#[rustfmt::skip]
pub const ALLOWED: &[&str] = &[
    "abs", "append", "array", "assert", "assert_eq", "basename", "bool", "camelcase", "ceil", "chunks",
    "community_id", "compact", "contains", "contains_all", "decode_base16", "decode_base64", "decode_charset",
    "decode_mime_q", "decode_percent", "decode_punycode", "del", "dirname", "downcase", "encode_base16",
    "encode_base64", "encode_charset", "encode_csv", "encode_gzip", "encode_json", "encode_key_value",
    "encode_logfmt", "encode_lz4", "encode_percent", "encode_punycode", "encode_snappy", "encode_zlib",
    "encode_zstd", "ends_with", "exists", "filter", "find", "flatten", "float", "floor", "for_each", "format_int",
    "format_number", "format_timestamp", "from_entries", "from_unix_timestamp", "get", "haversine", "includes",
    "int", "ip_aton", "ip_cidr_contains", "ip_ntoa", "ip_ntop", "ip_pton", "ip_subnet", "ip_to_ipv6",
    "ipv6_to_ipv4", "is_array", "is_boolean", "is_empty", "is_float", "is_integer", "is_ipv4", "is_ipv6", "is_json",
    "is_null", "is_nullish", "is_object", "is_regex", "is_string", "is_timestamp", "join", "kebabcase", "keys",
    "length", "map_keys", "map_values", "match", "match_any", "match_array", "match_datadog_query", "merge", "mod",
    "object", "object_from_array", "parse_apache_log", "parse_aws_alb_log",
    "parse_aws_cloudwatch_log_subscription_message", "parse_aws_vpc_flow_log", "parse_bytes", "parse_cef",
    "parse_common_log", "parse_csv", "parse_duration", "parse_float", "parse_glog", "parse_influxdb", "parse_int",
    "parse_key_value", "parse_logfmt", "parse_nginx_log", "parse_query_string", "parse_regex", "parse_regex_all",
    "parse_timestamp", "parse_tokens", "parse_url", "parse_user_agent", "pascalcase", "pop", "push", "range",
    "redact", "remove", "replace", "replace_with", "round", "screamingsnakecase", "shannon_entropy", "sieve",
    "slice", "snakecase", "split", "split_path", "starts_with", "string", "strip_ansi_escape_codes",
    "strip_whitespace", "strlen", "tag_types_externally", "tally", "tally_value", "timestamp", "to_bool",
    "to_entries", "to_float", "to_int", "to_string", "to_syslog_facility", "to_syslog_facility_code",
    "to_syslog_level", "to_syslog_severity", "to_unix_timestamp", "truncate", "type_def", "unique", "unnest",
    "upcase", "uuid_from_friendly_id", "values", "zip",
];

const CLOCK: &str =
    "it reads the clock, and a replay must give the same rows; use %kafka.timestamp";
const CHANCE: &str =
    "it is random, and a replay must give the same rows; use uuid_v5 of what names the record";
const YEAR: &str = "it takes the missing year from the clock, and a replay must give the same rows; use parse_regex and parse_timestamp";
const NETWORK: &str = "a program reads no network";
const HOST: &str =
    "it reads the host the program runs on, and a replay must give the same rows anywhere";
const FILES: &str = "it reads files of the host; use parse_regex";
const BOMB: &str = "a short record could unpack to any size";
const DEPTH: &str = "a record could make it nest without bound";
const BACKTRACKS: &str =
    "its patterns backtrack, so one record could hold a thread; use parse_regex";
const KEYS: &str = "it is not built in; hash and encrypt before the record is sent";

/// Functions that are left out, and why.
pub const REFUSED: &[(&str, &str)] = &[
    ("now", CLOCK),
    ("uuid_v4", CHANCE),
    (
        "uuid_v7",
        "it reads the clock and is random, and a replay must give the same rows; use uuid_v5",
    ),
    ("random_bool", CHANCE),
    ("random_bytes", CHANCE),
    ("random_float", CHANCE),
    ("random_int", CHANCE),
    ("parse_klog", YEAR),
    ("parse_linux_authorization", YEAR),
    ("parse_syslog", YEAR),
    ("dns_lookup", NETWORK),
    ("reverse_dns", NETWORK),
    ("http_request", NETWORK),
    (
        "get_env_var",
        "it reads the environment, and a replay must give the same rows anywhere",
    ),
    ("get_hostname", HOST),
    ("get_timezone_name", HOST),
    (
        "log",
        "it would write a log line for every record; use reject, or count with a metric",
    ),
    ("parse_etld", FILES),
    ("parse_groks", FILES),
    ("parse_grok", BACKTRACKS),
    ("parse_proto", FILES),
    ("encode_proto", FILES),
    (
        "validate_json_schema",
        "it reads files of the host; use value_format = \"json_schema\"",
    ),
    ("decode_gzip", BOMB),
    ("decode_lz4", BOMB),
    ("decode_snappy", BOMB),
    ("decode_zlib", BOMB),
    ("decode_zstd", BOMB),
    ("parse_cbor", DEPTH),
    ("parse_ruby_hash", DEPTH),
    ("parse_xml", DEPTH),
    ("parse_yaml", DEPTH),
    (
        "set",
        "a record could make it nest or grow without bound; assign to a path that the program names",
    ),
    ("unflatten", DEPTH),
    (
        "to_regex",
        "it compiles a pattern for every record; write the pattern as r'...'",
    ),
    ("crc", KEYS),
    ("decrypt", KEYS),
    ("decrypt_ip", KEYS),
    ("encrypt", KEYS),
    ("encrypt_ip", KEYS),
    ("hmac", KEYS),
    ("md5", KEYS),
    ("seahash", KEYS),
    ("sha1", KEYS),
    ("sha2", KEYS),
    ("sha3", KEYS),
    ("xxhash", KEYS),
];

/// Why a function is left out; `None` if it is not known.
pub fn refusal(name: &str) -> Option<&'static str> {
    REFUSED
        .iter()
        .find(|(refused, _)| *refused == name)
        .map(|(_, why)| *why)
}

/// The functions a program is compiled with; its source tells which variables a closure can reach.
pub(super) fn allowed(source: &str) -> Vec<Box<dyn Function>> {
    let mut functions: Vec<Box<dyn Function>> =
        vec![Box::new(ParseJson), Box::new(Reject), Box::new(UuidV5)];
    let source: Arc<str> = source.into();
    for function in vrl::stdlib::all() {
        if ALLOWED.contains(&function.identifier()) {
            functions.push(guarded(function, &source));
        }
    }
    functions
}

fn guarded(inner: Box<dyn Function>, source: &Arc<str>) -> Box<dyn Function> {
    if let Some(form) = Form::named(inner.identifier()) {
        let source = Arc::clone(source);
        let guard = Guard::Closure { form, source };
        return Box::new(Guarded { inner, guard });
    }
    let guard = match inner.identifier() {
        "format_timestamp" | "parse_timestamp" => Guard::Literal {
            argument: "timezone",
            refuses: |value| {
                let local = value
                    .to_str_lossy()
                    .is_none_or(|name| name.is_empty() || name == "local");
                local.then_some("the machine's own time zone differs from machine to machine; name one, such as UTC")
            },
        },
        "format_number" => Guard::Literal {
            argument: "scale",
            refuses: |value| {
                let sane = value
                    .as_integer()
                    .is_some_and(|scale| (0..=100).contains(&scale));
                (!sane).then_some("expected a number from 0 to 100")
            },
        },
        _ => return inner,
    };
    Box::new(Guarded { inner, guard })
}

/// A function of the library that is held to more than the library holds it to.
#[derive(Debug)]
struct Guarded {
    inner: Box<dyn Function>,
    guard: Guard,
}

#[derive(Debug)]
enum Guard {
    /// One of its arguments must be a literal, so that the compiler can check it.
    Literal {
        argument: &'static str,
        /// Why a value is not taken.
        refuses: fn(&Value) -> Option<&'static str>,
    },
    /// It runs a closure, each turn of which is metered.
    Closure { form: Form, source: Arc<str> },
}

impl Function for Guarded {
    fn identifier(&self) -> &'static str {
        self.inner.identifier()
    }

    fn usage(&self) -> &'static str {
        self.inner.usage()
    }

    fn category(&self) -> &'static str {
        self.inner.category()
    }

    fn return_kind(&self) -> u16 {
        self.inner.return_kind()
    }

    fn pure(&self) -> bool {
        self.inner.pure()
    }

    fn parameters(&self) -> &'static [Parameter] {
        self.inner.parameters()
    }

    fn closure(&self) -> Option<closure::Definition> {
        self.inner.closure()
    }

    fn examples(&self) -> &'static [Example] {
        self.inner.examples()
    }

    fn compile(
        &self,
        state: &TypeState,
        ctx: &mut FunctionCompileContext,
        arguments: ArgumentList,
    ) -> Compiled {
        match &self.guard {
            Guard::Literal { argument, refuses } => {
                if let Some(value) = arguments.optional_literal(argument, state)?
                    && let Some(error) = refuses(&value)
                {
                    return Err(Box::new(function::Error::InvalidArgument {
                        keyword: argument,
                        value,
                        error,
                    }));
                }
                self.inner.compile(state, ctx, arguments)
            }
            Guard::Closure { form, source } => {
                let span = ctx.span();
                let text = source.get(span.start()..span.end()).unwrap_or(source);
                let library = self.inner.compile(state, ctx, arguments.clone())?;
                Ok(Box::new(Metered::new(*form, text, &arguments, library)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_function_of_the_library_is_allowed_or_refused_and_none_is_misspelt() {
        let library: BTreeSet<&str> = vrl::stdlib::all().iter().map(|f| f.identifier()).collect();
        let allowed: BTreeSet<&str> = ALLOWED.iter().copied().collect();
        let refused: BTreeSet<&str> = REFUSED.iter().map(|(name, _)| *name).collect();
        let unknown: Vec<_> = allowed.difference(&library).collect();
        assert!(unknown.is_empty(), "allowed, but not there: {unknown:?}");
        assert!(allowed.is_disjoint(&refused));
        let ours = ["parse_json", "reject", "uuid_v5"];
        let unjudged: Vec<_> = library
            .iter()
            .filter(|name| !allowed.contains(*name) && !refused.contains(*name))
            .filter(|name| !ours.contains(*name))
            .collect();
        assert!(
            unjudged.is_empty(),
            "neither allowed nor refused: {unjudged:?}"
        );
    }
}
