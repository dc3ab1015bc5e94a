//! One client's stream of events.

use crate::app::App;
use crate::events::{Event, Reader, Topic};
use crate::socket::Connection;
use axum::body::{Body, Bytes};
use std::convert::Infallible;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// What a client wants to see; empty = all.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) topics: Vec<Topic>,
    pub(crate) varieties: Vec<String>,
}

impl Wanted {
    /// Events of no variety, such as those of the system, pass any choice of varieties.
    fn holds(&self, event: &Event) -> bool {
        let topic = self.topics.is_empty() || self.topics.contains(&event.topic);
        let variety = self.varieties.is_empty() || event.variety.is_empty() || self.varieties.contains(&event.variety);
        topic && variety
    }
}

/// The body of the answer: events as they come, until the client leaves, lies too far behind, or loses its right.
pub(crate) fn body(
    app: App,
    reader: Reader,
    reset: Option<String>,
    wanted: Wanted,
    token_id: String,
    connection: Option<Connection>,
) -> Body {
    // One place: what is not yet written stays in the ring.
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let cut_off = reader.cut_off();
        let is_slow = tokio::select! {
            () = pump(&app, reader, reset, &wanted, &token_id, &sender) => false,
            () = sender.closed() => false,
            () = app.ending() => false,
            () = cut_off.wait() => true,
        };
        // Ending the body is not enough: the connection would wait until the client takes what is already written.
        if let (true, Some(connection)) = (is_slow, connection) {
            connection.cut.notify_one();
        }
    });
    Body::from_stream(ReceiverStream::new(receiver))
}

async fn pump(
    app: &App,
    mut reader: Reader,
    reset: Option<String>,
    wanted: &Wanted,
    token_id: &str,
    sender: &mpsc::Sender<Result<Bytes, Infallible>>,
) {
    // The first bytes go at once, so that the client sees that it is connected.
    let mut text = reset.unwrap_or_else(|| ":\n\n".to_owned());
    let mut heartbeat = tokio::time::interval(app.config.timing.heartbeat);
    heartbeat.reset();
    loop {
        if !text.is_empty() && sender.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
            return;
        }
        let batch = reader.take();
        let Some(last) = batch.last() else {
            tokio::select! {
                () = reader.arrived() => {}
                _ = heartbeat.tick() => {
                    if !app.tokens.is_valid(token_id, (app.config.clock)()) {
                        return;
                    }
                    text.push_str(":\n\n");
                }
            }
            continue;
        };
        for event in batch.iter().filter(|e| wanted.holds(e)) {
            text.push_str(&event.text);
            app.metrics.event_delay.record(event.at.elapsed());
        }
        if !text.is_empty() && sender.send(Ok(std::mem::take(&mut text).into())).await.is_err() {
            return;
        }
        reader.done(last);
    }
}
