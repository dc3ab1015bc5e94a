//! Is what was acknowledged still there? Changes of every kind over HTTP, each cut short by SIGKILL at a random moment: the
//! control API dies, the account's service, or both. Whatever a client has read to its end must be there after the restart.

use crate::host::{Api, Host, done, patiently};
use crate::sandbox::guests::{Guest, manifest};
use crate::{artefacts, decide, program};
use anyhow::{Context as _, Result, bail};
use ghtrader_core::Digest;
use ghtrader_stats::Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const TAG: &str = "/plugins/feature/echo/tags/champion";
/// Short phases, so that kills fall into all of them.
const SETTINGS: [&str; 4] =
    ["lineup.ring_rows=2000", "lineup.prove_ticks=20", "lineup.standby_ticks=1000000", "lineup.shadow_min_ticks=0"];
const MARKET: [&str; 8] = ["--var", "cu", "--source", "synthetic", "--speed", "200", "--rows-per-day", "6000"];

/// What is under way when the kill comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    Push,
    Tag,
    Shadow,
    Swap,
    Rollback,
}

impl Deed {
    const ALL: [Self; 5] = [Self::Push, Self::Tag, Self::Shadow, Self::Swap, Self::Rollback];

    const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Tag => "tag",
            Self::Shadow => "shadow",
            Self::Swap => "swap",
            Self::Rollback => "rollback",
        }
    }

    /// The kill comes this long after the request at the latest, ms: about as long as the whole takes.
    const fn latest_ms(self) -> f64 {
        match self {
            Self::Push | Self::Tag | Self::Rollback => 30.0,
            Self::Shadow | Self::Swap => 150.0,
        }
    }
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Server,
    Service,
    Both,
}

impl Target {
    const ALL: [Self; 3] = [Self::Server, Self::Service, Self::Both];

    const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Service => "service",
            Self::Both => "both",
        }
    }
}

/// What clients have read, and therefore may rely on.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Version by digest.
    plugins: BTreeMap<String, String>,
    /// Digest by the tag's generation.
    moves: BTreeMap<u64, String>,
    /// Operations as last read.
    operations: BTreeMap<String, Value>,
    /// The history of the variety as last read, oldest first.
    history: Vec<Value>,
}

/// Requests of one client, and what it was told.
struct Client<'a> {
    api: Api,
    killed: &'a AtomicBool,
    told: &'a mut Acknowledged,
    number: u64,
}

