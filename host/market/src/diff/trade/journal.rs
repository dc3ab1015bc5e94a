//! What was sent, written down before it was: the one place where an order gets its id.

use super::line::TradeEvent;
use super::order::{Direction, LONGEST_ID, Life, NewOrder, Offset, OrderId, OrderState};
use ghtrader_core::{ContractId, Digest, DigestBuilder};
use ghtrader_durable::{Chained, Journal, JournalError, read_journal};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Entry {
    /// The first line.
    Begun {
        /// Digest of broker and account: their names stay out of the file.
        account: Digest,
        /// Begins the ids of this journal's orders, so that another journal of the same account makes other ids.
        name: String,
    },
    /// An order that may be sent from now on.
    Intent {
        order_id: OrderId,
        trading_day: String,
        contract: ContractId,
        direction: Direction,
        offset: Offset,
        lots: u32,
        limit_price: f64,
        life: Life,
    },
    /// What has been heard of it.
    State {
        order_id: OrderId,
        state: OrderState,
        lots_left: i64,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        exchange_order_id: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        reason: String,
    },
    /// Lots of it were filled.
    Fill {
        order_id: OrderId,
        trade_id: String,
        lots: i64,
        /// CNY per quoted unit; none where the server tells none.
        price: Option<f64>,
    },
}

/// An order of ours, and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnOrder {
    /// Its id.
    pub order_id: OrderId,
    /// The trading day on which it was written down, `YYYYMMDD`.
    pub trading_day: String,
    /// What is traded.
    pub contract: ContractId,
    /// Which way.
    pub direction: Direction,
    /// Opens or closes.
    pub offset: Offset,
    /// Lots asked for.
    pub lots: u32,
    /// CNY per quoted unit.
    pub limit_price: f64,
    /// How long it lives.
    pub life: Life,
    /// How far it is.
    pub state: OrderState,
    /// Lots that are not filled, as far as is known.
    pub lots_left: i64,
    /// The exchange's id; empty while none is known.
    pub exchange_order_id: String,
    /// Why it is in this state, where somebody has said so.
    pub reason: String,
}

/// What a journal says when it is opened.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    /// Orders that have not ended, and those of the last trading day.
    pub(super) orders: Vec<OwnOrder>,
    /// Fills of these orders: order and lots by trade id.
    pub(super) fills: BTreeMap<String, (String, i64)>,
    /// Number of the last order that was ever written down.
    pub(super) last: u64,
}

/// Digest of an account's name at a broker.
pub(super) fn account_digest(broker: &str, user: &str) -> Digest {
    DigestBuilder::new("ghtrader account 1").text(broker).text(user).finish()
}

/// Why the journal of another account is not taken.
pub(super) enum OpenError {
    Journal(JournalError),
    OtherAccount,
}

impl From<JournalError> for OpenError {
    fn from(e: JournalError) -> Self {
        Self::Journal(e)
    }
}

/// The open journal of one account.
#[derive(Debug)]
pub(super) struct OrderJournal {
    journal: Journal<Entry>,
    name: String,
    wall_ns: fn() -> i64,
}

impl OrderJournal {
    pub(super) fn open(path: &Path, account: Digest, wall_ns: fn() -> i64) -> Result<(Self, Replayed), OpenError> {
        let (mut journal, entries) = Journal::open(path)?;
        let name = match entries.first().map(|e| &e.entry) {
            Some(Entry::Begun { account: of, name }) if *of == account => name.clone(),
            Some(_) => return Err(OpenError::OtherAccount),
            None => {
                let name = getrandom::u32().map_err(|e| {
                    let source = std::io::Error::other(e.to_string());
                    JournalError::Io { doing: "name", path: path.to_path_buf(), source }
                })?;
                let name = format!("{name:08x}");
                journal.append(wall_ns(), [Entry::Begun { account, name: name.clone() }])?;
                name
            }
        };
        Ok((Self { journal, name, wall_ns }, replay(entries)))
    }

    /// How ids of this journal begin.
    pub(super) fn prefix(&self) -> String {
        format!("gt_{}_", self.name)
    }

