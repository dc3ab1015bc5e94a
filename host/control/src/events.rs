//! The ring of events: numbered, kept for resuming, thinned where only the newest counts.
//!
//! Every reader follows the one ring at its own place; no reader has a queue of its own, and none can hold the others up.
//! A reader that lies more than [`LAG_BYTES`] behind, or behind the ring's first event, is cut off and comes back by
//! `Last-Event-ID`.

use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Events that are kept for resuming.
pub(crate) const RING: usize = 10_000;
/// Bytes that a reader may lie behind.
pub(crate) const LAG_BYTES: u64 = 1 << 20;
/// Shortest time between two events of one state.
pub(crate) const STATE_EVERY: Duration = Duration::from_millis(100);

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Topic {
    Operation,
    Variety,
    Shadow,
    Trading,
    Order,
    Batch,
    System,
    Alert,
    Audit,
}

impl Topic {
    pub(crate) const ALL: [Self; 9] = [
        Self::Operation,
        Self::Variety,
        Self::Shadow,
        Self::Trading,
        Self::Order,
        Self::Batch,
        Self::System,
        Self::Alert,
        Self::Audit,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Variety => "variety",
            Self::Shadow => "shadow",
            Self::Trading => "trading",
            Self::Order => "order",
            Self::Batch => "batch",
            Self::System => "system",
            Self::Alert => "alert",
            Self::Audit => "audit",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == name)
    }

    /// Its events are states: a newer one makes the older worthless.
    const fn is_state(self) -> bool {
        matches!(self, Self::Variety | Self::Shadow | Self::Trading | Self::Batch)
    }
}

/// One event.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) topic: Topic,
    pub(crate) variety: String,
    /// When it came in; the start of the time that a reader waits for it.
    pub(crate) at: Instant,
    /// The event as it is sent.
    pub(crate) text: String,
    /// Bytes of all events up to and with this one.
    end: u64,
}

/// A state belongs to a topic, an account (or a batch) and a variety.
type StateKey = (Topic, String, String);

#[derive(Debug, Default)]
struct State {
    sent: Option<Instant>,
    waiting: Option<Value>,
}

#[derive(Debug)]
struct Ring {
    last_id: u64,
    end: u64,
    events: VecDeque<Arc<Event>>,
    states: BTreeMap<StateKey, State>,
    readers: Vec<Arc<Place>>,
}

/// How far a reader has come.
#[derive(Debug)]
struct Place {
    end: AtomicU64,
    cut: Notify,
}

/// All events of this process.
#[derive(Debug)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
    arrived: Notify,
    superseded: AtomicU64,
    cut: AtomicU64,
    max_readers: usize,
}

/// A place in the ring, given up when dropped.
#[derive(Debug)]
pub(crate) struct Reader {
    events: Arc<Events>,
    place: Arc<Place>,
    after: u64,
}

