//! What a parameter does to the result: one axis as points, two as a heat map, more as the two that explain most.

use crate::comparison::{Comparison, Variant};
use crate::outcome::{BRACKET, shown};
use ghtrader_page::chart::{Chart, Layer, table};
use ghtrader_page::{escape, grouped, signed};
use ghtrader_stats::mean;
use serde_json::Value;
use std::fmt::Write as _;

/// Values of an axis that are told apart; more are put together.
const MOST_VALUES: usize = 24;

/// One parameter over the variants: the names of its groups, and the group of each variant.
struct Axis {
    key: String,
    groups: Vec<String>,
    of: Vec<usize>,
}

fn axis(key: &str, variants: &[&Variant]) -> Axis {
    let value = |v: &Variant| v.member.params.get(key).cloned().unwrap_or(Value::Null);
    let mut distinct: Vec<Value> = Vec::new();
    for v in variants {
        let own = value(v);
        if !distinct.contains(&own) {
            distinct.push(own);
        }
    }
    let numeric = distinct.iter().all(Value::is_number);
    let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
    if numeric {
        distinct.sort_by(|a, b| number(a).total_cmp(&number(b)));
    } else {
        distinct.sort_by_key(shown);
    }
    // Neighbouring values share a group where there are too many for the eye.
    let each = distinct.len().div_ceil(MOST_VALUES).max(1);
    let groups = distinct
        .chunks(each)
        .map(|group| match group {
            [one] => shown(one),
            [first, .., last] => format!("{} … {}", shown(first), shown(last)),
            [] => String::new(),
        })
        .collect();
    let of = variants.iter().map(|v| distinct.iter().position(|d| *d == value(v)).unwrap_or(0) / each).collect();
    Axis { key: key.to_owned(), groups, of }
}

/// Share of the variance between variants that their cells explain, less what as many cells explain by chance; 0 at least.
fn explained(values: &[f64], cells: &[usize], count: usize) -> f64 {
    let all = mean(values);
    let total: f64 = values.iter().map(|v| (v - all) * (v - all)).sum();
    let mut sums = vec![(0.0, 0usize); count];
    for (v, cell) in values.iter().zip(cells) {
        sums[*cell].0 += v;
        sums[*cell].1 += 1;
    }
    let used = sums.iter().filter(|s| s.1 > 0).count();
    let between: f64 = sums.iter().filter(|s| s.1 > 0).map(|(s, n)| (s / *n as f64 - all).powi(2) * *n as f64).sum();
    if total <= 0.0 || values.len() <= used {
        return if total > 0.0 && values.len() == used && used > 1 { between / total } else { 0.0 };
    }
    let (n, k) = (values.len() as f64, used as f64);
    (1.0 - (1.0 - between / total) * (n - 1.0) / (n - k)).max(0.0)
}

fn low(v: &Variant) -> f64 {
    v.against.get(BRACKET[0]).map_or(0.0, |p| p.mean_cny)
}

/// The part of the page on parameters; empty where none varies.
pub(super) fn body(comparison: &Comparison) -> String {
    let variants: Vec<&Variant> = comparison.variants.iter().collect();
    let axes: Vec<Axis> =
        comparison.varied.iter().map(|key| axis(key, &variants)).filter(|a| a.groups.len() > 1).collect();
    if axes.is_empty() || variants.len() < 2 {
        return String::new();
    }
    let values: Vec<f64> = variants.iter().map(|v| low(v)).collect();
    let mut body = match &axes[..] {
        [one] => along(one, &variants),
        [a, b] => map(a, b, &variants, false),
        more => {
            let (mut best, mut most) = ((0, 1), -1.0);
            for i in 0..more.len() {
                for j in i + 1..more.len() {
                    let width = more[j].groups.len();
                    let cells: Vec<usize> = more[i].of.iter().zip(&more[j].of).map(|(a, b)| a * width + b).collect();
                    let share = explained(&values, &cells, more[i].groups.len() * width);
                    if share > most {
                        (best, most) = ((i, j), share);
                    }
                }
            }
            let lead = format!(
                "<p class=\"soft\">{} parameters vary. Of all pairs, {} and {} explain most of what differs between variants ({:.0} %); \
                 a cell is the mean over the others.</p>\n",
                more.len(),
                escape(&more[best.0].key),
                escape(&more[best.1].key),
                100.0 * most.max(0.0)
            );
            lead + &map(&more[best.0], &more[best.1], &variants, true)
        }
    };
    body.push_str(&sensitivity(&axes, &variants, &values));
    body
}

