//! `report.html`: one file without outside references.
//!
//! Title, verdict, bracket, warnings and provenance are plain HTML and read without a script; charts and tables of figures
//! are drawn from the data embedded as JSON.

use crate::report_data::{ReportData, StrategyView, UpColour, VerdictLevel};
use crate::walk_forward::{Traded, TradedByModel};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_page::chart::{Chart, Layer, legend};
use ghtrader_page::{Frame, Tone, escape, grouped, money, part, signed};
use serde_json::Value;
use std::fmt::Write as _;

const SCRIPT: &str = include_str!("../assets/report.js");

/// The page. Equal data give equal bytes.
///
/// # Errors
/// Internal, if the data are no JSON.
pub fn render(data: &ReportData) -> Result<String, Problem> {
    let json = serde_json::to_string(data).map_err(|e| {
        Problem::new("not_json", ErrorClass::Internal, format!("report data are no JSON: {e}"), "report this")
    })?;
    let up = match data.up_colour {
        UpColour::Red => "red",
        UpColour::Green => "green",
    };
    let sections = [
        header(data),
        verdict(data),
        brackets(data),
        part("equity", "Equity", "", "<div id=\"equity-body\"></div>"),
        part("price", "Fills on the price", "", "<div id=\"price-body\"></div>"),
        if data.training.is_some() {
            part("model", "The model, out of sample", "", "<div id=\"model-body\"></div>")
        } else {
            String::new()
        },
        walk_forward(data),
        part("figures", "Figures by fill model", "", "<div id=\"figures-body\"></div>"),
        warnings(data),
        provenance(data),
    ]
    .concat();
    Ok(ghtrader_page::page(&Frame {
        title: &data.name,
        up,
        style: "",
        body: &sections,
        without_script: "Charts and tables of figures need JavaScript; nothing is loaded from anywhere.",
        data_json: &json,
        script: SCRIPT,
    }))
}

fn header(data: &ReportData) -> String {
    let mut links = vec![("bracket", "Bracket"), ("equity", "Equity"), ("price", "Fills")];
    if data.training.is_some() {
        links.push(("model", "Model"));
    }
    if data.walk_forward.is_some() {
        links.push(("walk-forward", "Walk-forward"));
    }
    links.extend([("figures", "Figures"), ("warnings", "Warnings"), ("provenance", "Repeat it")]);
    ghtrader_page::header("ghTrader backtest", &data.name, &data.subtitle, &links)
}

fn verdict(data: &ReportData) -> String {
    let tone = match data.verdict.level {
        VerdictLevel::Good => Tone::Good,
        VerdictLevel::Warn => Tone::Warn,
        VerdictLevel::Bad => Tone::Bad,
    };
    ghtrader_page::verdict(tone, &data.verdict.text, &data.verdict.detail, &data.facts)
}

/// Profit of one strategy under the pessimistic, central and optimistic model.
fn bracket_of(strategy: &StrategyView) -> Option<[f64; 3]> {
    let leg = |model: &str| strategy.report.pointer(&format!("/fill_models/{model}/pnl_cny")).and_then(Value::as_f64);
    Some([leg("pessimistic")?, leg("central")?, leg("optimistic")?])
}

fn brackets(data: &ReportData) -> String {
    let known: Vec<(&StrategyView, Option<[f64; 3]>)> = data.strategies.iter().map(|s| (s, bracket_of(s))).collect();
    let ends = known.iter().filter_map(|(_, b)| *b).flatten();
    let (low, high) = ends.fold((0.0f64, 0.0f64), |(low, high), x| (low.min(x), high.max(x)));
    // One scale for all, with some air at both ends.
    let air = (high - low).max(1.0) * 0.03;
    let (low, high) = (low - air, high + air);
    let at = |x: f64| 100.0 * (x - low) / (high - low);
    let mut body = String::from("<div class=\"brackets\">\n");
    for (strategy, bracket) in &known {
        let name = escape(&strategy.name);
        let Some([pessimistic, central, optimistic]) = *bracket else {
            let _ = writeln!(
                body,
                "<div><b>{name}</b><p class=\"soft\">No bracket: one of the three fill models did not run.</p></div>"
            );
            continue;
        };
        let (left, right) = (pessimistic.min(optimistic), pessimistic.max(optimistic));
        let _ = writeln!(
            body,
            "<div><div class=\"bracket-head\"><b>{name}</b><span class=\"small soft\">{}</span></div>\
             <div class=\"range\" role=\"img\" aria-label=\"Profit between {} and {}, central {} CNY\">\
             <i class=\"span\" style=\"left:{:.2}%;width:{:.2}%\"></i><i class=\"zero\" style=\"left:{:.2}%\"></i>\
             <i class=\"mid\" style=\"left:{:.2}%\"></i></div>\
             <div class=\"legs\"><span>pessimistic {}</span><span>central {}</span><span>optimistic {}</span></div>{}</div>",
            reading(pessimistic, central, optimistic),
            signed(pessimistic),
            signed(optimistic),
            signed(central),
            at(left),
            at(right) - at(left),
            at(0.0),
            at(central),
            money(pessimistic),
            money(central),
            money(optimistic),
            figures_of(strategy),
        );
    }
    let _ = write!(
        body,
        "<div class=\"scale\"><span>{} CNY</span><span>one scale for all</span><span>{} CNY</span></div>\n</div>",
        signed(low.round()),
        signed(high.round())
    );
    part(
        "bracket",
        "Profit and loss, bracketed",
        "Snapshots do not say when a resting order would have been filled. The pessimistic model counts certain fills only, the \
         optimistic one everything possible; what would have happened lies between. The thick mark is the central guess, the thin \
         line zero. Fees and margin are included.",
        &body,
    )
}

