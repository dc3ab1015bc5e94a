//! How rows are cut into blocks must not show.

use crate::world::{Dice, MODELS, Mind, Native, OneDay, Seen, TICK, plain_world, rolling_world, run_instance, spec};
use ghtrader_backtest::{Delay, EngineSettings, FillModelName, RunSpec};
use ghtrader_core::{BorderKind, day_borders};
use ghtrader_exchange::{MatchEvent, Matching, NewOrder};
use ghtrader_kernels::wire::{Boundary, Event, RejectReason, Side, Tif};
use ghtrader_plugin::AccountView;
use ghtrader_runtime::{Desk, ExchangeNews, Intent, PositionView};
use ghtrader_stats::Rng;
use proptest::prelude::*;

fn latency(spec: &mut RunSpec, kind: usize) {
    if kind == 1 {
        spec.latency.feed_us = 2_000;
        spec.latency.order = Delay::Constant { us: 5_000 };
        spec.latency.cancel = Delay::Constant { us: 900_000 };
    } else if kind == 2 {
        spec.latency.order = Delay::Lognormal { median_us: 300_000, sigma: 1.0, max_us: 5_000_000 };
        spec.latency.cancel = Delay::Lognormal { median_us: 200_000, sigma: 1.0, max_us: 5_000_000 };
    } else if kind == 3 {
        spec.latency.order = Delay::Trace { file: None, us: vec![0, 900_000, 250_000, 3_000_000, 500_000] };
        spec.latency.cancel = Delay::Trace { file: None, us: vec![750_000, 0, 1_300_000] };
    }
}

/// (order, time, buy, lots, price, maker, net position).
type Told = (u64, i64, bool, u32, f64, bool, i64);

/// Row by row with nothing ahead: exchange, then strategy, then what it sent.
struct Plain {
    matching: Matching,
    desk: Desk,
    rng: Rng,
    net: i64,
    events: Vec<Event>,
    fills: Vec<Told>,
}

impl Plain {
    fn take(&mut self, news: &mut Vec<MatchEvent>) {
        for event in news.drain(..) {
            let news = match event {
                MatchEvent::TakerBooks { .. } => continue,
                MatchEvent::Accepted { id, .. } => ExchangeNews::Accepted { id },
                MatchEvent::Filled { id, side, price_ticks, lots, remaining, maker, ts_ns, .. } => {
                    let price_cny = f64::from(price_ticks) * TICK;
                    self.net += i64::from(side.sign()) * i64::from(lots);
                    let buy = side == ghtrader_exchange::Side::Buy;
                    self.fills.push((id, ts_ns, buy, lots, price_cny, maker, self.net));
                    ExchangeNews::Filled { id, lots, remaining, price_cny }
                }
                MatchEvent::Cancelled { id, remaining, .. } => ExchangeNews::Cancelled { id, remaining },
                MatchEvent::Rejected { id, reason, .. } => {
                    let reason = RejectReason::ALL
                        .into_iter()
                        .find(|r| r.name() == reason.as_str())
                        .expect("the wire has the exchange's reasons");
                    ExchangeNews::Rejected { id, reason }
                }
            };
            self.events.extend(self.desk.hear(&news));
        }
    }

    fn delay(&mut self, delay: &Delay, before: usize) -> i64 {
        match delay {
            Delay::Constant { us } => *us as i64,
            Delay::Lognormal { median_us, sigma, max_us } => {
                (*median_us as f64 * libm::exp(sigma * self.rng.normal())).min(*max_us as f64) as i64
            }
            Delay::Trace { us, .. } => us[before % us.len()] as i64,
        }
    }
}

