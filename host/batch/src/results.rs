//! The results folder: a file a job, published whole and sealed. Beside the manifest it is all the state there is.

use ghtrader_core::{Digest, DigestBuilder, ErrorClass, Problem};
use ghtrader_durable::{io_problem, make_folder, place_as, sync_file_system};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

const SEAL_START: &str = "{\"digest\":\"";
const DIGITS: usize = 64;
/// A temporary file of this age has no writer any more, whichever machine it was on.
const TEMPORARY_AGE: Duration = Duration::from_secs(3_600);

/// What a folder may hold of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Its report.
    Result,
    /// A typed error that would come again.
    Failed,
    /// It killed its process three times.
    Poison,
}

impl Kind {
    /// All kinds, in the order in which they are looked for.
    pub const ALL: [Self; 3] = [Self::Result, Self::Failed, Self::Poison];

    /// The folder's name.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Result => "results",
            Self::Failed => "failed",
            Self::Poison => "poison",
        }
    }
}

/// What became of a job so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A whole file of this kind is there.
    Settled(Kind),
    /// Nothing is there.
    Missing,
    /// Something is there that no run wrote under this id: cut, edited, or of another job.
    Damaged,
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Results {
    dir: PathBuf,
    host: String,
}

fn failed_at(path: &Path) -> impl Fn(std::io::Error) -> Problem {
    move |e| io_problem("unwritable", &format!("cannot write {}", path.display()), &e)
}

impl Results {
    /// Opens a folder, making it if there is none.
    ///
    /// # Errors
    /// A folder that cannot be made.
    pub fn open(dir: &Path) -> Result<Self, Problem> {
        let results = dir.join(Kind::Result.folder());
        make_folder(&results).map_err(failed_at(&results))?;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host: String = host.trim().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(64).collect();
        Ok(Self { dir: dir.to_path_buf(), host: if host.is_empty() { "host".to_owned() } else { host } })
    }

    /// Opens a folder that a run has made.
    ///
    /// # Errors
    /// `results_missing` if there is none.
    pub fn existing(dir: &Path) -> Result<Self, Problem> {
        if dir.is_dir() {
            return Self::open(dir);
        }
        let what = format!("there is no folder {}", dir.display());
        Err(Problem::new("results_missing", ErrorClass::User, what, "name the --out folder of `ghtrader batch run`"))
    }

    /// The folder of one kind.
    pub fn folder(&self, kind: Kind) -> PathBuf {
        self.dir.join(kind.folder())
    }

    /// Where a job's file of a kind lies.
    pub fn path(&self, kind: Kind, id: &Digest) -> PathBuf {
        self.folder(kind).join(format!("{id}.json"))
    }

