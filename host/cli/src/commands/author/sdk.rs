//! The SDK's sources, which travel inside the program, so that a plugin compiles where there is no checkout.
//!
//! They lie in the user's cache under their digest, one copy for all plugins; a crate reaches them by the link
//! `.ghtrader/sdk`. That path is the same in every crate on every machine, so that neither its `Cargo.toml` nor its
//! artefact knows where anything lies.

use crate::context::io_problem;
use ghtrader_core::{DigestBuilder, ErrorClass, Problem};
use include_dir::{Dir, DirEntry, File, include_dir};
use std::path::{Path, PathBuf};

static KERNELS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/kernels/src");
static PLUGIN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/plugin/src");
const WORKSPACE: &str = include_str!("../../../../../Cargo.toml");
const MANIFESTS: [(&str, &str); 2] = [
    ("sdk/kernels/Cargo.toml", include_str!("../../../../../sdk/kernels/Cargo.toml")),
    ("sdk/plugin/Cargo.toml", include_str!("../../../../../sdk/plugin/Cargo.toml")),
];

/// Where a crate finds the SDK.
const LINK: &str = ".ghtrader/sdk";

/// Gives a crate its SDK, if its `Cargo.toml` asks for this one.
pub(crate) fn link(dir: &Path) -> Result<(), Problem> {
    let asked = std::fs::read_to_string(dir.join("Cargo.toml")).is_ok_and(|text| text.contains(LINK));
    if !asked {
        return Ok(());
    }
    let (sdk, link) = (unpack()?, dir.join(LINK));
    if std::fs::read_link(&link).is_ok_and(|there| there == sdk) {
        return Ok(());
    }
    let failed = |e: std::io::Error| io_problem("unwritable", &format!("cannot link {}", link.display()), &e);
    let own = dir.join(".ghtrader");
    std::fs::create_dir_all(&own).map_err(failed)?;
    // Over the old link in one step: another command may be compiling from it.
    let fresh = own.join(format!(".sdk-{}", std::process::id()));
    let _ = std::fs::remove_file(&fresh);
    std::os::unix::fs::symlink(&sdk, &fresh).and_then(|()| std::fs::rename(&fresh, &link)).map_err(|e| {
        let _ = std::fs::remove_file(&fresh);
        failed(e)
    })
}

/// Writes what is missing or changed; every file is published whole, so that two commands at once agree.
fn unpack() -> Result<PathBuf, Problem> {
    let files = files()?;
    let mut digest = DigestBuilder::new("ghtrader sdk 1");
    for (name, bytes) in &files {
        digest.text(name).bytes(bytes);
    }
    let dir = user_cache()?.join("sdk").join(digest.finish().short16());
    for (name, bytes) in &files {
        let path = dir.join(name);
        if std::fs::read(&path).is_ok_and(|there| there == *bytes) {
            continue;
        }
        ghtrader_durable::publish(&path, bytes)
            .map_err(|e| io_problem("unwritable", &format!("cannot write {}", path.display()), &e))?;
    }
    Ok(dir)
}

/// Every file of the SDK by its place, in the layout of the checkout.
fn files() -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let mut files = vec![("Cargo.toml".to_owned(), workspace_manifest()?.into_bytes())];
    files.extend(MANIFESTS.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    for (prefix, dir) in [("sdk/kernels/src", &KERNELS), ("sdk/plugin/src", &PLUGIN)] {
        let all = all_files(dir).into_iter();
        files.extend(all.map(|f| (format!("{prefix}/{}", f.path().display()), f.contents().to_vec())));
    }
    files.sort();
    Ok(files)
}

/// Every file below a folder.
pub(crate) fn all_files<'a>(dir: &'a Dir<'a>) -> Vec<&'a File<'a>> {
    let inside = |entry: &'a DirEntry<'a>| match entry {
        DirEntry::Dir(dir) => all_files(dir),
        DirEntry::File(file) => vec![file],
    };
    dir.entries().iter().flat_map(inside).collect()
}

/// What the two crates inherit, and no more.
fn workspace_manifest() -> Result<String, Problem> {
    let defect = |what: String| Problem::new("internal", ErrorClass::Internal, what, "report this");
    let table = |text: &str| text.parse::<toml::Table>().map_err(|e| defect(format!("a manifest is no TOML: {e}")));
    let mut named = Vec::new();
    for (_, text) in MANIFESTS {
        let manifest = table(text)?;
        let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
        let tables = targets.filter_map(|(_, t)| t.as_table()).chain([&manifest]);
        for table in tables {
            for key in ["dependencies", "dev-dependencies"] {
                named
                    .extend(table.get(key).and_then(toml::Value::as_table).into_iter().flat_map(|t| t.keys().cloned()));
            }
        }
    }
    let mut whole = table(WORKSPACE)?;
    whole.retain(|key, _| key == "workspace");
    let workspace = whole.get_mut("workspace").and_then(toml::Value::as_table_mut);
    let workspace = workspace.ok_or_else(|| defect("the workspace has no manifest".to_owned()))?;
    workspace.retain(|key, _| ["resolver", "package", "lints", "dependencies"].contains(&key));
    workspace.insert("members".to_owned(), vec!["sdk/kernels", "sdk/plugin"].into());
    if let Some(dependencies) = workspace.get_mut("dependencies").and_then(toml::Value::as_table_mut) {
        dependencies.retain(|name, _| named.iter().any(|n| n == name));
    }
    toml::to_string(&whole).map_err(|e| defect(format!("a manifest has no TOML form: {e}")))
}

/// Where what all projects of a user share is kept.
fn user_cache() -> Result<PathBuf, Problem> {
    ghtrader_toolchain::user_cache().ok_or_else(|| {
        let what = "neither XDG_CACHE_HOME nor HOME names a folder for the SDK";
        Problem::new("cache_missing", ErrorClass::User, what, "set HOME")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P-24
    #[test]
    fn the_unpacked_workspace_has_all_that_its_crates_inherit() {
        let manifest: toml::Table = workspace_manifest().unwrap().parse().unwrap();
        let workspace = &manifest["workspace"];
        for (_, text) in MANIFESTS {
            for (key, value) in &text.parse::<toml::Table>().unwrap()["package"].as_table().unwrap().clone() {
                let inherited = value.get("workspace").is_some();
                assert!(!inherited || workspace["package"].get(key).is_some(), "package.{key}");
            }
        }
        let names: Vec<&String> = workspace["dependencies"].as_table().unwrap().keys().collect();
        assert_eq!(names, ["ghtrader-kernels", "proptest", "serde_json"]);
        let files = files().unwrap();
        for name in ["sdk/plugin/src/native.rs", "sdk/kernels/src/wire.rs", "sdk/plugin/src/guest/abi.rs"] {
            assert!(files.iter().any(|(n, _)| n == name), "{name}");
        }
    }
}
