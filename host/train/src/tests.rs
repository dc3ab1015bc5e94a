use super::*;
use ghtrader_core::{Digest, FeatureColumn, TradingDay};
use ghtrader_model::LabelRecord;
use ghtrader_stats::Rng;
use std::collections::BTreeMap;

/// A market in miniature: the mid is a walk whose steps lean on a persistent signal that one feature shows; labels look `HORIZON`
/// rows ahead inside the day, so neighbouring labels overlap, and the price level is a feature as in the core set.
pub(crate) const HORIZON: usize = 50;

pub(crate) fn market(seed: u64, days: usize, rows_per_day: usize, strength: f64) -> TrainingSet {
    let mut rng = Rng::new(seed);
    let names = ["mid", "near_mid", "imbalance", "noise", "volatility", "constant"];
    let mut columns = vec![Vec::new(); names.len()];
    let (mut label, mut trading_day) = (Vec::new(), Vec::new());
    let mut mid = 10_000.0;
    for d in 0..days {
        let volatility = 0.5 + 0.5 * rng.uniform();
        let (mut signal, mut path) = (0.0, Vec::new());
        for row in 0..rows_per_day {
            signal = 0.98 * signal + 0.2 * rng.normal();
            mid += volatility * rng.normal() + strength * signal;
            path.push(mid);
            columns[0].push(mid);
            columns[1].push(mid + 0.1 * rng.normal());
            columns[2].push(signal);
            columns[3].push(if row < 3 { f64::NAN } else { rng.normal() });
            columns[4].push(volatility);
            columns[5].push(0.01);
            trading_day.push(TradingDay::from_days(20_000 + d as i32));
        }
        for row in 0..rows_per_day {
            label.push(match path.get(row + HORIZON) {
                Some(later) if later - path[row] >= 3.0 => 2.0,
                Some(later) if later - path[row] <= -3.0 => 0.0,
                Some(_) => 1.0,
                None => f64::NAN,
            });
        }
    }
    let feature = |name: &&str| FeatureColumn {
        name: (*name).to_owned(),
        unit: "1".into(),
        component: Digest::of(b"component"),
        params: BTreeMap::new(),
    };
    TrainingSet {
        source: SetSource {
            symbol: "KQ.m@SHFE.cu".into(),
            features: names.iter().map(feature).collect(),
            label: LabelRecord { name: "direction_50".into(), digest: Digest::of(b"label"), params: BTreeMap::new() },
            horizon_rows: HORIZON as u32,
            dataset_digests: vec![],
            schedule_hash: None,
        },
        columns,
        label,
        trading_day,
    }
}

fn settings() -> Settings {
    Settings {
        split: Split::Days { train_days: 4, gap_days: 0, test_days: 2, step_days: 2, expanding: true },
        min_train_rows: 500,
        max_train_rows: 3_000,
        price_levels: vec!["near_mid".into()],
        ..Settings::default()
    }
}

/// C, weights by feature and class, intercepts.
type Expected = (f64, [[f64; 3]; 2], [f64; 3]);
const EXPECTED: [Expected; 2] = [
    (
        0.1,
        [
            [-0.526_499_335_142, -0.215_957_164_185, 0.742_456_499_327],
            [0.107_492_201_419, -0.497_040_825_563, 0.389_548_624_144],
        ],
        [-0.669_992_304_858, -0.367_525_605_879, 1.037_517_910_738],
    ),
    (
        1.0,
        [
            [-1.474_342_277_153, -0.302_771_764_656, 1.777_114_041_809],
            [0.147_121_773_861, -1.068_840_830_207, 0.921_719_056_345],
        ],
        [-1.195_920_574_5, -0.352_278_057_16, 1.548_198_631_66],
    ),
];

