use super::*;
use crate::fixture::tests::walk;
use crate::{
    AccountView, Boundary, FeatureDescription, FeatureInstance, Fixture, LabelDescription, LabelInstance, OutputColumn,
    PluginFault, Reach, Step, StrategyDescription, StrategyInstance,
};
use ghtrader_kernels::wire::{Event, Offset, Order, Side, Tif, entries};

const WAYS: [Splits; 5] = [Splits::Whole, Splits::Single, Splits::Blocks(64), Splits::Random(1), Splits::Random(2)];

fn column(name: &str) -> OutputColumn {
    OutputColumn { name: name.to_owned(), unit: "1".to_owned() }
}

/// Sums a column since the last border; `peeks` adds the row behind, `forgets` starts anew at each call.
struct Sum {
    description: FeatureDescription,
    sum: f64,
    peeks: bool,
    forgets: bool,
}

impl Sum {
    fn new(peeks: bool, forgets: bool) -> Self {
        let description = FeatureDescription {
            inputs: vec!["volume".to_owned(), "feature/mid".to_owned()],
            outputs: vec![column("sum"), column("mid")],
            warmup_rows: 0,
        };
        Self { description, sum: 0.0, peeks, forgets }
    }
}

impl FeatureInstance for Sum {
    fn description(&self) -> &FeatureDescription {
        &self.description
    }

    fn boundary(&mut self, _: Boundary) -> Result<(), PluginFault> {
        self.sum = 0.0;
        Ok(())
    }

    fn compute(&mut self, rows: &[u64], out: &mut Vec<f64>) -> Result<(), PluginFault> {
        if self.forgets {
            self.sum = 0.0;
        }
        for (i, row) in rows.chunks(2).enumerate() {
            self.sum += f64::from_bits(row[0]);
            let next = rows.get(2 * i + 2).filter(|_| self.peeks).map_or(0.0, |word| f64::from_bits(*word));
            out.extend([self.sum + next, f64::from_bits(row[1])]);
        }
        Ok(())
    }
}

fn feature(peeks: bool, forgets: bool, fixture: &Fixture, splits: Splits) -> Trace {
    trace_feature(&mut Sum::new(peeks, forgets), fixture, splits).unwrap()
}

#[test]
fn blocks_have_no_hole() {
    for splits in WAYS {
        let blocks = splits.blocks(1000);
        assert_eq!((blocks[0].start, blocks[blocks.len() - 1].end), (0, 1000));
        assert!(blocks.windows(2).all(|b| b[0].end == b[1].start && !b[0].is_empty()), "{splits}");
    }
    assert_eq!(Splits::Single.blocks(3).len(), 3);
    assert_ne!(Splits::Random(1).blocks(1000), Splits::Random(2).blocks(1000));
}

#[test]
fn a_lawful_feature_gives_the_same_in_all_cuttings() {
    let fixture = walk(600, 1);
    let whole = feature(false, false, &fixture, Splits::Whole);
    assert_eq!((whole.rows(), whole.count()), (600, 1200));
    for splits in WAYS {
        let other = feature(false, false, &fixture, splits);
        assert_eq!(whole.first_difference(&other), None, "{splits}");
        assert_eq!(whole.digest(), other.digest());
    }
    assert_ne!(whole.digest(), feature(false, false, &walk(600, 2), Splits::Whole).digest());
}

#[test]
fn the_first_difference_is_named() {
    let fixture = walk(600, 1);
    let [whole, single] = [Splits::Whole, Splits::Single].map(|s| feature(true, false, &fixture, s));
    let found = whole.first_difference(&single).unwrap();
    assert_eq!((found.row, found.output.as_str()), (0, "sum"));
    assert_ne!(found.values[0], found.values[1]);
    let found = feature(false, true, &fixture, Splits::Whole)
        .first_difference(&feature(false, true, &fixture, Splits::Blocks(50)))
        .unwrap();
    assert_eq!(found.row, 50);
}

#[test]
fn other_rows_leave_the_rows_before_them() {
    let fixture = walk(300, 1);
    let other = fixture.with_other_rows(200, 7);
    let [a, b] = [&fixture, &other].map(|f| feature(false, false, f, Splits::Whole));
    assert_eq!(a.first_difference_before(&b, 200), None);
    assert_eq!(a.first_difference(&b).unwrap().row, 200);
    let [a, b] = [&fixture, &other].map(|f| feature(true, false, f, Splits::Whole));
    assert_eq!(a.first_difference_before(&b, 200).unwrap().row, 199);
}

/// The mid as far ahead as it may look.
struct Ahead {
    description: LabelDescription,
    reads: usize,
}

impl LabelInstance for Ahead {
    fn description(&self) -> &LabelDescription {
        &self.description
    }

    fn compute(&mut self, rows: &[u64], emit: u32, out: &mut Vec<f64>) -> Result<(), PluginFault> {
        out.extend((0..emit as usize).map(|i| rows.get(i + self.reads).map_or(f64::NAN, |w| f64::from_bits(*w))));
        Ok(())
    }
}

