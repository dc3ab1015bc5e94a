//! `ghtrader compare`: results against a champion, a batch as a family, the first row where two versions part.

use crate::args::Compare;
use crate::commands::backtest::{read_document, read_report, repeat};
use crate::context::{Context, io_problem, publish};
use crate::output::{emit, grouped, table};
use ghtrader_backtest::{Divergence, first_difference};
use ghtrader_batch::{Kind, Manifest, Results};
use ghtrader_compare::{
    BRACKET, Champion, Comparison, Options, Outcome, PageContext, Resampling, Variant, batch_page, compare, join_parts,
};
use ghtrader_core::{Digest, ErrorClass, Problem};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub(crate) fn run(context: &Context, command: &Compare) -> Result<ExitCode, Problem> {
    if command.first_difference {
        return part(context, &command.results);
    }
    let (outcomes, untested) = match &command.batch {
        Some(dir) => of_batch(dir, command.manifest.as_deref())?,
        None => (command.results.iter().map(|p| read(p)).collect::<Result<Vec<_>, _>>()?, Vec::new()),
    };
    let options = Options {
        champion: champion(command)?,
        resampling: Resampling {
            draws: command.draws,
            mean_block_days: command.block,
            seed: command.seed,
            level: command.level,
            ..Resampling::default()
        },
        trials: command.trials,
        allow_different: command.allow_different,
    };
    let mut comparison = compare(outcomes, &options)?;
    if let Some(file) = &command.html {
        let page = PageContext {
            title: title(command, &comparison),
            command: shown(command, file),
            up: "red".to_owned(),
            untested: untested.clone(),
        };
        publish(file, batch_page(&comparison, &page).as_bytes())?;
    }
    comparison.untested.splice(0..0, untested);
    emit(context.json, &comparison, |c| {
        let page = command.html.as_ref().map_or_else(String::new, |f| format!("\npage {}", f.display()));
        format!("{}{page}", text(c))
    })?;
    Ok(ExitCode::SUCCESS)
}

fn champion(command: &Compare) -> Result<Champion, Problem> {
    Ok(match command.champion.as_deref() {
        Some("flat") => Champion::Flat,
        Some(named) if Path::new(named).join("report.json").is_file() => {
            Champion::Outside(Box::new(read(Path::new(named))?))
        }
        Some(named) => Champion::Named(named.to_owned()),
        None if command.batch.is_some() => Champion::Flat,
        None => Champion::First,
    })
}

/// A result folder, or a result's file; a batch's file has to be whole under the id that is its name.
fn read(path: &Path) -> Result<Outcome, Problem> {
    let report = if path.is_dir() {
        read_report(path)?
    } else if let Some((results, id)) = sealed(path) {
        results?.read(Kind::Result, &id)?.ok_or_else(|| {
            Problem::new(
                "result_damaged",
                ErrorClass::User,
                format!("{} is not what the batch wrote under this id", path.display()),
                "remove it and run `ghtrader batch run` again",
            )
        })?
    } else {
        read_document(path)?
    };
    Ok(Outcome::read(&path.display().to_string(), &report)?)
}

/// The results folder and the id of `DIR/results/<id>.json`.
fn sealed(path: &Path) -> Option<(Result<Results, Problem>, Digest)> {
    let id = path.file_stem()?.to_str()?.parse().ok()?;
    let folder =
        path.parent().filter(|p| p.file_name().is_some_and(|n| n == Kind::Result.folder()) && path.is_file())?;
    Some((Results::open(folder.parent()?), id))
}

