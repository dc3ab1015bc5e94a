//! From stored ticks over the main schedule to `main_l5`, validation and the day report, on a store in a temporary folder.
#![allow(clippy::unwrap_used, reason = "a test")]

use ghtrader_core::*;
use ghtrader_pipeline::*;
use ghtrader_store::*;
use std::path::Path;

const MULTIPLIER: f64 = 5.0;

fn day(text: &str) -> TradingDay {
    text.parse().unwrap()
}

fn cu() -> Variety {
    "cu".parse().unwrap()
}

/// A contract's day: one auction row, then a row a second over the first minutes of each window, all with depth but every
/// fiftieth. Prices and open interest start from the given values.
fn ticks(on: TradingDay, price: f64, open_interest: f64, depth: bool) -> TickTable {
    let calendar = Calendar::builtin();
    let phases = calendar.day_phases(&cu(), on);
    let windows = calendar.session_windows(&cu(), on);
    let mut times: Vec<i64> = vec![windows[0].start_ns - 30 * NS_PER_S];
    for w in &windows {
        times.extend((0..200).map(|s| w.start_ns + s * NS_PER_S + NS_PER_S / 2));
    }
    let n = times.len();
    let mut t = TickTable::with_capacity(n);
    t.seq = (0..n as u32).collect();
    t.phase = times.iter().map(|ts| phases.phase(*ts) as u8).collect();
    t.floats = std::array::from_fn(|_| vec![f64::NAN; n]);
    let mut set = |c: Column, f: &dyn Fn(usize) -> f64| t.floats[c.index() - 1] = (0..n).map(f).collect();
    let mid = |i: usize| price + 10.0 * ((i * 7919) % 13) as f64;
    for level in 0..L5_LEVELS {
        let shown = move |i: usize| level == 0 || (depth && !i.is_multiple_of(50));
        let step = 10.0 * level as f64;
        set(Column::bid_price(level), &|i| if shown(i) { mid(i) - step } else { f64::NAN });
        set(Column::ask_price(level), &|i| if shown(i) { mid(i) + 10.0 + step } else { f64::NAN });
        set(Column::bid_volume(level), &|i| if shown(i) { (1 + i % 9) as f64 } else { 0.0 });
        set(Column::ask_volume(level), &|i| if shown(i) { (1 + i % 7) as f64 } else { 0.0 });
    }
    set(Column::LastPrice, &|i| mid(i));
    set(Column::Highest, &|_| price + 500.0);
    set(Column::Lowest, &|_| price - 500.0);
    set(Column::Volume, &|i| i as f64);
    set(Column::Amount, &|i| i as f64 * (price + 60.0) * MULTIPLIER);
    set(Column::Average, &|i| if i == 0 { f64::NAN } else { price + 60.0 });
    set(Column::OpenInterest, &|_| open_interest);
    t.ts_ns = times;
    t
}

fn put(store: &dyn Store, contract: &str, on: TradingDay, table: &TickTable) {
    let meta =
        DayMeta { source: "test".to_owned(), counting: Counting::Single, build: Digest::of(b"test"), underlying: None };
    store.put_day(Dataset::Ticks, contract, on, &table.view(), &meta).unwrap();
}

/// Ten days of two contracts; open interest moves to the later one at the close of the fourth day.
fn market(root: &Path) -> (EmbeddedStore, Vec<TradingDay>) {
    let store = EmbeddedStore::open(root).unwrap();
    let days = Calendar::builtin().trading_days(day("2025-07-21"), day("2025-08-01"));
    for (i, &on) in days.iter().enumerate() {
        let (near, far) = if i < 3 { (900.0, 500.0) } else { (600.0, 800.0) };
        put(&store, "SHFE.cu2509", on, &ticks(on, 78_000.0 + 10.0 * i as f64, near, true));
        put(&store, "SHFE.cu2510", on, &ticks(on, 78_500.0 + 10.0 * i as f64, far, true));
    }
    (store, days)
}

fn schedule(store: &dyn Store) -> ScheduleReport {
    let source = ScheduleSource::OpenInterest(ScheduleRule::default());
    build_main_schedule(store, &cu(), &source, None, Calendar::builtin(), ContractTable::builtin()).unwrap()
}

