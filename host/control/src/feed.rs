//! Events of the accounts' services, passed on to those who follow this server.
//!
//! One thread a service, blocking on its socket; a service that ends is asked again every second. Nothing a reader does
//! here reaches back to a service.

use crate::app::App;
use crate::events::{STATE_EVERY, Topic};
use crate::services::accounts;
use ghtrader_trading::Client;
use ghtrader_trading::protocol::{Call, OperationView, ServiceEvent, VarietyView};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Follows every service until the server ends.
pub(crate) async fn follow(app: App) {
    let followed = Arc::new(Mutex::new(BTreeSet::new()));
    let mut flush = tokio::time::interval(STATE_EVERY / 4);
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = app.ending() => return,
            _ = flush.tick() => app.events.flush(Instant::now()),
            _ = look.tick() => look_for_services(&app, &followed),
        }
    }
}

fn look_for_services(app: &App, followed: &Arc<Mutex<BTreeSet<String>>>) {
    for account in accounts(&app.config.runs_dir) {
        if !followed.lock().unwrap_or_else(PoisonError::into_inner).insert(account.clone()) {
            continue;
        }
        let (app, followed) = (app.clone(), followed.clone());
        // It blocks for as long as the service says nothing, so it is no thread of the pool.
        let thread = std::thread::Builder::new().name(format!("feed-{account}"));
        let started = thread.spawn(move || {
            follow_one(&app, &account);
            followed.lock().unwrap_or_else(PoisonError::into_inner).remove(&account);
        });
        if let Err(error) = started {
            tracing::error!(%error, "a service cannot be followed");
        }
    }
}

/// Follows one service to its end.
fn follow_one(app: &App, account: &str) {
    let client = Client::new(&app.config.runs_dir, account);
    let ended = app.ended();
    // The present state first, so that whoever listens need not ask after a service comes back.
    let Ok(views) = client.call(Call::Varieties, app.config.timing.read) else { return };
    for view in serde_json::from_value::<Vec<VarietyView>>(views).unwrap_or_default() {
        let variety = view.variety.clone();
        let data = serde_json::to_value(&view).unwrap_or_default();
        app.events.publish(Topic::Variety, account, &variety, data, Instant::now());
    }
    system(app, account, "connected");
    let result = client.subscribe(|event| {
        pass_on(app, account, event);
        !*ended.borrow()
    });
    match result {
        Err(error) => tracing::info!(account, %error, "a service is no longer followed"),
        Ok(()) => tracing::info!(account, "a service has ended"),
    }
    system(app, account, "lost");
}

fn system(app: &App, account: &str, state: &str) {
    let data = json!({ "account": account, "service": state });
    app.events.publish(Topic::System, account, "", data, Instant::now());
}

fn pass_on(app: &App, account: &str, event: ServiceEvent) {
    let Some(topic) = Topic::named(&event.topic) else {
        tracing::debug!(account, topic = event.topic, "an event of an unknown topic is left out");
        return;
    };
    count(app, topic, &event.data);
    app.events.publish(topic, account, &event.variety, event.data, Instant::now());
}

fn count(app: &App, topic: Topic, data: &Value) {
    match topic {
        Topic::Operation => {
            let Ok(operation) = serde_json::from_value::<OperationView>(data.clone()) else { return };
            if operation.ended && matches!(operation.kind.as_str(), "swap" | "promote" | "rollback") {
                app.metrics.swap_ended(&operation.state);
            }
        }
        Topic::Alert => {
            let code = data.get("code").and_then(Value::as_str).unwrap_or_default();
            if code.starts_with("plugin_") {
                app.metrics.plugin_fault(code);
            }
        }
        _ => {}
    }
}
