//! Tokens: 256 random bits, shown once, kept as SHA-256.
//!
//! The file belongs to whoever may write the folder, so the commands of a terminal change it directly, under a lock; a
//! running server sees the change at the next request.

use crate::access::{Identity, Role};
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_durable::{lock, publish};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq as _;

const DAY_NS: i64 = 86_400_000_000_000;
/// Longest life of a token, days.
pub(crate) const MAX_DAYS: u32 = 3650;
/// What every token begins with, so that one is recognised where it must not stand.
pub(crate) const PREFIX: &str = "ght_";

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Names the token in lists and to `revoke`.
    pub id: String,
    /// Who or what uses it; unique.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// SHA-256 of the secret.
    pub sha256: Digest,
    /// Wall clock, ns since the epoch.
    pub created_at_ns: i64,
    /// Wall clock, ns since the epoch; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ns: Option<i64>,
}

impl TokenRecord {
    fn is_expired(&self, now_ns: i64) -> bool {
        self.expires_at_ns.is_some_and(|at| at <= now_ns)
    }
}

/// A new token; the only time that its secret is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What is kept.
    pub record: TokenRecord,
    /// What the client sends behind `Bearer`.
    pub secret: String,
}

/// Why a token cannot be made, found or kept.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The disk.
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Io {
        /// `read`, `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not what this program wrote.
    #[error("{path} is no list of tokens: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers: {what}")]
    NoRandomness {
        /// Its words.
        what: String,
    },
    /// The name is taken.
    #[error("a token named `{name}` exists")]
    Exists {
        /// The name.
        name: String,
    },
    /// The name is empty, too long or has odd characters.
    #[error("`{name}` is no name for a token; 1 to 64 of a-z, A-Z, 0-9, `-`, `_`, `.`")]
    BadName {
        /// The name.
        name: String,
    },
    /// The life is out of bounds.
    #[error("a token cannot live {days} days; 1 to {MAX_DAYS}")]
    BadDays {
        /// Days asked for.
        days: u32,
    },
    /// There is none of this id or name.
    #[error("there is no token `{id}`")]
    Unknown {
        /// As asked for.
        id: String,
    },
    /// Without it nobody could make another over HTTP.
    #[error("`{name}` is the last token of the role admin")]
    LastAdmin {
        /// Its name.
        name: String,
    },
}

impl From<TokenError> for Problem {
    fn from(e: TokenError) -> Self {
        use ErrorClass::{Conflict, Internal, Limit, Unavailable, User};
        let (code, class, remedy) = match &e {
            TokenError::Io { source, .. } if ghtrader_durable::is_full(source) => {
                ("disk_full", Limit, "free some space and ask again")
            }
            TokenError::Io { .. } => ("tokens_unavailable", Unavailable, "mend the cause named and ask again"),
            TokenError::Damaged { .. } => ("tokens_damaged", Internal, "remove the file; all tokens are void then"),
            TokenError::NoRandomness { .. } => ("no_randomness", Unavailable, "ask again later"),
            TokenError::Exists { .. } => ("token_exists", Conflict, "choose another name, or revoke that one first"),
            TokenError::BadName { .. } => ("bad_token_name", User, "choose a plain name, such as `dashboard`"),
            TokenError::BadDays { .. } => ("bad_token_days", User, "choose a number inside the bounds"),
            TokenError::Unknown { .. } => ("unknown_token", User, "`ghtrader token list` shows all ids"),
            TokenError::LastAdmin { .. } => ("last_admin", Conflict, "create another admin token first"),
        };
        Self::new(code, class, e.to_string(), remedy)
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    tokens: Vec<TokenRecord>,
}

/// Inode, size and time of the file that a list was read from.
type Stamp = (u64, u64, i64, i64);

/// What becomes of a secret that a client shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Known(Identity),
    Expired { name: String },
    Unknown,
}

/// The tokens of one root.
#[derive(Debug)]
pub struct TokenStore {
    dir: PathBuf,
    read: Mutex<(Option<Stamp>, Arc<Vec<TokenRecord>>)>,
}

