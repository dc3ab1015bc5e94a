//! Where things lie, and how a small file proves that it is whole.

use super::{Record, RegistryError};
use crate::Role;
use crate::version::Version;
use ghtrader_core::Digest;
use serde::{Serialize, de::DeserializeOwned};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The registry's folder.
///
/// `blobs/DIGEST.wasm`, `records/DIGEST.json`, `signatures/DIGEST/KEY.sig`, `versions/ROLE/NAME/VERSION.json`,
/// `tags/ROLE/NAME/TAG.json`, `quarantine/DIGEST.wasm`, and `lock`, which every writer holds.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) root: PathBuf,
}

impl Files {
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(format!("{digest}.wasm"))
    }

    pub(super) fn quarantined(&self, digest: &Digest) -> PathBuf {
        self.root.join("quarantine").join(format!("{digest}.wasm"))
    }

    pub(super) fn record(&self, digest: &Digest) -> PathBuf {
        self.root.join("records").join(format!("{digest}.json"))
    }

    pub(super) fn signatures(&self, digest: &Digest) -> PathBuf {
        self.root.join("signatures").join(digest.to_string())
    }

    pub(super) fn versions(&self, role: Role, name: &str) -> PathBuf {
        self.root.join("versions").join(role.as_str()).join(name)
    }

    pub(super) fn version(&self, role: Role, name: &str, version: &str) -> PathBuf {
        self.versions(role, name).join(format!("{version}.json"))
    }

    pub(super) fn tags(&self, role: Role, name: &str) -> PathBuf {
        self.root.join("tags").join(role.as_str()).join(name)
    }

    pub(super) fn tag(&self, role: Role, name: &str, tag: &str) -> PathBuf {
        self.tags(role, name).join(format!("{tag}.json"))
    }

    /// Waits until no other process writes here.
    pub(super) fn lock(&self) -> Result<ghtrader_durable::Lock, RegistryError> {
        let path = self.root.join("lock");
        ghtrader_durable::lock(&path).map_err(RegistryError::write(&path))
    }

    /// Makes sure of the names that lead to an artefact: a writer who was killed may have given them and not have synced them.
    pub(super) fn settle(&self, record: &Record) -> Result<(), RegistryError> {
        let version = self.version(record.role, &record.name, &record.version);
        let files = [self.blob(&record.digest), self.record(&record.digest), version];
        let folders: BTreeSet<&Path> =
            files.iter().flat_map(|f| f.ancestors().skip(1).take_while(|a| a.starts_with(&self.root))).collect();
        folders.into_iter().try_for_each(|f| ghtrader_durable::sync_folder(f).map_err(RegistryError::write(f)))
    }

    /// Names of all plugins of a role that have a version, in order.
    pub(super) fn names(&self, role: Role) -> Result<Vec<String>, RegistryError> {
        let mut names = Vec::new();
        for name in entries(&self.root.join("versions").join(role.as_str()))?.into_iter().filter(|n| is_name(n)) {
            if !self.versions_of(role, &name)?.is_empty() {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// All versions of a plugin, oldest first.
    pub(super) fn versions_of(&self, role: Role, name: &str) -> Result<Vec<String>, RegistryError> {
        let mut versions: Vec<(Version, String)> = stems(&self.versions(role, name), "json")?
            .into_iter()
            .filter_map(|v| Some((Version::parse(&v)?, v)))
            .collect();
        versions.sort();
        Ok(versions.into_iter().map(|(_, v)| v).collect())
    }
}

/// Fit for a file's name: 1 to 64 lower-case letters, digits and hyphens, a letter first.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

/// Names in a folder, in order; temporary files, and a folder that is not there, have none.
pub(super) fn entries(folder: &Path) -> Result<Vec<String>, RegistryError> {
    let listed = match std::fs::read_dir(folder) {
        Ok(listed) => listed,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(RegistryError::read(folder)(e)),
    };
    let mut names = Vec::new();
    for entry in listed {
        let name = entry.map_err(RegistryError::read(folder))?.file_name();
        names.extend(name.to_str().filter(|n| !n.starts_with('.')).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Names in a folder that end with an extension, without it, in order.
pub(super) fn stems(folder: &Path, extension: &str) -> Result<Vec<String>, RegistryError> {
    let stem = |n: &String| n.strip_suffix(extension)?.strip_suffix('.').map(str::to_owned);
    Ok(entries(folder)?.iter().filter_map(stem).collect())
}

/// A line of JSON, and a second one with its digest: a changed byte shows even where it still parses.
pub(super) fn seal(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(value)?;
    let seal = format!("\n\"sha256:{}\"\n", Digest::of(&bytes));
    bytes.extend_from_slice(seal.as_bytes());
    Ok(bytes)
}

fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (json, seal) = bytes.split_at(bytes.iter().position(|b| *b == b'\n')?);
    (seal == format!("\n\"sha256:{}\"\n", Digest::of(json)).as_bytes()).then(|| serde_json::from_slice(json).ok())?
}

/// A sealed file; none if there is no file.
pub(super) fn read_sealed<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, RegistryError> {
    match std::fs::read(path) {
        Ok(bytes) => unseal(&bytes).map(Some).ok_or_else(|| RegistryError::RecordDamaged { path: path.to_owned() }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(RegistryError::read(path)(e)),
    }
}

/// Writes a sealed file over whatever is there.
pub(super) fn publish_sealed(path: &Path, value: &impl Serialize) -> Result<(), RegistryError> {
    let bytes = seal(value).map_err(std::io::Error::from).map_err(RegistryError::write(path))?;
    ghtrader_durable::publish(path, &bytes).map_err(RegistryError::write(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_or_missing_byte_breaks_the_seal() {
        let whole = seal(&vec!["a", "b"]).unwrap();
        assert_eq!(unseal::<Vec<String>>(&whole), Some(vec!["a".to_owned(), "b".to_owned()]));
        for at in 0..whole.len() {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            assert_eq!(unseal::<Vec<String>>(&bad), None, "byte {at}");
            assert_eq!(unseal::<Vec<String>>(&whole[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn names_and_versions_cannot_leave_their_folder() {
        for good in ["a", "core-factors", "a1"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "..", "a/b", "A", "1a", "a_b", "-a", "a.b", "é", &"a".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
