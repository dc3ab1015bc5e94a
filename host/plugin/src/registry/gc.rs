//! Clean-up in two steps: a plan to look at, and its execution if it still holds.

use super::files::{entries, stems};
use super::record::ROLES;
use super::{ArtefactState, Registry, RegistryError};
use ghtrader_core::{Digest, DigestBuilder};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a clean-up would take away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GcPlan {
    /// The files, in order of path.
    pub items: Vec<GcItem>,
    /// Their size.
    pub bytes: u64,
    /// Names this very plan.
    pub plan_hash: Digest,
}

/// A file that would go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct GcItem {
    /// Its path in the registry's folder.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Why nobody needs it.
    pub reason: GcReason,
}

/// Why a file is needed no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GcReason {
    /// It belongs to an artefact that was removed.
    Removed,
    /// It belongs to a push that never came to its end.
    Unfinished,
    /// It was found damaged.
    Quarantined,
    /// A writer was killed while it wrote it.
    Temporary,
}

impl GcReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Unfinished => "unfinished",
            Self::Quarantined => "quarantined",
            Self::Temporary => "temporary",
        }
    }
}

/// What a clean-up took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GcDone {
    /// Number of files.
    pub files: usize,
    /// Their size.
    pub bytes: u64,
}

impl Registry {
    /// What a clean-up would take away now; has no effect.
    ///
    /// `keep` are digests that somebody still needs although they were removed.
    ///
    /// # Errors
    /// `record_damaged` for a damaged version or tag: what it named could not be told from what nobody needs.
    pub fn gc_plan(&self, keep: &BTreeSet<Digest>) -> Result<GcPlan, RegistryError> {
        // No writer is at work under the lock, so a temporary file is nobody's.
        let _lock = self.inner.files.lock()?;
        self.plan(keep)
    }

    /// Takes away what a plan lists. One that is cut short has done a part; the next plan has the rest.
    ///
    /// # Errors
    /// `plan_stale` if that is no longer what would be planned; nothing is taken away then.
    pub fn gc_apply(&self, plan_hash: &Digest, keep: &BTreeSet<Digest>) -> Result<GcDone, RegistryError> {
        let _lock = self.inner.files.lock()?;
        let plan = self.plan(keep)?;
        if plan.plan_hash != *plan_hash {
            return Err(RegistryError::PlanStale { given: *plan_hash, present: plan.plan_hash });
        }
        for item in &plan.items {
            let path = self.inner.files.root.join(&item.path);
            ghtrader_durable::remove(&path).map_err(RegistryError::write(&path))?;
        }
        Ok(GcDone { files: plan.items.len(), bytes: plan.bytes })
    }

    fn plan(&self, keep: &BTreeSet<Digest>) -> Result<GcPlan, RegistryError> {
        let files = &self.inner.files;
        let (needed, removed) = self.named(keep)?;
        let mut found: Vec<(PathBuf, GcReason)> = Vec::new();
        let reason = |digest: &str| match digest.parse::<Digest>() {
            Ok(d) if removed.contains(&d) => Some(GcReason::Removed),
            Ok(d) if !needed.contains(&d) => Some(GcReason::Unfinished),
            _ => None,
        };
        for digest in stems(&files.root.join("blobs"), "wasm")? {
            let path = Path::new("blobs").join(format!("{digest}.wasm"));
            found.extend(reason(&digest).map(|r| (path, r)));
        }
        for digest in entries(&files.root.join("signatures"))? {
            let Some(reason) = reason(&digest) else { continue };
            let folder = Path::new("signatures").join(&digest);
            found.extend(entries(&files.root.join(&folder))?.iter().map(|n| (folder.join(n), reason)));
        }
        for digest in stems(&files.root.join("records"), "json")? {
            // A removed artefact's record says so for ever.
            if reason(&digest) == Some(GcReason::Unfinished) {
                found.push((Path::new("records").join(format!("{digest}.json")), GcReason::Unfinished));
            }
        }
        for name in entries(&files.root.join("quarantine"))? {
            found.push((Path::new("quarantine").join(name), GcReason::Quarantined));
        }
        temporaries(&files.root, Path::new(""), &mut found)?;
        found.sort();

        let mut hash = DigestBuilder::new("registry clean-up");
        let mut items = Vec::new();
        for (path, reason) in found {
            let full = files.root.join(&path);
            let bytes = std::fs::symlink_metadata(&full).map_err(RegistryError::read(&full))?.len();
            hash.text(&path.to_string_lossy()).int(bytes.cast_signed()).text(reason.as_str());
            items.push(GcItem { path, bytes, reason });
        }
        Ok(GcPlan { bytes: items.iter().map(|i| i.bytes).sum(), plan_hash: hash.finish(), items })
    }

    /// Digests that are in use, and those that were removed and are not kept.
    fn named(&self, keep: &BTreeSet<Digest>) -> Result<(BTreeSet<Digest>, BTreeSet<Digest>), RegistryError> {
        let (mut needed, mut removed) = (keep.clone(), BTreeSet::new());
        for (role, name, version) in self.versions()? {
            let Some(digest) = self.digest_of(role, &name, &version)? else { continue };
            let is_removed = matches!(self.stored(&digest), Ok(Some(r)) if r.state == ArtefactState::Removed);
            let set = if is_removed && !keep.contains(&digest) { &mut removed } else { &mut needed };
            set.insert(digest);
        }
        // Also where the version is lost: what a tag names can be brought back as long as its bytes are there.
        for role in ROLES {
            for name in entries(&self.inner.files.root.join("tags").join(role.as_str()))? {
                needed.extend(self.tags(role, &name)?.iter().map(|t| t.digest));
            }
        }
        Ok((needed, removed))
    }
}

/// Files that a killed writer left.
fn temporaries(root: &Path, folder: &Path, found: &mut Vec<(PathBuf, GcReason)>) -> Result<(), RegistryError> {
    let full = root.join(folder);
    for entry in std::fs::read_dir(&full).map_err(RegistryError::read(&full))? {
        let entry = entry.map_err(RegistryError::read(&full))?;
        let path = folder.join(entry.file_name());
        let name = entry.file_name();
        let is_temporary = name.to_str().is_some_and(|n| n.starts_with('.') && n.ends_with(".tmp"));
        let kind = entry.file_type().map_err(RegistryError::read(&full))?;
        if kind.is_dir() {
            temporaries(root, &path, found)?;
        } else if is_temporary {
            found.push((path, GcReason::Temporary));
        }
    }
    Ok(())
}
