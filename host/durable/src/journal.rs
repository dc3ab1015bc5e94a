//! A journal: one owner's chained lines, in one file, each on the disk before anybody acts on it.
//!
//! It differs from the audit in having one writer for as long as it is open, who reads all of it first: what the journal
//! says is where its owner goes on. A line that a crash cut short was never acknowledged and is dropped.

use crate::chain::{Chained, Head};
use crate::publish::sync_folder;
use crate::{Lock, is_full, try_lock};
use ghtrader_core::{ErrorClass, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Why a journal cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// `read`, `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A line is not what was written, or one is missing.
    #[error("the journal is broken at entry {seq}, line {seq} of {path}: {what}", path = path.display())]
    Broken {
        /// Number that the entry should have.
        seq: u64,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Somebody else has it open.
    #[error("another process holds {path}{}", if owner.is_empty() { String::new() } else { format!(" (process {owner})") }, path = path.display())]
    Held {
        /// The lock.
        path: PathBuf,
        /// The owner's process id.
        owner: String,
    },
    /// A write failed before: what is on the disk is known only when the journal is opened again.
    #[error("nothing more is written to {path}: an earlier write failed", path = path.display())]
    Closed {
        /// The file.
        path: PathBuf,
    },
}

impl JournalError {
    /// Stable name of the failure.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Io { source, .. } if is_full(source) => "disk_full",
            Self::Io { .. } | Self::Closed { .. } => "journal_unwritable",
            Self::Broken { .. } => "journal_broken",
            Self::Held { .. } => "journal_held",
        }
    }
}

