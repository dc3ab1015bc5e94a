//! How the registry says no.

use crate::{Finding, Role};
use ghtrader_core::{Digest, ErrorClass, Problem};
use std::path::{Path, PathBuf};

/// Why the registry did not do what was asked; nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The text names a plugin in no known form, or names several.
    #[error("`{reference}` names no plugin: {why}")]
    BadReference {
        /// The text as given.
        reference: String,
        /// What is wrong with it.
        why: String,
        /// What to write instead.
        remedy: String,
    },
    /// No plugin of that name or digest was ever pushed, or it was removed.
    #[error("the registry has no plugin `{name}`{}", if *removed { ": it was removed" } else { "" })]
    UnknownPlugin {
        /// `role/name`, `name`, or a digest.
        name: String,
        /// A name that may have been meant.
        near: Option<String>,
        /// It was there once.
        removed: bool,
    },
    /// The plugin is there, that version of it is not.
    #[error("{role}/{name} has no version {version}{}", if *removed { ": it was removed" } else { "" })]
    UnknownVersion {
        /// What the plugin does.
        role: Role,
        /// Its name.
        name: String,
        /// What was asked for.
        version: String,
        /// Its newest versions, newest first.
        newest: Vec<String>,
        /// It was there once.
        removed: bool,
    },
    /// The plugin is there, the tag was never set.
    #[error("{role}/{name} has no tag `{tag}`")]
    UnknownTag {
        /// What the plugin does.
        role: Role,
        /// Its name.
        name: String,
        /// What was asked for.
        tag: String,
        /// A tag that may have been meant.
        near: Option<String>,
    },
    /// A tag of one plugin cannot name another plugin.
    #[error("the tag {key} cannot name {identity}, which is another plugin")]
    TagMismatch {
        /// `role/name:tag`.
        key: String,
        /// `role/name@version` of the digest.
        identity: String,
    },
    /// The tag has moved since it was looked at.
    #[error("the tag {key} is at generation {present}, the change was meant for {}", generation(*given))]
    GenerationStale {
        /// `role/name:tag`.
        key: String,
        /// What the caller took it to be; none for a tag that is not there yet.
        given: Option<u64>,
        /// What it is; 0 if it is not there.
        present: u64,
    },
    /// The stored artefact is not what was pushed, or is gone.
    #[error("the artefact of {identity} (sha256:{digest}) {}", damage(quarantined.as_deref()))]
    BlobDamaged {
        /// `role/name@version`.
        identity: String,
        /// Its digest.
        digest: Digest,
        /// Where the damaged file lies now; none if there is no file, or none that can be moved.
        quarantined: Option<PathBuf>,
    },
    /// A file that says what was pushed or tagged is damaged, or gone.
    #[error("{} is damaged or gone: its bytes are not those that were written", path.display())]
    RecordDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The plugin is named by a tag, or somebody else needs it.
    #[error("{identity} is in use by {}", users.join(", "))]
    InUse {
        /// `role/name@version`.
        identity: String,
        /// Tags, lineups and results.
        users: Vec<String>,
    },
    /// The policy asks for a signature that the stored artefact does not have.
    #[error("{}", .0.what)]
    Signature(Finding),
    /// The artefact was admitted once and does not load now.
    #[error("{identity} does not load: {}", listed(findings))]
    Unloadable {
        /// `role/name@version`.
        identity: String,
        /// What the host says.
        findings: Vec<Finding>,
    },
    /// Files came, went or came into use since the clean-up was planned.
    #[error("the clean-up plan {given} is outdated, the present one is {present}")]
    PlanStale {
        /// What was planned.
        given: Digest,
        /// What would be planned now.
        present: Digest,
    },
    /// The disk or a quota is full.
    #[error("cannot write {}: the disk is full", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// A file is there and cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
}

fn generation(given: Option<u64>) -> String {
    given.map_or("a tag that is not there yet".to_owned(), |g| format!("generation {g}"))
}

fn damage(quarantined: Option<&Path>) -> String {
    match quarantined {
        Some(path) => format!("is damaged and was moved to {}", path.display()),
        None => "is damaged or gone".to_owned(),
    }
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}

