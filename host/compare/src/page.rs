//! The page of a comparison: one HTML file without outside references, for two results or a thousand.
//!
//! Everything is drawn here and read without a script; a script only sorts the table of variants.

mod grid;

use crate::comparison::{Comparison, Variant};
use crate::figures::{Bracket, Member};
use crate::outcome::{BRACKET, shown};
use crate::verdict::{Verdict, p_text};
use ghtrader_page::chart::{Chart, Layer, legend, strip, table};
use ghtrader_page::{Frame, Tone, command, escape, grouped, header, page, part, signed, verdict};
use ghtrader_stats::quantile;
use std::fmt::Write as _;

const STYLE: &str = include_str!("../assets/batch.css");
const SCRIPT: &str = include_str!("../assets/batch.js");

/// Rows of a table before the rest is folded away.
const ROWS: usize = 25;
/// Variants whose curves, costs and legs are shown one by one.
const FEW: usize = 8;

/// What the page says beside the comparison.
#[derive(Debug, Clone, Default)]
pub struct PageContext {
    /// Title.
    pub title: String,
    /// The command that makes the page again.
    pub command: String,
    /// Colour of a rise, `red` or `green`.
    pub up: String,
    /// What the caller left out, such as failed jobs.
    pub untested: Vec<String>,
}

/// The page. Equal comparisons give equal bytes.
pub fn batch_page(comparison: &Comparison, context: &PageContext) -> String {
    let order = ranked(comparison);
    let grid = grid::body(comparison);
    let mut links = vec![("variants", "Variants"), ("said", "In words")];
    if !grid.is_empty() {
        links.push(("parameters", "Parameters"));
    }
    links.extend([
        ("equity", "Equity"),
        ("days", "Day by day"),
        ("fills", "Fill models"),
        ("luck", "Luck"),
        ("costs", "Costs"),
    ]);
    links.extend([("untested", "Not tested"), ("repeat", "Repeat it")]);
    let subtitle = format!(
        "{} against {}, {} common trading days, {} to {}",
        counted(comparison.variants.len(), "variant"),
        comparison.champion.label,
        comparison.days.count,
        comparison.days.first,
        comparison.days.last
    );
    let body = [
        header("ghTrader comparison", &context.title, &subtitle, &links),
        answer(comparison),
        variants(comparison, &order),
        said(&order),
        if grid.is_empty() { String::new() } else { part("parameters", "Parameters", "", &grid) },
        equity(comparison, &order),
        day_by_day(comparison, &order),
        fill_models(&order),
        luck(comparison),
        costs(comparison, &order),
        untested(comparison, context),
        repeat(comparison, context),
    ]
    .concat();
    page(&Frame {
        title: &context.title,
        up: if context.up == "green" { "green" } else { "red" },
        style: STYLE,
        body: &body,
        without_script: "",
        data_json: "",
        script: SCRIPT,
    })
}

fn counted(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n as f64), if n == 1 { "" } else { "s" })
}

fn rank(v: &Variant) -> f64 {
    v.against.get(BRACKET[0]).map_or(f64::NEG_INFINITY, |p| p.mean_cny)
}

/// Variants by what they make more than the champion under pessimistic fills, the best first.
fn ranked(comparison: &Comparison) -> Vec<&Variant> {
    let mut order: Vec<&Variant> = comparison.variants.iter().collect();
    order.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
    order
}

fn answer(comparison: &Comparison) -> String {
    let tone = match comparison.verdict {
        Verdict::Better => Tone::Good,
        Verdict::Worse => Tone::Bad,
        Verdict::Noise | Verdict::TooFewDays | Verdict::DependsOnFills => Tone::Warn,
    };
    let number = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    let count = |v: Verdict| comparison.variants.iter().filter(|x| x.verdict == v).count();
    let words = [Verdict::Better, Verdict::Worse, Verdict::Noise, Verdict::DependsOnFills, Verdict::TooFewDays];
    let counts: Vec<String> = words
        .iter()
        .filter(|v| count(**v) > 0)
        .map(|v| format!("{} {}", count(*v), v.as_str().replace('_', " ")))
        .collect();
    let facts = [
        ("common trading days".to_owned(), comparison.days.count.to_string()),
        ("trials".to_owned(), comparison.family.trials.to_string()),
        ("verdicts".to_owned(), counts.join(", ")),
        ("deflated Sharpe of the best".to_owned(), number(comparison.family.dsr)),
        ("probability of overfitting".to_owned(), number(comparison.family.pbo)),
    ];
    verdict(tone, &comparison.sentence, &comparison.family.sentence, &facts)
}