impl From<JournalError> for Problem {
    fn from(error: JournalError) -> Self {
        let (class, remedy) = match &error {
            JournalError::Io { source, .. } if is_full(source) => {
                (ErrorClass::Limit, "free some space and start again")
            }
            JournalError::Io { .. } | JournalError::Closed { .. } => {
                (ErrorClass::Unavailable, "make the journal's folder readable and writable, then start again")
            }
            JournalError::Broken { .. } => (
                ErrorClass::Conflict,
                "keep the file as it is and find out who changed it; compare with the broker by hand before going on",
            ),
            JournalError::Held { .. } => (ErrorClass::Conflict, "end the process named, or wait for it"),
        };
        Self::new(error.code(), class, error.to_string(), remedy)
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal<T> {
    file: File,
    path: PathBuf,
    head: Head,
    length: u64,
    failed: bool,
    _lock: Lock,
    entries: std::marker::PhantomData<fn(T)>,
}

impl<T: Serialize + DeserializeOwned + Clone> Journal<T> {
    /// Opens the journal at `path`, making it if it is not there, and gives all entries in order. Its owner is alone with
    /// it, by a lock beside it, until the value is dropped or the process ends in any way.
    ///
    /// # Errors
    /// `Held`, `Broken` (nothing is changed then), `Io`.
    pub fn open(path: &Path) -> Result<(Self, Vec<Chained<T>>), JournalError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".lock");
        let lock_path = PathBuf::from(beside);
        let failed = |doing, source| JournalError::Io { doing, path: path.to_path_buf(), source };
        let held = try_lock(&lock_path).map_err(|e| failed("write", e))?;
        let Some(mut lock) = held else {
            let owner = std::fs::read_to_string(&lock_path).unwrap_or_default().trim().to_owned();
            return Err(JournalError::Held { path: lock_path, owner });
        };
        // The lock is held by being held; its text only tells others by whom, and a full disk must not keep an owner out.
        let _ = lock.sign(&std::process::id().to_string());
        let (entries, head, whole) = read(path)?;
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(|e| failed("write", e))?;
        let place = |file: &mut File| {
            if file.metadata()?.len() > whole {
                file.set_len(whole)?;
            }
            file.seek(SeekFrom::End(0))?;
            file.sync_all()?;
            sync_folder(path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        };
        place(&mut file).map_err(|e| failed("write", e))?;
        let path = path.to_path_buf();
        let entries_of = std::marker::PhantomData;
        Ok((Self { file, path, head, length: whole, failed: false, _lock: lock, entries: entries_of }, entries))
    }

    /// Number of the entry that is appended next.
    pub fn next_seq(&self) -> u64 {
        self.head.seq + 1
    }

    /// Appends entries as one write; all are on the disk when this returns.
    ///
    /// # Errors
    /// `Io`; whether they are in the file is open until it is read again, and nothing more is written until then (`Closed`).
    pub fn append(&mut self, time_ns: i64, entries: impl IntoIterator<Item = T>) -> Result<(), JournalError> {
        if self.failed {
            return Err(JournalError::Closed { path: self.path.clone() });
        }
        let (mut head, mut text) = (self.head, Vec::new());
        let failed = |source| JournalError::Io { doing: "write", path: self.path.clone(), source };
        for entry in entries {
            serde_json::to_writer(&mut text, &head.next(time_ns, entry)).map_err(|e| failed(e.into()))?;
            text.push(b'\n');
        }
        if text.is_empty() {
            return Ok(());
        }
        if let Err(source) = self.file.write_all(&text).and_then(|()| self.file.sync_data()) {
            // Half a line of a full disk must not stand in the way of who opens it next.
            let _ = self.file.set_len(self.length);
            self.failed = true;
            return Err(JournalError::Io { doing: "write", path: self.path.clone(), source });
        }
        self.head = head;
        self.length += text.len() as u64;
        Ok(())
    }
}

/// All whole entries of a journal, its last place, and the length of what is whole. Takes no lock: whoever only looks
/// disturbs nobody.
///
/// # Errors
/// `Broken`, `Io`; a file that is not there has no entries.
pub fn read_journal<T: Serialize + DeserializeOwned + Clone>(path: &Path) -> Result<Vec<Chained<T>>, JournalError> {
    read(path).map(|(entries, ..)| entries)
}

fn read<T: Serialize + DeserializeOwned + Clone>(path: &Path) -> Result<(Vec<Chained<T>>, Head, u64), JournalError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(JournalError::Io { doing: "read", path: path.to_path_buf(), source }),
    };
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let (mut head, mut entries) = (Head::START, Vec::new());
    for line in bytes[..whole].split_inclusive(|b| *b == b'\n') {
        let seq = head.seq + 1;
        let entry = head.follow(&line[..line.len() - 1]).map_err(|what| JournalError::Broken {
            seq,
            path: path.to_path_buf(),
            what,
        })?;
        entries.push(entry);
    }
    Ok((entries, head, whole as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "what", rename_all = "snake_case")]
    enum Entry {
        Said { text: String },
        Weighed { kg: f64 },
    }

    fn said(text: &str) -> Entry {
        Entry::Said { text: text.to_owned() }
    }

    fn filled(dir: &Path) -> PathBuf {
        let path = dir.join("a/journal.log");
        let (mut journal, before) = Journal::open(&path).unwrap();
        assert!(before.is_empty());
        journal.append(7, [said("one\n\"two\"")]).unwrap();
        journal.append(8, [Entry::Weighed { kg: 0.1 + 0.2 }, said("铜")]).unwrap();
        journal.append(9, []).unwrap();
        assert_eq!(journal.next_seq(), 4);
        path
    }

    /// T-24
    #[test]
    fn what_was_appended_is_read_again_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = filled(dir.path());
        let (mut journal, entries) = Journal::<Entry>::open(&path).unwrap();
        let got: Vec<(u64, Entry)> = entries.into_iter().map(|e| (e.seq, e.entry)).collect();
        assert_eq!(got, [(1, said("one\n\"two\"")), (2, Entry::Weighed { kg: 0.1 + 0.2 }), (3, said("铜"))]);
        journal.append(10, [said("four")]).unwrap();
        assert_eq!(read_journal::<Entry>(&path).unwrap().len(), 4);
        assert!(read_journal::<Entry>(&dir.path().join("none")).unwrap().is_empty());
    }

    /// T-24
    #[test]
    fn a_cut_end_is_dropped_and_any_other_damage_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = filled(dir.path());
        let whole = std::fs::read(&path).unwrap();
        let ends: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] == b'\n').map(|at| at + 1).collect();
        for keep in 0..=whole.len() {
            std::fs::write(&path, &whole[..keep]).unwrap();
            let (mut journal, entries) = Journal::<Entry>::open(&path).unwrap();
            assert_eq!(entries.len(), ends.iter().filter(|end| **end <= keep).count(), "{keep} bytes");
            journal.append(11, [said("on")]).unwrap();
            drop(journal);
            assert_eq!(read_journal::<Entry>(&path).unwrap().len(), entries.len() + 1, "{keep} bytes");
        }
        for at in 0..whole.len() - 1 {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(matches!(Journal::<Entry>::open(&path), Err(JournalError::Broken { .. })), "byte {at}");
            assert_eq!(std::fs::read(&path).unwrap(), bad, "damage is left as it is");
        }
        let without_second: Vec<u8> = [&whole[..ends[0]], &whole[ends[1]..]].concat();
        std::fs::write(&path, without_second).unwrap();
        assert!(matches!(Journal::<Entry>::open(&path), Err(JournalError::Broken { seq: 2, .. })));
    }

    #[test]
    fn a_journal_has_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = filled(dir.path());
        let (journal, _) = Journal::<Entry>::open(&path).unwrap();
        match Journal::<Entry>::open(&path) {
            Err(JournalError::Held { owner, .. }) => assert_eq!(owner, std::process::id().to_string()),
            other => panic!("{other:?}"),
        }
        assert_eq!(read_journal::<Entry>(&path).unwrap().len(), 3, "looking needs no lock");
        drop(journal);
        assert!(Journal::<Entry>::open(&path).is_ok());
    }

    #[test]
    fn nothing_is_written_behind_a_write_that_failed() {
        let dir = tempfile::tempdir().unwrap();
        let path = filled(dir.path());
        let (mut journal, _) = Journal::<Entry>::open(&path).unwrap();
        // A handle that may only read stands for a disk that takes no more.
        journal.file = File::open(&path).unwrap();
        assert!(matches!(journal.append(1, [said("x")]), Err(JournalError::Io { .. })));
        assert!(matches!(journal.append(2, [said("y")]), Err(JournalError::Closed { .. })));
        drop(journal);
        assert_eq!(Journal::<Entry>::open(&path).unwrap().1.len(), 3);
    }
}
