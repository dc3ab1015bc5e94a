//! Building columns day by day: warm-up, borders, reach, reuse, faults. F-05, F-22, F-23, F-24, F-33
#![allow(clippy::expect_used, clippy::panic, reason = "a test ends where an assumption breaks")]

use ghtrader_core::{
    Calendar, Column, ContractTable, Digest, ExchangeTimeNs, NS_PER_S, Phase, TickTable, TradingDay, Variety,
};
use ghtrader_pipeline::{ColumnPlugin, ColumnsOptions, ColumnsReport, build_columns};
use ghtrader_plugin::{
    About, Answer, Boundary, CallSite, FeatureDescription, FeatureInstance, Instrument, LabelDescription,
    LabelInstance, LimitRequest, OutputColumn, OutputPromise, Params, PluginFault, PluginManifest, Reach, Role,
};
use ghtrader_store::{Counting, Dataset, DayMeta, EmbeddedStore, Schedule, ScheduleRow, Store, UnderlyingMeta};

const LAG: usize = 3;
const AHEAD: usize = 4;
/// A price at which the plugins give up.
const POISON: f64 = 130.0;
/// Rows of a day: twenty, a silence of ten seconds, ten more, the break, twenty more.
const ROWS: usize = 50;
const GAP_ROW: usize = 20;
const SESSION_ROW: usize = 30;

/// Trading days with contract and segment; the roll lies before the third.
const DAYS: [(&str, &str, u32); 4] = [
    ("2025-07-16", "SHFE.cu2508", 0),
    ("2025-07-17", "SHFE.cu2508", 0),
    ("2025-07-18", "SHFE.cu2509", 1),
    ("2025-07-21", "SHFE.cu2509", 1),
];

fn outputs(names: &[&str]) -> Vec<OutputColumn> {
    names.iter().map(|n| OutputColumn { name: (*n).to_owned(), unit: "1".to_owned() }).collect()
}

fn poisoned(price: f64) -> Result<f64, PluginFault> {
    if price == POISON {
        let at = CallSite { plugin: "feature/probe@0.1.0".into(), function: "compute", rows: 0..1 };
        return Err(PluginFault::Error { at, answer: Answer::InvalidInput, message: "planted".to_owned() });
    }
    Ok(price)
}

/// The price [`LAG`] rows ago, the border told last before the row, the fraction of its second.
struct Probe {
    description: FeatureDescription,
    prices: Vec<f64>,
    told: f64,
}

impl FeatureInstance for Probe {
    fn description(&self) -> &FeatureDescription {
        &self.description
    }
    fn boundary(&mut self, kind: Boundary) -> Result<(), PluginFault> {
        if kind == Boundary::Roll {
            self.prices.clear();
        }
        self.told = f64::from(kind as u8) + 1.0;
        Ok(())
    }
    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        for row in rows.chunks(2) {
            let (ts_ns, price) = (row[0].cast_signed(), poisoned(f64::from_bits(row[1]))?);
            let lagged = self.prices.len().checked_sub(LAG).map_or(-f64::NAN, |i| self.prices[i]);
            out.extend([lagged, std::mem::take(&mut self.told), (ts_ns % NS_PER_S) as f64]);
            self.prices.push(price);
        }
        Ok(())
    }
}

/// The price [`AHEAD`] rows on less the price now.
struct Ahead(LabelDescription);

impl LabelInstance for Ahead {
    fn description(&self) -> &LabelDescription {
        &self.0
    }
    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        let price = |i: usize| rows.get(i).map_or(f64::NAN, |w| f64::from_bits(*w));
        out.extend((0..emit as usize).map(|i| price(i + AHEAD) - price(i)));
        Ok(())
    }
}

struct Native(PluginManifest);

