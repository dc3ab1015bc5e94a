//! From a specification to a manifest: lineups loaded, days found, every job named by the digest of its result.

use crate::axes::{Point, count_points, points};
use crate::identify::{Days, Identifier, engine_id};
use crate::lineup::{Lineup, Scoring};
use crate::manifest::{Head, Job, LineupRecord, PartRecord, parts_of, write};
use crate::project::{Component, Project, admitted, param_value};
use crate::results::{Kind, Results, State};
use crate::spec::{BatchSpec, LineupEntry, PluginEntry};
use ghtrader_backtest::RunSpec;
use ghtrader_core::{Digest, ErrorClass, Problem};
use ghtrader_durable::{io_problem, publish_shared};
use ghtrader_model::Artefact;
use ghtrader_plugin::{ParamValue, Params, Role};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A batch whose every job is known; [`Plan::write`] makes it a manifest.
pub struct Plan {
    head: Head,
    jobs: Vec<Job>,
    artefacts: BTreeMap<Digest, Vec<u8>>,
    models: Vec<Arc<Artefact>>,
    /// Jobs that the specification asked for more than once.
    pub duplicates: usize,
}

/// A lineup with its points.
struct Family {
    lineup: Lineup,
    points: Vec<Point>,
}

/// Works a batch out. Paths in the specification are relative to `base`; a batch of more than `max_jobs` jobs is refused
/// before any of them is made.
///
/// # Errors
/// `batch_too_large`; plugins, models or days that are not there; parameters that a manifest does not allow, with the axis.
pub fn plan(project: &Project<'_>, spec: &BatchSpec, base: &Path, max_jobs: u64) -> Result<Plan, Problem> {
    let mut identifier = Identifier::new(project);
    let mut days: Vec<Days> = Vec::new();
    for variety in &spec.varieties {
        let found = identifier.periods(variety, (spec.from, spec.to), spec.split)?;
        if found.is_empty() {
            let text =
                |day: Option<ghtrader_core::TradingDay>, end: &str| day.map_or(end.to_owned(), |d| d.to_string());
            return Err(ghtrader_backtest::BacktestError::NoDays {
                from: text(spec.from, "the first"),
                to: text(spec.to, "the last"),
                what: format!("main_l5 of {variety}"),
            }
            .into());
        }
        days.extend(found);
    }
    let each = days.len() as u128 * spec.runs.len() as u128;
    let all = spec.lineups.iter().map(|l| count_points(&l.axes, spec.sample).saturating_mul(each));
    let all = all.fold(0u128, u128::saturating_add);
    if all > u128::from(max_jobs) {
        return Err(Problem::new(
            "batch_too_large",
            ErrorClass::User,
            format!("the specification asks for {all} jobs, batch.max_jobs allows {max_jobs}"),
            "narrow the grid, draw from it with [sample], or raise batch.max_jobs",
        ));
    }
    let mut plan = Plan {
        head: Head {
            ghtrader_batch: 1,
            name: spec.name.clone(),
            engine: engine_id(),
            jobs: 0,
            axes: Vec::new(),
            lineups: Vec::new(),
            periods: days.iter().map(|d| d.period.clone()).collect(),
            runs: spec.runs.clone(),
        },
        jobs: Vec::with_capacity(all as usize),
        artefacts: BTreeMap::new(),
        models: Vec::new(),
        duplicates: 0,
    };
    let families = spec.lineups.iter().map(|entry| plan.family(project, base, entry, spec));
    let families = families.collect::<Result<Vec<_>, _>>()?;
    check_varieties(&families, &days)?;
    let mut seen = BTreeSet::new();
    for (period, day) in days.iter().enumerate() {
        for (place, family) in families.iter().enumerate() {
            for point in &family.points {
                let lineup = at_point(&family.lineup, point)?;
                for (run_place, run) in spec.runs.iter().enumerate() {
                    let id = identifier.id(&lineup, (period, day), (run_place, run))?;
                    if !seen.insert(id) {
                        plan.duplicates += 1;
                        continue;
                    }
                    let weight = day.period.rows * run.fills.models.len() as u64;
                    let params = point.clone();
                    plan.jobs.push(Job { id, period, lineup: place, run: run_place, params, weight });
                }
            }
        }
    }
    plan.head.jobs = plan.jobs.len();
    Ok(plan)
}

/// The lineup with a point's values for what varies.
pub(crate) fn at_point(lineup: &Lineup, point: &Point) -> Result<Lineup, Problem> {
    let mut lineup = lineup.clone();
    let mut given: BTreeMap<usize, Params> = BTreeMap::new();
    for (axis, value) in point {
        let (place, name) = place_of(&lineup, axis)?;
        given.entry(place).or_default().insert(name.to_owned(), value.clone());
    }
    for (place, values) in given {
        let component = lineup.features.get_mut(place).unwrap_or(&mut lineup.strategy);
        let mut params = component.params.clone();
        params.extend(values);
        *component = Component::settled(Arc::clone(&component.plugin), &params)?;
    }
    Ok(lineup)
}