fn reference(days: &[OneDay], spec: &RunSpec, model: FillModelName, mind: &mut Dice) -> Vec<Told> {
    let settings = EngineSettings::of(spec, model, 1);
    let mut p = Plain {
        matching: Matching::new(settings.matching),
        desk: Desk::new(settings.limits, TICK),
        rng: Rng::new(settings.seed),
        net: 0,
        events: Vec::new(),
        fills: Vec::new(),
    };
    let (mut orders, mut cancels) = (0, 0);
    let (mut news, mut wakes, mut intents) = (Vec::new(), Vec::<i64>::new(), Vec::new());
    for (n, day) in days.iter().enumerate() {
        let (prepared, view) = (day.prepared(), day.table.view());
        let borders = day_borders(view.ts_ns, &day.windows);
        if n > 0 {
            p.events.push(Event::Boundary(Boundary::TradingDay));
        }
        for row in 0..view.rows() {
            let ts_ns = view.ts_ns[row];
            if row > 0 {
                p.matching.advance(&prepared, row, row + 1, &mut news);
                p.take(&mut news);
            }
            for border in borders.iter().filter(|b| b.row == row) {
                p.events.push(match border.kind {
                    BorderKind::Session => Event::Boundary(Boundary::Session),
                    BorderKind::Gap => Event::Gap,
                });
            }
            p.events.extend(wakes.iter().filter(|w| **w <= ts_ns).map(|w| Event::Woke { ts_ns: *w }));
            wakes.retain(|w| *w > ts_ns);
            let (long, short) = (p.net.max(0) as u32, (-p.net).max(0) as u32);
            let account = AccountView {
                contract: 0,
                long_lots: long,
                short_lots: short,
                balance_cny: 0.0,
                available_cny: 0.0,
                working_orders: p.desk.working_orders() as u32,
            };
            p.events.drain(..).for_each(|e| mind.hear(e));
            let quote = |c| view.float(c)[row];
            let (bid, ask) = (quote(ghtrader_core::Column::bid_price(0)), quote(ghtrader_core::Column::ask_price(0)));
            let mut actions = Vec::new();
            mind.decide(Seen { ts_ns, bid, ask }, &account, &mut actions);
            for action in &actions {
                let held = PositionView { long_lots: long, short_lots: short };
                p.desk.act(action, held, &mut intents, &mut p.events).expect("a lawful action");
                for intent in intents.drain(..) {
                    match intent {
                        Intent::Submit(o) => {
                            let sent = p.delay(&spec.latency.order, orders) + spec.latency.feed_us as i64;
                            orders += 1;
                            let side = match o.side {
                                Side::Buy => ghtrader_exchange::Side::Buy,
                                Side::Sell => ghtrader_exchange::Side::Sell,
                            };
                            let tif = match o.tif {
                                Tif::Day => ghtrader_exchange::Tif::Day,
                                Tif::Immediate => ghtrader_exchange::Tif::Immediate,
                                Tif::FillOrKill => ghtrader_exchange::Tif::FillOrKill,
                            };
                            let order = NewOrder {
                                id: o.id,
                                side,
                                lots: o.lots,
                                limit_ticks: o.limit_ticks,
                                tif,
                                post_only: o.post_only,
                                offset: ghtrader_exchange::Offset::Auto,
                            };
                            p.matching.submit(order, row, ts_ns + sent * 1_000);
                        }
                        Intent::Cancel { id } => {
                            let sent = p.delay(&spec.latency.cancel, cancels) + spec.latency.feed_us as i64;
                            cancels += 1;
                            p.matching.cancel(id, ts_ns + sent * 1_000);
                        }
                        Intent::WakeAt { ts_ns } => wakes.push(ts_ns),
                    }
                }
            }
        }
        let rows = view.rows();
        p.matching.advance(&prepared, rows, rows, &mut news);
        p.matching.expire(rows - 1, view.ts_ns[rows - 1], &mut news);
        p.take(&mut news);
    }
    p.fills
}

fn same_in_all_blocks(seed: u64, kind: usize) {
    let days = rolling_world(seed % 1_000);
    let mut spec = spec();
    latency(&mut spec, kind);
    spec.account.initial_cny = 1e6;
    for model in MODELS {
        let run = |rows| run_instance(&days, &spec, model, rows, Native::new(Dice::new(seed, true))).expect("a run");
        let one = run(1);
        assert!(one.orders.len() > 100, "{} orders", one.orders.len());
        for rows in [0, 7, 64, 4_096] {
            let other = run(rows);
            // Sums over floats may be cut elsewhere; everything that is a list may not.
            assert_eq!(one.messages_ts_ns.len(), other.messages_ts_ns.len(), "{rows} rows, {}", model.as_str());
            assert_eq!(one.output_digest(), other.output_digest(), "{rows} rows, {}", model.as_str());
            assert!(one.messages_ts_ns == other.messages_ts_ns, "{rows} rows, {}", model.as_str());
            assert_eq!(one.exposed_ns, other.exposed_ns);
            assert_eq!(one.max_drawdown_cny.to_bits(), other.max_drawdown_cny.to_bits());
            assert_eq!(one.refused, other.refused);
            assert!(one.equity == other.equity, "{rows} rows, {}", model.as_str());
        }
    }
}

/// B-17: a cancel sent on a day's last row, with a message still on its way.
#[test]
fn the_last_row_of_a_day_is_seen_before_the_day_ends() {
    same_in_all_blocks(901_646_683_015, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// B-17
    #[test]
    fn blocks_of_any_size_give_the_same_bits(seed in 0u64..1 << 40, kind in 0usize..4) {
        same_in_all_blocks(seed, kind);
    }

    /// B-17: nothing that is matched ahead reaches a strategy early.
    #[test]
    fn a_plain_loop_without_looking_ahead_gives_the_same_fills(seed in 0u64..1 << 40, kind in 0usize..4) {
        let days = plain_world(seed % 1_000);
        let mut spec = spec();
        latency(&mut spec, kind);
        for model in MODELS {
            let record = run_instance(&days, &spec, model, 4_096, Native::new(Dice::new(seed, false))).expect("a run");
            let fills: Vec<Told> = record
                .fills
                .iter()
                .map(|f| (f.order_id, f.ts_ns, f.side == Side::Buy, f.lots, f.price_cny, f.maker, f.position_lots))
                .collect();
            let plain = reference(&days, &spec, model, &mut Dice::new(seed, false));
            prop_assert!(!plain.is_empty());
            prop_assert_eq!(fills, plain, "{}", model.as_str());
        }
    }
}