impl Native {
    fn new(role: Role, reach: Option<Reach>) -> Self {
        let feature = role == Role::Feature;
        let names: &[&str] = if feature { &["lagged", "border", "fraction"] } else { &["ahead"] };
        let promise = |n: &&str| OutputPromise { name: (*n).to_owned(), unit: "1".to_owned(), ttl_s: None };
        Self(PluginManifest {
            plugin: About {
                name: "probe".to_owned(),
                role,
                version: "0.1.0".to_owned(),
                description: "Shows what it is told.".to_owned(),
                source: String::new(),
                contract: "0.1.0".to_owned(),
                inputs: ["datetime", "last_price"][usize::from(!feature)..].iter().map(|s| (*s).to_owned()).collect(),
                warmup_rows: feature.then_some(LAG as u32),
                lookahead_rows: (!feature).then_some(AHEAD as u32),
                reach,
                varieties: Vec::new(),
                dynamic_outputs: false,
            },
            output: names.iter().map(promise).collect(),
            param: Vec::new(),
            limits: LimitRequest::default(),
            self_test: None,
        })
    }
}

impl ColumnPlugin for Native {
    fn identity(&self) -> &str {
        &self.0.plugin.name
    }
    fn digest(&self) -> Digest {
        Digest::of(format!("{:?}", self.0).as_bytes())
    }
    fn manifest(&self) -> &PluginManifest {
        &self.0
    }
    fn feature(&self, _: &Params, _: &Instrument) -> Result<Box<dyn FeatureInstance>, PluginFault> {
        let description = FeatureDescription {
            inputs: self.0.plugin.inputs.clone(),
            outputs: outputs(&["lagged", "border", "fraction"]),
            warmup_rows: LAG as u32,
        };
        Ok(Box::new(Probe { description, prices: Vec::new(), told: 0.0 }))
    }
    fn label(&self, _: &Params, _: &Instrument) -> Result<Box<dyn LabelInstance>, PluginFault> {
        let inputs = self.0.plugin.inputs.clone();
        Ok(Box::new(Ahead(LabelDescription { inputs, outputs: outputs(&["ahead"]), lookahead_rows: AHEAD as u32 })))
    }
}

fn day(text: &str) -> TradingDay {
    text.parse().expect("day")
}

fn ts_ns(day: TradingDay, row: usize) -> i64 {
    let half = NS_PER_S / 2;
    let at = |h: i64, m: i64, s: i64| ExchangeTimeNs::from_cst(day, (h * 3_600 + m * 60 + s) * NS_PER_S).0;
    match row {
        0..GAP_ROW => at(9, 0, 1) + row as i64 * half,
        GAP_ROW..SESSION_ROW => at(9, 0, 20) + (row - GAP_ROW) as i64 * half,
        _ => at(10, 30, 0) + (row - SESSION_ROW) as i64 * half,
    }
}

/// Prices of one day; no two rows of the test have the same.
fn prices(index: usize) -> Vec<f64> {
    (0..ROWS).map(|r| 78_000.0 + 10.0 * (index * ROWS + r) as f64).collect()
}

