//! A real QuestDB server on loopback: where its jar lies, how it is started, how it is stopped.
//!
//! Depends on nothing but the standard library and the user's cache folder, so that set-up, tests and benchmarks share it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The version that tests and benchmarks use.
pub const VERSION: &str = "9.3.4";
/// Its Maven coordinates: one jar without dependencies.
pub const COORDINATES: &str = "org.questdb:questdb:9.3.4";
/// The oldest Java that runs it.
pub const JAVA: u32 = 17;
/// Names a jar that lies elsewhere than where set-up puts it.
pub const JAR_VARIABLE: &str = "GHTRADER_QUESTDB_JAR";

/// Longest time until a server answers, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// The folder into which set-up puts the jar.
pub fn jar_folder() -> Option<PathBuf> {
    ghtrader_toolchain::user_cache().map(|cache| cache.join("questdb"))
}

/// The jar, if it is there.
pub fn jar() -> Option<PathBuf> {
    let named = std::env::var_os(JAR_VARIABLE).map(PathBuf::from);
    let jar = named.or_else(|| jar_folder().map(|folder| folder.join(format!("questdb-{VERSION}.jar"))))?;
    jar.is_file().then_some(jar)
}

/// The program `java`, if there is one that is new enough.
pub fn java() -> Option<PathBuf> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    home.into_iter().chain([PathBuf::from("java")]).find(|java| major(java).is_some_and(|found| found >= JAVA))
}

/// `openjdk version "17.0.15" 2025-04-15` → 17.
fn major(java: &Path) -> Option<u32> {
    let said = Command::new(java).arg("-version").output().ok()?;
    let text = String::from_utf8_lossy(&said.stderr);
    text.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

/// What a server is started with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Port of HTTP on 127.0.0.1; 0 = any free one.
    pub http_port: u16,
    /// Port of the Postgres protocol on 127.0.0.1; `None` = it is off.
    pub pg_port: Option<u16>,
    /// Settings as the server names them in its environment, such as `QDB_READONLY`.
    pub environment: Vec<(String, String)>,
    /// Pages of a test's size: a table takes kilobytes, not a gigabyte.
    pub small: bool,
    /// The folder is removed when the server has ended.
    pub throw_away: bool,
    /// A shell line that runs before the server, in a mount namespace of its own, such as one that mounts a small disk.
    pub before: Option<String>,
}

/// The command that runs a server over a folder in the foreground. Every acknowledged write is on the disk.
///
/// # Errors
/// Java or the jar is missing, with what to do.
pub fn command(folder: &Path, http_port: u16, options: &Options) -> Result<Command, String> {
    let java = java().ok_or_else(|| format!("there is no Java {JAVA} or newer: install a JRE, or set JAVA_HOME"))?;
    let jar = jar().ok_or_else(|| {
        format!("{COORDINATES} is not installed: run `cargo xtask setup`, or name the jar by {JAR_VARIABLE}")
    })?;
    let mut command = Command::new(java);
    if options.small {
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    }
    command.arg("-p").arg(jar).args(["-m", "io.questdb/io.questdb.ServerMain", "-d"]).arg(folder);
    let off = "false".to_owned();
    let mut settings = vec![
        ("QDB_HTTP_BIND_TO", format!("127.0.0.1:{http_port}")),
        ("QDB_HTTP_MIN_ENABLED", off.clone()),
        ("QDB_LINE_TCP_ENABLED", off.clone()),
        ("QDB_TELEMETRY_ENABLED", off.clone()),
        ("QDB_CAIRO_COMMIT_MODE", "sync".to_owned()),
        ("QDB_PG_ENABLED", options.pg_port.is_some().to_string()),
    ];
    settings.extend(options.pg_port.map(|port| ("QDB_PG_NET_BIND_TO", format!("127.0.0.1:{port}"))));
    if options.small {
        let page = || (256 << 10).to_string();
        settings.extend([
            ("QDB_CAIRO_WRITER_DATA_APPEND_PAGE_SIZE", page()),
            ("QDB_CAIRO_O3_COLUMN_MEMORY_SIZE", page()),
            ("QDB_CAIRO_WAL_WRITER_DATA_APPEND_PAGE_SIZE", page()),
            ("QDB_CAIRO_SYSTEM_WRITER_DATA_APPEND_PAGE_SIZE", page()),
            ("QDB_SHARED_WORKER_COUNT", "2".to_owned()),
        ]);
    }
    command.envs(settings).envs(options.environment.iter().map(|(k, v)| (k, v)));
    Ok(command)
}

