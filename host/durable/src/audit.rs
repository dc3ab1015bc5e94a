//! The audit: what was asked for, by whom, and what came of it; append-only and hash-chained.
//!
//! One file of JSON lines a day, `<dir>/2025-07-01.jsonl`. The hash of an entry covers the hash of the one before it, over
//! the borders of files too, so that no entry can be changed, dropped or put in between without it showing. An entry is on
//! the disk when [`Audit::append`] returns. A line that a crash cut short was never acknowledged: the next writer drops it.

use crate::chain::{Chained, Head, NONE};
use crate::{lock, publish::sync_folder};
use ghtrader_core::{Digest, ErrorClass, Problem};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// What came of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was taken on and goes on in the background; another entry says how it ended.
    Accepted,
    /// It was not allowed or not possible; nothing changed.
    Refused,
    /// It was tried and did not work; nothing changed but what the evidence says.
    Failed,
}

/// What happened. Empty fields are left out of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Name of the token, or `host` where the program acted by itself.
    pub actor: String,
    /// Role of the token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub role: String,
    /// Such as `plugin.push`, `tag.set`, `lineup.swap`, `lineup.rollback`, `lineup.halt`.
    pub action: String,
    /// What it was done to, such as `paper/cu` or `strategy/taker:champion`.
    pub subject: String,
    /// Generation of the subject behind the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What it was before, by digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// What it is now, by digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Digest of the plan that was carried out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan_hash: String,
    /// The operation it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operation: String,
    /// The person's reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Facts that bear it out: codes, row numbers, digests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// An entry with its place in the chain.
pub type AuditRecord = Chained<AuditEntry>;

/// Why the audit cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
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
    /// An entry is not what its hash says, or one is missing.
    #[error("the audit is broken at entry {seq}, line {line} of {path}: {what}", path = path.display())]
    Broken {
        /// Number that the entry should have.
        seq: u64,
        /// Line of the file, from 1.
        line: u64,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        let what = error.to_string();
        match &error {
            AuditError::Io { source, .. } if crate::is_full(source) => {
                Self::new("disk_full", ErrorClass::Limit, what, "free some space and ask again")
            }
            AuditError::Io { .. } => Self::new(
                "audit_unwritable",
                ErrorClass::Unavailable,
                what,
                "make the folder of runs writable and ask again",
            ),
            AuditError::Broken { .. } => Self::new(
                "audit_broken",
                ErrorClass::Conflict,
                what,
                "keep the files as they are and find out who changed them",
            ),
        }
    }
}

/// A chain that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Entries read.
    pub entries: u64,
    /// Hash of the last one; zeros if there is none.
    pub head: Digest,
}

const DAY_NS: i64 = 86_400_000_000_000;

/// A folder of audit files. Any number of processes may append: each append holds the folder's lock.
#[derive(Debug, Clone)]
pub struct Audit {
    dir: PathBuf,
}

impl Audit {
    /// The audit in a folder, which is made at the first append.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Appends an entry; it is on the disk when this returns.
    ///
    /// # Errors
    /// [`AuditError::Io`]; nothing was appended. [`AuditError::Broken`] where the last entry cannot be read: a chain is not
    /// continued behind damage.
    pub fn append(&self, time_ns: i64, entry: AuditEntry) -> Result<AuditRecord, AuditError> {
        let lock_path = self.dir.join("lock");
        let _lock = lock(&lock_path).map_err(|source| AuditError::Io { doing: "write", path: lock_path, source })?;
        let files = self.files()?;
        let mut head = match files.last() {
            Some(last) => tail(last)?,
            None => Head::START,
        };
        // The chain's order is that of the files' names, whatever the wall clock does.
        let today = self.dir.join(format!("{}.jsonl", date(time_ns)));
        let path = files.last().filter(|last| **last > today).cloned().unwrap_or(today);
        let record = head.next(time_ns, entry);
        let failed = |source| AuditError::Io { doing: "write", path: path.clone(), source };
        let mut line = serde_json::to_string(&record).map_err(|e| failed(e.into()))?;
        line.push('\n');
        let is_new = !path.exists();
        let mut file = File::options().create(true).append(true).open(&path).map_err(failed)?;
        let before = file.metadata().map_err(failed)?.len();
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        if let Err(source) = written {
            // Half a line of a full disk must not stand in the next writer's way.
            let _ = file.set_len(before);
            return Err(failed(source));
        }
        if is_new {
            sync_folder(&self.dir).map_err(failed)?;
        }
        Ok(record)
    }

    /// Reads the whole chain in order.
    ///
    /// # Errors
    /// [`AuditError::Broken`] at the first entry that does not follow, those given by `each`; [`AuditError::Io`].
    pub fn read(&self, mut each: impl FnMut(AuditRecord)) -> Result<Verified, AuditError> {
        let mut verified = Verified { entries: 0, head: NONE };
        let files = self.files()?;
        for (number, path) in files.iter().enumerate() {
            let failed = |source| AuditError::Io { doing: "read", path: path.clone(), source };
            let mut reader = BufReader::new(File::open(path).map_err(failed)?);
            let mut text = Vec::new();
            for line in 1.. {
                text.clear();
                if reader.read_until(b'\n', &mut text).map_err(failed)? == 0 {
                    break;
                }
                let seq = verified.entries + 1;
                let broken = |what: String| AuditError::Broken { seq, line, path: path.clone(), what };
                if text.last() != Some(&b'\n') {
                    // The last line of all may have been cut by a crash; it was never acknowledged.
                    if number + 1 == files.len() {
                        break;
                    }
                    return Err(broken("the line has no end".to_owned()));
                }
                let mut head = Head { seq: verified.entries, hash: verified.head };
                let record: AuditRecord = head.follow(&text[..text.len() - 1]).map_err(broken)?;
                verified = Verified { entries: seq, head: record.hash };
                each(record);
            }
        }
        Ok(verified)
    }

