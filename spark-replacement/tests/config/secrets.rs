//! Secrets and the files behind TLS.

use crate::folder::{Folder, assert_fault, with};
use std::fs;

#[test]
fn b14_secrets_that_everybody_may_read() {
    let folder = with("cassandra", "username = \"u\"\npassword = \"s3cr3t\"");
    assert!(folder.config().warnings.is_empty());
    folder.mode("consumer.toml", 0o644);
    let warnings = folder.config().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].key, "cassandra.password");
    assert!(warnings[0].rule.contains("chmod o-r") && !warnings[0].rule.contains("s3cr3t"));
    let folder = with("cassandra", "username = \"u\"\npassword = \"${P}\"").env("P", "x");
    folder.mode("consumer.toml", 0o644);
    assert!(folder.config().warnings.is_empty());
    let folder = with("cassandra", "username = \"u\"\npassword_file = \"secret\"");
    folder.file("secret", "s3cr3t\n");
    let config = folder.config();
    assert!(config.warnings.is_empty());
    assert_eq!(
        config
            .cassandra
            .password
            .as_ref()
            .map(millstream_pipeline::secret::Secret::expose),
        Some("s3cr3t")
    );
    folder.mode("secret", 0o644);
    assert_eq!(folder.config().warnings[0].key, "cassandra.password_file");
}

#[test]
fn b14_secrets_are_never_shown() {
    let canary = "s3cr3t-canary";
    let text = format!(
        "username = \"u\"\npassword = \"{canary}\"\n[kafka.properties]\n\"sasl.password\" = \"{canary}\"\n\"sasl.username\" = \"u\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"security.protocol\" = \"SASL_SSL\"\n\"ssl.key.password\" = \"{canary}\"\n[schema_registry]\nurl = \"http://r:1\"\nusername = \"u\"\npassword = \"{canary}\"\n[x]\n"
    );
    let folder = with("cassandra", &text);
    let faults = folder.faults();
    assert!(!format!("{faults} {faults:?}").contains(canary));
    let folder = with("cassandra", text.trim_end_matches("[x]\n"));
    // The rest of the section moved below other headers: put it back.
    let text = fs::read_to_string(folder.path()).expect("reading");
    let text = text
        .replace("contact_points = [\"localhost:9042\"]\n", "")
        .replace(
            "[cassandra]\n",
            "[cassandra]\ncontact_points = [\"localhost:9042\"]\n",
        );
    let folder = Folder::new(&text);
    let config = folder.config();
    assert!(!format!("{config} {config:?}").contains(canary));
    assert_eq!(config.to_string().matches("***").count(), 4, "{config}");
    let wrong = with(
        "cassandra",
        &format!("username = \"u\"\npassword = [\"{canary}\"]"),
    )
    .faults();
    assert!(!format!("{wrong} {wrong:?}").contains(canary));
}

#[test]
fn b15_tls_files() {
    let folder = with("cassandra", "ca_file = \"ca.pem\"");
    assert_fault(
        &folder,
        &["cassandra.ca_file", "cannot read", "No such file"],
    );
    folder.file("cert.pem", "x");
    folder.file("ca.pem", "x");
    let lone = with(
        "cassandra",
        "ca_file = \"ca.pem\"\ncert_file = \"cert.pem\"",
    );
    lone.file("cert.pem", "x");
    lone.file("ca.pem", "x");
    assert!(
        lone.faults()
            .to_string()
            .contains("cert_file = \"cert.pem\": needs key_file too"),
        "{}",
        lone.faults()
    );
    assert_fault(
        &with(
            "kafka.properties",
            "\"ssl.certificate.location\" = \"c.pem\"",
        ),
        &["needs ssl.key.location too"],
    );
}
