//! Names of plugins as people write them, and what they stand for now.

use super::files::is_name;
use super::record::ROLES;
use super::{ArtefactState, Registry, RegistryError};
use crate::Role;
use crate::finding::nearest;
use crate::version::Version;
use ghtrader_core::Digest;
use serde::Serialize;

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// SHA-256 of the artefact.
    pub digest: Digest,
    /// `role/name@version`.
    pub identity: String,
    /// How it was found.
    pub via: Via,
}

/// How a reference was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// By its digest.
    Digest,
    /// By its version.
    Version,
    /// By a tag, which may move.
    Tag {
        /// `role/name:tag`.
        key: String,
        /// How often the tag had been set.
        generation: u64,
    },
}

/// A reference, taken apart.
#[derive(Debug, PartialEq, Eq)]
enum Reference<'a> {
    Digest(Digest),
    Version { role: Option<Role>, name: &'a str, version: &'a str },
    Tag { role: Option<Role>, name: &'a str, tag: &'a str },
}

const FORMS: &str =
    "write `name@1.2.3`, `name:tag`, either with `feature/`, `label/` or `strategy/` before it, or a digest";

fn bad(reference: &str, why: impl Into<String>, remedy: impl Into<String>) -> RegistryError {
    RegistryError::BadReference {
        reference: reference.chars().take(200).collect(),
        why: why.into(),
        remedy: remedy.into(),
    }
}

fn parse(reference: &str) -> Result<Reference<'_>, RegistryError> {
    if let Ok(digest) = reference.parse() {
        return Ok(Reference::Digest(digest));
    }
    if reference.starts_with("sha256:") {
        return Err(bad(reference, "a digest has 64 hex digits", FORMS));
    }
    let (role, rest) = match reference.split_once('/') {
        None => (None, reference),
        Some((role, rest)) => match ROLES.iter().find(|r| r.as_str() == role) {
            Some(found) => (Some(*found), rest),
            None => {
                let near = nearest(role, ROLES.map(Role::as_str));
                let remedy = near.map_or(FORMS.to_owned(), |n| format!("did you mean `{n}/{rest}`?"));
                return Err(bad(reference, format!("`{role}` is no role"), remedy));
            }
        },
    };
    let checked = |name| match is_name(name) {
        true => Ok(name),
        false => {
            Err(bad(reference, format!("`{name}` is no name"), "names have lower-case letters, digits and hyphens"))
        }
    };
    if let Some((name, version)) = rest.split_once('@') {
        Version::parse(version)
            .ok_or_else(|| bad(reference, format!("`{version}` is no version"), "write major.minor.patch"))?;
        return Ok(Reference::Version { role, name: checked(name)?, version });
    }
    if let Some((name, tag)) = rest.split_once(':') {
        return Ok(Reference::Tag { role, name: checked(name)?, tag: checked(tag)? });
    }
    Err(bad(reference, "it has neither version nor tag", FORMS))
}

impl Registry {
    /// The digest that a reference stands for now.
    ///
    /// # Errors
    /// `bad_reference` for a text in no known form, for a name that several roles have, and for a plugin of another role than
    /// asked for; `unknown_plugin`, `unknown_version`, `unknown_tag`, with the nearest name there is.
    pub fn resolve(&self, reference: &str, role: Option<Role>) -> Result<Resolved, RegistryError> {
        let (digest, via) = match parse(reference)? {
            Reference::Digest(digest) => (digest, Via::Digest),
            Reference::Version { role: written, name, version } => {
                let role = self.role_of(reference, written.or(role), name)?;
                (self.version(role, name, version)?, Via::Version)
            }
            Reference::Tag { role: written, name, tag } => {
                let role = self.role_of(reference, written.or(role), name)?;
                let history = self.tag(role, name, tag)?;
                (history.digest, Via::Tag { key: history.key(), generation: history.generation })
            }
        };
        let record = self.usable(&digest)?;
        match role.filter(|r| *r != record.role) {
            Some(due) => {
                let why = format!("it is the {} {}, a {due} is due", record.role, record.identity());
                Err(bad(reference, why, format!("name a {due}")))
            }
            None => Ok(Resolved { digest, identity: record.identity(), via }),
        }
    }

    fn version(&self, role: Role, name: &str, version: &str) -> Result<Digest, RegistryError> {
        let record = self.record_of(role, name, version)?;
        let removed = record.as_ref().is_some_and(|r| r.state == ArtefactState::Removed);
        match record.filter(|_| !removed) {
            Some(record) => Ok(record.digest),
            None => {
                let is_there = |v: &String| {
                    let record = self.record_of(role, name, v).ok().flatten();
                    record.is_some_and(|r| r.state != ArtefactState::Removed)
                };
                let newest =
                    self.inner.files.versions_of(role, name)?.into_iter().rev().filter(is_there).take(3).collect();
                let (name, version) = (name.to_owned(), version.to_owned());
                Err(RegistryError::UnknownVersion { role, name, version, newest, removed })
            }
        }
    }

    /// The one role in which there is a plugin of that name.
    fn role_of(&self, reference: &str, role: Option<Role>, name: &str) -> Result<Role, RegistryError> {
        let due = ROLES.into_iter().filter(|r| role.is_none_or(|due| due == *r));
        let mut roles = Vec::new();
        for role in due.clone() {
            if !self.inner.files.versions_of(role, name)?.is_empty() {
                roles.push(role);
            }
        }
        match roles.as_slice() {
            [role] => Ok(*role),
            [] => {
                let mut known = Vec::new();
                for role in due {
                    known.extend(self.inner.files.names(role)?);
                }
                let near = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
                let name = role.map_or(name.to_owned(), |r| format!("{r}/{name}"));
                Err(RegistryError::UnknownPlugin { name, near, removed: false })
            }
            several => {
                let roles: Vec<&str> = several.iter().map(|r| r.as_str()).collect();
                let remedy = format!("write the role before it, such as `{}/{reference}`", roles[0]);
                Err(bad(reference, format!("there is a {} of that name", roles.join(" and a ")), remedy))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_have_four_forms() {
        let digest = Digest::of(b"x");
        for text in [digest.to_string(), format!("sha256:{digest}")] {
            assert_eq!(parse(&text).unwrap(), Reference::Digest(digest));
        }
        let version = |role| Reference::Version { role, name: "taker", version: "1.20.3" };
        assert_eq!(parse("taker@1.20.3").unwrap(), version(None));
        assert_eq!(parse("strategy/taker@1.20.3").unwrap(), version(Some(Role::Strategy)));
        let tag = Reference::Tag { role: Some(Role::Label), name: "direction", tag: "champion" };
        assert_eq!(parse("label/direction:champion").unwrap(), tag);
    }

    #[test]
    fn other_texts_are_refused_with_what_to_write() {
        for text in [
            "",
            "taker",
            "taker@",
            "taker@1.2",
            "taker@v1.2.3",
            "taker@01.2.3",
            "taker:",
            "taker:UP",
            "@1.2.3",
            ":champion",
            "sha256:ab",
            "strateg/taker@1.2.3",
            "../x@1.2.3",
            "feature/../x@1.2.3",
            "a/b/c@1.2.3",
            "taker:../x",
            "é:x",
        ] {
            let error = parse(text).unwrap_err();
            let RegistryError::BadReference { remedy, .. } = &error else { panic!("{text}: {error}") };
            assert!(!remedy.is_empty(), "{text}");
        }
        let problem = ghtrader_core::Problem::from(parse("stratgy/taker@1.2.3").unwrap_err());
        assert_eq!(problem.remedy, "did you mean `strategy/taker@1.2.3`?");
    }
}
