//! Admission of the reference plugins on the standard stretch.

use ghtrader_core::Calendar;
use ghtrader_pipeline::standard_fixture;
use ghtrader_plugin::{HostConfig, PluginHost};
use std::path::PathBuf;
use std::time::Instant;

/// P-25, F-03: the reference plugins hold all that is asked, with a figure for every cost.
#[test]
fn the_reference_plugins_are_admitted() {
    let given = std::env::var_os("GHTRADER_ARTEFACTS").map(PathBuf::from);
    let dir =
        given.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/target/artifacts")));
    let fixture = standard_fixture(Calendar::builtin());
    let host = PluginHost::new(HostConfig::default()).unwrap();
    for name in ["core-factors", "direction", "maker", "score-threshold", "taker"] {
        let path = dir.join(format!("{name}.wasm"));
        let artefact = std::fs::read(&path).unwrap_or_else(|e| {
            panic!("cannot read {}: {e}; build the guests with `cargo xtask plugins`", path.display())
        });
        let began = Instant::now();
        let admission = host.admit(&artefact, &fixture);
        println!("{name}: {} ms", began.elapsed().as_millis());
        for check in &admission.checks {
            println!("  {:17} {} {}", check.name, if check.passed { "ok " } else { "BAD" }, check.detail);
        }
        assert!(admission.findings.is_empty() && admission.plugin.is_some(), "{name}: {:#?}", admission.findings);
        let cost = admission.cost.unwrap();
        println!("  {}", serde_json::to_string(&cost).unwrap());
        assert_eq!(cost.rows, fixture.ticks.rows() as u64);
        assert!(cost.instructions_per_row > 10.0 && cost.memory_high_water_bytes > 0 && cost.limits.len() == 4);
        assert!(cost.limits.iter().all(|l| l.used > 0.0 && l.used < l.limit), "{:?}", cost.limits);
        // Counted, not measured: the same again.
        let again = host.admit(&artefact, &fixture).cost.unwrap();
        assert_eq!(again.instructions_per_row.to_bits(), cost.instructions_per_row.to_bits());
    }
}