fn build(store: &dyn Store, options: MainL5Options) -> MainL5Report {
    let schedule = store.load_schedule(&cu()).unwrap().unwrap();
    build_main_l5(store, &schedule, options, &|| {}).unwrap()
}

/// D-19, D-21, D-23, D-26
#[test]
fn segments_never_mix_contracts_and_nothing_is_done_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    let made = schedule(&store);
    assert_eq!((made.outcome, made.rows, made.contracts.len()), ("stored", days.len() - 1, 2));
    let roll = &made.rolls[0];
    assert_eq!((roll.decided_on, roll.trading_day), (Some(days[3]), days[4]));
    assert_eq!(roll.open_interest_lots, Some((600.0, 800.0)));
    assert_eq!(roll.gap_ticks, Some(50.0));
    assert_eq!(schedule(&store).outcome, "unchanged");

    let report = build(&store, MainL5Options::default());
    report.check_health().unwrap();
    assert_eq!((report.built_days, report.covered_days, report.segments.len()), (9, 9, 2));
    // Every fiftieth row has no depth; at least 1 % of each day, so each day is named.
    assert!(report.rows_without_depth > 0 && report.shallow_days.len() == 9);
    let hashes = store.load_schedule(&cu()).unwrap().unwrap().hashes();
    assert_eq!(
        hashes.last_key_value().map(|(day, hash)| (*day, hash.as_str())),
        Some((days[9], made.schedule_hash.as_str()))
    );
    for (i, &on) in days[1..].iter().enumerate() {
        let loaded = store.load_day(Dataset::MainL5, "KQ.m@SHFE.cu", on).unwrap();
        let underlying = loaded.manifest().underlying.clone().unwrap();
        let want = if i < 3 { ("SHFE.cu2509", 0) } else { ("SHFE.cu2510", 1) };
        assert_eq!((underlying.contract.to_string().as_str(), underlying.segment_id), want);
        // The schedule as it was on that day; on the last one that is all of it.
        assert_eq!(underlying.schedule_hash, hashes[&on]);
        // Each row is the source's row of that sequence number, bit for bit.
        let source = store.load_day(Dataset::Ticks, want.0, on).unwrap();
        let (main, source) = (loaded.view(), source.view());
        for row in 0..main.rows() {
            assert!(main.has_l5(row) && main.phase[row] == Phase::Continuous as u8);
            assert_eq!(main.row_hash(row), source.row_hash(main.seq[row] as usize));
        }
    }
    let again = build(&store, MainL5Options::default());
    assert_eq!((again.unchanged_days, again.built_days, again.restamped_days), (9, 0, 0));
    assert_eq!(again.dataset_digest, report.dataset_digest);
}

/// D-24
#[test]
fn only_what_changed_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    schedule(&store);
    build(&store, MainL5Options::default());
    // A day is added: the schedule's hash changes, the days before do not.
    let next = Calendar::builtin().next_trading_day(days[9]).unwrap();
    put(&store, "SHFE.cu2510", next, &ticks(next, 78_700.0, 900.0, true));
    assert_eq!(schedule(&store).outcome, "replaced");
    let added = build(&store, MainL5Options::default());
    assert_eq!((added.built_days, added.unchanged_days, added.covered_days), (1, 9, 10));
    // A corrected source day.
    put(&store, "SHFE.cu2510", days[6], &ticks(days[6], 78_900.0, 800.0, true));
    let corrected = build(&store, MainL5Options::default());
    assert_eq!((corrected.built_days, corrected.unchanged_days), (1, 9));
    // A correction of a contract that is not main that day is none of ours.
    put(&store, "SHFE.cu2509", days[6], &ticks(days[6], 78_900.0, 500.0, true));
    assert_eq!(build(&store, MainL5Options::default()).unchanged_days, 10);
    let full = build(&store, MainL5Options { full: true, ..Default::default() });
    assert_eq!((full.built_days, full.dataset_digest), (10, corrected.dataset_digest));
}

/// D-25
#[test]
fn workers_do_not_change_the_bytes() {
    let digest = |workers| {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = market(dir.path());
        schedule(&store);
        build(&store, MainL5Options { workers, ..Default::default() }).dataset_digest
    };
    assert_eq!(digest(1), digest(8));
}

