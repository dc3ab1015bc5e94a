//! Charts as SVG: drawn once, readable without a script, coloured by the page's own names.

use crate::{escape, grouped, signed};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// One thing drawn over the steps of the horizontal axis.
#[derive(Debug, Clone)]
pub enum Layer {
    /// Between two series.
    Band {
        /// Its lower edge.
        low: Vec<f64>,
        /// Its upper edge.
        high: Vec<f64>,
        /// `b-wide` or `b-mid`.
        class: &'static str,
    },
    /// A series.
    Line {
        /// A value a step; one that is not finite is left out.
        values: Vec<f64>,
        /// `l-one`, `l-best`, `l-champion`, `l-median` or `l-luck`.
        class: &'static str,
    },
    /// Bars from 0.
    Bars {
        /// A value a step.
        values: Vec<f64>,
    },
    /// A point with its interval a step; none where there is no interval.
    Ranges {
        /// Value, and the ends of its interval.
        values: Vec<(f64, Option<(f64, f64)>)>,
    },
    /// Upright lines before some of the steps.
    Borders {
        /// Numbers of the steps.
        at: Vec<usize>,
    },
}

/// A chart over named steps.
#[derive(Debug, Clone, Copy)]
pub struct Chart<'a> {
    /// What is seen, in a sentence.
    pub label: &'a str,
    /// Names of the steps, such as days.
    pub steps: &'a [String],
    /// Unit of the vertical axis.
    pub unit: &'a str,
    /// What is drawn, in order.
    pub layers: &'a [Layer],
}

/// A number for an axis: grouped, with digits where steps are small.
fn tick(value: f64, step: f64) -> String {
    let sign = if value < 0.0 { "−" } else { "" };
    if step < 1.0 { format!("{sign}{:.2}", value.abs()) } else { format!("{sign}{}", grouped(value)) }
}

/// Round steps of 1, 2 or 5 times a power of ten that cut a range into at most `most` parts.
fn round_step(range: f64, most: f64) -> f64 {
    let mut step = 1e-6;
    loop {
        for factor in [1.0, 2.0, 5.0] {
            if range / (step * factor) <= most || step > 1e18 {
                return step * factor;
            }
        }
        step *= 10.0;
    }
}

struct Scale {
    low: f64,
    high: f64,
    steps: usize,
}

impl Scale {
    fn y(&self, value: f64) -> f64 {
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (value - self.low) / (self.high - self.low))
    }

    /// Middle of a step.
    fn x(&self, step: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (step as f64 + 0.5) / self.steps.max(1) as f64
    }

    fn step_width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.steps.max(1) as f64
    }
}

impl Chart<'_> {
    fn scale(&self) -> Scale {
        let (mut low, mut high) = (0.0f64, 0.0f64);
        let mut see = |v: f64| {
            if v.is_finite() {
                (low, high) = (low.min(v), high.max(v));
            }
        };
        for layer in self.layers {
            match layer {
                Layer::Band { low, high, .. } => low.iter().chain(high).for_each(|v| see(*v)),
                Layer::Line { values, .. } | Layer::Bars { values } => values.iter().for_each(|v| see(*v)),
                Layer::Ranges { values } => values.iter().for_each(|(v, ends)| {
                    see(*v);
                    if let Some((low, high)) = ends {
                        see(*low);
                        see(*high);
                    }
                }),
                Layer::Borders { .. } => {}
            }
        }
        let air = (high - low).max(1e-3) * 0.06;
        Scale { low: low - if low < 0.0 { air } else { 0.0 }, high: high + air, steps: self.steps.len() }
    }

    /// The chart as SVG.
    pub fn svg(&self) -> String {
        let scale = self.scale();
        let mut out = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(self.label)
        );
        self.axes(&scale, &mut out);
        for layer in self.layers {
            draw(layer, &scale, self.steps, &mut out);
        }
        out.push_str("</svg>\n");
        out
    }

    fn axes(&self, scale: &Scale, out: &mut String) {
        let step = round_step(scale.high - scale.low, 6.0);
        let mut value = (scale.low / step).ceil() * step;
        while value <= scale.high {
            let (y, class) = (scale.y(value), if value.abs() < step * 1e-6 { "zero" } else { "grid" });
            let _ = write!(
                out,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"ytick\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 8.0,
                y + 4.0,
                tick(value, step)
            );
            value += step;
        }
        let _ = writeln!(out, "<text class=\"unit\" x=\"2\" y=\"{:.1}\">{}</text>", HEIGHT - 8.0, escape(self.unit));
        let longest = self.steps.iter().map(|s| s.chars().count()).max().unwrap_or(1);
        let room = ((WIDTH - LEFT - RIGHT) / (7.0 * longest as f64 + 14.0)).max(1.0);
        let every = (self.steps.len() as f64 / room).ceil().max(1.0) as usize;
        for (i, name) in self.steps.iter().enumerate().step_by(every) {
            let (x, y) = (scale.x(i), HEIGHT - 9.0);
            let _ = write!(out, "<text class=\"xtick\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escape(name));
        }
        out.push('\n');
    }
}

