//! The registry: admitted artefacts by digest, versions that are written once, tags that move.
//!
//! Any number of processes may have the same folder open. Writers take turns by a lock; readers need none, since every file
//! is published whole. A push writes the artefact, its signature and its record, and last the version, which is what makes it
//! visible: a push that was cut short before has left nothing but files that the next one takes over and a clean-up removes.

mod error;
mod files;
mod gc;
mod record;
mod reference;
mod signature;
mod tags;

pub use error::{PushError, RegistryError};
pub use gc::{GcDone, GcItem, GcPlan, GcReason};
pub use record::{ArtefactState, Filter, Record};
pub use reference::{Resolved, Via};
pub use signature::{KeyError, KeyPair, PublicKey, Signature, SignaturePolicy, SignatureState};
pub use tags::{TagHistory, TagMove};

use crate::{Admission, Check, CostCard, Finding, Fixture, Plugin, PluginHost, Role};
use files::Files;
use ghtrader_core::Digest;
use ghtrader_durable::{Once, make_folder, publish, publish_once};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Largest artefact that is taken in.
pub const MAX_ARTEFACT_BYTES: usize = 64 << 20;
/// Loaded plugins kept although nobody uses them at the moment.
const MAX_IDLE_LOADED: usize = 64;

/// Settings of a registry.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Its folder.
    pub root: PathBuf,
    /// What becomes of an artefact without a signature by a trusted key.
    pub signature: SignaturePolicy,
    /// Keys whose signatures count.
    pub trusted_keys: Vec<PublicKey>,
}

/// The artefacts that were admitted here; cheap to clone.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    files: Files,
    policy: SignaturePolicy,
    trusted: Vec<PublicKey>,
    host: PluginHost,
    loaded: Mutex<BTreeMap<Digest, Arc<Plugin>>>,
}

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushOutcome {
    /// The version is there now.
    New,
    /// It was there, of the same bytes.
    Same,
}

/// An artefact that is in the registry.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Pushed {
    /// SHA-256 of the artefact.
    pub digest: Digest,
    /// What the plugin does.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it is new.
    pub outcome: PushOutcome,
    /// Warnings, such as a missing signature where the policy lets it pass.
    pub findings: Vec<Finding>,
    /// What admission checked.
    pub checks: Vec<Check>,
    /// What a row costs.
    pub cost: Option<CostCard>,
}

impl Pushed {
    fn new(record: Record, outcome: PushOutcome, findings: Vec<Finding>) -> Self {
        let Record { digest, role, name, version, checks, cost, .. } = record;
        Self { digest, role, name, version, outcome, findings, checks, cost }
    }
}

impl Registry {
    /// Opens a registry, making its folder if there is none.
    ///
    /// # Errors
    /// `registry_unwritable` for a folder that is not there and cannot be made.
    pub fn open(config: RegistryConfig, host: PluginHost) -> Result<Self, RegistryError> {
        let RegistryConfig { root, signature, trusted_keys } = config;
        make_folder(&root).map_err(RegistryError::write(&root))?;
        let files = Files { root };
        let loaded = Mutex::default();
        Ok(Self { inner: Arc::new(Inner { files, policy: signature, trusted: trusted_keys, host, loaded }) })
    }

