//! Who logs in where: secrets from the environment, or from files that are their owner's alone; never from a flag, which
//! others can see.

use crate::context::{Context, io_problem};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_market::diff::trade::masked;
use ghtrader_market::diff::{Credentials, Secret, SourceUrls};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Keys of the source's credentials file, and the environment's variables of the same.
const SOURCE: [(&str, &str); 4] = [
    ("user", "GHTRADER_DIFF_USER"),
    ("password", "GHTRADER_DIFF_PASSWORD"),
    ("client_id", "GHTRADER_DIFF_CLIENT_ID"),
    ("client_secret", "GHTRADER_DIFF_CLIENT_SECRET"),
];
/// Keys of an account, and the environment's variables of the same; those of another profile than `default` end with `_`
/// and its name in capitals.
const ACCOUNT: [(&str, &str); 4] =
    [("broker", "TQ_BROKER_ID"), ("user", "TQ_ACCOUNT_ID"), ("password", "TQ_ACCOUNT_PASSWORD"), ("url", "TQ_TD_URL")];

/// Where the settings' DIFF source lies.
pub(super) fn source_urls(context: &Context) -> SourceUrls {
    let text = |key: &str| context.settings.text_of(key).unwrap_or_default().to_owned();
    let market = text("diff.md_url");
    SourceUrls {
        auth: text("diff.auth_url"),
        market: (!market.is_empty()).then_some(market),
        names: text("diff.names_url"),
    }
}

/// User and password of the DIFF source.
pub(super) fn source_credentials(context: &Context) -> Result<Credentials, Problem> {
    given_source_credentials(context)?.ok_or_else(|| {
        Problem::new(
            "source_auth",
            ErrorClass::User,
            "no user and password for the DIFF source are given",
            "set GHTRADER_DIFF_USER and GHTRADER_DIFF_PASSWORD, or name a file by the setting diff.credentials_file",
        )
    })
}

/// The same, if they are given.
pub(super) fn given_source_credentials(context: &Context) -> Result<Option<Credentials>, Problem> {
    let mut values: [String; 4] = Default::default();
    if let Some((path, table)) = secrets_file(context, "diff.credentials_file")? {
        values = texts(&table, &SOURCE, &path.display().to_string())?;
    }
    from_environment(&mut values, &SOURCE, "")?;
    let [user, password, client_id, client_secret] = values;
    if user.is_empty() || password.is_empty() {
        return Ok(None);
    }
    let (password, client_secret) = (Secret::new(password), Secret::new(client_secret));
    Ok(Some(Credentials { user, password, client_id, client_secret }))
}

/// An account at a broker.
pub(super) struct AccountLogin {
    /// The profile's name.
    pub(super) profile: String,
    /// The broker.
    pub(super) broker: String,
    /// Its number there.
    pub(super) user: String,
    pub(super) password: Secret,
    /// The trading line.
    pub(super) url: String,
}

impl AccountLogin {
    /// The account's number as it may be shown.
    pub(super) fn shown(&self) -> String {
        masked(&self.user)
    }
}

/// A profile's name as it is written: lower case, runs of other characters become `_`, nothing is `default`.
pub(super) fn profile_name(text: &str) -> String {
    let mut name = String::new();
    for c in text.trim().to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            _ if name.ends_with('_') => {}
            _ => name.push('_'),
        }
    }
    if name.is_empty() { "default".to_owned() } else { name }
}

/// All accounts that are given, by profile: those of the file of `account.credentials_file`, and the one that the
/// environment names.
pub(super) fn accounts(context: &Context) -> Result<BTreeMap<String, AccountLogin>, Problem> {
    let mut given: BTreeMap<String, [String; 4]> = BTreeMap::new();
    if let Some((path, table)) = secrets_file(context, "account.credentials_file")? {
        let shown = path.display();
        for (name, value) in &table {
            let profile = profile_name(name);
            let Some(account) = value.as_table() else {
                return Err(bad(format!(
                    "`{name}` in {shown} is no table; write [{profile}] above an account's lines"
                )));
            };
            let values = texts(account, &ACCOUNT, &format!("[{name}] of {shown}"))?;
            if given.insert(profile.clone(), values).is_some() {
                return Err(bad(format!("{shown} has the profile `{profile}` twice")));
            }
        }
    }
    // Variables name profiles as well as files do.
    let user = "TQ_ACCOUNT_ID";
    for (variable, _) in std::env::vars_os() {
        // A name that is no text is none of ours.
        let Some(variable) = variable.to_str() else { continue };
        if variable == user {
            given.entry("default".to_owned()).or_default();
        } else if let Some(profile) = variable.strip_prefix(user).and_then(|rest| rest.strip_prefix('_')) {
            given.entry(profile_name(profile)).or_default();
        }
    }
    let line = context.settings.text_of("diff.td_url").unwrap_or_default();
    let account = |(profile, mut values): (String, [String; 4])| -> Result<(String, AccountLogin), Problem> {
        let suffix = if profile == "default" { String::new() } else { format!("_{}", profile.to_uppercase()) };
        from_environment(&mut values, &ACCOUNT, &suffix)?;
        let [broker, user, password, url] = values;
        let url = if url.is_empty() { line.to_owned() } else { url };
        let login = AccountLogin { profile: profile.clone(), broker, user, password: Secret::new(password), url };
        Ok((profile, login))
    };
    given.into_iter().map(account).collect()
}

