//! The host's side of a strategy's actions: ids, limits, targets, working orders.
//!
//! Positions and orders are the host's, never the plugin's. The desk turns what a strategy asks for into intents that
//! an exchange or a broker understands, refuses what breaks a limit, and translates news back into events.

use crate::RuntimeError;
use ghtrader_kernels::wire::{Action, Event, Offset, Order, RejectReason, Side, Tif};

/// Limits that hold live and in backtest alike. 0 is a value: nothing may be held or sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeskLimits {
    /// Largest position, long or short, that working orders may lead to.
    pub max_abs_position_lots: u32,
    /// Largest single order.
    pub max_order_lots: u32,
}

/// What the account holds of the current contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PositionView {
    /// Lots held long.
    pub long_lots: u32,
    /// Lots held short.
    pub short_lots: u32,
}

impl PositionView {
    /// Long less short.
    pub fn net_lots(self) -> i64 {
        i64::from(self.long_lots) - i64::from(self.short_lots)
    }
}

/// An order as the exchange gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderIntent {
    /// The host's own id, unique in a run.
    pub id: u64,
    /// Direction.
    pub side: Side,
    /// Which lots a closing order takes.
    pub offset: Offset,
    /// How long it works.
    pub tif: Tif,
    /// Size.
    pub lots: u32,
    /// Limit in price ticks; `None` = market.
    pub limit_ticks: Option<i32>,
    /// Rejected rather than filled on arrival.
    pub post_only: bool,
}

/// What has to be done outside the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Send an order.
    Submit(OrderIntent),
    /// Ask for the end of an order, by the host's id.
    Cancel {
        /// The host's id.
        id: u64,
    },
    /// Wake the strategy at the first row at or after this time.
    WakeAt {
        /// Exchange time, ns.
        ts_ns: i64,
    },
}

/// What an exchange or broker says about an order, by the host's id.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "fields are those of the wire events")]
pub enum ExchangeNews {
    Accepted { id: u64 },
    Filled { id: u64, lots: u32, remaining: u32, price_cny: f64 },
    Cancelled { id: u64, remaining: u32 },
    Rejected { id: u64, reason: RejectReason },
}

#[derive(Debug, Clone, Copy)]
struct Working {
    id: u64,
    client_id: u64,
    /// The instance that asked for it, by its number in the desk's life.
    owner: u64,
    side: Side,
    remaining: u32,
    from_target: bool,
}

/// Orders that the host sends for a target have no client; their news carries this id.
const TARGET_CLIENT_ID: u64 = 0;

/// The host's order desk of one account: one instance at a time asks, and its orders are the host's from then on.
#[derive(Debug, Clone)]
pub struct Desk {
    limits: DeskLimits,
    price_tick_cny: f64,
    contract: u32,
    generation: u64,
    owner: u64,
    next_id: u64,
    working: Vec<Working>,
    rejected_by_risk: u64,
}

impl Desk {
    /// A desk without orders.
    pub fn new(limits: DeskLimits, price_tick_cny: f64) -> Self {
        Self {
            limits,
            price_tick_cny,
            contract: 0,
            generation: 0,
            owner: 0,
            next_id: 1,
            working: Vec::new(),
            rejected_by_risk: 0,
        }
    }

    /// Number of the current contract, from 0.
    #[inline]
    pub fn contract(&self) -> u32 {
        self.contract
    }

    /// Orders that may still fill.
    #[inline]
    pub fn working_orders(&self) -> usize {
        self.working.len()
    }

    /// Orders refused by a limit of this desk.
    pub fn rejected_by_risk(&self) -> u64 {
        self.rejected_by_risk
    }

    /// Generation of the lineup that asks now; 0 in a backtest.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Another instance asks from now on. What works stays the host's: it counts against limits, and its news is told to
    /// nobody.
    pub fn take_over(&mut self, generation: u64) {
        self.generation = generation;
        self.owner += 1;
    }

    /// The id that the next order gets.
    #[inline]
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// The oldest order that works.
    pub fn first_working(&self) -> Option<u64> {
        self.working.iter().map(|w| w.id).min()
    }

