//! The audit as the program reads it.

use ghtrader_durable::{Audit, AuditEntry, Outcome};
use ghtrader_tests::Program;
use serde_json::json;

fn entry(actor: &str, action: &str) -> AuditEntry {
    AuditEntry {
        actor: actor.to_owned(),
        role: "operator".to_owned(),
        action: action.to_owned(),
        subject: "paper/cu".to_owned(),
        generation: Some(8),
        from: String::new(),
        to: String::new(),
        plan_hash: String::new(),
        operation: "op-1".to_owned(),
        reason: "because".to_owned(),
        evidence: vec!["swapped_at_seq=17".to_owned()],
        outcome: Outcome::Done,
    }
}

/// C-30: read without a server; damage is exit 1 with the number of the entry, and what stands before it is still shown.
#[test]
fn the_audit_is_read_and_checked_from_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    assert_eq!(program.ok(&["audit", "verify"])["entries"], 0, "no audit yet is an intact one");
    let folder = dir.path().join("runs/audit");
    let audit = Audit::new(&folder);
    for (n, (actor, action)) in
        [("ann", "plugin.push"), ("bob", "lineup.swap"), ("ann", "lineup.halt")].into_iter().enumerate()
    {
        audit.append(1_751_362_200_000_000_000 + n as i64, entry(actor, action)).unwrap();
    }
    let of = |args: &[&str]| {
        let items = program.ok(&[&["audit", "list"], args].concat())["items"].clone();
        items.as_array().unwrap().iter().map(|i| i["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of(&[]), of(&["--actor", "ann"]), of(&["--action", "lineup"])),
        (vec![1, 2, 3], vec![1, 3], vec![2, 3])
    );
    assert_eq!(of(&["--last", "1"]), [3]);
    assert_eq!(program.ok(&["audit", "show", "2"])["action"], "lineup.swap");
    program.fails(&["audit", "show", "9"], 2, "unknown_entry");
    let text = String::from_utf8(program.run(&["audit", "list"]).stdout).unwrap();
    assert!(text.contains("2025-07-01 09:30:00") && text.contains("lineup.halt"), "{text}");
    assert_eq!(program.ok(&["audit", "verify"])["entries"], 3);

    let file = folder.join("2025-07-01.jsonl");
    let whole = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, whole.replacen("\"bob\"", "\"eve\"", 1)).unwrap();
    let said = program.fails(&["audit", "verify"], 1, "audit_broken");
    assert!(said.contains("entry 2"), "{said}");
    assert_eq!(program.json(&["audit", "show", "1"]).1["actor"], json!("ann"));
    program.fails(&["audit", "list"], 1, "audit_broken");
}

/// The clean-up of the registry: nothing goes without a plan, what a kept lineup needs stays, and a plan holds once.
#[test]
fn a_clean_up_is_planned_and_applied_by_hash() {
    let dir = tempfile::tempdir().unwrap();
    let program = Program::new(dir.path());
    let blobs = dir.path().join("data/registry/blobs");
    let (kept, stray) = ("11".repeat(32), "22".repeat(32));
    for digest in [&kept, &stray] {
        ghtrader_tests::write(&blobs.join(format!("{digest}.wasm")), digest);
    }
    let strategy = serde_json::json!({ "identity": "strategy/x@1.0.0", "digest": kept, "params": {} });
    let lineup = serde_json::json!({ "name": "x", "features": [], "strategy": strategy, "schema_hash": "" });
    ghtrader_tests::write(&dir.path().join("runs/trading/paper/cu/lineups/x.json"), lineup.to_string());
    let plan = program.ok(&["plugin", "gc"]);
    let files: Vec<&str> = plan["items"].as_array().unwrap().iter().map(|i| i["path"].as_str().unwrap()).collect();
    assert_eq!(files, [format!("blobs/{stray}.wasm")]);
    assert!(blobs.join(format!("{stray}.wasm")).exists(), "a plan has no effect");
    program.fails(&["plugin", "gc", "--apply", &"0".repeat(64)], 4, "plan_stale");
    let hash = plan["plan_hash"].as_str().unwrap();
    assert_eq!(program.ok(&["plugin", "gc", "--apply", hash])["files"], 1);
    assert!(!blobs.join(format!("{stray}.wasm")).exists() && blobs.join(format!("{kept}.wasm")).exists());
    program.fails(&["plugin", "gc", "--apply", hash], 4, "plan_stale");
    assert_eq!(program.ok(&["audit", "verify"])["entries"], 1);
}
