//! `report.html`: one file without outside references.
//!
//! Title, verdict, bracket, warnings and provenance are plain HTML and read without a script; charts and tables of figures
//! are drawn from the data embedded as JSON.

use crate::report_data::{ReportData, StrategyView, UpColour, VerdictLevel};
use ghtrader_core::{ErrorClass, Problem};
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
             <div class=\"legs\"><span>pessimistic {}</span><span>central {}</span><span>optimistic {}</span></div></div>",
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