    /// Every order that works, by the host's id.
    pub fn working_ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.working.iter().map(|w| w.id)
    }

    /// Client id and open lots of the present instance's own working orders.
    pub fn own_working(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let own = self.working.iter().filter(|w| w.owner == self.owner && !w.from_target);
        own.map(|w| (w.client_id, w.remaining))
    }

    /// Net lots that all working orders would add if they filled.
    pub fn working_lots(&self) -> i64 {
        self.working.iter().map(|w| w.side.sign() * i64::from(w.remaining)).sum()
    }

    /// Forgets every working order and gives their ids.
    pub fn clear(&mut self) -> Vec<u64> {
        self.working.drain(..).map(|w| w.id).collect()
    }

    /// Names the price tick of the first contract, which a desk may be made without.
    pub fn first_contract(&mut self, price_tick_cny: f64) {
        self.price_tick_cny = price_tick_cny;
    }

    /// Starts the next contract at a roll; its price tick may differ.
    pub fn next_contract(&mut self, price_tick_cny: f64) -> u32 {
        self.contract += 1;
        self.price_tick_cny = price_tick_cny;
        self.contract
    }

    /// An id for an order that the host sends on its own account, at a roll.
    pub fn take_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Turns one action into intents; a refused order becomes a `rejected` event at once.
    ///
    /// # Errors
    /// [`RuntimeError::Contract`] for a client id that is reserved or already working.
    #[inline]
    pub fn act(
        &mut self,
        action: &Action,
        position: PositionView,
        intents: &mut Vec<Intent>,
        events: &mut Vec<Event>,
    ) -> Result<(), RuntimeError> {
        match action {
            Action::Place(order) => {
                if order.client_id == TARGET_CLIENT_ID {
                    return Err(RuntimeError::Contract { what: "client id 0 is the host's own".to_owned() });
                }
                if self.own(order.client_id).is_some() {
                    return Err(RuntimeError::Contract {
                        what: format!("client id {} is already working", order.client_id),
                    });
                }
                match self.check(order, position) {
                    Ok(limit_ticks) => {
                        let id = self.take_id();
                        self.working.push(Working {
                            id,
                            client_id: order.client_id,
                            owner: self.owner,
                            side: order.side,
                            remaining: order.lots,
                            from_target: false,
                        });
                        intents.push(Intent::Submit(OrderIntent {
                            id,
                            side: order.side,
                            offset: order.offset,
                            tif: order.tif,
                            lots: order.lots,
                            limit_ticks,
                            post_only: order.post_only,
                        }));
                    }
                    Err(reason) => {
                        if reason == RejectReason::RiskLimit {
                            self.rejected_by_risk += 1;
                        }
                        events.push(Event::Rejected { client_id: order.client_id, reason });
                    }
                }
            }
            Action::Cancel { client_id } => {
                // An order that has ended meanwhile is no fault: the news is on its way.
                if let Some(w) = self.own(*client_id) {
                    intents.push(Intent::Cancel { id: w.id });
                }
            }
            Action::Target { contract, lots } => self.aim(*contract, *lots, position, intents),
            Action::WakeAt { ts_ns } => intents.push(Intent::WakeAt { ts_ns: *ts_ns }),
        }
        Ok(())
    }

    /// A working order of the present instance.
    fn own(&self, client_id: u64) -> Option<&Working> {
        self.working.iter().find(|w| w.client_id == client_id && w.owner == self.owner && !w.from_target)
    }

    /// The limit in ticks, or why the order is refused.
    fn check(&self, order: &Order, position: PositionView) -> Result<Option<i32>, RejectReason> {
        if order.contract != self.contract {
            return Err(RejectReason::StaleContract);
        }
        if order.lots == 0 {
            return Err(RejectReason::Malformed);
        }
        let limit_ticks = match order.limit_cny {
            None if order.post_only => return Err(RejectReason::Malformed),
            None => None,
            Some(price) => Some(price_ticks(price, self.price_tick_cny).ok_or(RejectReason::OffGrid)?),
        };
        if order.lots > self.limits.max_order_lots {
            return Err(RejectReason::RiskLimit);
        }
        // An order that only brings the position nearer to flat reaches no further than 0 and is never refused.
        let reach = self.reach(order.side, position) + i64::from(order.lots);
        if reach > i64::from(self.limits.max_abs_position_lots) {
            return Err(RejectReason::RiskLimit);
        }
        Ok(limit_ticks)
    }

    /// Net position towards a side if all working orders of that side fill, lots.
    fn reach(&self, side: Side, position: PositionView) -> i64 {
        let same_side = self.working.iter().filter(|w| w.side == side).map(|w| i64::from(w.remaining));
        side.sign() * position.net_lots() + same_side.sum::<i64>()
    }

    /// Sends what lies between the position and a target, as immediate market orders of at most the order limit.
    fn aim(&mut self, contract: u32, target_lots: i64, position: PositionView, intents: &mut Vec<Intent>) {
        if contract != self.contract {
            return;
        }
        let under_way: i64 = self
            .working
            .iter()
            .filter(|w| w.from_target)
            .map(|w| if w.side == Side::Buy { i64::from(w.remaining) } else { -i64::from(w.remaining) })
            .sum();
        let missing = target_lots.saturating_sub(position.net_lots()).saturating_sub(under_way);
        let side = if missing > 0 { Side::Buy } else { Side::Sell };
        // The strategy's own working orders may fill too.
        let allowed = match self.limits.max_order_lots {
            0 => 0,
            _ => (i64::from(self.limits.max_abs_position_lots) - self.reach(side, position)).max(0).unsigned_abs(),
        };
        let mut left = missing.unsigned_abs().min(allowed);
        if left < missing.unsigned_abs() {
            self.rejected_by_risk += 1;
        }
        while left > 0 {
            let lots = left.min(u64::from(self.limits.max_order_lots)) as u32;
            left -= u64::from(lots);
            let id = self.take_id();
            let (client_id, owner) = (TARGET_CLIENT_ID, self.owner);
            self.working.push(Working { id, client_id, owner, side, remaining: lots, from_target: true });
            intents.push(Intent::Submit(OrderIntent {
                id,
                side,
                offset: Offset::Auto,
                tif: Tif::Immediate,
                lots,
                limit_ticks: None,
                post_only: false,
            }));
        }
    }

    /// Takes news of an order in and gives the event that the strategy gets; `None` for an order that is not its own.
    #[inline]
    pub fn hear(&mut self, news: &ExchangeNews) -> Option<Event> {
        let id = match *news {
            ExchangeNews::Accepted { id }
            | ExchangeNews::Filled { id, .. }
            | ExchangeNews::Cancelled { id, .. }
            | ExchangeNews::Rejected { id, .. } => id,
        };
        let at = self.working.iter().position(|w| w.id == id)?;
        let Working { client_id, owner, .. } = self.working[at];
        let (event, ended) = match *news {
            ExchangeNews::Accepted { .. } => (Event::Accepted { client_id }, false),
            ExchangeNews::Filled { lots, remaining, price_cny, .. } => {
                self.working[at].remaining = remaining;
                (Event::Filled { client_id, lots, remaining_lots: remaining, price_cny }, remaining == 0)
            }
            ExchangeNews::Cancelled { remaining, .. } => {
                (Event::Cancelled { client_id, remaining_lots: remaining }, true)
            }
            ExchangeNews::Rejected { reason, .. } => (Event::Rejected { client_id, reason }, true),
        };
        if ended {
            self.working.remove(at);
        }
        (client_id != TARGET_CLIENT_ID && owner == self.owner).then_some(event)
    }
}

