use super::*;
use ghtrader_stats::Rng;
use serde_json::{Value, json};

/// Trading days of a made-up calendar.
fn day(i: usize) -> String {
    format!("2025-{:02}-{:02}", 1 + i / 28, 1 + i % 28)
}

/// A result with given daily profits by fill model, as `backtest run` writes it.
struct Made {
    name: &'static str,
    params: Value,
    legs: Vec<(&'static str, Vec<f64>)>,
    from: usize,
}

impl Made {
    fn new(name: &'static str, params: Value, pnl: &[f64]) -> Self {
        let legs = BRACKET.iter().map(|m| (*m, pnl.to_vec())).collect();
        Self { name, params, legs, from: 0 }
    }

    fn leg(mut self, model: &'static str, pnl: Vec<f64>) -> Self {
        self.legs.retain(|l| l.0 != model);
        self.legs.push((model, pnl));
        self
    }

    fn report(&self) -> Value {
        let count = self.legs[0].1.len();
        let days: Vec<String> = (self.from..self.from + count).map(day).collect();
        let models: serde_json::Map<String, Value> = self
            .legs
            .iter()
            .map(|(model, pnl)| {
                let daily: Vec<Value> = pnl
                    .iter()
                    .zip(&days)
                    .map(|(p, d)| json!({ "trading_day": d, "pnl_cny": p, "fees_cny": 2.0, "lots": 4, "fills": 2, "equity_cny": 0.0 }))
                    .collect();
                let by_day = json!({ days[0].clone(): { "turnover_cny": 1000.0 } });
                let body = json!({ "equity_daily": daily, "by_day": by_day, "bust": false, "sharpe": 0.4, "pnl_cny": 10.0,
                    "round_trips": 100, "max_drawdown_pct": 0.2 });
                ((*model).to_owned(), body)
            })
            .collect();
        let digests: Vec<String> = days.iter().map(|d| format!("rows of {d}")).collect();
        let id = ghtrader_core::Digest::of(format!("{}{}{}", self.name, self.params, self.from).as_bytes());
        json!({
            "schema_version": 1, "result_digest": id, "output_digest": id,
            "engine": { "version": "0.1.0", "target": "x86_64" },
            "spec": { "name": self.name, "variety": "cu", "data": "main_l5", "seed": 0, "fees": { "broker_markup": 1.0 },
                "fills": { "models": ["pessimistic"], "central_power": 3.0 }, "latency": { "feed_us": 2000 },
                "account": { "initial_cny": 1_000_000.0 }, "metrics": { "annual_days": 252 }, "risk": { "max_abs_position": 10 } },
            "lineup": { "features": [], "model": null,
                "strategy": { "name": "strategy/maker", "version": "1.0.0", "digest": "aa", "params": self.params } },
            "data": { "days": days, "manifest_digests": digests, "volume_lots": vec![400.0; count] },
            "tables": { "schedule": "s", "confirmed": true },
            "fill_models": models,
        })
    }

    fn outcome(&self) -> Outcome {
        Outcome::read(self.name, &self.report()).expect("a good result")
    }
}

fn noise(seed: u64, n: usize, mean: f64, scale: f64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| mean + scale * rng.normal()).collect()
}

fn quick() -> Options {
    let resampling = Resampling { draws: 1_000, ..Resampling::default() };
    Options { resampling, ..Options::default() }
}

/// B-29
#[test]
fn a_better_version_is_called_better_with_its_interval() {
    let base = noise(1, 60, 0.0, 300.0);
    let better: Vec<f64> = base.iter().zip(noise(2, 60, 200.0, 200.0)).map(|(a, d)| a + d).collect();
    let (a, b) = (Made::new("v2", json!({}), &base), Made::new("v3", json!({ "edge": 2 }), &better));
    let c = compare(vec![a.outcome(), b.outcome()], &quick()).expect("a comparison");
    let v = &c.variants[0];
    let p = &v.against["pessimistic"];
    assert_eq!((c.verdict, v.verdict, p.pairs, c.days.count), (Verdict::Better, Verdict::Better, 60, 60));
    let mean = better.iter().zip(&base).map(|(b, a)| b - a).sum::<f64>() / 60.0;
    assert!(
        (p.mean_cny - mean).abs() < 1e-9 && p.low_cny < Some(mean) && p.high_cny > Some(mean) && p.low_cny > Some(0.0)
    );
    // A single comparison has nothing to be adjusted for.
    assert_eq!((p.p_adjusted, p.family_low_cny), (p.p_value, p.low_cny));
    assert!(p.percentile_low_cny > p.low_cny, "percentiles are narrower on few days");
    assert!(v.sentence.starts_with("v3 beats v2 by ") && v.sentence.contains("95 % interval"), "{}", v.sentence);
    assert_eq!(v.parameter_differences[0].key, "strategy.edge");
    // The other way round it is worse, by the same amount.
    let back = compare(vec![b.outcome(), a.outcome()], &quick()).expect("a comparison");
    assert_eq!(back.variants[0].verdict, Verdict::Worse);
    assert!((back.variants[0].against["pessimistic"].mean_cny + mean).abs() < 1e-9);
}

