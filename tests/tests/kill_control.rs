//! The host under changes, killed at any moment: a short form of the study of kills.

use ghtrader_tests::{artefacts, binary};
use serde_json::{Value, json};
use std::process::Command;

/// C-05, C-23 (server and account), C-30
#[test]
fn what_was_acknowledged_survives_kills_of_server_and_account() {
    let mut study = Command::new(binary("ghtrader-bench", "ghtrader-bench"));
    study.args(["study", "kills", "--rounds", "12", "--json"]).env("GHTRADER_ARTEFACTS", artefacts());
    let output = study.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("{e}: {said}")).unwrap();
    assert_eq!((report["losses"].clone(), output.status.code()), (json!([]), Some(0)), "{report:#}\n{said}");
    assert_eq!(report["audit"]["intact"], true, "{report:#}");
    for what in ["plugins", "tag_moves", "operations"] {
        assert!(report["acknowledged"][what].as_u64() > Some(0), "no {what} were acknowledged: {report:#}");
    }
    let kinds = |of: &str| report["kills"][of].as_object().unwrap().len();
    assert_eq!((kinds("by_target"), kinds("by_kind")), (3, 5), "{report:#}");
}