/// Low and high end of a scale that holds all of these, 0 included.
fn span(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.filter(|v| v.is_finite()).fold((0.0f64, 0.0f64), |(l, h), v| (l.min(v), h.max(v)));
    let air = (high - low).max(1e-9) * 0.03;
    (low - air, high + air)
}

fn opt(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}").replace('-', "−"))
}

fn data(value: Option<f64>) -> String {
    value.filter(|v| v.is_finite()).map_or_else(String::new, |v| format!("{v}"))
}

/// Low, central and high, the low one large.
fn bracket(bracket: &Bracket, show: impl Fn(f64) -> String) -> String {
    let text = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), &show);
    bracket.map_or_else(
        || "no bracket".to_owned(),
        |[low, central, high]| format!("{}<small>{} / {}</small>", text(low), text(central), text(high)),
    )
}

const HEAD: [(&str, &str); 12] = [
    ("variant", ""),
    ("verdict", ""),
    ("CNY a day more", "mean daily difference to the champion, pessimistic fills, with its interval"),
    ("", "the same on one scale for all"),
    ("central / optimistic", "mean daily difference under the other fill models"),
    ("p", "adjusted for all variants"),
    ("days won", "share of days on which it made more than the champion"),
    ("pnl CNY", "pessimistic, below it central / optimistic"),
    ("Sharpe", "annual, with its standard error; below it central / optimistic"),
    ("DSR", "deflated Sharpe ratio: probability of being better than the luckiest of all trials"),
    ("drawdown CNY", "largest fall from a peak, day's end to day's end, pessimistic fills"),
    ("lots a day", "filled, pessimistic fills"),
];

fn variants(comparison: &Comparison, order: &[&Variant]) -> String {
    let ends = order.iter().filter_map(|v| v.against.get(BRACKET[0]));
    let (low, high) = span(ends.flat_map(|p| [Some(p.mean_cny), p.low_cny, p.high_cny]).flatten());
    let head: String = HEAD
        .iter()
        .map(|(name, title)| {
            let name = if name.is_empty() {
                String::new()
            } else {
                format!("<button type=\"button\">{}</button>", escape(name))
            };
            format!("<th scope=\"col\" title=\"{}\">{name}</th>", escape(title))
        })
        .collect();
    let mut rows = String::new();
    reference_row(&comparison.champion, &mut rows);
    for (i, v) in order.iter().enumerate() {
        variant_row(v, i >= ROWS, (low, high), &mut rows);
    }
    let fold = if order.len() > ROWS {
        format!(
            "<input type=\"checkbox\" id=\"every\"> <label class=\"every\" for=\"every\">All {} variants, not the best {ROWS} only</label>\n",
            order.len()
        )
    } else {
        String::new()
    };
    let lead = format!(
        "Against {}, the best first; click a heading to sort. Intervals hold for one variant alone; the verdict and p hold for the \
         luckiest of all.",
        comparison.champion.label
    );
    let body = format!(
        "<div id=\"all-variants\">{fold}<div class=\"scroll\"><table data-shown=\"{ROWS}\"><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></div>"
    );
    part("variants", "Variants", &lead, &body)
}

fn figure_cells(member: &Member, out: &mut String) {
    let low = member.figures.get(BRACKET[0]);
    let sharpe = member.sharpe.map_or_else(
        || "no bracket".to_owned(),
        |[_, central, high]| {
            let se = low.and_then(|f| f.sharpe_se).map_or_else(String::new, |se| format!(" ± {se:.2}"));
            let own = opt(low.and_then(|f| f.sharpe), 2);
            format!("{own}{se}<small>{} / {}</small>", opt(central, 2), opt(high, 2))
        },
    );
    let _ = writeln!(
        out,
        "<td data-v=\"{}\">{}</td><td data-v=\"{}\">{sharpe}</td><td data-v=\"{}\">{}</td><td data-v=\"{}\">{}</td><td data-v=\"{}\">{}</td></tr>",
        data(low.map(|f| f.pnl_cny)),
        bracket(&member.pnl_cny, signed),
        data(low.and_then(|f| f.sharpe)),
        data(low.and_then(|f| f.dsr)),
        opt(low.and_then(|f| f.dsr), 2),
        data(low.map(|f| f.max_drawdown_cny)),
        low.map_or_else(|| "–".to_owned(), |f| grouped(f.max_drawdown_cny)),
        data(low.map(|f| f.lots_a_day)),
        opt(low.map(|f| f.lots_a_day), 1),
    );
}

