//! `ghtrader account`.

use super::*;
use std::process::Command;

/// The program with an account of the simulated broker.
fn shows(world: &World, args: &[&str], change: impl Fn(&mut Command)) -> (i32, String, String) {
    let mut command = Program::new(world.dir.path()).command(args);
    for name in ["TQ_BROKER_ID", "TQ_ACCOUNT_ID", "TQ_ACCOUNT_PASSWORD", "TQ_TD_URL"] {
        command.env_remove(name);
    }
    command.env("TQ_BROKER_ID", "sim").env("TQ_ACCOUNT_ID", "1234567889").env("TQ_ACCOUNT_PASSWORD", PASSWORD);
    command.env("GHTRADER_DIFF_TD_URL", world.url());
    change(&mut command);
    let output = command.output().expect("the program");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(!format!("{out}{err}").contains(PASSWORD), "{args:?} shows the password");
    assert!(!format!("{out}{err}").contains("1234567889"), "{args:?} shows the account's number");
    (output.status.code().unwrap_or(-1), out, err)
}

/// T-27, T-28, DC-15, DC-21, DC-22
#[test]
fn an_account_is_shown_and_verified() {
    let world = World::new(2_000, &["--speed", "1", "--fills", "touch"]);
    let mut trader = world.trader();
    ready(&mut trader);
    let bought = insert(&mut trader, buy(2, ASK));
    reaches(&mut trader, &bought, OrderState::Filled);
    let rests = insert(&mut trader, buy(1, BID - 100.0));
    reaches(&mut trader, &rests, OrderState::Acknowledged);

    // It looks while somebody trades.
    let (code, out, err) = shows(&world, &["account", "show", "--json"], |_| {});
    assert_eq!(code, 0, "{out}{err}");
    let shown: Value = serde_json::from_str(&out).expect("one document");
    assert_eq!((&shown["user"], &shown["trading_day"]), (&json!("12***89"), &json!("20250718")));
    assert_eq!((&shown["positions"][0]["side"], &shown["positions"][0]["today"]), (&json!("long"), &json!(2)));
    assert_eq!(
        (shown["orders"].as_array().map(Vec::len), shown["trades"].as_array().map(Vec::len)),
        (Some(2), Some(1))
    );
    assert_eq!((&shown["faults"], &shown["unresolved"]), (&json!([]), &json!([])));
    assert!(shown["money"]["margin"].as_f64().is_some_and(|m| m > 0.0));
    let (code, out, err) = shows(&world, &["account", "show"], |_| {});
    assert_eq!(code, 0, "{out}{err}");
    for part in ["12***89", S, "all sums hold", bought.as_str(), "alive"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert_eq!(world.broker().orders.len(), 2, "looking sends nothing");

    let (code, out, _) = shows(&world, &["account", "verify", "--json"], |_| {});
    assert_eq!(code, 0, "{out}");
    let kept = std::fs::read_to_string(world.dir.path().join("runs/trading/account=default/verified.json"));
    let kept: Value = serde_json::from_str(&kept.expect("what was verified")).expect("a document");
    assert!(kept["balance"].as_f64().is_some_and(|b| b > 900_000.0) && kept["time"].is_string());
    assert!(!kept.to_string().contains("1234567889"));

    let fails = |args: &[&str], exit: i32, error: &str, (name, value): (&str, &str)| {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let (code, out, err) = shows(&world, &args, |command| {
            command.env(name, value);
        });
        let value: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        assert_eq!((code, value["error"]["code"].as_str()), (exit, Some(error)), "{out}");
        assert!(value["error"]["remedy"].as_str().is_some_and(|r| !r.is_empty()));
        value["error"]["what"].as_str().unwrap_or_default().to_owned()
    };
    let verify = ["account", "verify", "--timeout", "5"];
    let what = fails(&verify, 2, "login_refused", ("TQ_ACCOUNT_PASSWORD", "wrong"));
    assert!(what.contains("403") && what.contains("12***89"), "{what}");
    fails(&verify, 6, "source_unavailable", ("GHTRADER_DIFF_TD_URL", "ws://127.0.0.1:9/td"));
    fails(&verify, 2, "bad_source_url", ("GHTRADER_DIFF_TD_URL", "http://127.0.0.1/td"));
    let silent = TdServer::start(|_, _| Vec::new());
    let url = silent.url();
    let what = fails(&["account", "verify", "--timeout", "1"], 6, "account_silent", ("GHTRADER_DIFF_TD_URL", &url));
    assert!(what.contains("within 1 s"), "{what}");
    let stale = TdServer::refusing(401);
    let url = stale.url();
    fails(&verify, 2, "source_auth", ("GHTRADER_DIFF_TD_URL", &url));
    fails(&verify, 2, "account_incomplete", ("TQ_ACCOUNT_PASSWORD", ""));
    fails(&["account", "show", "--account", "nobody"], 2, "unknown_account", ("TQ_TD_URL", ""));

    // An account that contradicts itself: shown, named, exit 1.
    let tampered = TdServer::start(|_, frame| match frame["aid"].as_str() {
        Some("req_login") => {
            let mut told = picture();
            told["trade"]["U"]["accounts"]["CNY"]["available"] = json!(999_000.0);
            vec![transaction(&json!([told]))]
        }
        _ => Vec::new(),
    });
    let url = tampered.url();
    let (code, out, _) = shows(&world, &["account", "show", "--json"], |c| {
        c.env("GHTRADER_DIFF_TD_URL", &url).env("TQ_ACCOUNT_ID", "U");
    });
    let shown: Value = serde_json::from_str(&out).expect("one document");
    assert_eq!((code, &shown["faults"][0]["member"]), (1, &json!("available")), "{out}");
}

/// T-27: profiles of a file that is its owner's alone, and of the environment.
#[test]
fn accounts_come_from_a_file_or_the_environment() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(100, &["--speed", "0"]);
    let file = world.dir.path().join("accounts-of-mine.toml");
    let text = format!(
        "[Desk-1]\nbroker = 'sim'\nuser = '1234567889'\npassword = '{PASSWORD}'\nurl = '{}'\n[p2]\nbroker = 'x'\nuser = '7654321'\n",
        world.url()
    );
    write(&file, &text);
    let chmod = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("a mode");
    let with = |c: &mut Command| {
        c.env("GHTRADER_ACCOUNT_CREDENTIALS_FILE", &file).env_remove("GHTRADER_DIFF_TD_URL");
        c.env("TQ_ACCOUNT_PASSWORD_P2", "not-to-be-shown");
    };
    chmod(0o644);
    let (code, out, _) = shows(&world, &["account", "list", "--json"], with);
    assert!(code == 2 && out.contains("unsafe_credentials"), "{code}: {out}");
    chmod(0o600);
    let (code, out, err) = shows(&world, &["account", "list", "--json"], with);
    assert_eq!(code, 0, "{out}{err}");
    let all: Value = serde_json::from_str(&out).expect("one document");
    let rows: Vec<[&str; 4]> = all["accounts"]
        .as_array()
        .expect("accounts")
        .iter()
        .map(|a| ["account", "broker", "user", "password"].map(|k| a[k].as_str().expect("a text")))
        .collect();
    assert_eq!(
        rows,
        [
            ["default", "sim", "12***89", "given"],
            ["desk_1", "sim", "12***89", "given"],
            ["p2", "x", "76***21", "given"]
        ]
    );
    assert!(!out.contains("not-to-be-shown"));
    let (code, out, err) = shows(&world, &["account", "verify", "--account", "DESK 1", "--json"], with);
    assert_eq!(code, 0, "{out}{err}");
    write(&file, "[p1]\npasswort = 'hunter2'\n");
    let (code, out, err) = shows(&world, &["account", "list", "--json"], with);
    assert!(code == 2 && out.contains("bad_credentials") && !format!("{out}{err}").contains("hunter2"), "{out}");
}
