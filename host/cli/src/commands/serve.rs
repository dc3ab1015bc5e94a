//! `ghtrader serve`: the control API until SIGINT or SIGTERM.

use super::plugin::host_config;
use crate::args::Serve;
use crate::context::{Context, io_problem};
use crate::log;
use ghtrader_control::{ControlConfig, Ready, openapi_json, serve};
use ghtrader_core::Problem;
use std::io::Write as _;
use std::process::ExitCode;

pub(crate) fn run(context: &Context, flags: &Serve) -> Result<ExitCode, Problem> {
    if flags.print_openapi {
        let written = std::io::stdout().write_all(openapi_json().as_bytes());
        written.map_err(|e| io_problem("stdout_failed", "cannot write to stdout", &e))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = ControlConfig::new(&context.root, &context.settings, &context.calendar, host_config(context));
    if let Some(host) = &flags.host {
        config.host.clone_from(host);
    }
    let program = context.again()?;
    config.program = std::iter::once(program.get_program()).chain(program.get_args()).map(Into::into).collect();
    config.port = flags.port.unwrap_or(config.port);
    log::start();
    serve(config, |ready| announce(&ready, context.json))?;
    Ok(ExitCode::SUCCESS)
}

/// One line when requests are answered; with `--json` the contract of section 4 of the commands: no schema version.
fn announce(ready: &Ready, json: bool) {
    let line = match serde_json::to_string(ready) {
        Ok(line) if json => line,
        _ => format!("listening on {}, token in {}", ready.listening, ready.token_file.display()),
    };
    let mut out = std::io::stdout().lock();
    // Whoever started the server may have closed its output; the server runs on.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
