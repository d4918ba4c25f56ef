//! What is wrong with a configuration, all of it at once.

use super::document::Node;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

/// Longest value shown in a fault, in characters.
const MAX_SHOWN: usize = 80;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Origin {
    /// Nowhere: it is missing, or it follows from several values.
    #[default]
    Nowhere,
    /// Line of the configuration file, counted from 1.
    Line(usize),
    /// An environment variable.
    Environment(String),
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where the value was given.
    pub origin: Origin,
    /// The key's path, e.g. `pipelines.users.topics[0]`; empty for the file itself.
    pub key: String,
    /// The value as it was given, cut to 80 characters; `***` for a secret; `None` where there is none.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub rule: String,
}

/// Something that works but should not stay as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key's path.
    pub key: String,
    /// What is wrong, and what would be right.
    pub rule: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.rule)
    }
}

/// Every fault of a configuration, in the order of the file. Permanent: the same input fails again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigFaults {
    /// The configuration file.
    pub path: PathBuf,
    /// At least one fault.
    pub faults: Vec<Fault>,
}

impl ConfigFaults {
    /// One fault that concerns the file as a whole.
    pub(super) fn of_file(path: &Path, origin: Origin, rule: String) -> Self {
        Self {
            path: path.to_owned(),
            faults: vec![Fault {
                origin,
                key: String::new(),
                value: None,
                rule,
            }],
        }
    }
}

impl fmt::Display for ConfigFaults {
    /// One line per fault: `config: FILE:LINE: KEY = VALUE: RULE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "config: {}", self.path.display())?;
            match &fault.origin {
                Origin::Nowhere => {}
                Origin::Line(line) => write!(f, ":{line}")?,
                Origin::Environment(name) => write!(f, " (from {name})")?,
            }
            if !fault.key.is_empty() {
                write!(f, ": {}", fault.key)?;
            }
            if let Some(value) = &fault.value {
                write!(f, " = {value}")?;
            }
            write!(f, ": {}", fault.rule)?;
        }
        Ok(())
    }
}

/// Collects faults and warnings while a configuration is read.
#[derive(Debug, Default)]
pub(super) struct FaultList {
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Warning>>,
    secrets_in_file: RefCell<Vec<String>>,
    unresolved: RefCell<BTreeSet<String>>,
}

impl FaultList {
    /// The secret under `key` stands in the configuration file itself.
    pub(super) fn secret_in_file(&self, key: String) {
        self.secrets_in_file.borrow_mut().push(key);
    }

    /// Warns about every secret in a configuration file that everybody may read.
    pub(super) fn warn_of_secrets_in(&self, path: &Path) {
        for key in self.secrets_in_file.take() {
            let path = path.display();
            let rule = format!(
                "{path} holds this secret and can be read by everybody; run `chmod o-r` on it, or use ${{VAR}} or a *_file key"
            );
            self.warn(&key, rule);
        }
    }

    /// A fault; one that only follows from a variable that is not set is left out.
    pub(super) fn push(&self, fault: Fault) {
        if !self.unresolved.borrow().contains(&fault.key) {
            self.faults.borrow_mut().push(fault);
        }
    }

    /// A value whose variables cannot be replaced: what it is meant to be is not known.
    pub(super) fn unresolved(&self, fault: Fault) {
        let key = fault.key.clone();
        self.push(fault);
        self.unresolved.borrow_mut().insert(key);
    }

    pub(super) fn warn(&self, key: &str, rule: String) {
        self.warnings.borrow_mut().push(Warning {
            key: key.to_owned(),
            rule,
        });
    }

    /// A rule over several values, told at the key that should change.
    pub(super) fn cross(&self, key: impl Into<String>, rule: impl Into<String>) {
        self.push(Fault {
            origin: Origin::Nowhere,
            key: key.into(),
            value: None,
            rule: rule.into(),
        });
    }

    /// Gives the faults over several values the place of the key they name.
    pub(super) fn locate(&self, root: &Node) {
        for fault in self.faults.borrow_mut().iter_mut() {
            if fault.origin == Origin::Nowhere {
                fault.origin = root.locate(&fault.key);
            }
        }
    }

    /// The warnings, or all faults in the order of the file: those with a line first.
    pub(super) fn finish(self, path: &Path) -> Result<Vec<Warning>, ConfigFaults> {
        let mut faults = self.faults.into_inner();
        if faults.is_empty() {
            return Ok(self.warnings.into_inner());
        }
        faults.sort_by_key(|fault| match &fault.origin {
            Origin::Line(line) => (0, *line),
            Origin::Environment(_) => (1, 0),
            Origin::Nowhere => (2, 0),
        });
        Err(ConfigFaults {
            path: path.to_owned(),
            faults,
        })
    }
}

/// A text as a fault shows it: quoted, cut, and with the password of a URL hidden.
pub(super) fn shown(text: &str) -> String {
    let masked = mask_url_password(text);
    let mut cut: String = masked.chars().take(MAX_SHOWN).collect();
    if cut.len() < masked.len() {
        cut.push('…');
    }
    format!("{cut:?}")
}

/// `scheme://user:password@host` with the password as `***`.
pub(super) fn mask_url_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let Some(at) = rest[..end].rfind('@') else {
        return text.to_owned();
    };
    match rest[..at].split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:***{}", &rest[at..]),
        None => text.to_owned(),
    }
}
