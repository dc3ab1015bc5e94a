//! What a symbol-day consists of, and the canonical JSON it is kept in.

use crate::StoreError;
use ghtrader_core::{ContractId, Digest, TradingDay};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;

/// A dataset of tick rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dataset {
    /// Raw ticks of one contract, every phase.
    Ticks,
    /// Continuous L5 ticks of the main contract, prices as traded.
    MainL5,
}

impl Dataset {
    /// All datasets.
    pub const ALL: [Self; 2] = [Self::Ticks, Self::MainL5];

    /// The name in paths, such as `main_l5`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::MainL5 => "main_l5",
        }
    }
}

impl std::fmt::Display for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the exchange counted volume, amount and open interest that day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// A trade of one lot counts one.
    Single,
    /// A trade of one lot counts two (most exchanges before 2020-01-01).
    Double,
}

/// Which contract a `main_l5` day was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderlyingMeta {
    /// The contract.
    pub contract: ContractId,
    /// From 0, one more at each change of contract.
    pub segment_id: u32,
    /// Hash of the schedule that says so, 16 hex digits.
    pub schedule_hash: String,
}

/// What the writer of a symbol-day knows beside its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayMeta {
    /// Kind of source, such as `tqsdk_csv`; no path, no time.
    pub source: String,
    /// How volumes count.
    pub counting: Counting,
    /// Digest of everything that decided the rows (input bytes, rules' version).
    pub build: Digest,
    /// Set for [`Dataset::MainL5`].
    pub underlying: Option<UnderlyingMeta>,
}

/// A stored symbol-day: its file by digest, and what is in it. Holds no clock value, so equal input gives equal bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Dataset.
    pub dataset: Dataset,
    /// Contract or continuous symbol.
    pub symbol: String,
    /// Trading day.
    pub trading_day: TradingDay,
    /// Rows.
    pub rows: u64,
    /// Exchange time of the first row, ns.
    pub first_ts_ns: i64,
    /// Exchange time of the last row, ns.
    pub last_ts_ns: i64,
    /// Digest of the Parquet file, which is also its name.
    pub sha256: Digest,
    /// Kind of source.
    pub source: String,
    /// Hash of the tick schema, [`ghtrader_core::Column::schema_hash`].
    pub schema: String,
    /// How volumes count.
    pub counting: Counting,
    /// Digest of everything that decided the rows.
    pub build: Digest,
    /// Set for [`Dataset::MainL5`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underlying: Option<UnderlyingMeta>,
}

impl Manifest {
    /// What was said of the day when it was stored.
    pub fn meta(&self) -> DayMeta {
        DayMeta {
            source: self.source.clone(),
            counting: self.counting,
            build: self.build,
            underlying: self.underlying.clone(),
        }
    }
}

/// What [`crate::Store::put_day`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The same rows were there already.
    Unchanged(Manifest),
    /// The day is new.
    Stored(Manifest),
    /// Other rows were there.
    Replaced {
        /// Digest of the file that was replaced.
        old: Digest,
        /// What is stored now.
        new: Manifest,
    },
}

impl PutOutcome {
    /// What is stored now.
    pub const fn manifest(&self) -> &Manifest {
        match self {
            Self::Unchanged(m) | Self::Stored(m) | Self::Replaced { new: m, .. } => m,
        }
    }
}

/// A JSON file that notices a flipped bit: the body and the first 16 hex digits of its digest.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed<T> {
    check: String,
    body: T,
}

/// Canonical bytes: fields in declared order, one form of white space, a final newline.
pub(crate) fn seal<T: Serialize>(path: &Path, body: &T) -> Result<Vec<u8>, StoreError> {
    let corrupt = |e: serde_json::Error| StoreError::ManifestCorrupt { path: path.to_owned(), why: e.to_string() };
    let check = Digest::of(&serde_json::to_vec(body).map_err(corrupt)?).short16();
    let mut text = serde_json::to_vec_pretty(&Sealed { check, body }).map_err(corrupt)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads what [`seal`] wrote; any byte that differs from the canonical form is damage.
pub(crate) fn unseal<T: Serialize + DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |why: String| StoreError::ManifestCorrupt { path: path.to_owned(), why };
    let sealed: Sealed<T> = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
    if seal(path, &sealed.body)? != bytes {
        return Err(corrupt("its check does not match its body".into()));
    }
    Ok(sealed.body)
}
