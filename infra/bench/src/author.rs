//! An author's day, in seconds: a crate made, tested, edited, built again, and beside the active lineup of a running account.
//!
//! Every step is the program as an author calls it, against a control API and a paper account that run.

use crate::host::Host;
use crate::{artefacts, program};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// From an edit into shadow, built before and not, seconds.
const GOAL_REBUILT_S: f64 = 10.0;
const GOAL_FIRST_S: f64 = 60.0;
const SETTINGS: [&str; 1] = ["lineup.ring_rows=20000"];
const MARKET: [&str; 8] = ["--var", "cu", "--source", "synthetic", "--speed", "20", "--rows-per-day", "20000"];
const LINE: &str = "if lean > self.threshold";

/// The crate of an author.
struct Desk {
    host: Host,
    dir: PathBuf,
}

impl Desk {
    /// Runs the program in the crate's folder; gives its document and the seconds.
    fn step(&self, dir: &Path, args: &[&str]) -> Result<(Value, f64)> {
        let began = Instant::now();
        let mut command = self.host.command(args);
        let output = command.arg("--json").current_dir(dir).output()?;
        let seconds = began.elapsed().as_secs_f64();
        if !output.status.success() {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("{} failed: {out}{err}", args.join(" "));
        }
        Ok((serde_json::from_slice(&output.stdout)?, seconds))
    }

    /// Changes one line, and the version: each is written once.
    fn edit(&self, round: usize) -> Result<()> {
        for (file, from, to) in [
            ("src/lib.rs", LINE.to_owned(), format!("{LINE} + {round}e-9")),
            ("plugin.toml", "version = \"0.1.0\"".to_owned(), format!("version = \"0.1.{round}\"")),
        ] {
            let path = self.dir.join(file);
            // The first state is kept beside it.
            let kept = path.with_extension("first");
            let whole = std::fs::read_to_string(&kept).or_else(|_| std::fs::read_to_string(&path))?;
            std::fs::write(&kept, &whole)?;
            if !whole.contains(&from) {
                bail!("{} does not say {from}", path.display());
            }
            std::fs::write(&path, whole.replacen(&from, &to, 1))?;
        }
        let lineup = std::fs::read_to_string(self.dir.join("lineup.toml"))?;
        let last = round.saturating_sub(1);
        let lineup = lineup.replace(&format!("my-idea@0.1.{last}"), &format!("my-idea@0.1.{round}"));
        std::fs::write(self.dir.join("lineup.toml"), lineup)?;
        Ok(())
    }

    /// From what is saved into shadow: seconds of each step.
    fn to_shadow(&self) -> Result<Vec<(&'static str, f64)>> {
        let (built, build) = self.step(&self.dir, &["plugin", "build"])?;
        let artefact = built["artefact"].as_str().context("an artefact")?;
        let (_, push) = self.step(&self.dir, &["plugin", "push", artefact])?;
        let (plan, planned) = self.step(&self.dir, &["lineup", "plan", "lineup.toml", "--var", "cu"])?;
        let hash = plan["plan_hash"].as_str().context("a hash")?;
        let apply = ["lineup", "apply", hash, "--mode", "shadow", "--wait"];
        let (operation, applied) = self.step(&self.dir, &apply)?;
        if operation["state"] != "shadowing" {
            bail!("the shadow did not start: {operation}");
        }
        Ok(vec![("build", build), ("push", push), ("plan", planned), ("apply", applied)])
    }
}

/// `author [--rounds N] [--json]`
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut rounds, mut json) = (3_usize, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().context("--rounds needs a number")?.parse()?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --rounds N, --json"),
        }
    }
    let dir = tempfile::tempdir()?;
    let mut host = Host::new(&program()?, dir.path(), &SETTINGS);
    host.bring(&artefacts()?)?;
    host.serve()?;
    host.run(&MARKET)?;
    let desk = Desk { dir: dir.path().join("my-idea"), host };
    let (_, new) = desk.step(dir.path(), &["plugin", "new", "strategy", "my-idea"])?;
    let (tested, test) = desk.step(&desk.dir, &["plugin", "test"])?;
    let first = desk.to_shadow()?;
    let total = |steps: &[(&str, f64)]| steps.iter().map(|(_, s)| s).sum::<f64>();
    let first_s = new + test + total(&first);
    let mut again = Vec::new();
    for round in 1..=rounds {
        desk.edit(round)?;
        again.push(desk.to_shadow()?);
    }
    again.sort_by(|a, b| total(a).total_cmp(&total(b)));
    let worst = again.last().context("at least one round")?;
    let median = &again[again.len() / 2];
    // Of an artefact that no cache has seen.
    desk.edit(rounds + 1)?;
    let (built, _) = desk.step(&desk.dir, &["plugin", "build"])?;
    let artefact = built["artefact"].as_str().context("an artefact")?;
    let (_, admission) = desk.step(&desk.dir, &["plugin", "check", artefact])?;
    let cost = |name: &str| tested["cost"][name].as_u64().unwrap_or_default();
    let met = total(worst) <= GOAL_REBUILT_S && first_s <= GOAL_FIRST_S;
    let shown = |steps: &[(&str, f64)]| -> Value {
        let mut steps: serde_json::Map<String, Value> =
            steps.iter().map(|(n, s)| ((*n).to_owned(), json!(s))).collect();
        let sum: f64 = steps.values().filter_map(Value::as_f64).sum();
        steps.insert("total".to_owned(), json!(sum));
        Value::Object(steps)
    };
    let report = json!({
        "schema_version": 1, "bench": "author", "rounds": rounds,
        "first_s": { "new": new, "test": test, "to_shadow": shown(&first), "total": first_s },
        "edit_s": { "median": shown(median), "worst": shown(worst) },
        "admission_s": admission,
        "compile_us": cost("compile_us"), "instantiate_us": cost("instantiate_us"),
        "goal": { "edit_s": GOAL_REBUILT_S, "first_s": GOAL_FIRST_S }, "met": met,
    });
    if json {
        println!("{report}");
        return Ok(());
    }
    let steps = |steps: &[(&str, f64)]| steps.iter().map(|(n, s)| format!("{n} {s:.2}")).collect::<Vec<_>>().join(", ");
    println!("first: new {new:.2} s, test {test:.2} s, {} s; {first_s:.2} s in all", steps(&first));
    println!("edit → shadow, median of {rounds}: {:.2} s ({})", total(median), steps(median));
    println!("edit → shadow, worst: {:.2} s ({})", total(worst), steps(worst));
    println!(
        "admission alone {admission:.2} s; compile {} µs, instantiate {} µs",
        cost("compile_us"),
        cost("instantiate_us")
    );
    println!("goals: {GOAL_REBUILT_S} s and {GOAL_FIRST_S} s: {}", if met { "met" } else { "MISSED" });
    Ok(())
}
