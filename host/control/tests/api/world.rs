//! A root of its own with the API over it, asked without a socket.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use ghtrader_control::{ControlConfig, Role, TokenStore, router};
use ghtrader_core::{Calendar, Digest};
use ghtrader_durable::{Audit, AuditRecord};
use ghtrader_plugin::HostConfig;
use ghtrader_settings::Settings;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tower::ServiceExt as _;

pub(crate) struct World {
    _dir: tempfile::TempDir,
    pub(crate) config: ControlConfig,
    pub(crate) router: Router,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// The code of a problem that is whole.
    pub(crate) fn code(&self) -> &str {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        for field in ["type", "title", "detail", "class", "what", "remedy"] {
            assert!(self.body[field].as_str().is_some_and(|t| !t.is_empty()), "{field} in {}", self.body);
        }
        assert_eq!(self.body["status"], self.status.as_u16());
        self.body["code"].as_str().unwrap()
    }
}

pub(crate) fn config(root: &Path) -> ControlConfig {
    let mut config = ControlConfig::new(root, &Settings::default(), Calendar::builtin(), HostConfig::default());
    config.port = 0;
    config
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ControlConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path());
        std::fs::create_dir_all(&config.data_dir).unwrap();
        change(&mut config);
        let router = router(config.clone()).unwrap();
        Self { _dir: dir, config, router }
    }

    /// The same root after a restart.
    pub(crate) fn restarted(mut self) -> Self {
        self.router = router(self.config.clone()).unwrap();
        self
    }

    pub(crate) fn runs(&self) -> PathBuf {
        self.config.runs_dir.clone()
    }

    pub(crate) fn admin(&self) -> String {
        std::fs::read_to_string(self.runs().join("control/admin.token")).unwrap().trim().to_owned()
    }

    pub(crate) fn token(&self, role: Role) -> String {
        let store = TokenStore::new(&self.runs().join("control"));
        let _ = store.revoke(role.as_str(), 0);
        store
            .create(&format!("a-{role}-{}", store.list().unwrap().len()), role, 1, ghtrader_control::wall_clock_ns())
            .unwrap()
            .secret
    }

    /// Asks as the admin; headers are `name: value`.
    pub(crate) async fn ask(&self, line: &str, headers: &[&str], body: impl Into<Body>) -> Answer {
        let bearer = format!("authorization: Bearer {}", self.admin());
        let mut all = vec![bearer.as_str()];
        all.extend(headers);
        self.ask_bare(line, &all, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], Body::empty()).await
    }

    /// Asks without a token of its own.
    pub(crate) async fn ask_bare(&self, line: &str, headers: &[&str], body: impl Into<Body>) -> Answer {
        let (method, path) = line.split_once(' ').unwrap();
        let path = if path.starts_with("/api") || ["/healthz", "/readyz", "/metrics"].contains(&path) {
            path.to_owned()
        } else {
            format!("/api/v1{path}")
        };
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|h| h.starts_with("host:")) {
            request = request.header("host", "127.0.0.1:8600");
        }
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, bytes, body }
    }

    pub(crate) fn audit(&self) -> Vec<AuditRecord> {
        let mut all = Vec::new();
        Audit::new(&self.runs().join("audit")).read(|r| all.push(r)).unwrap();
        all
    }

    /// Pushes a reference plugin; gives its digest.
    pub(crate) async fn push(&self, name: &str) -> Digest {
        let answer = self.ask("POST /plugins", &[], artefact(name)).await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.body["digest"].as_str().unwrap().parse().unwrap()
    }
}

/// Bytes of a packed reference plugin.
pub(crate) fn artefact(name: &str) -> Vec<u8> {
    let given = std::env::var_os("GHTRADER_ARTEFACTS").map(PathBuf::from);
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/target/artifacts");
    let path = given.unwrap_or(here).join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run `cargo xtask plugins`", path.display()))
}