/// Folds: the joined out-of-sample curve with its borders, and each fold inside and outside its training days.
fn walk_forward(data: &ReportData) -> String {
    let Some(walk) = &data.walk_forward else { return String::new() };
    let days: Vec<String> = data.sessions.iter().map(|s| s.trading_day.to_string()).collect();
    let daily = |model: &str| -> Vec<f64> {
        let values =
            data.strategies.first().and_then(|s| s.report.pointer(&format!("/fill_models/{model}/pnl_daily_cny")));
        let mut sum = 0.0;
        values
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(|v| {
                sum += v.as_f64().unwrap_or(0.0);
                sum
            })
            .collect()
    };
    let borders = walk
        .folds
        .iter()
        .skip(1)
        .filter_map(|f| data.sessions.iter().position(|s| s.trading_day == f.span.test_first_day))
        .collect();
    let layers = [
        Layer::Band { low: daily("pessimistic"), high: daily("optimistic"), class: "b-wide" },
        Layer::Line { values: daily("central"), class: "l-one" },
        Layer::Borders { at: borders },
    ];
    let label = format!("Profit and loss out of sample over {} days in {} folds", days.len(), walk.folds.len());
    let chart = Chart { label: &label, steps: &days, unit: "CNY", layers: &layers };
    let cell = |t: Option<&Traded>| match t {
        Some(Traded { mean_cny: Some(mean), sharpe, .. }) => {
            format!(
                "{}<small>Sharpe {}</small>",
                signed(*mean),
                sharpe.map_or_else(|| "–".to_owned(), |s| format!("{s:.2}"))
            )
        }
        _ => "–".to_owned(),
    };
    let legs = |by_model: &TradedByModel| -> String {
        ["pessimistic", "central", "optimistic"].iter().map(|m| format!("<td>{}</td>", cell(by_model.get(m)))).collect()
    };
    let mut rows = String::new();
    for fold in &walk.folds {
        let s = &fold.span;
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">fold {}<small>fitted {} to {}, {} rows less {} purged; traded {} to {}</small></th>{}{}</tr>",
            s.split + 1,
            s.train_first_day,
            s.train_last_day,
            grouped(s.train_rows as f64),
            s.purged_rows,
            s.test_first_day,
            s.test_last_day,
            legs(&fold.in_sample),
            legs(&fold.out_of_sample)
        );
    }
    let _ = writeln!(
        rows,
        "<tr><th scope=\"row\">all<small>out of sample</small></th><td></td><td></td><td></td>{}</tr>",
        legs(&walk.out_of_sample)
    );
    if walk.between_folds.values().any(|t| t.days > 0) {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">between folds<small>days of no test part, without scores</small></th><td></td><td></td><td></td>{}</tr>",
            legs(&walk.between_folds)
        );
    }
    for regime in &walk.regimes {
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{} days<small>realised volatility up to {:.0} ticks</small></th><td></td><td></td><td></td>{}</tr>",
            regime.regime,
            regime.most_ticks,
            legs(&regime.out_of_sample)
        );
    }
    let kept = walk.out_over_in_sample.map_or_else(
        || "in sample there is no profit to keep".to_owned(),
        |r| format!("{:.0} % of the profit in sample is kept", 100.0 * r),
    );
    let body = format!(
        "{0}<div class=\"scroll\"><table><thead><tr><th scope=\"col\"></th><th scope=\"col\" colspan=\"3\">in sample, CNY a day</th>\
         <th scope=\"col\" colspan=\"3\">out of sample, CNY a day</th></tr><tr><th></th>{1}{1}</tr></thead><tbody>\n{rows}</tbody></table></div>",
        legend(&[("b-wide", "pessimistic to optimistic"), ("l-one", "central")]) + &chart.svg(),
        "<th scope=\"col\">pessimistic</th><th scope=\"col\">central</th><th scope=\"col\">optimistic</th>",
    );
    let lead = format!(
        "Each fold's model is fitted on the days before and trades the days behind; the test parts make one curve, dotted lines are the \
         borders. Under pessimistic fills {} of {} folds earn out of sample; {kept}.",
        walk.folds_won,
        walk.folds.len()
    );
    part("walk-forward", "Walk-forward", &lead, &body)
}

