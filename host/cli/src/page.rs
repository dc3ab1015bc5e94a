//! The report page of a run or of the demo: what stands on it, in words and series.

use crate::commands::walk_forward::Walked;
use crate::output::grouped;
use ghtrader_backtest::report_data::{
    BestReachable, Curve, FillMarks, PriceDay, ReportData, SessionDay, StrategyView, TrainingView, UpColour, Verdict,
    VerdictLevel, WarningLine,
};
use ghtrader_backtest::{DayData, RunResult, RunSpec, WalkForwardTraded, report_html};
use ghtrader_batch::Prepared;
use ghtrader_core::Problem;
use serde_json::Value;

/// One strategy's run with what it was made from.
pub(crate) struct Ran<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: String,
    pub(crate) initial_cny: f64,
    pub(crate) result: &'a RunResult,
    pub(crate) report: &'a Value,
}

/// What a page says beside its runs.
pub(crate) struct Page<'a> {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) result_digest: String,
    pub(crate) output_digest: String,
    pub(crate) days: &'a [DayData],
    pub(crate) training: Option<(String, Value, Option<BestReachable>)>,
    pub(crate) walk_forward: Option<WalkForwardTraded>,
    pub(crate) facts: Vec<(String, String)>,
    pub(crate) notes: Vec<String>,
    pub(crate) provenance: Vec<(String, String)>,
}

/// The page of a single run.
pub(crate) fn of_run(
    name: &str,
    command: &str,
    prepared: &Prepared,
    spec: &RunSpec,
    result: &RunResult,
    report: &Value,
    walk: Option<&Walked>,
) -> Result<String, Problem> {
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let about = &prepared.strategy.plugin.manifest().plugin;
    let ran = Ran {
        name: &about.name,
        description: about.description.clone(),
        initial_cny: spec.account.initial_cny,
        result,
        report,
    };
    let page = Page {
        name: name.to_owned(),
        command: command.to_owned(),
        result_digest: text("result_digest"),
        output_digest: text("output_digest"),
        days: &prepared.days,
        training: walk.map(|w| (w.summary.clone(), w.training.clone(), None)),
        walk_forward: walk.map(|w| w.traded.clone()),
        facts: Vec::new(),
        notes: Vec::new(),
        provenance: provenance(report),
    };
    render(page, &[ran])
}

/// Components of a lineup with their digests.
pub(crate) fn provenance(report: &Value) -> Vec<(String, String)> {
    let lineup = &report["lineup"];
    let features = lineup["features"].as_array().cloned().unwrap_or_default();
    let line = |c: &Value| {
        let text = |key: &str| c[key].as_str().unwrap_or_default();
        (format!("{}@{}", text("name"), text("version")), format!("sha256:{}", text("digest")))
    };
    let mut lines: Vec<(String, String)> = features.iter().chain([&lineup["strategy"]]).map(line).collect();
    if let Some(models) = lineup["model"].as_array() {
        lines.extend(
            models.iter().map(|m| ("model".to_owned(), format!("sha256:{}", m["digest"].as_str().unwrap_or("")))),
        );
    }
    lines
}

/// Puts series, figures and words together.
pub(crate) fn render(page: Page<'_>, runs: &[Ran<'_>]) -> Result<String, Problem> {
    let Some((first, last)) = page.days.first().zip(page.days.last()) else {
        return report_html::render(&ReportData {
            name: page.name,
            subtitle: "no trading day".to_owned(),
            verdict: Verdict { level: VerdictLevel::Bad, text: "Nothing was run.".to_owned(), detail: String::new() },
            up_colour: UpColour::default(),
            result_digest: page.result_digest,
            output_digest: page.output_digest,
            command: page.command,
            facts: page.facts,
            sessions: Vec::new(),
            strategies: Vec::new(),
            price_days: Vec::new(),
            training: None,
            walk_forward: None,
            warnings: Vec::new(),
            notes: page.notes,
            provenance: page.provenance,
        });
    };
    let rows: u64 = page.days.iter().map(|d| d.ticks.view().rows() as u64).sum();
    let mut contracts: Vec<&str> = page.days.iter().map(|d| d.contract.as_str()).collect();
    contracts.dedup();
    let mut facts = vec![
        ("trading days".to_owned(), page.days.len().to_string()),
        ("rows".to_owned(), grouped(rows as i64)),
        ("contracts".to_owned(), contracts.join(", ")),
    ];
    facts.extend(page.facts);
    let strategies = runs.iter().map(|run| StrategyView {
        name: run.name.to_owned(),
        description: run.description.clone(),
        initial_cny: run.initial_cny,
        report: run.report.clone(),
        equity: run
            .result
            .models
            .iter()
            .map(|(name, record, _)| (name.as_str().to_owned(), Curve::thinned(&record.equity)))
            .collect(),
    });
    let mut notes = page.notes;
    for run in runs {
        for note in run.report["notes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !notes.iter().any(|n| n == note) {
                notes.push(note.to_owned());
            }
        }
    }
    let data = ReportData {
        name: page.name,
        subtitle: format!("{} to {}, {}", first.trading_day, last.trading_day, contracts.join(" → ")),
        verdict: verdict(runs),
        up_colour: UpColour::default(),
        result_digest: page.result_digest,
        output_digest: page.output_digest,
        command: page.command,
        facts,
        sessions: page.days.iter().map(|d| SessionDay::new(d.trading_day, &d.contract, &d.windows)).collect(),
        strategies: strategies.collect(),
        price_days: price_days(page.days, runs),
        walk_forward: page.walk_forward,
        training: page.training.map(|(summary, walk_forward, bound)| TrainingView { summary, walk_forward, bound }),
        warnings: warnings(runs),
        notes,
        provenance: page.provenance,
    };
    report_html::render(&data)
}