impl RegistryError {
    pub(super) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| match ghtrader_durable::is_full(&source) {
            true => Self::DiskFull { path },
            false => Self::Unwritable { path, source },
        }
    }

    pub(super) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Unreadable { path, source }
    }

    /// Stable name, `snake_case`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadReference { .. } => "bad_reference",
            Self::UnknownPlugin { .. } => "unknown_plugin",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::UnknownTag { .. } => "unknown_tag",
            Self::TagMismatch { .. } => "tag_mismatch",
            Self::GenerationStale { .. } => "generation_stale",
            Self::BlobDamaged { .. } => "blob_damaged",
            Self::RecordDamaged { .. } => "record_damaged",
            Self::InUse { .. } => "in_use",
            Self::Signature(finding) => finding.code,
            Self::Unloadable { .. } => "plugin_unloadable",
            Self::PlanStale { .. } => "plan_stale",
            Self::DiskFull { .. } => "disk_full",
            Self::Unwritable { .. } => "registry_unwritable",
            Self::Unreadable { .. } => "registry_unreadable",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::BadReference { .. }
            | Self::UnknownPlugin { .. }
            | Self::UnknownVersion { .. }
            | Self::UnknownTag { .. }
            | Self::TagMismatch { .. } => ErrorClass::User,
            Self::GenerationStale { .. } | Self::InUse { .. } | Self::PlanStale { .. } => ErrorClass::Conflict,
            Self::Signature(_) | Self::Unloadable { .. } => ErrorClass::Plugin,
            Self::DiskFull { .. } => ErrorClass::Limit,
            Self::BlobDamaged { .. }
            | Self::RecordDamaged { .. }
            | Self::Unwritable { .. }
            | Self::Unreadable { .. } => ErrorClass::Unavailable,
        }
    }

    fn remedy(&self) -> String {
        let meant = |near: &Option<String>, otherwise: &str| {
            near.as_ref().map_or(otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
        };
        match self {
            Self::BadReference { remedy, .. } => remedy.clone(),
            Self::UnknownPlugin { removed: true, .. } | Self::UnknownVersion { removed: true, .. } => {
                "push the same artefact again to bring it back".to_owned()
            }
            Self::UnknownPlugin { near, .. } => meant(near, "push it first"),
            Self::UnknownVersion { newest, .. } if newest.is_empty() => "push it first".to_owned(),
            Self::UnknownVersion { newest, .. } => format!("its newest versions are {}", newest.join(", ")),
            Self::UnknownTag { near, .. } => meant(near, "set it first"),
            Self::TagMismatch { .. } => "give a digest of the plugin that the tag belongs to".to_owned(),
            Self::GenerationStale { present: 0, .. } => "leave the generation out, to set the tag anew".to_owned(),
            Self::GenerationStale { present, .. } => {
                format!("look at what the tag names now, then give generation {present}")
            }
            Self::BlobDamaged { .. } => "push the same artefact again".to_owned(),
            Self::RecordDamaged { .. } => {
                "push the same artefact again; restore a tag from a backup, or delete its file and set it anew"
                    .to_owned()
            }
            Self::InUse { .. } => "move the tag, retire the lineup or remove the result first".to_owned(),
            Self::Signature(finding) => finding.remedy.clone(),
            Self::Unloadable { findings, .. } => findings.first().map_or(String::new(), |f| f.remedy.clone()),
            Self::PlanStale { .. } => "look at the present plan, then apply that".to_owned(),
            Self::DiskFull { .. } => "free some space and try again; nothing was stored".to_owned(),
            Self::Unwritable { .. } => "give this user the right to write there".to_owned(),
            Self::Unreadable { .. } => "give this user the right to read there, and check the disk".to_owned(),
        }
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        Self::new(error.code(), error.class(), error.to_string(), error.remedy())
    }
}

/// Why an artefact was not taken in; nothing has been stored then.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// All that admission and the signature policy have against it.
    #[error("{} finding{}\n{}", .0.len(), if .0.len() == 1 { "" } else { "s" }, listed(.0))]
    Refused(Vec<Finding>),
    /// That version is other bytes already.
    #[error("{identity} was pushed before with other bytes: sha256:{have}, now sha256:{given}")]
    VersionExists {
        /// `role/name@version`.
        identity: String,
        /// Its digest.
        have: Digest,
        /// The digest of what was pushed now.
        given: Digest,
    },
    /// It is larger than any plugin may be.
    #[error("the artefact has {bytes} bytes, the limit is {bound}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bound: usize,
    },
    /// The registry itself failed.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<PushError> for Problem {
    fn from(error: PushError) -> Self {
        let what = error.to_string();
        match error {
            PushError::Refused(findings) => {
                let remedy = findings.first().map_or(String::new(), |f| f.remedy.clone());
                // A policy that is alone in its objection is named; the code itself has nothing wrong with it.
                let code = match findings.as_slice() {
                    [only] if only.code.starts_with("signature_") => only.code,
                    _ => "admission_failed",
                };
                Self::new(code, ErrorClass::Plugin, format!("the artefact is refused: {what}"), remedy)
            }
            PushError::VersionExists { .. } => Self::new(
                "version_exists",
                ErrorClass::Conflict,
                what,
                "a version is written once: raise plugin.version in plugin.toml",
            ),
            PushError::TooLarge { .. } => {
                Self::new("artefact_too_large", ErrorClass::User, what, "strip the code, and keep data out of it")
            }
            PushError::Registry(error) => error.into(),
        }
    }
}