fn reference_row(champion: &Member, out: &mut String) {
    let _ = write!(
        out,
        "<tr class=\"reference\"><th scope=\"row\">{}<small>champion</small></th><td></td><td></td><td></td><td></td><td></td><td></td>",
        escape(&champion.label)
    );
    figure_cells(champion, out);
}

fn variant_row(v: &Variant, rest: bool, (low, high): (f64, f64), out: &mut String) {
    let paired = v.against.get(BRACKET[0]);
    let ends = paired.and_then(|p| p.low_cny.zip(p.high_cny));
    let interval = ends.map_or_else(String::new, |(a, b)| format!("<small>{} to {}</small>", signed(a), signed(b)));
    let others: Vec<String> =
        BRACKET[1..].iter().map(|m| v.against.get(m).map_or_else(|| "–".to_owned(), |p| signed(p.mean_cny))).collect();
    let p = paired.and_then(|p| p.p_adjusted);
    let _ = write!(
        out,
        "<tr{}><th scope=\"row\" data-v=\"{1}\">{1}</th><td class=\"text\" data-v=\"{2}\"><span class=\"v {2}\">{3}</span></td>\
         <td data-v=\"{4}\">{5}{interval}</td><td>{6}</td><td>{7}</td><td data-v=\"{8}\">{9}</td><td data-v=\"{10}\">{11}</td>",
        if rest { " class=\"rest\"" } else { "" },
        escape(&v.member.label),
        v.verdict.as_str(),
        v.verdict.as_str().replace('_', " "),
        data(paired.map(|p| p.mean_cny)),
        paired.map_or_else(|| "–".to_owned(), |p| signed(p.mean_cny)),
        paired.map_or_else(String::new, |p| strip(p.mean_cny, ends, low, high)),
        others.join(" / "),
        data(p),
        p.map_or_else(|| "–".to_owned(), p_text),
        data(paired.map(|p| p.share_won)),
        paired.map_or_else(|| "–".to_owned(), |p| format!("{:.0} %", 100.0 * p.share_won)),
    );
    figure_cells(&v.member, out);
}

/// The sentences: all that are more than noise, and the best few of the rest.
fn said(order: &[&Variant]) -> String {
    const MOST: usize = 20;
    let word = |v: &&&Variant| matches!(v.verdict, Verdict::Better | Verdict::DependsOnFills);
    let mut chosen: Vec<&&Variant> = order.iter().filter(word).collect();
    chosen.extend(order.iter().filter(|v| !word(v)));
    let mut body = String::from("<ol class=\"said\">\n");
    for v in chosen.iter().take(MOST) {
        let _ = writeln!(
            body,
            "<li><span class=\"v {}\">{}</span> {}{}</li>",
            v.verdict.as_str(),
            v.verdict.as_str().replace('_', " "),
            escape(&v.sentence),
            apart(v)
        );
    }
    body.push_str("</ol>\n");
    if chosen.len() > MOST {
        let _ = write!(body, "<p class=\"soft\">{} more stand in the table.</p>", chosen.len() - MOST);
    }
    part("said", "In words", "", &body)
}

/// What a variant has apart from the champion, folded away.
fn apart(v: &Variant) -> String {
    let all = v.code_differences.iter().chain(&v.parameter_differences).chain(&v.condition_differences);
    let rows: Vec<Vec<String>> = all.map(|d| vec![d.key.clone(), d.champion.clone(), d.variant.clone()]).collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut body = String::new();
    for row in &rows {
        let _ = write!(
            body,
            "<tr><th scope=\"row\">{}</th><td class=\"text mono\">{}</td><td class=\"text mono\">{}</td></tr>",
            escape(&row[0]),
            escape(&row[1]),
            escape(&row[2])
        );
    }
    format!(
        "<details><summary>{}</summary><div class=\"scroll\"><table><thead><tr><th></th><th class=\"text\">champion</th><th class=\"text\">variant</th></tr></thead><tbody>{body}</tbody></table></div></details>",
        counted(rows.len(), "difference")
    )
}

