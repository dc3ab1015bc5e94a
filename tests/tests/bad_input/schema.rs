//! A model and the features that it was not trained on.

use crate::plugins::Guest;
use crate::{Desk, write};
use ghtrader_tests::artefacts;

/// M-20
#[test]
fn a_model_trained_on_another_feature_schema() {
    let desk = Desk::empty();
    let artefacts = artefacts();
    let plugin = |name: &str| artefacts.join(format!("{name}.wasm")).display().to_string();
    let (features, label, strategy) = (plugin("core-factors"), plugin("direction"), plugin("score-threshold"));
    let ok = |args: &[&str]| desk.program.ok(args);
    ok(&["data", "synth", "--var", "cu", "--days", "4", "--rows-per-day", "2000", "--signal", "1"]);
    ok(&["main", "schedule", "--var", "cu"]);
    ok(&["main", "build", "--var", "cu"]);
    let model = ok(&[
        "train",
        "run",
        "logistic",
        "--var",
        "cu",
        "--features",
        &features,
        "--label",
        &label,
        "--out",
        "model",
        "--set",
        "train.splits=2",
        "--set",
        "train.min_rows=1000",
    ]);
    let model = model["model"].as_str().unwrap();
    write(&desk.path("echo.wasm"), Guest::default().artefact(&desk));
    let spec = |features: &str| {
        format!(
            "version = 1\nname = 'x'\nvariety = 'cu'\n[[lineup.features]]\nplugin = '{features}'\n\
             [lineup.model]\nartifact = '{model}'\n[lineup.strategy]\nplugin = '{strategy}'\n"
        )
    };
    write(&desk.path("good.toml"), spec(&features));
    write(&desk.path("other.toml"), spec("echo.wasm"));
    ok(&["backtest", "run", "good.toml", "--out", "runs/good"]);
    let said = desk.program.fails(&["backtest", "run", "other.toml", "--out", "runs/other"], 2, "schema_mismatch");
    for column in ["echo", "spread", "book_slope"] {
        assert!(said.contains(column), "{column} is not named: {said}");
    }
    assert!(!desk.path("runs/other").exists());
}
