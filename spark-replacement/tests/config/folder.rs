//! A folder with a configuration in it, good but for what a test changes.

use millstream_consumer::config::{Config, ConfigFaults, Overrides};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

pub(crate) const GOOD: &str = r#"
[kafka]
bootstrap_servers = ["localhost:9092"]
[cassandra]
contact_points = ["localhost:9042"]
[pipelines.users]
topics = ["users_created"]
value_format = "json"
[[pipelines.users.tables]]
table = "spark_streams.created_users"
columns = { id = "id", first_name = "name.first" }
"#;

/// A folder with a configuration in it.
pub(crate) struct Folder {
    pub(crate) dir: TempDir,
    pub(crate) env: BTreeMap<String, String>,
}

impl Folder {
    pub(crate) fn new(text: &str) -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        let folder = Self {
            dir,
            env: BTreeMap::new(),
        };
        folder.file("consumer.toml", text);
        folder
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("consumer.toml")
    }

    pub(crate) fn file(&self, name: &str, text: &str) {
        let path = self.dir.path().join(name);
        fs::write(&path, text).expect("writing a file");
        self.mode(name, 0o600);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir.path().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("setting a mode");
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn load(&self) -> Result<Config, ConfigFaults> {
        Config::load(&self.path(), &self.env, &Overrides::default())
    }

    pub(crate) fn config(&self) -> Config {
        self.load().unwrap_or_else(|faults| panic!("{faults}"))
    }

    pub(crate) fn faults(&self) -> ConfigFaults {
        self.load().expect_err("faults")
    }

    /// The only fault, as `KEY = VALUE: RULE`.
    pub(crate) fn fault(&self) -> String {
        let faults = self.faults();
        assert_eq!(faults.faults.len(), 1, "{faults}");
        let fault = &faults.faults[0];
        let value = fault.value.as_ref().map(|value| format!(" = {value}"));
        format!("{}{}: {}", fault.key, value.unwrap_or_default(), fault.rule)
    }
}

/// `GOOD` with lines added to a section (`""`: at the top level, in front).
pub(crate) fn with(section: &str, lines: &str) -> Folder {
    let header = format!("[{section}]");
    let text = if GOOD.contains(&header) {
        GOOD.replacen(&header, &format!("{header}\n{lines}"), 1)
    } else {
        format!("{GOOD}\n{header}\n{lines}\n")
    };
    Folder::new(&text)
}

/// `GOOD` with lines added to its table.
pub(crate) fn with_table(lines: &str) -> Folder {
    Folder::new(&format!("{GOOD}{lines}\n"))
}

pub(crate) fn replaced(from: &str, to: &str) -> Folder {
    assert!(GOOD.contains(from), "{from}");
    Folder::new(&GOOD.replace(from, to))
}

#[track_caller]
pub(crate) fn assert_fault(folder: &Folder, parts: &[&str]) {
    let fault = folder.fault();
    for part in parts {
        assert!(fault.contains(part), "{part:?} is not in {fault:?}");
    }
    assert!(!fault.contains('\n'), "{fault:?}");
}
