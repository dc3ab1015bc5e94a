//! Tags: names that move from digest to digest and remember where they were.

use super::files::{is_name, publish_sealed, read_sealed, stems};
use super::{ArtefactState, Registry, RegistryError};
use crate::Role;
use crate::finding::nearest;
use ghtrader_core::Digest;
use serde::{Deserialize, Serialize};

/// A tag with everything that it ever named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagHistory {
    /// What the plugin does.
    pub role: Role,
    /// Its name.
    pub name: String,
    /// `candidate`, `champion`, `previous` or a name of one's own.
    pub tag: String,
    /// How often it was set.
    pub generation: u64,
    /// What it names now.
    pub digest: Digest,
    /// Every move, oldest first.
    pub moves: Vec<TagMove>,
}

/// One move of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagMove {
    /// The tag's generation behind it.
    pub generation: u64,
    /// What it named from then on.
    pub digest: Digest,
    /// That plugin's version.
    pub version: String,
    /// When, ns since the epoch.
    pub at_ns: i64,
    /// Who moved it.
    pub actor: String,
    /// Why.
    pub reason: String,
}

impl TagHistory {
    /// `role/name:tag`.
    pub fn key(&self) -> String {
        key(self.role, &self.name, &self.tag)
    }
}

fn key(role: Role, name: &str, tag: &str) -> String {
    format!("{role}/{name}:{tag}")
}

impl Registry {
    /// A tag with its history.
    ///
    /// # Errors
    /// `bad_reference` for what is no name, `unknown_plugin`, `unknown_tag`, `record_damaged`.
    pub fn tag(&self, role: Role, name: &str, tag: &str) -> Result<TagHistory, RegistryError> {
        check_names(&[name, tag])?;
        if let Some(history) = self.history(role, name, tag)? {
            return Ok(history);
        }
        if self.inner.files.versions_of(role, name)?.is_empty() {
            let near = nearest(name, self.inner.files.names(role)?.iter().map(String::as_str)).map(str::to_owned);
            return Err(RegistryError::UnknownPlugin { name: format!("{role}/{name}"), near, removed: false });
        }
        let tags = stems(&self.inner.files.tags(role, name), "json")?;
        let near = nearest(tag, tags.iter().map(String::as_str)).map(str::to_owned);
        Err(RegistryError::UnknownTag { role, name: name.to_owned(), tag: tag.to_owned(), near })
    }

    /// All tags of a plugin in order of name; none for a plugin that is not there.
    ///
    /// # Errors
    /// `bad_reference` for what is no name, `record_damaged`.
    pub fn tags(&self, role: Role, name: &str) -> Result<Vec<TagHistory>, RegistryError> {
        check_names(&[name])?;
        let mut tags = Vec::new();
        for tag in stems(&self.inner.files.tags(role, name), "json")? {
            tags.extend(self.history(role, name, &tag)?);
        }
        Ok(tags)
    }

    /// Lets a tag name an artefact of its plugin.
    ///
    /// # Errors
    /// `generation_stale` unless `if_generation` is what the tag is at, none meaning that there is no such tag yet;
    /// `unknown_plugin` for the digest, `tag_mismatch` if it is another plugin's, `blob_damaged`.
    #[expect(clippy::too_many_arguments, reason = "what is moved where, under which condition, by whom, why and when")]
    pub fn set_tag(
        &self,
        role: Role,
        name: &str,
        tag: &str,
        digest: &Digest,
        if_generation: Option<u64>,
        actor: &str,
        reason: &str,
        now_ns: i64,
    ) -> Result<TagHistory, RegistryError> {
        check_names(&[name, tag])?;
        let _lock = self.inner.files.lock()?;
        let record = self.usable(digest)?;
        let key = key(role, name, tag);
        if (record.role, record.name.as_str()) != (role, name) {
            return Err(RegistryError::TagMismatch { key, identity: record.identity() });
        }
        if record.state == ArtefactState::Quarantined {
            let quarantined = Some(self.inner.files.quarantined(digest)).filter(|p| p.exists());
            return Err(RegistryError::BlobDamaged { identity: record.identity(), digest: *digest, quarantined });
        }
        let history = self.history(role, name, tag)?;
        let present = history.as_ref().map_or(0, |h| h.generation);
        if if_generation.unwrap_or(0) != present {
            return Err(RegistryError::GenerationStale { key, given: if_generation, present });
        }
        let generation = present + 1;
        let mut moves = history.map_or(Vec::new(), |h| h.moves);
        moves.push(TagMove {
            generation,
            digest: *digest,
            version: record.version,
            at_ns: now_ns,
            actor: actor.to_owned(),
            reason: reason.to_owned(),
        });
        let (name, tag) = (name.to_owned(), tag.to_owned());
        let moved = TagHistory { role, name, tag, generation, digest: *digest, moves };
        publish_sealed(&self.inner.files.tag(role, &moved.name, &moved.tag), &moved)?;
        Ok(moved)
    }

    fn history(&self, role: Role, name: &str, tag: &str) -> Result<Option<TagHistory>, RegistryError> {
        read_sealed(&self.inner.files.tag(role, name, tag))
    }
}

/// Names become paths.
fn check_names(names: &[&str]) -> Result<(), RegistryError> {
    match names.iter().find(|n| !is_name(n)) {
        None => Ok(()),
        Some(bad) => Err(RegistryError::BadReference {
            reference: bad.chars().take(200).collect(),
            why: "it is no name".to_owned(),
            remedy: "use 1 to 64 lower-case letters, digits and hyphens, a letter first".to_owned(),
        }),
    }
}