struct Place {
    _dir: tempfile::TempDir,
    store: EmbeddedStore,
    schedule: Schedule,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("folder");
        let store = EmbeddedStore::open(dir.path()).expect("store");
        let row = |&(date, contract, segment_id): &(&str, &str, u32)| ScheduleRow {
            date: day(date),
            main_contract: contract.parse().expect("contract"),
            segment_id,
        };
        let variety: Variety = "cu".parse().expect("variety");
        let schedule = Schedule::new(variety, "file", DAYS.iter().map(row).collect()).expect("schedule");
        let place = Self { _dir: dir, store, schedule };
        (0..DAYS.len()).for_each(|i| place.put(i, &prices(i)));
        place
    }

    fn put(&self, index: usize, prices: &[f64]) {
        let (date, contract, segment_id) = DAYS[index];
        let mut ticks = TickTable::default();
        for (row, price) in prices.iter().enumerate() {
            ticks.ts_ns.push(ts_ns(day(date), row));
            ticks.seq.push(row as u32);
            ticks.phase.push(Phase::Continuous as u8);
            for column in Column::floats() {
                ticks.floats[column.index() - 1].push(if column == Column::LastPrice { *price } else { 1.0 });
            }
        }
        let underlying = UnderlyingMeta {
            contract: contract.parse().expect("contract"),
            segment_id,
            schedule_hash: self.schedule.hashes()[&day(date)].clone(),
        };
        let meta = DayMeta {
            source: "test".to_owned(),
            counting: Counting::Single,
            build: Digest::of(format!("{prices:?}").as_bytes()),
            underlying: Some(underlying),
        };
        self.store.put_day(Dataset::MainL5, "KQ.m@SHFE.cu", day(date), &ticks.view(), &meta).expect("stored");
    }

    fn build(&self, plugin: &Native, options: ColumnsOptions) -> ColumnsReport {
        self.build_with(plugin, options, ContractTable::builtin())
    }

    fn build_with(&self, plugin: &Native, options: ColumnsOptions, table: &ContractTable) -> ColumnsReport {
        let calendar = Calendar::builtin();
        build_columns(&self.store, &self.schedule, plugin, &Params::new(), calendar, table, options, &|| {})
            .expect("built")
    }

    /// Column `name` of all days.
    fn column(&self, report: &ColumnsReport, name: &str) -> Vec<Vec<f64>> {
        let load = |d: &ghtrader_pipeline::ColumnsDayReport| {
            let columns = self.store.load_columns(&d.manifest.key).expect("readable").expect("stored");
            assert_eq!(columns.seq(), (0..ROWS as u32).collect::<Vec<_>>());
            columns.column_named(name).expect("column").to_vec()
        };
        report.days.iter().map(load).collect()
    }
}

#[track_caller]
fn assert_bits(got: &[Vec<f64>], want: &[Vec<f64>]) {
    for (d, (got, want)) in got.iter().zip(want).enumerate() {
        let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(got), bits(want), "day {d}: {got:?}, want {want:?}");
    }
    assert_eq!(got.len(), want.len());
}

/// All prices of the segment of day `index`, and where the day begins in them.
fn segment(index: usize) -> (Vec<f64>, usize) {
    let of = |i: usize| DAYS[i].2 == DAYS[index].2;
    let all = (0..DAYS.len()).filter(|i| of(*i)).flat_map(prices).collect();
    (all, (0..index).filter(|i| of(*i)).count() * ROWS)
}

/// F-05: warm-up rows are those of the same segment; no window mixes two contracts; every border is told before its row.
#[test]
fn warm_up_and_borders() {
    let place = Place::new();
    let report = place.build(&Native::new(Role::Feature, None), ColumnsOptions::default());
    assert_eq!((report.built_days, report.failed.len(), report.rows), (4, 0, 4 * ROWS as u64));
    let lagged = |d: usize| -> Vec<f64> {
        let (all, start) = segment(d);
        (start..start + ROWS).map(|t| t.checked_sub(LAG).map_or(f64::NAN, |i| all[i])).collect()
    };
    assert_bits(&place.column(&report, "lagged"), &(0..4).map(lagged).collect::<Vec<_>>());
    let mut border = vec![0.0; ROWS];
    (border[0], border[GAP_ROW], border[SESSION_ROW]) = (2.0, 4.0, 1.0);
    assert_bits(&place.column(&report, "border"), &vec![border; 4]);
    let fraction: Vec<f64> = (0..ROWS).map(|r| (ts_ns(day(DAYS[0].0), r) % NS_PER_S) as f64).collect();
    assert_bits(&place.column(&report, "fraction"), &vec![fraction; 4]);
}

/// Look-ahead ends with its reach and never crosses a roll; the rest is null.
#[test]
fn labels_end_with_their_reach() {
    let place = Place::new();
    for reach in [Reach::Session, Reach::Day, Reach::Segment] {
        let report = place.build(&Native::new(Role::Label, Some(reach)), ColumnsOptions::default());
        let of_day = |d: usize| -> Vec<f64> {
            let (all, start) = segment(d);
            let label = |r: usize| {
                let end = match reach {
                    Reach::Session if r < SESSION_ROW => start + SESSION_ROW,
                    Reach::Session | Reach::Day => start + ROWS,
                    Reach::Segment => all.len(),
                };
                let t = start + r;
                if t + AHEAD < end { all[t + AHEAD] - all[t] } else { f64::NAN }
            };
            (0..ROWS).map(label).collect()
        };
        assert_bits(&place.column(&report, "ahead"), &(0..4).map(of_day).collect::<Vec<_>>());
    }
}

