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

/// A made-up day-to-day series: independent normal, heavy-tailed, or with autocorrelation.
fn made_up(kind: usize, n: usize, rng: &mut Rng) -> Vec<f64> {
    let mut last = rng.normal();
    let mut heavy = || {
        let chi = (0..3).map(|_| rng.normal().powi(2)).sum::<f64>() / 3.0;
        rng.normal() / chi.sqrt()
    };
    match kind {
        0 => (0..n).map(|_| rng.normal()).collect(),
        1 => (0..n).map(|_| heavy()).collect(),
        _ => (0..n)
            .map(|_| {
                last = 0.3 * last + rng.normal() * 0.91f64.sqrt();
                last
            })
            .collect(),
    }
}

/// B-29
#[test]
fn the_interval_of_a_mean_covers_on_few_days() {
    for (kind, n, least, most) in [
        (0, 20, 0.935, 0.975),
        (0, 60, 0.935, 0.97),
        (1, 20, 0.94, 0.985),
        (1, 60, 0.935, 0.98),
        (2, 20, 0.90, 0.95),
        (2, 60, 0.90, 0.95),
    ] {
        let (kernel, mut rng, trials) = (BlockKernel::new(n, 5.0).unwrap(), Rng::new(41 + kind as u64), 3000);
        let covered =
            (0..trials).filter(|_| kernel.mean_interval(&made_up(kind, n, &mut rng), 0.95).covers(0.0)).count();
        let share = covered as f64 / f64::from(trials);
        assert!((least..=most).contains(&share), "kind {kind}, {n} days: {share}");
    }
}

#[test]
fn the_kernel_is_what_resamples_show() {
    let mut rng = Rng::new(9);
    for n in [20, 31] {
        let (values, kernel) = (made_up(2, n, &mut rng), BlockKernel::new(n, 5.0).unwrap());
        let means: Vec<f64> = (0..40_000)
            .map(|_| stationary_bootstrap_draw(n, 5.0, &mut rng).iter().map(|i| values[*i]).sum::<f64>() / n as f64)
            .collect();
        let (seen, said) = (sample_std(&means).unwrap(), kernel.resampled_deviation(&values));
        assert!((seen / said - 1.0).abs() < 0.02, "{n}: {seen} {said}");
        // For independent normal values the correction makes the variance right on average.
        let true_variance = 1.0 / n as f64;
        let mean_variance =
            mean(&(0..4_000).map(|_| kernel.standard_error(&made_up(0, n, &mut rng)).powi(2)).collect::<Vec<_>>());
        assert!((mean_variance / true_variance - 1.0).abs() < 0.03, "{n}: {mean_variance} {true_variance}");
    }
    // Blocks of one day are the plain bootstrap: Student's t with n − 1 degrees.
    let plain = BlockKernel::new(25, 1.0).unwrap();
    let values = made_up(0, 25, &mut rng);
    assert!((plain.degrees() - 24.0).abs() < 1e-9);
    assert!((plain.standard_error(&values) / (sample_std(&values).unwrap() / 5.0) - 1.0).abs() < 1e-12);
    assert_eq!((BlockKernel::new(2, 5.0), BlockKernel::new(20, 0.5)), (None, None));
    assert_eq!(plain.standard_error(&[0.1; 25]), 0.0);
    assert_eq!(plain.p_value(f64::NAN), 1.0);
}

/// Adjusted p-values of zero-mean series that share a factor; the first `planted` have a true mean.
fn adjusted(series: &[Vec<f64>], rng: &mut Rng) -> (Vec<f64>, Vec<f64>) {
    let n = series[0].len();
    let kernel = BlockKernel::new(n, 5.0).unwrap();
    let p: Vec<f64> = series.iter().map(|s| kernel.p_value(mean(s) / kernel.standard_error(s))).collect();
    let views: Vec<&[f64]> = series.iter().map(Vec::as_slice).collect();
    let test = StepDown::new(&views, &p, &kernel).unwrap();
    let draws: Vec<Vec<usize>> = (0..999).map(|_| stationary_bootstrap_draw(n, 5.0, rng)).collect();
    // In two shares, as on two threads.
    let counts = test.count(&draws[..400]).plus(&test.count(&draws[400..]));
    assert_eq!(counts, test.count(&draws));
    (test.adjusted(&counts, &p), p)
}

/// B-30
#[test]
fn the_best_of_many_lucky_ones_is_seldom_called_better() {
    let (mut rng, batches, variants, days) = (Rng::new(17), 120, 40, 40);
    let (mut any, mut alone, mut found) = (0, 0, 0);
    for _ in 0..batches {
        let market = made_up(1, days, &mut rng);
        let mut series: Vec<Vec<f64>> = (0..variants)
            .map(|_| made_up(1, days, &mut rng).iter().zip(&market).map(|(own, all)| 0.7 * own + 0.7 * all).collect())
            .collect();
        let (adjusted_p, p) = adjusted(&series, &mut rng);
        any += usize::from(adjusted_p.iter().any(|p| *p <= 0.05));
        alone += usize::from(p.iter().any(|p| *p <= 0.05));
        assert!(adjusted_p.iter().zip(&p).all(|(a, p)| a >= p && *a <= 1.0));
        let scale = sample_std(&series[3]).unwrap();
        series[3].iter_mut().for_each(|v| *v += 1.5 * scale);
        let (adjusted_p, _) = adjusted(&series, &mut rng);
        found += usize::from(adjusted_p[3] <= 0.05);
    }
    assert!(any <= 12, "{any} of {batches} batches without any skill name a better one");
    assert!(alone > 3 * any.max(6), "{alone}: without the adjustment luck would be called skill");
    assert!(found > batches * 9 / 10, "{found} of {batches}");
}

#[test]
fn a_step_down_is_no_weaker_than_the_largest_alone() {
    // Two independent hypotheses far out: the second is held against itself, not against the first.
    let mut rng = Rng::new(23);
    let series: Vec<Vec<f64>> =
        (0..3).map(|k| made_up(0, 60, &mut rng).iter().map(|v| v + [2.0, 0.6, 0.0][k]).collect()).collect();
    let (adjusted_p, _) = adjusted(&series, &mut rng);
    assert!(adjusted_p[0] <= adjusted_p[1] && adjusted_p[1] <= adjusted_p[2], "{adjusted_p:?}");
    assert_eq!(adjusted_p[0], 0.001);
    let kernel = BlockKernel::new(60, 5.0).unwrap();
    assert!(StepDown::new(&[], &[], &kernel).is_none() && StepDown::new(&[&[0.0; 3]], &[1.0], &kernel).is_none());
}
