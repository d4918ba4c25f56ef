//! Rules for names that leave this process: topics, groups, addresses, CQL identifiers.

use millstream_pipeline::sink::TableName;
use millstream_pipeline::sink::table::is_identifier;
use std::net::{Ipv6Addr, SocketAddr};

/// Kafka's rule for a topic's name.
pub(super) fn topic(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > 249 || !text.chars().all(legal) || matches!(text, "." | "..")
    {
        return Err(
            "not a topic name: 1 to 249 characters of ^[a-zA-Z0-9._-]+$, neither \".\" nor \"..\""
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// A consumer group's name.
pub(super) fn group(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err("not a group name: 1 to 255 characters without control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// A pipeline's name: it becomes a metric label, part of a group's name and of an environment variable.
pub(super) fn pipeline(text: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.len() > 48
        || !text.starts_with(|first: char| first.is_ascii_lowercase())
        || !text.chars().all(legal)
    {
        return Err("not a pipeline name: ^[a-z][a-z0-9_]{0,47}$".to_owned());
    }
    if text.contains("__") {
        return Err(
            "a pipeline name has no `__`: it separates the levels of MILLSTREAM__ variables"
                .to_owned(),
        );
    }
    Ok(())
}

/// A CQL identifier as we take it; it is quoted wherever it enters a statement.
pub(super) fn identifier(text: &str) -> Result<(), String> {
    if is_identifier(text) {
        return Ok(());
    }
    Err("not a CQL identifier: ^[a-zA-Z][a-zA-Z0-9_]{0,47}$".to_owned())
}

/// `keyspace.table`, both CQL identifiers.
pub(super) fn table(text: &str) -> Result<TableName, String> {
    if let Some((keyspace, table)) = text.split_once('.') {
        identifier(keyspace)?;
        identifier(table)?;
    }
    TableName::parse(text).map_err(|_| "not keyspace.table".to_owned())
}

/// `host:port`, with an IPv6 address in brackets.
pub(super) fn host_port(text: &str) -> Result<String, String> {
    if text.contains("://") {
        return Err("write host:port without a scheme".to_owned());
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err("no port; write host:port".to_owned());
    };
    match port.parse::<u16>() {
        Ok(1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => {}
        _ => return Err("the port is not a number from 1 to 65535; write host:port".to_owned()),
    }
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let legal = if let Some(address) = bracketed {
        address.parse::<Ipv6Addr>().is_ok()
    } else {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !host.is_empty() && host.len() <= 253 && host.chars().all(legal)
    };
    if !legal {
        return Err(
            "the host is not a name, an IPv4 address or an IPv6 address in brackets".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// An address to listen on.
pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    let rule = "not an address to listen on: write IP:PORT with a port from 1 to 65535, like \"127.0.0.1:9090\"";
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        _ => Err(rule.to_owned()),
    }
}

/// An `http` or `https` URL with a host.
pub(super) fn http_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("not an http or https URL with a host".to_owned());
    }
    if url.password().is_some() || !url.username().is_empty() {
        return Err(
            "no user or password inside the URL; use the keys username and password".to_owned(),
        );
    }
    Ok(text.trim_end_matches('/').to_owned())
}
