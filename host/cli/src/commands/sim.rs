//! `ghtrader sim`: a DIFF server of one's own.

use crate::args::{Sim, SimServe};
use crate::context::Context;
use crate::log;
use ghtrader_core::Problem;
use ghtrader_market::synth::SynthSpec;
use ghtrader_sim::{Ready, SimConfig, Source, serve};
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn run(context: &Context, command: Sim) -> Result<ExitCode, Problem> {
    let Sim::Serve(flags) = command;
    let config = config(context, &flags);
    log::start();
    serve(&config, |ready| announce(&ready))?;
    Ok(ExitCode::SUCCESS)
}

fn config(context: &Context, flags: &SimServe) -> SimConfig {
    let source = match flags.synthetic {
        Some(seed) => Source::Synthetic(SynthSpec {
            rows_per_day: flags.rows_per_day,
            ..SynthSpec::new(flags.var.clone(), flags.days, seed, 0.0)
        }),
        None => Source::Files { paths: flags.data.clone(), trading_day: flags.trading_day },
    };
    SimConfig {
        listen: flags.listen,
        source,
        speed: flags.speed,
        start: flags.start,
        accounts: flags.accounts.clone(),
        fills: flags.fills,
        limit_rate: flags.price_limit,
        patience: Duration::from_secs(flags.patience),
        deflate: !flags.no_deflate,
        calendar: context.calendar.clone(),
    }
}

/// One line for whoever reads this output as its input; it is JSON with and without `--json`.
fn announce(ready: &Ready) {
    let line = serde_json::to_string(ready).unwrap_or_default();
    let mut out = std::io::stdout().lock();
    // Whoever started the server may have closed its output; the server runs on.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
