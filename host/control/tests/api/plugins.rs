//! Plugins and tags over HTTP, with the reference plugins.

use crate::fake::Fake;
use crate::world::{World, artefact};
use axum::body::Body;
use ghtrader_durable::Outcome;
use serde_json::json;

/// C-01, C-02
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_pushed_once_and_shown() {
    let world = World::new();
    let bytes = artefact("taker");
    let first = world.ask("POST /plugins", &["content-type: application/wasm"], bytes.clone()).await;
    assert_eq!(first.status, 201, "{}", first.body);
    let digest = first.body["digest"].as_str().unwrap().to_owned();
    assert_eq!(first.header("location"), format!("/api/v1/plugins/{digest}"));
    let again = world.ask("POST /plugins", &[], bytes.clone()).await;
    assert_eq!((again.status.as_u16(), &again.body["digest"]), (200, &json!(digest)));

    let list = world.get("/plugins?role=strategy").await;
    assert_eq!((&list.body["total"], &list.body["items"][0]["digest"]), (&json!(1), &json!(digest)));
    assert_eq!(world.get("/plugins?role=feature").await.body["total"], 0);
    let one = world.get(&format!("/plugins/{digest}")).await;
    assert_eq!((&one.body["name"], &one.body["users"]), (&json!("taker"), &json!([])));
    assert_eq!(world.get(&format!("/plugins/{digest}/artifact")).await.bytes, bytes);
    assert_eq!(world.get(&format!("/plugins/{}", "0".repeat(64))).await.code(), "unknown_plugin");

    let other = world.push("maker").await;
    let diff = world.get(&format!("/plugins/{digest}/diff?with={other}")).await;
    assert!(diff.body["differences"].to_string().contains("manifest.plugin.name"), "{}", diff.body);

    let audit = world.audit();
    assert_eq!(audit[0].entry.action, "plugin.push");
    assert_eq!((audit[0].entry.to.as_str(), audit[0].entry.outcome), (digest.as_str(), Outcome::Done));
    // After a restart everything that was acknowledged is there.
    let world = world.restarted();
    assert_eq!(world.get("/plugins").await.body["total"], 2);
}

/// C-01
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_plugin_is_refused_with_findings_and_leaves_nothing() {
    let world = World::new();
    for (bytes, headers, status, code) in [
        (b"no component".to_vec(), vec![], 422, "admission_failed"),
        (artefact("taker")[..2000].to_vec(), vec![], 422, "admission_failed"),
        (vec![], vec![], 422, "admission_failed"),
        (artefact("taker"), vec!["content-type: application/json"], 415, "wrong_media_type"),
        (artefact("taker"), vec!["plugin-signature: zz"], 400, "signature_invalid"),
    ] {
        let answer = world.ask("POST /plugins", &headers, bytes).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{}", answer.body);
        if code == "admission_failed" {
            let findings = answer.body["findings"].as_array().unwrap();
            assert!(!findings.is_empty() && findings.iter().all(|f| f["code"].is_string()), "{}", answer.body);
        }
    }
    assert_eq!(world.get("/plugins").await.body["total"], 0);
    assert!(world.audit().iter().all(|r| r.entry.outcome == Outcome::Refused));
}

