//! A Python environment of its own in the user's cache: the readers and peers that tests and benchmarks compare with.

use crate::steps::{Failure, Step, user_cache};
use std::{fs, path::PathBuf};

/// Pinned, so that a test means the same tomorrow.
const PACKAGES: [&str; 5] = ["duckdb==2.0.0", "numpy==2.4.6", "pandas==3.1.1", "polars==2.1.0", "pyarrow==26.0.1"];

/// Installs what is missing and gives the interpreter's path.
pub(crate) fn setup() -> Result<PathBuf, Failure> {
    let home = user_cache().join("python");
    let (python, stamp) = (home.join("bin/python"), home.join("packages.txt"));
    let wanted = PACKAGES.join("\n");
    if python.exists() && fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    let make = |what: &str| Step::new("python3").args(&["-m", "venv"].map(String::from)).arg(&home).run(what);
    if make("make a Python environment in the user's cache").is_err() {
        Step::new("apt-get").args(&["update".to_owned()]).run("refresh Debian's package list")?;
        Step::new("apt-get")
            .args(&["install", "-y", "--no-install-recommends", "python3", "python3-venv"].map(String::from))
            .run("install python3 and python3-venv")?;
        make("make a Python environment in the user's cache")?;
    }
    let mut install = Step::new(&python);
    install.args(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"].map(String::from));
    install.args(&PACKAGES.map(String::from));
    install.run(&format!("install {}", PACKAGES.join(", ")))?;
    fs::write(&stamp, wanted).map_err(|e| Failure(format!("cannot write {}: {e}", stamp.display())))?;
    Ok(python)
}
