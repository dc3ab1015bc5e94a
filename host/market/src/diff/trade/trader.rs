//! A trading line that sends orders: the client, and the journal that knows what was sent.

use super::client::{TradeClient, TradeOptions};
use super::error::TradeError;
use super::journal::{OpenError, OrderJournal, OwnOrder, account_digest};
use super::line::{Blocked, TradeEvent, TradeLine, TradeLogin};
use super::order::{Direction, NewOrder, OrderId, OrderRefusal};
use crate::diff::auth::Login;
use ghtrader_durable::JournalError;
use std::path::Path;
use std::time::Duration;

/// Why an order was not sent. None of it was written down, but for `Journal`: then the next life of the program tells.
#[derive(Debug, thiserror::Error)]
pub enum InsertError {
    /// The order itself.
    #[error(transparent)]
    Order(#[from] OrderRefusal),
    /// It could not be written down.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Why an order is not asked to end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CancelError {
    /// There is no line, or no complete picture yet.
    #[error("the trading line is not logged in")]
    NotLoggedIn,
    /// The journal has no such order, or one that ended on an earlier day.
    #[error("{0} is not one of this account's orders")]
    NotOurs(OrderId),
}

/// One account's trading line, and its journal; alone with both.
#[derive(Debug)]
pub struct Trader {
    client: TradeClient,
    journal: OrderJournal,
    /// What could not be written down yet.
    unwritten: Vec<TradeEvent>,
    /// What is written down and not told yet.
    untold: Vec<TradeEvent>,
}

impl Trader {
    /// Opens the journal and takes over what it says; the first turn connects. `wall_ns` is this machine's clock, ns since
    /// the epoch.
    ///
    /// # Errors
    /// `Source` for a bad address, `Journal`, `OtherAccount`.
    pub fn open(
        journal: &Path,
        url: &str,
        access: Option<Login>,
        login: TradeLogin,
        options: TradeOptions,
        wall_ns: fn() -> i64,
    ) -> Result<Self, TradeError> {
        let account = account_digest(&login.broker, &login.user);
        let mut client = TradeClient::new(url, access, login, options)?;
        let (journal, replayed) = OrderJournal::open(journal, account, wall_ns).map_err(|e| match e {
            OpenError::Journal(e) => TradeError::Journal(e),
            OpenError::OtherAccount => TradeError::OtherAccount { path: journal.to_path_buf(), user: client.user() },
        })?;
        client.line_mut().adopt(journal.prefix(), replayed);
        Ok(Self { client, journal, unwritten: Vec::new(), untold: Vec::new() })
    }

    /// As [`TradeClient::turn`]; what it tells about orders of ours has been written down.
    ///
    /// # Errors
    /// As [`TradeClient::turn`], and `Journal`.
    pub fn turn(&mut self, wait: Duration) -> Result<Vec<TradeEvent>, TradeError> {
        let came = self.client.turn(wait)?;
        self.told(came)
    }

    /// As [`TradeClient::log_in`]; what it tells about orders of ours has been written down.
    ///
    /// # Errors
    /// As [`TradeClient::log_in`], and `Journal`.
    pub fn log_in(&mut self, limit: Duration) -> Result<Vec<TradeEvent>, TradeError> {
        let came = self.client.log_in(limit)?;
        self.told(came)
    }

    fn told(&mut self, came: Vec<TradeEvent>) -> Result<Vec<TradeEvent>, TradeError> {
        self.write_down(came)?;
        Ok(std::mem::take(&mut self.untold))
    }

    fn write_down(&mut self, came: Vec<TradeEvent>) -> Result<(), JournalError> {
        self.unwritten.extend(came);
        self.journal.record(&self.unwritten)?;
        self.untold.append(&mut self.unwritten);
        Ok(())
    }

    /// As [`TradeClient::reconnect`].
    pub fn reconnect(&mut self) {
        self.client.reconnect();
    }

    /// What is known of the account.
    pub fn line(&self) -> &TradeLine {
        self.client.line()
    }

    /// The client below.
    pub fn client(&self) -> &TradeClient {
        &self.client
    }

    /// An order of ours; those that ended on earlier days are not kept.
    pub fn own_order(&self, order_id: &OrderId) -> Option<&OwnOrder> {
        self.line().own_order(order_id)
    }

