//! librdkafka's own settings.

use crate::folder::{assert_fault, with};

#[test]
fn b08_reserved_properties() {
    for (property, remedy) in [
        ("enable.auto.commit", "reserved"),
        ("enable.auto.offset.store", "reserved"),
        ("acks", "reserved"),
        ("enable.idempotence", "reserved"),
        ("group.id", "set pipelines.NAME.group_id"),
        ("bootstrap.servers", "set kafka.bootstrap_servers"),
        ("client.id", "set kafka.client_id"),
        ("auto.offset.reset", "set pipelines.NAME.start"),
        ("plugin.library.paths", "reserved"),
    ] {
        let folder = with("kafka.properties", &format!("\"{property}\" = \"1\""));
        assert_fault(&folder, &["kafka.properties.", property, remedy]);
    }
}

#[test]
fn b08_properties_that_librdkafka_does_not_take() {
    let properties = |text: &str| with("kafka.properties", text);
    assert_fault(
        &properties("\"fetch.mix.bytes\" = 1"),
        &["librdkafka knows no such setting"],
    );
    assert_fault(
        &properties("\"fetch.max.bytes\" = -1"),
        &["librdkafka refuses the value"],
    );
    assert_fault(
        &properties("\"isolation.level\" = \"read_some\""),
        &["librdkafka refuses the value"],
    );
    assert_fault(
        &properties("ssl.ca.location = \"x\""),
        &["kafka.properties.ssl", "quote the name"],
    );
    assert_fault(&properties("\"debug\" = [\"a\"]"), &["not a string"]);
    let config = properties("\"fetch.max.bytes\" = 1_000_000\n\"check.crcs\" = true").config();
    assert_eq!(config.kafka.properties.get("check.crcs"), Some("true"));
    assert_eq!(
        config.kafka.properties.get("fetch.max.bytes"),
        Some("1000000")
    );
}

#[test]
fn b16_sasl_that_contradicts_the_protocol() {
    let properties = |text: &str| with("kafka.properties", text);
    assert_fault(
        &properties("\"sasl.username\" = \"u\""),
        &["sasl.username", "no effect with security.protocol"],
    );
    assert_fault(
        &properties("\"sasl.mechanism\" = \"PLAIN\"\n\"security.protocol\" = \"PLAINTEXT\""),
        &["sasl.mechanism", "no effect"],
    );
    assert_fault(
        &properties("\"sasl.mechanism\" = \"PLANE\"\n\"security.protocol\" = \"sasl_ssl\""),
        &["sasl.mechanism", "not one of PLAIN, SCRAM-SHA-256"],
    );
    assert_fault(
        &properties("\"sasl.mechanism\" = \"GSSAPI\"\n\"security.protocol\" = \"sasl_ssl\""),
        &["Kerberos is not compiled in"],
    );
    assert_fault(
        &properties("\"security.protocol\" = \"sasl_ssl\""),
        &["needs sasl.mechanism"],
    );
    assert_fault(
        &with("cassandra", "username = \"u\""),
        &["cassandra.username", "needs password"],
    );
    assert_fault(
        &with("cassandra", "password = \"p\""),
        &["cassandra.password = ***: needs username"],
    );
    assert_fault(
        &with("cassandra", "username = \"u\"\npassword = \"\""),
        &["cassandra.password = ***: empty"],
    );
}