    /// Writes an order down and gives its id; both are on the disk then.
    pub(super) fn write(&mut self, order: &NewOrder, trading_day: &str) -> Result<OrderId, JournalError> {
        let text = format!("{}{}", self.prefix(), self.journal.next_seq());
        debug_assert!(text.len() <= LONGEST_ID, "20 digits and a name fit");
        let order_id = OrderId::new(text);
        let intent = Entry::Intent {
            order_id: order_id.clone(),
            trading_day: trading_day.to_owned(),
            contract: order.contract.clone(),
            direction: order.direction,
            offset: order.offset,
            lots: order.lots,
            limit_price: order.limit_price,
            life: order.life,
        };
        self.journal.append((self.wall_ns)(), [intent])?;
        Ok(order_id)
    }

    /// Writes down what was heard of our orders.
    pub(super) fn record(&mut self, events: &[TradeEvent]) -> Result<(), JournalError> {
        let entries = events.iter().filter_map(|event| match event {
            TradeEvent::Own(o) => Some(Entry::State {
                order_id: o.order_id.clone(),
                state: o.state,
                lots_left: o.lots_left,
                exchange_order_id: o.exchange_order_id.clone(),
                reason: o.reason.clone(),
            }),
            TradeEvent::Fill(f) if f.order_id.starts_with(&self.prefix()) => Some(Entry::Fill {
                order_id: OrderId::new(f.order_id.clone()),
                trade_id: f.trade_id.clone(),
                lots: f.volume,
                price: f.price.is_finite().then_some(f.price),
            }),
            _ => None,
        });
        let entries: Vec<Entry> = entries.collect();
        self.journal.append((self.wall_ns)(), entries)
    }
}

/// The orders of a journal that somebody has to look at: their fate is unknown, or they are lost. Disturbs no owner.
///
/// # Errors
/// `Broken`, `Io`; a journal that is not there has none.
pub fn unresolved_orders(path: &Path) -> Result<Vec<OwnOrder>, JournalError> {
    let replayed = replay(read_journal(path)?);
    // What was journaled and not heard of is unknown to whoever was not there.
    let open = |o: &OwnOrder| o.state.is_ambiguous() || o.state == OrderState::Journaled;
    Ok(replayed.orders.into_iter().filter(open).collect())
}