/// The results of a batch by the order of their ids, and what of it has none.
///
/// Which jobs are its own says its manifest, the one given or the one in its folder; without either all results count.
pub(crate) fn of_batch(dir: &Path, manifest: Option<&Path>) -> Result<(Vec<Outcome>, Vec<String>), Problem> {
    let own = dir.join("manifest");
    let manifest = manifest.or_else(|| own.is_file().then_some(own.as_path()));
    let ids: Option<BTreeSet<String>> = match manifest {
        Some(file) => Some(Manifest::open(file)?.ids().iter().map(ToString::to_string).collect()),
        None => None,
    };
    let of_this = |path: &PathBuf| {
        let id = path.file_stem().and_then(|stem| stem.to_str());
        ids.as_ref().is_none_or(|ids| id.is_some_and(|id| ids.contains(id)))
    };
    let documents = |folder: &str| -> Result<Vec<PathBuf>, Problem> {
        Ok(documents(&dir.join(folder))?.into_iter().filter(of_this).collect())
    };
    let results = documents("results")?;
    if results.is_empty() {
        return Err(Problem::new(
            "no_results",
            ErrorClass::User,
            format!("{} holds no results", dir.join("results").display()),
            "name the --out folder of `ghtrader batch run`",
        ));
    }
    let outcomes = results.iter().map(|p| read(p)).collect::<Result<Vec<_>, _>>()?;
    let mut untested = Vec::new();
    let mut settled = results.len();
    for (folder, what) in
        [("failed", "jobs failed and have no result"), ("poison", "jobs ended their process and were set aside")]
    {
        let count = documents(folder)?.len();
        settled += count;
        if count > 0 {
            untested.push(format!("{count} {what}: see {folder}/"));
        }
    }
    if let Some(missing) = ids.as_ref().map(|ids| ids.len().saturating_sub(settled)).filter(|missing| *missing > 0) {
        let all = settled + missing;
        untested.push(format!("{missing} of {all} jobs have not been run: `ghtrader batch run` goes on with them"));
    }
    Ok((join_parts(outcomes), untested))
}

/// The JSON files of a folder by name; none if it is not there.
fn documents(dir: &Path) -> Result<Vec<PathBuf>, Problem> {
    let failed = |e: &std::io::Error| io_problem("file_unreadable", &format!("cannot read {}", dir.display()), e);
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(&e)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| failed(&e))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn title(command: &Compare, comparison: &Comparison) -> String {
    match (&command.batch, &comparison.variants[..]) {
        (Some(dir), _) => {
            let name = dir.file_name().map_or_else(|| dir.display().to_string(), |n| n.to_string_lossy().into_owned());
            format!("Batch {name}")
        }
        (None, [one]) => format!("{} against {}", one.member.label, comparison.champion.label),
        (None, _) => format!("{} results against {}", comparison.variants.len(), comparison.champion.label),
    }
}

/// The command that makes the page again.
fn shown(command: &Compare, file: &Path) -> String {
    let mut words = vec!["ghtrader compare".to_owned()];
    words.extend(command.results.iter().map(|p| p.display().to_string()));
    words.extend(command.batch.iter().map(|d| format!("--batch {}", d.display())));
    words.extend(command.champion.iter().map(|c| format!("--champion '{c}'")));
    if command.allow_different {
        words.push("--allow-different".to_owned());
    }
    words.extend(command.trials.iter().map(|t| format!("--trials {t}")));
    words.push(format!(
        "--seed {} --draws {} --block {} --level {}",
        command.seed, command.draws, command.block, command.level
    ));
    words.push(format!("--html {}", file.display()));
    words.join(" ")
}

fn cny(value: f64) -> String {
    let whole = value.round() as i64;
    if whole > 0 { format!("+{}", grouped(whole)) } else { grouped(whole) }
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}"))
}

/// Rows that a terminal shows; the page and `--json` have all.
const ROWS: usize = 20;