impl TokenStore {
    /// The tokens kept in a folder, usually `<runs>/control`.
    pub fn new(control_dir: &Path) -> Self {
        Self { dir: control_dir.to_path_buf(), read: Mutex::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("tokens.json")
    }

    /// The file with the first token's secret.
    pub fn admin_file(&self) -> PathBuf {
        self.dir.join("admin.token")
    }

    /// Makes the first token if there is none and writes its secret to [`Self::admin_file`], for the owner's eyes only.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn ensure_admin(&self, now_ns: i64) -> Result<(), TokenError> {
        let _lock = self.lock()?;
        if !self.load()?.tokens.is_empty() {
            return Ok(());
        }
        let created = new_token("admin", Role::Admin, None, now_ns)?;
        // The secret first: a crash between the two leaves a file that the next start replaces, never a token nobody knows.
        self.publish(&self.admin_file(), format!("{}\n", created.secret).as_bytes())?;
        self.save(&TokenFile { tokens: vec![created.record] })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn create(&self, name: &str, role: Role, days: u32, now_ns: i64) -> Result<Created, TokenError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(TokenError::BadName { name: name.to_owned() });
        }
        if days == 0 || days > MAX_DAYS {
            return Err(TokenError::BadDays { days });
        }
        let _lock = self.lock()?;
        let mut file = self.load()?;
        // An expired token's name is free again.
        file.tokens.retain(|t| t.name != name || !t.is_expired(now_ns));
        if file.tokens.iter().any(|t| t.name == name) {
            return Err(TokenError::Exists { name: name.to_owned() });
        }
        let created = new_token(name, role, Some(now_ns.saturating_add(i64::from(days) * DAY_NS)), now_ns)?;
        file.tokens.push(created.record.clone());
        self.save(&file)?;
        Ok(created)
    }

    /// All tokens, expired ones too, in the order of their making.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn list(&self) -> Result<Vec<TokenRecord>, TokenError> {
        Ok(self.load()?.tokens)
    }

    /// Makes a token void, named by id or name.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn revoke(&self, id: &str, now_ns: i64) -> Result<TokenRecord, TokenError> {
        let _lock = self.lock()?;
        let mut file = self.load()?;
        let at = file.tokens.iter().position(|t| t.id == id || t.name == id);
        let at = at.ok_or_else(|| TokenError::Unknown { id: id.to_owned() })?;
        let gone = file.tokens.remove(at);
        let is_admin = |t: &TokenRecord| t.role == Role::Admin && !t.is_expired(now_ns);
        if is_admin(&gone) && !file.tokens.iter().any(is_admin) {
            return Err(TokenError::LastAdmin { name: gone.name });
        }
        self.save(&file)?;
        Ok(gone)
    }

    /// Whom a secret stands for. Every kept hash is compared, each in constant time.
    pub(crate) fn identify(&self, secret: &str, now_ns: i64) -> Result<Shown, TokenError> {
        let shown = Digest::of(secret.as_bytes());
        let mut found = None;
        for token in self.present()?.iter() {
            if bool::from(token.sha256.0.ct_eq(&shown.0)) {
                found = Some(token.clone());
            }
        }
        Ok(match found {
            Some(t) if t.is_expired(now_ns) => Shown::Expired { name: t.name },
            Some(t) => Shown::Known(Identity { id: t.id, name: t.name, role: t.role }),
            None => Shown::Unknown,
        })
    }

    /// The token still holds.
    pub(crate) fn is_valid(&self, id: &str, now_ns: i64) -> bool {
        self.present().is_ok_and(|tokens| tokens.iter().any(|t| t.id == id && !t.is_expired(now_ns)))
    }

    /// The list as it is now, read again only if the file is another.
    fn present(&self) -> Result<Arc<Vec<TokenRecord>>, TokenError> {
        let stamp = std::fs::metadata(self.path()).ok().map(|m| (m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if read.0 != stamp || stamp.is_none() {
            *read = (stamp, Arc::new(self.load()?.tokens));
        }
        Ok(read.1.clone())
    }

    fn lock(&self) -> Result<ghtrader_durable::Lock, TokenError> {
        let path = self.dir.join("tokens.lock");
        lock(&path).map_err(|source| TokenError::Io { doing: "write", path, source })
    }

    fn load(&self) -> Result<TokenFile, TokenError> {
        let path = self.path();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| TokenError::Damaged { path, what: e.to_string() }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(TokenFile::default()),
            Err(source) => Err(TokenError::Io { doing: "read", path, source }),
        }
    }

    fn save(&self, file: &TokenFile) -> Result<(), TokenError> {
        let path = self.path();
        let bytes = serde_json::to_vec_pretty(file)
            .map_err(|e| TokenError::Damaged { path: path.clone(), what: e.to_string() })?;
        self.publish(&path, &bytes)
    }

    /// Publishing makes a file that its owner alone may read, from its first byte on.
    fn publish(&self, path: &Path, bytes: &[u8]) -> Result<(), TokenError> {
        publish(path, bytes).map_err(|source| TokenError::Io { doing: "write", path: path.to_path_buf(), source })
    }
}