impl Client<'_> {
    /// A new version of a plugin.
    fn push(&mut self, version: &str) -> Result<String> {
        let manifest = manifest("feature", "0.1.0").replace("version = \"0.1.0\"", &format!("version = \"{version}\""));
        let artefact = Guest::default().with_manifest(&manifest);
        let artefact = artefact.ok().context("the guest was not packed")?;
        let body = done(self.api.push(&artefact)?)?;
        let digest = text(&body["digest"])?;
        if digest != Digest::of(&artefact).to_string() {
            bail!("pushed as {digest}, which is not the digest of what was sent");
        }
        self.told.plugins.insert(digest.clone(), version.to_owned());
        Ok(digest)
    }

    /// Moves the tag to plugins that are there, until the kill.
    fn move_tags(&mut self) -> Result<()> {
        let digests: Vec<String> = self.told.plugins.keys().cloned().collect();
        let mut generation = self.told.moves.keys().next_back().copied().unwrap_or(0);
        for digest in digests.iter().cycle().take_while(|_| !self.killed.load(Ordering::Acquire)) {
            let answer = self.api.send(&format!("PUT {TAG}"), Some(generation), &json!({ "digest": digest }))?;
            generation = answer.body["generation"].as_u64().context("a generation")?;
            // A move that was made and not acknowledged before an earlier kill is found by its generation.
            if answer.is_ok() {
                self.told.moves.insert(generation, digest.clone());
            }
        }
        Ok(())
    }

    /// Plans a lineup that never was and applies it; gives the operation.
    fn deploy(&mut self, mode: &str) -> Result<String> {
        let threshold = 0.9 - self.number as f64 / 10_000.0;
        let lineup = json!({ "name": format!("number-{}", self.number),
            "features": [{ "plugin": "core-factors:reference" }],
            "strategy": { "plugin": "taker:reference", "params": { "threshold": threshold } } });
        let plan = done(self.api.send("POST /varieties/cu/plans", None, &json!({ "lineup": lineup }))?)?;
        let body = json!({ "plan_hash": plan["plan_hash"], "mode": mode, "acknowledge": plan["breaking"] });
        self.take_on("POST /varieties/cu/deployments", plan["base_generation"].as_u64(), &body)
    }

    fn roll_back(&mut self) -> Result<String> {
        let generation = self.api.get("/varieties/cu")?["generation"].as_u64();
        self.take_on("POST /varieties/cu/rollback", generation, &json!({}))
    }

    fn take_on(&mut self, line: &str, generation: Option<u64>, body: &Value) -> Result<String> {
        let operation = done(self.api.send(line, generation, body)?)?;
        let id = text(&operation["id"])?;
        self.told.operations.insert(id.clone(), operation);
        Ok(id)
    }

    /// Reads an operation until it has ended, a shadow until it runs.
    fn follow(&mut self, id: &str, until: &str) -> Result<()> {
        let operation = self.api.follow(id, until)?;
        self.told.operations.insert(id.to_owned(), operation);
        Ok(())
    }

    /// Does what the kill is to fall into; ends with it, or before.
    fn act(&mut self, deed: Deed) -> Result<()> {
        match deed {
            Deed::Push => self.push(&format!("0.0.{}", self.number)).map(drop),
            Deed::Tag => self.move_tags(),
            Deed::Shadow => self.deploy("shadow").and_then(|id| self.follow(&id, "shadowing")),
            Deed::Swap => self.deploy("swap").and_then(|id| self.follow(&id, "succeeded")),
            Deed::Rollback => self.roll_back().and_then(|id| self.follow(&id, "succeeded")),
        }
    }
}

/// What is not as it was told.
#[derive(Debug, Default)]
struct Losses(Vec<String>);

impl Losses {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(what());
        }
    }
}

/// `kills [--rounds N] [--seed N] [--json]`
pub(crate) fn run(args: &[String]) -> Result<()> {
    let (mut rounds, mut seed, mut json) = (200_u64, 1_u64, false);
    let mut args = args.iter().skip_while(|a| *a == "kills");
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => rounds = value()?.parse()?,
            "--seed" => seed = value()?.parse()?,
            "--json" => json = true,
            _ => bail!("unknown flag `{arg}`; known are --rounds N, --seed N, --json"),
        }
    }
    let dir = tempfile::tempdir()?;
    let mut study = Study::begin(Host::new(&program()?, dir.path(), &SETTINGS))?;
    let mut rng = Rng::new(seed);
    let (mut by_target, mut by_deed, mut cut_short) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for round in 1..=rounds {
        let deed = Deed::ALL[rng.below(Deed::ALL.len())];
        let target = Target::ALL[rng.below(Target::ALL.len())];
        let moment = Duration::from_secs_f64(rng.uniform() * deed.latest_ms() / 1e3);
        let cut = study.round(round, deed, target, moment);
        let cut = cut.with_context(|| format!("round {round}, {deed:?}, {target:?}"))?;
        *cut_short.entry(deed.name()).or_insert(0_u64) += u64::from(cut);
        *by_target.entry(target.name()).or_insert(0_u64) += 1;
        *by_deed.entry(deed.name()).or_insert(0_u64) += 1;
    }
    let entries = study.check_all()?;
    let Study { told, losses: Losses(losses), mut back_ms, .. } = study;
    back_ms.sort_unstable();
    let ended = |state: &str| told.operations.values().filter(|o| o["state"] == state).count();
    let report = json!({
        "schema_version": 1, "study": "kills", "rounds": rounds, "seed": seed,
        "kills": { "by_target": by_target, "by_kind": by_deed, "cut_short": cut_short },
        "acknowledged": {
            "plugins": told.plugins.len(), "tag_moves": told.moves.len(), "operations": told.operations.len(),
            "succeeded": ended("succeeded"), "failed": ended("failed"), "rolled_back": ended("rolled_back"),
            "cancelled": ended("cancelled"), "generations": told.history.len(),
        },
        "back_ms": { "p50": decide::at(&back_ms, 0.5), "max": decide::at(&back_ms, 1.0) },
        "audit": { "intact": entries.is_some(), "entries": entries },
        "losses": losses,
    });
    if json {
        println!("{report}");
    } else {
        println!(
            "{rounds} kills by target {}, by what was under way {}, cut short {}",
            report["kills"]["by_target"], report["kills"]["by_kind"], report["kills"]["cut_short"]
        );
        println!("acknowledged: {}", report["acknowledged"]);
        println!("back after a kill: {} ms", report["back_ms"]);
        println!("chain of the audit: {}", entries.map_or("BROKEN".to_owned(), |n| format!("whole, {n} entries")));
        println!("losses: {} (goal 0)", losses.len());
        losses.iter().for_each(|loss| println!("  {loss}"));
    }
    if losses.is_empty() { Ok(()) } else { bail!("{} losses", losses.len()) }
}

