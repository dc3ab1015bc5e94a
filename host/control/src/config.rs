//! What the server is started with.

use crate::clock::{Clock, wall_clock_ns};
use ghtrader_core::{Calendar, ErrorClass, Problem};
use ghtrader_plugin::HostConfig;
use ghtrader_settings::Settings;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the server waits for others.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For the head of a request, and for the next one on a connection that is kept.
    pub head: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For the body of an upload.
    pub upload: Duration,
    /// For a client that takes nothing of its answer.
    pub stall: Duration,
    /// For an account's service that is read.
    pub read: Duration,
    /// For an account's service that is to do something.
    pub change: Duration,
    /// Between two signs of life on a stream of events.
    pub heartbeat: Duration,
    /// For requests that are under way when the server ends.
    pub grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(30),
            body: seconds(10),
            upload: seconds(120),
            stall: seconds(30),
            read: seconds(5),
            change: seconds(30),
            heartbeat: seconds(15),
            grace: seconds(10),
        }
    }
}

/// What the server is started with.
#[derive(Debug, Clone)]
pub struct ControlConfig {
    /// Root of the project.
    pub root: PathBuf,
    /// Folder of services, audit and this server's own files.
    pub runs_dir: PathBuf,
    /// Folder of the store and the registry.
    pub data_dir: PathBuf,
    /// Address to listen on: an IP address or `localhost`.
    pub host: String,
    /// Port; 0 = any free one.
    pub port: u16,
    /// Another address than loopback is allowed.
    pub behind_proxy: bool,
    /// Clients that may follow events at once.
    pub sse_max: usize,
    /// Free disk space below which the server is not ready, GiB.
    pub min_free_gib: u64,
    /// Limits of plugins that are pushed.
    pub plugins: HostConfig,
    /// Trading days and sessions of the fixture that plugins are tried on.
    pub calendar: Calendar,
    /// All settings, to be shown.
    pub settings: Settings,
    /// Time limits.
    pub timing: Timing,
    /// Where the time comes from.
    pub clock: Clock,
    /// `ghtrader` with the flags that give it this root and these settings, for what runs as a process of its own; empty
    /// where nothing may.
    pub program: Vec<OsString>,
}

impl ControlConfig {
    /// The configuration that settings describe.
    pub fn new(root: &Path, settings: &Settings, calendar: &Calendar, plugins: HostConfig) -> Self {
        let folder = |key: &str| root.join(settings.text_of(key).unwrap_or_default());
        let whole = |key: &str| settings.integer(key).unsigned_abs();
        Self {
            root: root.to_path_buf(),
            runs_dir: folder("runs_dir"),
            data_dir: folder("data_dir"),
            host: settings.text_of("server.host").unwrap_or_default().to_owned(),
            // The setting's own bounds are those of a port.
            port: whole("server.port") as u16,
            behind_proxy: settings.flag("server.behind_proxy"),
            sse_max: whole("server.sse_max") as usize,
            min_free_gib: whole("store.min_free_gib"),
            plugins,
            calendar: calendar.clone(),
            settings: settings.clone(),
            timing: Timing::default(),
            clock: wall_clock_ns,
            program: Vec::new(),
        }
    }

    /// Folder of this server's own files.
    pub(crate) fn control_dir(&self) -> PathBuf {
        self.runs_dir.join("control")
    }

    /// The address to listen on; names are not looked up.
    ///
    /// # Errors
    /// `bad_host`, or `insecure_bind` for another address than loopback without a proxy.
    pub(crate) fn address(&self) -> Result<IpAddr, Problem> {
        let plain = self.host.trim_start_matches('[').trim_end_matches(']');
        let address = match plain.parse() {
            Ok(address) => address,
            Err(_) if plain == "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Err(_) => {
                let what = format!("server.host = `{}` is no IP address", self.host);
                return Err(Problem::new("bad_host", ErrorClass::User, what, "write 127.0.0.1 or another address"));
            }
        };
        if address.is_loopback() || self.behind_proxy {
            return Ok(address);
        }
        Err(Problem::new(
            "insecure_bind",
            ErrorClass::User,
            format!("server.host = {address} would show the API to the network without TLS"),
            "listen on 127.0.0.1, or put a proxy that speaks TLS in front and set server.behind_proxy = true",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-14
    #[test]
    fn only_loopback_is_listened_on_without_a_proxy() {
        let plain = Settings::default();
        let base = ControlConfig::new(Path::new("r"), &plain, Calendar::builtin(), HostConfig::default());
        assert_eq!((base.port, base.runs_dir.as_path()), (8600, Path::new("r/runs")));
        for (host, behind_proxy, code) in [
            ("127.0.0.1", false, ""),
            ("localhost", false, ""),
            ("::1", false, ""),
            ("[::1]", false, ""),
            ("0.0.0.0", false, "insecure_bind"),
            ("::", false, "insecure_bind"),
            ("10.0.0.1", false, "insecure_bind"),
            ("0.0.0.0", true, ""),
            ("example.org", true, "bad_host"),
            ("", false, "bad_host"),
        ] {
            let config = ControlConfig { host: host.to_owned(), behind_proxy, ..base.clone() };
            assert_eq!(config.address().map_or_else(|p| p.code, |_| ""), code, "{host}");
        }
    }
}