/// B-30
#[test]
fn two_of_a_kind_are_noise_and_few_days_are_few() {
    let (a, b) = (noise(3, 60, 50.0, 300.0), noise(4, 60, 50.0, 300.0));
    let of =
        |n: usize| vec![Made::new("a", json!({}), &a[..n]).outcome(), Made::new("b", json!({}), &b[..n]).outcome()];
    let c = compare(of(60), &quick()).expect("a comparison");
    assert_eq!(c.verdict, Verdict::Noise);
    assert!(c.sentence.contains("covers 0"), "{}", c.sentence);
    assert_eq!(compare(of(20), &quick()).expect("20 days").verdict, Verdict::Noise);
    let few = compare(of(19), &quick()).expect("19 days");
    assert_eq!(few.verdict, Verdict::TooFewDays);
    assert!(few.sentence.contains("20 are needed"), "{}", few.sentence);
    for n in 1..4 {
        assert_eq!(compare(of(n), &quick()).expect("a day or two").verdict, Verdict::TooFewDays);
    }
    let itself = vec![Made::new("a", json!({}), &a).outcome(), Made::new("b", json!({}), &a).outcome()];
    let same = compare(itself, &quick()).expect("a comparison");
    assert_eq!(same.verdict, Verdict::Noise);
    assert!(same.sentence.contains("made the same"), "{}", same.sentence);
}

#[test]
fn a_sign_that_turns_with_the_fills_is_no_verdict() {
    let flat = noise(5, 60, 0.0, 100.0);
    let up = |seed| flat.iter().zip(noise(seed, 60, 300.0, 100.0)).map(|(a, d)| a + d).collect::<Vec<f64>>();
    let down: Vec<f64> = flat.iter().zip(noise(8, 60, -300.0, 100.0)).map(|(a, d)| a + d).collect();
    let base = Made::new("v1", json!({}), &flat).outcome();
    let turned = Made::new("v2", json!({}), &up(6)).leg("pessimistic", down).outcome();
    let c = compare(vec![base.clone(), turned], &quick()).expect("a comparison");
    assert_eq!(c.verdict, Verdict::DependsOnFills);
    assert!(c.sentence.contains("depends on how orders fill"), "{}", c.sentence);
    // Clear under central fills, nothing under pessimistic ones, and no sign against it: noise, and it says what the others show.
    let hardly: Vec<f64> = flat.iter().zip(noise(9, 60, 0.0, 100.0)).map(|(a, d)| a + d.abs() * 0.1 - 1.0).collect();
    let open = Made::new("v2", json!({}), &up(6)).leg("pessimistic", hardly).outcome();
    let c = compare(vec![base, open], &quick()).expect("a comparison");
    let p = &c.variants[0].against["pessimistic"];
    if p.sign(0.95) == 0 {
        assert_eq!(c.verdict, Verdict::Noise);
        assert!(c.sentence.contains("central"), "{}", c.sentence);
    }
}

