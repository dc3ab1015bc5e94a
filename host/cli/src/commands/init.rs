//! `ghtrader init`: a working project folder.

use crate::context::publish;
use crate::output::emit;
use ghtrader_core::{ErrorClass, Problem};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

const EXAMPLE_RUN: &str = r#"# A run of the reference maker on copper: ghtrader backtest run maker.toml --out runs/maker
version = 1
name = "maker-cu"
variety = "cu"
# from = "2025-07-01"
# to   = "2025-07-31"

[lineup.strategy]
plugin = "artifacts/maker.wasm"
params = { max_lots = 3 }

[fills]
models = ["pessimistic", "central", "optimistic"]

[latency]
feed_us = 2000
order = { kind = "constant", us = 5000 }
cancel = { kind = "constant", us = 5000 }

[risk]
max_abs_position = 10
max_order_lots = 10
"#;

pub(crate) fn run(dir: &Path, json: bool) -> Result<ExitCode, Problem> {
    let settings = dir.join("ghtrader.toml");
    if settings.exists() {
        return Err(Problem::new(
            "exists",
            ErrorClass::Conflict,
            format!("{} is there already", settings.display()),
            "choose another folder, or delete the file",
        ));
    }
    for folder in ["data", "artifacts", "runs"] {
        let folder = dir.join(folder);
        std::fs::create_dir_all(&folder)
            .map_err(|e| crate::context::io_problem("unwritable", &format!("cannot make {}", folder.display()), &e))?;
    }
    publish(&dir.join("maker.toml"), EXAMPLE_RUN.as_bytes())?;
    // Last: the folder counts as a project once its settings are there.
    publish(&settings, ghtrader_settings::commented_file().as_bytes())?;
    emit(json, &json!({ "root": dir }), |_| {
        format!("made {}\nnext: ghtrader --root {} data synth --var cu --days 20", settings.display(), dir.display())
    })?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_a_lawful_run() {
        let spec = ghtrader_backtest::RunSpec::parse(EXAMPLE_RUN, "maker.toml", &[]);
        assert!(spec.is_ok(), "{spec:?}");
    }
}
