//! The file of rejected rows: which line of which file, why, and the line itself.

use crate::ImportError;
use ghtrader_core::Digest;
use ghtrader_market::{Reject, TickFile};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Rejected rows of one file.
pub(crate) struct RejectsFile<'a> {
    pub(crate) file: &'a TickFile,
    pub(crate) rows: &'a [Reject],
}

/// Writes `file,line,symbol,trading_day,reason,detail,raw` as CSV; the name is the digest of the content, so an import
/// that is run again finds its file in place. Temporary name, fsync, rename.
pub(crate) fn write_rejects(dir: &Path, files: &[RejectsFile<'_>]) -> Result<PathBuf, ImportError> {
    let mut text = String::from("file,line,symbol,trading_day,reason,detail,raw\n");
    for RejectsFile { file, rows } in files {
        for row in *rows {
            let day = row.trading_day.map_or_else(String::new, |d| d.to_string());
            let fields = [
                quoted(&file.path.display().to_string()),
                row.line.to_string(),
                file.contract.to_string(),
                day,
                row.code.to_owned(),
                quoted(&row.detail),
                quoted(&row.raw),
            ];
            text.push_str(&fields.join(","));
            text.push('\n');
        }
    }
    let name = format!("rejects-{}.csv", Digest::of(text.as_bytes()).short16());
    let path = dir.join(&name);
    let temporary = dir.join(format!(".{name}.tmp"));
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|e| error(&path, &e))?;
    Ok(path)
}

pub(crate) fn error(path: &Path, e: &std::io::Error) -> ImportError {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let full = matches!(e.kind(), StorageFull | QuotaExceeded | FileTooLarge);
    ImportError::Rejects { path: path.to_owned(), full, why: e.to_string() }
}

/// A CSV field (RFC 4180): quoted where it has to be.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
