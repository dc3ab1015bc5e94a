//! `ghtrader account`: accounts at a broker, over their trading line. It looks and sends no order.

use super::credentials::{AccountLogin, account, accounts, given_source_credentials, source_urls};
use crate::args::{Account, AccountLine};
use crate::context::{Context, io_problem};
use crate::output::{emit, table};
use ghtrader_control::{rfc3339, wall_clock_ns};
use ghtrader_core::{ErrorClass, Problem};
use ghtrader_durable::publish;
use ghtrader_market::diff::trade::{
    AccountPicture, Fill, Holding, Order, OwnOrder, TradeClient, TradeError, TradeLimits, TradeLogin, TradeOptions,
    unresolved_orders,
};
use ghtrader_market::diff::{Login, SocketOptions};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) fn run(context: &Context, command: Account) -> Result<ExitCode, Problem> {
    match command {
        Account::List => list(context),
        Account::Show(flags) => show(context, &flags),
        Account::Verify(flags) => verify(context, &flags),
    }
}

fn list(context: &Context) -> Result<ExitCode, Problem> {
    let all = accounts(context)?;
    let body: Vec<_> = all
        .values()
        .map(|a| {
            let password = if a.password.is_empty() { "absent" } else { "given" };
            let url = shown_url(&a.url);
            json!({ "account": a.profile, "broker": a.broker, "user": a.shown(), "url": url, "password": password })
        })
        .collect();
    emit(context.json, &json!({ "accounts": body }), |_| {
        let row = |a: &AccountLogin| {
            let password = if a.password.is_empty() { "absent" } else { "given" };
            vec![a.profile.clone(), a.broker.clone(), a.shown(), shown_url(&a.url), password.to_owned()]
        };
        table(&["account", "broker", "user", "trading line", "password"], &all.values().map(row).collect::<Vec<_>>())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Scheme, host and path of an address. A login and a query, which may be secrets, become `…`; so does everything behind
/// the scheme where an `@` does not tell where a login ends.
fn shown_url(url: &str) -> String {
    let url = url.trim();
    let is_scheme = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let start = url.find("://").filter(|end| is_scheme(&url[..*end])).map_or(0, |end| end + 3);
    let (scheme, rest) = url.split_at(start);
    let (authority, behind) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if behind.contains('@') {
        return format!("{scheme}…");
    }
    let login_end = authority.rfind('@');
    let host = &authority[login_end.unwrap_or(0)..];
    let path_end = behind.find(['?', '#']).unwrap_or(behind.len());
    let login = if login_end.is_some() { "…" } else { "" };
    let query = if path_end < behind.len() { "?…" } else { "" };
    format!("{scheme}{login}{host}{}{query}", &behind[..path_end])
}

/// An account as it was told.
#[derive(Debug, Serialize)]
struct Shown {
    account: String,
    broker: String,
    /// Masked.
    user: String,
    host: String,
    #[serde(flatten)]
    picture: AccountPicture,
    /// Orders of the journal whose fate is not known.
    unresolved: Vec<OwnOrder>,
}

/// The folder of an account's trading.
fn folder(context: &Context, profile: &str) -> PathBuf {
    context.dir("runs_dir").join("trading").join(format!("account={profile}"))
}

/// Logs in and waits for the complete picture.
fn look(context: &Context, flags: &AccountLine) -> Result<Shown, Problem> {
    let account = account(context, &flags.account)?;
    let access = match given_source_credentials(context)? {
        Some(credentials) => Some(Login::new(source_urls(context), credentials, wall_clock_ns)?),
        None => None,
    };
    let limit = Duration::from_secs(flags.timeout);
    let socket =
        SocketOptions { patience: limit, deflate: context.settings.flag("diff.deflate"), ..Default::default() };
    let limits = TradeLimits { login: limit, ..TradeLimits::default() };
    let options = TradeOptions { limits, socket, ..TradeOptions::default() };
    let (profile, broker) = (account.profile.clone(), account.broker.clone());
    let login = TradeLogin {
        broker: account.broker,
        user: account.user,
        password: account.password,
        confirms_settlement: flags.confirm_settlement,
    };
    let mut client = TradeClient::new(&account.url, access, login, options)?;
    client.log_in(limit)?;
    let picture = client.line().picture().ok_or_else(|| {
        let (host, user, limit_s) = (client.host(), client.user(), limit.as_secs_f64());
        TradeError::LoginLate { host, user, limit_s, said: String::new() }
    })?;
    let unresolved = unresolved_orders(&folder(context, &profile).join("journal.log"))?;
    Ok(Shown { account: profile, broker, user: client.user(), host: client.host(), picture, unresolved })
}

fn show(context: &Context, flags: &AccountLine) -> Result<ExitCode, Problem> {
    let shown = look(context, flags)?;
    emit(context.json, &shown, shown_text)?;
    Ok(verdict(&shown))
}

fn verify(context: &Context, flags: &AccountLine) -> Result<ExitCode, Problem> {
    let shown = look(context, flags)?;
    let body = json!({
        "account": shown.account,
        "broker": shown.broker,
        "user": shown.user,
        "host": shown.host,
        "time": rfc3339(wall_clock_ns()),
        "trading_day": shown.picture.trading_day,
        "balance": shown.picture.money.balance,
        "available": shown.picture.money.available,
        "positions": shown.picture.positions.len(),
        "faults": shown.picture.faults,
        "unresolved": shown.unresolved.len(),
    });
    let path = folder(context, &shown.account).join("verified.json");
    publish(&path, format!("{body:#}\n").as_bytes())
        .map_err(|e| io_problem("unwritable", &format!("cannot write {}", path.display()), &e))?;
    emit(context.json, &body, |_| {
        let told = format!("{} is told: {}", shown.account, money_text(&shown));
        [Some(told), Some(faults_text(&shown)), unresolved_text(&shown)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("\n")
    })?;
    Ok(verdict(&shown))
}

fn verdict(shown: &Shown) -> ExitCode {
    match shown.picture.faults.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(ErrorClass::Negative.exit_code()),
    }
}

/// CNY for people; `–` where the server does not tell.
fn cny(value: f64) -> String {
    // Nothing is written without a sign: −0 + 0 is 0.
    if value.is_finite() { format!("{:.2}", value + 0.0) } else { "–".to_owned() }
}

fn price(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "–".to_owned() }
}

fn money_text(shown: &Shown) -> String {
    let m = &shown.picture.money;
    format!(
        "trading day {}, balance {}, available {}, margin {}, frozen {}, position profit {}, close profit {}, commission {} \
         CNY",
        shown.picture.trading_day,
        cny(m.balance),
        cny(m.available),
        cny(m.margin),
        cny(m.frozen_margin),
        cny(m.position_profit),
        cny(m.close_profit),
        cny(m.commission)
    )
}

fn faults_text(shown: &Shown) -> String {
    let faults = &shown.picture.faults;
    if faults.is_empty() {
        return "all sums hold".to_owned();
    }
    let lines: Vec<String> = faults.iter().map(|f| format!("\n  {f}")).collect();
    format!("{} sums do not hold:{}", faults.len(), lines.concat())
}

fn unresolved_text(shown: &Shown) -> Option<String> {
    let line = |o: &OwnOrder| {
        let (direction, offset) = (o.direction.as_str(), o.offset.as_str());
        format!("\n  {} {direction} {offset} {} {}: {}, {}", o.order_id, o.lots, o.contract, o.state.as_str(), o.reason)
    };
    let lines: Vec<String> = shown.unresolved.iter().map(line).collect();
    (!lines.is_empty()).then(|| format!("{} orders whose fate is not known here:{}", lines.len(), lines.concat()))
}

fn shown_text(shown: &Shown) -> String {
    let p = &shown.picture;
    let mut parts = vec![
        format!("{}: {} at {} by {}", shown.account, shown.user, shown.broker, shown.host),
        money_text(shown),
        faults_text(shown),
    ];
    parts.extend(unresolved_text(shown));
    if !p.positions.is_empty() {
        let row = |h: &Holding| {
            let frozen = h.lots.frozen_today + h.lots.frozen_his;
            vec![
                h.symbol.clone(),
                h.side.to_owned(),
                h.lots.today.to_string(),
                h.lots.his.to_string(),
                frozen.to_string(),
                price(h.open_price),
                price(h.last_price),
                cny(h.float_profit),
                cny(h.margin),
            ]
        };
        let head = ["position", "side", "today", "his", "frozen", "open", "last", "float profit", "margin"];
        parts.push(table(&head, &p.positions.iter().map(row).collect::<Vec<_>>()));
    }
    if !p.orders.is_empty() {
        let row = |o: &Order| {
            vec![
                o.order_id.clone(),
                o.symbol.clone(),
                o.direction.clone(),
                o.offset.clone(),
                o.volume.to_string(),
                o.volume_left.to_string(),
                o.limit_price.map_or_else(|| "–".to_owned(), price),
                if o.finished { "finished" } else { "alive" }.to_owned(),
                o.last_msg.clone(),
            ]
        };
        let head = ["order", "symbol", "direction", "offset", "lots", "left", "limit", "state", "last word"];
        parts.push(table(&head, &p.orders.iter().map(row).collect::<Vec<_>>()));
    }
    if !p.trades.is_empty() {
        let row = |f: &Fill| {
            vec![
                f.trade_id.clone(),
                f.symbol.clone(),
                f.direction.clone(),
                f.offset.clone(),
                f.volume.to_string(),
                price(f.price),
                cny(f.commission),
            ]
        };
        let head = ["trade", "symbol", "direction", "offset", "lots", "price", "commission"];
        parts.push(table(&head, &p.trades.iter().map(row).collect::<Vec<_>>()));
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-27
    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            ("", ""),
            ("wss://host:7788/trade/p1", "wss://host:7788/trade/p1"),
            (" ws://host/ ", "ws://host/"),
            ("wss://u:secret@host/?token=secret", "wss://…@host/?…"),
            ("wss://u:secret@host", "wss://…@host"),
            ("wss://host?token=secret", "wss://host?…"),
            ("wss://host/p#secret", "wss://host/p?…"),
            ("u:secret@host/p?next=wss://x", "…@host/p?…"),
            ("wss://u:sec/ret@host/", "wss://…"),
            ("wss://u:sec?ret@host/", "wss://…"),
            ("wss://x@u:sec/ret@host/", "wss://…"),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
        }
    }
}
