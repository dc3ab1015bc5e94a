//! What is known of a pushed artefact.

use super::files::{publish_sealed, read_sealed};
use super::{PublicKey, Registry, RegistryError, SignatureState};
use crate::{Check, CostCard, Role};
use ghtrader_core::Digest;
use serde::{Deserialize, Serialize};

/// Whether an artefact can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtefactState {
    /// It passed admission and lies in its place.
    Admitted,
    /// Its file or its record was found damaged or gone; pushing the same artefact again heals it.
    Quarantined,
    /// It was removed; its version stays taken.
    Removed,
}

/// What is known of a pushed artefact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// SHA-256 of the artefact.
    pub digest: Digest,
    /// What the plugin does.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Size of the artefact.
    pub bytes: u64,
    /// The embedded manifest, also one that this program no longer understands.
    pub manifest: serde_json::Value,
    /// What admission checked.
    pub checks: Vec<Check>,
    /// What a row cost at admission.
    pub cost: Option<CostCard>,
    /// When it was pushed, ns since the epoch.
    pub pushed_at_ns: i64,
    /// Who pushed it.
    pub pushed_by: String,
    /// What its signatures are worth under the present trusted keys.
    pub signature: SignatureState,
    /// The key of the best of them.
    pub signed_by: Option<PublicKey>,
    /// Whether it can be used.
    pub state: ArtefactState,
}

impl Record {
    /// `role/name@version`.
    pub fn identity(&self) -> String {
        format!("{}/{}@{}", self.role, self.name, self.version)
    }

    /// All that is known of a version whose record is damaged or gone.
    fn lost(digest: Digest, role: Role, name: String, version: String) -> Self {
        Self {
            digest,
            role,
            name,
            version,
            bytes: 0,
            manifest: serde_json::Value::Null,
            checks: Vec::new(),
            cost: None,
            pushed_at_ns: 0,
            pushed_by: String::new(),
            signature: SignatureState::Missing,
            signed_by: None,
            state: ArtefactState::Quarantined,
        }
    }
}

/// Which records to list; what is left out matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this role.
    pub role: Option<Role>,
    /// Only this name.
    pub name: Option<String>,
    /// Only this state; without it everything but what was removed.
    pub state: Option<ArtefactState>,
}

impl Filter {
    fn matches(&self, state: ArtefactState) -> bool {
        self.state.map_or(state != ArtefactState::Removed, |s| s == state)
    }
}

pub(super) const ROLES: [Role; 3] = [Role::Feature, Role::Label, Role::Strategy];

impl Registry {
    /// What is known of an artefact, also of one that was removed.
    ///
    /// # Errors
    /// `unknown_plugin` for a digest that was never pushed, `record_damaged`.
    pub fn record(&self, digest: &Digest) -> Result<Record, RegistryError> {
        self.find(digest)?.ok_or_else(|| unknown(digest, false))
    }

    /// Records in order of role, name and version, the oldest version first.
    ///
    /// A version whose record is damaged is listed as quarantined, without its manifest.
    ///
    /// # Errors
    /// `registry_unreadable`.
    pub fn list(&self, filter: &Filter) -> Result<Vec<Record>, RegistryError> {
        let mut records = Vec::new();
        for (role, name, version) in self.versions()? {
            if filter.role.is_some_and(|r| r != role) || filter.name.as_ref().is_some_and(|n| *n != name) {
                continue;
            }
            let digest = match self.digest_of(role, &name, &version) {
                Ok(Some(digest)) => digest,
                Ok(None) => continue,
                Err(error @ RegistryError::RecordDamaged { .. }) => {
                    tracing::warn!(%error, "a version cannot be listed");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let record = match self.find(&digest) {
                Ok(Some(record)) => record,
                Ok(None) | Err(RegistryError::RecordDamaged { .. }) => Record::lost(digest, role, name, version),
                Err(error) => return Err(error),
            };
            records.extend(Some(record).filter(|r| filter.matches(r.state)));
        }
        Ok(records)
    }

    /// Every version that was ever written, in order.
    pub(super) fn versions(&self) -> Result<Vec<(Role, String, String)>, RegistryError> {
        let files = &self.inner.files;
        let mut versions = Vec::new();
        for role in ROLES {
            for name in files.names(role)? {
                versions.extend(files.versions_of(role, &name)?.into_iter().map(|v| (role, name.clone(), v)));
            }
        }
        Ok(versions)
    }

    /// The record of a version that is there.
    pub(super) fn record_of(&self, role: Role, name: &str, version: &str) -> Result<Option<Record>, RegistryError> {
        let Some(digest) = self.digest_of(role, name, version)? else { return Ok(None) };
        let gone = || RegistryError::RecordDamaged { path: self.inner.files.record(&digest) };
        self.find(&digest)?.ok_or_else(gone).map(Some)
    }

    /// The record of an artefact whose push was finished, with signature and state of now.
    pub(super) fn find(&self, digest: &Digest) -> Result<Option<Record>, RegistryError> {
        let Some(mut record) = self.stored(digest)? else { return Ok(None) };
        if self.digest_of(record.role, &record.name, &record.version)? != Some(*digest) {
            return Ok(None);
        }
        (record.signature, record.signed_by) = self.signature_of(digest, None)?;
        if record.state == ArtefactState::Admitted && !self.inner.files.blob(digest).exists() {
            record.state = ArtefactState::Quarantined;
        }
        Ok(Some(record))
    }

    /// As [`Self::find`], for those who want to use it.
    pub(super) fn usable(&self, digest: &Digest) -> Result<Record, RegistryError> {
        let record = self.record(digest)?;
        if record.state == ArtefactState::Removed { Err(unknown(digest, true)) } else { Ok(record) }
    }

    /// What a record says, whether or not its push was finished.
    pub(super) fn stored(&self, digest: &Digest) -> Result<Option<Record>, RegistryError> {
        let path = self.inner.files.record(digest);
        match read_sealed::<Record>(&path)? {
            Some(record) if record.digest != *digest => Err(RegistryError::RecordDamaged { path }),
            found => Ok(found),
        }
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<(), RegistryError> {
        publish_sealed(&self.inner.files.record(&record.digest), record)
    }

    /// What a version was given to, once and for all.
    pub(super) fn digest_of(&self, role: Role, name: &str, version: &str) -> Result<Option<Digest>, RegistryError> {
        read_sealed(&self.inner.files.version(role, name, version))
    }
}

pub(super) fn unknown(digest: &Digest, removed: bool) -> RegistryError {
    RegistryError::UnknownPlugin { name: format!("sha256:{digest}"), near: None, removed }
}