/// The headline: the best strategy under the pessimistic model, and whether the models agree on its sign.
fn verdict(runs: &[Ran<'_>]) -> Verdict {
    let pnl = |run: &Ran<'_>, model: &str| run.report["fill_models"][model]["pnl_cny"].as_f64();
    let best = runs.iter().filter_map(|run| Some((run, pnl(run, "pessimistic")?))).max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((run, low)) = best else {
        return Verdict {
            level: VerdictLevel::Warn,
            text: "The pessimistic model did not run; there is no verdict without it.".to_owned(),
            detail: String::new(),
        };
    };
    let days = run.report["data"]["days"].as_array().map_or(0, Vec::len);
    let others: Vec<String> =
        ["central", "optimistic"].iter().filter_map(|m| Some(format!("{m} {} CNY", signed(pnl(run, m)?)))).collect();
    let fees = run.report["fill_models"]["pessimistic"]["fees_cny"].as_f64().unwrap_or(0.0);
    let detail = format!("{}; fees {} CNY", others.join(", "), signed(-fees));
    let agree = ["central", "optimistic"].iter().filter_map(|m| pnl(run, m)).all(|p| (p > 0.0) == (low > 0.0));
    let what = format!("{} makes {} CNY in {days} days under pessimistic fills", run.name, signed(low));
    let (level, text) = match (low > 0.0, agree) {
        (true, true) => (VerdictLevel::Good, format!("{what}, and all fill models agree on the sign.")),
        (true, false) => (VerdictLevel::Warn, format!("{what}, but the fill models disagree on the sign.")),
        (false, false) => {
            (VerdictLevel::Warn, format!("{what}: whether it earns anything depends on how orders fill."))
        }
        (false, true) if runs.len() > 1 => {
            (VerdictLevel::Bad, format!("No strategy earns its costs: the best, {what}."))
        }
        (false, true) => (VerdictLevel::Bad, format!("It does not earn its costs: {what}.")),
    };
    Verdict { level, text, detail }
}

fn signed(value: f64) -> String {
    let whole = value.round() as i64;
    if whole > 0 { format!("+{}", grouped(whole)) } else { grouped(whole) }
}

/// The last day, and the one on which the strategies filled most often.
fn price_days(days: &[DayData], runs: &[Ran<'_>]) -> Vec<PriceDay> {
    let fills = |day: &DayData| -> usize {
        let records = runs.iter().flat_map(|r| r.result.models.iter().take(1));
        records.map(|(_, record, _)| record.fills.iter().filter(|f| f.trading_day == day.trading_day).count()).sum()
    };
    let busiest = days.iter().max_by_key(|d| fills(d));
    let mut chosen: Vec<&DayData> = busiest.into_iter().chain(days.last()).collect();
    chosen.sort_by_key(|d| d.trading_day);
    chosen.dedup_by_key(|d| d.trading_day);
    chosen
        .into_iter()
        .map(|day| {
            let view = day.ticks.view();
            let mut page =
                PriceDay::new(day.trading_day, &day.contract, day.instrument.price_tick, &view, &day.windows);
            for run in runs {
                for (model, record, _) in &run.result.models {
                    page.fills.push(FillMarks::of_day(run.name, model.as_str(), day.trading_day, &record.fills));
                }
            }
            page
        })
        .collect()
}

const WARNINGS: [(&str, &str); 11] = [
    ("volume_unsplit", "intervals whose turnover fits no split by price: their volume moves no queue for certain"),
    ("volume_bounded", "intervals with more than two prices: volume at a price is known within bounds only"),
    ("crossed_rows", "rows with a crossed book, which are not matched"),
    ("auction_rows", "rows of call auctions, which are not matched"),
    (
        "locked_rows",
        "rows with one side empty, as at a lock limit: nothing is taken there, and queues advance by volume only",
    ),
    ("gaps", "gaps of more than 5 s inside a session: the row behind one advances queues by certain trades only"),
    ("unseen", "rows during which an own order lay outside the five displayed levels: its queue was frozen"),
    ("beyond_book", "market orders larger than the five displayed levels: the rest was rejected or penalised"),
    ("roll_without_book", "rolls closed at a worsened last price for lack of a book"),
    ("warmup_short", "first rows that were not traded: fewer rows than the strategy's warm-up lie before them"),
    ("risk_rejects", "orders refused by a risk limit"),
];

fn warnings(runs: &[Ran<'_>]) -> Vec<WarningLine> {
    let count = |code: &str| -> u64 {
        let data = runs.first().and_then(|r| r.report["data"]["warnings"][code].as_u64()).unwrap_or(0);
        let models = runs.iter().flat_map(|r| &r.result.models);
        data + models.map(|(_, record, _)| record.warnings.get(code).copied().unwrap_or(0)).sum::<u64>()
    };
    WARNINGS
        .iter()
        .map(|(code, text)| WarningLine { code: (*code).to_owned(), text: (*text).to_owned(), count: count(code) })
        .filter(|w| w.count > 0)
        .collect()
}