impl Events {
    /// An empty ring. Ids go on from the wall clock in µs, so that they grow over restarts.
    pub(crate) fn new(now_ns: i64, max_readers: usize) -> Arc<Self> {
        let ring = Ring {
            last_id: now_ns.max(0).unsigned_abs() / 1000,
            end: 0,
            events: VecDeque::new(),
            states: BTreeMap::new(),
            readers: Vec::new(),
        };
        let counter = AtomicU64::default;
        Arc::new(Self {
            ring: Mutex::new(ring),
            arrived: Notify::new(),
            superseded: counter(),
            cut: counter(),
            max_readers,
        })
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an event in. A state that comes too soon after the one before waits for [`Self::flush`].
    pub(crate) fn publish(&self, topic: Topic, account: &str, variety: &str, data: Value, now: Instant) {
        let mut ring = self.ring();
        if topic.is_state() {
            let state = ring.states.entry((topic, account.to_owned(), variety.to_owned())).or_default();
            if state.sent.is_some_and(|sent| now < sent + STATE_EVERY) {
                if state.waiting.replace(data).is_some() {
                    self.superseded.fetch_add(1, Ordering::Relaxed);
                }
                return;
            }
            state.sent = Some(now);
            if state.waiting.take().is_some() {
                self.superseded.fetch_add(1, Ordering::Relaxed);
            }
        }
        ring.push(topic, variety, &data, now);
        self.look_after_readers(&mut ring);
    }

    /// Sends the states whose time has come.
    pub(crate) fn flush(&self, now: Instant) {
        let mut ring = self.ring();
        let due = |s: &State| s.waiting.is_some() && s.sent.is_none_or(|sent| now >= sent + STATE_EVERY);
        let mut ready = Vec::new();
        for ((topic, _, variety), state) in ring.states.iter_mut().filter(|(_, s)| due(s)) {
            if let Some(data) = state.waiting.take() {
                state.sent = Some(now);
                ready.push((*topic, variety.clone(), data));
            }
        }
        if ready.is_empty() {
            return;
        }
        for (topic, variety, data) in ready {
            ring.push(topic, &variety, &data, now);
        }
        self.look_after_readers(&mut ring);
    }

    fn look_after_readers(&self, ring: &mut Ring) {
        let oldest = ring.events.front().map_or(ring.end, |e| e.end - e.text.len() as u64);
        let end = ring.end;
        ring.readers.retain(|place| {
            let at = place.end.load(Ordering::Relaxed);
            let keeps_up = end - at <= LAG_BYTES && at >= oldest;
            if !keeps_up {
                self.cut.fetch_add(1, Ordering::Relaxed);
                place.cut.notify_one();
            }
            keeps_up
        });
        self.arrived.notify_waiters();
    }

    /// Starts reading behind an event, or from now on. `None` if as many read as may.
    ///
    /// A place that the ring no longer holds, or never held, gives `reset` once: the reader has missed something, or the
    /// id is not from here.
    pub(crate) fn read(self: &Arc<Self>, last_id: Option<u64>) -> Option<(Reader, Option<String>)> {
        let mut ring = self.ring();
        if ring.readers.len() >= self.max_readers {
            return None;
        }
        let before = ring.last_id - ring.events.len() as u64;
        let (after, reset) = match last_id {
            None => (ring.last_id, None),
            Some(id) if (before..=ring.last_id).contains(&id) => (id, None),
            Some(id) => {
                let data = serde_json::json!({ "last_event_id": id, "oldest": before + 1, "newest": ring.last_id });
                (ring.last_id, Some(format!("id: {}\nevent: reset\ndata: {data}\n\n", ring.last_id)))
            }
        };
        let kept = (ring.last_id - after) as usize;
        let end = match ring.events.get((ring.events.len() - kept).wrapping_sub(1)) {
            Some(event) => event.end,
            None => ring.events.front().map_or(ring.end, |e| e.end - e.text.len() as u64),
        };
        let place = Arc::new(Place { end: AtomicU64::new(end), cut: Notify::new() });
        ring.readers.push(place.clone());
        drop(ring);
        Some((Reader { events: self.clone(), place, after }, reset))
    }

    /// Readers that are there.
    pub(crate) fn readers(&self) -> usize {
        self.ring().readers.len()
    }

    /// States that a newer one replaced before they were sent, and readers that were cut off.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        (self.superseded.load(Ordering::Relaxed), self.cut.load(Ordering::Relaxed))
    }
}

impl Ring {
    fn push(&mut self, topic: Topic, variety: &str, data: &Value, at: Instant) {
        self.last_id += 1;
        let text = format!("id: {}\nevent: {}\ndata: {data}\n\n", self.last_id, topic.as_str());
        self.end += text.len() as u64;
        let event = Event { id: self.last_id, topic, variety: variety.to_owned(), at, text, end: self.end };
        if self.events.len() == RING {
            self.events.pop_front();
        }
        self.events.push_back(Arc::new(event));
    }
}

impl Reader {
    /// The next events, at most about 64 KiB of them; empty if there are none yet.
    pub(crate) fn take(&mut self) -> Vec<Arc<Event>> {
        let ring = self.events.ring();
        let behind = (ring.last_id - self.after) as usize;
        let from = ring.events.len().saturating_sub(behind);
        let mut bytes = 0;
        let mut batch = Vec::new();
        for event in ring.events.range(from..) {
            bytes += event.text.len();
            batch.push(event.clone());
            if bytes >= 64 * 1024 {
                break;
            }
        }
        if let Some(last) = batch.last() {
            self.after = last.id;
        }
        batch
    }

    /// Says that everything up to this event has been handed on.
    pub(crate) fn done(&self, event: &Event) {
        self.place.end.store(event.end, Ordering::Relaxed);
    }

    /// Waits for events behind the ones taken; at once if there are some.
    pub(crate) async fn arrived(&self) {
        let arrived = self.events.arrived.notified();
        tokio::pin!(arrived);
        // Registered before the look, so that nothing falls between the two.
        arrived.as_mut().enable();
        if self.events.ring().last_id > self.after {
            return;
        }
        arrived.await;
    }

    /// What tells when the reader is cut off for being slow.
    pub(crate) fn cut_off(&self) -> CutOff {
        CutOff(self.place.clone())
    }
}

/// Tells when a reader is cut off.
#[derive(Debug)]
pub(crate) struct CutOff(Arc<Place>);

