use crate::kernels::wire::{Action, Order};
use crate::{Event, Offset, Side, Tif};

/// What the strategy holds. Changes only with an event, never from row to row.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Account {
    /// Number of the current contract, from 0; one more at each roll.
    pub contract: u32,
    /// Lots held long.
    pub long_lots: u32,
    /// Lots held short.
    pub short_lots: u32,
    /// Settled balance, plus profit closed and fees paid since.
    pub balance_cny: f64,
    /// Balance less margin at opening prices.
    pub available_cny: f64,
    /// Orders at the exchange.
    pub working_orders: u32,
}

impl Account {
    /// Net position: long above 0, short below.
    pub const fn position_lots(&self) -> i64 {
        self.long_lots as i64 - self.short_lots as i64
    }
}

/// How far an order got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// Sent, not yet answered.
    Sent,
    /// At the exchange.
    Working,
    /// A cancel is under way; it may still fill.
    Cancelling,
}

/// An order that may still fill.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WorkingOrder {
    /// Its id.
    pub client_id: u64,
    /// Buy or sell.
    pub side: Side,
    /// Lots not yet filled.
    pub remaining_lots: u32,
    /// CNY per quoted unit; `None` = market.
    pub limit_cny: Option<f64>,
    /// How far it got.
    pub state: OrderState,
}

/// What a strategy acts through: its account, its working orders, and the way to send orders.
#[derive(Debug, Default)]
pub struct Ctx {
    account: Account,
    orders: Vec<WorkingOrder>,
    actions: Vec<Action>,
    last_client_id: u64,
}

impl Ctx {
    /// The account as of the last event.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Net position: long above 0, short below.
    #[inline]
    pub fn position_lots(&self) -> i64 {
        self.account.position_lots()
    }

    /// Orders that may still fill, oldest first.
    pub fn orders(&self) -> &[WorkingOrder] {
        &self.orders
    }

    /// The order of that id, while it may still fill.
    pub fn working(&self, client_id: u64) -> Option<&WorkingOrder> {
        self.orders.iter().find(|order| order.client_id == client_id)
    }

    /// Begins a buy: `ctx.buy(1).at(ask).immediate().send()`.
    pub fn buy(&mut self, lots: u32) -> OrderRequest<'_> {
        self.order(Side::Buy, lots)
    }

    /// Begins a sale: `ctx.sell(1).at(bid).post_only().send()`.
    pub fn sell(&mut self, lots: u32) -> OrderRequest<'_> {
        self.order(Side::Sell, lots)
    }

    /// Begins an order of a side.
    pub fn order(&mut self, side: Side, lots: u32) -> OrderRequest<'_> {
        let order = Order {
            client_id: self.last_client_id + 1,
            contract: self.account.contract,
            side,
            offset: Offset::Auto,
            lots,
            limit_cny: None,
            tif: Tif::Day,
            post_only: false,
        };
        OrderRequest { ctx: self, order }
    }

    /// Asks to cancel an order; does nothing when it is gone or its cancel is under way.
    pub fn cancel(&mut self, client_id: u64) {
        let order = self.orders.iter_mut().find(|order| order.client_id == client_id);
        if let Some(order) = order.filter(|order| order.state != OrderState::Cancelling) {
            order.state = OrderState::Cancelling;
            self.actions.push(Action::Cancel { client_id });
        }
    }

    /// Has the host send what is missing to this net position (long above 0, short below).
    pub fn target(&mut self, lots: i64) {
        self.actions.push(Action::Target { contract: self.account.contract, lots });
    }

    /// Asks for [`Event::Woke`] at that exchange time, ns since the epoch (UTC).
    pub fn wake_at(&mut self, ts_ns: i64) {
        self.actions.push(Action::WakeAt { ts_ns });
    }

    pub(crate) fn begin(&mut self, account: &Account) {
        self.account = *account;
    }

    pub(crate) fn acted(&self) -> bool {
        !self.actions.is_empty()
    }

    pub(crate) fn drain(&mut self, words: &mut Vec<u64>) {
        for action in self.actions.drain(..) {
            words.extend_from_slice(&action.encode());
        }
    }

    pub(crate) fn track(&mut self, event: Event) {
        let (client_id, remaining_lots) = match event {
            Event::Accepted { client_id } => {
                let order = self.orders.iter_mut().find(|order| order.client_id == client_id);
                if let Some(order) = order.filter(|order| order.state == OrderState::Sent) {
                    order.state = OrderState::Working;
                }
                return;
            }
            Event::Filled { client_id, remaining_lots, .. } => (client_id, remaining_lots),
            Event::Cancelled { client_id, .. } | Event::Rejected { client_id, .. } => (client_id, 0),
            _ => return,
        };
        if let Some(at) = self.orders.iter().position(|order| order.client_id == client_id) {
            if remaining_lots == 0 {
                self.orders.remove(at);
            } else {
                self.orders[at].remaining_lots = remaining_lots;
            }
        }
    }
}

/// An order being made: a market order for the day, opening or closing as needed, until told otherwise.
#[derive(Debug)]
#[must_use = "an order leaves with `send()`"]
pub struct OrderRequest<'a> {
    ctx: &'a mut Ctx,
    order: Order,
}

impl OrderRequest<'_> {
    /// Limits the price, CNY per quoted unit.
    ///
    /// NaN, such as the ask of an empty side, never becomes a market order: it leaves for 0 lots, and is rejected as
    /// malformed.
    pub fn at(mut self, limit_cny: f64) -> Self {
        self.order.limit_cny = Some(limit_cny);
        if limit_cny.is_nan() {
            self.order.lots = 0;
        }
        self
    }

    /// Cancels at once what does not fill at once.
    pub fn immediate(mut self) -> Self {
        self.order.tif = Tif::Immediate;
        self
    }

    /// Fills whole at once or not at all.
    pub fn fill_or_kill(mut self) -> Self {
        self.order.tif = Tif::FillOrKill;
        self
    }

    /// Is refused rather than taking.
    pub fn post_only(mut self) -> Self {
        self.order.post_only = true;
        self
    }

    /// Opens or closes, rather than what is needed.
    pub fn offset(mut self, offset: Offset) -> Self {
        self.order.offset = offset;
        self
    }

    /// Sends the order and returns its id.
    pub fn send(self) -> u64 {
        let Self { ctx, order } = self;
        ctx.last_client_id = order.client_id;
        ctx.orders.push(WorkingOrder {
            client_id: order.client_id,
            side: order.side,
            remaining_lots: order.lots,
            limit_cny: order.limit_cny,
            state: OrderState::Sent,
        });
        ctx.actions.push(Action::Place(order));
        order.client_id
    }
}
