//! `ghtrader plugin new`: a crate that compiles, passes, and says by its comments what to change.

use super::{fixture, sdk};
use crate::context::{Context, io_problem};
use crate::output::emit;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_plugin::Role;
use include_dir::{Dir, include_dir};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../sdk/templates");
/// Versions that the reference plugins are built with: cargo drops what a new crate does not need, and keeps the rest.
const LOCK: &str = include_str!("../../../../../plugins/Cargo.lock");

/// What Rust will not have as the name of a crate, or cargo not as that of a package.
const RESERVED: [&str; 49] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "ghtrader-kernels",
    "ghtrader-sdk",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
];
/// Types that the templates name; a struct of the same name would hide them.
const NAMED: [&str; 22] = [
    "Account",
    "Action",
    "Boundary",
    "Ctx",
    "Err",
    "Event",
    "Feature",
    "FeatureDescription",
    "Instrument",
    "Label",
    "LabelDescription",
    "None",
    "Ok",
    "Option",
    "Params",
    "PluginError",
    "Result",
    "Row",
    "Rows",
    "Some",
    "Strategy",
    "Window",
];

pub(crate) fn new(context: &Context, role: Role, name: &str, dir: Option<PathBuf>) -> Result<ExitCode, Problem> {
    check_name(name)?;
    let dir = dir.unwrap_or_else(|| PathBuf::from(name));
    if dir.exists() {
        return Err(Problem::new(
            "exists",
            ErrorClass::Conflict,
            format!("{} is there already", dir.display()),
            "choose another name, or another folder with --dir",
        ));
    }
    let files = files(role, name)?;
    let failed = |e: std::io::Error| io_problem("unwritable", &format!("cannot make {}", dir.display()), &e);
    // Made beside its place and moved there whole, so that no half crate is ever found.
    let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let half = parent.join(format!(".{name}-{}", std::process::id()));
    let written = write_all(&half, &files).and_then(|()| std::fs::rename(&half, &dir));
    written.map_err(|e| {
        let _ = std::fs::remove_dir_all(&half);
        failed(e)
    })?;
    sdk::link(&dir)?;
    let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
    emit(context.json, &json!({ "dir": dir, "role": role, "name": name, "files": names }), |_| {
        let shown = dir.display();
        format!("made {shown}: a {role} that compiles and passes\nnext: cd {shown} && ghtrader plugin test")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn write_all(dir: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// Every file of a new crate.
fn files(role: Role, name: &str) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let library = name.replace('-', "_");
    let type_name = type_name(name);
    let mut files = Vec::new();
    for folder in ["every", role.as_str()] {
        for file in TEMPLATES.get_dir(folder).into_iter().flat_map(sdk::all_files) {
            let place = file.path().strip_prefix(folder).unwrap_or(file.path()).display().to_string();
            let place = if place == "gitignore" { ".gitignore".to_owned() } else { place.replace("my_idea", &library) };
            let text = String::from_utf8_lossy(file.contents());
            let text = text.replace("my-idea", name).replace("my_idea", &library).replace("MyIdea", &type_name);
            files.push((place, text.into_bytes()));
        }
    }
    files.push(("Cargo.lock".to_owned(), LOCK.as_bytes().to_vec()));
    files.push(("fixture.csv".to_owned(), fixture::synthetic_csv()?));
    files.sort();
    Ok(files)
}

/// `my-idea` → `MyIdea`.
fn type_name(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at_checked(1).unwrap_or((part, ""));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    let name: String = name.split('-').map(part).collect();
    if NAMED.contains(&name.as_str()) { format!("{name}Plugin") } else { name }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let bad = |what: &str, remedy: String| {
        Err(Problem::new("bad_name", ErrorClass::User, format!("`{name}` {what}"), remedy))
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let kebab = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && !name.contains("--");
    if !kebab || name.len() > 64 {
        let rule = "1 to 64 lower-case letters and digits in words joined by hyphens, a letter first";
        let remedy = match kebab_of(name) {
            near if near.is_empty() || near == name => format!("use {rule}"),
            near => format!("did you mean `{near}`? A name is {rule}"),
        };
        return bad("is no name of a plugin", remedy);
    }
    if RESERVED.contains(&name) {
        return bad("means something to Rust", format!("choose another, such as my-{name}"));
    }
    Ok(())
}

/// The name that was most likely meant.
fn kebab_of(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        match c {
            'A'..='Z' if out.ends_with(|last: char| last != '-') => {
                out.push('-');
                out.push(c.to_ascii_lowercase());
            }
            c if c.is_ascii_alphanumeric() => out.push(c.to_ascii_lowercase()),
            _ if !out.is_empty() && !out.ends_with('-') => out.push('-'),
            _ => {}
        }
    }
    let start = out.find(|c: char| c.is_ascii_lowercase()).unwrap_or(out.len());
    out[start..].trim_matches('-').chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ghtrader_plugin::PluginManifest;

    /// P-08, P-24
    #[test]
    fn a_bad_name_gets_the_nearest_good_one() {
        for (name, near) in [
            ("My_Idea", "`my-idea`"),
            ("MyIdea", "`my-idea`"),
            ("-x", "`x`"),
            ("2fast", "`fast`"),
            ("a--b", "`a-b`"),
            ("a b/", "`a-b`"),
            ("", "use 1 to 64"),
            ("fn", "my-fn"),
        ] {
            let problem = check_name(name).unwrap_err();
            assert!(problem.remedy.contains(near), "{name}: {problem}");
        }
        for name in ["a", "my-idea", "obi2", "window"] {
            assert_eq!(check_name(name), Ok(()));
        }
        assert_eq!((type_name("my-idea2"), type_name("window")), ("MyIdea2".to_owned(), "WindowPlugin".to_owned()));
    }

    /// P-24
    #[test]
    fn every_template_is_whole_and_names_its_plugin_alone() {
        for role in [Role::Feature, Role::Label, Role::Strategy] {
            let files = files(role, "deep-book").unwrap();
            let text = |name: &str| {
                let found = files.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{role} has no {name}"));
                String::from_utf8(found.1.clone()).unwrap()
            };
            let manifest = PluginManifest::from_toml(&text("plugin.toml")).unwrap();
            assert_eq!(manifest.identity(), format!("{role}/deep-book@0.1.0"));
            assert!(
                text("src/lib.rs").contains("pub struct DeepBook")
                    && text("tests/deep_book.rs").contains("deep_book::")
            );
            assert!(
                text(".gitignore").contains(".ghtrader")
                    && text("fixture.csv").lines().count() == 2 * fixture::SIDE_ROWS + 1
            );
            for (name, bytes) in &files {
                let left = String::from_utf8_lossy(bytes).to_lowercase();
                assert!(!left.contains("my-idea") && !left.contains("my_idea") && !left.contains("myidea"), "{name}");
            }
            assert_eq!(files.iter().any(|(n, _)| n == "lineup.toml"), role == Role::Strategy);
        }
    }
}