impl CutOff {
    /// Waits for it.
    pub(crate) async fn wait(&self) {
        self.0.cut.notified().await;
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.events.ring().readers.retain(|p| !Arc::ptr_eq(p, &self.place));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn datas(reader: &mut Reader) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let batch = reader.take();
            let Some(last) = batch.last() else { return all };
            reader.done(last);
            all.extend(batch.iter().map(|e| e.text.lines().nth(2).unwrap().trim_start_matches("data: ").to_owned()));
        }
    }

    /// C-28
    #[test]
    fn resuming_loses_nothing_and_doubles_nothing() {
        let events = Events::new(5_000_000, 9);
        let now = Instant::now();
        let send = |range: std::ops::Range<u64>| {
            range.for_each(|n| events.publish(Topic::Order, "p", "cu", json!(n), now));
        };
        send(0..10);
        let (mut all, reset) = events.read(Some(5_000)).unwrap();
        assert_eq!((datas(&mut all).len(), reset), (10, None), "from the very beginning");
        let (mut late, _) = events.read(Some(5_007)).unwrap();
        assert_eq!(datas(&mut late), ["7", "8", "9"]);
        let (mut fresh, _) = events.read(None).unwrap();
        assert!(datas(&mut fresh).is_empty());
        send(10..12);
        assert_eq!(datas(&mut fresh), ["10", "11"]);
        assert_eq!(datas(&mut late), ["10", "11"]);
        for unknown in [0, 4_999, 5_013, u64::MAX] {
            let (mut reader, reset) = events.read(Some(unknown)).unwrap();
            assert!(reset.is_some_and(|r| r.starts_with("id: 5012\nevent: reset\n")), "{unknown}");
            assert!(datas(&mut reader).is_empty());
        }
        drop((all, late, fresh));
        send(0..RING as u64 + 5);
        assert!(events.read(Some(5_012)).unwrap().1.is_some(), "the ring has moved on");
        let first = events.ring().events.front().unwrap().id;
        let (mut whole, reset) = events.read(Some(first - 1)).unwrap();
        assert_eq!((datas(&mut whole).len(), reset), (RING, None));
        assert!(Events::new(9_000_000, 1).ring().last_id > 5_012, "ids grow over a restart");
    }

    /// C-28
    #[test]
    fn of_states_the_newest_wins_and_orders_are_never_dropped() {
        let events = Events::new(0, 9);
        let (mut reader, _) = events.read(None).unwrap();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        for ms in 0..1_000_u64 {
            events.publish(Topic::Variety, "p", "cu", json!(ms), at(ms));
            events.publish(Topic::Order, "p", "cu", json!("order"), at(ms));
            events.flush(at(ms));
        }
        events.publish(Topic::Variety, "p", "ag", json!("other"), at(999));
        events.publish(Topic::Variety, "q", "cu", json!("other account"), at(999));
        events.flush(at(1_100));
        let seen = datas(&mut reader);
        let states: Vec<&String> = seen.iter().filter(|d| d.parse::<u64>().is_ok()).collect();
        assert!((10..=12).contains(&states.len()), "{states:?}");
        assert_eq!(states.last().unwrap().as_str(), "999", "the last state arrives");
        assert_eq!(seen.iter().filter(|d| *d == "\"order\"").count(), 1_000);
        assert_eq!(seen.iter().filter(|d| d.contains("other")).count(), 2);
        assert_eq!(events.dropped().0 as usize, 1_000 - states.len());
    }

    /// C-29
    #[test]
    fn a_reader_that_stands_still_is_cut_off_and_the_others_are_not() {
        let events = Events::new(0, 2);
        let (slow, _) = events.read(None).unwrap();
        let (mut quick, _) = events.read(None).unwrap();
        assert!(events.read(None).is_none(), "no more than may");
        let big = json!("x".repeat(10_000));
        let mut sent = 0_u64;
        while events.readers() == 2 {
            events.publish(Topic::Alert, "p", "cu", big.clone(), Instant::now());
            assert_eq!(datas(&mut quick).len(), 1);
            sent += 1;
        }
        assert!((100..=105).contains(&sent), "about one MiB behind: {sent}");
        assert_eq!(events.dropped().1, 1);
        drop(slow);
        assert_eq!(events.readers(), 1);
        // Events may be small: then the ring ends before the bytes do.
        let (_still, _) = events.read(None).unwrap();
        (0..=RING).for_each(|_| {
            events.publish(Topic::Order, "p", "cu", json!(1), Instant::now());
            datas(&mut quick);
        });
        assert_eq!(events.readers(), 1);
    }
}