/// One account, with everything that a login needs.
pub(super) fn account(context: &Context, profile: &str) -> Result<AccountLogin, Problem> {
    let profile = profile_name(profile);
    let mut all = accounts(context)?;
    let Some(account) = all.remove(&profile) else {
        let known: Vec<&str> = all.keys().map(String::as_str).collect();
        let known =
            if known.is_empty() { "none is named".to_owned() } else { format!("known are: {}", known.join(", ")) };
        let what = format!("there is no account `{profile}`; {known}");
        return Err(Problem::new("unknown_account", ErrorClass::User, what, account_remedy()));
    };
    let lacks = [
        ("broker", account.broker.is_empty()),
        ("user", account.user.is_empty()),
        ("password", account.password.is_empty()),
        ("url", account.url.is_empty()),
    ];
    let lacks: Vec<&str> = lacks.into_iter().filter(|(_, lacks)| *lacks).map(|(key, _)| key).collect();
    if lacks.is_empty() {
        return Ok(account);
    }
    let what = format!("the account `{profile}` lacks: {}", lacks.join(", "));
    Err(Problem::new("account_incomplete", ErrorClass::User, what, account_remedy()))
}

fn account_remedy() -> &'static str {
    "set TQ_BROKER_ID, TQ_ACCOUNT_ID, TQ_ACCOUNT_PASSWORD (with _PROFILE for others) and diff.td_url, or name a file by the \
     setting account.credentials_file"
}

fn from_environment(values: &mut [String; 4], keys: &[(&str, &str); 4], suffix: &str) -> Result<(), Problem> {
    for (value, (_, name)) in values.iter_mut().zip(keys) {
        let variable = format!("{name}{suffix}");
        if let Some(of_environment) = std::env::var_os(&variable) {
            *value = text_of_variable(&variable, of_environment)?;
        }
    }
    Ok(())
}

/// A variable's value; of one that is no text nothing is shown, for it may be a secret.
fn text_of_variable(variable: &str, value: OsString) -> Result<String, Problem> {
    value.into_string().map_err(|_| {
        let what = format!("the environment's variable {variable} is no text (UTF-8)");
        Problem::new("bad_credentials", ErrorClass::User, what, format!("set {variable} to UTF-8 text, or unset it"))
    })
}

// What a parser says of a line would show the line.
fn bad(what: String) -> Problem {
    Problem::new("bad_credentials", ErrorClass::User, what, "write lines such as user = \"name\" and nothing else")
}

/// The secrets file that a setting names, if it names one.
fn secrets_file(context: &Context, setting: &str) -> Result<Option<(PathBuf, toml::Table)>, Problem> {
    use std::os::unix::fs::PermissionsExt as _;
    let file = context.settings.text_of(setting).unwrap_or_default();
    if file.is_empty() {
        return Ok(None);
    }
    let path: PathBuf = context.root.join(Path::new(file));
    let shown = path.display().to_string();
    let failed = |e: std::io::Error| io_problem("credentials_unreadable", &format!("cannot read {shown}"), &e);
    let mode = std::fs::metadata(&path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(Problem::new(
            "unsafe_credentials",
            ErrorClass::User,
            format!("{shown} may be read or written by others (mode {:03o})", mode & 0o777),
            format!("chmod 600 {shown}"),
        ));
    }
    let text = std::fs::read_to_string(&path).map_err(failed)?;
    let table = text.parse().map_err(|_| bad(format!("{shown} is no TOML")))?;
    Ok(Some((path, table)))
}

/// The values of keys; those that are not there are empty.
fn texts(table: &toml::Table, keys: &[(&str, &str); 4], place: &str) -> Result<[String; 4], Problem> {
    if let Some(key) = table.keys().find(|k| !keys.iter().any(|(known, _)| known == k)) {
        let known: Vec<&str> = keys.iter().map(|(key, _)| *key).collect();
        return Err(bad(format!("{place} has the key `{key}`; known are {}", known.join(", "))));
    }
    if let Some(key) = table.iter().find(|(_, v)| v.as_str().is_none()).map(|(k, _)| k) {
        return Err(bad(format!("`{key}` in {place} is no text")));
    }
    Ok(keys.map(|(key, _)| table.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-27
    #[test]
    fn profiles_have_plain_names() {
        for (text, name) in [("", "default"), (" P1 ", "p1"), ("Main--Desk", "main_desk"), ("铜 1", "_1")] {
            assert_eq!(profile_name(text), name, "{text}");
        }
    }

    /// T-27
    #[test]
    fn a_variable_that_is_no_text_is_named_and_not_shown() {
        use std::os::unix::ffi::OsStringExt as _;
        assert_eq!(text_of_variable("TQ_BROKER_ID", OsString::from("铜")).unwrap(), "铜");
        let problem = text_of_variable("TQ_ACCOUNT_PASSWORD", OsString::from_vec(b"hunter2\xff".to_vec())).unwrap_err();
        assert_eq!(problem.code, "bad_credentials");
        let shown = format!("{problem:?}");
        assert!(shown.contains("TQ_ACCOUNT_PASSWORD") && !shown.contains("hunter2"), "{shown}");
    }
}
