//! The manifest of a batch: an immutable file with a line a job, closed by its own digest.
//!
//! ```text
//! {"ghtrader_batch":1,…}                      the head: engine, lineups, periods, settings
//! {"id":"<result digest>","period":0,…}       a job; neighbours read the same days
//! {"digest":"<sha256 of every byte before>"}
//! ```
//! Artefacts and models lie beside it in `<name>.parts/`, by digest: the two together run anywhere that has the same data.

use ghtrader_backtest::RunSpec;
use ghtrader_core::{Digest, ErrorClass, Problem, TradingDay};
use ghtrader_durable::{io_problem, publish_shared};
use ghtrader_plugin::{ParamValue, Params};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Version of the manifest's form.
const FORM: u32 = 1;
const JOB_START: &str = "{\"id\":\"";
const DIGEST_START: &str = "{\"digest\":\"";
const DIGITS: usize = 64;

/// What all jobs of a batch refer to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Version of the form.
    pub ghtrader_batch: u32,
    /// A name for people.
    pub name: String,
    /// The engine that the ids hold for.
    pub engine: String,
    /// Jobs, one a line.
    pub jobs: usize,
    /// Parameters that vary, in the order of the summary's columns.
    pub axes: Vec<String>,
    /// Lineups without what varies.
    pub lineups: Vec<LineupRecord>,
    /// Days by product.
    pub periods: Vec<Period>,
    /// Fill models, delays, fees and limits; days and lineup of each are a job's own.
    pub runs: Vec<RunSpec>,
}

/// A plugin of a lineup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// `role/name@version`, for people.
    pub identity: String,
    /// SHA-256 of the artefact.
    pub digest: Digest,
    /// Parameters that were given; the manifest's defaults hold for the others.
    pub params: Params,
}

/// A lineup without what varies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineupRecord {
    /// Unique in the batch.
    pub name: String,
    /// Feature plugins, in order.
    pub features: Vec<PartRecord>,
    /// Digest of the model that scores.
    pub model: Option<Digest>,
    /// The strategy.
    pub strategy: PartRecord,
}

/// Days that a job runs over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Product, such as `SHFE.cu`.
    pub variety: String,
    /// First day with rows.
    pub from: TradingDay,
    /// Last day with rows.
    pub to: TradingDay,
    /// Days with rows.
    pub days: usize,
    /// Rows of all days.
    pub rows: u64,
    /// Digest of the days: rows, contracts, sessions.
    pub data: Digest,
    /// Hash of the main schedule.
    pub schedule: String,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// Digest of everything that decides the result.
    pub id: Digest,
    /// Index into the head's periods.
    pub period: usize,
    /// Index into the head's lineups.
    pub lineup: usize,
    /// Index into the head's runs.
    pub run: usize,
    /// What varies, by axis.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamValue>,
    /// Rows times fill models: how heavy the job is.
    pub weight: u64,
}

/// A manifest that was read and found whole.
#[derive(Debug)]
pub struct Manifest {
    /// What all jobs refer to.
    pub head: Head,
    /// Digest of the file's bytes before its last line: the batch's own id.
    pub digest: Digest,
    path: PathBuf,
    text: String,
    ids: Vec<Digest>,
    lines: Vec<Range<usize>>,
}

fn damaged(path: &Path, why: impl std::fmt::Display) -> Problem {
    Problem::new(
        "manifest_damaged",
        ErrorClass::User,
        format!("{} is no manifest as it was planned: {why}", path.display()),
        "plan the batch again; a manifest is never edited",
    )
}

/// Folder of a manifest's artefacts and models.
pub(crate) fn parts_of(manifest: &Path) -> PathBuf {
    let mut name = manifest.file_name().unwrap_or_default().to_os_string();
    name.push(".parts");
    manifest.with_file_name(name)
}

/// Writes a manifest whole or not at all; gives its digest.
pub(crate) fn write(path: &Path, head: &Head, jobs: &[Job]) -> Result<Digest, Problem> {
    let json = |e: serde_json::Error| {
        Problem::new("not_json", ErrorClass::Internal, format!("a manifest is no JSON: {e}"), "report this")
    };
    let mut text = serde_json::to_string(head).map_err(json)?;
    text.push('\n');
    for job in jobs {
        text.push_str(&serde_json::to_string(job).map_err(json)?);
        text.push('\n');
    }
    let digest = Digest::of(text.as_bytes());
    text.push_str(&format!("{DIGEST_START}{digest}\"}}\n"));
    publish_shared(path, text.as_bytes())
        .map_err(|e| io_problem("unwritable", &format!("cannot write {}", path.display()), &e))?;
    Ok(digest)
}

