//! The eleven core factors over L5 rows: the component against the same code compiled natively, in the same blocks.

use anyhow::{Context, Result, anyhow, bail};
use core_factors::CoreFactors;
use ghtrader_plugin::{FeatureInstance, Finding, HostConfig, Instrument, Params, PluginHost, pack};
use ghtrader_testkit::NativeFeature;
use std::path::Path;
use std::time::Instant;

/// Rows a second that the component must reach, and how many times the native time it may take.
const GOAL_ROWS_PER_S: f64 = 5e6;
const GOAL_RATIO: f64 = 1.5;
const ROUNDS: usize = 15;

/// Prints rows a second of both, and the ratio of their times.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut rows, mut block, mut json) = (400_000, 4096, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || -> Result<usize> {
            let text = args.next().with_context(|| format!("{arg} needs a number"))?;
            let number: usize = text.parse().with_context(|| format!("{arg} = `{text}` is no number"))?;
            if number == 0 { bail!("{arg} = 0; give at least 1") } else { Ok(number) }
        };
        match arg.as_str() {
            "--rows" => rows = number()?,
            "--block" => block = number()?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --rows N, --block N, --json"),
        }
    }
    let plugin =
        PluginHost::new(HostConfig::default()).map_err(|f| anyhow!("{f}"))?.load(&artefact()?).map_err(|f| all(&f))?;
    let instrument = Instrument { symbol: "SHFE.cu2602".to_owned(), price_tick: 10.0, multiplier: 5.0 };
    let params = plugin.manifest().resolve_params(&Params::new()).map_err(|f| all(&f))?;
    let inputs = plugin.manifest().plugin.inputs.clone();
    let words = stream(rows, &inputs);
    let block_words = block * inputs.len();

    // Rounds alternate, so that both see the same machine; the best of each is what the code can do.
    let (mut wasm_s, mut native_s) = (f64::INFINITY, f64::INFINITY);
    let mut ratios = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let mut native = NativeFeature::<CoreFactors>::new(&params, &instrument)?;
        let mut wasm = plugin.feature(&params, &instrument)?;
        let (n, native_sum) = pass(&mut native, &words, block_words)?;
        let (w, wasm_sum) = pass(wasm.as_mut(), &words, block_words)?;
        if native_sum != wasm_sum {
            bail!("component and native build disagree: {wasm_sum:x} and {native_sum:x}");
        }
        (wasm_s, native_s) = (wasm_s.min(w), native_s.min(n));
        ratios.push(w / n);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    let (wasm_rows_s, native_rows_s) = (rows as f64 / wasm_s, rows as f64 / native_s);
    let met = wasm_rows_s >= GOAL_ROWS_PER_S && ratio <= GOAL_RATIO;
    if json {
        let report = serde_json::json!({
            "schema_version": 1, "bench": "features", "rows": rows, "block_rows": block, "rounds": ROUNDS,
            "wasm_rows_per_s": wasm_rows_s, "native_rows_per_s": native_rows_s, "ratio": ratio,
            "goal": { "wasm_rows_per_s": GOAL_ROWS_PER_S, "ratio": GOAL_RATIO, "met": met },
        });
        println!("{report}");
    } else {
        println!("core-factors, 11 outputs, {rows} rows in blocks of {block}, {ROUNDS} rounds");
        println!("  wasm    {:8.2} M rows/s   (goal {:.0})", wasm_rows_s / 1e6, GOAL_ROWS_PER_S / 1e6);
        println!("  native  {:8.2} M rows/s", native_rows_s / 1e6);
        println!("  wasm / native time, median of rounds  {ratio:.2}   (goal {GOAL_RATIO})");
    }
    Ok(())
}

/// Seconds for all rows, and a digest of the outputs that keeps the work from being optimised away.
fn pass(feature: &mut dyn FeatureInstance, words: &[u64], block_words: usize) -> Result<(f64, u64)> {
    let mut out = Vec::new();
    let mut digest = 0u64;
    let mut seconds = 0.0;
    for block in words.chunks(block_words) {
        out.clear();
        let began = Instant::now();
        feature.compute(block, &mut out)?;
        seconds += began.elapsed().as_secs_f64();
        for value in &out {
            let bits = if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
            digest = (digest ^ bits).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Ok((seconds, digest))
}

/// The reference plugin as `cargo xtask plugins` has built it.
fn artefact() -> Result<Vec<u8>> {
    let plugins = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins"));
    let wasm = plugins.join("target/wasm32-unknown-unknown/release/core_factors.wasm");
    let module = std::fs::read(&wasm)
        .with_context(|| format!("cannot read {}; build the guests with `cargo xtask plugins`", wasm.display()))?;
    let manifest = plugins.join("features/core-factors/plugin.toml");
    let manifest = std::fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    pack(&module, &manifest, None).map_err(|f| all(&f))
}

fn all(findings: &[Finding]) -> anyhow::Error {
    anyhow!("{}", findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"))
}

/// A walking book of five levels, its volume and open interest.
fn stream(rows: usize, inputs: &[String]) -> Vec<u64> {
    let mut state = 1u64;
    let mut below = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n) as f64
    };
    let (mut best, mut volume, mut interest) = (70_000.0, 0.0, 100_000.0);
    let mut words = Vec::with_capacity(rows * inputs.len());
    for _ in 0..rows {
        best += 10.0 * (below(3) - 1.0);
        volume += below(20);
        interest += below(11) - 5.0;
        for name in inputs {
            let level = name.bytes().last().map_or(0.0, |b| f64::from(b.wrapping_sub(b'1')));
            let value = match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
                "bid_price" => best - 10.0 * level,
                "ask_price" => best + 10.0 + 10.0 * level,
                "bid_volume" | "ask_volume" => 1.0 + below(60),
                "volume" => volume,
                "open_interest" => interest,
                _ => best,
            };
            words.push(value.to_bits());
        }
    }
    words
}