/// D-27
#[test]
fn missing_days_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let days = Calendar::builtin().trading_days(day("2025-07-21"), day("2025-07-25"));
    // Nothing with depth on the first two days, the third not stored, the fourth without depth.
    for (i, depth) in [(0, false), (1, false), (3, true), (4, false)] {
        put(&store, "SHFE.cu2509", days[i], &ticks(days[i], 78_000.0, 900.0, depth));
    }
    let events = vec![(days[0], "SHFE.cu2509".parse().unwrap())];
    let source = ScheduleSource::Events { name: "file".to_owned(), events };
    build_main_schedule(&store, &cu(), &source, None, Calendar::builtin(), ContractTable::builtin()).unwrap();
    let report = build(&store, MainL5Options::default());
    assert_eq!((report.days_before_first_l5, report.expected_days, report.covered_days), (2, 3, 1));
    assert_eq!((report.engineering_missing, report.provider_missing), (1, 1));
    let problem = Problem::from(report.check_health().unwrap_err());
    assert_eq!(problem.code, "days_missing");
    // The third day arrives; one provider-missing day is tolerated.
    put(&store, "SHFE.cu2509", days[2], &ticks(days[2], 78_000.0, 900.0, true));
    build(&store, MainL5Options { missing_days_tolerance: 1, ..Default::default() }).check_health().unwrap();
}

#[test]
fn no_ticks_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for source in [
        ScheduleSource::OpenInterest(ScheduleRule::default()),
        ScheduleSource::Events {
            name: "file".to_owned(),
            events: vec![(day("2025-07-21"), "cu2509".parse().unwrap())],
        },
    ] {
        let e = build_main_schedule(&store, &cu(), &source, None, Calendar::builtin(), ContractTable::builtin())
            .unwrap_err();
        assert_eq!(Problem::from(e).code, "schedule_empty");
    }
    // Ticks of one level only.
    for on in Calendar::builtin().trading_days(day("2025-07-21"), day("2025-07-23")) {
        put(&store, "SHFE.cu2509", on, &ticks(on, 78_000.0, 900.0, false));
    }
    schedule(&store);
    let e = build(&store, MainL5Options::default()).check_health().unwrap_err();
    assert_eq!(Problem::from(e).code, "l5_missing");
}

/// D-28, D-30, D-32
#[test]
fn a_day_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    schedule(&store);
    build(&store, MainL5Options::default());
    let policy = ValidationPolicy::default();
    let report = |symbol: &str| {
        report_day(&store, symbol, days[5], &policy, Calendar::builtin(), ContractTable::builtin()).unwrap()
    };
    let ticks = report("cu2510");
    assert_eq!((ticks.rows, ticks.phases.auction, ticks.phases.continuous), (801, 1, 800));
    assert!(ticks.queue_imbalance_auc.is_some() && ticks.ofi_r2.is_some());
    assert_eq!((ticks.row_intervals.median_s, ticks.quality.fields.crossed.count), (1.0, 0));
    // Each window is silent after 200 s: one gap over 30 s that reaches its end, so nothing is known about it.
    assert_eq!((ticks.gaps.count_gt_30, ticks.gap_evidence.unknown, ticks.gaps.missing_day), (4, 4, false));
    assert_eq!(ticks.state.reason_code, ReasonCode::GapGt30Block);
    let main = report(" kq.m@shfe.CU ");
    assert_eq!((main.symbol.as_str(), main.rows, main.rows_with_l5), ("KQ.m@SHFE.cu", main.rows_with_l5, main.rows));
    assert_eq!(main.underlying_contract.map(|c| c.to_string()).as_deref(), Some("SHFE.cu2510"));

    for (symbol, code) in [("cu25", "bad_symbol"), ("zz2509", "unknown_contract"), ("cu2512", "days_missing")] {
        let e =
            report_day(&store, symbol, days[5], &policy, Calendar::builtin(), ContractTable::builtin()).unwrap_err();
        assert_eq!(Problem::from(e).code, code, "{symbol}");
    }
}

fn scope(symbol: &str) -> ValidationScope<'_> {
    ValidationScope { symbol, from: None, to: None, incremental: false, max_segments: 3 }
}

