//! Files that a configuration names, and the configuration itself.

use std::path::Path;

/// Files are read up to this many bytes.
const MAX_FILE: u64 = 1 << 20;

/// Reads a text file of at most 1 MiB; the error is one line with the path.
pub(crate) fn read_bounded(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("{} is larger than 1 MiB", path.display()));
    }
    String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
}

/// Whether everybody on the machine may read a file.
#[cfg(unix)]
pub(super) fn readable_by_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o004 != 0)
}

/// Whether everybody on the machine may read a file: not known here.
#[cfg(not(unix))]
pub(super) fn readable_by_all(_path: &Path) -> bool {
    false
}