/// A price as whole ticks, `None` when it lies further than 1e-6 tick beside the grid or is no number.
fn price_ticks(price_cny: f64, tick_cny: f64) -> Option<i32> {
    let ticks = price_cny / tick_cny;
    // A cast cuts towards zero and saturates, which the check then finds.
    let whole = (ticks + 0.5_f64.copysign(ticks)) as i32;
    ((ticks - f64::from(whole)).abs() <= 1e-6).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAT: PositionView = PositionView { long_lots: 0, short_lots: 0 };

    fn desk(max_position: u32, max_order: u32) -> Desk {
        Desk::new(DeskLimits { max_abs_position_lots: max_position, max_order_lots: max_order }, 10.0)
    }

    fn order(client_id: u64, side: Side, lots: u32, limit_cny: f64) -> Action {
        Action::Place(Order {
            client_id,
            contract: 0,
            side,
            offset: Offset::Auto,
            lots,
            limit_cny: Some(limit_cny),
            tif: Tif::Day,
            post_only: false,
        })
    }

    fn act(desk: &mut Desk, action: &Action, position: PositionView) -> (Vec<Intent>, Vec<Event>) {
        let (mut intents, mut events) = (Vec::new(), Vec::new());
        desk.act(action, position, &mut intents, &mut events).expect("a lawful action");
        (intents, events)
    }

    /// B-35
    #[test]
    fn a_limit_counts_the_position_and_working_orders() {
        let mut d = desk(2, 5);
        let long_one = PositionView { long_lots: 1, short_lots: 0 };
        assert_eq!(act(&mut d, &order(1, Side::Buy, 1, 70_000.0), long_one).0.len(), 1);
        let (intents, events) = act(&mut d, &order(2, Side::Buy, 1, 70_000.0), long_one);
        assert!(intents.is_empty());
        assert_eq!(events, [Event::Rejected { client_id: 2, reason: RejectReason::RiskLimit }]);
        assert_eq!(act(&mut d, &order(3, Side::Sell, 3, 70_010.0), long_one).0.len(), 1, "1 long to 2 short is inside");
        assert_eq!(d.rejected_by_risk(), 1);
    }

    #[test]
    fn zero_is_a_limit() {
        let (intents, events) = act(&mut desk(0, 0), &order(1, Side::Buy, 1, 70_000.0), FLAT);
        assert!(intents.is_empty() && events.len() == 1);
        assert!(act(&mut desk(0, 5), &Action::Target { contract: 0, lots: 3 }, FLAT).0.is_empty());
    }

    #[test]
    fn an_order_off_the_grid_or_of_an_old_contract_is_refused() {
        let mut d = desk(10, 10);
        let (_, events) = act(&mut d, &order(1, Side::Buy, 1, 70_005.0), FLAT);
        assert_eq!(events, [Event::Rejected { client_id: 1, reason: RejectReason::OffGrid }]);
        d.next_contract(10.0);
        let (_, events) = act(&mut d, &order(2, Side::Buy, 1, 70_000.0), FLAT);
        assert_eq!(events, [Event::Rejected { client_id: 2, reason: RejectReason::StaleContract }]);
    }

    #[test]
    fn a_target_sends_what_is_missing_once() {
        let mut d = desk(10, 2);
        let (intents, _) = act(&mut d, &Action::Target { contract: 0, lots: 3 }, FLAT);
        assert_eq!(intents.len(), 2, "three lots in orders of at most two");
        assert!(act(&mut d, &Action::Target { contract: 0, lots: 3 }, FLAT).0.is_empty(), "already under way");
        assert_eq!(d.hear(&ExchangeNews::Filled { id: 1, lots: 2, remaining: 0, price_cny: 1.0 }), None);
        let long_two = PositionView { long_lots: 2, short_lots: 0 };
        let (intents, _) = act(&mut d, &Action::Target { contract: 0, lots: -1 }, long_two);
        let sold: u32 = intents.iter().map(|i| if let Intent::Submit(o) = i { o.lots } else { 0 }).sum();
        assert_eq!(sold, 4, "2 held, 1 under way, -1 wanted");
    }

    /// B-35
    #[test]
    fn a_target_leaves_room_for_working_orders() {
        let mut d = desk(2, 5);
        act(&mut d, &order(1, Side::Buy, 2, 70_000.0), FLAT);
        assert!(act(&mut d, &Action::Target { contract: 0, lots: 2 }, FLAT).0.is_empty(), "2 + 2 would pass the limit");
        assert_eq!(d.rejected_by_risk(), 1);
        let (intents, _) = act(&mut d, &Action::Target { contract: 0, lots: i64::MIN }, FLAT);
        assert!(matches!(intents[..], [Intent::Submit(OrderIntent { side: Side::Sell, lots: 2, .. })]));
    }

    #[test]
    fn news_of_an_ended_order_is_told_once() {
        let mut d = desk(10, 10);
        act(&mut d, &order(7, Side::Buy, 2, 70_000.0), FLAT);
        let part = ExchangeNews::Filled { id: 1, lots: 1, remaining: 1, price_cny: 70_000.0 };
        assert!(matches!(d.hear(&part), Some(Event::Filled { client_id: 7, remaining_lots: 1, .. })));
        assert!(d.hear(&ExchangeNews::Cancelled { id: 1, remaining: 1 }).is_some());
        assert!(d.hear(&ExchangeNews::Cancelled { id: 1, remaining: 1 }).is_none());
        assert_eq!(act(&mut d, &Action::Cancel { client_id: 7 }, FLAT).0, []);
    }

    /// T-37
    #[test]
    fn orders_of_another_instance_stay_and_are_told_to_nobody() {
        let mut d = desk(2, 5);
        act(&mut d, &order(7, Side::Buy, 1, 70_000.0), FLAT);
        d.take_over(2);
        assert_eq!((d.working_orders(), d.working_lots(), d.own_working().count()), (1, 1, 0));
        assert_eq!(act(&mut d, &Action::Cancel { client_id: 7 }, FLAT).0, [], "it is not this instance's to cancel");
        assert_eq!(act(&mut d, &order(7, Side::Buy, 1, 70_000.0), FLAT).0.len(), 1, "its ids are its own");
        let (_, events) = act(&mut d, &order(8, Side::Buy, 1, 70_000.0), FLAT);
        assert!(matches!(events[..], [Event::Rejected { reason: RejectReason::RiskLimit, .. }]), "both count");
        assert_eq!(d.hear(&ExchangeNews::Filled { id: 1, lots: 1, remaining: 0, price_cny: 1.0 }), None);
        assert!(d.hear(&ExchangeNews::Accepted { id: 2 }).is_some());
    }

    #[test]
    fn a_client_id_is_used_once_at_a_time() {
        let mut d = desk(10, 10);
        act(&mut d, &order(7, Side::Buy, 1, 70_000.0), FLAT);
        let twice = d.act(&order(7, Side::Sell, 1, 70_010.0), FLAT, &mut Vec::new(), &mut Vec::new());
        assert!(matches!(twice, Err(RuntimeError::Contract { .. })));
    }
}