    /// Admits an artefact and stores it.
    ///
    /// The same bytes again are [`PushOutcome::Same`] without another admission; they also complete a push that was cut short,
    /// replace a damaged file, and may add a signature.
    ///
    /// # Errors
    /// All findings of admission and the signature policy at once, `version_exists` for other bytes under a version, or the
    /// registry's own failure. Nothing is acknowledged then.
    pub fn push(
        &self,
        bytes: &[u8],
        signature: Option<&Signature>,
        fixture: &Fixture,
        actor: &str,
        now_ns: i64,
    ) -> Result<Pushed, PushError> {
        if bytes.len() > MAX_ARTEFACT_BYTES {
            return Err(PushError::TooLarge { bytes: bytes.len(), bound: MAX_ARTEFACT_BYTES });
        }
        let digest = Digest::of(bytes);
        let (warnings, refusals) = self.judge(&digest, signature)?;
        if refusals.is_empty()
            && let Some(pushed) = self.push_again(&digest, bytes, signature, &warnings)?
        {
            return Ok(pushed);
        }

        let Admission { plugin, mut findings, checks, cost } = self.inner.host.admit(bytes, fixture);
        findings.extend(refusals);
        let plugin = match plugin {
            Some(plugin) if findings.is_empty() => plugin,
            _ => return Err(PushError::Refused(findings)),
        };
        let about = &plugin.manifest().plugin;
        let record = Record {
            digest,
            role: about.role,
            name: about.name.clone(),
            version: about.version.clone(),
            bytes: bytes.len() as u64,
            manifest: serde_json::to_value(plugin.manifest()).unwrap_or_default(),
            checks,
            cost: cost.filter(is_finite),
            pushed_at_ns: now_ns,
            pushed_by: actor.to_owned(),
            signature: SignatureState::Missing,
            signed_by: None,
            state: ArtefactState::Admitted,
        };
        let pushed = self.store(record, bytes, signature, warnings)?;
        self.keep_loaded(digest, plugin);
        Ok(pushed)
    }

