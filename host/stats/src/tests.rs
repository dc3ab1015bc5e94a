use super::*;
use serde_json::Value;

fn number(v: &Value) -> f64 {
    match v {
        Value::String(s) => match s.as_str() {
            "NaN" => f64::NAN,
            "inf" => f64::INFINITY,
            "-inf" => f64::NEG_INFINITY,
            "-0.0" => -0.0,
            other => panic!("`{other}` is no number"),
        },
        v => v.as_f64().unwrap_or_else(|| panic!("{v} is no number")),
    }
}

fn numbers(v: &Value) -> Vec<f64> {
    v.as_array().unwrap_or_else(|| panic!("{v} is no list")).iter().map(number).collect()
}

fn rows(v: &Value) -> Vec<Vec<f64>> {
    v.as_array().unwrap().iter().map(numbers).collect()
}

fn whole(v: &Value) -> usize {
    v.as_u64().unwrap_or_else(|| panic!("{v} is no whole number")) as usize
}

fn wholes(v: &Value) -> Vec<usize> {
    v.as_array().unwrap().iter().map(whole).collect()
}

fn json(x: f64) -> Value {
    if x.is_nan() { "NaN".into() } else { x.into() }
}

fn same(got: &Value, want: &Value, rel: f64, abs: f64) -> bool {
    match (got, want) {
        (Value::Array(g), Value::Array(w)) => g.len() == w.len() && g.iter().zip(w).all(|(g, w)| same(g, w, rel, abs)),
        (Value::Object(g), Value::Object(w)) => w.iter().all(|(k, w)| g.get(k).is_some_and(|g| same(g, w, rel, abs))),
        (Value::Number(g), Value::Number(w)) => {
            let (g, w) = (g.as_f64().unwrap(), w.as_f64().unwrap());
            (g - w).abs() <= abs.max(rel * w.abs())
        }
        (g, w) => g == w,
    }
}

fn run(input: &Value) -> Value {
    let f = |name: &str| number(&input[name]);
    let labels = || wholes(&input["labels"]);
    let flags = || labels().into_iter().map(|y| y == 1).collect::<Vec<_>>();
    let probabilities = || rows(&input["probabilities"]);
    match input["op"].as_str().unwrap() {
        "sharpe" => sharpe(&numbers(&input["returns"]), f("annual_days")).map_or(Value::Null, json),
        "max_drawdown_pct" => json(max_drawdown_pct(&numbers(&input["equity_cny"]))),
        "psr" => json(
            psr(f("sharpe"), f("sharpe_benchmark"), whole(&input["n_observations"]), f("skew"), f("kurtosis")).unwrap(),
        ),
        "expected_max_sharpe" => json(expected_max_sharpe(f("variance"), whole(&input["n_trials"]))),
        "dsr" => json(
            dsr(
                f("sharpe"),
                f("variance"),
                whole(&input["n_trials"]),
                whole(&input["n_observations"]),
                f("skew"),
                f("kurtosis"),
            )
            .unwrap(),
        ),
        "pbo_cscv" => {
            let measure = serde_json::from_value(input["measure"].clone()).unwrap();
            serde_json::to_value(pbo_cscv(&rows(&input["returns"]), whole(&input["blocks"]), measure).unwrap()).unwrap()
        }
        "stationary_bootstrap_index" => stationary_bootstrap_index(
            whole(&input["n"]),
            f("mean_block_length"),
            &wholes(&input["starts"]),
            &numbers(&input["u"]),
        )
        .into(),
        "paired_difference" => {
            let resamples: Vec<_> = input["resample_indexes"].as_array().unwrap().iter().map(wholes).collect();
            let d =
                paired_difference(&numbers(&input["pnl_a_cny"]), &numbers(&input["pnl_b_cny"]), &resamples, f("level"));
            serde_json::to_value(d.unwrap()).unwrap()
        }
        "brier" if input["probabilities"][0].is_array() => json(brier(&labels(), &probabilities())),
        "brier" => json(brier_binary(&flags(), &numbers(&input["probabilities"]))),
        "log_loss" => json(log_loss(&labels(), &probabilities())),
        "ece" => json(ece(&labels(), &probabilities(), whole(&input["bins"]))),
        "auc" => json(auc(&flags(), &numbers(&input["scores"]))),
        "classification_report" => {
            let labels: Vec<_> = labels().into_iter().map(Some).collect();
            let r = classification_report(&labels, &probabilities());
            let recall: Vec<Value> = r.recall.iter().map(|x| json(*x)).collect();
            let mut v = serde_json::to_value(r).unwrap();
            v["recall"] = recall.into();
            v
        }
        op => panic!("metrics.json asks for the unknown operation `{op}`"),
    }
}

