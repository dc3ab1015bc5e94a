//! The HTML report on a made-up result: self-contained, safe against its own data, and complete.
//!
//! The page is left as `sample_report.html` in the target's folder for temporary files, to be looked at in a browser.

#![allow(clippy::unwrap_used, reason = "a test")]

use ghtrader_backtest::report_data::{
    BestReachable, Curve, FillMarks, PriceDay, ReportData, SessionDay, StrategyView, TrainingView, UpColour, Verdict,
    VerdictLevel, WarningLine,
};
use ghtrader_backtest::report_html::render;
use ghtrader_backtest::{EquityPoint, FillRecord};
use ghtrader_core::{Calendar, SessionWindow, TickTable, TradingDay, Variety};
use ghtrader_kernels::wire::Side;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A small deterministic noise, −1 to 1.
fn noise(i: u64) -> f64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

struct Days(Vec<(TradingDay, Vec<SessionWindow>)>);

impl Days {
    fn new() -> Self {
        let (calendar, variety): (_, Variety) = (Calendar::builtin(), "cu".parse().unwrap());
        let days = calendar.trading_days("2025-07-01".parse().unwrap(), "2025-07-28".parse().unwrap());
        Self(days.into_iter().map(|d| (d, calendar.session_windows(&variety, d))).collect())
    }

    fn seconds(&self) -> impl Iterator<Item = (usize, i64)> + '_ {
        let windows = self.0.iter().enumerate().flat_map(|(i, (_, w))| w.iter().map(move |w| (i, w)));
        windows.flat_map(|(i, w)| (w.start_ns..w.end_ns).step_by(30_000_000_000).map(move |t| (i, t)))
    }
}

fn model(days: &Days, seed: u64, drift: f64, scale: f64) -> (Curve, Vec<f64>, f64) {
    let (mut points, mut equity, mut daily, mut last) = (Vec::new(), 1_000_000.0, Vec::new(), 1_000_000.0);
    let (mut peak, mut fall): (f64, f64) = (equity, 0.0);
    let mut day_before = 0;
    for (k, (day, t)) in days.seconds().enumerate() {
        if day != day_before {
            daily.push(equity - last);
            (last, day_before) = (equity, day);
        }
        equity += drift + scale * noise(seed + k as u64);
        peak = peak.max(equity);
        fall = fall.max(peak - equity);
        points.push(EquityPoint { ts_ns: t, equity_cny: equity });
    }
    daily.push(equity - last);
    (Curve::thinned(&points), daily, fall)
}

fn strategy(days: &Days, name: &str, description: &str, seed: u64, drift: f64) -> StrategyView {
    let mut models = serde_json::Map::new();
    let mut equity = BTreeMap::new();
    let steps = [("pessimistic", -2.2), ("central", 0.0), ("optimistic", 2.4), ("cross_only", -4.0), ("touch", 16.0)];
    for (name, step) in steps {
        let (curve, daily, fall) = model(days, seed, drift + step * 0.4, 55.0);
        let pnl: f64 = daily.iter().sum();
        let hours = [21, 22, 23, 0, 9, 10, 11, 13, 14];
        let by_hour: BTreeMap<String, Value> = hours
            .iter()
            .map(|h| (h.to_string(), json!({ "fills": 120, "closed_pnl_cny": pnl / 9.0 + 900.0 * noise(seed + h) })))
            .collect();
        let taker = |h: u64| (name != "touch").then_some(-0.4 + 0.02 * h as f64);
        let mark = |h: u64| json!({ "maker": 0.1 - 0.05 * h as f64 + step * 0.05, "taker": taker(h) });
        models.insert(
            name.to_owned(),
            json!({
                "orders": 4_211, "fills": 3_876, "cancels": 1_204, "lots": 3_902, "pnl_cny": pnl, "gross_pnl_cny": pnl + 78_000.0,
                "fees_cny": 78_000.0, "pnl_daily_cny": daily, "sharpe": pnl / 9_000.0, "sharpe_se": 0.231, "psr": 0.71, "sortino": 1.2,
                "calmar": null, "max_drawdown_cny": fall, "max_drawdown_pct": fall / 1e6, "drawdown_days": 6, "var95_cny": -4_100.0,
                "cvar95_cny": -5_204.0, "hit_rate": 0.51, "profit_factor": 1.04, "payoff": 0.98, "round_trips": 1_930,
                "avg_hold_s": 312.0, "exposure": 0.63, "max_abs_position": 5, "turnover_cny": 1.52e9, "maker_share": 0.93,
                "fill_ratio": 0.41, "cancel_ratio": 0.28, "max_messages_per_s": 6, "slippage_ticks": -0.42,
                "breakeven_cost_cny_per_lot": 21.5,
                "markout_ticks": { "1": mark(1), "10": mark(2), "50": mark(3), "200": mark(4) },
                "by_hour": by_hour, "notes": ["calmar: no drawdown"],
            }),
        );
        equity.insert(name.to_owned(), curve);
    }
    StrategyView {
        name: name.to_owned(),
        description: description.to_owned(),
        initial_cny: 1_000_000.0,
        report: json!({ "fill_models": models }),
        equity,
    }
}

