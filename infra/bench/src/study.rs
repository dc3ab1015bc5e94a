//! Is the walk-forward honest? Without a signal its interval has to cover one half; with one, its AUC has to come near
//! the best that any score can reach. The whole pipeline runs for every seed, as a user would run it.

use crate::artefacts;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The first seed: none below it was ever looked at while the method was made.
const FIRST_SEED: u64 = 1_001;
const HORIZON_ROWS: u64 = 50;

/// One market.
struct Market {
    auc: f64,
    low: f64,
    high: f64,
    bound: f64,
}

/// `signal [--seeds N] [--days N] [--signal X] [--json]`
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut seeds, mut days, mut signal, mut json) = (20u64, 20u64, 0.5f64, false);
    let mut args = args.iter().skip_while(|a| *a == "signal");
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--seeds" => seeds = value()?.parse()?,
            "--days" => days = value()?.parse()?,
            "--signal" => signal = value()?.parse()?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --seeds N, --days N, --signal X, --json"),
        }
    }
    let mut covered = 0;
    let mut none = Vec::new();
    for seed in FIRST_SEED..FIRST_SEED + seeds {
        let m = market(seed, days, 0.0)?;
        let covers = m.low <= 0.5 && 0.5 <= m.high;
        covered += u64::from(covers);
        if !json {
            println!(
                "seed {seed}  signal 0    AUC {:.4} [{:.4}, {:.4}]{}",
                m.auc,
                m.low,
                m.high,
                if covers { "" } else { "  does not cover 0.5" }
            );
        }
        none.push(m);
    }
    let mut planted = Vec::new();
    for seed in FIRST_SEED..FIRST_SEED + seeds.div_ceil(5) {
        let m = market(seed, days, signal)?;
        if !json {
            println!(
                "seed {seed}  signal {signal:<4} AUC {:.4} [{:.4}, {:.4}]  best reachable {:.4}",
                m.auc, m.low, m.high, m.bound
            );
        }
        planted.push(m);
    }
    let mean = |of: &dyn Fn(&Market) -> f64, list: &[Market]| list.iter().map(of).sum::<f64>() / list.len() as f64;
    let (auc, bound) = (mean(&|m| m.auc, &planted), mean(&|m| m.bound, &planted));
    let wanted = seeds * 18 / 20;
    if json {
        println!(
            "{}",
            json!({ "schema_version": 1, "study": "signal", "seeds": seeds, "covered": covered, "wanted": wanted,
                    "mean_auc_without": mean(&|m| m.auc, &none), "signal": signal, "mean_auc": auc, "mean_bound": bound })
        );
    } else {
        println!(
            "without a signal the 95 % interval covers 0.5 in {covered} of {seeds} seeds ({wanted} wanted), mean AUC {:.4}",
            mean(&|m| m.auc, &none)
        );
        println!("with signal {signal} the mean AUC is {auc:.4}, the best reachable {bound:.4}");
    }
    if covered < wanted { bail!("{covered} of {seeds} intervals cover 0.5, {wanted} are wanted") } else { Ok(()) }
}

fn market(seed: u64, days: u64, signal: f64) -> Result<Market> {
    let dir = tempfile::tempdir()?;
    let root = dir.path();
    let artefacts = artefacts()?;
    let (seed, days, signal) = (seed.to_string(), days.to_string(), signal.to_string());
    let synth = ghtrader(
        root,
        &[
            "data",
            "synth",
            "--var",
            "cu",
            "--days",
            &days,
            "--seed",
            &seed,
            "--signal",
            &signal,
            "--rows-per-day",
            "6000",
        ],
    )?;
    let bound = synth["bounds"]
        .as_array()
        .and_then(|b| b.iter().find(|b| b["horizon_rows"] == json!(HORIZON_ROWS)))
        .and_then(|b| b["auc_up_vs_down"].as_f64())
        .context("the market names no bound")?;
    ghtrader(root, &["main", "schedule", "--var", "cu"])?;
    ghtrader(root, &["main", "build", "--var", "cu"])?;
    let (features, label) = (artefacts.join("core-factors.wasm"), artefacts.join("direction.wasm"));
    let (features, label, horizon) = (features.to_string_lossy(), label.to_string_lossy(), HORIZON_ROWS.to_string());
    let out = root.join("model");
    let trained = ghtrader(
        root,
        &[
            "train",
            "run",
            "logistic",
            "--var",
            "cu",
            "--features",
            &features,
            "--label",
            &label,
            "--horizon",
            &horizon,
            "--out",
            &out.to_string_lossy(),
        ],
    )?;
    let auc = &trained["walk_forward"]["pooled"]["auc_up_down"];
    let figure = |key: &str| auc[key].as_f64().with_context(|| format!("the walk-forward has no {key}: {auc}"));
    Ok(Market { auc: figure("value")?, low: figure("low")?, high: figure("high")?, bound })
}

/// Runs the program beside this one and reads its document.
pub(crate) fn ghtrader(root: &Path, args: &[&str]) -> Result<Value> {
    let program: PathBuf = std::env::current_exe()?.with_file_name("ghtrader");
    let output = Command::new(&program)
        .arg("--root")
        .arg(root)
        .args(args)
        .arg("--json")
        .env_remove("GHTRADER_ARTEFACTS")
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    if !output.status.success() {
        bail!("ghtrader {} failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
