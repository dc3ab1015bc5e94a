//! Strategies: the stream of actions over the same rows, with the same answers of a small exchange.

use crate::stream::{Rng, cuts, rows};
use crate::{component, instrument};
use ghtrader_kernels::wire::{Action, Event, Order, RejectReason, Side, Tif, WORDS, entries};
use ghtrader_plugin::{AccountView, ParamValue, Params, Step, StrategyInstance};
use ghtrader_sdk::Strategy;
use ghtrader_testkit::NativeStrategy;
use maker::Maker;
use proptest::prelude::*;
use score_threshold::ScoreThreshold;
use std::ops::Range;
use taker::Taker;

/// Answers orders at once: accepts and fills, in whole or part, cancels the rest, rejects some; the same for the same order.
#[derive(Default)]
struct Exchange {
    account: AccountView,
    resting: Vec<Order>,
    events: Vec<u64>,
}

impl Exchange {
    fn tell(&mut self, event: Event) {
        self.events.extend(event.encode());
        self.account.working_orders = self.resting.len() as u32;
    }

    fn fill(&mut self, order: &Order, lots: u32, remaining: u32) {
        let account = &mut self.account;
        let (grows, shrinks) = match order.side {
            Side::Buy => (&mut account.long_lots, &mut account.short_lots),
            Side::Sell => (&mut account.short_lots, &mut account.long_lots),
        };
        let closed = lots.min(*shrinks);
        *shrinks -= closed;
        *grows += lots - closed;
        account.balance_cny -= f64::from(lots);
        let price_cny = order.limit_cny.unwrap_or(70_000.0);
        self.tell(Event::Filled { client_id: order.client_id, lots, remaining_lots: remaining, price_cny });
    }

    fn take(&mut self, row: u64, action: Action) {
        match action {
            Action::Place(order) => {
                let mut rng = Rng(order.client_id ^ (row << 20));
                if rng.one_in(7) {
                    self.tell(Event::Rejected { client_id: order.client_id, reason: RejectReason::RiskLimit });
                    return;
                }
                self.tell(Event::Accepted { client_id: order.client_id });
                match rng.below(3) {
                    0 => self.fill(&order, order.lots, 0),
                    1 => {
                        let part = 1 + rng.below(u64::from(order.lots)) as u32;
                        let remaining = order.lots - part;
                        self.fill(&order, part, remaining);
                        if remaining > 0 {
                            self.tell(Event::Cancelled { client_id: order.client_id, remaining_lots: remaining });
                        }
                    }
                    _ if order.tif == Tif::Day => self.resting.push(order),
                    _ => self.tell(Event::Cancelled { client_id: order.client_id, remaining_lots: order.lots }),
                }
            }
            Action::Cancel { client_id } => {
                if let Some(at) = self.resting.iter().position(|o| o.client_id == client_id) {
                    let order = self.resting.remove(at);
                    self.tell(Event::Cancelled { client_id, remaining_lots: order.lots });
                }
            }
            Action::Target { .. } | Action::WakeAt { .. } => {}
        }
    }
}

/// Every action with its row.
fn run(strategy: &mut dyn StrategyInstance, words: &[u64], blocks: &[Range<usize>]) -> Vec<(u64, Vec<u64>)> {
    let width = strategy.description().inputs.len();
    let mut exchange = Exchange::default();
    let mut stream = Vec::new();
    for block in blocks {
        let mut rows = Some(&words[block.start * width..block.end * width]);
        let (mut at, until) = (0, block.len() as u32);
        while at < until {
            let events = std::mem::take(&mut exchange.events);
            let mut actions = Vec::new();
            let account = exchange.account;
            let step = Step { rows: rows.take(), start: at, until, account: &account, events: &events };
            at = strategy.run(&step, &mut actions).unwrap();
            if at == until {
                assert!(actions.is_empty());
                break;
            }
            let row = block.start as u64 + u64::from(at);
            for words in entries(&actions) {
                exchange.take(row, Action::decode(words).expect("a malformed action"));
            }
            stream.push((row, actions));
            at += 1;
        }
    }
    stream
}

fn check<S: Strategy + Send>(folder: &str, given: &[(&str, ParamValue)], seed: u64, count: usize) -> usize {
    let plugin = component(folder);
    let given: Params = given.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let params = plugin.manifest().resolve_params(&given).unwrap();
    let mut native = NativeStrategy::<S>::new(&params, &instrument()).unwrap();
    let words = rows(seed, count, &native.description().inputs.clone());
    let expected = run(&mut native, &words, &[0..count]);
    let single: Vec<_> = (0..count).map(|i| i..i + 1).collect();
    for (what, blocks) in [("row by row", single), ("random blocks", cuts(seed, count)), ("one block", vec![0..count])]
    {
        let mut wasm = plugin.strategy(&params, &instrument()).unwrap();
        assert_eq!(wasm.description(), native.description());
        let got = run(wasm.as_mut(), &words, &blocks);
        let first = expected.iter().zip(&got).find(|(a, b)| a != b);
        assert_eq!(first, None, "{folder}, {what}");
        assert_eq!(expected.len(), got.len(), "{folder}, {what}");
        let mut native = NativeStrategy::<S>::new(&params, &instrument()).unwrap();
        assert_eq!(run(&mut native, &words, &blocks), expected, "{folder}, native {what}");
    }
    assert!(expected.iter().all(|(_, a)| !a.is_empty() && a.len() % WORDS == 0));
    expected.len()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn the_taker_acts_the_same(seed: u64, count in 1usize..3000) {
        check::<Taker>("strategies/taker", &[("threshold", ParamValue::Number(0.3))], seed, count);
    }

    #[test]
    fn the_maker_acts_the_same(seed: u64, count in 1usize..3000) {
        check::<Maker>("strategies/maker", &[], seed, count);
    }

    #[test]
    fn the_score_trader_acts_the_same(seed: u64, count in 1usize..3000) {
        let params = [("horizon_rows", ParamValue::Integer(200)), ("max_lots", ParamValue::Integer(3))];
        check::<ScoreThreshold>("strategies/score-threshold", &params, seed, count);
    }
}

/// The properties above would hold of strategies that do nothing.
#[test]
fn they_do_act() {
    assert!(check::<Taker>("strategies/taker", &[], 1, 2000) > 20);
    assert!(check::<Maker>("strategies/maker", &[], 1, 2000) > 20);
    assert!(check::<ScoreThreshold>("strategies/score-threshold", &[], 1, 2000) > 20);
}