fn cumulated(pnl: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    pnl.iter()
        .map(|x| {
            sum += x;
            sum
        })
        .collect()
}

fn day_names(comparison: &Comparison) -> Vec<String> {
    comparison.days.days.iter().map(ToString::to_string).collect()
}

/// Variants on all common days; those with too few of them have series of their own.
fn on_common_days<'a>(comparison: &Comparison, order: &[&'a Variant]) -> Vec<&'a Variant> {
    let all = |v: &&&Variant| v.member.daily.get(BRACKET[0]).is_some_and(|s| s.len() == comparison.days.count);
    order.iter().filter(all).copied().collect()
}

fn equity(comparison: &Comparison, order: &[&Variant]) -> String {
    let judged = on_common_days(comparison, order);
    let Some(best) = judged.first() else {
        return part("equity", "Equity", "", "<p class=\"soft\">No variant has all common days.</p>");
    };
    let days = day_names(comparison);
    let curves: Vec<Vec<f64>> = judged.iter().map(|v| cumulated(&v.member.pnl(BRACKET[0]))).collect();
    let champion = cumulated(&comparison.champion.pnl(BRACKET[0]));
    let own = cumulated(&best.member.pnl(BRACKET[0]));
    let mut layers = Vec::new();
    let mut keys = vec![("l-champion", "champion"), ("l-best", "best variant")];
    let mut rows: Vec<Vec<String>> =
        days.iter().enumerate().map(|(d, day)| vec![day.clone(), signed(champion[d]), signed(own[d])]).collect();
    let mut head = vec!["trading day", "champion", "best"];
    if judged.len() > 2 {
        let at = |p: f64| -> Vec<f64> {
            (0..days.len())
                .map(|d| {
                    let mut values: Vec<f64> = curves.iter().map(|c| c[d]).collect();
                    values.sort_by(f64::total_cmp);
                    quantile(&values, p)
                })
                .collect()
        };
        let bands = [0.05, 0.25, 0.5, 0.75, 0.95].map(at);
        layers.push(Layer::Band { low: bands[0].clone(), high: bands[4].clone(), class: "b-wide" });
        layers.push(Layer::Band { low: bands[1].clone(), high: bands[3].clone(), class: "b-mid" });
        for (d, row) in rows.iter_mut().enumerate() {
            row.extend(bands.iter().map(|b| signed(b[d])));
        }
        head.extend(["5 %", "25 %", "median", "75 %", "95 %"]);
        layers.push(Layer::Line { values: bands[2].clone(), class: "l-median" });
        keys.extend([("b-wide", "90 % of the variants"), ("b-mid", "half of the variants"), ("l-median", "median")]);
    }
    layers.push(Layer::Line { values: champion, class: "l-champion" });
    layers.push(Layer::Line { values: own, class: "l-best" });
    let label = format!(
        "Profit and loss over {} days: the champion, the best variant {} and the spread of all",
        days.len(),
        best.member.label
    );
    let chart = Chart { label: &label, steps: &days, unit: "CNY", layers: &layers };
    let lead = format!(
        "Sum of daily profit and loss under pessimistic fills, fees taken off. Best variant: {}. Bands are quantiles over variants, day by day.",
        best.member.label
    );
    part("equity", "Equity", &lead, &(legend(&keys) + &chart.svg() + &table(&head, &rows)))
}

fn day_by_day(comparison: &Comparison, order: &[&Variant]) -> String {
    let judged = on_common_days(comparison, order);
    let days = day_names(comparison);
    let mut body = String::new();
    for v in judged.iter().take(if judged.len() <= 3 { 3 } else { 1 }) {
        let Some(paired) = v.against.get(BRACKET[0]) else { continue };
        let sums = cumulated(&paired.daily_cny);
        let rows: Vec<Vec<String>> = days
            .iter()
            .enumerate()
            .map(|(d, day)| vec![day.clone(), signed(paired.daily_cny[d]), signed(sums[d])])
            .collect();
        let label = format!(
            "{} less {} by day; won on {:.0} % of them",
            v.member.label,
            comparison.champion.label,
            100.0 * paired.share_won
        );
        let layers = [Layer::Bars { values: paired.daily_cny.clone() }];
        let chart = Chart { label: &label, steps: &days, unit: "CNY", layers: &layers };
        let _ = write!(
            body,
            "<h3>{}</h3>\n{}{}",
            escape(&label),
            chart.svg(),
            table(&["trading day", "difference", "sum"], &rows)
        );
    }
    let lead = "Difference of daily profit and loss to the champion under pessimistic fills.";
    part("days", "Day by day", lead, &body)
}