fn text(c: &Comparison) -> String {
    let mut out = format!(
        "{}\n\n{}\n\n{} common trading days, {} to {}; {} resamples, mean block {}, seed {}\n\n",
        c.sentence,
        c.family.sentence,
        c.days.count,
        c.days.first,
        c.days.last,
        c.resampling.draws,
        c.resampling.mean_block_days,
        c.resampling.seed
    );
    let mut order: Vec<&Variant> = c.variants.iter().collect();
    let mean = |v: &Variant| v.against.get(BRACKET[0]).map_or(f64::NEG_INFINITY, |p| p.mean_cny);
    order.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    let rows: Vec<Vec<String>> = order
        .iter()
        .take(ROWS)
        .map(|v| {
            let low = v.against.get(BRACKET[0]);
            let leg = |model: &str| v.against.get(model).map_or_else(|| "–".to_owned(), |p| cny(p.mean_cny));
            let interval = low.and_then(|p| p.low_cny.zip(p.high_cny));
            let figures = v.member.figures.get(BRACKET[0]);
            vec![
                v.member.label.clone(),
                v.verdict.as_str().to_owned(),
                leg(BRACKET[0]),
                interval.map_or_else(|| "–".to_owned(), |(a, b)| format!("{} to {}", cny(a), cny(b))),
                leg(BRACKET[1]),
                leg(BRACKET[2]),
                number(low.and_then(|p| p.p_adjusted), 3),
                low.map_or_else(|| "–".to_owned(), |p| format!("{:.0}%", 100.0 * p.share_won)),
                number(figures.and_then(|f| f.sharpe), 2),
                number(figures.and_then(|f| f.sharpe_se), 2),
                low.map_or_else(|| "–".to_owned(), |p| cny(p.fees_cny)),
                low.map_or_else(|| "–".to_owned(), |p| cny(p.max_drawdown_cny)),
            ]
        })
        .collect();
    let head = [
        "variant",
        "verdict",
        "CNY a day",
        "interval",
        "central",
        "optimistic",
        "adjusted p",
        "days won",
        "sharpe",
        "± se",
        "fees CNY",
        "drawdown CNY",
    ];
    out.push_str(&table(&head, &rows));
    if order.len() > ROWS {
        out.push_str(&format!("\n{} more: see --html or --json", order.len() - ROWS));
    }
    if let [one] = &c.variants[..] {
        for d in one.code_differences.iter().chain(&one.parameter_differences).chain(&one.condition_differences) {
            out.push_str(&format!("\n{}: {} → {}", d.key, d.champion, d.variant));
        }
    }
    for line in &c.untested {
        out.push_str(&format!("\nnot tested: {line}"));
    }
    out
}

/// Runs two stored results again and tells where they part.
fn part(context: &Context, results: &[PathBuf]) -> Result<ExitCode, Problem> {
    let [a, b] = results else {
        return Err(Problem::new(
            "usage",
            ErrorClass::User,
            format!("--first-difference takes two result folders, {} were given", results.len()),
            "name two --out folders of `ghtrader backtest run`",
        ));
    };
    let (left, right) = (repeat(context, a)?.again, repeat(context, b)?.again);
    let found = first_difference((&left.result, &left.prepared.days), (&right.result, &right.prepared.days));
    let body = json!({ "a": a, "b": b, "parts": found.is_some(), "first_difference": found });
    emit(context.json, &body, |_| match &found {
        None => "the same orders on every row, under every fill model that both have".to_owned(),
        Some(d) => divergence(d),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn divergence(d: &Divergence) -> String {
    let (h, m, s, _) = ghtrader_core::ExchangeTimeNs(d.ts_ns).cst_hms();
    let mut out = format!(
        "{} {h:02}:{m:02}:{s:02}, row {} of {} under {} fills; {} orders were alike before\nbook {}\n",
        d.trading_day, d.row, d.contract, d.fill_model, d.equal_orders, d.book
    );
    for (name, side) in [("a", &d.a), ("b", &d.b)] {
        let does: Vec<String> = side.actions.iter().map(action).collect();
        let does = if does.is_empty() { "nothing".to_owned() } else { does.join(", ") };
        out.push_str(&format!("{name}: {does}; position {} lots\n", side.position_lots));
        for (key, value) in &side.inputs {
            out.push_str(&format!("   {key} = {value}\n"));
        }
    }
    out
}

fn action(a: &Value) -> String {
    let text = |key: &str| a[key].as_str().unwrap_or_default();
    let price = a["limit_cny"].as_f64().map_or_else(|| "at market".to_owned(), |p| format!("at {p}"));
    let post = if a["post_only"].as_bool() == Some(true) { ", post only" } else { "" };
    format!(
        "{} {} {price} ({}, {}{post}) → {} {}",
        text("side"),
        a["lots"],
        text("offset"),
        text("tif"),
        text("end"),
        text("reason")
    )
    .trim_end()
    .to_owned()
}