struct Study {
    host: Host,
    told: Acknowledged,
    losses: Losses,
    /// Time until a killed host answered again for its variety.
    back_ms: Vec<u64>,
}

impl Study {
    /// A host that runs, with a plugin that a tag names.
    fn begin(mut host: Host) -> Result<Self> {
        host.bring(&artefacts()?)?;
        host.serve()?;
        host.run(&MARKET)?;
        let mut study = Self { host, told: Acknowledged::default(), losses: Losses::default(), back_ms: Vec::new() };
        study.client(0, &AtomicBool::new(false))?.0.push("0.0.0")?;
        study.told.history = history(study.host.api()?)?;
        Ok(study)
    }

    /// A client and its host.
    fn client<'a>(&'a mut self, number: u64, killed: &'a AtomicBool) -> Result<(Client<'a>, &'a mut Host)> {
        let api = self.host.api()?.clone();
        Ok((Client { api, killed, told: &mut self.told, number }, &mut self.host))
    }

    /// One kill; true if it fell into what was under way.
    fn round(&mut self, number: u64, deed: Deed, target: Target, moment: Duration) -> Result<bool> {
        let killed = AtomicBool::new(false);
        if deed == Deed::Rollback && self.host.api()?.get("/varieties/cu")?["standby"].is_null() {
            // There has to be something to go back to.
            self.client(number, &killed)?.0.act(Deed::Swap)?;
            self.told.history = history(self.host.api()?)?;
        }
        let (mut client, host) = self.client(number, &killed)?;
        let cut = std::thread::scope(|scope| {
            // It ends as its client would see it; what it was told before counts.
            let acting = scope.spawn(move || client.act(deed).is_err());
            std::thread::sleep(moment);
            killed.store(true, Ordering::Release);
            let server = if target == Target::Service { Ok(()) } else { host.kill_server() };
            let service = if target == Target::Server { Ok(()) } else { host.kill_service() };
            let cut = acting.join().unwrap_or(true);
            server.and(service).map(|()| cut)
        })?;
        let began = Instant::now();
        if target != Target::Service {
            self.host.serve()?;
        }
        if target != Target::Server {
            self.host.run(&MARKET)?;
        }
        let api = self.host.api()?.clone();
        patiently("the variety does not answer", || {
            let answer = api.ask("GET /varieties/cu", &[], &[])?;
            Ok(answer.is_ok().then_some(()))
        })?;
        self.back_ms.push(u64::try_from(began.elapsed().as_millis())?);
        self.check(&api).map(|()| cut)
    }

    /// Holds what is there against what was told.
    fn check(&mut self, api: &Api) -> Result<()> {
        let Self { told, losses, .. } = self;
        // Those too of whose acceptance the kill left no news.
        for operation in all(api, "/operations")?.iter().filter(|o| o["ended"] == false) {
            let id = text(&operation["id"])?;
            let now = api.follow(&id, "shadowing")?;
            if now["ended"] == false {
                done(api.send(&format!("DELETE /operations/{id}"), None, &json!({}))?)?;
            }
        }
        let operations = all(api, "/operations")?;
        for (id, before) in &mut told.operations {
            let Some(now) = operations.iter().find(|o| o["id"] == **id) else {
                losses.0.push(format!("operation {id} was accepted and is gone"));
                continue;
            };
            losses
                .unless(before["ended"] == false || now == before, || format!("operation {id} was {before}, is {now}"));
            let named =
                ["succeeded", "cancelled"].iter().any(|s| now["state"] == **s) || now["error"]["code"].is_string();
            losses.unless(now["ended"] == true && named, || format!("operation {id} has not ended by name: {now}"));
            before.clone_from(now);
        }
        let history = history(api)?;
        losses.unless(history.starts_with(&told.history), || {
            format!("of the history {} entries were read; it is another now, of {}", told.history.len(), history.len())
        });
        told.history = history;
        let view = api.get("/varieties/cu")?;
        let last = told.history.last().context("a history without a lineup")?;
        losses.unless(view["generation"] == last["generation"] && view["active"]["id"] == last["id"], || {
            format!("generation {} is active, the history ends with {}", view["generation"], last["generation"])
        });
        losses.unless(view["state"] == "running", || format!("the variety is {}", view["state"]));
        for operation in told.operations.values().filter(|o| o["state"] == "succeeded" && o["kind"] != "shadow") {
            let stands = told
                .history
                .iter()
                .any(|r| r["generation"] == operation["generation"] && r["id"] == operation["lineup_id"]);
            losses.unless(stands, || format!("{} succeeded and is not in the history", operation["id"]));
        }
        let plugins = all(api, "/plugins")?;
        for (digest, version) in &told.plugins {
            let there = plugins
                .iter()
                .any(|p| p["digest"] == **digest && p["version"] == **version && p["state"] == "admitted");
            losses.unless(there, || format!("plugin {version} ({digest}) was pushed and is not there"));
        }
        let answer = api.ask(&format!("GET {TAG}"), &[], &[])?;
        for (generation, digest) in &told.moves {
            let moves = answer.body["moves"].as_array().map_or(&[][..], Vec::as_slice);
            let stands = moves.iter().any(|m| m["generation"] == *generation && m["digest"] == **digest);
            losses.unless(stands, || format!("the tag's move {generation} to {digest} is gone"));
        }
        let verified = self.host.command(&["audit", "verify", "--json"]).output()?;
        self.losses.unless(verified.status.success(), || {
            format!("the audit is broken: {}", String::from_utf8_lossy(&verified.stdout))
        });
        Ok(())
    }

    /// Once more everything, artefacts to the byte and the audit entry by entry; gives how many these are.
    fn check_all(&mut self) -> Result<Option<u64>> {
        let api = self.host.api()?.clone();
        self.check(&api)?;
        let entries = all(&api, "/audit")?;
        let traced = |action: &str, field: &str, value: &Value| {
            entries.iter().any(|e| e["action"] == action && e["outcome"] != "refused" && e[field] == *value)
        };
        let Self { told, losses, .. } = self;
        for digest in told.plugins.keys() {
            let answer = api.ask(&format!("GET /plugins/{digest}/artifact"), &[], &[])?;
            losses.unless(Digest::of(&answer.bytes).to_string() == *digest, || {
                format!("the bytes of {digest} are others")
            });
            losses.unless(traced("plugin.push", "to", &json!(digest)), || {
                format!("no entry tells of the push of {digest}")
            });
        }
        for generation in told.moves.keys() {
            let stands = traced("tag.set", "generation", &json!(generation));
            losses.unless(stands, || format!("no entry tells of the tag's move {generation}"));
        }
        for id in told.operations.keys() {
            let stands = entries.iter().any(|e| e["operation"] == **id && e["outcome"] == "accepted");
            losses.unless(stands, || format!("no entry tells of operation {id}"));
        }
        let verified = self.host.command(&["audit", "verify", "--json"]).output()?;
        let body: Value = serde_json::from_slice(&verified.stdout)?;
        Ok(body["entries"].as_u64())
    }
}

fn history(api: &Api) -> Result<Vec<Value>> {
    let mut records = all(api, "/varieties/cu/lineups")?;
    records.reverse();
    Ok(records)
}

/// Every page of a list.
fn all(api: &Api, path: &str) -> Result<Vec<Value>> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}?limit=1000{cursor}"))?;
        items.extend(page["items"].as_array().context("items")?.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(items),
        }
    }
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("no text: {value}"))
}