fn new_token(name: &str, role: Role, expires_at_ns: Option<i64>, now_ns: i64) -> Result<Created, TokenError> {
    let mut bits = [0_u8; 32];
    getrandom::fill(&mut bits).map_err(|e| TokenError::NoRandomness { what: e.to_string() })?;
    let secret = format!("{PREFIX}{}", Digest(bits));
    let sha256 = Digest::of(secret.as_bytes());
    let id = format!("tok-{}", &sha256.to_string()[..12]);
    let record = TokenRecord { id, name: name.to_owned(), role, sha256, created_at_ns: now_ns, expires_at_ns };
    Ok(Created { record, secret })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    /// C-14
    #[test]
    fn the_first_start_makes_one_admin_whom_only_the_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::new(dir.path());
        store.ensure_admin(1).unwrap();
        let secret = std::fs::read_to_string(store.admin_file()).unwrap();
        store.ensure_admin(2).unwrap();
        assert_eq!(std::fs::read_to_string(store.admin_file()).unwrap(), secret, "made once");
        assert_eq!((mode(&store.admin_file()), mode(&store.path())), (0o600, 0o600));
        assert_eq!(secret.trim().len(), PREFIX.len() + 64);
        let kept = std::fs::read_to_string(store.path()).unwrap();
        assert!(!kept.contains(secret.trim()), "the secret is not kept");
        assert!(matches!(store.identify(secret.trim(), 9).unwrap(), Shown::Known(i) if i.role == Role::Admin));
        assert!(matches!(store.revoke("admin", 3), Err(TokenError::LastAdmin { .. })));
    }

    /// C-14
    #[test]
    fn a_token_expires_is_revoked_and_is_seen_by_another_store() {
        let dir = tempfile::tempdir().unwrap();
        let (server, terminal) = (TokenStore::new(dir.path()), TokenStore::new(dir.path()));
        server.ensure_admin(0).unwrap();
        assert_eq!(server.identify("ght_x", 0).unwrap(), Shown::Unknown);
        let made = terminal.create("desk", Role::Viewer, 1, 0).unwrap();
        assert!(matches!(server.identify(&made.secret, DAY_NS - 1).unwrap(), Shown::Known(_)));
        assert_eq!(server.identify(&made.secret, DAY_NS).unwrap(), Shown::Expired { name: "desk".to_owned() });
        assert!(matches!(terminal.create("desk", Role::Viewer, 1, 5), Err(TokenError::Exists { .. })));
        terminal.revoke("desk", 5).unwrap();
        assert_eq!(server.identify(&made.secret, 5).unwrap(), Shown::Unknown);
        assert!(!server.is_valid(&made.record.id, 5));
        for (name, days) in [("", 1), ("a b", 1), ("x", 0), ("x", MAX_DAYS + 1)] {
            assert!(terminal.create(name, Role::Admin, days, 5).is_err(), "{name} {days}");
        }
        assert_eq!(server.list().unwrap().len(), 1, "nothing refused is kept");
    }
}