    /// Takes bytes that were admitted before; none if they were not, or not to the end.
    fn push_again(
        &self,
        digest: &Digest,
        bytes: &[u8],
        signature: Option<&Signature>,
        warnings: &[Finding],
    ) -> Result<Option<Pushed>, RegistryError> {
        if self.stored(digest).is_ok_and(|r| r.is_none()) {
            return Ok(None);
        }
        let _lock = self.inner.files.lock()?;
        let record = match self.find(digest) {
            Ok(Some(record)) if record.state != ArtefactState::Removed => record,
            // Damage is mended by a push that goes the whole way.
            Ok(_) | Err(RegistryError::RecordDamaged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.store_blob(digest, bytes)?;
        self.store_signature(digest, signature)?;
        self.inner.files.settle(&record)?;
        Ok(Some(Pushed::new(record, PushOutcome::Same, warnings.to_vec())))
    }

    /// Writes an admitted artefact, the version last.
    fn store(
        &self,
        record: Record,
        bytes: &[u8],
        signature: Option<&Signature>,
        warnings: Vec<Finding>,
    ) -> Result<Pushed, PushError> {
        let digest = record.digest;
        let _lock = self.inner.files.lock()?;
        let path = self.inner.files.version(record.role, &record.name, &record.version);
        let before = self.stored(&digest);
        let taken = |have| PushError::VersionExists { identity: record.identity(), have, given: digest };
        let sealed = files::seal(&digest).map_err(std::io::Error::from).map_err(RegistryError::write(&path))?;
        let had = match self.digest_of(record.role, &record.name, &record.version) {
            Ok(Some(have)) if have != digest => return Err(taken(have)),
            Ok(have) => have.is_some(),
            // Only bytes with a record under this version can be those that the damaged file named.
            Err(RegistryError::RecordDamaged { .. }) if matches!(&before, Ok(Some(_))) => {
                publish(&path, &sealed).map_err(RegistryError::write(&path))?;
                true
            }
            Err(error) => return Err(error.into()),
        };
        let removed = matches!(&before, Ok(Some(r)) if r.state == ArtefactState::Removed);
        self.store_blob(&digest, bytes)?;
        self.store_signature(&digest, signature)?;
        self.write_record(&record)?;
        match publish_once(&path, &sealed).map_err(RegistryError::write(&path))? {
            Once::Written | Once::Same => {}
            Once::Different => {
                let have = self.digest_of(record.role, &record.name, &record.version)?;
                return Err(taken(have.unwrap_or(digest)));
            }
        }
        self.inner.files.settle(&record)?;
        let outcome = if had && !removed { PushOutcome::Same } else { PushOutcome::New };
        Ok(Pushed::new(record, outcome, warnings))
    }

    /// Puts the artefact in its place; whatever else lies there goes into quarantine. The caller holds the lock.
    fn store_blob(&self, digest: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
        let path = self.inner.files.blob(digest);
        match std::fs::read(&path) {
            Ok(stored) if stored == bytes => return Ok(()),
            Ok(_) => drop(self.quarantine(digest)?),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(RegistryError::read(&path)(e)),
        }
        publish(&path, bytes).map_err(RegistryError::write(&path))
    }

    fn store_signature(&self, digest: &Digest, signature: Option<&Signature>) -> Result<(), RegistryError> {
        let Some(signature) = signature else { return Ok(()) };
        let path = self.inner.files.signatures(digest).join(format!("{}.sig", signature.key().id()));
        publish(&path, format!("{signature}\n").as_bytes()).map_err(RegistryError::write(&path))
    }

    /// Moves a damaged artefact out of the way. The caller holds the lock.
    fn quarantine(&self, digest: &Digest) -> Result<PathBuf, RegistryError> {
        let (from, to) = (self.inner.files.blob(digest), self.inner.files.quarantined(digest));
        let folder = self.inner.files.root.join("quarantine");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::rename(&from, &to))
            .map_err(RegistryError::write(&to))?;
        tracing::error!(%digest, path = %to.display(), "a damaged artefact was put into quarantine");
        Ok(to)
    }

    /// The plugin, compiled. A plugin that is in use stays loaded, whatever becomes of its file.
    ///
    /// # Errors
    /// `unknown_plugin`, `blob_damaged`, `record_damaged`, a `signature_…` code under [`SignaturePolicy::Require`],
    /// `plugin_unloadable` if this program no longer takes it.
    pub fn load(&self, digest: &Digest) -> Result<Arc<Plugin>, RegistryError> {
        let record = self.usable(digest)?;
        if self.inner.policy == SignaturePolicy::Require
            && let Some(finding) = record.signature.finding(digest, record.signed_by.as_ref())
        {
            return Err(RegistryError::Signature(finding));
        }
        if let Some(plugin) = self.loaded().get(digest) {
            return Ok(Arc::clone(plugin));
        }
        let bytes = self.read_blob(&record)?;
        let unloadable = |findings| RegistryError::Unloadable { identity: record.identity(), findings };
        let plugin = self.inner.host.load(&bytes).map_err(unloadable)?;
        self.keep_loaded(*digest, Arc::clone(&plugin));
        Ok(plugin)
    }

    /// The artefact's bytes; also of one that was removed, as long as a clean-up keeps them.
    ///
    /// # Errors
    /// `unknown_plugin`, `blob_damaged`, `record_damaged`.
    pub fn artifact(&self, digest: &Digest) -> Result<Vec<u8>, RegistryError> {
        let record = self.record(digest)?;
        if record.state == ArtefactState::Removed && !self.inner.files.blob(digest).exists() {
            return Err(record::unknown(digest, true));
        }
        self.read_blob(&record)
    }

    /// Reads everything that can be used and puts damaged artefacts into quarantine; gives what is wrong, in order.
    ///
    /// # Errors
    /// `registry_unreadable` for a folder; what is wrong with single plugins is in the answer.
    pub fn verify(&self) -> Result<Vec<RegistryError>, RegistryError> {
        let mut wrong = Vec::new();
        for (role, name, version) in self.versions()? {
            match self.record_of(role, &name, &version) {
                Ok(Some(record)) if record.state != ArtefactState::Removed => {
                    wrong.extend(self.read_blob(&record).err());
                }
                Ok(_) => {}
                Err(error) => wrong.push(error),
            }
        }
        Ok(wrong)
    }

    fn read_blob(&self, record: &Record) -> Result<Vec<u8>, RegistryError> {
        let path = self.inner.files.blob(&record.digest);
        let whole = || match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes).filter(|b| Digest::of(b) == record.digest)),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(RegistryError::read(&path)(e)),
        };
        if let Some(bytes) = whole()? {
            return Ok(bytes);
        }
        let mut quarantined = None;
        if let Ok(_lock) = self.inner.files.lock() {
            // A push may have mended it in the meantime.
            if let Some(bytes) = whole()? {
                return Ok(bytes);
            }
            quarantined = path.exists().then(|| self.quarantine(&record.digest).ok()).flatten();
        }
        Err(RegistryError::BlobDamaged { identity: record.identity(), digest: record.digest, quarantined })
    }

    /// Takes an artefact out of sight; its version stays taken, its bytes go with the next clean-up.
    ///
    /// # Errors
    /// `in_use` while a tag names it or somebody else needs it (`in_use`: lineups, results), `unknown_plugin`.
    pub fn remove(&self, digest: &Digest, in_use: &[String]) -> Result<Record, RegistryError> {
        let _lock = self.inner.files.lock()?;
        let mut record = self.usable(digest)?;
        let tags = self.tags(record.role, &record.name)?;
        let users: Vec<String> = tags
            .iter()
            .filter(|t| t.digest == *digest)
            .map(|t| format!("tag {}", t.key()))
            .chain(in_use.iter().cloned())
            .collect();
        if !users.is_empty() {
            return Err(RegistryError::InUse { identity: record.identity(), users });
        }
        record.state = ArtefactState::Removed;
        self.write_record(&record)?;
        self.loaded().remove(digest);
        Ok(record)
    }

    /// State and key of the best signature, counting one that is not stored yet.
    fn signature_of(
        &self,
        digest: &Digest,
        given: Option<&Signature>,
    ) -> Result<(SignatureState, Option<PublicKey>), RegistryError> {
        let folder = self.inner.files.signatures(digest);
        let mut best = (SignatureState::Missing, None);
        for name in files::stems(&folder, "sig")? {
            let text = std::fs::read_to_string(folder.join(format!("{name}.sig"))).unwrap_or_default();
            best = best.max(text.parse().map_or((SignatureState::Invalid, None), |s| self.worth(digest, &s)));
        }
        Ok(given.map_or(best, |s| best.max(self.worth(digest, s))))
    }

    fn worth(&self, digest: &Digest, signature: &Signature) -> (SignatureState, Option<PublicKey>) {
        let state = match signature.verify(digest) {
            false => SignatureState::Invalid,
            true if self.inner.trusted.contains(&signature.key()) => SignatureState::Trusted,
            true => SignatureState::Untrusted,
        };
        (state, Some(signature.key()))
    }

    /// What the policy has against an artefact: warnings, and reasons to refuse it.
    fn judge(&self, digest: &Digest, given: Option<&Signature>) -> Result<(Vec<Finding>, Vec<Finding>), RegistryError> {
        // Whoever gives a signature wants it to hold, whatever the policy.
        if let Some((SignatureState::Invalid, key)) = given.map(|s| self.worth(digest, s)) {
            let finding = SignatureState::Invalid.finding(digest, key.as_ref());
            return Ok((Vec::new(), finding.into_iter().collect()));
        }
        let (state, key) = self.signature_of(digest, given)?;
        let findings: Vec<Finding> = state.finding(digest, key.as_ref()).into_iter().collect();
        Ok(match self.inner.policy {
            SignaturePolicy::Off => (Vec::new(), Vec::new()),
            SignaturePolicy::Warn => (findings, Vec::new()),
            SignaturePolicy::Require => (Vec::new(), findings),
        })
    }

    fn loaded(&self) -> MutexGuard<'_, BTreeMap<Digest, Arc<Plugin>>> {
        self.inner.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_loaded(&self, digest: Digest, plugin: Arc<Plugin>) {
        let mut loaded = self.loaded();
        if loaded.len() >= MAX_IDLE_LOADED {
            loaded.retain(|_, p| Arc::strong_count(p) > 1);
        }
        loaded.insert(digest, plugin);
    }
}

/// JSON has no other numbers.
fn is_finite(cost: &CostCard) -> bool {
    let shares = cost.limits.iter().flat_map(|l| [l.used, l.limit]);
    [cost.ns_per_row, cost.instructions_per_row].into_iter().chain(shares).all(f64::is_finite)
}
