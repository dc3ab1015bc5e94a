//! Rows, folders and comparisons that the tests share.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod backend;

use ghtrader_core::{Column, ContractId, Digest, Phase, TickTable, TickView, TradingDay};
use ghtrader_store::{Counting, DayMeta, UnderlyingMeta};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(crate) const SYMBOL: &str = "SHFE.cu2602";

pub(crate) fn day(n: i32) -> TradingDay {
    TradingDay::from_ymd(2025, 7, 17).unwrap().plus_days(n)
}

pub(crate) fn meta(build: &str) -> DayMeta {
    DayMeta { source: "test".into(), counting: Counting::Single, build: Digest::of(build.as_bytes()), underlying: None }
}

pub(crate) fn main_meta() -> DayMeta {
    let contract: ContractId = SYMBOL.parse().unwrap();
    let underlying = UnderlyingMeta { contract, segment_id: 3, schedule_hash: "f25225a1507bb808".into() };
    DayMeta { underlying: Some(underlying), ..meta("main") }
}

/// Rows that differ with the seed: prices on a grid, an empty level now and then, a day that starts without a trade.
pub(crate) fn table(seed: u64, rows: usize) -> TickTable {
    let mut t = TickTable::with_capacity(rows);
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = |n: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    for i in 0..rows {
        t.ts_ns.push(1_752_757_200_500_000_000 + i as i64 * 500_000_000);
        t.seq.push(i as u32);
        t.phase.push(if i < 3 { Phase::Auction } else { Phase::Continuous } as u8);
        for c in Column::floats() {
            let value =
                if c.is_price() && (i < 2 || next(20) == 0) { f64::NAN } else { 78_000.0 + 10.0 * next(50) as f64 };
            t.floats[c.index() - 1].push(value);
        }
    }
    t
}

/// Equal to the bit, any NaN equal to any other.
pub(crate) fn assert_same(found: &TickView<'_>, expected: &TickView<'_>) {
    assert_eq!(found.ts_ns, expected.ts_ns);
    assert_eq!(found.seq, expected.seq);
    assert_eq!(found.phase, expected.phase);
    for c in Column::floats() {
        let pairs = found.float(c).iter().zip(expected.float(c));
        assert_eq!(found.float(c).len(), expected.float(c).len(), "{}", c.name());
        for (row, (a, b)) in pairs.enumerate() {
            assert!(a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(), "{} row {row}: {a} and {b}", c.name());
        }
    }
}

/// All files under a folder by relative path; those that any process may drop or leave at any time are left out, and so
/// are earlier versions of days, which tell of the past.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, dir: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, files);
            } else {
                files.insert(path.strip_prefix(root).unwrap().to_owned(), std::fs::read(&path).unwrap());
            }
        }
    }
    let mut files = BTreeMap::new();
    walk(root, root, &mut files);
    files.retain(|p, _| !p.starts_with("cache") && !p.starts_with("superseded") && p.as_os_str() != "writer.lock");
    files
}

/// The only file of a symbol-day.
pub(crate) fn parquet_of(root: &Path, dataset: &str, symbol: &str, day: TradingDay) -> PathBuf {
    let dir = root.join(format!("lake/{dataset}/symbol={symbol}/trading_day={day}"));
    let files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}