fn price_day(days: &Days, index: usize, strategies: &[StrategyView]) -> PriceDay {
    let (day, windows) = &days.0[index];
    let mut table = TickTable::default();
    let (mut bid, mut k) = (7_850.0, 0u64);
    for w in windows {
        for t in (w.start_ns + 500_000_000..w.end_ns).step_by(500_000_000) {
            k += 1;
            if noise(k).abs() > 0.97 {
                bid += noise(k + 7_777_777).signum();
            }
            table.ts_ns.push(t);
            for (i, column) in table.floats.iter_mut().enumerate() {
                column.push(if i == 7 {
                    bid * 10.0
                } else if i == 9 {
                    (bid + 1.0) * 10.0
                } else {
                    0.0
                });
            }
        }
    }
    let view = table.view();
    let mut price = PriceDay::new(*day, "SHFE.cu2508", 10.0, &view, windows);
    for s in strategies {
        for m in s.equity.keys() {
            let (mut fills, mut position, count) = (Vec::new(), 0i64, if m == "touch" { 900 } else { 130 });
            for i in 0..count {
                let row = (i * view.ts_ns.len() / count + 40).min(view.ts_ns.len() - 1);
                let buy = if position.abs() >= 4 { position < 0 } else { noise(i as u64 + m.len() as u64 * 99) > 0.0 };
                position += if buy { 1 } else { -1 };
                let (maker, best) = (i % 5 != 0, view.floats[7][row]);
                fills.push(FillRecord {
                    order_id: i as u64,
                    contract: 0,
                    trading_day: *day,
                    row: Some(row as u32),
                    ts_ns: view.ts_ns[row],
                    side: if buy { Side::Buy } else { Side::Sell },
                    lots: 1,
                    price_cny: if buy == maker { best } else { best + 10.0 },
                    fee_cny: 20.0,
                    maker,
                    position_lots: position,
                    markout_ticks: [0.0; 4],
                    slippage_ticks: 0.0,
                });
            }
            price.fills.push(FillMarks::of_day(&s.name, m, *day, &fills));
        }
    }
    price
}

fn evaluation(i: u64, wide: f64) -> Value {
    let interval = |v: f64, w: f64| json!({ "value": v, "low": v - w, "high": v + w });
    let at = 0.585 + 0.012 * noise(i);
    let bins: Vec<Value> = (0..10)
        .map(|b| {
            let rows = if b < 3 { 0 } else { 9_000 / (1 + (b as i64 - 4).pow(2)) };
            let (given, right) = (0.05 + 0.1 * b as f64, 0.08 + 0.092 * b as f64);
            json!({ "rows": rows, "confidence_sum": rows as f64 * given, "correct_rows": (rows as f64 * right) as i64 })
        })
        .collect();
    json!({
        "rows": 152_031, "first_day": "2025-07-09", "last_day": "2025-07-14",
        "auc_up_down": interval(at, wide), "auc_up": interval(at - 0.03, wide), "log_loss": interval(1.0712, 0.003),
        "log_loss_gain": interval(0.0131, 0.002), "brier": interval(0.6412, 0.002), "ece": interval(0.0123, 0.004),
        "accuracy": interval(0.431, 0.006), "reliability": bins,
    })
}

