//! Who vouches for an artefact: ed25519 signatures over its digest.
//!
//! Everything has one text form. A public key is 64 hex digits. A signature is `KEY:SIGNATURE`, the public key and 128 hex
//! digits. A key file holds `ghtrader-secret-key:` and the 64 hex digits of the seed, so that a secret and a public key cannot
//! be taken for each other.

use crate::Finding;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use ghtrader_core::{Digest, ErrorClass, Problem};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What is signed begins with this, so that a signature of a digest made for anything else is none.
const DOMAIN: &[u8] = b"ghtrader plugin artefact sha256\0";
const SECRET_PREFIX: &str = "ghtrader-secret-key:";

/// What a key, a signature or a key file can be wrong in.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The text is no public key.
    #[error("`{text}` is no public key")]
    PublicKey {
        /// The text as given.
        text: String,
    },
    /// The text is no signature.
    #[error("`{text}` is no signature")]
    Signature {
        /// The text as given, cut.
        text: String,
    },
    /// The file holds no secret key.
    #[error("{} holds no secret key", path.display())]
    SecretKey {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the secret key.
    #[error("{} can be read by others: its mode is {mode:o}, 600 is due", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file cannot be read or written.
    #[error("the key file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        let (code, class, remedy) = match &error {
            KeyError::PublicKey { .. } => ("key_invalid", ErrorClass::User, "give its 64 hex digits"),
            KeyError::Signature { .. } => ("signature_invalid", ErrorClass::User, "give the line that signing printed"),
            KeyError::SecretKey { .. } => ("key_invalid", ErrorClass::User, "give the file that key generation made"),
            KeyError::Exposed { .. } => ("key_exposed", ErrorClass::User, "chmod 600 the file, or make a new key"),
            KeyError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists => {
                ("key_exists", ErrorClass::Conflict, "name another file; a key is never overwritten")
            }
            KeyError::Io { .. } => ("key_unreadable", ErrorClass::User, "check the path and its permissions"),
        };
        Self::new(code, class, error.to_string(), remedy)
    }
}

/// The public half of a key, by which signatures are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Short name of the key, 16 hex digits; names files, decides nothing.
    pub fn id(&self) -> String {
        Digest::of(&self.0).short16()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        // A weak key accepts signatures that nobody made.
        let valid = |bytes| VerifyingKey::from_bytes(&bytes).ok().filter(|k| !k.is_weak()).map(|_| Self(bytes));
        let cut = || text.chars().take(80).collect();
        unhex(text.trim()).and_then(valid).ok_or_else(|| KeyError::PublicKey { text: cut() })
    }
}

impl Serialize for PublicKey {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A signature of an artefact's digest, with the key that it claims to be made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    key: PublicKey,
    bytes: [u8; 64],
}

impl Signature {
    /// The key that it claims to be made by.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// It was made by its key for this artefact.
    pub fn verify(&self, artefact: &Digest) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.bytes);
        VerifyingKey::from_bytes(&self.key.0).is_ok_and(|k| k.verify_strict(&message(artefact), &signature).is_ok())
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.key, hex(&self.bytes))
    }
}

impl std::str::FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let error = || KeyError::Signature { text: text.chars().take(80).collect() };
        let (key, bytes) = text.trim().split_once(':').ok_or_else(error)?;
        Ok(Self { key: key.parse().map_err(|_| error())?, bytes: unhex(bytes).ok_or_else(error)? })
    }
}

/// A key that can sign; its secret is shown nowhere but in its file.
pub struct KeyPair(SigningKey);

impl std::fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyPair({})", self.public())
    }
}

impl KeyPair {
    /// The key of 32 random bytes.
    pub fn generate(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs an artefact.
    pub fn sign(&self, artefact: &Digest) -> Signature {
        Signature { key: self.public(), bytes: self.0.sign(&message(artefact)).to_bytes() }
    }

    /// Writes the key to a new file that only its owner can read.
    ///
    /// # Errors
    /// [`KeyError::Io`], also for a file that is there already.
    pub fn write(&self, path: &Path) -> Result<(), KeyError> {
        let failed = |source| KeyError::Io { path: path.to_owned(), source };
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
        writeln!(file, "{SECRET_PREFIX}{}", hex(self.0.as_bytes())).and_then(|()| file.sync_all()).map_err(failed)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyError::Exposed`] if others can read it, [`KeyError::SecretKey`] if it holds anything else.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::Io { path: path.to_owned(), source };
        let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let seed = text.trim().strip_prefix(SECRET_PREFIX).and_then(unhex);
        seed.map(Self::generate).ok_or_else(|| KeyError::SecretKey { path: path.to_owned() })
    }
}

/// What becomes of an artefact without a signature by a trusted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignaturePolicy {
    /// Nothing.
    Off,
    /// It is taken, with a finding.
    #[default]
    Warn,
    /// It is refused, at the push and at every load.
    Require,
}

/// The best that can be said of an artefact's signatures, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureState {
    /// There is none.
    Missing,
    /// It is damaged, or made for something else.
    Invalid,
    /// It is by a key that is not trusted.
    Untrusted,
    /// It is by a trusted key.
    Trusted,
}

impl SignatureState {
    /// What stands against an artefact in this state; nothing if it is trusted.
    pub(super) fn finding(self, artefact: &Digest, key: Option<&PublicKey>) -> Option<Finding> {
        let by = key.map_or(String::new(), |k| format!(" by {k}"));
        let (code, what, remedy) = match self {
            Self::Trusted => return None,
            Self::Missing => ("signature_missing", "has no signature".to_owned(), "sign it with a trusted key"),
            Self::Invalid => (
                "signature_invalid",
                format!("has a signature{by} that is not its own"),
                "sign these very bytes, after packing them",
            ),
            Self::Untrusted => (
                "signature_untrusted",
                format!("is signed{by}, which is not among plugin.trusted_keys"),
                "sign it with a trusted key, or add the key to plugin.trusted_keys",
            ),
        };
        Some(Finding::new(code, format!("the artefact sha256:{artefact} {what}"), remedy))
    }
}

fn message(artefact: &Digest) -> Vec<u8> {
    [DOMAIN, &artefact.0].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mut out = [0; N];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(out)
}