/// B-31
#[test]
fn a_family_is_judged_together() {
    let market = noise(10, 120, 0.0, 400.0);
    let mut outcomes: Vec<Outcome> = (0..40u64)
        .map(|i| {
            let own: Vec<f64> = market.iter().zip(noise(100 + i, 120, 0.0, 300.0)).map(|(m, d)| m + d).collect();
            Made::new("grid", json!({ "edge": i % 8, "hold": i / 8 }), &own).outcome()
        })
        .collect();
    let champion = Champion::Named("edge=3,hold=2".to_owned());
    let c = compare(outcomes.clone(), &Options { champion: champion.clone(), ..quick() }).expect("a comparison");
    assert_eq!((c.variants.len(), c.family.members, c.family.trials), (39, 40, 40));
    assert_eq!(c.verdict, Verdict::Noise, "{}", c.sentence);
    let (dsr, pbo) = (c.family.dsr.expect("dsr"), c.family.pbo.expect("pbo"));
    assert!(dsr < 0.9 && (0.0..=1.0).contains(&pbo), "{dsr} {pbo}");
    assert_eq!(c.family.pbo_splits, Some(12_870));
    let more = Options { champion: champion.clone(), trials: Some(5_000), ..quick() };
    let tried = compare(outcomes.clone(), &more).expect("a comparison").family;
    assert!(tried.dsr.expect("dsr") < dsr, "the ratio falls as trials grow");
    // Every pair alone would find somebody; together nobody is called better, and adjusted p-values are never below.
    for v in &c.variants {
        let p = &v.against["pessimistic"];
        assert!(p.p_adjusted >= p.p_value && p.family_low_cny <= p.low_cny);
    }
    let planted: Vec<f64> = market.iter().zip(noise(7, 120, 400.0, 300.0)).map(|(m, d)| m + d).collect();
    outcomes.push(Made::new("grid", json!({ "edge": 99, "hold": 99 }), &planted).outcome());
    let c = compare(outcomes, &Options { champion, ..quick() }).expect("a comparison");
    assert_eq!(c.verdict, Verdict::Better);
    let better: Vec<&str> =
        c.variants.iter().filter(|v| v.verdict == Verdict::Better).map(|v| v.member.label.as_str()).collect();
    assert_eq!(better, ["edge=99 hold=99"]);
    assert!(c.family.dsr.expect("dsr") > 0.95 && c.family.best.as_deref() == Some("edge=99 hold=99"));
    let page = batch_page(&c, &PageContext { title: "a <b> batch".into(), ..PageContext::default() });
    for part in ["a &lt;b&gt; batch", "strategy.edge", "edge=99 hold=99", "What was not tested"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"));
    no_figure_is_missing(&page);
}

#[test]
fn other_conditions_are_compared_on_request_only() {
    let pnl = noise(11, 30, 0.0, 100.0);
    let a = Made::new("a", json!({}), &pnl);
    let with = |pointer: &str, value: Value| {
        let mut report = Made::new("b", json!({}), &pnl).report();
        *report.pointer_mut(pointer).expect("a key") = value;
        vec![a.outcome(), Outcome::read("b", &report).expect("a result")]
    };
    for (pointer, value, key) in [
        ("/spec/fees/broker_markup", json!(2.0), "fees.broker_markup"),
        ("/spec/fills/central_power", json!(2.0), "fills.central_power"),
        ("/data/manifest_digests/3", json!("other rows"), "data.2025-01-04"),
        ("/engine/version", json!("0.2.0"), "engine.version"),
    ] {
        let error = compare(with(pointer, value.clone()), &quick()).expect_err("other conditions");
        assert!(error.to_string().contains(key), "{error}");
        let c = compare(with(pointer, value), &Options { allow_different: true, ..quick() }).expect("allowed");
        assert!(c.variants[0].condition_differences.iter().any(|d| d.key == key));
    }
    // Which fill models ran beside the pessimistic one, seeds and limits are no conditions; nor is how a product is written, and
    // on which days the schedule went on.
    for (pointer, value) in [
        ("/spec/fills/models", json!(["touch"])),
        ("/spec/seed", json!(5)),
        ("/spec/risk/max_abs_position", json!(1)),
        ("/spec/variety", json!("SHFE.cu")),
        ("/tables/schedule", json!("another")),
    ] {
        compare(with(pointer, value), &quick()).expect(pointer);
    }
    // Other days: only the common ones count.
    let mut later = Made::new("b", json!({}), &pnl);
    later.from = 5;
    let days = vec![a.outcome(), later.outcome()];
    assert!(matches!(compare(days.clone(), &quick()), Err(CompareError::Different { .. })));
    let c = compare(days, &Options { allow_different: true, ..quick() }).expect("allowed");
    assert_eq!((c.days.count, c.days.left_out, c.days.first.to_string()), (25, 10, day(5)));
    later.from = 100;
    let apart = compare(vec![a.outcome(), later.outcome()], &Options { allow_different: true, ..quick() });
    assert!(matches!(apart, Err(CompareError::NoCommonDay { .. })));
}

#[test]
fn parts_of_one_variant_are_joined() {
    let (a, b) = (noise(12, 40, 0.0, 100.0), noise(13, 40, 0.0, 100.0));
    let part = |pnl: &[f64], edge: i32, from: usize| {
        let mut made = Made::new("grid", json!({ "edge": edge }), &pnl[from..from + 20]);
        made.from = from;
        made.outcome()
    };
    let joined = join_parts(vec![part(&b, 2, 20), part(&a, 1, 0), part(&a, 1, 20), part(&b, 2, 0)]);
    assert_eq!(joined.iter().map(|o| (o.days.len(), o.parts)).collect::<Vec<_>>(), [(40, 2), (40, 2)]);
    let c = compare(joined, &Options { champion: Champion::Named("edge=1".into()), ..quick() }).expect("a comparison");
    let whole = vec![
        Made::new("grid", json!({ "edge": 1 }), &a).outcome(),
        Made::new("grid", json!({ "edge": 2 }), &b).outcome(),
    ];
    let same = compare(whole, &quick()).expect("a comparison");
    assert_eq!(c.variants[0].against["central"].daily_cny, same.variants[0].against["central"].daily_cny);
    assert!(c.untested.iter().any(|n| n.contains("joined")));
}

#[test]
fn a_champion_answers_to_name_id_and_parameters() {
    let pnl = noise(14, 25, 0.0, 100.0);
    let outcomes: Vec<Outcome> =
        (0..3).map(|i| Made::new("grid", json!({ "edge": i, "on": true }), &pnl).outcome()).collect();
    let with = |name: &str| compare(outcomes.clone(), &Options { champion: Champion::Named(name.into()), ..quick() });
    let label = |c: Result<Comparison, CompareError>| c.expect("a comparison").champion.label;
    assert_eq!(label(with("edge=1")), "edge=1");
    assert_eq!(label(with("strategy.edge=1.0,on=true")), "edge=1");
    assert_eq!(label(with(&outcomes[2].id[..8])), "edge=2");
    for (name, found) in [("on=true", 3), ("edge=7", 0), ("nobody", 0)] {
        assert!(matches!(with(name), Err(CompareError::Champion { found: f, .. }) if f == found), "{name}");
    }
    let flat = compare(outcomes, &Options { champion: Champion::Flat, ..quick() }).expect("a comparison");
    assert_eq!((flat.variants.len(), flat.family.members, flat.champion.figures["central"].pnl_cny), (3, 3, 0.0));
}

#[test]
fn what_is_no_result_is_named() {
    let good = Made::new("a", json!({}), &noise(1, 25, 0.0, 1.0)).report();
    let without = |pointer: &str, value: Value| {
        let mut report = good.clone();
        *report.pointer_mut(pointer).expect("a key") = value;
        Outcome::read("x.json", &report).expect_err("a damaged result").to_string()
    };
    for (pointer, value, part) in [
        ("/schema_version", json!(2), "schema_version = 2"),
        ("/data/days", json!([]), "/data/days"),
        ("/data/days/3", json!("2025-13-01"), "no trading day"),
        ("/fill_models/central/equity_daily/3/pnl_cny", json!(null), "pnl_cny = null"),
        ("/fill_models/central/equity_daily/3/trading_day", json!("2025-02-03"), "belongs"),
        ("/result_digest", json!(null), "/result_digest is missing"),
        ("/lineup/strategy", json!(null), "/lineup/strategy is missing"),
    ] {
        let text = without(pointer, value);
        assert!(text.starts_with("x.json") && text.contains(part), "{text}");
    }
    let mut bare = good.clone();
    bare["fill_models"] = json!({ "touch": good["fill_models"]["central"] });
    assert!(matches!(Outcome::read("x", &bare), Err(CompareError::NoPessimistic { models, .. }) if models == "touch"));
    let one = vec![Outcome::read("a", &good).expect("a result")];
    assert!(matches!(compare(one.clone(), &quick()), Err(CompareError::TooFew { .. })));
    let mut options = quick();
    options.resampling.draws = 0;
    assert!(matches!(compare(vec![one[0].clone(), one[0].clone()], &options), Err(CompareError::Bound { .. })));
}

/// Equal inputs give equal bytes, on one thread or many.
#[test]
fn threads_change_nothing() {
    let outcomes: Vec<Outcome> =
        (0..30u64).map(|i| Made::new("grid", json!({ "edge": i }), &noise(i, 50, 0.0, 100.0)).outcome()).collect();
    let bytes = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        let c = pool.install(|| compare(outcomes.clone(), &quick())).expect("a comparison");
        (serde_json::to_string(&c).expect("JSON"), batch_page(&c, &PageContext::default()))
    };
    assert_eq!(bytes(1), bytes(4));
}

