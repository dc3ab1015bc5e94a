//! A QuestDB server on this machine: its jar, and `cargo xtask questdb up|down|status`.

use crate::steps::{Failure, Step, apt_install, root};
use questdb_server::{
    COORDINATES, JAVA, Options, VERSION, answers, command, is_alive, jar, jar_folder, java, signal, url,
};
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask questdb up [--dir DIR] [--port N] [--pg-port N]   starts a server on loopback and waits until it answers
cargo xtask questdb down [--dir DIR]                          ends it by its process id
cargo xtask questdb status [--dir DIR]                        says whether it runs; exit 1 if not

DIR holds the data, by default data/questdb of the checkout; --port is 9000 and --pg-port 8812 if not given";

/// Debian's packages that bring a Java which is new enough, and Maven.
const PACKAGES: [&str; 2] = ["openjdk-17-jre-headless", "maven"];
/// The plugin by which Maven copies one jar.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";
/// Longest time until a server answers, and until it has written everything and ended.
const PATIENCE: Duration = Duration::from_secs(60);

/// Installs Java and the server's jar if they are missing: the jar by Maven, as the user has set it up, into the user's cache.
pub(crate) fn setup() -> Result<(), Failure> {
    let maven = || Step::new("mvn").args(&["--version".to_owned()]).output().is_some();
    if java().is_none() || (jar().is_none() && !maven()) {
        apt_install(&PACKAGES)?;
    }
    if java().is_none() {
        return Err(Failure(format!("there is still no Java {JAVA} or newer")));
    }
    if jar().is_some() {
        return Ok(());
    }
    let folder = jar_folder().ok_or_else(|| Failure("there is no cache folder: HOME is not set".to_owned()))?;
    let mut step = Step::new("mvn");
    step.args(&["--batch-mode", "--quiet", COPY].map(String::from));
    step.arg(format!("-Dartifact={COORDINATES}")).arg(format!("-DoutputDirectory={}", folder.display()));
    // Outside of any project: a pom.xml where the user stands is none of this.
    fs::create_dir_all(&folder).map_err(|e| Failure(format!("cannot make {}: {e}", folder.display())))?;
    step.dir(&folder);
    step.run(&format!("install QuestDB {VERSION} into the user's cache"))?;
    match jar() {
        Some(_) => Ok(()),
        None => Err(Failure(format!("Maven left no questdb-{VERSION}.jar in {}", folder.display()))),
    }
}

/// As [`setup`], where the tests of the server can do without: they say that they are skipped.
pub(crate) fn try_setup() {
    if let Err(Failure(why)) = setup() {
        eprintln!("QuestDB could not be installed, its tests will skip: {why}");
    }
}

/// Flags as typed.
struct Flags {
    dir: PathBuf,
    port: u16,
    pg_port: u16,
}

impl Flags {
    fn read(args: &[String]) -> Result<Self, Failure> {
        let mut flags = Self { dir: root().join("data/questdb"), port: 9000, pg_port: 8812 };
        let mut args = args.iter();
        while let Some(flag) = args.next() {
            let value = args.next().ok_or_else(|| Failure(format!("{flag} needs a value\n\n{HELP}")))?;
            let port = || {
                let number = value.parse().ok().filter(|port| *port > 0);
                number.ok_or_else(|| Failure(format!("{flag} {value}: a port is a number from 1 to 65535")))
            };
            match flag.as_str() {
                "--dir" => flags.dir = PathBuf::from(value),
                "--port" => flags.port = port()?,
                "--pg-port" => flags.pg_port = port()?,
                _ => return Err(Failure(format!("there is no flag {flag}\n\n{HELP}"))),
            }
        }
        Ok(flags)
    }

    fn state(&self) -> PathBuf {
        self.dir.join("server.pid")
    }
}

/// A server that was started and has not ended.
struct Running {
    pid: u32,
    port: u16,
}

