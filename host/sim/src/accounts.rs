//! Who may trade, with how much money, at which fees: the accounts file.

use crate::terms::Terms;
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_exchange::{FeeTable, MarginTable};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Money of an account unless the file says another sum.
const BALANCE_CNY: f64 = 1_000_000.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    balance: Option<f64>,
    /// Users that the file does not list may trade too.
    #[serde(default)]
    others: bool,
    #[serde(default)]
    fees: Option<String>,
    #[serde(default)]
    margins: Option<String>,
    #[serde(default)]
    account: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    user: String,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    balance: Option<f64>,
}

/// Accounts and the terms of trading.
#[derive(Debug)]
pub(crate) struct Accounts {
    balance_cny: f64,
    others: bool,
    listed: BTreeMap<String, (Option<String>, f64)>,
    pub(crate) terms: Terms,
}

impl Accounts {
    /// Any user, with the usual money and the built-in tables.
    pub(crate) fn open() -> Self {
        Self { balance_cny: BALANCE_CNY, others: true, listed: BTreeMap::new(), terms: Terms::builtin() }
    }

    /// Reads an accounts file.
    ///
    /// # Errors
    /// `accounts_unreadable`, `bad_accounts` with what is wrong and where.
    pub(crate) fn read(path: &Path) -> Result<Self, Problem> {
        let text = |path: &Path| {
            std::fs::read_to_string(path).map_err(|e| {
                let what = format!("cannot read {}: {e}", path.display());
                Problem::new("accounts_unreadable", ErrorClass::User, what, "name a file that can be read")
            })
        };
        let beside = |name: &str| path.parent().unwrap_or(Path::new(".")).join(name);
        let mut accounts = Self::parse(&text(path)?).map_err(|what| bad(format!("{}: {what}", path.display())))?;
        let (own, file) = &mut accounts;
        let tables = |errors: Vec<ghtrader_exchange::ExchangeError>, name: &str| {
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            bad(format!("{}: {}", beside(name).display(), lines.join("; ")))
        };
        if let Some(name) = &file.fees {
            own.terms.fees = FeeTable::parse(&text(&beside(name))?).map_err(|e| tables(e, name))?;
        }
        if let Some(name) = &file.margins {
            own.terms.margins = MarginTable::parse(&text(&beside(name))?).map_err(|e| tables(e, name))?;
        }
        Ok(accounts.0)
    }

    fn parse(text: &str) -> Result<(Self, File), String> {
        // Not the line itself, which may hold a password.
        let file: File = toml::from_str(text).map_err(|e| {
            let before = e.span().and_then(|span| text.get(..span.start));
            let line = before.map_or(1, |before| before.lines().count().max(1));
            format!("line {line}: {}", e.message())
        })?;
        let money = |who: &str, cny: f64| {
            if cny.is_finite() && cny > 0.0 {
                Ok(cny)
            } else {
                Err(format!("the balance of {who} is {cny}, not above 0"))
            }
        };
        let balance_cny = money("users", file.balance.unwrap_or(BALANCE_CNY))?;
        let mut listed = BTreeMap::new();
        for entry in &file.account {
            if entry.user.trim().is_empty() {
                return Err("an account has no user".to_owned());
            }
            let cny = money(&entry.user, entry.balance.unwrap_or(balance_cny))?;
            if listed.insert(entry.user.clone(), (entry.password.clone(), cny)).is_some() {
                return Err(format!("{} is listed twice", entry.user));
            }
        }
        if listed.is_empty() && !file.others {
            return Err("nobody may trade: list an account, or set others = true".to_owned());
        }
        Ok((Self { balance_cny, others: file.others, listed, terms: Terms::builtin() }, file))
    }

    /// The money that a user starts with, if he may trade with this password.
    pub(crate) fn admit(&self, user: &str, password: &str) -> Option<f64> {
        match self.listed.get(user) {
            Some((wanted, cny)) => wanted.as_ref().is_none_or(|w| w == password).then_some(*cny),
            None => self.others.then_some(self.balance_cny),
        }
    }
}

fn bad(what: String) -> Problem {
    let remedy = "write [[account]] tables with user, password and balance; others = true lets everybody in";
    Problem::new("bad_accounts", ErrorClass::User, what, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Accounts, String> {
        Accounts::parse(text).map(|(accounts, _)| accounts)
    }

    /// DS-30
    #[test]
    fn who_may_trade() {
        let a = read("[[account]]\nuser = 'a'\npassword = 'x'\nbalance = 5e5\n[[account]]\nuser = 'b'").unwrap();
        assert_eq!(a.admit("a", "x"), Some(500_000.0));
        assert_eq!((a.admit("a", "y"), a.admit("c", "")), (None, None));
        assert_eq!(a.admit("b", "anything"), Some(BALANCE_CNY));
        assert_eq!(read("others = true\nbalance = 7").unwrap().admit("c", ""), Some(7.0));
        assert_eq!(Accounts::open().admit("anybody", ""), Some(BALANCE_CNY));
    }

    #[test]
    fn bad_files_are_refused() {
        for (text, why) in [
            ("", "nobody may trade"),
            ("balance = 0\nothers = true", "not above 0"),
            ("[[account]]\nuser = 'a'\n[[account]]\nuser = 'a'", "twice"),
            ("[[account]]\nuser = ' '", "no user"),
            ("[[account]]\nname = 'a'", "unknown field"),
            ("[[account]]\nuser = 'a'\nbalance = -1", "not above 0"),
        ] {
            let said = read(text).map(drop).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