/// C-03, C-10, C-11
#[tokio::test(flavor = "multi_thread")]
async fn a_tag_moves_under_its_generation_and_keeps_its_history() {
    let world = World::new();
    let digest = world.push("taker").await;
    let other = world.push("maker").await;
    let path = "/plugins/strategy/taker/tags/champion";
    let put = async |headers: &[&str], digest: &str| {
        world.ask(&format!("PUT {path}"), headers, json!({ "digest": digest, "reason": "better" }).to_string()).await
    };
    let digest = digest.to_string();
    assert_eq!(world.get(path).await.code(), "unknown_tag");
    assert_eq!(put(&[], &digest).await.status, 428);
    assert_eq!(put(&["if-match: 0"], &digest).await.code(), "bad_if_match");
    let set = put(&["if-match: \"0\"", "idempotency-key: k"], &digest).await;
    assert_eq!((set.status.as_u16(), set.header("etag")), (201, "\"1\""), "{}", set.body);
    // The same key: one effect, the same answer, also after a restart.
    let world = world.restarted();
    let put = async |headers: &[&str], digest: &str| {
        world.ask(&format!("PUT {path}"), headers, json!({ "digest": digest, "reason": "better" }).to_string()).await
    };
    let again = put(&["if-match: \"0\"", "idempotency-key: k"], &digest).await;
    assert_eq!((again.status, &again.body, again.header("etag")), (set.status, &set.body, "\"1\""));
    let changed = put(&["if-match: \"1\"", "idempotency-key: k"], &digest).await;
    assert_eq!(changed.code(), "idempotency_mismatch");

    let stale = put(&["if-match: \"0\""], &digest).await;
    assert_eq!((stale.status.as_u16(), stale.code(), &stale.body["generation"]), (412, "generation_stale", &json!(1)));
    assert_eq!(put(&["if-match: \"1\""], &other.to_string()).await.code(), "tag_mismatch");
    assert_eq!(put(&["if-match: \"1\""], &"0".repeat(64)).await.code(), "unknown_plugin");
    assert_eq!(put(&["if-match: \"1\""], "x").await.code(), "bad_digest");
    let tag = world.get(path).await;
    assert_eq!(tag.header("etag"), "\"1\"");
    let moves = tag.body["moves"].as_array().unwrap();
    assert_eq!((moves.len(), &moves[0]["actor"], &moves[0]["reason"]), (1, &json!("admin"), &json!("better")));
    assert_eq!(world.get("/plugins/strategy/taker/tags").await.body["total"], 1);

    let one = world.get(&format!("/plugins/{digest}")).await;
    assert_eq!(one.body["users"], json!(["tag strategy/taker:champion"]));
    let gone = world.ask(&format!("DELETE /plugins/{digest}"), &[], Body::empty()).await;
    assert_eq!((gone.status.as_u16(), gone.code()), (409, "in_use"));
    let entry = &world.audit().last().unwrap().entry.clone();
    assert_eq!((entry.action.as_str(), entry.outcome), ("plugin.remove", Outcome::Refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_a_lineup_runs_is_not_removed() {
    let world = World::new();
    let digest = world.push("maker").await;
    let fake = Fake::start(&world.runs(), "paper");
    fake.state.lock().unwrap().strategy = Some(digest);
    let line = format!("DELETE /plugins/{digest}?reason=old");
    let refused = world.ask(&line, &[], Body::empty()).await;
    assert_eq!(refused.code(), "in_use");
    assert!(refused.body["what"].as_str().unwrap().contains("active lineup base of paper/cu"), "{}", refused.body);
    fake.state.lock().unwrap().breaks = true;
    assert_eq!(
        world.ask(&line, &[], Body::empty()).await.code(),
        "service_broken_off",
        "who cannot be asked may need it"
    );
    (fake.state.lock().unwrap().breaks, fake.state.lock().unwrap().strategy) = (false, None);
    let removed = world.ask(&line, &[], Body::empty()).await;
    assert_eq!((removed.status.as_u16(), &removed.body["state"]), (200, &json!("removed")), "{}", removed.body);
    assert_eq!(world.audit().last().unwrap().entry.reason, "old");
}

/// C-51
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_artefact_is_named_and_set_aside() {
    let world = World::new();
    let digest = world.push("taker").await;
    let blob = world.config.data_dir.join(format!("registry/blobs/{digest}.wasm"));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let answer = world.get(&format!("/plugins/{digest}/artifact")).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (503, "blob_damaged"));
    assert!(answer.body["what"].as_str().unwrap().contains("strategy/taker@"), "{}", answer.body);
    assert_eq!(world.get("/plugins").await.body["items"][0]["state"], "quarantined");
    world.push("taker").await;
    assert_eq!(world.get("/plugins").await.body["items"][0]["state"], "admitted");
}