/// Which component an axis belongs to (a feature by its place, the strategy behind them), and the parameter's name.
fn place_of<'a>(lineup: &Lineup, axis: &'a str) -> Result<(usize, &'a str), Problem> {
    let names = || lineup.features.iter().map(|f| f.plugin.manifest().plugin.name.as_str());
    if let Some(name) = axis.strip_prefix("strategy.") {
        return Ok((lineup.features.len(), name));
    }
    let found = axis.strip_prefix("features.").and_then(|rest| rest.rsplit_once('.'));
    if let Some((feature, name)) = found {
        let places: Vec<usize> = names().enumerate().filter(|(_, n)| *n == feature).map(|(i, _)| i).collect();
        if let [one] = places.as_slice() {
            return Ok((*one, name));
        }
    }
    let mut known: Vec<String> = names().map(|n| format!("features.{n}.…")).collect();
    known.push("strategy.…".to_owned());
    Err(Problem::new(
        "bad_axis",
        ErrorClass::User,
        format!("`{axis}` is no parameter of one plugin of the lineup"),
        format!("write {}", known.join(" or ")),
    ))
}

fn check_varieties(families: &[Family], days: &[Days]) -> Result<(), Problem> {
    for component in families.iter().flat_map(|f| f.lineup.features.iter().chain([&f.lineup.strategy])) {
        let about = &component.plugin.manifest().plugin;
        for day in days {
            let product = day.variety.product();
            if !about.varieties.is_empty() && !about.varieties.iter().any(|v| v == product) {
                return Err(Problem::new(
                    "variety_mismatch",
                    ErrorClass::User,
                    format!(
                        "{} is made for {}, not for {product}",
                        component.plugin.identity(),
                        about.varieties.join(", ")
                    ),
                    "use it on a variety that its manifest names",
                ));
            }
        }
    }
    Ok(())
}

impl Plan {
    /// Loads a lineup, keeps its artefacts, and makes its points.
    fn family(
        &mut self,
        project: &Project<'_>,
        base: &Path,
        entry: &LineupEntry,
        spec: &BatchSpec,
    ) -> Result<Family, Problem> {
        let mut load = |entry: &PluginEntry, role: Role| -> Result<(Component, PartRecord), Problem> {
            let bytes = project.artefact(base, &entry.plugin, role)?;
            let digest = Digest::of(&bytes);
            let plugin = admitted(project.host, &entry.plugin, &bytes)?;
            if plugin.manifest().plugin.role != role {
                let what = format!("{} is the {}, a {role} is due", entry.plugin, plugin.identity());
                return Err(Problem::new("wrong_role", ErrorClass::User, what, format!("name a {role}")));
            }
            self.artefacts.insert(digest, bytes);
            let params: Params = entry.params.iter().map(|(k, v)| (k.clone(), param_value(v))).collect();
            let identity = plugin.identity().to_string();
            Ok((Component::settled(plugin, &params)?, PartRecord { identity, digest, params }))
        };
        let features = entry.features.iter().map(|f| load(f, Role::Feature)).collect::<Result<Vec<_>, _>>()?;
        let (strategy, strategy_record) = load(&entry.strategy, Role::Strategy)?;
        let scoring = match &entry.model {
            Some(folder) => Scoring::open(&base.join(folder))?,
            None => Scoring::None,
        };
        let model = match &scoring {
            Scoring::Model { artefact, digest } => {
                self.models.push(Arc::clone(artefact));
                Some(*digest)
            }
            _ => None,
        };
        let (features, feature_records): (Vec<_>, Vec<_>) = features.into_iter().unzip();
        let lineup = Lineup { features, scoring, strategy };
        for axis in &entry.axes {
            place_of(&lineup, &axis.key)?;
            if !self.head.axes.contains(&axis.key) {
                self.head.axes.push(axis.key.clone());
            }
        }
        self.head.lineups.push(LineupRecord {
            name: entry.name.clone(),
            features: feature_records,
            model,
            strategy: strategy_record,
        });
        Ok(Family { lineup, points: points(&entry.axes, spec.sample) })
    }

    /// Jobs, in the manifest's order.
    pub fn jobs(&self) -> &[Job] {
        &self.jobs
    }

    /// What the jobs refer to.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Jobs that have a result in a folder already.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn reused(&self, results: &Results) -> Result<usize, Problem> {
        let listed = results.listed(Kind::Result)?;
        let mut reused = 0;
        for job in self.jobs.iter().filter(|j| listed.contains(&j.id)) {
            reused += usize::from(results.state(&job.id)? == State::Settled(Kind::Result));
        }
        Ok(reused)
    }

    /// Writes artefacts and models beside the manifest, and last the manifest; gives its digest.
    ///
    /// # Errors
    /// `disk_full`, `unwritable`.
    pub fn write(&self, path: &Path) -> Result<Digest, Problem> {
        let parts = parts_of(path);
        for (digest, bytes) in &self.artefacts {
            let file = parts.join(format!("{digest}.wasm"));
            if std::fs::read(&file).is_ok_and(|there| there == *bytes) {
                continue;
            }
            publish_shared(&file, bytes)
                .map_err(|e| io_problem("unwritable", &format!("cannot write {}", file.display()), &e))?;
        }
        for model in &self.models {
            model.save(&parts)?;
        }
        write(path, &self.head, &self.jobs)
    }
}

/// A value of a parameter, by axis, as the summary shows it.
pub(crate) fn shown(value: &ParamValue) -> String {
    value.to_string()
}

/// The settings that all jobs of a run have in common, for tables.
pub(crate) fn run_name(runs: &[RunSpec], place: usize) -> String {
    runs.get(place).map_or_else(String::new, |r| crate::spec::fills_cell(&r.fills))
}