/// B-29, B-31, M-23
#[test]
fn golden_metrics() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/golden/metrics.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: ../shared/golden not found");
        return;
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let (rel, abs) = (number(&file["tolerance"]["rel"]), number(&file["tolerance"]["abs"]));
    for case in file["cases"].as_array().unwrap() {
        let got = run(&case["input"]);
        let want = &case["expected"];
        assert!(same(&got, want, rel, abs), "{}: {} (got {got}, want {want})", case["id"], case["why"]);
    }
}

#[test]
fn influence_sums_to_zero_and_predicts_the_error() {
    let mut rng = Rng::new(1);
    let (mut labels, mut scores) = (Vec::new(), Vec::new());
    for _ in 0..4000 {
        let y = rng.uniform() < 0.3;
        labels.push(y);
        scores.push((4.0 * (rng.normal() + f64::from(u8::from(y)))).round() / 4.0);
    }
    scores[17] = f64::NAN;
    let a = auc_influence(&labels, &scores);
    assert_eq!(a.auc, auc(&labels, &scores));
    assert!(a.influence.iter().sum::<f64>().abs() < 1e-8 && a.rows == 3999);
    // Leaving rows out moves the AUC by minus the sum of their influence, to second order.
    let (l, s) = (&labels[100..], &scores[100..]);
    let predicted = a.auc - a.influence[..100].iter().sum::<f64>() / (a.rows - 99) as f64;
    assert!((auc(l, s) - predicted).abs() < 2e-4, "{} {predicted}", auc(l, s));
}

/// B-29
#[test]
fn intervals_cover_as_often_as_they_say() {
    // Ten clusters of unequal size whose rows share a cluster effect.
    let (mut ratio_covered, mut jackknife_covered, trials) = (0, 0, 2000);
    let mut rng = Rng::new(3);
    for _ in 0..trials {
        let (mut sums, mut weights) = (vec![0.0; 10], vec![0.0; 10]);
        for c in 0..10 {
            weights[c] = 50.0 + rng.below(50) as f64;
            let shared = rng.normal();
            sums[c] = weights[c] * shared + weights[c].sqrt() * rng.normal();
        }
        let interval = ratio_interval(&sums, &weights, 0.95);
        ratio_covered += u32::from(interval.covers(0.0));
        let (sum, weight) = (sums.iter().sum::<f64>(), weights.iter().sum::<f64>());
        let without: Vec<f64> = (0..10).map(|c| (sum - sums[c]) / (weight - weights[c])).collect();
        jackknife_covered += u32::from(statistic_interval(sum / weight, &without, 0.95).covers(0.0));
    }
    for covered in [ratio_covered, jackknife_covered] {
        let share = f64::from(covered) / f64::from(trials);
        assert!((0.93..=0.97).contains(&share), "{share}");
    }
    assert_eq!(ratio_interval(&[1.0], &[2.0], 0.95), Interval { value: 0.5, low: None, high: None });
}

#[test]
fn degenerate_input_has_no_result() {
    assert_eq!(psr(0.1, 0.0, 1, 0.0, 3.0), None);
    assert_eq!(sharpe_se(0.1, 1, 0.0, 3.0), None);
    assert_eq!(skew_kurtosis(&[1.0, 1.0]), None);
    assert_eq!(pbo_cscv(&[vec![1.0, 2.0]], 2, PboMeasure::Mean), None);
    assert_eq!(pbo_cscv(&[vec![1.0, 2.0], vec![1.0]], 2, PboMeasure::Mean), None);
    assert_eq!(paired_difference(&[1.0], &[1.0], &[vec![1]], 0.95), None);
    assert!(quantile(&[], 0.5).is_nan() && mean(&[]).is_nan() && auc(&[], &[]).is_nan());
    assert_eq!(max_drawdown(&[100.0, 120.0, 90.0]), 30.0);
}
