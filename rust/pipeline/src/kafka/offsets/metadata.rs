//! The metadata of an offset commit: JSON that any Kafka client can read.
//!
//! Atomic with the offset by construction, and cumulative, so that `committed - first = stored + dead + filtered + gap`
//! can be checked by anybody at any moment.

use serde::{Deserialize, Serialize};

use super::settled::{Filter, Outcome};

/// The version of the metadata that this build writes and reads.
const VERSION: u32 = 1;
/// The year 3000 in microseconds: no stamp of ours is beyond it, and one that is would shadow all that follow.
const MAX_STAMP: i64 = 32_503_680_000_000_000;

/// How the records between `first` and the committed offset ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Every effect acknowledged.
    pub stored: u64,
    /// In the dead-letter topic (a record with any refused effect counts here).
    pub dead: u64,
    /// Filtered by the program or the `filter` rule.
    pub filter: u64,
    /// Null values, where tombstones are filtered.
    pub tombstone: u64,
    /// Older than the table's TTL.
    pub expired: u64,
    /// Offsets at which there was no record: compacted, transaction markers, past retention.
    pub gap: u64,
}

impl Counts {
    /// Counts one settled record.
    pub fn add(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Stored => &mut self.stored,
            Outcome::Dead => &mut self.dead,
            Outcome::Filtered(Filter::Rule) => &mut self.filter,
            Outcome::Filtered(Filter::Tombstone) => &mut self.tombstone,
            Outcome::Filtered(Filter::Expired) => &mut self.expired,
        };
        *count += 1;
    }

    /// All offsets that are accounted for.
    pub fn total(&self) -> u64 {
        self.stored + self.dead + self.filter + self.tombstone + self.expired + self.gap
    }
}

/// What a commit carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    #[serde(rename = "v")]
    version: u32,
    /// The offset at which this group's accounting starts.
    pub first: i64,
    /// The write stamp of the last record below the committed offset.
    pub lw: i64,
    /// Hash of the program that handled the records; empty where there is none.
    pub program_hash: String,
    /// The commit of an orderly stop or revoke: nothing was in flight.
    pub clean: bool,
    /// How the records ended.
    pub n: Counts,
}

/// Metadata of a newer build: going on would lose what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "commit metadata has version {0}, this build knows {VERSION}; use the newer build that wrote it, or another group_id"
)]
pub struct UnknownVersion(pub u32);

/// What stands behind a committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// Ours.
    Ours(Metadata),
    /// A commit by somebody else (another tool, an import): there is no stamp to go on from.
    Foreign,
}

impl Metadata {
    /// Metadata of this build's version.
    pub fn new(first: i64, lw: i64, program_hash: &str) -> Self {
        Self {
            version: VERSION,
            first,
            lw,
            program_hash: program_hash.to_owned(),
            clean: false,
            n: Counts::default(),
        }
    }

    /// Reads a commit's metadata. An unknown version is refused.
    pub fn parse(text: &str) -> Result<Committed, UnknownVersion> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u32,
            #[serde(rename = "lw")]
            _lw: i64,
            #[serde(rename = "first")]
            _first: i64,
        }
        let Ok(versioned) = serde_json::from_str::<Versioned>(text) else {
            return Ok(Committed::Foreign);
        };
        if versioned.v != VERSION {
            return Err(UnknownVersion(versioned.v));
        }
        Ok(match serde_json::from_str::<Self>(text) {
            Ok(metadata) if (0..=MAX_STAMP).contains(&metadata.lw) => Committed::Ours(metadata),
            _ => Committed::Foreign,
        })
    }

    /// The text that goes into the commit; far below Kafka's 4,096 bytes.
    pub fn to_text(&self) -> String {
        // A struct of numbers and one hash always serialises.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_are_not_ours_are_foreign() {
        for text in [
            "",
            "x",
            "{}",
            "null",
            r#"{"v":1}"#,
            "[1]",
            r#"{"v":"1","first":0,"lw":0}"#,
        ] {
            assert_eq!(Metadata::parse(text), Ok(Committed::Foreign), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_version_is_refused() {
        let text = Metadata::new(0, 0, "")
            .to_text()
            .replace("\"v\":1", "\"v\":2");
        assert_eq!(Metadata::parse(&text), Err(UnknownVersion(2)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(first in 0i64.., lw in 0i64..=MAX_STAMP, hash in "[0-9a-f]{0,64}", clean: bool, n: [u32; 6]) {
            let mut metadata = Metadata::new(first, lw, &hash);
            metadata.clean = clean;
            let n = n.map(u64::from);
            metadata.n = Counts { stored: n[0], dead: n[1], filter: n[2], tombstone: n[3], expired: n[4], gap: n[5] };
            let text = metadata.to_text();
            prop_assert!(text.len() < 4096);
            prop_assert_eq!(Metadata::parse(&text), Ok(Committed::Ours(metadata)));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = Metadata::parse(&text);
        }
    }
}