impl Manifest {
    /// Reads a manifest and holds it against its own digest; jobs are read when they are asked for.
    ///
    /// # Errors
    /// `manifest_unreadable`, `manifest_damaged` for a file that was cut or edited, `manifest_form` for another version.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(path)
            .map_err(|e| io_problem("manifest_unreadable", &format!("cannot read {}", path.display()), &e))?;
        let last = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let stated = text[last..].strip_prefix(DIGEST_START).and_then(|rest| rest.get(..DIGITS));
        let Some(stated) = stated.and_then(|hex| hex.parse::<Digest>().ok()) else {
            return Err(damaged(path, "its last line is no digest"));
        };
        let digest = Digest::of(&text.as_bytes()[..last]);
        if digest != stated || text[last..] != format!("{DIGEST_START}{digest}\"}}\n") {
            return Err(damaged(path, format!("its lines have the digest {digest}, the last one says {stated}")));
        }
        let mut lines = Vec::new();
        let mut at = 0;
        for line in text[..last].split_inclusive('\n') {
            lines.push(at..at + line.len());
            at += line.len();
        }
        let Some(first) = lines.first().cloned() else { return Err(damaged(path, "it has no head")) };
        lines.remove(0);
        let head: Head = serde_json::from_str(&text[first]).map_err(|e| damaged(path, format!("its head: {e}")))?;
        if head.ghtrader_batch != FORM {
            return Err(Problem::new(
                "manifest_form",
                ErrorClass::User,
                format!("{} has form {}, this version reads {FORM}", path.display(), head.ghtrader_batch),
                "plan the batch again with this version",
            ));
        }
        if head.jobs != lines.len() {
            return Err(damaged(path, format!("it has {} jobs, its head says {}", lines.len(), head.jobs)));
        }
        let id = |line: &Range<usize>| text[line.clone()].strip_prefix(JOB_START)?.get(..DIGITS)?.parse().ok();
        let mut ids = Vec::with_capacity(lines.len());
        for (k, line) in lines.iter().enumerate() {
            ids.push(id(line).ok_or_else(|| damaged(path, format!("job {k} has no id")))?);
        }
        Ok(Self { head, digest, path: path.to_path_buf(), text, ids, lines })
    }

    /// Ids of all jobs, in order.
    pub fn ids(&self) -> &[Digest] {
        &self.ids
    }

    /// A job by its place.
    ///
    /// # Errors
    /// `manifest_damaged` for a line that refers to what the head does not have.
    pub fn job(&self, place: usize) -> Result<Job, Problem> {
        let line = self.lines.get(place).cloned().unwrap_or(0..0);
        let bad = |why: String| damaged(&self.path, format!("job {place}: {why}"));
        let job: Job = serde_json::from_str(&self.text[line]).map_err(|e| bad(e.to_string()))?;
        let head = &self.head;
        if job.period >= head.periods.len() || job.lineup >= head.lineups.len() || job.run >= head.runs.len() {
            return Err(bad("it refers to what the head does not have".to_owned()));
        }
        Ok(job)
    }

    /// Where the artefacts and models lie.
    pub(crate) fn parts(&self) -> PathBuf {
        parts_of(&self.path)
    }

    /// Places of the jobs of a shard: every `of`-th one from `index` on.
    pub fn shard(&self, shard: Shard) -> Vec<usize> {
        (shard.index..self.ids.len()).step_by(shard.of).collect()
    }

    /// Places of the jobs with these ids, in the manifest's order.
    ///
    /// # Errors
    /// `unknown_job` for an id that is not in the manifest.
    pub fn places(&self, wanted: &BTreeSet<Digest>) -> Result<Vec<usize>, Problem> {
        let places: Vec<usize> =
            self.ids.iter().enumerate().filter(|(_, id)| wanted.contains(id)).map(|(place, _)| place).collect();
        if places.len() == wanted.len() {
            return Ok(places);
        }
        let known: BTreeSet<&Digest> = self.ids.iter().collect();
        let missing: Vec<&Digest> = wanted.iter().filter(|id| !known.contains(id)).collect();
        let first = missing.first().map(ToString::to_string).unwrap_or_default();
        Err(Problem::new(
            "unknown_job",
            ErrorClass::User,
            format!("{} ids are not in {}, the first {first}", missing.len(), self.path.display()),
            "give ids of this manifest, one a line",
        ))
    }
}

/// A part of a manifest: the jobs whose place is `index` modulo `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err(format!("`{text}` is no shard; write i/n with 0 ≤ i < n, such as 0/4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(jobs: usize) -> Head {
        Head {
            ghtrader_batch: FORM,
            name: "x".to_owned(),
            engine: "e".to_owned(),
            jobs,
            axes: Vec::new(),
            lineups: Vec::new(),
            periods: Vec::new(),
            runs: Vec::new(),
        }
    }

    fn jobs(n: usize) -> Vec<Job> {
        let job = |k: usize| Job {
            id: Digest::of(&[k as u8]),
            period: 0,
            lineup: 0,
            run: 0,
            params: BTreeMap::new(),
            weight: 1,
        };
        (0..n).map(job).collect()
    }

    /// B-24: shards overlap nowhere and together are everything.
    #[test]
    fn shards_are_a_partition() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m");
        write(&path, &head(10), &jobs(10)).expect("written");
        let manifest = Manifest::open(&path).expect("whole");
        let shard = |text: &str| manifest.shard(text.parse().expect("a shard"));
        assert_eq!(shard("1/3"), [1, 4, 7]);
        let mut all: Vec<usize> = ["0/3", "1/3", "2/3"].iter().flat_map(|s| shard(s)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert!(shard("11/12").is_empty());
        for bad in ["3/3", "0/0", "-1/2", "1", "a/b", ""] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_changed_byte_is_refused_wherever_it_is() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m");
        write(&path, &head(3), &jobs(3)).expect("written");
        let whole = std::fs::read(&path).expect("bytes");
        assert_eq!(Manifest::open(&path).expect("whole").ids().len(), 3);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).expect("written");
            let problem = Manifest::open(&path).expect_err("edited");
            assert!(problem.class == ErrorClass::User || problem.code == "manifest_unreadable", "{at}: {problem}");
        }
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).expect("written");
            assert!(Manifest::open(&path).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn an_id_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("m");
        write(&path, &head(3), &jobs(3)).expect("written");
        let manifest = Manifest::open(&path).expect("whole");
        let wanted = BTreeSet::from([Digest::of(&[2]), Digest::of(&[0])]);
        assert_eq!(manifest.places(&wanted), Ok(vec![0, 2]));
        let strange = BTreeSet::from([Digest::of(&[2]), Digest::of(b"?")]);
        let problem = manifest.places(&strange).expect_err("unknown");
        assert!(problem.code == "unknown_job" && problem.what.contains(&Digest::of(b"?").to_string()));
    }
}
