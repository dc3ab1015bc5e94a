//! Who gets in, what is refused at the gate, what is kept of it.

use crate::fake::Fake;
use crate::world::World;
use axum::body::Body;
use ghtrader_control::Role;
use ghtrader_durable::Outcome;
use serde_json::json;

/// C-14
#[tokio::test]
async fn without_a_token_there_is_nothing() {
    let world = World::new();
    for (headers, status, code) in [
        (vec![], 401, "token_missing"),
        (vec!["authorization: Basic eDp5"], 401, "token_missing"),
        (vec!["authorization: Bearer "], 401, "token_missing"),
        (vec!["authorization: Bearer nonsense"], 401, "token_unknown"),
    ] {
        for line in ["GET /plugins", "GET /openapi.json", "GET /nowhere", "POST /tokens", "GET /events"] {
            let answer = world.ask_bare(line, &headers, Body::empty()).await;
            assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{line} {headers:?}");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"ghtrader\"");
        }
        assert!(world.audit().is_empty());
        if code == "token_unknown" {
            let eleventh = async || world.ask_bare("GET /plugins", &headers, Body::empty()).await;
            for _ in 0..5 {
                eleventh().await;
            }
            let answer = eleventh().await;
            assert_eq!((answer.status.as_u16(), answer.code()), (429, "too_many_logins"));
            assert_ne!(answer.header("retry-after"), "");
            assert_eq!(world.get("/plugins").await.status, 200, "the owner is never shut out");
        }
    }
}

/// C-14
#[tokio::test]
async fn an_expired_token_says_so() {
    fn in_a_century() -> i64 {
        ghtrader_control::wall_clock_ns() + 100 * 366 * 86_400_000_000_000
    }
    let mut world = World::new();
    let token = world.token(Role::Viewer);
    world.config.clock = in_a_century;
    let world = world.restarted();
    let answer = world.ask_bare("GET /plugins", &[&format!("authorization: Bearer {token}")], Body::empty()).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (401, "token_expired"));
}

/// C-15
#[tokio::test]
async fn a_role_may_do_so_much_and_a_refused_attempt_is_in_the_audit() {
    let world = World::new();
    Fake::start(&world.runs(), "paper");
    for (role, line, code) in [
        (Role::Viewer, "POST /plugins", "role_too_low"),
        (Role::Viewer, "PUT /plugins/strategy/taker/tags/champion", "role_too_low"),
        (Role::Viewer, "POST /varieties/cu/halt", "role_too_low"),
        (Role::Viewer, "POST /varieties/cu/deployments", "role_too_low"),
        (Role::Viewer, "POST /varieties/cu/plans", "role_too_low"),
        (Role::Viewer, "DELETE /operations/op-1", "role_too_low"),
        (Role::Operator, "DELETE /plugins/00", "role_too_low"),
        (Role::Trader, "POST /tokens", "role_too_low"),
        (Role::Trader, "DELETE /tokens/x", "role_too_low"),
        (Role::Operator, "POST /varieties/cu/rollback", "precondition_required"),
    ] {
        let before = world.audit().len();
        let bearer = format!("authorization: Bearer {}", world.token(role));
        let answer = world.ask_bare(line, &[&bearer], Body::empty()).await;
        assert_eq!(answer.code(), code, "{role} {line}");
        let audit = world.audit();
        assert_eq!(audit.len(), before + 1, "{line}");
        let entry = &audit.last().unwrap().entry;
        assert_eq!((entry.outcome, entry.role.as_str()), (Outcome::Refused, role.as_str()), "{line}");
        assert_eq!(entry.evidence, [code]);
    }
    let bearer = format!("authorization: Bearer {}", world.token(Role::Viewer));
    assert_eq!(world.ask_bare("GET /tokens", &[&bearer], Body::empty()).await.status, 403);
    assert_eq!(world.ask_bare("GET /varieties", &[&bearer], Body::empty()).await.status, 200);
}

