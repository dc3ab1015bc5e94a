//! What a source said, kept for a while: the next command need not ask again.

use crate::context::{Context, publish};
use crate::output::document;
use ghtrader_control::wall_clock_ns;
use ghtrader_core::{Digest, Problem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is kept, with the source and the time.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    asked_ns: i64,
    /// Digest of the source's addresses: another source is asked anew.
    source: Digest,
    found: T,
}

/// What a source has said, now or before.
pub(crate) struct Told<T> {
    pub(crate) found: T,
    /// When the source was asked, ns since the epoch.
    pub(crate) asked_ns: i64,
    /// How long ago that is; 0 for an answer of now.
    pub(crate) age_ns: i64,
    kept: bool,
}

impl<T> Told<T> {
    /// The source was not asked now.
    pub(crate) const fn is_kept(&self) -> bool {
        self.kept
    }
}

/// The answer that is kept in a file of the folder of runs if it is younger than `longest_ns` and came from the source of
/// the settings; else that of `ask`, which is kept then.
pub(crate) fn told<T: Serialize + DeserializeOwned>(
    context: &Context,
    file: &str,
    longest_ns: i64,
    again: bool,
    ask: impl FnOnce() -> Result<T, Problem>,
) -> Result<Told<T>, Problem> {
    let path = context.dir("runs_dir").join(file);
    let urls = ["diff.auth_url", "diff.md_url", "diff.names_url"].map(|k| context.settings.text_of(k).unwrap_or(""));
    let source = Digest::of(urls.join("\n").as_bytes());
    let now_ns = wall_clock_ns();
    let kept = if again { None } else { load::<T>(&path) };
    // A clock that was set back makes what is kept look younger than it is.
    let young = |k: &Kept<T>| k.source == source && (0..longest_ns).contains(&(now_ns - k.asked_ns));
    if let Some(Kept { asked_ns, found, .. }) = kept.filter(young) {
        return Ok(Told { found, asked_ns, age_ns: now_ns - asked_ns, kept: true });
    }
    let kept = Kept { asked_ns: now_ns, source, found: ask()? };
    publish(&path, format!("{:#}\n", document(&kept)?).as_bytes())?;
    Ok(Told { found: kept.found, asked_ns: now_ns, age_ns: 0, kept: false })
}

/// A file that cannot be read is made again.
fn load<T: DeserializeOwned>(path: &Path) -> Option<Kept<T>> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}
