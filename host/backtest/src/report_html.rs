//! `report.html`: one file without outside references.
//!
//! Title, verdict, bracket, warnings and provenance are plain HTML and read without a script; charts and tables of figures
//! are drawn from the data embedded as JSON.

use crate::report_data::{ReportData, StrategyView, UpColour, VerdictLevel};
use ghtrader_core::{ErrorClass, Problem};
use serde_json::Value;
use std::fmt::Write as _;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");

/// The page. Equal data give equal bytes.
///
/// # Errors
/// Internal, if the data are no JSON.
pub fn render(data: &ReportData) -> Result<String, Problem> {
    let json = serde_json::to_string(data).map_err(|e| {
        Problem::new("not_json", ErrorClass::Internal, format!("report data are no JSON: {e}"), "report this")
    })?;
    // Inside strings only can a `<` stand, so the escape keeps the JSON and no text can end the script element.
    let json = json.replace('<', "\\u003c");
    let up = match data.up_colour {
        UpColour::Red => "red",
        UpColour::Green => "green",
    };
    let name = escape(&data.name);
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
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\" data-up=\"{up}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n<link rel=\"icon\" href=\"data:,\">\n<title>{name}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<div class=\"page\">\n{sections}\
         <noscript><p>Charts and tables of figures need JavaScript; nothing is loaded from anywhere.</p></noscript>\n\
         </div>\n<script type=\"application/json\" id=\"data\">{json}</script>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    ))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn part(id: &str, title: &str, lead: &str, body: &str) -> String {
    let lead = if lead.is_empty() { String::new() } else { format!("<p class=\"soft\">{lead}</p>\n") };
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{lead}{body}\n</section>\n")
}

fn header(data: &ReportData) -> String {
    let model = if data.training.is_some() { "<a href=\"#model\">Model</a>" } else { "" };
    format!(
        "<header>\n<div><p class=\"eyebrow\">ghTrader backtest</p><h1>{}</h1><p class=\"soft\">{}</p></div>\n\
         <div class=\"controls\"><button type=\"button\" id=\"theme\">Theme</button>\
         <button type=\"button\" id=\"colours\" title=\"Colour of a rise: red as in China, or green\">Colours</button></div>\n\
         </header>\n<nav aria-label=\"Parts\"><a href=\"#bracket\">Bracket</a><a href=\"#equity\">Equity</a>\
         <a href=\"#price\">Fills</a>{model}<a href=\"#figures\">Figures</a><a href=\"#warnings\">Warnings</a>\
         <a href=\"#provenance\">Repeat it</a></nav>\n",
        escape(&data.name),
        escape(&data.subtitle)
    )
}

fn verdict(data: &ReportData) -> String {
    let (class, icon, word) = match data.verdict.level {
        VerdictLevel::Good => ("good", "✓", "Good"),
        VerdictLevel::Warn => ("warn", "≈", "Undecided"),
        VerdictLevel::Bad => ("bad", "✕", "Bad"),
    };
    let mut facts = String::new();
    for (label, value) in &data.facts {
        let _ = write!(facts, "<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value));
    }
    format!(
        "<section class=\"verdict {class}\" id=\"verdict\">\n<span class=\"icon\" role=\"img\" aria-label=\"{word}\">{icon}</span>\n\
         <div><strong>{}</strong><p class=\"soft\">{}</p><dl class=\"facts\">{facts}</dl></div>\n</section>\n",
        escape(&data.verdict.text),
        escape(&data.verdict.detail)
    )
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
        "<div class=\"copyable\"><pre>{}</pre><button type=\"button\" data-copy>Copy</button></div>\n{}{}{table}",
        escape(&data.command),
        digest(
            "Result digest",
            "Everything that decides the result: engine, components, parameters, data, tables, seed.",
            &data.result_digest
        ),
        digest("Output digest", "The result itself: ordered orders, fills and daily equity.", &data.output_digest),
    );
    part("provenance", "Repeat it", "Equal result digests give equal output digests, on any machine.", &body)
}

/// `1234567.8` → `1,234,568`.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn signed(value: f64) -> String {
    let sign = if value > 0.0 {
        "+"
    } else if value < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{}", grouped(value))
}

/// A sum with sign, arrow and colour, so that colour never stands alone.
fn money(value: f64) -> String {
    let (class, arrow) = if value > 0.0 {
        ("up", "▲ ")
    } else if value < 0.0 {
        ("down", "▼ ")
    } else {
        ("", "")
    };
    format!("<b class=\"{class}\">{arrow}{} CNY</b>", signed(value))
}
