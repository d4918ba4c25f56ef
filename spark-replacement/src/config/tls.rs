//! The files behind Cassandra's TLS.

use super::reader::Reader;
use super::sections::CassandraSection;

/// A certificate needs its key, and both need an authority: without `ca_file` there is no TLS at all.
pub(super) fn check(reader: &Reader<'_>, section: &CassandraSection) {
    for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
        if reader.has(key) && !reader.has(other) {
            reader.fault(key, format!("needs {other} too"));
        }
    }
    if reader.has("cert_file") && !reader.has("ca_file") {
        reader.fault(
            "cert_file",
            "needs ca_file too: without an authority the connection is not encrypted",
        );
    }
    if let Some(path) = &section.key_file {
        reader.note_readable_by_all("key_file", path);
    }
}