fn points(values: &[f64], scale: &Scale) -> String {
    let mut out = String::new();
    for (i, v) in values.iter().enumerate().filter(|(_, v)| v.is_finite()) {
        let _ = write!(out, "{:.1},{:.1} ", scale.x(i), scale.y(*v));
    }
    out
}

fn draw(layer: &Layer, scale: &Scale, steps: &[String], out: &mut String) {
    match layer {
        Layer::Band { low, high, class } => {
            let back: Vec<String> = points(low, scale).split_whitespace().rev().map(str::to_owned).collect();
            let _ = writeln!(out, "<polygon class=\"{class}\" points=\"{}{}\"/>", points(high, scale), back.join(" "));
        }
        Layer::Line { values, class } => {
            let _ = writeln!(out, "<polyline class=\"{class}\" points=\"{}\"/>", points(values, scale));
        }
        Layer::Bars { values } => {
            let width = (scale.step_width() * 0.8).clamp(0.8, 40.0);
            for (i, v) in values.iter().enumerate() {
                let (y, zero) = (scale.y(*v), scale.y(0.0));
                let class = if *v > 0.0 { "bar-up" } else { "bar-down" };
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"><title>{}: {}</title></rect>",
                    scale.x(i) - width / 2.0,
                    y.min(zero),
                    (y - zero).abs().max(0.5),
                    escape(steps.get(i).map_or("", String::as_str)),
                    signed(*v)
                );
            }
            out.push('\n');
        }
        Layer::Ranges { values } => {
            for (i, (v, ends)) in values.iter().enumerate() {
                let x = scale.x(i);
                if let Some((low, high)) = ends {
                    let _ = write!(
                        out,
                        "<line class=\"whisker\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>",
                        scale.y(*low),
                        scale.y(*high)
                    );
                }
                let _ = write!(
                    out,
                    "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{:.1}\" r=\"3.5\"><title>{}: {}</title></circle>",
                    scale.y(*v),
                    escape(steps.get(i).map_or("", String::as_str)),
                    signed(*v)
                );
            }
            out.push('\n');
        }
        Layer::Borders { at } => {
            for step in at {
                let x = scale.x(*step) - scale.step_width() / 2.0;
                let _ = write!(
                    out,
                    "<line class=\"border\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>",
                    HEIGHT - BOTTOM
                );
            }
            out.push('\n');
        }
    }
}

/// A square of a heat map; an empty class leaves its place free.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    /// `h-full`, `h-warn`, `h-bad` or `h-none`.
    pub class: &'static str,
    /// What it stands for, shown on pointing at it.
    pub title: String,
}