fn replay(entries: Vec<Chained<Entry>>) -> Replayed {
    let mut orders: BTreeMap<OrderId, (u64, OwnOrder)> = BTreeMap::new();
    let mut fills = BTreeMap::new();
    let (mut last_day, mut last) = (String::new(), 0);
    for Chained { seq, entry, .. } in entries {
        match entry {
            Entry::Begun { .. } => {}
            Entry::Intent { order_id, trading_day, contract, direction, offset, lots, limit_price, life } => {
                last_day.clone_from(&trading_day);
                last = seq;
                let order = OwnOrder {
                    order_id: order_id.clone(),
                    trading_day,
                    contract,
                    direction,
                    offset,
                    lots,
                    limit_price,
                    life,
                    state: OrderState::Journaled,
                    lots_left: i64::from(lots),
                    exchange_order_id: String::new(),
                    reason: String::new(),
                };
                orders.insert(order_id, (seq, order));
            }
            Entry::State { order_id, state, lots_left, exchange_order_id, reason } => {
                if let Some((_, o)) = orders.get_mut(&order_id) {
                    (o.state, o.lots_left, o.exchange_order_id, o.reason) =
                        (state, lots_left, exchange_order_id, reason);
                }
            }
            Entry::Fill { order_id, trade_id, lots, .. } => {
                fills.insert(trade_id, (order_id.as_str().to_owned(), lots));
            }
        }
    }
    orders.retain(|_, (_, o)| !o.state.is_final() || o.trading_day == last_day);
    fills.retain(|_, (order_id, _)| orders.contains_key(order_id.as_str()));
    let mut orders: Vec<(u64, OwnOrder)> = orders.into_values().collect();
    orders.sort_by_key(|(seq, _)| *seq);
    Replayed { orders: orders.into_iter().map(|(_, o)| o).collect(), fills, last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> NewOrder {
        NewOrder::limit("SHFE.cu2509".parse().unwrap(), Direction::Buy, Offset::Open, 2, 79_130.5).unwrap()
    }

    fn open(path: &Path, user: &str) -> Result<(OrderJournal, Replayed), OpenError> {
        OrderJournal::open(path, account_digest("b", user), || 5)
    }

    /// T-22, DC-20
    #[test]
    fn an_id_is_given_once_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.log");
        let mut ids = std::collections::BTreeSet::new();
        for life in 0..4 {
            let Ok((mut journal, replayed)) = open(&path, "u") else { panic!("life {life}") };
            assert_eq!(replayed.orders.len(), 2 * life);
            assert!(replayed.orders.iter().all(|o| o.state == OrderState::Journaled && o.limit_price == 79_130.5));
            for _ in 0..2 {
                let id = journal.write(&order(), "20250718").ok().unwrap();
                assert!(id.as_str().starts_with(&journal.prefix()) && id.as_str().len() <= LONGEST_ID);
                assert!(id.as_str().bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'));
                assert!(ids.insert(id), "life {life}");
            }
        }
        assert_eq!(unresolved_orders(&path).unwrap().len(), 8);
        // Another journal of the same account, as on another machine, makes other ids.
        let Ok((mut other, _)) = open(&dir.path().join("other.log"), "u") else { panic!("another journal") };
        assert!(!ids.contains(&other.write(&order(), "20250718").ok().unwrap()));
        assert!(matches!(open(&path, "somebody"), Err(OpenError::OtherAccount)));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"limit_price\":79130.5") && text.contains("\"direction\":\"BUY\""), "{text}");
    }

    /// DC-18
    #[test]
    fn what_was_heard_is_known_in_the_next_life_and_days_that_are_over_are_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.log");
        let Ok((mut journal, _)) = open(&path, "u") else { panic!("a journal") };
        let told = |id: &OrderId, state, lots_left| {
            let replayed = replay(vec![]);
            assert!(replayed.orders.is_empty());
            TradeEvent::Own(OwnOrder {
                order_id: id.clone(),
                trading_day: String::new(),
                contract: "SHFE.cu2509".parse().unwrap(),
                direction: Direction::Buy,
                offset: Offset::Open,
                lots: 2,
                limit_price: 1.0,
                life: Life::Day,
                state,
                lots_left,
                exchange_order_id: "E".to_owned(),
                reason: "because".to_owned(),
            })
        };
        let old = journal.write(&order(), "20250717").ok().unwrap();
        let lost = journal.write(&order(), "20250717").ok().unwrap();
        let new = journal.write(&order(), "20250718").ok().unwrap();
        let fill = |id: &OrderId, trade: &str| {
            TradeEvent::Fill(super::super::order::Fill {
                trade_id: trade.to_owned(),
                order_id: id.as_str().to_owned(),
                symbol: String::new(),
                direction: String::new(),
                offset: String::new(),
                price: f64::NAN,
                volume: 1,
                commission: 0.0,
                time_ns: 0,
            })
        };
        let foreign = fill(&OrderId::new("PYSDK_insert_1".to_owned()), "t0");
        journal
            .record(&[
                told(&old, OrderState::Filled, 0),
                told(&lost, OrderState::Lost, 2),
                fill(&old, "t1"),
                fill(&new, "t2"),
                foreign,
                told(&new, OrderState::PartlyFilled, 1),
            ])
            .unwrap();
        drop(journal);
        let Ok((_, replayed)) = open(&path, "u") else { panic!("a journal") };
        let got: Vec<(&OrderId, OrderState, i64)> =
            replayed.orders.iter().map(|o| (&o.order_id, o.state, o.lots_left)).collect();
        assert_eq!(got, [(&lost, OrderState::Lost, 2), (&new, OrderState::PartlyFilled, 1)]);
        assert_eq!(replayed.fills.keys().collect::<Vec<_>>(), ["t2"]);
        assert_eq!(replayed.last, 4, "the first line names the journal");
        assert_eq!(unresolved_orders(&path).unwrap().len(), 1);
    }
}