fn sample() -> ReportData {
    let days = Days::new();
    let strategies = vec![
        strategy(
            &days,
            "score-threshold",
            "Follows the model's score: crosses the spread when p(up) − p(down) is large, leaves when it is gone.",
            11,
            0.55,
        ),
        strategy(
            &days,
            "maker",
            "Quotes one lot on both sides at the best prices, five lots either way at most.",
            12,
            -0.9,
        ),
        strategy(&days, "taker", "Takes when four fifths of the best sizes stand on one side.", 13, -2.0),
    ];
    let price_days = vec![price_day(&days, 5, &strategies), price_day(&days, 15, &strategies)];
    let sessions = days.0.iter().enumerate();
    ReportData {
        name: "SHFE.cu demo".to_owned(),
        subtitle: "SHFE.cu, 2025-07-01 to 2025-07-28, 20 trading days, 801,402 rows, synthetic market of seed 1"
            .to_owned(),
        verdict: Verdict {
            level: VerdictLevel::Warn,
            text: "Whether score-threshold earns depends on the fill model.".to_owned(),
            detail: "The pessimistic model loses, the optimistic one earns; maker and taker lose under every model."
                .to_owned(),
        },
        up_colour: UpColour::Red,
        result_digest: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef".to_owned(),
        output_digest: "d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35".to_owned(),
        command: "cargo xtask demo --seed 1 --days 20 --signal 0.5".to_owned(),
        facts: [
            ("Variety", "SHFE.cu"),
            ("Trading days", "20"),
            ("Rows", "801,402"),
            ("Main contracts", "cu2508, cu2509"),
        ]
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .to_vec(),
        sessions: sessions
            .map(|(i, (d, w))| SessionDay::new(*d, if i < 7 { "SHFE.cu2508" } else { "SHFE.cu2509" }, w))
            .collect(),
        strategies,
        price_days,
        walk_forward: None,
        training: Some(TrainingView {
            summary:
                "Logistic regression on the eleven core factors predicts the direction of the mid price over 50 rows."
                    .to_owned(),
            walk_forward: json!({
                "folds": (0..4).map(|i| json!({ "test": evaluation(i, 0.012) })).collect::<Vec<_>>(),
                "pooled": evaluation(9, 0.006),
            }),
            bound: Some(BestReachable { auc_up: 0.5791, auc_up_down: 0.6123 }),
        }),
        warnings: vec![
            WarningLine {
                code: "volume_unsplit".to_owned(),
                text: "intervals whose turnover fits no split by side".to_owned(),
                count: 1_204,
            },
            WarningLine {
                code: "gap".to_owned(),
                text: "silences of more than 5 s inside a session".to_owned(),
                count: 96,
            },
            WarningLine { code: "unseen".to_owned(), text: "never".to_owned(), count: 0 },
        ],
        notes: vec![
            "Fees and margins are built-in rows without a checked source: no gate accepts this result.".to_owned(),
        ],
        provenance: vec![
            ("engine".to_owned(), "0.1.0".to_owned()),
            ("schedule".to_owned(), "f25225a1507bb808".to_owned()),
        ],
    }
}

/// B-20
#[test]
fn page_is_self_contained_and_repeats() {
    let html = render(&sample()).unwrap();
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("sample_report.html"), &html).unwrap();
    assert_eq!(html, render(&sample()).unwrap());
    for outside in ["http:", "https:", "//cdn", "@import", "url(", "src=", "fetch(", "XMLHttpRequest"] {
        assert!(!html.contains(outside), "`{outside}` in the page");
    }
    for id in ["bracket", "equity", "price", "model", "figures", "warnings", "provenance"] {
        assert!(html.contains(&format!("id=\"{id}\"")) && html.contains(&format!("href=\"#{id}\"")), "{id}");
    }
    assert!(html.contains(&sample().result_digest) && html.contains("cargo xtask demo --seed 1"));
    // The bracket reads without a script, with sign and arrow beside the colour.
    assert!(html.contains("loses under every fill model") && html.contains("class=\"down\">▼ −"));
    assert!(html.contains("volume_unsplit") && !html.contains("<b>0</b>"), "a warning that never came is left out");
}