/// Each of the best variants under every fill model that all results have.
fn fill_models(order: &[&Variant]) -> String {
    let shown: Vec<&&Variant> = order.iter().take(FEW).collect();
    let ends = shown.iter().flat_map(|v| v.against.values());
    let (low, high) = span(ends.flat_map(|p| [Some(p.mean_cny), p.low_cny, p.high_cny]).flatten());
    let mut rows = String::new();
    for v in &shown {
        for (i, (model, p)) in models_in_order(v).into_iter().enumerate() {
            let ends = p.low_cny.zip(p.high_cny);
            let _ = writeln!(
                rows,
                "<tr><th scope=\"row\">{}</th><td class=\"text\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                if i == 0 { escape(&v.member.label) } else { String::new() },
                model.replace('_', " "),
                signed(p.mean_cny),
                ends.map_or_else(|| "–".to_owned(), |(a, b)| format!("{} to {}", signed(a), signed(b))),
                strip(p.mean_cny, ends, low, high),
                p.p_adjusted.map_or_else(|| "–".to_owned(), p_text),
            );
        }
    }
    let more = if order.len() > FEW { format!(" The best {FEW} of {} variants.", order.len()) } else { String::new() };
    let lead = format!(
        "Mean daily difference to the champion in CNY, under each fill model. A verdict that turns with the fill model is none.{more}"
    );
    let body = format!(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">variant</th><th scope=\"col\" class=\"text\">fills</th><th scope=\"col\">CNY a day</th>\
         <th scope=\"col\">interval</th><th scope=\"col\"></th><th scope=\"col\">adjusted p</th></tr></thead><tbody>\n{rows}</tbody></table></div>"
    );
    part("fills", "Fill models", &lead, &body)
}

fn models_in_order(v: &Variant) -> Vec<(&'static str, &crate::Paired)> {
    crate::FILL_MODELS.iter().filter_map(|m| v.against.get(m).map(|p| (*m, p))).collect()
}

/// How the variants' Sharpe ratios spread, and what luck alone would give the best of them.
fn luck(comparison: &Comparison) -> String {
    let family = &comparison.family;
    let mut body = format!("<p>{}</p>\n", escape(&family.sentence));
    let mut ratios: Vec<f64> =
        comparison.variants.iter().filter_map(|v| v.member.figures.get(BRACKET[0])?.sharpe).collect();
    ratios.sort_by(|a, b| b.total_cmp(a));
    if ratios.len() > 2 {
        let steps: Vec<String> = (1..=ratios.len()).map(|i| i.to_string()).collect();
        let mut layers = vec![Layer::Line { values: ratios.clone(), class: "l-one" }];
        let mut keys = vec![("l-one", "variants, the best first")];
        if let Some(luck) = family.expected_max_sharpe {
            layers.push(Layer::Line { values: vec![luck; ratios.len()], class: "l-luck" });
            keys.push(("l-luck", "the luckiest of all trials without skill, on average"));
        }
        let label = format!("Annual Sharpe ratio of {} variants by rank", ratios.len());
        let rows: Vec<Vec<String>> =
            steps.iter().zip(&ratios).map(|(s, r)| vec![s.clone(), opt(Some(*r), 2)]).collect();
        let chart = Chart { label: &label, steps: &steps, unit: "Sharpe", layers: &layers };
        body.push_str(&(legend(&keys) + &chart.svg() + &table(&["rank", "Sharpe"], &rows)));
    }
    let rows = [
        ("trials", family.trials.to_string(), "variants that were tried, as far as is known"),
        ("deflated Sharpe ratio", opt(family.dsr, 3), "probability that the best is better than the luckiest of them"),
        ("expected largest Sharpe", opt(family.expected_max_sharpe, 2), "of as many trials without skill"),
        (
            "probability of overfitting",
            opt(family.pbo, 3),
            "the best on half of the days is below the median on the others",
        ),
    ];
    body.push_str("<div class=\"scroll\"><table><tbody>");
    for (name, value, what) in rows {
        let _ = write!(body, "<tr><th scope=\"row\">{name}<small>{what}</small></th><td>{value}</td></tr>");
    }
    body.push_str("</tbody></table></div>");
    part("luck", "How much of the best is luck", "", &body)
}