/// Figures of the report that are shown with their bracket: key, name, decimals.
const BRACKETED: [(&str, &str, usize); 7] = [
    ("sharpe", "Sharpe", 2),
    ("max_drawdown_cny", "max drawdown, CNY", 0),
    ("fees_cny", "fees, CNY", 0),
    ("fills", "fills", 0),
    ("hit_rate", "hit rate", 3),
    ("fill_ratio", "fill ratio", 3),
    ("slippage_ticks", "slippage, ticks", 3),
];

/// Low, central and high of the figures that people ask for first.
fn figures_of(strategy: &StrategyView) -> String {
    let mut rows = String::new();
    for (key, name, decimals) in BRACKETED {
        let Some(legs) = strategy.report.pointer(&format!("/bracket/{key}")).and_then(Value::as_array) else {
            continue;
        };
        let cells: String = legs
            .iter()
            .map(|leg| match leg.as_f64() {
                None => "<td>–</td>".to_owned(),
                Some(x) if decimals == 0 => format!("<td>{}</td>", grouped(x)),
                Some(x) => format!("<td>{x:.decimals$}</td>"),
            })
            .collect();
        let _ = write!(rows, "<tr><th scope=\"row\">{name}</th>{cells}</tr>");
    }
    if rows.is_empty() {
        return rows;
    }
    format!(
        "<div class=\"scroll\"><table><thead><tr><th></th><th>low</th><th>central</th><th>high</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

/// What a bracket says in words.
fn reading(pessimistic: f64, central: f64, optimistic: f64) -> &'static str {
    let all = [pessimistic, central, optimistic];
    if all.iter().all(|x| *x == 0.0) {
        "made no difference"
    } else if all.iter().all(|x| *x > 0.0) {
        "earns under every fill model"
    } else if all.iter().all(|x| *x < 0.0) {
        "loses under every fill model"
    } else {
        "depends on the fill model"
    }
}

fn warnings(data: &ReportData) -> String {
    let mut body = String::new();
    for w in data.warnings.iter().filter(|w| w.count > 0) {
        let _ = writeln!(
            body,
            "<li><span class=\"tag\">{}</span><b>{}</b> × {}</li>",
            escape(&w.code),
            grouped(w.count as f64),
            escape(&w.text)
        );
    }
    for note in &data.notes {
        let _ = writeln!(body, "<li>{}</li>", escape(note));
    }
    let body = if body.is_empty() {
        "<p class=\"soft\">✓ No warnings.</p>".to_owned()
    } else {
        format!("<ul class=\"plain\">\n{body}</ul>")
    };
    part("warnings", "Warnings and notes", "", &body)
}

fn provenance(data: &ReportData) -> String {
    let digest = |label: &str, what: &str, digest: &str| {
        format!(
            "<h3>{label}</h3><p class=\"small soft\">{what}</p><div class=\"copyable\"><code>{}</code>\
             <button type=\"button\" data-copy>Copy</button></div>\n",
            escape(digest)
        )
    };
    let mut rows = String::new();
    for (label, value) in &data.provenance {
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td class=\"text mono\">{}</td></tr>",
            escape(label),
            escape(value)
        );
    }
    let table = if rows.is_empty() {
        String::new()
    } else {
        format!(
            "<details><summary>Everything that it rests on</summary><div class=\"scroll\"><table><tbody>{rows}</tbody></table></div></details>"
        )
    };
    let body = format!(
        "{}{}{}{table}",
        ghtrader_page::command(&data.command),
        digest(
            "Result digest",
            "Everything that decides the result: engine, components, parameters, data, tables, seed.",
            &data.result_digest
        ),
        digest("Output digest", "The result itself: ordered orders, fills and daily equity.", &data.output_digest),
    );
    part("provenance", "Repeat it", "Equal result digests give equal output digests, on any machine.", &body)
}