/// Nothing that could not be computed stands where a figure belongs.
fn no_figure_is_missing(page: &str) {
    let drawn = page.split("<script>").next().unwrap_or_default();
    assert!(!drawn.contains("NaN") && !drawn.contains(">inf") && !drawn.contains("\"inf") && !drawn.contains("−inf"));
}

#[test]
fn a_page_of_a_thousand_variants_folds_them() {
    let outcomes: Vec<Outcome> = (0..1_000u64)
        .map(|i| {
            let params = json!({ "edge": i % 10, "hold": (i / 10) % 10, "size": i / 100 });
            Made::new("grid", params, &noise(i, 32, 0.0, 100.0)).outcome()
        })
        .collect();
    let resampling = Resampling { draws: 200, ..Resampling::default() };
    let c = compare(outcomes, &Options { resampling, champion: Champion::Flat, ..quick() }).expect("a comparison");
    let page = batch_page(&c, &PageContext::default());
    assert_eq!(page.matches("<tr class=\"rest\">").count(), 975);
    assert!(page.contains("Of all pairs") && page.len() < 2_500_000, "{}", page.len());
    no_figure_is_missing(&page);
}

/// B-34
#[test]
fn a_gate_tells_every_rule_and_null_fails() {
    let report = Made::new("a", json!({}), &noise(1, 25, 0.0, 1.0)).report();
    let rules = RuleSet::promote().expect("the built-in rules");
    let check = json!({ "passed": true, "look_ahead": true });
    let with = |report: &Value, check: &Value, comparison: &Value| {
        gate("run", &GateInput { report, check, comparison }, &rules).expect("a gate")
    };
    let answer = with(&report, &check, &Value::Null);
    let text: Vec<&str> = answer.rules.iter().map(|r| r.text.as_str()).collect();
    assert_eq!(
        text,
        [
            "sharpe 0.40 < 0.50",
            "max_drawdown_pct 0.20 ≤ 0.20",
            "round_trips 100 ≥ 100",
            "pnl_cny 10 ≥ 0",
            "days 25 ≥ 20",
            "out_of_sample true = true",
            "fees_confirmed true = true",
            "parity true = true",
            "look_ahead true = true",
        ]
    );
    assert!(!answer.passed && answer.rules.iter().filter(|r| !r.passed).count() == 1);
    let mut good = report.clone();
    good["fill_models"]["pessimistic"]["sharpe"] = json!(0.5);
    assert!(with(&good, &check, &Value::Null).passed, "bounds are inclusive");
    good["fill_models"]["pessimistic"]["sharpe"] = json!(0.4999);
    assert_eq!(with(&good, &check, &Value::Null).rules[0].text, "sharpe 0.4999 < 0.50");
    good["fill_models"]["pessimistic"]["sharpe"] = Value::Null;
    let answer = with(&good, &Value::Null, &Value::Null);
    assert_eq!(
        answer.rules.iter().filter(|r| !r.passed).map(|r| r.key.as_str()).collect::<Vec<_>>(),
        ["sharpe", "parity", "look_ahead"]
    );
    // A model that was trained on the days it scores proves nothing about days to come.
    for (model, passed) in [
        (json!([{ "digest": "m", "trained_last_day": "2025-01-03" }]), json!(false)),
        (json!([{ "digest": "m", "trained_last_day": "2024-12-31" }]), json!(true)),
        (json!([{ "digest": "m", "first_day": "2025-01-09", "trained_last_day": "2025-01-08" }]), json!(true)),
        (json!([{ "digest": "m" }]), Value::Null),
    ] {
        let mut trained = report.clone();
        trained["lineup"]["model"] = model;
        let answer = with(&trained, &check, &Value::Null);
        assert_eq!(answer.rules[5].value, passed);
    }
    // Several variants were tried: the deflated ratio is asked for, and the result has to be one of them.
    let id = report["result_digest"].clone();
    let family = json!({ "family": { "trials": 9 }, "champion": { "id": "x" }, "variants": [{ "id": id, "figures": { "pessimistic": { "dsr": 0.9 } } }] });
    let answer = with(&report, &check, &family);
    assert!(answer.trials == 9 && answer.rules.iter().any(|r| r.text == "dsr 0.90 < 0.95"));
    let other = json!({ "family": { "trials": 9 }, "champion": { "id": "x" }, "variants": [] });
    assert!(gate("run", &GateInput { report: &report, check: &check, comparison: &other }, &rules).is_err());
}

#[test]
fn a_rule_set_that_says_nothing_is_refused() {
    for text in [
        "name = 'x'\nrule = []",
        "name = 'x'\n[[rule]]\nkey = 'sharpe'",
        "name = 'x'\n[[rule]]\nkey = 'a'\nmin = 1\nmax = 2",
        "rule = 1",
    ] {
        assert!(matches!(RuleSet::parse("rules.toml", text), Err(CompareError::Rules { .. })), "{text}");
    }
    let own = RuleSet::parse("rules.toml", "name = 'mine'\n[[rule]]\nkey = 'sharpe'\nmin = 1.0").expect("a rule set");
    assert_ne!(own.digest(), RuleSet::promote().expect("the built-in rules").digest());
}