#[test]
fn a_label_sees_its_reach_and_no_more() {
    let fixture = walk(300, 1);
    let run = |reads: usize, reach: Reach, splits: Splits| {
        let description = LabelDescription {
            inputs: vec!["last_price".to_owned()],
            outputs: vec![column("ahead")],
            lookahead_rows: 10,
        };
        trace_label(&mut Ahead { description, reads }, &fixture, reach, splits).unwrap()
    };
    for reach in [Reach::Session, Reach::Day, Reach::Segment] {
        let whole = run(10, reach, Splits::Whole);
        for splits in WAYS {
            assert_eq!(whole.first_difference(&run(10, reach, splits)), None, "{reach:?} {splits}");
        }
        let ends = drive::label_reaches(&fixture, reach).len();
        assert_eq!(ends, if reach == Reach::Session { 2 } else { 1 }, "{reach:?}");
        let Given::Values(values) = &whole.given else { panic!("no values") };
        assert_eq!(values.iter().filter(|v| f64::from_bits(**v).is_nan()).count(), 10 * ends);
    }
    let found = run(11, Reach::Day, Splits::Whole).first_difference(&run(11, Reach::Day, Splits::Single));
    assert_eq!(found.unwrap().row, 0, "one row further than it says");
}

/// What a test strategy does at a row that it sees: its words, the account, the events since the last act.
type Act = fn(u64, f64, f64, &AccountView, &[Event]) -> Vec<[u64; WORDS]>;

struct Scripted {
    description: StrategyDescription,
    rows: Vec<u64>,
    seen: u64,
    act: Act,
}

impl StrategyInstance for Scripted {
    fn description(&self) -> &StrategyDescription {
        &self.description
    }

    fn run(&mut self, step: &Step<'_>, actions: &mut Vec<u64>) -> Result<u32, PluginFault> {
        if let Some(rows) = step.rows {
            self.seen += self.rows.len() as u64 / 2;
            self.rows = rows.to_vec();
        }
        let mut events: Vec<Event> = entries(step.events).iter().filter_map(Event::decode).collect();
        for at in step.start..step.until {
            let [bid, ask] = [0, 1].map(|i| f64::from_bits(self.rows[2 * at as usize + i]));
            let sent = (self.act)(self.seen + u64::from(at), bid, ask, step.account, &events);
            events.clear();
            if !sent.is_empty() {
                actions.extend(sent.iter().flatten());
                return Ok(at);
            }
        }
        Ok(step.until)
    }
}

fn strategy(act: Act, fixture: &Fixture, splits: Splits) -> Result<Trace, PluginFault> {
    let inputs = vec!["bid_price1".to_owned(), "ask_price1".to_owned()];
    let description = StrategyDescription { inputs, warmup_rows: 3 };
    trace_strategy(&mut Scripted { description, rows: Vec::new(), seen: 0, act }, fixture, splits)
}

fn order(client_id: u64, side: Side, limit_cny: Option<f64>, tif: Tif) -> [u64; WORDS] {
    let order = Order { client_id, contract: 0, side, offset: Offset::Auto, lots: 2, limit_cny, tif, post_only: false };
    Action::Place(order).encode()
}

/// Quotes below the bid, takes now and then, cancels, aims, asks to be woken; whatever it is told changes what it does next.
fn busy(row: u64, bid: f64, ask: f64, account: &AccountView, events: &[Event]) -> Vec<[u64; WORDS]> {
    let told = events.iter().fold(row, |told, event| mix(told ^ event.encode()[0] ^ event.encode()[1]));
    let held = u64::from(account.long_lots) + 3 * u64::from(account.short_lots) + account.balance_cny.to_bits();
    match (mix(told ^ held ^ u64::from(account.working_orders)) % 23, bid.is_nan()) {
        (0, false) => vec![order(row + 1, Side::Buy, Some(bid - 10.0), Tif::Day)],
        (1, _) => {
            vec![order(row + 1, Side::Sell, Some(ask), Tif::Immediate), order(row + 5000, Side::Buy, None, Tif::Day)]
        }
        (2, _) => vec![Action::Cancel { client_id: row.saturating_sub(20) }.encode()],
        (3, _) => vec![Action::Target { contract: 0, lots: (told % 7) as i64 - 3 }.encode()],
        (4, _) => vec![Action::WakeAt { ts_ns: (1_760_000_000 + told.cast_signed() % 300) * 1_000_000_000 }.encode()],
        _ => Vec::new(),
    }
}

#[test]
fn a_lawful_strategy_acts_the_same_in_all_cuttings() {
    let fixture = walk(1500, 4);
    let whole = strategy(busy, &fixture, Splits::Whole).unwrap();
    assert!(whole.count() > 100, "{}", whole.count());
    for splits in WAYS {
        assert_eq!(whole.first_difference(&strategy(busy, &fixture, splits).unwrap()), None, "{splits}");
    }
    for cut in [1, 700, 1499] {
        let other = strategy(busy, &fixture.with_other_rows(cut, 1), Splits::Whole).unwrap();
        assert_eq!(whole.first_difference_before(&other, cut), None, "{cut}");
    }
}

#[test]
fn what_no_host_takes_is_named_with_its_row() {
    let cases: [(&str, Act); 4] = [
        ("client id 0", |row, _, _, _, _| if row == 40 { vec![order(0, Side::Buy, None, Tif::Day)] } else { vec![] }),
        ("client id 7 is already working", |row, bid, _, _, _| match row {
            20 | 40 => vec![order(7, Side::Buy, Some(bid - 5000.0), Tif::Day)],
            _ => vec![],
        }),
        ("no action is packed", |row, _, _, _, _| if row == 40 { vec![[9, 0, 0, 0]] } else { vec![] }),
        ("no action is packed", |row, _, _, _, _| if row == 40 { vec![[2, 1, 1, 0]] } else { vec![] }),
    ];
    for (part, act) in cases {
        for splits in WAYS {
            let fault = strategy(act, &walk(100, 1), splits).unwrap_err();
            let text = fault.to_string();
            assert_eq!((fault.code(), fault.at().unwrap().rows.clone()), ("plugin_contract", 40..41), "{text}");
            assert!(text.contains(part), "{text}");
        }
    }
}
