//! Answers kept by `Idempotency-Key`, so that a change asked for twice happens once.
//!
//! An answer is kept when the change is done: one file a key, for 24 hours. A key whose first request was cut short by a
//! crash has no file and is carried out again, which is safe because each change is bound to a digest or a generation of
//! its own. Answers that say "not now" (408, 429, 5xx) are not kept either: nothing was done, and trying again is right.

use crate::access::Identity;
use crate::refusal::Refusal;
use crate::reply::Reply;
use ghtrader_core::{Digest, DigestBuilder, ErrorClass};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const KEPT_NS: i64 = 24 * 3600 * 1_000_000_000;
const KEY_BYTES: usize = 200;

/// What was answered to a key.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    at_ns: i64,
    request: Digest,
    reply: Reply,
}

/// The keys of the last 24 hours.
#[derive(Debug)]
pub(crate) struct Idempotency {
    dir: PathBuf,
    running: Mutex<BTreeSet<Digest>>,
}

/// A key that is being carried out; free for others when dropped.
pub(crate) struct Claim {
    owner: Arc<Idempotency>,
    slot: Digest,
    request: Digest,
}

/// What to do about a request with a key.
pub(crate) enum Begun {
    /// It is the first.
    First(Claim),
    /// It was answered before.
    Again(Reply),
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claim({})", self.slot)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.owner.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.slot);
    }
}

impl Idempotency {
    /// The keys kept in a folder; those too old are removed.
    pub(crate) fn new(dir: &Path, now_ns: i64) -> Arc<Self> {
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let kept = read(&entry.path());
            if !kept.is_ok_and(|k| k.is_some_and(|k| is_fresh(&k, now_ns))) {
                // What cannot be removed now is tried again at the next start.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        Arc::new(Self { dir: dir.to_path_buf(), running: Mutex::default() })
    }

    fn path(&self, slot: &Digest) -> PathBuf {
        self.dir.join(format!("{slot}.json"))
    }

    /// Claims a key of an actor for a request on a route; `request` is the digest of everything that the client sent.
    pub(crate) fn begin(
        self: &Arc<Self>,
        who: &Identity,
        route: &str,
        key: &str,
        request: Digest,
        now_ns: i64,
    ) -> Result<Begun, Refusal> {
        if key.is_empty() || key.len() > KEY_BYTES || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Refusal::new(
                "bad_idempotency_key",
                ErrorClass::User,
                format!("an Idempotency-Key has 1 to {KEY_BYTES} visible ASCII characters; this one has {}", key.len()),
                "send a random one, such as a UUID",
            ));
        }
        let slot = DigestBuilder::new("ghtrader idempotency 1").text(&who.id).text(route).text(key).finish();
        if !self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(slot) {
            return Err(Refusal::new(
                "in_progress",
                ErrorClass::Conflict,
                format!("the first request with the Idempotency-Key `{key}` is still being carried out"),
                "ask again with the same key for its answer",
            ));
        }
        let claim = Claim { owner: self.clone(), slot, request };
        match read(&self.path(&slot)) {
            Ok(Some(kept)) if is_fresh(&kept, now_ns) && kept.request == request => Ok(Begun::Again(kept.reply)),
            Ok(Some(kept)) if is_fresh(&kept, now_ns) => Err(Refusal::new(
                "idempotency_mismatch",
                ErrorClass::Conflict,
                format!("the Idempotency-Key `{key}` was used for another request"),
                "use a new key for each new request",
            )),
            Ok(_) => Ok(Begun::First(claim)),
            Err(e) => Err(Refusal::new(
                "idempotency_unavailable",
                ErrorClass::Unavailable,
                format!("whether the Idempotency-Key `{key}` was used cannot be read: {e}"),
                "mend the cause named and ask again",
            )),
        }
    }
}

impl Claim {
    /// Keeps the answer.
    pub(crate) fn finish(self, reply: &Reply, now_ns: i64) {
        let not_now = reply.status == 408 || reply.status == 429 || reply.status >= 500;
        if not_now {
            return;
        }
        let kept = Kept { at_ns: now_ns, request: self.request, reply: reply.clone() };
        let path = self.owner.path(&self.slot);
        let kept = serde_json::to_vec(&kept).map_err(Into::into).and_then(|b| ghtrader_durable::publish(&path, &b));
        if let Err(error) = kept {
            // The change is done and must be answered as such; a repetition is held by its generation.
            tracing::warn!(%error, path = %path.display(), "an answer cannot be kept for its idempotency key");
        }
    }
}

fn is_fresh(kept: &Kept, now_ns: i64) -> bool {
    now_ns.saturating_sub(kept.at_ns) < KEPT_NS
}

/// A file that cannot be understood counts as none: it was not written by [`Claim::finish`].
fn read(path: &Path) -> std::io::Result<Option<Kept>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Role;
    use crate::reply::ok;

    fn who(id: &str) -> Identity {
        Identity { id: id.to_owned(), name: "n".to_owned(), role: Role::Operator }
    }

    fn code(begun: Result<Begun, Refusal>) -> String {
        match begun {
            Ok(Begun::First(_)) => "first".to_owned(),
            Ok(Begun::Again(reply)) => format!("again {}", reply.body),
            Err(refusal) => refusal.code().to_owned(),
        }
    }

    /// C-11
    #[test]
    fn a_key_has_one_answer_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Idempotency::new(dir.path(), 0);
        let body = Digest::of(b"body");
        let Ok(Begun::First(claim)) = keys.begin(&who("a"), "r", "k", body, 0) else { panic!("first") };
        assert_eq!(code(keys.begin(&who("a"), "r", "k", body, 0)), "in_progress");
        assert_eq!(code(keys.begin(&who("b"), "r", "k", body, 0)), "first", "keys belong to their actor");
        assert_eq!(code(keys.begin(&who("a"), "s", "k", body, 0)), "first", "and to their route");
        claim.finish(&ok(&1), 0);
        let keys = Idempotency::new(dir.path(), 1);
        assert_eq!(code(keys.begin(&who("a"), "r", "k", body, 1)), "again 1");
        assert_eq!(code(keys.begin(&who("a"), "r", "k", Digest::of(b"x"), 1)), "idempotency_mismatch");
        assert_eq!(code(keys.begin(&who("a"), "r", "k", body, KEPT_NS)), "first", "kept for a day");
        drop(Idempotency::new(dir.path(), KEPT_NS));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        for bad in ["", "a b", "ü", &"x".repeat(201)] {
            assert_eq!(code(keys.begin(&who("a"), "r", bad, body, 0)), "bad_idempotency_key");
        }
    }

    /// C-11
    #[test]
    fn an_answer_that_says_not_now_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let keys = Idempotency::new(dir.path(), 0);
        let body = Digest::of(b"body");
        let Ok(Begun::First(claim)) = keys.begin(&who("a"), "r", "k", body, 0) else { panic!("first") };
        claim.finish(&Refusal::new("service_unavailable", ErrorClass::Unavailable, "w", "r").into_reply(), 0);
        assert_eq!(code(keys.begin(&who("a"), "r", "k", body, 0)), "first");
    }
}
