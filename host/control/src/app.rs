//! What all requests share.

use crate::access::Identity;
use crate::batches::Batches;
use crate::config::ControlConfig;
use crate::events::{Events, Topic};
use crate::gate::Logins;
use crate::idempotency::Idempotency;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::services::Services;
use crate::tokens::TokenStore;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::{Audit, AuditEntry, AuditError, AuditRecord, Outcome};
use ghtrader_plugin::{Finding, Fixture, PluginHost, Registry, RegistryConfig, SignaturePolicy};
use ghtrader_trading::Room;
use std::net::IpAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::{Semaphore, watch};

/// Uploads whose bytes are in memory at once.
const UPLOADS: usize = 4;
/// Admissions at once: each is busy on a core for seconds.
const ADMISSIONS: usize = 2;
/// Reads of stored rows at once: each holds up to some hundred megabytes.
const READS: usize = 4;
/// Changes at once.
pub(crate) const CHANGES: usize = 256;

/// What all requests share; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: ControlConfig,
    /// The address that the server listens on.
    pub(crate) bound: IpAddr,
    pub(crate) tokens: TokenStore,
    pub(crate) registry: Registry,
    pub(crate) audit: Audit,
    pub(crate) keys: Arc<Idempotency>,
    pub(crate) services: Services,
    pub(crate) batches: Batches,
    pub(crate) events: Arc<Events>,
    pub(crate) metrics: Metrics,
    pub(crate) logins: Logins,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) admissions: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// Taken by each change that is under way; whoever has all of them knows that none is.
    pub(crate) changes: Arc<Semaphore>,
    fixture: OnceLock<Fixture>,
    ended: watch::Sender<bool>,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Opens the registry, the tokens and the kept answers under the folders of a configuration.
    ///
    /// # Errors
    /// Whatever stands in the way of the start: bad keys, folders that cannot be made, `insecure_bind`.
    pub(crate) fn open(config: ControlConfig) -> Result<Self, Problem> {
        let bound = config.address()?;
        let now_ns = (config.clock)();
        let tokens = TokenStore::new(&config.control_dir());
        tokens.ensure_admin(now_ns)?;
        let keys = Idempotency::new(&config.control_dir().join("idempotency"), now_ns);
        let registry = open_registry(&config)?;
        Ok(Self(Arc::new(Shared {
            bound,
            tokens,
            registry,
            audit: Audit::new(&config.runs_dir.join("audit")),
            keys,
            services: Services::new(&config),
            batches: Batches::new(&config.runs_dir),
            events: Events::new(now_ns, config.sse_max),
            metrics: Metrics::new(),
            logins: Logins::default(),
            uploads: Arc::new(Semaphore::new(UPLOADS)),
            admissions: Arc::new(Semaphore::new(ADMISSIONS)),
            reads: Arc::new(Semaphore::new(READS)),
            changes: Arc::new(Semaphore::new(CHANGES)),
            fixture: OnceLock::new(),
            ended: watch::Sender::new(false),
            config,
        })))
    }

    pub(crate) fn now_ns(&self) -> i64 {
        (self.config.clock)()
    }

    /// The rows on which a pushed plugin is tried; made at the first push.
    pub(crate) fn fixture(&self) -> &Fixture {
        self.fixture.get_or_init(|| ghtrader_pipeline::standard_fixture(&self.config.calendar))
    }

    /// Runs work that blocks beside the requests.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let app = self.clone();
        tokio::task::spawn_blocking(move || work(&app)).await.unwrap_or_else(|_| {
            let what = "the request failed by a defect of this program";
            Err(Refusal::new("internal", ErrorClass::Internal, what, "report it with the server's log"))
        })
    }

    /// As [`Self::blocking`], for reads that hold much memory: few at once, the others wait a while.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let turn = tokio::time::timeout(self.config.timing.body, self.reads.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let what = format!("{READS} reads of stored rows are under way");
            return Err(Refusal::new(
                "too_many_reads",
                ErrorClass::Limit,
                what,
                "ask again soon, or for less at a time",
            )
            .bound(READS));
        };
        // The turn ends with the work, even if nobody waits for the answer any more.
        self.blocking(move |app| {
            let done = work(app);
            drop(turn);
            done
        })
        .await
    }

    /// Writes an entry and tells those who follow the audit.
    pub(crate) fn record(&self, entry: AuditEntry) -> Result<AuditRecord, AuditError> {
        let record = self.audit.append(self.now_ns(), entry)?;
        let data = serde_json::to_value(&record).unwrap_or_default();
        self.events.publish(Topic::Audit, "", "", data, Instant::now());
        Ok(record)
    }

    /// Ends all streams and lets no new connection in.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    pub(crate) fn ended(&self) -> watch::Receiver<bool> {
        self.ended.subscribe()
    }

    /// Waits for the end.
    pub(crate) async fn ending(&self) {
        // The sender lives as long as this does.
        let _ = self.ended().wait_for(|e| *e).await;
    }
}

/// An entry of an actor; what came of it is still to be filled in.
pub(crate) fn entry(who: &Identity, action: &str, subject: &str, outcome: Outcome) -> AuditEntry {
    AuditEntry {
        actor: who.name.clone(),
        role: who.role.to_string(),
        action: action.to_owned(),
        subject: subject.to_owned(),
        generation: None,
        from: String::new(),
        to: String::new(),
        plan_hash: String::new(),
        operation: String::new(),
        reason: String::new(),
        evidence: Vec::new(),
        outcome,
    }
}

/// Opens the registry that a configuration names; services open the same one.
///
/// # Errors
/// Bad keys, a folder that cannot be made, a machine that cannot run compiled components.
pub fn open_registry(config: &ControlConfig) -> Result<Registry, Problem> {
    let host = PluginHost::new(config.plugins.clone()).map_err(|f| Finding::into_problem(&[f]))?;
    Ok(Registry::open(registry_config(config)?, host)?)
}

/// What a lineup may use under a configuration.
pub fn planning_room(config: &ControlConfig) -> Room {
    Room {
        root: config.root.clone(),
        models_dir: config.data_dir.join("models"),
        limits: config.plugins.limits,
        max_instances: config.plugins.max_instances,
        ring_rows: config.settings.integer("lineup.ring_rows").unsigned_abs(),
    }
}

fn registry_config(config: &ControlConfig) -> Result<RegistryConfig, Problem> {
    let signature = match config.settings.text_of("plugin.signature") {
        Some("off") => SignaturePolicy::Off,
        Some("require") => SignaturePolicy::Require,
        _ => SignaturePolicy::Warn,
    };
    let keys = config.settings.texts("plugin.trusted_keys");
    let trusted_keys = keys.iter().map(|k| k.parse()).collect::<Result<_, ghtrader_plugin::KeyError>>()?;
    Ok(RegistryConfig { root: registry_dir(&config.data_dir), signature, trusted_keys })
}

/// Folder of the registry under the one of data.
pub(crate) fn registry_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("registry")
}