    /// Checks every entry.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn verify(&self) -> Result<Verified, AuditError> {
        self.read(|_| {})
    }

    fn files(&self) -> Result<Vec<PathBuf>, AuditError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(AuditError::Io { doing: "read", path: self.dir.clone(), source }),
        };
        let mut files: Vec<PathBuf> =
            entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
        files.sort();
        Ok(files)
    }
}

/// Number and hash of the last whole entry; drops a line that a crash cut short.
fn tail(path: &Path) -> Result<Head, AuditError> {
    let failed = |source| AuditError::Io { doing: "read", path: path.to_path_buf(), source };
    let mut file = File::options().read(true).write(true).open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut text = Vec::new();
    let mut window = 64 * 1024;
    let (line, end) = loop {
        let from = length.saturating_sub(window);
        file.seek(SeekFrom::Start(from)).map_err(failed)?;
        text.clear();
        std::io::Read::by_ref(&mut file).take(length - from).read_to_end(&mut text).map_err(failed)?;
        let end = text.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let start = text[..end.saturating_sub(1)].iter().rposition(|b| *b == b'\n').map(|at| at + 1);
        match start {
            Some(start) => break (text[start..end].to_vec(), from + end as u64),
            None if from == 0 => break (text[..end].to_vec(), end as u64),
            None => window *= 4,
        }
    };
    if end < length {
        file.set_len(end).and_then(|()| file.sync_data()).map_err(failed)?;
    }
    if line.is_empty() {
        // The first entry of a day was cut short: the chain goes on from the file before.
        let before = Audit::new(path.parent().unwrap_or(Path::new("."))).files()?;
        return match before.iter().rev().find(|p| p.as_path() < path) {
            Some(before) => tail(before),
            None => Ok(Head::START),
        };
    }
    let record: AuditRecord = serde_json::from_slice(&line).map_err(|e| AuditError::Broken {
        seq: 0,
        line: 0,
        path: path.to_path_buf(),
        what: format!("the last line is no entry: {e}"),
    })?;
    Ok(Head { seq: record.seq, hash: record.hash })
}

/// `2025-07-01` of a wall clock, UTC.
fn date(time_ns: i64) -> String {
    ghtrader_core::TradingDay::from_days(time_ns.div_euclid(DAY_NS) as i32).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> AuditEntry {
        AuditEntry {
            actor: "ann".to_owned(),
            role: "operator".to_owned(),
            action: "tag.set".to_owned(),
            subject: format!("strategy/taker:{n}"),
            generation: Some(n),
            from: String::new(),
            to: String::new(),
            plan_hash: String::new(),
            operation: String::new(),
            reason: "because\nof \"it\"".to_owned(),
            evidence: vec!["é".to_owned()],
            outcome: Outcome::Done,
        }
    }

    fn chain(entries: u64) -> (tempfile::TempDir, Audit) {
        let dir = tempfile::tempdir().unwrap();
        let audit = Audit::new(dir.path());
        for n in 0..entries {
            audit.append(DAY_NS * (20_000 + n as i64 / 3), entry(n)).unwrap();
        }
        (dir, audit)
    }

    /// C-30
    #[test]
    fn a_chain_goes_over_days_and_any_changed_byte_shows() {
        let (dir, audit) = chain(7);
        assert_eq!(audit.verify().unwrap().entries, 7);
        assert_eq!(audit.files().unwrap().len(), 3);
        for path in audit.files().unwrap() {
            let whole = std::fs::read(&path).unwrap();
            for at in (0..whole.len()).step_by(7) {
                let mut bad = whole.clone();
                bad[at] ^= 1;
                std::fs::write(&path, &bad).unwrap();
                let last_end = path == *audit.files().unwrap().last().unwrap() && at + 1 == whole.len();
                assert!(last_end || matches!(audit.verify(), Err(AuditError::Broken { .. })), "{at} of {path:?}");
            }
            std::fs::write(&path, &whole).unwrap();
        }
        let middle = &audit.files().unwrap()[1];
        std::fs::remove_file(middle).unwrap();
        assert!(matches!(audit.verify(), Err(AuditError::Broken { seq: 4, .. })));
        drop(dir);
    }

    #[test]
    fn a_line_cut_by_a_crash_is_dropped_and_the_chain_goes_on() {
        for keep in [0, 1, 40] {
            let (_dir, audit) = chain(4);
            let last = audit.files().unwrap().pop().unwrap();
            let bytes = std::fs::read(&last).unwrap();
            std::fs::write(&last, &bytes[..keep]).unwrap();
            assert_eq!(audit.verify().unwrap().entries, 3, "what is left of a cut line is no entry");
            assert_eq!(audit.append(DAY_NS * 20_001, entry(9)).unwrap().seq, 4);
            assert_eq!(audit.verify().unwrap().entries, 4);
        }
    }

    #[test]
    fn a_clock_that_goes_back_does_not_break_the_order() {
        let (_dir, audit) = chain(4);
        audit.append(DAY_NS * 10_000, entry(5)).unwrap();
        assert_eq!(audit.verify().unwrap().entries, 5);
    }

    #[test]
    fn many_writers_make_one_chain() {
        let (_dir, audit) = chain(0);
        std::thread::scope(|s| {
            for n in 0..4 {
                let audit = &audit;
                s.spawn(move || (0..20).for_each(|_| drop(audit.append(DAY_NS, entry(n)).unwrap())));
            }
        });
        assert_eq!(audit.verify().unwrap().entries, 80);
    }
}
