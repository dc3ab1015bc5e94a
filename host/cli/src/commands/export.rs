//! `ghtrader data export`, `ghtrader main rolls`: stored rows for other programs, rolls taken out if asked for.

use crate::args::{Export, FormatName, OrderName, Rolls};
use crate::context::{Context, io_problem, publish, replaced_by};
use crate::output::{emit, grouped, table};
use ghtrader_batch::stored_schedule;
use ghtrader_core::{Column, Digest, ErrorClass, Problem, Variety};
use ghtrader_durable::{make_folder, sync_folder};
use ghtrader_pipeline::{
    Adjustment, ExportFormat, ExportOptions, Provenance, SegmentAdjustment, export, segment_adjustments,
};
use serde::Serialize;
use serde_json::json;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Exported<'a> {
    file: &'a Path,
    bytes: u64,
    /// Digest of the file.
    file_sha256: Digest,
    #[serde(flatten)]
    provenance: Provenance,
}

pub(crate) fn run(context: &Context, flags: &Export) -> Result<(), Problem> {
    let extension = flags.out.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let named = flags.format.or_else(|| FormatName::of_extension(extension));
    let format = named.map(FormatName::format).ok_or_else(|| {
        let what = format!("`{}` does not say which form is meant", flags.out.display());
        Problem::new("bad_format", ErrorClass::User, what, "end it in .csv, .xlsx or .parquet, or give --format")
    })?;
    if let (Some(from), Some(to)) = (flags.from, flags.to)
        && from > to
    {
        let what = format!("{from} lies after {to}");
        return Err(Problem::new("bad_range", ErrorClass::User, what, "give the earlier day first"));
    }
    let continuous = || flags.var.as_ref().map(Variety::main_symbol);
    // The flags see to it that one of them is there.
    let symbol = flags.symbol.clone().or_else(continuous).unwrap_or_default();
    let options = ExportOptions {
        symbol: &symbol,
        from: flags.from,
        to: flags.to,
        format,
        adjust: flags.adjust.adjustment(),
        columns: columns(&flags.columns)?,
        max_rows: flags.max_rows,
        descending: flags.order == OrderName::Desc,
        provenance: !flags.no_provenance,
    };
    let named = flags.out.display();
    let failed = |e: &std::io::Error| io_problem("export_unwritten", &format!("cannot write {named}"), e);
    let out = replaced_by(&flags.out).map_err(|e| failed(&e))?;
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_folder(folder).map_err(|e| failed(&e))?;
    let (temporary, file) = hidden(&out).map_err(|e| failed(&e))?;
    let exported = write(context, &options, &out, &temporary, &file, &failed);
    if exported.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    let (file_sha256, bytes, provenance) = exported?;
    sync_folder(folder).map_err(|e| failed(&e))?;
    emit(context.json, &Exported { file: &flags.out, bytes, file_sha256, provenance }, |e| {
        let more = if e.provenance.truncated { ", more are stored" } else { "" };
        let (rows, days) = (grouped(e.provenance.rows as i64), e.provenance.days.len());
        format!("{}: {rows} rows of {days} days{more}, {} bytes", e.file.display(), grouped(e.bytes as i64))
    })
}

/// Writes rows into a file beside the output, then puts it in the output's place.
fn write(
    context: &Context,
    options: &ExportOptions<'_>,
    out: &Path,
    temporary: &Path,
    file: &File,
    failed: &dyn Fn(&std::io::Error) -> Problem,
) -> Result<(Digest, u64, Provenance), Problem> {
    let provenance = export(&*context.store()?, options, file.try_clone().map_err(|e| failed(&e))?)?;
    let digested = File::open(temporary).and_then(Digest::of_reader);
    let (file_sha256, bytes) = digested.map_err(|e| failed(&e))?;
    let beside = beside(out);
    if options.format == ExportFormat::Csv && options.provenance {
        // Rows are published last: whoever finds them finds what they are.
        let text = json!({ "file_sha256": file_sha256, "provenance": provenance });
        publish(&beside, format!("{text:#}\n").as_bytes())?;
    } else if let Err(e) = std::fs::remove_file(&beside)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        // That of an older export would say something else of these rows.
        return Err(failed(&e));
    }
    std::fs::rename(temporary, out).map_err(|e| failed(&e))?;
    Ok((file_sha256, bytes, provenance))
}

/// The hidden file beside an output, locked: what a killed export left in it is written over, and of two exports to one
/// output the second is refused.
fn hidden(out: &Path) -> std::io::Result<(PathBuf, File)> {
    let mut name = OsString::from(".");
    name.push(out.file_name().unwrap_or_default());
    name.push(".tmp");
    let path = out.with_file_name(name);
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(std::io::Error::other("another export is writing it")),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // The one before may just have put it in the output's place.
        if !is_at(&file, &path)? {
            continue;
        }
        file.set_len(0)?;
        return Ok((path, file));
    }
}

/// Where the provenance of a file without room for it goes.
fn beside(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".provenance.json");
    out.with_file_name(name)
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let own = file.metadata()?;
    Ok(std::fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> std::io::Result<bool> {
    Ok(true)
}

fn columns(names: &[String]) -> Result<Vec<Column>, Problem> {
    let columns: Vec<Column> = names.iter().map(|name| column(name)).collect::<Result<_, _>>()?;
    match (1..columns.len()).find(|at| columns[..*at].contains(&columns[*at])) {
        None => Ok(columns),
        Some(at) => {
            let what = format!("`{}` is named twice", columns[at].name());
            Err(Problem::new("unknown_column", ErrorClass::User, what, "name each column once"))
        }
    }
}

fn column(name: &str) -> Result<Column, Problem> {
    Column::from_name(name.trim()).filter(|c| *c != Column::Datetime).ok_or_else(|| {
        let what = format!("`{name}` is no column of values");
        Problem::new(
            "unknown_column",
            ErrorClass::User,
            what,
            "ghtrader data schema lists all; times are always written",
        )
    })
}

pub(crate) fn rolls(context: &Context, flags: &Rolls) -> Result<(), Problem> {
    let store = context.store()?;
    let schedule = stored_schedule(&*store, &flags.var)?;
    let adjust = flags.adjust.adjustment();
    let segments = segment_adjustments(&*store, &schedule, adjust)?;
    let body =
        json!({ "variety": flags.var, "schedule_hash": schedule.hash(), "adjust": adjust, "segments": segments });
    emit(context.json, &body, |_| {
        let close = |c: Option<f64>| c.map_or_else(|| "–".to_owned(), |c| c.to_string());
        let row = |s: &SegmentAdjustment| {
            let made = match adjust {
                Adjustment::None => String::new(),
                Adjustment::Difference => format!("{:+}", s.add_cny),
                Adjustment::Ratio => format!("{:.8}", s.factor),
            };
            let (old, new) = (s.close_cny.map(|c| c.0), s.close_cny.map(|c| c.1));
            let days = [s.first_day.to_string(), s.last_day.to_string()];
            [vec![s.segment_id.to_string(), s.contract.to_string()], days.to_vec(), vec![close(old), close(new), made]]
                .concat()
        };
        let rows: Vec<Vec<String>> = segments.iter().map(row).collect();
        table(&["segment", "contract", "first day", "last day", "close", "close of the next", "adjustment"], &rows)
    })
}
