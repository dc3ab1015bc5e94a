//! The asking side of the socket.

use crate::protocol::{Call, Failure, PROTOCOL_VERSION, Reply, Request, ServiceEvent};
use ghtrader_core::{ErrorClass, Problem};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the service of an account listens, under the folder of runs.
pub fn socket_path(runs_dir: &Path, account: &str) -> PathBuf {
    runs_dir.join("trading").join(account).join("service.sock")
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens: the service does not run.
    #[error("the service of account {account} does not run")]
    NotRunning {
        /// The account.
        account: String,
    },
    /// The connection broke; whether the call was carried out is not known.
    #[error("the service of account {account} broke off: {source}")]
    Broken {
        /// The account.
        account: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The service refused.
    #[error("{}", .0.what)]
    Refused(Failure),
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        let what = error.to_string();
        match error {
            ClientError::NotRunning { account } => Self::new(
                "service_unavailable",
                ErrorClass::Unavailable,
                what,
                format!("start it: ghtrader paper run --account {account} --var cu,au,ag"),
            ),
            ClientError::Broken { .. } => {
                Self::new("service_broken", ErrorClass::Unavailable, what, "look at the variety before you ask again")
            }
            // The codes of a service are those of this program; one that is not known comes from another version.
            ClientError::Refused(failure) => {
                let what = format!("[{}] {}", failure.code, failure.what);
                Self::new("service_refused", failure.error_class(), what, failure.remedy)
            }
        }
    }
}

/// Asks one account's service; each call has a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    account: String,
    path: PathBuf,
}

impl Client {
    /// A client of an account.
    pub fn new(runs_dir: &Path, account: &str) -> Self {
        Self { account: account.to_owned(), path: socket_path(runs_dir, account) }
    }

    /// Asks and waits for the answer, at most `timeout`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn call(&self, call: Call, timeout: Duration) -> Result<Value, ClientError> {
        let stream = self.send(call, timeout)?;
        let mut line = String::new();
        let broken = |source| ClientError::Broken { account: self.account.clone(), source };
        if BufReader::new(stream).read_line(&mut line).map_err(broken)? == 0 {
            return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
        }
        match serde_json::from_str(&line).map_err(|e| broken(e.into()))? {
            Reply::Ok(value) => Ok(value),
            Reply::Error(failure) => Err(ClientError::Refused(failure)),
        }
    }

    /// Hands over events until `each` answers false or the service ends.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn subscribe(&self, mut each: impl FnMut(ServiceEvent) -> bool) -> Result<(), ClientError> {
        let stream = self.send(Call::Subscribe, Duration::from_secs(5))?;
        let broken = |source| ClientError::Broken { account: self.account.clone(), source };
        stream.set_read_timeout(None).map_err(broken)?;
        for line in BufReader::new(stream).lines() {
            let event = serde_json::from_str(&line.map_err(broken)?).map_err(|e| broken(e.into()))?;
            if !each(event) {
                break;
            }
        }
        Ok(())
    }

    fn send(&self, call: Call, timeout: Duration) -> Result<UnixStream, ClientError> {
        let mut stream =
            UnixStream::connect(&self.path).map_err(|_| ClientError::NotRunning { account: self.account.clone() })?;
        let broken = |source| ClientError::Broken { account: self.account.clone(), source };
        stream.set_read_timeout(Some(timeout)).map_err(broken)?;
        stream.set_write_timeout(Some(timeout)).map_err(broken)?;
        let request = Request { version: PROTOCOL_VERSION, call };
        let mut line = serde_json::to_vec(&request).map_err(|e| broken(e.into()))?;
        line.push(b'\n');
        stream.write_all(&line).map_err(broken)?;
        Ok(stream)
    }
}