/// A running server. It ends when this is dropped, and also when this process ends in any other way.
///
/// Between this process and Java stands a shell that waits for the end of its input.
#[derive(Debug)]
pub struct Server {
    shell: Child,
    pid: u32,
    http_port: u16,
}

impl Server {
    /// Starts a server over a folder and waits until it answers.
    ///
    /// # Errors
    /// As [`command`], and a server that does not answer, with the end of its log.
    pub fn start(folder: &Path, options: &Options) -> Result<Self, String> {
        // Between finding a free port and binding it another process may take it.
        let tries = if options.http_port == 0 { 3 } else { 1 };
        let mut last = String::new();
        for _ in 0..tries {
            let http_port = match options.http_port {
                0 => free_port()?,
                port => port,
            };
            match Self::start_at(folder, http_port, options) {
                Ok(server) => return Ok(server),
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    fn start_at(folder: &Path, http_port: u16, options: &Options) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        let java = command(folder, http_port, options)?;
        let log = folder.join("server.log");
        let before = options.before.clone().unwrap_or_else(|| ":".to_owned());
        let after = if options.throw_away { format!("rm -rf '{}'", folder.display()) } else { ":".to_owned() };
        // A background process of a shell reads from nothing: the end of the input reaches the shell alone.
        let script = format!(
            "{before} || exit 77; \"$0\" \"$@\" >>'{}' 2>&1 </dev/null & pid=$!; echo $pid; read -r _; kill $pid 2>&-; wait $pid; {after}",
            log.display()
        );
        let mut shell = match options.before {
            None => Command::new("sh"),
            Some(_) => {
                let mut own_mounts = Command::new("unshare");
                own_mounts.args(["--mount", "--map-root-user", "sh"]);
                own_mounts
            }
        };
        shell.arg("-c").arg(script).arg(java.get_program()).args(java.get_args());
        shell.envs(java.get_envs().filter_map(|(k, v)| Some((k, v?))));
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().map_err(|e| format!("cannot start a shell: {e}"))?;
        let mut said = String::new();
        if let Some(stdout) = shell.stdout.take() {
            // Nothing said is a shell that ended before Java did.
            let _ = BufReader::new(stdout).read_line(&mut said);
        }
        let Ok(pid) = said.trim().parse() else {
            let status = shell.wait().map_err(|e| e.to_string())?;
            return Err(format!("the server was not started ({status})"));
        };
        let server = Self { shell, pid, http_port };
        let began = Instant::now();
        while !answers(http_port) {
            if !is_alive(pid) || began.elapsed() > PATIENCE {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                let end: Vec<&str> = text.lines().rev().take(20).collect();
                let end: Vec<&str> = end.into_iter().rev().collect();
                return Err(format!("the server on port {http_port} does not answer:\n{}", end.join("\n")));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(server)
    }

    /// Such as `http://127.0.0.1:9000`.
    pub fn url(&self) -> String {
        url(self.http_port)
    }

    /// Port of HTTP.
    pub fn http_port(&self) -> u16 {
        self.http_port
    }

    /// Process id of Java.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends it as a power cut would: SIGKILL, and gone when this returns.
    pub fn kill(&mut self) {
        signal(self.pid, "-KILL");
        self.end();
    }

    fn end(&mut self) {
        // The shell takes the end of its input as the word to stop Java, and then waits for it.
        drop(self.shell.stdin.take());
        // Whatever comes back, it has ended.
        let _ = self.shell.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that nobody listens on now.
///
/// # Errors
/// The system has none.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| format!("there is no free port: {e}"))?;
    Ok(listener.local_addr().map_err(|e| e.to_string())?.port())
}

/// The address of a server on this machine.
pub fn url(http_port: u16) -> String {
    format!("http://127.0.0.1:{http_port}")
}

/// Whether a server on this machine answers a query.
pub fn answers(http_port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http_port));
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let host = url(http_port);
        let host = host.trim_start_matches("http://");
        write!(stream, "GET /exec?query=select%201 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b"200") || head.ends_with(b"401"))
    };
    ask().unwrap_or(false)
}

/// Whether a process runs.
pub fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return signal(pid, "-0");
    };
    // A process that has ended and was not waited for is no longer alive.
    stat.rsplit(')').next().is_none_or(|rest| !rest.trim_start().starts_with('Z'))
}

/// Sends a signal, such as `-TERM`; whether it could be sent.
pub fn signal(pid: u32, signal: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([signal, &pid.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    kill.status().is_ok_and(|status| status.success())
}
