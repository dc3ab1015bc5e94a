use super::*;
use serde_json::{Value, json};

fn whole(v: &Value) -> usize {
    v.as_u64().unwrap_or_else(|| panic!("{v} is no whole number")) as usize
}

fn pair(r: &Range<usize>) -> Value {
    json!([r.start, r.end])
}

fn run(input: &Value) -> Value {
    let n = |name: &str| whole(&input[name]);
    let purged = |folds: Vec<PurgedFold>, single: bool| -> Value {
        folds
            .iter()
            .map(|f| {
                let test: Vec<Value> = f.test.iter().map(pair).collect();
                let train: Vec<Value> = f.train.iter().map(pair).collect();
                json!({"test": if single { test[0].clone() } else { test.into() }, "train": train})
            })
            .collect()
    };
    match input["op"].as_str().unwrap() {
        "walk_forward" => {
            serde_json::to_value(walk_forward_borders(n("n_rows"), n("n_splits"), n("min_train"))).unwrap()
        }
        "walk_forward_purged" => {
            let purge = Purge {
                horizon_rows: n("horizon_rows"),
                gap_rows: n("gap_rows"),
                min_train_rows: n("min_train"),
                train_rows: input["train_rows"].as_u64().map(|r| r as usize),
            };
            walk_forward_purged(n("n_rows"), n("n_splits"), purge)
                .iter()
                .map(|f| json!({"split": f.split, "train": pair(&f.train), "validation": pair(&f.validation), "test": pair(&f.test)}))
                .collect()
        }
        "purged_k_fold" => purged(purged_k_fold(n("n_rows"), n("n_folds"), n("horizon_rows"), n("embargo_rows")), true),
        "combinatorial_purged" => purged(
            combinatorial_purged(n("n_rows"), n("n_groups"), n("n_test_groups"), n("horizon_rows"), n("embargo_rows")),
            false,
        ),
        "walk_forward_days" => {
            let days: Vec<TradingDay> = serde_json::from_value(input["trading_days"].clone()).unwrap();
            serde_json::to_value(walk_forward_days(
                &days,
                n("train_days"),
                n("gap_days"),
                n("test_days"),
                n("step_days"),
            ))
            .unwrap()
        }
        "sequence_windows" => {
            let segment: Vec<u32> = serde_json::from_value(input["segment_id"].clone()).unwrap();
            let has_label: Vec<bool> = input["labels"].as_array().unwrap().iter().map(|l| !l.is_null()).collect();
            sequence_windows(&segment, &has_label, n("length")).into()
        }
        op => panic!("splits.json asks for the unknown operation `{op}`"),
    }
}

/// M-09, M-11, M-12
#[test]
fn golden_splits() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/splits.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(file["tolerance"], json!({"exact": true}));
    for case in file["cases"].as_array().unwrap() {
        assert_eq!(run(&case["input"]), case["expected"], "{}: {}", case["id"], case["why"]);
    }
}

/// M-12
#[test]
fn no_training_label_reaches_a_test_row_nor_the_other_way() {
    let overlaps = |train: &[Range<usize>], test: &[Range<usize>], horizon: usize| {
        train.iter().flat_map(Clone::clone).any(|i| {
            test.iter().any(|t| (i <= t.start && i + horizon >= t.start) || (i >= t.start && i < t.end + horizon))
        })
    };
    for n in [30, 97, 200] {
        for horizon in [0, 1, 7] {
            for fold in purged_k_fold(n, 5, horizon, 3) {
                assert!(!overlaps(&fold.train, &fold.test, horizon), "{fold:?}");
            }
            for fold in combinatorial_purged(n, 6, 2, horizon, 0) {
                assert!(!overlaps(&fold.train, &fold.test, horizon), "{fold:?}");
            }
            let purge = Purge { horizon_rows: horizon, ..Purge::default() };
            for fold in walk_forward_purged(n, 4, purge) {
                let (train, validation) = (vec![fold.train], vec![fold.validation]);
                assert!(!overlaps(&train, std::slice::from_ref(&fold.test), horizon), "{train:?}");
                assert!(!overlaps(&train, &validation, horizon), "{train:?} {validation:?}");
            }
        }
    }
    assert_eq!(combinatorial_purged(60, 6, 2, 1, 1).len(), 15);
}

/// M-11
#[test]
fn borders_move_down_to_a_day() {
    let borders = walk_forward_borders(1000, 2, 0);
    let days = [0, 200, 455, 700, 900];
    let snapped = snap_to_days(&borders, &days, 1000);
    assert_eq!(snapped[0], Borders { split: 0, train_end: 200, validation_end: 455, test_end: 700 });
    assert_eq!(snapped[1].test_end, 1000);
}