/// C-16
#[tokio::test]
async fn three_attacks_are_refused() {
    let world = World::new();
    let admin = world.admin();
    let bearer = format!("authorization: Bearer {admin}");
    let in_url = format!("GET /plugins?token={admin}");
    for (line, headers, status, code) in [
        (in_url.as_str(), vec![], 400, "token_in_url"),
        ("GET /plugins", vec![bearer.as_str(), "origin: http://evil.example"], 403, "cross_site"),
        ("POST /tokens", vec![bearer.as_str(), "sec-fetch-site: cross-site"], 403, "cross_site"),
        ("GET /plugins", vec![bearer.as_str(), "host: evil.example"], 421, "wrong_host"),
        ("GET /healthz", vec!["host: rebound.example:8600"], 421, "wrong_host"),
        ("GET /plugins", vec![bearer.as_str(), "host: 10.0.0.1"], 421, "wrong_host"),
    ] {
        let answer = world.ask_bare(line, &headers, Body::empty()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{line} {headers:?}");
        assert!(!String::from_utf8_lossy(&answer.bytes).contains(&admin), "a secret is not said back");
    }
    for host in ["host: localhost:1", "host: 127.0.0.1", "host: [::1]:8600"] {
        assert_eq!(world.ask("GET /plugins", &[host], Body::empty()).await.status, 200, "{host}");
    }
    let preflight = world.ask("OPTIONS /plugins", &[], Body::empty()).await;
    assert_eq!(preflight.code(), "method_not_allowed");
    assert!(preflight.headers.keys().all(|k| !k.as_str().starts_with("access-control")), "no CORS");
}

/// C-11, C-14
#[tokio::test]
async fn a_token_is_shown_once_also_to_the_one_who_asks_twice() {
    let world = World::new();
    let body = r#"{"name":"desk","role":"operator","days":3}"#;
    let first = world.ask("POST /tokens", &["idempotency-key: k1"], body).await;
    assert_eq!(first.status, 201);
    let secret = first.body["token"].as_str().unwrap().to_owned();
    let again = world.ask("POST /tokens", &["idempotency-key: k1"], body).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, "true"));
    assert_eq!(again.body["id"], first.body["id"]);
    assert!(again.body.get("token").is_none());
    for (path, bytes) in files(&world.runs()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(!text.contains(&secret), "{path} keeps the secret");
    }
    let other = r#"{"name":"desk2","role":"operator"}"#;
    assert_eq!(world.ask("POST /tokens", &["idempotency-key: k1"], other).await.code(), "idempotency_mismatch");
    assert_eq!(world.ask("POST /tokens", &[], body).await.code(), "token_exists");
    for (bad, code) in [
        (r#"{"name":"x","role":"operator","days":0}"#, "bad_token_days"),
        (r#"{"name":"x","role":"operator","days":3651}"#, "bad_token_days"),
        (r#"{"name":"","role":"operator"}"#, "bad_token_name"),
        (r#"{"name":"x","role":"king"}"#, "bad_body"),
        (r#"{"name":"x","role":"operator","argv":["sh"]}"#, "bad_body"),
        (r#"{"name":"x""#, "bad_json"),
    ] {
        assert_eq!(world.ask("POST /tokens", &[], bad).await.code(), code, "{bad}");
    }
    let bearer = format!("authorization: Bearer {secret}");
    assert_eq!(world.ask_bare("GET /plugins", &[&bearer], Body::empty()).await.status, 200);
    let list = world.get("/tokens").await;
    assert_eq!(list.body["total"], 2);
    assert!(list.body["items"][0].get("sha256").is_none());
    assert_eq!(world.ask("DELETE /tokens/desk", &[], Body::empty()).await.status, 200);
    assert_eq!(world.ask_bare("GET /plugins", &[&bearer], Body::empty()).await.code(), "token_unknown");
    assert_eq!(world.ask("DELETE /tokens/desk", &[], Body::empty()).await.code(), "unknown_token");
    assert_eq!(world.ask("DELETE /tokens/admin", &[], Body::empty()).await.code(), "last_admin");
    let outcomes: Vec<_> = world.audit().iter().map(|r| (r.entry.action.clone(), r.entry.outcome)).collect();
    assert_eq!(outcomes.len(), 12, "one entry an attempt, none for the repeated answer: {outcomes:?}");
}

fn files(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.push((entry.path().display().to_string(), std::fs::read(entry.path()).unwrap()));
        }
    }
    all
}

/// C-12
#[tokio::test]
async fn what_is_not_there_is_said_in_the_one_form() {
    let world = World::new();
    for (line, status, code) in [
        ("GET /nowhere", 404, "unknown_path"),
        ("DELETE /plugins", 405, "method_not_allowed"),
        ("GET /plugins/xyz", 400, "bad_digest"),
        ("GET /plugins?role=king", 400, "bad_query"),
        ("GET /plugins?rol=feature", 400, "bad_query"),
        ("GET /plugins?limit=0", 400, "limit_out_of_range"),
        ("GET /audit?limit=1001", 400, "limit_out_of_range"),
        ("GET /audit?from=yesterday", 400, "bad_query"),
        ("GET /plugins?cursor=00", 400, "bad_cursor"),
        ("GET /plugins/king/x/tags/y", 404, "unknown_role"),
        ("GET /plugins/strategy/taker/tags/champion", 404, "unknown_plugin"),
        ("GET /varieties", 503, "service_unavailable"),
        ("GET /varieties/cu", 503, "service_unavailable"),
        ("GET /varieties/nonsense", 404, "unknown_variety"),
        ("GET /varieties/cu?account=p9", 404, "unknown_account"),
        ("GET /accounts/..%2Fx/status", 404, "unknown_account"),
        ("GET /events?topics=order,gossip", 400, "bad_topic"),
        ("GET /plugins/%ff", 400, "bad_path"),
    ] {
        let answer = world.ask(line, &[], Body::empty()).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{line}: {}", answer.body);
    }
    assert_eq!(world.ask("GET /events", &["last-event-id: x"], Body::empty()).await.code(), "bad_event_id");
    let limit = world.get("/plugins?limit=0").await;
    assert_eq!((&limit.body["value"], &limit.body["bound"]), (&json!("0"), &json!("[1, 1000]")));
    assert_ne!(world.get("/varieties").await.header("retry-after"), "");
}

/// C-39, C-40
#[tokio::test]
async fn health_readiness_figures_and_objectives() {
    let world = World::new();
    let bare = async |line: &str| world.ask_bare(line, &[], Body::empty()).await;
    assert_eq!(bare("GET /readyz").await.body["ready"], true);
    std::fs::remove_dir_all(&world.config.data_dir).unwrap();
    assert_eq!(bare("GET /healthz").await.status, 200);
    let ready = bare("GET /readyz").await;
    assert_eq!((ready.status.as_u16(), ready.code()), (503, "not_ready"));
    assert!(ready.body["what"].as_str().unwrap().contains("store"), "{}", ready.body);
    world.get("/settings").await;
    Fake::start(&world.runs(), "paper");
    let text = String::from_utf8(bare("GET /metrics").await.bytes).unwrap();
    for line in [
        "ghtrader_ticks_total{account=\"paper\",variety=\"cu\"} 10",
        "ghtrader_http_request_seconds_count{route=\"/api/v1/settings\",status=\"200\"} 1",
        "# EOF",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains("nowhere"));
    let slo = world.get("/slo").await;
    assert_eq!(slo.body["items"][0]["bound_ms"], 50);
    assert_eq!(slo.body["items"][0]["state"], "ok", "{}", slo.body);
    let settings = world.get("/settings").await;
    assert_eq!(settings.body["items"][0]["origin"], "built_in");
    assert!(world.get("/settings/schema").await.body.to_string().contains("[0, 65535]"));
}

/// C-30 (over HTTP)
#[tokio::test]
async fn the_audit_is_read_in_pages_and_verified() {
    let world = World::new();
    for n in 0..5 {
        world.ask("POST /tokens", &[], format!(r#"{{"name":"t{n}","role":"viewer","reason":"because"}}"#)).await;
    }
    let first = world.get("/audit?limit=2&action=token.create").await;
    assert_eq!((&first.body["total"], &first.body["items"][0]["seq"]), (&json!(5), &json!(5)));
    assert_eq!(first.body["items"][0]["reason"], "because");
    let next = first.body["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("/audit?limit=2&action=token.create&cursor={next}")).await;
    assert_eq!(second.body["items"][0]["seq"], 3);
    assert_eq!(world.get("/audit?actor=nobody").await.body["total"], 0);
    assert_eq!(world.get("/audit?from=2999-01-01").await.body["total"], 0);
    assert_eq!(world.get("/audit/verify").await.body["intact"], true);
    let mut files = std::fs::read_dir(world.runs().join("audit")).unwrap().flatten().map(|e| e.path());
    let file = files.find(|p| p.extension().is_some_and(|e| e == "jsonl")).unwrap();
    let text = std::fs::read_to_string(&file).unwrap().replacen("t2", "t9", 1);
    std::fs::write(&file, text).unwrap();
    let broken = world.get("/audit/verify").await.body;
    assert_eq!((&broken["intact"], &broken["broken_at"]), (&json!(false), &json!(3)));
    assert_eq!(world.get("/audit").await.code(), "audit_broken");
}
