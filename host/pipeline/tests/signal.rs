//! The signal figures of real days, from file to report.

use ghtrader_core::{Calendar, ContractTable};
use ghtrader_pipeline::{ImportOptions, ValidationPolicy, import, report_day};
use ghtrader_store::EmbeddedStore;
use std::path::Path;

const TOLERANCE: f64 = 0.001;

/// Known from a separate program over the same files.
#[test]
fn real_days_have_the_known_figures() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !data.is_dir() {
        eprintln!("skipped: ../shared/data not found");
        return;
    }
    for (file, symbol, day, auc, r2) in [
        ("tqsdk/SHFE.ad2511.csv", "SHFE.ad2511", "2025-07-18", 0.690, 0.396),
        ("tqsdk/CFFEX.IF2509.csv", "CFFEX.IF2509", "2025-07-18", 0.653, 0.593),
        ("ctp_2017-11-13/ag1712_20171113.csv", "SHFE.ag1712", "2017-11-13", 0.725, 0.282),
        ("ctp_2017-11-13/rb1805_20171113.csv", "SHFE.rb1805", "2017-11-13", 0.682, 0.460),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&dir.path().join("data")).unwrap();
        let day = day.parse().unwrap();
        let mut options = ImportOptions::new(&dir.path().join("rejects"));
        options.symbol = symbol.parse().ok();
        options.trading_day = file.starts_with("ctp").then_some(day);
        import(&[data.join(file)], &options, &store, &|_| {}).unwrap();
        let policy = ValidationPolicy::default();
        let report = report_day(&store, symbol, day, &policy, Calendar::builtin(), ContractTable::builtin()).unwrap();
        let near = |got: Option<f64>, want: f64| got.is_some_and(|got| (got - want).abs() <= TOLERANCE);
        assert!(near(report.queue_imbalance_auc, auc), "{symbol}: AUC {:?}, known {auc}", report.queue_imbalance_auc);
        assert!(near(report.ofi_r2, r2), "{symbol}: R² {:?}, known {r2}", report.ofi_r2);
        assert!(!report.gaps.missing_day && report.phases.continuous > 1_000, "{symbol}");
    }
}
