//! Lineups, reports and operations as a person reads them.

use crate::output::{grouped, table};
use ghtrader_trading::protocol::{
    LineupRecord, LineupView, OperationView, Plan, ResolvedLineup, ShadowReport, VarietyView,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write as _;

/// A document as the type that this program knows, or as it came: a newer server may say more.
fn typed<T: DeserializeOwned>(value: &Value, text: impl FnOnce(&T) -> String) -> String {
    match T::deserialize(value) {
        Ok(known) => text(&known),
        Err(_) => serde_json::to_string_pretty(value).unwrap_or_default(),
    }
}

fn short(digest: &impl ToString) -> String {
    digest.to_string()[..12].to_owned()
}

fn number(value: f64) -> String {
    let whole = grouped(value.trunc() as i64);
    let sign = if value < 0.0 && value > -1.0 { "-" } else { "" };
    format!("{sign}{whole}.{:02}", ((value.abs().fract()) * 100.0).round().min(99.0) as u32)
}

/// `role/name@version  digest  parameters`, a line each.
fn parts(lineup: &ResolvedLineup) -> String {
    let mut rows = Vec::new();
    for plugin in lineup.features.iter().chain([&lineup.strategy]) {
        let params: Vec<String> = plugin.params.iter().map(|(k, v)| format!("{k} = {v}")).collect();
        rows.push(vec![format!("  {}", plugin.identity), short(&plugin.digest), params.join(", ")]);
    }
    if let Some(model) = &lineup.model {
        rows.push(vec!["  model".to_owned(), short(&model.digest), String::new()]);
    }
    table(&[&format!("  {}", lineup.name), "digest", "parameters"], &rows)
}

pub(super) fn plan(value: &Value) -> String {
    typed(value, |plan: &Plan| {
        let hash = plan.plan_hash.to_string();
        let mut out = format!(
            "plan {hash}\n{}/{}, against generation {}\n\n{}\n",
            plan.account,
            plan.variety,
            plan.base_generation,
            parts(&plan.resolved)
        );
        if plan.diff.is_empty() {
            out.push_str("\nchanges nothing\n");
        } else {
            out.push_str("\nchanges\n");
            plan.diff.iter().for_each(|line| out.push_str(&format!("  {line}\n")));
        }
        let capacity: Vec<Vec<String>> = plan
            .capacity
            .iter()
            .map(|c| {
                let fits = if c.fits { "fits" } else { "DOES NOT FIT" };
                vec![format!("  {}", c.name), grouped(c.wanted as i64), grouped(c.bound as i64), fits.to_owned()]
            })
            .collect();
        if !capacity.is_empty() {
            let _ = write!(out, "\n{}\n", table(&["  needs", "wanted", "there is", ""], &capacity));
        }
        let mut flags = String::new();
        if !plan.breaking.is_empty() {
            let _ = write!(out, "\nbreaking: {}\n", plan.breaking.join(", "));
            flags = format!(" --acknowledge {}", plan.breaking.join(","));
        }
        let _ = write!(out, "\nnext: ghtrader lineup apply {} --mode shadow{flags}", &hash[..8]);
        out
    })
}

pub(super) fn varieties(values: &[Value]) -> String {
    if values.is_empty() {
        return "no variety runs".to_owned();
    }
    values.iter().map(|v| typed(v, variety)).collect::<Vec<_>>().join("\n\n")
}

fn variety(v: &VarietyView) -> String {
    let age = v.tick_age_ms.map_or("none yet".to_owned(), |ms| format!("{:.1} s ago", ms as f64 / 1000.0));
    let operation = v.operation.as_ref().map_or(String::new(), |id| format!("  operation {id}"));
    let mut out = format!(
        "{}/{}  {}  generation {}{operation}\n{}, {} ticks, the last {age}; position {:+} lots, {} orders working, equity {} CNY\n",
        v.account,
        v.variety,
        v.state,
        v.generation,
        v.contract,
        grouped(v.ticks as i64),
        v.position_lots,
        v.working_orders,
        number(v.equity_cny),
    );
    let seat = |name: &str, view: &Option<LineupView>| match view {
        None => vec![name.to_owned(), "–".to_owned()],
        Some(l) => vec![
            name.to_owned(),
            format!("{} {}", l.name, short(&l.id)),
            l.generation.map_or("–".to_owned(), |g| g.to_string()),
            grouped(l.ticks as i64),
            l.faults.to_string(),
            l.fills.to_string(),
            format!("{:+}", l.position_lots),
            number(l.pnl_cny),
            l.memory_bytes.div_ceil(1 << 20).to_string(),
        ],
    };
    let rows = [seat("active", &v.active), seat("standby", &v.standby), seat("shadow", &v.shadow)];
    let head = ["seat", "lineup", "gen", "ticks", "faults", "fills", "lots", "pnl CNY", "MiB"];
    out.push_str(&table(&head, &rows));
    out
}

pub(super) fn shadow(value: &Value) -> String {
    typed(value, |r: &ShadowReport| {
        let share = r.equal_share.map_or("–".to_owned(), |s| format!("{:.4} %", s * 100.0));
        let mut out = format!(
            "shadow {}: {} ticks in {} sessions, {share} equal to the bit, {} targets differ\n",
            short(&r.lineup_id),
            grouped(r.ticks as i64),
            r.sessions,
            grouped(r.target_disagreements as i64),
        );
        if let Some((seq, what)) = &r.first_difference {
            let _ = writeln!(out, "first difference at tick {seq}: {what}");
        }
        let us = |ns: u64| format!("{:.1}", ns as f64 / 1000.0);
        let rows: Vec<Vec<String>> = ["shadow", "active"]
            .iter()
            .zip(r.latency_ns)
            .zip(r.pnl_cny)
            .map(|((name, l), pnl)| vec![(*name).to_owned(), us(l.p50), us(l.p99), us(l.max), number(pnl)])
            .collect();
        let _ = write!(out, "\n{}\n", table(&["", "p50 µs", "p99 µs", "max µs", "pnl CNY"], &rows));
        let differ: Vec<Vec<String>> = r
            .outputs
            .iter()
            .filter(|o| o.different_ticks > 0 || !o.shared)
            .map(|o| {
                let ticks = if o.shared { grouped(o.different_ticks as i64) } else { "one has it".to_owned() };
                vec![o.name.clone(), ticks, format!("{:e}", o.max_abs_difference)]
            })
            .collect();
        if !differ.is_empty() {
            let _ = write!(out, "\n{}\n", table(&["output", "ticks that differ", "largest"], &differ));
        }
        for (code, count) in &r.faults {
            let _ = writeln!(out, "fault {code}: {count}");
        }
        let gate: Vec<Vec<String>> = r
            .gate
            .iter()
            .map(|g| {
                let holds = if g.holds { "holds" } else { "does not hold" };
                vec![g.name.clone(), g.value.to_string(), g.bound.to_string(), holds.to_owned()]
            })
            .collect();
        let _ = write!(
            out,
            "\n{}\n\nthe gate is {}",
            table(&["condition", "is", "wanted", ""], &gate),
            if r.gate_open { "open" } else { "closed" }
        );
        out
    })
}

pub(super) fn history(values: &[Value]) -> String {
    let rows: Vec<Vec<String>> = values
        .iter()
        .filter_map(|v| <LineupRecord as serde::Deserialize>::deserialize(v).ok())
        .map(|r| {
            let strategy = format!("{} {}", r.lineup.strategy.identity, short(&r.lineup.strategy.digest));
            vec![r.generation.to_string(), time(r.since_ns), r.lineup.name.clone(), short(&r.id), strategy, r.operation]
        })
        .collect();
    table(&["gen", "since (UTC)", "lineup", "id", "strategy", "operation"], &rows)
}

pub(super) fn operations(values: &[Value]) -> String {
    let rows: Vec<Vec<String>> = values
        .iter()
        .filter_map(|v| <OperationView as serde::Deserialize>::deserialize(v).ok())
        .map(|o| {
            let began = o.trace.first().map_or(String::new(), |s| time(s.at_ns));
            let made = o.generation.map_or("–".to_owned(), |g| g.to_string());
            let why = o.error.map_or(String::new(), |e| e.code);
            vec![o.id, began, format!("{}/{}", o.account, o.variety), o.kind, o.state, made, o.actor, why]
        })
        .collect();
    table(&["operation", "began (UTC)", "variety", "kind", "state", "gen", "by", "error"], &rows)
}

pub(super) fn operation(o: &OperationView) -> String {
    let made = o.generation.map_or(String::new(), |g| format!(", generation {g}"));
    let mut out = format!("{}  {} of {}/{}: {}{made}", o.id, o.kind, o.account, o.variety, o.state);
    for (name, value) in &o.evidence {
        let _ = write!(out, "\n  {name}: {value}");
    }
    if let Some(e) = &o.error {
        let _ = write!(out, "\nerror[{}]: {}\nhelp: {}", e.code, e.what, e.remedy);
    }
    out
}

/// `2025-07-01 09:30:00` of a wall clock, UTC.
pub(crate) fn time(at_ns: i64) -> String {
    const DAY_S: i64 = 86_400;
    let s = at_ns.div_euclid(1_000_000_000);
    let day = ghtrader_core::TradingDay::from_days(s.div_euclid(DAY_S) as i32);
    let s = s.rem_euclid(DAY_S);
    format!("{day} {:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_grouped_and_keep_their_sign() {
        for (value, text) in [(1_234_567.891, "1,234,567.89"), (-0.5, "-0.50"), (-12.25, "-12.25"), (0.999, "0.99")] {
            assert_eq!(number(value), text);
        }
        assert_eq!(time(1_751_362_200_000_000_000), "2025-07-01 09:30:00");
    }

    #[test]
    fn what_a_newer_server_says_is_shown_as_it_came() {
        assert_eq!(plan(&json!({"x": 1})), "{\n  \"x\": 1\n}");
    }
}
