//! Figures for Prometheus and for the objectives. Names are one list; labels are bounded.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Every name that this process shows, without the prefix `ghtrader_`; a counter's name gets `_total` behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Build,
    Ticks,
    FeedLastTickAgeSeconds,
    PositionLots,
    Swaps,
    PluginFaults,
    HttpRequestSeconds,
    SseClients,
    EventsDropped,
}

impl Name {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Ticks => "ticks",
            Self::FeedLastTickAgeSeconds => "feed_last_tick_age_seconds",
            Self::PositionLots => "position_lots",
            Self::Swaps => "swaps",
            Self::PluginFaults => "plugin_faults",
            Self::HttpRequestSeconds => "http_request_seconds",
            Self::SseClients => "sse_clients",
            Self::EventsDropped => "events_dropped",
        }
    }

    const fn help(self) -> &'static str {
        match self {
            Self::Build => "Version of this program",
            Self::Ticks => "Ticks that a variety has handled since its service started",
            Self::FeedLastTickAgeSeconds => "Wall time since a variety's last tick",
            Self::PositionLots => "Net position of a variety",
            Self::Swaps => "Operations that changed or tried to change the active lineup, by how they ended",
            Self::PluginFaults => "Faults of plugins that raised an alert, by kind",
            Self::HttpRequestSeconds => "Time to answer a request, by route template and status",
            Self::SseClients => "Clients that follow events",
            Self::EventsDropped => "States replaced by newer ones before they were sent, and readers cut off",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VarietyLabels {
    account: String,
    variety: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// The last thousand durations of one kind, for an objective.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<VecDeque<Duration>>);

impl Recent {
    const KEPT: usize = 1000;

    pub(crate) fn record(&self, took: Duration) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == Self::KEPT {
            kept.pop_front();
        }
        kept.push_back(took);
    }

    /// The 95th percentile and the number of durations it comes from.
    pub(crate) fn p95(&self) -> Option<(Duration, usize)> {
        let mut sorted: Vec<Duration> = self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        sorted.sort_unstable();
        let at = (sorted.len() * 95).div_ceil(100).checked_sub(1)?;
        sorted.get(at).map(|d| (*d, sorted.len()))
    }
}

/// All figures of this process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    ticks: Family<VarietyLabels, Counter>,
    tick_age: Family<VarietyLabels, Gauge<f64, AtomicU64>>,
    position: Family<VarietyLabels, Gauge>,
    swaps: Family<OutcomeLabels, Counter>,
    faults: Family<KindLabels, Counter>,
    requests: Family<RouteLabels, Histogram, fn() -> Histogram>,
    sse_clients: Gauge,
    dropped: Family<ReasonLabels, Counter>,
    /// Answers to reads.
    pub(crate) read_time: Recent,
    /// From an event's coming in to its being handed to a client's connection.
    pub(crate) event_delay: Recent,
}

/// A variety as a scrape shows it.
pub(crate) struct VarietyFigures<'a> {
    pub(crate) account: &'a str,
    pub(crate) variety: &'a str,
    pub(crate) ticks: u64,
    pub(crate) tick_age_ms: Option<u64>,
    pub(crate) position_lots: i64,
}

