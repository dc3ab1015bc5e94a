//! The accounts' services, asked over their local sockets.

use crate::config::ControlConfig;
use crate::refusal::Refusal;
use ghtrader_core::{ContractTable, ErrorClass};
use ghtrader_trading::protocol::{Call, VarietyView};
use ghtrader_trading::{Client, ClientError, socket_path};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Reads of services that run at once; changes have no such bound, so a halt never waits behind readers.
const READS: usize = 64;

/// All services of one root.
#[derive(Debug)]
pub(crate) struct Services {
    runs_dir: PathBuf,
    read: Duration,
    change: Duration,
    reads: Arc<Semaphore>,
}

impl Services {
    pub(crate) fn new(config: &ControlConfig) -> Self {
        Self {
            runs_dir: config.runs_dir.clone(),
            read: config.timing.read,
            change: config.timing.change,
            reads: Arc::new(Semaphore::new(READS)),
        }
    }

    /// Accounts whose service has a socket, by name. A socket that a killed service left counts too.
    pub(crate) fn accounts(&self) -> Vec<String> {
        accounts(&self.runs_dir)
    }

    /// Asks a service for something that changes nothing.
    pub(crate) async fn read<T: DeserializeOwned>(&self, account: &str, call: Call) -> Result<T, Refusal> {
        let permit = tokio::time::timeout(self.read, self.reads.clone().acquire_owned()).await;
        let Ok(Ok(_permit)) = permit else {
            return Err(Refusal::new(
                "too_many_reads",
                ErrorClass::Limit,
                format!("{READS} reads of services are waiting"),
                "ask again a little later",
            ));
        };
        typed(self.call(account, call, self.read).await?)
    }

    /// Asks a service to do something.
    pub(crate) async fn change<T: DeserializeOwned>(&self, account: &str, call: Call) -> Result<T, Refusal> {
        typed(self.call(account, call, self.change).await?)
    }

    async fn call(&self, account: &str, call: Call, timeout: Duration) -> Result<Value, Refusal> {
        let client = Client::new(&self.runs_dir, account);
        let answer = tokio::task::spawn_blocking(move || client.call(call, timeout)).await;
        match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(internal("a call of a service ended by a defect of this program")),
        }
    }

    /// The account that a request means: the one it names, else the only one that runs the variety.
    pub(crate) async fn account_of(&self, named: Option<&str>, variety: &str) -> Result<String, Refusal> {
        if !is_product(variety) {
            return Err(unknown_variety(variety));
        }
        if let Some(named) = named {
            return self.account(named);
        }
        let accounts = self.accounts();
        if let [only] = accounts.as_slice() {
            return Ok(only.clone());
        }
        let mut running = Vec::new();
        let mut answered = false;
        for account in accounts {
            let call = Call::Variety { variety: variety.to_owned() };
            match self.read::<VarietyView>(&account, call).await {
                Ok(_) => running.push(account),
                Err(refusal) => answered |= refusal.code() == "unknown_variety",
            }
        }
        match running.as_slice() {
            [] if answered => Err(unknown_variety(variety)),
            [] => Err(nothing_runs()),
            [one] => Ok(one.clone()),
            several => Err(ambiguous(several)),
        }
    }

    /// The account that a request means where no variety is named.
    pub(crate) async fn only_account(&self, named: Option<&str>) -> Result<String, Refusal> {
        if let Some(named) = named {
            return self.account(named);
        }
        let mut answering = Vec::new();
        let mut accounts = self.accounts();
        if accounts.len() == 1 {
            return accounts.pop().ok_or_else(nothing_runs);
        }
        for account in accounts {
            if self.read::<Value>(&account, Call::Status).await.is_ok() {
                answering.push(account);
            }
        }
        match answering.as_slice() {
            [] => Err(nothing_runs()),
            [one] => Ok(one.clone()),
            several => Err(ambiguous(several)),
        }
    }

    /// An account that exists; whether its service runs shows at the call.
    pub(crate) fn account(&self, name: &str) -> Result<String, Refusal> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_name = !name.is_empty() && name.len() <= 64 && name.chars().all(plain);
        if is_name && self.runs_dir.join("trading").join(name).is_dir() {
            return Ok(name.to_owned());
        }
        Err(Refusal::new(
            "unknown_account",
            ErrorClass::User,
            format!("there is no account `{name}`"),
            "GET /api/v1/accounts lists all",
        )
        .value(name))
    }
}

/// Accounts with a socket under a folder of runs, by name.
pub(crate) fn accounts(runs_dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(runs_dir.join("trading")).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| socket_path(runs_dir, name).exists()).collect();
    names.sort();
    names
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|e| internal(&format!("the service's answer has another form: {e}")))
}

fn internal(what: &str) -> Refusal {
    Refusal::new("internal", ErrorClass::Internal, what, "report this; server and service may be of different versions")
}

/// The product is in the contract table.
fn is_product(variety: &str) -> bool {
    ContractTable::builtin().varieties().any(|v| v.product() == variety)
}

/// The variety is not traded here.
fn unknown_variety(variety: &str) -> Refusal {
    Refusal::new(
        "unknown_variety",
        ErrorClass::User,
        format!("there is no variety `{variety}`"),
        "GET /api/v1/varieties lists those that run",
    )
    .value(variety)
}

pub(crate) fn nothing_runs() -> Refusal {
    Refusal::new(
        "service_unavailable",
        ErrorClass::Unavailable,
        "no account's service runs",
        "start one: `ghtrader paper run --account paper --var cu --lineup FILE`",
    )
}

fn ambiguous(accounts: &[String]) -> Refusal {
    Refusal::new(
        "account_ambiguous",
        ErrorClass::Conflict,
        format!("several accounts could be meant: {}", accounts.join(", ")),
        "name one with ?account=",
    )
}

impl From<ClientError> for Refusal {
    fn from(e: ClientError) -> Self {
        match e {
            ClientError::Refused(failure) => failure.into(),
            ClientError::NotRunning { ref account } => Self::new(
                "service_unavailable",
                ErrorClass::Unavailable,
                e.to_string(),
                format!("start it: `ghtrader paper run --account {account} --var cu --lineup FILE`"),
            ),
            ClientError::Broken { .. } => Self::new(
                "service_broken_off",
                ErrorClass::Unavailable,
                e.to_string(),
                "look at the variety and its operations before asking again; with If-Match nothing is done twice",
            ),
        }
    }
}
