//! Python environments of their own in the user's cache: what tests and benchmarks compare with, and Ray.

use crate::steps::{Failure, Step, apt_install, user_cache};
use std::{fs, path::PathBuf};

/// Packages in a folder of the user's cache; pinned, so that a test means the same tomorrow.
pub(crate) struct Environment {
    folder: &'static str,
    packages: &'static [&'static str],
}

/// The readers and peers of tests and benchmarks.
pub(crate) const PEERS: Environment = Environment {
    folder: "python",
    packages: &["duckdb==2.0.0", "numpy==2.4.6", "pandas==3.1.1", "polars==2.1.0", "pyarrow==26.0.1", "questdb==6.0.0"],
};

/// The official client of the DIFF protocol, which the DIFF server is tested with; what it stands on is pinned with it.
pub(crate) const CLIENT: Environment = Environment {
    folder: "diff",
    packages: &["tqsdk==3.10.4", "numpy==2.4.6", "pandas==3.0.6", "requests==2.34.2", "websockets==17.4"],
};

/// Ray for batches on many machines, and what checks the Kubernetes file; 0.5 GB, so only when somebody asks for it.
pub(crate) const RAY: Environment =
    Environment { folder: "ray", packages: &["ray[default]==2.60.0", "kubernetes-validate==1.37.0"] };

impl Environment {
    /// The interpreter, if everything is installed.
    pub(crate) fn installed(&self) -> Option<PathBuf> {
        let python = self.home().join("bin/python");
        let whole = fs::read_to_string(self.stamp()).is_ok_and(|have| have == self.packages.join("\n"));
        (whole && python.exists()).then_some(python)
    }

    /// Installs what is missing and gives the interpreter's path.
    pub(crate) fn setup(&self) -> Result<PathBuf, Failure> {
        if let Some(python) = self.installed() {
            return Ok(python);
        }
        let (home, python) = (self.home(), self.home().join("bin/python"));
        let make = |what: &str| Step::new("python3").args(&["-m", "venv"].map(String::from)).arg(&home).run(what);
        if make("make a Python environment in the user's cache").is_err() {
            apt_install(&["python3", "python3-venv"])?;
            make("make a Python environment in the user's cache")?;
        }
        let mut install = Step::new(&python);
        install.args(&["-m", "pip", "install", "--quiet", "--disable-pip-version-check"].map(String::from));
        install.args(&self.packages.iter().map(ToString::to_string).collect::<Vec<_>>());
        install.run(&format!("install {}", self.packages.join(", ")))?;
        let stamp = self.stamp();
        fs::write(&stamp, self.packages.join("\n"))
            .map_err(|e| Failure(format!("cannot write {}: {e}", stamp.display())))?;
        Ok(python)
    }

    fn home(&self) -> PathBuf {
        user_cache().join(self.folder)
    }

    fn stamp(&self) -> PathBuf {
        self.home().join("packages.txt")
    }
}
