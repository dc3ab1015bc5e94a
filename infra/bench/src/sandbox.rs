//! What a plugin that runs tick by tick notices of a bad one on another thread, guest by guest.

use crate::artefacts;
use anyhow::{Context as _, Result, anyhow, bail};
use ghtrader_core::Calendar;
use ghtrader_pipeline::standard_fixture;
use ghtrader_plugin::{
    Boundary, FeatureDescription, FeatureInstance, Finding, Fixture, HostConfig, Limits, Params, Plugin, PluginFault,
    PluginHost, Splits, Trace, trace_feature,
};
use guests::BadGuest;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

// The table is the tests' own: what is measured is what is proved.
#[path = "../../../host/plugin/tests/bad_guests/guests/mod.rs"]
#[expect(clippy::panic, dead_code, reason = "shared with the tests, which fail by panicking and use all of it")]
pub(crate) mod guests;

/// Time for which the good plugin runs alone, and at least beside each bad one.
const ALONE: Duration = Duration::from_secs(2);
const BESIDE: Duration = Duration::from_millis(300);

/// Times of single ticks.
#[derive(Default)]
struct Delays {
    ns: Vec<u64>,
}

impl Delays {
    fn at(&self, share: f64) -> u64 {
        let place = (self.ns.len() as f64 * share) as usize;
        self.ns.get(place.min(self.ns.len().saturating_sub(1))).copied().unwrap_or(0)
    }
}

/// A feature of which every tick is timed.
struct Timed<'a> {
    instance: &'a mut dyn FeatureInstance,
    delays: &'a mut Delays,
}

impl FeatureInstance for Timed<'_> {
    fn description(&self) -> &FeatureDescription {
        self.instance.description()
    }

    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        self.instance.boundary(kind)
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let began = Instant::now();
        let answer = self.instance.compute(rows, out);
        self.delays.ns.push(began.elapsed().as_nanos() as u64);
        answer
    }
}

/// Prints, for each bad guest, how it ended and the slowest tick of the good plugin meanwhile.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut json = false;
    for arg in args {
        match arg.as_str() {
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known is --json"),
        }
    }
    let all = |f: Vec<Finding>| anyhow!("{}", f.iter().map(Finding::to_string).collect::<Vec<_>>().join("\n"));
    let limits = Limits { wall_limit_ms: 60_000, ..Limits::default() };
    let host = PluginHost::new(HostConfig { limits, ..HostConfig::default() }).map_err(|f| anyhow!("{f}"))?;
    let path = artefacts()?.join("core-factors.wasm");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let good = host.load(&bytes).map_err(all)?;
    let fixture = standard_fixture(Calendar::builtin());
    let expected = good.trace(&fixture, Splits::Single)?;

    let mut alone = Delays::default();
    let until = Instant::now() + ALONE;
    while Instant::now() < until {
        pass(&good, &fixture, &expected, &mut alone)?;
    }
    alone.ns.sort_unstable();
    let mut lines = vec![line("(alone)", "", &[], ALONE, &alone)];
    if !json {
        println!("core-factors tick by tick, {} ticks alone; ns a tick", alone.ns.len());
        println!("{:58} {:20} {:>9} {:>7} {:>7} {:>10}", "bad guest", "ends as", "after ms", "p50", "p99.9", "worst");
        show("(alone)", "", ALONE, &alone);
    }
    for bad in guests::all() {
        let (codes, took, delays) = beside(&host, &good, &fixture, &expected, &bad)?;
        if codes != bad.codes {
            bail!("{} ended as {codes:?}, due are {:?}", bad.name, bad.codes);
        }
        if !json {
            show(bad.name, codes.first().copied().unwrap_or_default(), took, &delays);
        }
        lines.push(line(bad.name, &format!("{:?}", bad.when), &codes, took, &delays));
    }
    if json {
        println!(
            "{}",
            serde_json::json!({ "schema_version": 1, "bench": "sandbox", "good": "core-factors", "guests": lines })
        );
    }
    Ok(())
}

/// One run of the good plugin over all rows; its outputs must be what they were.
fn pass(good: &Plugin, fixture: &Fixture, expected: &Trace, delays: &mut Delays) -> Result<()> {
    let mut instance = good.feature(&Params::new(), &fixture.instrument)?;
    let trace = trace_feature(&mut Timed { instance: instance.as_mut(), delays }, fixture, Splits::Single)?;
    match expected.first_difference(&trace) {
        Some(found) => bail!("the good plugin gave something else: {found}"),
        None => Ok(()),
    }
}

/// Runs the good plugin while the bad one does its worst, again and again for a while.
fn beside(
    host: &PluginHost,
    good: &Plugin,
    fixture: &Fixture,
    expected: &Trace,
    bad: &BadGuest,
) -> Result<(Vec<&'static str>, Duration, Delays)> {
    let (done, mut delays) = (AtomicBool::new(false), Delays::default());
    std::thread::scope(|scope| {
        let misbehaving = scope.spawn(|| {
            let began = Instant::now();
            let codes = bad.misbehave(host, fixture);
            let took = began.elapsed();
            while began.elapsed() < BESIDE {
                bad.misbehave(host, fixture);
            }
            done.store(true, Ordering::Release);
            (codes, took)
        });
        while !done.load(Ordering::Acquire) && !misbehaving.is_finished() {
            pass(good, fixture, expected, &mut delays)?;
        }
        let (codes, took) = misbehaving.join().map_err(|_| anyhow!("{} ended in a panic of the host", bad.name))?;
        delays.ns.sort_unstable();
        Ok((codes, took, delays))
    })
}

fn show(name: &str, code: &str, took: Duration, delays: &Delays) {
    let [median, rare, worst] = [0.5, 0.999, 1.0].map(|share| delays.at(share));
    println!("{name:58} {code:20} {:>9} {median:>7} {rare:>7} {worst:>10}", took.as_millis());
}

fn line(name: &str, when: &str, codes: &[&str], took: Duration, delays: &Delays) -> serde_json::Value {
    serde_json::json!({
        "guest": name, "when": when, "codes": codes, "took_us": took.as_micros() as u64, "ticks": delays.ns.len(),
        "tick_ns": { "p50": delays.at(0.5), "p999": delays.at(0.999), "worst": delays.at(1.0) },
    })
}
