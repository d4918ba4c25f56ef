//! What this build can do.

use millstream_pipeline::kafka;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// See `_core.pyi`.
#[pyfunction]
pub(crate) fn features(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let (librdkafka, kafka_features) = kafka::library();
    let has = |name: &str| kafka_features.iter().any(|feature| feature == name);
    let named = |names: &[(&str, &'static str)]| -> Vec<&'static str> {
        names
            .iter()
            .filter(|(feature, _)| has(feature))
            .map(|(_, name)| *name)
            .collect()
    };
    let features = PyDict::new(py);
    features.set_item("version", env!("CARGO_PKG_VERSION"))?;
    features.set_item("librdkafka", librdkafka)?;
    features.set_item("tls", has("ssl"))?;
    let sasl = named(&[
        ("sasl_plain", "PLAIN"),
        ("sasl_scram", "SCRAM-SHA-256"),
        ("sasl_scram", "SCRAM-SHA-512"),
        ("sasl_oauthbearer", "OAUTHBEARER"),
    ]);
    features.set_item("sasl", sasl)?;
    features.set_item("oidc", has("oidc"))?;
    let compression = named(&[
        ("gzip", "gzip"),
        ("snappy", "snappy"),
        ("lz4", "lz4"),
        ("zstd", "zstd"),
    ]);
    features.set_item("compression", compression)?;
    features.set_item("optimized", !cfg!(debug_assertions))?;
    Ok(features)
}
