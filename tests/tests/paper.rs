//! The paper account as the program runs it.

use ghtrader_tests::{Program, artefacts};

/// P-35, B-17: recorded days on the paper account give the fills and the money of a backtest over them.
#[test]
fn a_replayed_account_trades_as_the_backtest_does() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    for name in ["core-factors.wasm", "taker.wasm"] {
        ghtrader_tests::write(&dir.path().join("artifacts").join(name), std::fs::read(artefacts().join(name)).unwrap());
    }
    program.ok(&["data", "synth", "--var", "cu", "--days", "5", "--rows-per-day", "4000", "--signal", "0.5"]);
    program.ok(&["main", "schedule", "--var", "cu"]);
    program.ok(&["main", "build", "--var", "cu"]);
    let spec = "version = 1\nname = \"taker\"\nvariety = \"cu\"\n[lineup.strategy]\nplugin = \"artifacts/taker.wasm\"\n\
                [fills]\nmodels = [\"pessimistic\"]\n";
    ghtrader_tests::write(&dir.path().join("taker.toml"), spec);
    let pnl_cny =
        program.ok(&["backtest", "run", "taker.toml", "--out", "runs/taker"])["pnl_cny"]["pessimistic"].clone();
    let fills =
        std::fs::read_to_string(dir.path().join("runs/taker/fills_pessimistic.csv")).unwrap().lines().count() - 1;
    let played = program.ok(&["paper", "run", "--var", "cu", "--source", "replay", "--speed", "max"]);
    let active = &played["varieties"][0]["active"];
    assert!(fills > 20, "{fills} fills");
    assert_eq!((active["fills"].as_u64(), &active["pnl_cny"]), (Some(fills as u64), &pnl_cny));
}