fn request_histogram() -> Histogram {
    Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0])
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("ghtrader");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register(Name::Build.as_str(), Name::Build.help(), build);
        let me = Self {
            registry,
            ticks: Family::default(),
            tick_age: Family::default(),
            position: Family::default(),
            swaps: Family::default(),
            faults: Family::default(),
            requests: Family::new_with_constructor(request_histogram),
            sse_clients: Gauge::default(),
            dropped: Family::default(),
            read_time: Recent::default(),
            event_delay: Recent::default(),
        };
        me.registered()
    }

    fn registered(mut self) -> Self {
        let r = &mut self.registry;
        r.register(Name::Ticks.as_str(), Name::Ticks.help(), self.ticks.clone());
        let age = Name::FeedLastTickAgeSeconds;
        r.register(age.as_str(), age.help(), self.tick_age.clone());
        r.register(Name::PositionLots.as_str(), Name::PositionLots.help(), self.position.clone());
        r.register(Name::Swaps.as_str(), Name::Swaps.help(), self.swaps.clone());
        r.register(Name::PluginFaults.as_str(), Name::PluginFaults.help(), self.faults.clone());
        r.register(Name::HttpRequestSeconds.as_str(), Name::HttpRequestSeconds.help(), self.requests.clone());
        r.register(Name::SseClients.as_str(), Name::SseClients.help(), self.sse_clients.clone());
        r.register(Name::EventsDropped.as_str(), Name::EventsDropped.help(), self.dropped.clone());
        self
    }

    /// Counts a request; `route` is the template, never the path.
    pub(crate) fn request(&self, route: &str, status: u16, took: Duration) {
        let labels = RouteLabels { route: route.to_owned(), status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts an operation that has ended.
    pub(crate) fn swap_ended(&self, state: &str) {
        const KNOWN: [&str; 4] = ["succeeded", "failed", "rolled_back", "cancelled"];
        let outcome = KNOWN.into_iter().find(|k| *k == state).unwrap_or("other");
        self.swaps.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// Counts a plugin's fault.
    pub(crate) fn plugin_fault(&self, code: &str) {
        const KNOWN: [&str; 6] =
            ["plugin_error", "plugin_trapped", "plugin_deadline", "plugin_memory", "plugin_output", "plugin_contract"];
        let kind = KNOWN.into_iter().find(|k| *k == code).unwrap_or("other");
        self.faults.get_or_create(&KindLabels { kind }).inc();
    }

    /// The whole text, with the varieties, clients and drops as they are now.
    pub(crate) fn text(&self, varieties: &[VarietyFigures<'_>], clients: usize, dropped: (u64, u64)) -> String {
        // A variety that runs no more shows no more.
        self.ticks.clear();
        self.tick_age.clear();
        self.position.clear();
        for v in varieties {
            let labels = VarietyLabels { account: v.account.to_owned(), variety: v.variety.to_owned() };
            self.ticks.get_or_create(&labels).inner().store(v.ticks, Ordering::Relaxed);
            self.position.get_or_create(&labels).set(v.position_lots);
            if let Some(ms) = v.tick_age_ms {
                self.tick_age.get_or_create(&labels).set(ms as f64 / 1000.0);
            }
        }
        self.sse_clients.set(clients as i64);
        let set = |reason, n| {
            self.dropped.get_or_create(&ReasonLabels { reason }).inner().store(n, Ordering::Relaxed);
        };
        set("superseded", dropped.0);
        set("slow_reader", dropped.1);
        let mut out = String::new();
        // Writing to a text cannot fail.
        let _ = text::encode(&mut out, &self.registry);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// C-40
    #[test]
    fn the_text_has_every_name_and_bounded_labels() {
        let metrics = Metrics::new();
        metrics.request("/api/v1/varieties/{v}", 200, Duration::from_millis(3));
        for state in ["succeeded", "nonsense", "more nonsense"] {
            metrics.swap_ended(state);
        }
        metrics.plugin_fault("plugin_trapped");
        let cu =
            VarietyFigures { account: "paper", variety: "cu", ticks: 7, tick_age_ms: Some(1500), position_lots: -2 };
        metrics.text(&[cu], 1, (2, 3));
        let ag = VarietyFigures { account: "paper", variety: "ag", ticks: 1, tick_age_ms: None, position_lots: 0 };
        let text = metrics.text(&[ag], 4, (5, 6));
        for line in [
            "ghtrader_build_info{version=\"",
            "ghtrader_ticks_total{account=\"paper\",variety=\"ag\"} 1\n",
            "ghtrader_position_lots{account=\"paper\",variety=\"ag\"} 0\n",
            "ghtrader_swaps_total{outcome=\"succeeded\"} 1\n",
            "ghtrader_swaps_total{outcome=\"other\"} 2\n",
            "ghtrader_plugin_faults_total{kind=\"plugin_trapped\"} 1\n",
            "ghtrader_http_request_seconds_count{route=\"/api/v1/varieties/{v}\",status=\"200\"} 1\n",
            "ghtrader_sse_clients 4\n",
            "ghtrader_events_dropped_total{reason=\"slow_reader\"} 6\n",
            "# EOF\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("variety=\"cu\""), "what runs no more shows no more");
    }

    #[test]
    fn a_percentile_is_one_of_the_recent_values() {
        let recent = Recent::default();
        assert_eq!(recent.p95(), None);
        (1..=2000).for_each(|ms| recent.record(Duration::from_millis(ms)));
        assert_eq!(recent.p95(), Some((Duration::from_millis(1950), 1000)));
    }
}