/// B-20: nothing in the data can end the script element or add markup.
#[test]
fn data_cannot_break_out() {
    let mut data = sample();
    let evil = "</script><img src=x onerror=alert(1)><!--";
    data.name = evil.to_owned();
    data.command = evil.to_owned();
    data.strategies[0].name = evil.to_owned();
    data.notes = vec![evil.to_owned()];
    data.warnings[0].code = evil.to_owned();
    data.provenance[0].1 = evil.to_owned();
    let html = render(&data).unwrap();
    assert!(!html.contains("<img") && !html.contains("<!--"));
    // The data, the report's own script and that of every page.
    assert_eq!(html.matches("</script>").count(), 3);
    let (_, rest) = html.split_once("id=\"data\">").unwrap();
    let json: Value = serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap();
    assert_eq!(json["strategies"][0]["name"], evil, "the data themselves are whole");
}

/// B-20: what did not run is said, not drawn.
#[test]
fn missing_parts_are_said() {
    let mut data = sample();
    data.training = None;
    data.warnings.clear();
    data.notes.clear();
    data.strategies[1].report["fill_models"].as_object_mut().unwrap().remove("optimistic");
    let html = render(&data).unwrap();
    assert!(!html.contains("id=\"model\"") && !html.contains("href=\"#model\""));
    assert!(html.contains("No bracket") && html.contains("No warnings"));
}

/// Thinning keeps ends, order and the deepest fall.
#[test]
fn thinned_curve_keeps_the_deepest_fall() {
    let fall = |values: &[f64]| {
        values.iter().fold((f64::MIN, 0.0f64), |(peak, fall), v| (peak.max(*v), fall.max(peak.max(*v) - v))).1
    };
    let mut equity = 0.0;
    let points: Vec<EquityPoint> = (0..100_000)
        .map(|i| {
            equity += noise(i).mul_add(10.0, 0.0).round();
            EquityPoint { ts_ns: i as i64 * 1_000_000, equity_cny: equity }
        })
        .collect();
    let curve = Curve::thinned(&points);
    assert!((400..=1_700).contains(&curve.ts_ms.len()), "{}", curve.ts_ms.len());
    assert!(curve.ts_ms.is_sorted());
    assert_eq!((curve.cny[0], *curve.cny.last().unwrap()), (points[0].equity_cny, equity));
    assert_eq!(fall(&curve.cny), fall(&points.iter().map(|p| p.equity_cny).collect::<Vec<_>>()));
    assert_eq!(Curve::thinned(&[]), Curve::default());
}

/// Fills of other days are left out, the position carried into the day stays.
#[test]
fn marks_are_those_of_the_day() {
    let fill = |day: &str, position_lots| FillRecord {
        order_id: 1,
        contract: 0,
        trading_day: day.parse().unwrap(),
        row: None,
        ts_ns: 5_000_000,
        side: Side::Sell,
        lots: 2,
        price_cny: 78_010.0,
        fee_cny: 0.0,
        maker: true,
        position_lots,
        markout_ticks: [f64::NAN; 4],
        slippage_ticks: f64::NAN,
    };
    let fills = [fill("2025-07-01", 3), fill("2025-07-02", 1), fill("2025-07-03", -1)];
    let marks = FillMarks::of_day("s", "m", "2025-07-02".parse().unwrap(), &fills);
    assert_eq!((marks.position_before_lots, marks.position_lots, marks.ts_ms), (3, vec![1], vec![5]));
    assert_eq!((marks.buy, marks.maker, marks.lots), (vec![false], vec![true], vec![2]));
}
