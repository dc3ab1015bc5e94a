//! B-19: a run again in other ways gives the same bits, and where it does not, the first row says why.

use crate::runs::data;
use crate::world::{Dice, MODELS, Native, plain_world, rolling_world, spec};
use ghtrader_backtest::{
    BacktestError, Cut, DayData, Records, RunSpec, first_parting, prepare_days, reason_of, replay_cut,
};
use ghtrader_core::Column;
use ghtrader_kernels::wire::{Action, Offset, Order, Side, Tif};
use ghtrader_plugin::{PluginFault, Step, StrategyDescription, StrategyInstance};

type Make<'a> = &'a (dyn Fn() -> Result<Box<dyn StrategyInstance>, BacktestError> + Sync);

fn records(spec: &RunSpec, days: &[DayData], make: Make<'_>, cut: Cut) -> Records {
    let prepared = prepare_days(days).expect("rows on the grid");
    replay_cut(spec, &"SHFE.cu".parse().expect("a variety"), (days, &prepared), make, cut).expect("a run")
}

/// What a dishonest strategy hangs on besides the row at hand.
#[derive(Clone, Copy, PartialEq)]
enum Vice {
    /// Whether the bid of the next row of its block is higher, from a row of the run on.
    Peeks(usize),
    /// The place of the row in its block.
    Counts,
}

/// Buys at the market, a lot at a time, by what it should not know.
struct Dishonest {
    description: StrategyDescription,
    vice: Vice,
    rows: Vec<u64>,
    before: usize,
}

impl Dishonest {
    fn new(vice: Vice) -> Self {
        let description = StrategyDescription { inputs: vec!["bid_price1".to_owned()], warmup_rows: 0 };
        Self { description, vice, rows: Vec::new(), before: 0 }
    }
}

impl StrategyInstance for Dishonest {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        if let Some(rows) = step.rows {
            self.before += self.rows.len();
            self.rows = rows.to_vec();
        }
        let account = step.account;
        for row in step.start..step.until {
            let at = row as usize;
            let bid = |row: usize| self.rows.get(row).map(|bits| f64::from_bits(*bits));
            let acts = match self.vice {
                Vice::Peeks(from) => self.before + at >= from && bid(at + 1) > bid(at),
                Vice::Counts => at == 3,
            };
            if acts && account.long_lots < 5 {
                let order = Order {
                    client_id: (self.before + at) as u64 + 1,
                    contract: account.contract,
                    side: Side::Buy,
                    offset: Offset::Open,
                    lots: 1,
                    limit_cny: None,
                    tif: Tif::Immediate,
                    post_only: false,
                };
                actions.extend(Action::Place(order).encode());
                return Ok(row);
            }
        }
        Ok(step.until)
    }
}

/// B-17, B-19: an honest strategy does the same whatever the cutting, over rolls and under every fill model.
#[test]
fn an_honest_strategy_has_one_outcome() {
    let (_folder, days) = data(&rolling_world(7));
    let mut all = spec();
    all.fills.models = MODELS.to_vec();
    let make = || -> Result<Box<dyn StrategyInstance>, BacktestError> { Ok(Box::new(Native::new(Dice::new(9, true)))) };
    let whole = records(&all, &days, &make, Cut::Whole);
    assert!(whole.iter().all(|(_, record)| record.orders.len() > 50));
    let behind = Cut::Behind { trading_day: days[1].trading_day, row: 17 };
    for cut in [Cut::Live, Cut::Blocks(1), Cut::Blocks(7), Cut::Random(1), Cut::Random(2), behind] {
        assert_eq!(first_parting(&whole, &records(&all, &days, &make, cut)), None, "{cut}");
    }
}

/// B-19: whoever reads the next row of its block is found at the first row where that made a difference.
#[test]
fn a_look_ahead_is_named_with_its_row() {
    let (_folder, days) = data(&plain_world(5));
    for from in [0, 150, 400] {
        let make = move || -> Result<Box<dyn StrategyInstance>, BacktestError> {
            Ok(Box::new(Dishonest::new(Vice::Peeks(from))))
        };
        let first = days.iter().scan(0, |before, day| {
            let bids = day.ticks.view().float(Column::bid_price(0)).to_vec();
            let start = std::mem::replace(before, *before + bids.len());
            Some((day.trading_day, start, bids))
        });
        let rises = first.filter_map(|(day, start, bids)| {
            let row = (0..bids.len() - 1).find(|row| start + row >= from && bids[row + 1] > bids[*row])?;
            Some((day, row))
        });
        let expected = rises.min().expect("the bid rises");
        let whole = records(&spec(), &days, &make, Cut::Whole);
        let single = records(&spec(), &days, &make, Cut::Live);
        let parting = first_parting(&whole, &single).expect("the next row made a difference");
        assert_eq!((parting.trading_day, parting.row), (expected.0, Some(expected.1)), "{parting}");
        assert!(parting.what[0].contains("Buy 1 at the market") && parting.what[1] == "nothing", "{parting}");
        let behind = records(&spec(), &days, &make, Cut::Behind { trading_day: expected.0, row: expected.1 });
        assert_eq!(reason_of(&parting, &behind, &single), "look_ahead");
    }
}

/// B-19: what hangs on the place in a block is no look ahead.
#[test]
fn a_split_variant_is_told_from_a_look_ahead() {
    let (_folder, days) = data(&plain_world(5));
    let make = || -> Result<Box<dyn StrategyInstance>, BacktestError> { Ok(Box::new(Dishonest::new(Vice::Counts))) };
    let whole = records(&spec(), &days, &make, Cut::Whole);
    let single = records(&spec(), &days, &make, Cut::Live);
    let parting = first_parting(&whole, &single).expect("the block made a difference");
    assert_eq!((parting.trading_day, parting.row), (days[0].trading_day, Some(3)), "{parting}");
    let behind = records(&spec(), &days, &make, Cut::Behind { trading_day: parting.trading_day, row: 3 });
    assert_eq!(reason_of(&parting, &behind, &single), "split_variant");
}