    /// What became of a job.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn state(&self, id: &Digest) -> Result<State, Problem> {
        let mut state = State::Missing;
        for kind in Kind::ALL {
            let path = self.path(kind, id);
            match std::fs::read(&path) {
                Ok(bytes) if opened(id, &bytes).is_some() => return Ok(State::Settled(kind)),
                Ok(_) => state = State::Damaged,
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    return Err(io_problem("unreadable", &format!("cannot read {}", path.display()), &e));
                }
            }
        }
        Ok(state)
    }

    /// A job's document of a kind, if a whole one is there.
    ///
    /// # Errors
    /// A file that is there and cannot be read.
    pub fn read(&self, kind: Kind, id: &Digest) -> Result<Option<Value>, Problem> {
        let path = self.path(kind, id);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(opened(id, &bytes).and_then(|body| serde_json::from_slice(&body).ok())),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_problem("unreadable", &format!("cannot read {}", path.display()), &e)),
        }
    }

    /// Publishes a job's document, sealed: temporary name, rename. Equal documents give equal bytes, whoever writes them.
    /// It survives any kill, and a crash of the machine from the next [`Self::flush`] on.
    ///
    /// # Errors
    /// `disk_full`, `unwritable`; nothing has changed then.
    pub fn put(&self, kind: Kind, id: &Digest, document: &Value) -> Result<(), Problem> {
        let path = self.path(kind, id);
        if kind != Kind::Result {
            let folder = self.folder(kind);
            make_folder(&folder).map_err(failed_at(&folder))?;
        }
        let temporary = path.with_file_name(format!(".tmp-{id}-{}-{}", self.host, std::process::id()));
        place_as(&temporary, &path, &sealed(id, document)).map_err(failed_at(&path))
    }

    /// Takes a job's file of a kind away.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn remove(&self, kind: Kind, id: &Digest) -> Result<(), Problem> {
        let path = self.path(kind, id);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(failed_at(&path)(e)),
            _ => Ok(()),
        }
    }

    /// Makes what was published survive a crash of the machine.
    ///
    /// # Errors
    /// The operating system's.
    pub fn flush(&self) -> Result<(), Problem> {
        let folder = self.folder(Kind::Result);
        sync_file_system(&folder).map_err(failed_at(&folder))
    }

    /// Ids that have a file of a kind, whole or not, by one look at the folder.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn listed(&self, kind: Kind) -> Result<BTreeSet<Digest>, Problem> {
        let mut ids = BTreeSet::new();
        for name in self.names(kind)? {
            ids.extend(name.strip_suffix(".json").and_then(|hex| hex.parse::<Digest>().ok()));
        }
        Ok(ids)
    }

    fn names(&self, kind: Kind) -> Result<Vec<String>, Problem> {
        let folder = self.folder(kind);
        let unreadable = |e: std::io::Error| io_problem("unreadable", &format!("cannot read {}", folder.display()), &e);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(unreadable(e)),
        };
        let name = |e: std::io::Result<std::fs::DirEntry>| Ok(e?.file_name().to_string_lossy().into_owned());
        entries.map(name).collect::<std::io::Result<Vec<_>>>().map_err(unreadable)
    }

    /// Removes what writers have left that are gone: of this machine at once, of any other by age.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn sweep(&self) -> Result<(), Problem> {
        for kind in Kind::ALL {
            for name in self.names(kind)?.into_iter().filter(|n| n.starts_with(".tmp-")) {
                let path = self.folder(kind).join(&name);
                let writer = name.rsplit_once('-').and_then(|(rest, pid)| Some((rest, pid.parse::<u32>().ok()?)));
                let ours = writer.filter(|(rest, _)| rest.ends_with(&format!("-{}", self.host)));
                let gone = ours.is_some_and(|(_, pid)| has_ended(pid));
                let age = path.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
                if gone || age.is_some_and(|age| age > TEMPORARY_AGE) {
                    // Another sweep may have been quicker.
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        Ok(())
    }
}

/// A process of this machine that writes no more; where the system does not say, none counts as ended.
fn has_ended(pid: u32) -> bool {
    if !Path::new("/proc/self/status").exists() {
        return false;
    }
    match std::fs::read_to_string(format!("/proc/{pid}/status")) {
        // Killed, and not yet taken note of by its parent.
        Ok(status) => status.lines().any(|l| l.starts_with("State:") && (l.contains('Z') || l.contains('X'))),
        Err(e) => e.kind() == ErrorKind::NotFound,
    }
}

/// A document with the digest that binds it to its job, as bytes.
fn sealed(id: &Digest, document: &Value) -> Vec<u8> {
    let body = document.to_string();
    let digest = seal(id, body.as_bytes());
    // An object: its first key follows the seal's.
    format!("{SEAL_START}{digest}\",{}\n", body.strip_prefix('{').unwrap_or(&body)).into_bytes()
}

/// The document of sealed bytes; `None` if they were not sealed for this job, or have changed since.
fn opened(id: &Digest, bytes: &[u8]) -> Option<Vec<u8>> {
    let rest = bytes.strip_prefix(SEAL_START.as_bytes())?.strip_suffix(b"\n")?;
    let (stated, rest) = rest.split_at_checked(DIGITS)?;
    let rest = rest.strip_prefix(b"\",")?;
    let body = [b"{", rest].concat();
    (seal(id, &body).to_string().as_bytes() == stated).then_some(body)
}

fn seal(id: &Digest, body: &[u8]) -> Digest {
    DigestBuilder::new("ghtrader batch file 1").digest(id).bytes(body).finish()
}

/// A job's failure as a document: what went wrong, where, and who has to act.
pub(crate) fn failure(id: &Digest, engine: &str, problem: &Problem, place: Option<(usize, i64)>) -> Value {
    let mut document = serde_json::json!({
        "id": id,
        "engine": engine,
        "code": problem.code,
        "class": problem.class,
        "what": problem.what,
        "remedy": problem.remedy,
    });
    if let (Value::Object(map), Some((row, ts_ns))) = (&mut document, place) {
        map.insert("row".to_owned(), row.into());
        map.insert("ts_ns".to_owned(), ts_ns.into());
    }
    document
}

/// A failure that may pass next time: a lost disk, a busy store, too little room.
pub(crate) fn is_transient(problem: &Problem) -> bool {
    matches!(problem.class, ErrorClass::Unavailable | ErrorClass::Limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_written_for_a_job_counts_as_its_result() {
        let dir = tempfile::tempdir().expect("a folder");
        let results = Results::open(dir.path()).expect("open");
        let (id, other) = (Digest::of(b"1"), Digest::of(b"2"));
        assert_eq!(results.state(&id), Ok(State::Missing));
        results.put(Kind::Result, &id, &json!({ "a": 1.5, "b": [null, "x"] })).expect("put");
        assert_eq!(results.state(&id), Ok(State::Settled(Kind::Result)));
        assert_eq!(results.read(Kind::Result, &id), Ok(Some(json!({ "a": 1.5, "b": [null, "x"] }))));
        let path = results.path(Kind::Result, &id);
        let whole: Value = serde_json::from_slice(&std::fs::read(&path).expect("bytes")).expect("JSON");
        assert!(whole["digest"].is_string() && whole["a"] == 1.5, "other programs read it too");
        // Under another id, cut, and with one byte changed it is nobody's.
        std::fs::copy(&path, results.path(Kind::Result, &other)).expect("copied");
        assert_eq!(results.state(&other), Ok(State::Damaged));
        let bytes = std::fs::read(&path).expect("bytes");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).expect("written");
            assert_eq!(results.state(&id), Ok(State::Damaged), "byte {at}");
            std::fs::write(&path, &bytes[..at]).expect("written");
            assert_eq!(results.state(&id), Ok(State::Damaged), "cut at {at}");
        }
        results.put(Kind::Failed, &id, &json!({ "code": "x" })).expect("put");
        assert_eq!(results.state(&id), Ok(State::Settled(Kind::Failed)));
    }

    #[test]
    fn what_dead_writers_left_is_swept_and_living_ones_keep_theirs() {
        let dir = tempfile::tempdir().expect("a folder");
        let results = Results::open(dir.path()).expect("open");
        let id = Digest::of(b"1");
        let name = |host: &str, pid: u32| results.folder(Kind::Result).join(format!(".tmp-{id}-{host}-{pid}"));
        let ours = [name(&results.host, std::process::id()), name("another", 7), name(&results.host, u32::MAX)];
        for path in &ours {
            std::fs::write(path, "half").expect("written");
        }
        results.sweep().expect("swept");
        let there: Vec<bool> = ours.iter().map(|p| p.exists()).collect();
        assert_eq!(there, [true, true, false], "the third writer is dead");
        let old = std::time::UNIX_EPOCH + Duration::from_secs(1);
        std::fs::File::options().write(true).open(&ours[1]).and_then(|f| f.set_modified(old)).expect("aged");
        results.sweep().expect("swept");
        assert!(ours[0].exists() && !ours[1].exists());
    }
}
