//! Entries that hold each other: each carries its number, and the hash of the one before.

use ghtrader_core::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The hash before the first entry.
pub(crate) const NONE: Digest = Digest([0; 32]);

/// An entry with its place in a chain; one line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chained<T> {
    /// Number in the chain, from 1 without a gap.
    pub seq: u64,
    /// Wall clock, ns since the epoch.
    pub time_ns: i64,
    /// What happened.
    #[serde(flatten)]
    pub entry: T,
    /// Hash of the entry before; zeros at the first.
    pub prev_hash: Digest,
    /// SHA-256 of the line up to this field.
    pub hash: Digest,
}

/// The end of a chain: where the next entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Entries so far.
    pub(crate) seq: u64,
    /// Hash of the last one.
    pub(crate) hash: Digest,
}

impl Head {
    /// Of a chain without entries.
    pub(crate) const START: Self = Self { seq: 0, hash: NONE };

    /// The next entry of the chain, with its place.
    pub(crate) fn next<T: Serialize + Clone>(&mut self, time_ns: i64, entry: T) -> Chained<T> {
        let mut next = Chained { seq: self.seq + 1, time_ns, entry, prev_hash: self.hash, hash: NONE };
        next.hash = hash_of(&next);
        *self = Self { seq: next.seq, hash: next.hash };
        next
    }

    /// Reads the line behind this place, without its end; the place moves on only if the line follows.
    ///
    /// # Errors
    /// Why it does not follow.
    pub(crate) fn follow<T: Serialize + DeserializeOwned + Clone>(
        &mut self,
        line: &[u8],
    ) -> Result<Chained<T>, String> {
        let next: Chained<T> = serde_json::from_slice(line).map_err(|e| format!("it is no entry: {e}"))?;
        if next.seq != self.seq + 1 {
            return Err(format!("it has number {}", next.seq));
        }
        if next.prev_hash != self.hash {
            return Err("it does not follow the entry before".to_owned());
        }
        if hash_of(&next) != next.hash {
            return Err("its hash is another".to_owned());
        }
        // The hash covers what was read; this covers what was not, such as white space or a doubled field.
        if serde_json::to_vec(&next).is_ok_and(|b| b != line) {
            return Err("its bytes are not those that were written".to_owned());
        }
        *self = Self { seq: next.seq, hash: next.hash };
        Ok(next)
    }
}

fn hash_of<T: Serialize + Clone>(entry: &Chained<T>) -> Digest {
    let unhashed = Chained { hash: NONE, ..entry.clone() };
    // An entry is made of texts and finite numbers, which always have a JSON form.
    Digest::of(&serde_json::to_vec(&unhashed).unwrap_or_default())
}