/// Named rows of squares over named steps, such as symbols over days.
pub fn heat_map(label: &str, steps: &[String], rows: &[(String, Vec<Cell>)]) -> String {
    const NAME: f64 = 130.0;
    const ROW: f64 = 16.0;
    let width = ((WIDTH - NAME) / steps.len().max(1) as f64).min(ROW);
    let height = ROW * rows.len() as f64 + BOTTOM;
    let mut out = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{}\">\n",
        escape(label)
    );
    for (line, (name, cells)) in rows.iter().enumerate() {
        let y = ROW * line as f64;
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            NAME - 6.0,
            y + 11.5,
            escape(name)
        );
        for (step, cell) in cells.iter().enumerate().filter(|(_, cell)| !cell.class.is_empty()) {
            let _ = write!(
                out,
                "<rect class=\"{}\" x=\"{:.2}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{:.1}\"><title>{}</title></rect>",
                cell.class,
                NAME + width * step as f64,
                y + 1.0,
                (width - 0.6).max(0.4),
                ROW - 2.0,
                escape(&cell.title)
            );
        }
        out.push('\n');
    }
    let ends = [(0, "start"), (steps.len().saturating_sub(1), "end")];
    for (step, anchor) in ends.into_iter().filter(|(step, _)| *step < steps.len()) {
        let x = NAME + width * (step as f64 + if anchor == "end" { 1.0 } else { 0.0 });
        let _ = write!(
            out,
            "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
            ROW * rows.len() as f64 + 16.0,
            escape(&steps[step])
        );
    }
    out.push_str("</svg>\n");
    out
}

/// What the colours mean: (class of the swatch, words).
pub fn legend(entries: &[(&str, &str)]) -> String {
    let mut out = String::from("<div class=\"key\">");
    for (class, words) in entries {
        let _ = write!(out, "<span><i class=\"{class}\"></i>{}</span>", escape(words));
    }
    out.push_str("</div>\n");
    out
}

/// A chart's figures as a table, folded away; thinned to about sixty rows.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let every = rows.len().div_ceil(60).max(1);
    let mut body = String::new();
    for row in rows.iter().enumerate().filter(|(i, _)| i % every == 0 || i + 1 == rows.len()).map(|(_, r)| r) {
        body.push_str("<tr>");
        row.iter().for_each(|cell| {
            let _ = write!(body, "<td>{}</td>", escape(cell));
        });
        body.push_str("</tr>");
    }
    let head: String = head.iter().map(|h| format!("<th scope=\"col\">{}</th>", escape(h))).collect();
    format!(
        "<details><summary>As a table</summary><div class=\"scroll\"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>\n"
    )
}

/// A difference with its interval on a scale that all rows share, as a strip.
pub fn strip(mean: f64, ends: Option<(f64, f64)>, low: f64, high: f64) -> String {
    let at = |v: f64| (100.0 * (v - low) / (high - low)).clamp(0.0, 100.0);
    let span = ends.map_or(String::new(), |(a, b)| {
        format!("<i class=\"span\" style=\"left:{:.1}%;width:{:.1}%\"></i>", at(a), (at(b) - at(a)).max(0.5))
    });
    format!(
        "<span class=\"strip\" aria-hidden=\"true\">{span}<i class=\"zero\" style=\"left:{:.1}%\"></i>\
         <i class=\"mid\" style=\"left:{:.1}%\"></i></span>",
        at(0.0),
        at(mean)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_steps() {
        for (range, step) in [(9.0, 2.0), (100.0, 20.0), (0.3, 0.05), (12_345.0, 5_000.0)] {
            assert!((round_step(range, 6.0) / step - 1.0).abs() < 1e-9, "{range}: {}", round_step(range, 6.0));
        }
    }

    #[test]
    fn a_heat_map_leaves_free_what_is_not_expected() {
        let cell = |class| Cell { class, title: "a < b".to_owned() };
        let rows = [("cu".to_owned(), vec![cell("h-full"), Cell::default(), cell("h-none")])];
        let steps = ["1", "2", "3"].map(str::to_owned);
        let svg = heat_map("x", &steps, &rows);
        assert_eq!((svg.matches("<rect").count(), svg.matches("a &lt; b").count()), (2, 2), "{svg}");
        assert!(heat_map("x", &[], &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn a_chart_of_nothing_is_still_one() {
        let chart = Chart { label: "a \"b\"", steps: &[], unit: "CNY", layers: &[Layer::Bars { values: vec![] }] };
        let svg = chart.svg();
        assert!(svg.contains("a &quot;b&quot;") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
    }
}
