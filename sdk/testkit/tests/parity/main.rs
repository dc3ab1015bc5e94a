//! Native = component row by row = component in blocks of any size, to the bit (F-02).
//!
//! NaN counts as one value: its payload may differ between targets, and whoever stores it makes it canonical.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::single_range_in_vec_init, reason = "one block is a cutting too")]

mod columns;
mod strategies;
mod stream;

use ghtrader_plugin::{HostConfig, Instrument, Limits, Plugin, PluginHost, pack};
use std::path::PathBuf;
use std::sync::Arc;

/// Loads a reference plugin as `cargo xtask plugins` has built it.
fn component(folder: &str) -> Arc<Plugin> {
    let plugins = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins"));
    let name = folder.rsplit('/').next().unwrap();
    let wasm = plugins.join("target/wasm32-unknown-unknown/release").join(format!("{}.wasm", name.replace('-', "_")));
    let module = std::fs::read(&wasm)
        .unwrap_or_else(|e| panic!("cannot read {}: {e}; build the guests with `cargo xtask plugins`", wasm.display()));
    let manifest = std::fs::read_to_string(plugins.join(folder).join("plugin.toml")).unwrap();
    let artefact = pack(&module, &manifest, None).unwrap_or_else(|f| panic!("{folder}: {f:#?}"));
    // Time limits are other tests' concern; this one also runs on busy machines.
    let limits = Limits { live_call_cpu_ms: 1000, wall_limit_ms: 60_000, ..Limits::default() };
    let host = PluginHost::new(HostConfig { limits, ..HostConfig::default() }).unwrap();
    host.load(&artefact).unwrap_or_else(|f| panic!("{folder}: {f:#?}"))
}

fn instrument() -> Instrument {
    Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 }
}

/// Bits, with every NaN the same.
fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// Equal, or the first place where they differ.
#[track_caller]
fn assert_same(what: &str, width: usize, a: &[u64], b: &[u64]) {
    assert_eq!(a.len(), b.len(), "{what}: number of values");
    if let Some(at) = (0..a.len()).find(|i| a[*i] != b[*i]) {
        let (x, y) = (f64::from_bits(a[at]), f64::from_bits(b[at]));
        panic!("{what}: row {} column {}: {x:?} and {y:?}", at / width, at % width);
    }
}