fn along(axis: &Axis, variants: &[&Variant]) -> String {
    let single = axis.groups.len() == variants.len();
    let points: Vec<(f64, Option<(f64, f64)>)> = (0..axis.groups.len())
        .map(|group| {
            let members: Vec<&&Variant> =
                variants.iter().zip(&axis.of).filter(|(_, g)| **g == group).map(|(v, _)| v).collect();
            let ends = match &members[..] {
                [one] if single => one.against.get(BRACKET[0]).and_then(|p| p.low_cny.zip(p.high_cny)),
                _ => None,
            };
            (mean(&members.iter().map(|v| low(v)).collect::<Vec<_>>()), ends)
        })
        .collect();
    let label = format!("Mean daily difference to the champion by {}", axis.key);
    let rows: Vec<Vec<String>> = axis
        .groups
        .iter()
        .zip(&points)
        .map(|(name, (v, ends))| {
            let text = ends.map_or_else(|| "–".to_owned(), |(a, b)| format!("{} to {}", signed(a), signed(b)));
            vec![name.clone(), signed(*v), text]
        })
        .collect();
    let chart =
        Chart { label: &label, steps: &axis.groups, unit: "CNY/day", layers: &[Layer::Ranges { values: points }] };
    format!(
        "<p class=\"small soft\">By {}: mean daily difference to the champion under pessimistic fills, with its interval.</p>\n{}{}",
        escape(&axis.key),
        chart.svg(),
        table(&[&axis.key, "CNY a day", "interval"], &rows)
    )
}

fn map(rows: &Axis, columns: &Axis, variants: &[&Variant], averaged: bool) -> String {
    let width = columns.groups.len();
    let mut cells: Vec<Vec<&Variant>> = vec![Vec::new(); rows.groups.len() * width];
    for (i, v) in variants.iter().enumerate() {
        cells[rows.of[i] * width + columns.of[i]].push(v);
    }
    let of = |cell: &[&Variant], model: &str| {
        let values: Vec<f64> = cell.iter().filter_map(|v| v.against.get(model).map(|p| p.mean_cny)).collect();
        (!values.is_empty()).then(|| mean(&values))
    };
    let most = cells.iter().filter_map(|c| of(c, BRACKET[0])).fold(0.0f64, |m, v| m.max(v.abs())).max(1e-9);
    let mut html = format!(
        "<p class=\"small soft\">Rows: {}, columns: {}. Mean daily difference to the champion in CNY under pessimistic fills; \
         below it central and optimistic.{}</p>\n<div class=\"scroll\"><table class=\"heat\"><thead><tr><th></th>",
        escape(&rows.key),
        escape(&columns.key),
        if averaged { " n = variants in the cell." } else { "" }
    );
    for name in &columns.groups {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(name));
    }
    html.push_str("</tr></thead><tbody>\n");
    for (r, name) in rows.groups.iter().enumerate() {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape(name));
        for cell in &cells[r * width..(r + 1) * width] {
            let Some(value) = of(cell, BRACKET[0]) else {
                html.push_str("<td class=\"none\">–</td>");
                continue;
            };
            let tone = if value > 0.0 { "up" } else { "down" };
            let better = cell.iter().any(|v| v.verdict == crate::Verdict::Better);
            let bracket: Vec<String> =
                BRACKET[1..].iter().map(|m| of(cell, m).map_or_else(|| "–".to_owned(), signed)).collect();
            let count = if averaged { format!(" n {}", cell.len()) } else { String::new() };
            let _ = write!(
                html,
                "<td style=\"background:color-mix(in srgb,var(--{tone}) {:.0}%,var(--card))\">{}{}<small>{}{count}</small></td>",
                45.0 * value.abs() / most,
                signed(value),
                if better { " ✓" } else { "" },
                bracket.join(" / ")
            );
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n<p class=\"small soft\">✓ = a variant in the cell is better than the champion beyond noise.</p>\n");
    html
}

/// How much each parameter alone explains, and its best value.
fn sensitivity(axes: &[Axis], variants: &[&Variant], values: &[f64]) -> String {
    let mut rows = String::new();
    for axis in axes {
        let share = explained(values, &axis.of, axis.groups.len());
        let mut best = (f64::NEG_INFINITY, 0);
        for group in 0..axis.groups.len() {
            let own: Vec<f64> = values.iter().zip(&axis.of).filter(|(_, g)| **g == group).map(|(v, _)| *v).collect();
            if !own.is_empty() && mean(&own) > best.0 {
                best = (mean(&own), group);
            }
        }
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.0} %</td><td>{}</td><td>{}</td></tr>",
            escape(&axis.key),
            axis.groups.len(),
            100.0 * share,
            escape(&axis.groups[best.1]),
            signed(best.0)
        );
    }
    format!(
        "<details{}><summary>What each parameter explains, over {} variants</summary><div class=\"scroll\"><table><thead><tr>\
         <th scope=\"col\">parameter</th><th scope=\"col\">values</th><th scope=\"col\">explains</th>\
         <th scope=\"col\">best on average</th><th scope=\"col\">CNY a day there</th></tr></thead><tbody>{rows}</tbody></table></div></details>\n",
        if axes.len() > 1 { " open" } else { "" },
        grouped(variants.len() as f64)
    )
}

#[cfg(test)]
mod tests {
    use super::explained;

    #[test]
    fn what_groups_explain_is_net_of_chance() {
        assert!((explained(&[1.0, 1.0, 5.0, 5.0], &[0, 0, 1, 1], 2) - 1.0).abs() < 1e-12);
        assert_eq!(explained(&[1.0, 5.0, 1.0, 5.0], &[0, 0, 1, 1], 2), 0.0);
        assert_eq!(explained(&[2.0, 2.0], &[0, 1], 2), 0.0);
    }
}
