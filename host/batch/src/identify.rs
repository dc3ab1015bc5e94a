//! The id of a job, worked out of manifests alone: no row is read, no plugin is run.

use crate::days::{PlannedDay, planned_days};
use crate::lineup::{Lineup, variety_of};
use crate::manifest::Period;
use crate::project::{Component, Project, stored_schedule};
use crate::spec::Split;
use ghtrader_backtest::{DayIdentity, ENGINE_VERSION, Ledger, RunSpec, days_digest, result_digest};
use ghtrader_core::{ContractTable, Digest, ErrorClass, Problem, TradingDay, Variety};
use ghtrader_pipeline::columns_keys;
use ghtrader_store::Schedule;
use std::collections::BTreeMap;

/// The engine that ids hold for: its version and that of its results.
pub fn engine_id() -> String {
    format!("{}+results.{ENGINE_VERSION}", env!("CARGO_PKG_VERSION"))
}

/// A period with what its days are identified by.
pub(crate) struct Days {
    pub(crate) period: Period,
    pub(crate) variety: Variety,
    pub(crate) planned: Vec<PlannedDay>,
}

/// Keys of built columns by day.
type Keys = BTreeMap<TradingDay, Digest>;

/// Works ids out, each part of them once.
pub(crate) struct Identifier<'a> {
    project: &'a Project<'a>,
    /// With the hash that each was on each of its days.
    schedules: BTreeMap<String, (Schedule, BTreeMap<TradingDay, String>)>,
    keys: BTreeMap<(String, Digest, String), Keys>,
    days: BTreeMap<(usize, Digest), Digest>,
    tables: BTreeMap<(String, usize), Digest>,
}

impl<'a> Identifier<'a> {
    pub(crate) fn new(project: &'a Project<'a>) -> Self {
        Self {
            project,
            schedules: BTreeMap::new(),
            keys: BTreeMap::new(),
            days: BTreeMap::new(),
            tables: BTreeMap::new(),
        }
    }

    /// The main schedule of a product.
    pub(crate) fn schedule(&mut self, variety: &Variety) -> Result<&Schedule, Problem> {
        self.schedule_and_hashes(variety).map(|(schedule, _)| schedule)
    }

    fn schedule_and_hashes(&mut self, variety: &Variety) -> Result<&(Schedule, BTreeMap<TradingDay, String>), Problem> {
        let name = variety.to_string();
        if !self.schedules.contains_key(&name) {
            let schedule = stored_schedule(self.project.store, variety)?;
            let hashes = schedule.hashes();
            self.schedules.insert(name.clone(), (schedule, hashes));
        }
        self.schedules.get(&name).ok_or_else(|| {
            Problem::new("schedule_missing", ErrorClass::Internal, format!("no schedule of {name}"), "report this")
        })
    }

    /// The days of a product from `from` to `to`, cut into periods.
    pub(crate) fn periods(
        &mut self,
        variety: &str,
        range: (Option<TradingDay>, Option<TradingDay>),
        split: Split,
    ) -> Result<Vec<Days>, Problem> {
        let (variety, project) = (variety_of(variety)?, self.project);
        let schedule = self.schedule(&variety)?;
        let all = planned_days(project.store, project.calendar, schedule, range.0, range.1)?;
        let part = |day: TradingDay| match split {
            Split::None => String::new(),
            Split::Month => day.to_string().chars().take(7).collect(),
            Split::Day => day.to_string(),
        };
        let mut ranges: Vec<(TradingDay, TradingDay)> = Vec::new();
        for day in all.iter().map(|d| d.identity.trading_day) {
            match ranges.last_mut() {
                Some((_, last)) if part(*last) == part(day) => *last = day,
                _ => ranges.push((day, day)),
            }
        }
        ranges.into_iter().map(|(from, to)| self.period(&variety, from, to)).collect()
    }

    /// The days of one period; the first one follows no roll, since nothing is held over it.
    pub(crate) fn period(&mut self, variety: &Variety, from: TradingDay, to: TradingDay) -> Result<Days, Problem> {
        let project = self.project;
        let (schedule, hashes) = self.schedule_and_hashes(variety)?;
        let planned = planned_days(project.store, project.calendar, schedule, Some(from), Some(to))?;
        let identities: Vec<DayIdentity> = planned.iter().map(|d| d.identity.clone()).collect();
        let period = Period {
            variety: variety.to_string(),
            from,
            to,
            days: planned.len(),
            rows: planned.iter().map(|d| d.rows).sum(),
            data: days_digest(&identities),
            // Days that come later change no result over these.
            schedule: planned
                .last()
                .and_then(|day| hashes.get(&day.identity.trading_day))
                .map_or_else(|| schedule.hash().to_owned(), Clone::clone),
        };
        Ok(Days { period, variety: variety.clone(), planned })
    }