/// D-28, D-29: a day is validated once, again when its rows or the rule of a gap change, and never for another reason.
#[test]
fn a_day_is_validated_when_what_decides_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    schedule(&store);
    build(&store, MainL5Options::default());
    let policy = ValidationPolicy::default();
    let symbol = "KQ.m@SHFE.cu";
    let run = |scope, policy: &ValidationPolicy| {
        validate(&store, scope, policy, Calendar::builtin(), ContractTable::builtin()).unwrap()
    };
    let first = run(scope(symbol), &policy);
    assert_eq!((first.days_expected, first.days_missing.len(), first.days_reused), (9, 0, 0));
    // Four windows fall silent after 200 s on each day; three gaps of a day are kept.
    assert_eq!(
        (first.counts.count_gt_30, first.days[0].segments, first.days[0].validation.gaps.gaps.len()),
        (36, 4, 3)
    );
    assert_eq!((first.state.overall, first.state.reason_code), (State::Error, ReasonCode::GapGt30Block));
    assert_eq!(first.schedule_hash.as_deref(), Some(store.load_schedule(&cu()).unwrap().unwrap().hash()));

    let again = run(scope(symbol), &policy);
    assert_eq!(again.days_reused, 9);
    let without_reuse = |r: &ValidationReport| {
        let mut r = r.clone();
        r.days_reused = 0;
        r.days.iter_mut().for_each(|d| d.reused = false);
        r
    };
    assert_eq!(without_reuse(&again), first, "kept and made anew are the same");
    // A limit that says nothing of what a gap is judges what was kept.
    let lenient = ValidationPolicy { gap_block_gt30: 36, ..policy };
    let judged = run(scope(symbol), &lenient);
    assert_eq!((judged.days_reused, judged.state.policy), (9, State::Ok));
    assert_eq!(run(scope(symbol), &ValidationPolicy { gap_threshold_night_s: 4.0, ..policy }).days_reused, 0);

    let incremental = ValidationScope { incremental: true, ..scope(symbol) };
    let nothing = run(incremental, &policy);
    assert_eq!((nothing.days_expected, nothing.state.reason_code), (0, ReasonCode::NoopUpToDate));

    // A corrected day is read again, the others are not.
    let contract = "SHFE.cu2510";
    let old = store.read_day(Dataset::Ticks, contract, days[5]).unwrap();
    let fewer = old.view().slice(0..old.view().rows() - 2);
    let meta = DayMeta {
        source: "corrected".to_owned(),
        counting: old.manifest().counting,
        build: Digest::of(b"corrected"),
        underlying: None,
    };
    store.put_day(Dataset::Ticks, contract, days[5], &fewer, &meta).unwrap();
    let contract_days = run(scope(contract), &policy).days_expected;
    build(&store, MainL5Options::default());
    let corrected = run(scope(symbol), &policy);
    // The policy in between had made all days anew; with the first one they are made once more.
    assert_eq!(corrected.days_reused, 0);
    assert_eq!(run(scope(symbol), &policy).days_reused, 9);
    assert_ne!(
        corrected.days.iter().map(|d| d.sha256).collect::<Vec<_>>(),
        first.days.iter().map(|d| d.sha256).collect::<Vec<_>>()
    );
    assert!(contract_days > 0);
}

/// D-27, D-28: a day of the schedule without rows is missing, and nothing else is said of it.
#[test]
fn a_missing_day_is_no_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    schedule(&store);
    let run = |policy: &ValidationPolicy| {
        let symbol = scope("KQ.m@SHFE.cu");
        validate(&store, symbol, policy, Calendar::builtin(), ContractTable::builtin()).unwrap()
    };
    // Nothing is built yet.
    let policy = ValidationPolicy::default();
    let report = run(&policy);
    assert_eq!((report.days_expected, report.days_missing.len(), report.counts.count_gt_30), (9, 9, 0));
    assert_eq!((report.state.source, report.state.reason_code), (State::Warn, ReasonCode::SourceMissingDaysWarn));
    let strict = ValidationPolicy { source_blocking: true, ..policy };
    assert_eq!(run(&strict).state.reason_code, ReasonCode::SourceMissingDaysBlock);
    let tolerant = ValidationPolicy { source_missing_days_tolerance: 9, ..strict };
    assert_eq!(run(&tolerant).state.reason_code, ReasonCode::SourceMissingDaysWarn);
    build(&store, MainL5Options::default());
    let built = run(&policy);
    assert_eq!((built.days_missing.len(), built.days_reused), (0, 0));
    assert_eq!(built.days.iter().map(|d| d.trading_day).collect::<Vec<_>>(), days[1..].to_vec());
}