fn costs(comparison: &Comparison, order: &[&Variant]) -> String {
    let shown: Vec<&Member> =
        std::iter::once(&comparison.champion).chain(order.iter().take(FEW).map(|v| &v.member)).collect();
    let mut rows = String::new();
    for member in &shown {
        let Some(f) = member.figures.get(BRACKET[0]) else { continue };
        let days = member.daily.get(BRACKET[0]).map_or(1, Vec::len).max(1) as f64;
        let gross = f.pnl_cny + f.fees_cny;
        let spread = |of: fn(&crate::Figures) -> f64| {
            let legs: Vec<String> = BRACKET[1..]
                .iter()
                .map(|m| member.figures.get(m).map_or_else(|| "–".to_owned(), |f| grouped(of(f))))
                .collect();
            legs.join(" / ")
        };
        let _ = writeln!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}<small>{}</small></td><td>{}</td><td>{}</td><td>{}<small>{}</small></td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&member.label),
            grouped(f.fees_cny),
            spread(|f| f.fees_cny),
            if gross > 0.0 { format!("{:.0} %", 100.0 * f.fees_cny / gross) } else { "–".to_owned() },
            grouped(f.turnover_cny / days),
            opt(Some(f.lots_a_day), 1),
            spread(|f| f.lots_a_day),
            grouped(f.max_lots_a_day),
            f.volume_share.map_or_else(|| "–".to_owned(), |s| format!("{:.3} %", 100.0 * s)),
            f.max_volume_share.map_or_else(|| "–".to_owned(), |s| format!("{:.3} %", 100.0 * s)),
        );
    }
    let body = format!(
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\"></th><th scope=\"col\">fees CNY</th><th scope=\"col\">of gross profit</th>\
         <th scope=\"col\">turnover a day CNY</th><th scope=\"col\">lots a day</th><th scope=\"col\">busiest day</th>\
         <th scope=\"col\">of traded volume</th><th scope=\"col\">at most</th></tr></thead><tbody>\n{rows}</tbody></table></div>"
    );
    let lead = "Under pessimistic fills, below it central / optimistic. A share of the traded volume says how far the result can be scaled: what it \
                would have moved is in no backtest.";
    part("costs", "Costs and capacity", lead, &body)
}

fn untested(comparison: &Comparison, context: &PageContext) -> String {
    let all: Vec<&String> = context.untested.iter().chain(&comparison.untested).collect();
    let mut body = String::new();
    for line in all.iter().take(60) {
        let _ = writeln!(body, "<li>{}</li>", escape(line));
    }
    if all.len() > 60 {
        let _ = writeln!(body, "<li>{} more of the kind</li>", all.len() - 60);
    }
    let body = if body.is_empty() {
        "<p class=\"soft\">✓ Every result was compared on every day, under every fill model of the bracket.</p>"
            .to_owned()
    } else {
        format!("<ul class=\"plain\">\n{body}</ul>")
    };
    part("untested", "What was not tested", "", &body)
}

fn repeat(comparison: &Comparison, context: &PageContext) -> String {
    let r = &comparison.resampling;
    let mut rows = String::new();
    let members = comparison.variants.iter().map(|v| &v.member);
    for member in std::iter::once(&comparison.champion).chain(members).take(FEW + 1) {
        let params: Vec<String> = member.params.iter().map(|(k, v)| format!("{k}={}", shown(v))).collect();
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td class=\"text mono\">{}</td><td class=\"text mono\">{}</td></tr>",
            escape(&member.label),
            escape(&member.id),
            escape(&params.join(" "))
        );
    }
    let body = format!(
        "{}<p class=\"soft\">{} resamples of the days by stationary block bootstrap, mean block {} days, seed {}. Intervals of the mean \
         come from the bootstrap's own variance, corrected for few days, on Student's t; p-values of many variants from the largest of them on \
         the same resampled days, step by step.</p>\n<details><summary>Results</summary><div class=\"scroll\"><table><thead><tr><th></th>\
         <th class=\"text\">result digest</th><th class=\"text\">parameters</th></tr></thead><tbody>{rows}</tbody></table></div></details>",
        command(&context.command),
        grouped(r.draws as f64),
        r.mean_block_days,
        r.seed
    );
    part("repeat", "Repeat it", "Equal results and options give equal bytes.", &body)
}