    /// The id of a job: the digest of its result. `place` is the period's and tells one from another.
    pub(crate) fn id(
        &mut self,
        lineup: &Lineup,
        (place, days): (usize, &Days),
        (run_place, run): (usize, &RunSpec),
    ) -> Result<Digest, Problem> {
        let spec = job_spec(run, &days.period, lineup);
        let made = (place, columns_of(lineup));
        let days_id = match self.days.get(&made) {
            Some(digest) => *digest,
            None => {
                let digest = self.days_of(lineup, days)?;
                self.days.insert(made, digest);
                digest
            }
        };
        let tables = (days.period.variety.clone(), run_place);
        let tables_id = match self.tables.get(&tables) {
            Some(digest) => *digest,
            None => {
                let digest = Ledger::new(&spec, &days.variety)?.digest();
                self.tables.insert(tables, digest);
                digest
            }
        };
        Ok(result_digest(&spec, &days_id, &lineup.identity(&days.period.schedule), &tables_id))
    }

    /// The digest of a period's days with the columns of a lineup.
    fn days_of(&mut self, lineup: &Lineup, days: &Days) -> Result<Digest, Problem> {
        let mut identities: Vec<DayIdentity> = days.planned.iter().map(|d| d.identity.clone()).collect();
        for (identity, planned) in identities.iter_mut().zip(&days.planned) {
            identity.origin.scores = lineup.scoring.rows_of(identity.trading_day, planned.rows as usize);
        }
        for feature in &lineup.features {
            let keys = self.keys_of(feature, &days.variety)?;
            for identity in &mut identities {
                let key = keys.get(&identity.trading_day).ok_or_else(|| {
                    Problem::new(
                        "dataset_misaligned",
                        ErrorClass::Negative,
                        format!("main_l5 of {} was built by another schedule", identity.trading_day),
                        format!("ghtrader main build --var {}", days.variety.product()),
                    )
                })?;
                identity.origin.features.push(*key);
            }
        }
        Ok(days_digest(&identities))
    }

    fn keys_of(&mut self, feature: &Component, variety: &Variety) -> Result<&Keys, Problem> {
        let project = self.project;
        let (digest, params) = feature.identity();
        let name = (variety.to_string(), digest, params);
        if !self.keys.contains_key(&name) {
            let table = ContractTable::builtin();
            let (store, calendar) = (project.store, project.calendar);
            let schedule = self.schedule(variety)?;
            let keys = columns_keys(store, schedule, &*feature.plugin, &feature.params, calendar, table, None)?;
            self.keys.insert(name.clone(), keys.into_iter().map(|k| (k.trading_day, k.key)).collect());
        }
        self.keys
            .get(&name)
            .ok_or_else(|| Problem::new("columns_missing", ErrorClass::Internal, "no keys of columns", "report this"))
    }
}

/// What a lineup's columns follow from: jobs with equal ones share them.
pub(crate) fn columns_of(lineup: &Lineup) -> Digest {
    let mut b = ghtrader_core::DigestBuilder::new("ghtrader batch columns 1");
    for feature in &lineup.features {
        let (digest, params) = feature.identity();
        b.digest(&digest).text(&params);
    }
    for model in lineup.scoring.models() {
        b.text("model").digest(&model);
    }
    b.finish()
}

/// The specification of a job. Nothing in it depends on where things lie or what people call them: the report, which
/// carries it, has to be equal wherever the job is run.
pub(crate) fn job_spec(run: &RunSpec, period: &Period, lineup: &Lineup) -> RunSpec {
    let mut spec = run.clone();
    let about = lineup.strategy.plugin.manifest();
    spec.name = about.identity();
    spec.variety.clone_from(&period.variety);
    (spec.from, spec.to) = (Some(period.from), Some(period.to));
    spec.lineup.features = lineup.features.iter().map(Component::spec).collect();
    spec.lineup.strategy = lineup.strategy.spec();
    spec.lineup.model = match lineup.scoring.models().as_slice() {
        [one] => Some(ghtrader_backtest::ModelSpec { artifact: format!("sha256:{one}") }),
        _ => None,
    };
    spec
}
