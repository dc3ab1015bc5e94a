//! `ghtrader batch run --on ray://HOST:PORT`: becomes the driver that hands a batch to a Ray cluster.

use crate::context::{Context, io_problem};
use ghtrader_core::{ErrorClass, Problem};
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::io::{Seek as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// They travel inside the program, so that all are of one version: the driver, and what it imports.
const DRIVER: &str = include_str!("../../../../infra/ray/driver.py");
const BOARD: &str = include_str!("../../../../infra/ray/board.py");
const REMEDY: &str = "run `cargo xtask setup --ray`, or install ray[default] and name its Python with batch.python";

/// A batch, and how one process of it runs on a node.
pub(crate) struct OnCluster<'a> {
    /// `ray://HOST:PORT`; the setting batch.ray_address if empty.
    pub(crate) address: &'a str,
    pub(crate) manifest: &'a Path,
    pub(crate) out: &'a Path,
    /// CPUs that a process takes and threads that it has; 0 = one.
    pub(crate) threads: usize,
    /// Memory of a process; its CPUs' share of the node if absent.
    pub(crate) memory_mib: Option<u64>,
}

/// Replaces this process by the driver: its output, its exit code and whatever signal it gets are then the driver's own.
///
/// # Errors
/// `ray_address`, `ray_missing`, a program or driver that cannot be started; it does not return otherwise.
pub(crate) fn run(context: &Context, batch: &OnCluster<'_>) -> Problem {
    match command(context, batch) {
        Ok((python, mut command)) => {
            context.progress.finish();
            let error = command.exec();
            io_problem("ray_missing", &format!("cannot run {}", Path::new(&python).display()), &error)
        }
        Err(problem) => problem,
    }
}

fn command(context: &Context, batch: &OnCluster<'_>) -> Result<(OsString, Command), Problem> {
    let address = match batch.address {
        "" => context.settings.text_of("batch.ray_address").unwrap_or_default(),
        given => given,
    };
    if address.is_empty() {
        let what = "--on names no cluster, and batch.ray_address is not set";
        return Err(Problem::new("ray_address", ErrorClass::User, what, "give --on ray://HOST:PORT"));
    }
    let python = python(context)?;
    let again = context.again()?;
    let mut command = Command::new(&python);
    // Read from standard input, without a file that would be left behind.
    command.arg("-").stdin(Stdio::from(script()?));
    command.arg("--address").arg(address).arg("--program").arg(again.get_program());
    command.arg("--manifest").arg(batch.manifest).arg("--out").arg(batch.out);
    command.arg("--threads").arg(batch.threads.max(1).to_string());
    command.arg("--memory-mib").arg(batch.memory_mib.unwrap_or(0).to_string());
    command.arg("--job-limit-s").arg(context.settings.integer("batch.job_timeout_s").to_string());
    if context.json {
        command.arg("--json");
    }
    command.arg("--").args(absolute(again.get_args()));
    Ok((python, command))
}

/// The driver with its module, as an open file without a name.
fn script() -> Result<std::fs::File, Problem> {
    // A text as JSON writes it is one of Python's too.
    let (board, driver) = (json!(BOARD), json!(DRIVER));
    let text = format!(
        "import sys, types\nsys.modules['board'] = types.ModuleType('board')\n\
         exec(compile({board}, 'board.py', 'exec'), sys.modules['board'].__dict__)\n\
         exec(compile({driver}, 'driver.py', 'exec'))\n"
    );
    let written = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        Ok(file)
    };
    written().map_err(|e: std::io::Error| io_problem("unwritable", "cannot write the driver", &e))
}

/// A Python that has Ray: the one that is named, else that of the set-up, else the one on the path.
fn python(context: &Context) -> Result<OsString, Problem> {
    let named = context.settings.text_of("batch.python").filter(|p| !p.is_empty()).map(OsString::from);
    let candidates = match named {
        Some(one) => vec![one],
        None => {
            let own = ghtrader_toolchain::user_cache().map(|cache| cache.join("ray/bin/python").into_os_string());
            own.into_iter().chain([OsString::from("python3")]).collect()
        }
    };
    if let Some(found) = candidates.iter().find(|p| has_ray(p)) {
        return Ok(found.clone());
    }
    let tried: Vec<String> = candidates.iter().map(|p| Path::new(p).display().to_string()).collect();
    let what = format!("no Python with Ray was found; tried {}", tried.join(", "));
    Err(Problem::new("ray_missing", ErrorClass::User, what, REMEDY))
}

fn has_ray(python: &OsStr) -> bool {
    let look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('ray') is None)";
    let ended = Command::new(python).args(["-c", look]).stdin(Stdio::null()).output();
    ended.is_ok_and(|o| o.status.success())
}

/// The flags of this root and its settings, for a process that works in another folder.
fn absolute<'a>(flags: impl Iterator<Item = &'a OsStr>) -> Vec<OsString> {
    let mut all = Vec::new();
    let mut is_path = false;
    for flag in flags {
        let full = is_path.then(|| std::path::absolute(flag).ok()).flatten();
        all.push(full.map_or_else(|| flag.to_os_string(), PathBuf::into_os_string));
        is_path = flag == "--root" || flag == "--config";
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_in_every_folder_and_values_stay() {
        let flags = ["--root", "desk", "--set", "data_dir=data", "--config", "/x.toml"].map(OsStr::new);
        let here = std::env::current_dir().unwrap().join("desk").into_os_string();
        let expected = ["--root", here.to_str().unwrap(), "--set", "data_dir=data", "--config", "/x.toml"];
        assert_eq!(absolute(flags.into_iter()), expected.map(OsString::from));
    }
}