/// M-01: scikit-learn 1.9, `StandardScaler` and `LogisticRegression(C, solver="newton-cg", tol=1e-14)`, intercepts less their mean.
#[test]
fn coefficients_are_those_of_scikit_learn() {
    let n = 60;
    let at = |i: usize| (((i * 7) % 11) as f64 - 3.0, ((i * 5) % 13) as f64 * 0.5, ((i * 3) % 5) as f64);
    let mut set = market(0, 1, n, 0.0);
    set.source.features.truncate(2);
    set.columns = vec![(0..n).map(|i| at(i).0).collect(), (0..n).map(|i| at(i).1).collect()];
    set.label = (0..n)
        .map(|i| {
            let (a, b, c) = at(i);
            if a + b + c > 5.5 {
                2.0
            } else if a - b + c < -2.0 {
                0.0
            } else {
                1.0
            }
        })
        .collect();
    for (c, coefficients, intercepts) in EXPECTED {
        let settings = Settings { c, anchor: None, ..Settings::default() };
        let model = fit(&set, 0..n, &settings).unwrap().model;
        for (got, want) in
            model.weights.iter().flatten().chain(&model.bias).zip(coefficients.iter().flatten().chain(&intercepts))
        {
            assert!((got - want).abs() < 1e-6, "C {c}: {got} instead of {want}");
        }
    }
}

/// M-10
#[test]
fn fit_reads_its_rows_only() {
    let set = market(5, 6, 800, 0.2);
    let mut other = set.clone();
    for column in &mut other.columns {
        column[2_400..].iter_mut().for_each(|v| *v = *v * -3.0 + 1.0);
    }
    other.label[2_400..].fill(1.0);
    let settings = settings();
    assert_eq!(fit(&set, 0..2_400, &settings), fit(&other, 0..2_400, &settings));
    // A day's first rows have NaN and are no evidence.
    assert_ne!(fit(&set, 0..2_410, &settings), fit(&other, 0..2_410, &settings));
}

#[test]
fn scores_come_from_models_that_saw_nothing_later() {
    let set = market(6, 10, 800, 0.2);
    let walk = walk_forward(&set, &settings()).unwrap();
    assert_eq!(walk.folds.len(), 3);
    for f in &walk.folds {
        // The label of the last training row ends before the test.
        assert!(f.fold.train.end + HORIZON <= f.fold.test.start);
        assert!(set.trading_day[f.fold.train.end - 1] < set.trading_day[f.fold.test.start]);
    }
    // Whatever happens from the second fold's test on, the first fold's scores stay.
    let later = walk.folds[1].fold.test.start;
    let mut other = set.clone();
    other.label[later..].iter_mut().for_each(|y| *y = 2.0 - *y);
    other.columns[2][later..].iter_mut().for_each(|v| *v = -*v);
    let changed = walk_forward(&other, &settings()).unwrap();
    let bits = |w: &WalkForward, rows: std::ops::Range<usize>| -> Vec<u64> {
        w.out_of_sample_scores[rows].iter().flatten().map(|p| p.to_bits()).collect()
    };
    assert_eq!(bits(&walk, 0..later), bits(&changed, 0..later));
    assert_ne!(bits(&walk, later..set.rows()), bits(&changed, later..set.rows()));
    // Before the first test part there is no score; inside, only where a feature is NaN.
    let first = walk.folds[0].fold.test.start;
    for (row, p) in walk.out_of_sample_scores.iter().enumerate() {
        assert_eq!(p[0].is_nan(), row < first || row % 800 < 3, "{row}");
    }
    assert_eq!(walk.pooled.rows + walk.pooled.dropped_rows, set.rows() - first);
}

/// M-38: on any number of threads.
#[test]
fn same_input_same_bytes() {
    let set = market(7, 10, 800, 0.1);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let walk = walk_forward(&set, &settings()).unwrap();
            let digest = walk.artefact(&set, &settings(), "").digest().unwrap();
            (serde_json::to_string(&walk).unwrap(), digest)
        })
    };
    assert_eq!(run(1), run(3));
}

/// M-18: what is trained opens again and scores the same.
#[test]
fn artefact_opens_and_scores_alike() {
    let set = market(8, 8, 800, 0.2);
    let root = tempfile::tempdir().unwrap();
    let walk = walk_forward(&set, &settings()).unwrap();
    let (_, folder) = walk.artefact(&set, &settings(), "note").save(root.path()).unwrap();
    let opened = ghtrader_model::Artefact::open(&folder).unwrap();
    assert_eq!(opened.model, walk.final_model.model);
    assert_eq!(opened.manifest.training.last_day, *set.trading_day.last().unwrap());
    assert_eq!(opened.manifest.folds.len(), walk.folds.len());
}