/// D-24, D-36: what a day adds is all that is read; the rows of the days before may be gone.
#[test]
fn a_days_update_reads_no_old_ticks() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    let update = || {
        let schedule = schedule(&store);
        let built = build(&store, MainL5Options::default());
        let table = ContractTable::builtin();
        let policy = ValidationPolicy::default();
        let validated = validate(&store, scope("KQ.m@SHFE.cu"), &policy, Calendar::builtin(), table).unwrap();
        let covered = coverage(&store, &cu(), Calendar::builtin(), table).unwrap();
        (
            schedule.rows,
            built.built_days,
            built.restamped_days,
            validated.days_expected - validated.days_reused,
            covered,
        )
    };
    update();
    let mut taken = 0;
    for folder in ["lake", "cache"] {
        for file in walk(&dir.path().join(folder)) {
            std::fs::remove_file(file).unwrap();
            taken += 1;
        }
    }
    assert!(taken > days.len(), "{taken} files");
    let next = Calendar::builtin().next_trading_day(*days.last().unwrap()).unwrap();
    put(&store, "SHFE.cu2510", next, &ticks(next, 78_600.0, 800.0, true));
    let (rows, built, restamped, validated, covered) = update();
    assert_eq!((rows, built, validated), (10, 1, 1));
    // What they are stamped with is the schedule up to them.
    assert_eq!(restamped, 0);
    assert_eq!(covered.last().map(|c| c.days_present), Some(10));
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// D-33, D-35: facts of a day are kept with the digest of its rows, and a variety's symbols add up.
#[test]
fn coverage_counts_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    schedule(&store);
    build(&store, MainL5Options::default());
    let table = ContractTable::builtin();
    let covered = coverage(&store, &cu(), Calendar::builtin(), table).unwrap();
    let main = covered.last().unwrap();
    assert_eq!((main.symbol.as_str(), main.days_present, main.days_expected), ("KQ.m@SHFE.cu", 9, 9));
    assert_eq!((main.completeness, main.l5_share, main.days_behind), (1.0, 1.0, 0));
    let symbols: Vec<&str> = covered.iter().map(|c| c.symbol.as_str()).collect();
    assert!(symbols.is_sorted_by_key(|s| !s.starts_with("SHFE")), "{symbols:?}");
    let facts = day_facts(&store, FactsScope { symbol: "KQ.m@SHFE.cu", from: Some(days[2]), to: Some(days[3]) }, table);
    let facts = facts.unwrap();
    assert_eq!(facts.iter().map(|f| f.trading_day).collect::<Vec<_>>(), days[2..4].to_vec());
    let stored = store.manifest(Dataset::MainL5, "KQ.m@SHFE.cu", days[2]).unwrap().unwrap();
    assert_eq!((facts[0].rows, facts[0].sha256), (stored.rows, stored.sha256));
    let policy = ValidationPolicy::default();
    let validation = validate(&store, scope("KQ.m@SHFE.cu"), &policy, Calendar::builtin(), table).unwrap();
    let all = |c: &Coverage| day_facts(&store, FactsScope { symbol: &c.symbol, from: None, to: None }, table).unwrap();
    let facts: Vec<Vec<DayFacts>> = covered.iter().map(all).collect();
    let schedule = store.load_schedule(&cu()).unwrap();
    let page = DataPage {
        variety: &cu(),
        coverage: &covered,
        facts: &facts,
        validation: &validation,
        schedule: schedule.as_ref(),
    };
    let html = data_page(&page);
    assert_eq!(html, data_page(&page));
    let squares: usize = covered.iter().map(|c| c.days_present + c.days_missing.len()).sum();
    assert_eq!(html.matches("<rect class=\"h-").count(), squares);
    assert!(html.contains("must not be used as it is") && !html.contains("NaN"), "{html}");
}

/// D-18: what is read once leaves no copy behind.
#[test]
fn schedule_and_build_fill_no_cache() {
    let dir = tempfile::tempdir().unwrap();
    let (store, days) = market(dir.path());
    schedule(&store);
    build(&store, MainL5Options::default());
    let copies = || std::fs::read_dir(dir.path().join("cache")).map_or(0, |files| files.count());
    assert_eq!(copies(), 0);
    store.load_day(Dataset::MainL5, "KQ.m@SHFE.cu", days[5]).unwrap();
    assert_eq!(copies(), 1);
}