/// Reads who runs over a folder. A process id that belongs to somebody else by now counts as nobody.
fn running(flags: &Flags) -> Option<Running> {
    let text = fs::read_to_string(flags.state()).ok()?;
    let mut numbers = text.split_whitespace();
    let running = Running { pid: numbers.next()?.parse().ok()?, port: numbers.next()?.parse().ok()? };
    let words = fs::read(format!("/proc/{}/cmdline", running.pid)).ok()?;
    let ours = words.split(|byte| *byte == 0).any(|word| word.starts_with(b"io.questdb/"));
    (ours && is_alive(running.pid)).then_some(running)
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (what, rest) = args.split_first().map_or(("", &[][..]), |(what, rest)| (what.as_str(), rest));
    match what {
        "up" => up(&Flags::read(rest)?),
        "down" => down(&Flags::read(rest)?),
        "status" => status(&Flags::read(rest)?),
        _ => Err(Failure(HELP.to_owned())),
    }
}

fn up(flags: &Flags) -> Result<(), Failure> {
    if let Some(Running { pid, port }) = running(flags) {
        println!("process {pid} runs already: {}", url(port));
        return Ok(());
    }
    if answers(flags.port) {
        let port = flags.port;
        return Err(Failure(format!("another server answers on port {port}: use it, or take another --port")));
    }
    setup()?;
    let failed = |what: &str, path: &Path, e: std::io::Error| Failure(format!("cannot {what} {}: {e}", path.display()));
    fs::create_dir_all(&flags.dir).map_err(|e| failed("make", &flags.dir, e))?;
    let options = Options { pg_port: Some(flags.pg_port), ..Options::default() };
    let log = flags.dir.join("server.log");
    let out = File::options().create(true).append(true).open(&log).map_err(|e| failed("write", &log, e))?;
    let err = out.try_clone().map_err(|e| failed("write", &log, e))?;
    let mut server = command(&flags.dir, flags.port, &options).map_err(Failure)?;
    // A group of its own: what interrupts this command does not interrupt the server.
    server.process_group(0).stdin(Stdio::null()).stdout(out).stderr(err);
    eprintln!("==> start QuestDB {VERSION} over {}, log in {}", flags.dir.display(), log.display());
    let child = server.spawn().map_err(|e| Failure(format!("cannot start Java: {e}")))?;
    let state = flags.state();
    fs::write(&state, format!("{} {}\n", child.id(), flags.port)).map_err(|e| failed("write", &state, e))?;
    let began = Instant::now();
    while !answers(flags.port) {
        if !is_alive(child.id()) || began.elapsed() > PATIENCE {
            signal(child.id(), "-TERM");
            return Err(Failure(format!("the server does not answer; see {}", log.display())));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("process {}: {}, postgres on port {}", child.id(), url(flags.port), flags.pg_port);
    println!("use it with: --set store.backend=questdb --set store.questdb_url={}", url(flags.port));
    Ok(())
}

fn down(flags: &Flags) -> Result<(), Failure> {
    let Some(Running { pid, .. }) = running(flags) else {
        println!("no server runs over {}", flags.dir.display());
        return Ok(());
    };
    signal(pid, "-TERM");
    let began = Instant::now();
    while is_alive(pid) {
        if began.elapsed() > PATIENCE {
            return Err(Failure(format!("process {pid} has not ended in {} s", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    // A file that stays names a process that is gone.
    let _ = fs::remove_file(flags.state());
    println!("process {pid} has ended");
    Ok(())
}

fn status(flags: &Flags) -> Result<(), Failure> {
    match running(flags) {
        Some(Running { pid, port }) if answers(port) => {
            println!("process {pid}: {}", url(port));
            Ok(())
        }
        Some(Running { pid, port }) => Err(Failure(format!("process {pid} runs and does not answer on port {port}"))),
        None => Err(Failure(format!("no server runs over {}", flags.dir.display()))),
    }
}