/// With nothing to learn the 95 % interval covers ½ about as often as it says, and the AUC is ½ on average.
#[test]
fn interval_covers_chance() {
    for (days, rows_per_day, test_days) in [(14, 1_000, 2), (6, 3_000, 2)] {
        let settings = Settings {
            split: Split::Days { train_days: 4, gap_days: 0, test_days, step_days: test_days, expanding: true },
            max_train_rows: 1_500,
            ..settings()
        };
        let report =
            study::<TrainError>(0..40, &settings, |seed| Ok((market(seed, days, rows_per_day, 0.0), None))).unwrap();
        // 95 % of 40 is 38; 34 or fewer happens to an honest interval in 5 of 100 000 studies.
        assert!(report.covered >= 34, "{} of 40", report.covered);
        assert!((report.mean_auc - 0.5).abs() < 0.015, "{}", report.mean_auc);
    }
}

#[test]
fn planted_signal_is_found_up_to_its_bound() {
    let settings = settings();
    // The signal itself is the best score there is: the labels' dependence on it is monotone.
    let report = study::<TrainError>(0..4, &settings, |seed| {
        let set = market(seed, 10, 1_500, 0.1);
        // Four days of training come first; all others are tested.
        let moved: Vec<usize> =
            (4 * 1_500..set.rows()).filter(|&i| set.label[i] == 0.0 || set.label[i] == 2.0).collect();
        let up: Vec<bool> = moved.iter().map(|&i| set.label[i] == 2.0).collect();
        let signal: Vec<f64> = moved.iter().map(|&i| set.columns[2][i]).collect();
        let bound = ghtrader_stats::auc(&up, &signal);
        Ok((set, Some(bound)))
    })
    .unwrap();
    let bound = report.mean_bound.unwrap();
    assert!(bound > 0.6 && (report.mean_auc - bound).abs() < 0.03, "{} {bound}", report.mean_auc);
    assert!(report.covered == 0, "{report:?}");
}

/// Every bad set and setting has its own code.
#[test]
fn bad_input_is_named() {
    let good = || market(1, 8, 300, 0.0);
    let check = |set: TrainingSet, settings: Settings, code: &str| {
        let e = walk_forward(&set, &settings).unwrap_err();
        assert_eq!(e.code(), code, "{e}");
        assert!(!ghtrader_core::Problem::from(e).remedy.is_empty());
    };
    let changed = |change: &dyn Fn(&mut TrainingSet)| {
        let mut set = good();
        change(&mut set);
        set
    };
    check(changed(&|s| s.columns[1].truncate(9)), settings(), "train_set_misaligned");
    check(changed(&|s| s.label.clear()), settings(), "train_set_misaligned");
    check(changed(&|s| s.label[7] = 3.0), settings(), "train_label_invalid");
    check(changed(&|s| s.trading_day.swap(0, 700)), settings(), "train_rows_out_of_order");
    check(changed(&|s| s.columns[2].fill(f64::NAN)), settings(), "train_too_few_rows");
    check(changed(&|s| s.label.fill(1.0)), settings(), "train_too_few_rows");
    check(good(), Settings { c: 0.0, ..settings() }, "train_setting_out_of_bounds");
    check(good(), Settings { min_train_rows: 1_000_000, ..settings() }, "train_no_fold");
    check(good(), Settings { holdout_days: 8, ..settings() }, "train_no_fold");
}

/// M-13: holdout days are neither fitted on nor judged.
#[test]
fn holdout_is_not_read() {
    let set = market(9, 10, 600, 0.2);
    let settings = Settings { holdout_days: 2, ..settings() };
    let walk = walk_forward(&set, &settings).unwrap();
    let holdout = 8 * 600;
    assert_eq!(walk.final_train, 0..holdout);
    assert!(walk.folds.iter().all(|f| f.fold.test.end <= holdout));
    assert!(walk.out_of_sample_scores[holdout..].iter().all(|p| p[0].is_nan()));
}

/// A class that a training part lacks gets probability 0, not an error.
#[test]
fn missing_class_is_scored() {
    let mut set = market(10, 4, 800, 0.3);
    set.label.iter_mut().filter(|y| **y == 1.0).for_each(|y| *y = f64::NAN);
    let fitted = fit(&set, 0..set.rows(), &settings()).unwrap();
    let p = fitted.model.probabilities(|k| set.columns[k][100]);
    assert!(p[1] < 1e-15 && (p[0] + p[2] - 1.0).abs() < 1e-12, "{p:?}");
}