    /// Where orders are sent from: there is one only while the line is logged in, the fate of every order of ours is known,
    /// and the account's sums hold. It holds the trader, so that none of this can change meanwhile.
    ///
    /// # Errors
    /// Why nothing new may be sent.
    pub fn desk(&mut self) -> Result<Desk<'_>, Blocked> {
        // An owner that was away for long has not heard yet that an order is late or that the line has gone.
        if !self.client.catch_up() {
            return Err(Blocked::NotLoggedIn);
        }
        match self.client.line().blocked() {
            Some(blocked) => Err(blocked),
            None => Ok(Desk { trader: self }),
        }
    }

    /// Asks for the end of an order of ours; harmless when it is repeated.
    ///
    /// # Errors
    /// `NotLoggedIn`, `NotOurs`.
    pub fn cancel(&mut self, order_id: &OrderId) -> Result<(), CancelError> {
        if !self.line().is_logged_in() {
            return Err(CancelError::NotLoggedIn);
        }
        if !self.client.line_mut().cancel(order_id) {
            return Err(CancelError::NotOurs(order_id.clone()));
        }
        self.client.flush();
        Ok(())
    }

    /// A person has asked the broker what became of a lost order, and takes the broker's side. False if the order is not
    /// lost. Should the order turn up after all, it is followed again.
    ///
    /// # Errors
    /// `Journal`.
    pub fn settle_lost(&mut self, order_id: &OrderId, reason: &str) -> Result<bool, TradeError> {
        if !self.client.line_mut().settle(order_id, reason) {
            return Ok(false);
        }
        let came: Vec<TradeEvent> = std::iter::from_fn(|| self.client.line_mut().take_event()).collect();
        self.write_down(came)?;
        Ok(true)
    }
}

/// The right to send orders, for as long as nothing speaks against it.
///
/// ```compile_fail
/// use ghtrader_market::diff::trade::{NewOrder, Trader};
/// fn behind_the_back(trader: &mut Trader, order: NewOrder) {
///     let desk = trader.desk().unwrap();
///     // Time passes only when nobody is at the desk.
///     trader.turn(std::time::Duration::ZERO).unwrap();
///     desk.insert(order).unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Desk<'a> {
    trader: &'a mut Trader,
}

impl<'a> Desk<'a> {
    /// Writes an order down and sends it, in this order. The desk is used up: the next order is decided on what is known
    /// then.
    ///
    /// # Errors
    /// Nothing was sent.
    pub fn insert(self, order: NewOrder) -> Result<OrderId, InsertError> {
        Ok(self.write(order)?.send())
    }

    /// Writes an order down. It may be sent once and at once; dropped without that, it counts as sent and unknown, as it
    /// would after a crash at this place.
    ///
    /// # Errors
    /// Nothing was written down.
    pub fn write(self, order: NewOrder) -> Result<Journaled<'a>, InsertError> {
        let trader = self.trader;
        let line = trader.client.line();
        // A buy closes shorts.
        let against = if order.direction == Direction::Buy { Direction::Sell } else { Direction::Buy };
        order.check_close(line.held(&order.contract.to_string(), against))?;
        let order_id = trader.journal.write(&order, line.trading_day())?;
        let now = trader.client.now();
        let frame = trader.client.line_mut().track(&order_id, &order, now);
        Ok(Journaled { trader, order_id, frame })
    }
}

/// An order that has been written down and not been sent: the only thing from which an order is sent. It cannot be made
/// but by writing a new order down, cannot be copied, and is gone once it is sent.
///
/// ```compile_fail
/// use ghtrader_market::diff::trade::Journaled;
/// fn again(order: Journaled<'_>) {
///     order.send();
///     order.send();
/// }
/// ```
#[derive(Debug)]
#[must_use = "an order that is written down and not sent is unknown"]
pub struct Journaled<'a> {
    trader: &'a mut Trader,
    order_id: OrderId,
    frame: String,
}

impl Journaled<'_> {
    /// Its id.
    pub fn order_id(&self) -> &OrderId {
        &self.order_id
    }

    /// Sends it.
    pub fn send(self) -> OrderId {
        self.trader.client.flush();
        self.trader.client.send(self.frame);
        self.order_id
    }
}