/// F-24: workers and blocks cannot be seen in the result. F-23: nor can a full rebuild.
#[test]
fn workers_blocks_and_full_builds_do_not_matter() {
    for (role, reach) in
        [(Role::Feature, None), (Role::Label, Some(Reach::Session)), (Role::Label, Some(Reach::Segment))]
    {
        let plugin = Native::new(role, reach);
        let digests: Vec<Digest> = [(1, 1), (1, 7), (4, 4_096), (2, 50)]
            .map(|(workers, block_rows)| {
                let place = Place::new();
                let options = ColumnsOptions { workers, block_rows, ..ColumnsOptions::default() };
                let first = place.build(&plugin, options);
                let full = place.build(&plugin, ColumnsOptions { full: true, ..options });
                assert_eq!((full.built_days, full.dataset_digest), (4, first.dataset_digest));
                first.dataset_digest
            })
            .to_vec();
        assert!(digests.iter().all(|d| *d == digests[0]), "{digests:?}");
    }
}

/// F-22: only what a change can reach is built again.
#[test]
fn a_corrected_day_rebuilds_what_reads_it() {
    let (feature, label) = (Native::new(Role::Feature, None), Native::new(Role::Label, Some(Reach::Segment)));
    let place = Place::new();
    let rebuilt = |plugin: &Native| -> Vec<String> {
        let report = place.build(plugin, ColumnsOptions::default());
        report.days.iter().filter(|d| !d.reused).map(|d| d.trading_day.to_string()).collect()
    };
    for plugin in [&feature, &label] {
        assert_eq!((rebuilt(plugin).len(), rebuilt(plugin).len()), (4, 0));
    }
    let mut corrected = prices(0);
    corrected[ROWS - 1] += 10.0;
    place.put(0, &corrected);
    assert_eq!(rebuilt(&feature), ["2025-07-16", "2025-07-17"], "its own rows, and the warm-up of the next day");
    assert_eq!(rebuilt(&label), ["2025-07-16"], "the look-ahead of the day before, which there is none");
    let mut corrected = prices(3);
    corrected[0] += 10.0;
    place.put(3, &corrected);
    assert_eq!(rebuilt(&feature), ["2025-07-21"]);
    assert_eq!(rebuilt(&label), ["2025-07-18", "2025-07-21"]);

    let mut table = ContractTable::builtin().clone();
    table.add(&"cu".parse().expect("variety"), day("2025-07-18"), "5", "5").expect("row");
    let report = place.build_with(&feature, ColumnsOptions::default(), &table);
    assert_eq!((report.built_days, report.reused_days), (2, 2), "another price tick from the third day on");
}

/// F-33: a fault costs the days that read the row; the others are built, and the report says which.
#[test]
fn a_fault_fails_its_day_only() {
    let place = Place::new();
    let mut poisoned = prices(1);
    poisoned[10] = POISON;
    place.put(1, &poisoned);
    let report = place.build(&Native::new(Role::Feature, None), ColumnsOptions::default());
    let failed: Vec<_> = report.failed.iter().map(|f| (f.trading_day.to_string(), f.code)).collect();
    assert_eq!(failed, [("2025-07-17".to_owned(), "plugin_error")]);
    assert!(report.failed[0].message.contains("planted"));
    assert_eq!(report.built_days, 3);
    let e = build_columns(
        &place.store,
        &place.schedule,
        &Native::new(Role::Strategy, None),
        &Params::new(),
        Calendar::builtin(),
        ContractTable::builtin(),
        ColumnsOptions::default(),
        &|| {},
    );
    assert_eq!(ghtrader_core::Problem::from(e.expect_err("a strategy makes no columns")).code, "wrong_role");
}
