//! The trading floor: all accounts, the contracts' days made ready for matching, and what is refused.

use crate::accounts::Accounts;
use crate::desk::{Desk, Held, Level, Market, Notice, Order, OrderText};
use crate::instruments::{MOST_LOTS, present_day};
use crate::tape::Tape;
use ghtrader_core::{ExchangeTimeNs, TradingDay, is_double_sided};
use ghtrader_exchange::{MatchConfig, Matching, NewOrder, Offset, PrepareSpec, PreparedDay, Refusal, Side, Tif};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Accounts at once; a user needs nothing but a name to open one.
const ACCOUNTS: usize = 10_000;

/// An order as a client asks for it.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) order_id: String,
    pub(crate) exchange: String,
    pub(crate) instrument: String,
    pub(crate) text: OrderText,
    pub(crate) volume: i64,
    pub(crate) limit_price: Option<f64>,
}

/// Why an order is refused: a code of the protocol, and words.
type No = (i64, String);

/// All accounts.
#[derive(Debug)]
pub(crate) struct Floor {
    config: MatchConfig,
    pub(crate) accounts: Accounts,
    pub(crate) desks: BTreeMap<String, Desk>,
    /// By series and day; the reason where a day cannot be matched.
    prepared: BTreeMap<(usize, usize), Result<Arc<PreparedDay>, String>>,
    pub(crate) step: usize,
}

impl Floor {
    pub(crate) fn new(config: MatchConfig, accounts: Accounts, step: usize) -> Self {
        Self { config, accounts, desks: BTreeMap::new(), prepared: BTreeMap::new(), step }
    }

    /// Takes the clock's next step.
    pub(crate) fn step(&mut self, tape: &Tape, step: usize) {
        self.step = step;
        let Some(at) = tape.steps.get(step) else { return };
        match at.settles {
            None => self.desks.values_mut().for_each(|d| d.step(tape, at.ts_ns)),
            Some(day) => {
                let next = tape.trading_day(step);
                for desk in self.desks.values_mut() {
                    desk.settle(tape, day as usize, next);
                    let held: Vec<(usize, usize)> = desk.held.iter().map(|(s, h)| (*s, h.number)).collect();
                    for (series, number) in held {
                        let of = &tape.series[series];
                        let terms = of.contract.as_ref().map(|c| self.accounts.terms.of(c, next, of.spec.multiplier));
                        // Tables that end leave the terms as they were.
                        if let Some(Ok(terms)) = terms {
                            desk.ledger.set_terms(number, terms);
                        }
                    }
                }
                self.prepared.retain(|(_, d), _| *d > day as usize);
            }
        }
    }

    /// Opens the account of a user, or finds it.
    ///
    /// # Errors
    /// Why he may not trade.
    pub(crate) fn log_in(&mut self, tape: &Tape, user: &str, password: &str) -> Result<(), &'static str> {
        let money = self.accounts.admit(user, password).ok_or("用户或密码错误")?;
        if !self.desks.contains_key(user) {
            if self.desks.len() >= ACCOUNTS {
                return Err("账户数量已达上限");
            }
            let desk = Desk::new(money, tape.trading_day(self.step)).map_err(|_| "账户资金错误")?;
            self.desks.insert(user.to_owned(), desk);
        }
        Ok(())
    }

    fn now_ns(&self, tape: &Tape) -> i64 {
        tape.steps.get(self.step).map_or(0, |s| s.ts_ns)
    }

    /// Takes an order: it rests, fills with the next row, or is refused with a notice.
    pub(crate) fn insert(&mut self, tape: &Tape, user: &str, ask: Ask) {
        let now_ns = self.now_ns(tape);
        let Some(desk) = self.desks.get(user) else { return };
        if desk.by_id.contains_key(&ask.order_id) {
            let content = format!("下单,已被服务器拒绝,原因:报单编号 {} 重复", ask.order_id);
            if let Some(desk) = self.desks.get_mut(user) {
                desk.notify(Level::Warning, 407, content);
            }
            return;
        }
        let judged = self.judge(tape, user, &ask, now_ns);
        let Some(desk) = self.desks.get_mut(user) else { return };
        let number = desk.number(&ask.order_id);
        let version = desk.touch();
        let seqno = desk.seqno();
        let day = desk.day.compact();
        let mut order = Order {
            order_id: ask.order_id,
            exchange_order_id: format!("{day}{number:08}"),
            exchange: ask.exchange,
            instrument: ask.instrument,
            series: None,
            side: if ask.text.direction == "SELL" { Side::Sell } else { Side::Buy },
            offset: offset_of(&ask.text.offset).unwrap_or(Offset::Open),
            text: ask.text,
            lots: ask.volume,
            left: ask.volume,
            limit_price: ask.limit_price,
            insert_ns: now_ns,
            alive: true,
            last_msg: "未成交".to_owned(),
            seqno,
            changed: version,
            gone: false,
            hold: None,
        };
        match judged {
            Ok(taken) => {
                order.series = Some(taken.series);
                order.hold = Some(taken.hold);
                desk.ledger.hold(&taken.hold, taken.order.lots);
                if let Some(held) = desk.held.get_mut(&taken.series) {
                    held.changed = version;
                    if let Some(market) = &mut held.market {
                        let new = NewOrder { id: number, ..taken.order };
                        market.matching.submit(new, market.row.saturating_sub(1), now_ns);
                    }
                }
                desk.orders.insert(number, order);
                desk.working += 1;
                desk.touch_money();
                desk.notify(Level::Info, 417, "下单成功");
            }
            Err((code, reason)) => {
                order.exchange_order_id.clear();
                order.alive = false;
                order.last_msg.clone_from(&reason);
                desk.orders.insert(number, order);
                desk.notify(Level::Warning, code, format!("下单,已被服务器拒绝,原因:{reason}"));
            }
        }
    }

    /// Whether an order may go to the exchange, and as what.
    fn judge(&mut self, tape: &Tape, user: &str, ask: &Ask, now_ns: i64) -> Result<Taken, No> {
        let symbol = format!("{}.{}", ask.exchange, ask.instrument);
        let series = tape.find(&symbol).filter(|s| tape.series[*s].contract.is_some());
        let series = series.ok_or_else(|| (409, format!("合约 {symbol} 不存在")))?;
        let of = &tape.series[series];
        let side = match ask.text.direction.as_str() {
            "BUY" => Side::Buy,
            "SELL" => Side::Sell,
            other => return Err((337, format!("不支持的买卖方向 {other}"))),
        };
        let offset =
            offset_of(&ask.text.offset).ok_or_else(|| (337, format!("不支持的开平标志 {}", ask.text.offset)))?;
        let lots = u32::try_from(ask.volume).ok().filter(|v| (1..=MOST_LOTS).contains(v));
        let lots = lots.ok_or_else(|| (411, format!("手数 {} 不在 1 到 {MOST_LOTS} 之间", ask.volume)))?;
        let day = present_day(tape, of, self.step);
        let row = of.shown(now_ns).checked_sub(1);
        let (limit_ticks, tif) = self.terms_of(ask, of, row, side)?;
        if let Some(ticks) = limit_ticks {
            let price = of.spec.ticks_to_price(ticks);
            if price > day.upper {
                return Err((404, format!("价格 {price} 高于涨停价 {}", day.upper)));
            }
            if price < day.lower {
                return Err((405, format!("价格 {price} 低于跌停价 {}", day.lower)));
            }
        }
        let today = tape.trading_day(self.step);
        let windows = tape.calendar.session_windows(&of.variety, today);
        let open = windows.iter().any(|w| w.start_ns <= now_ns && now_ns < w.end_ns);
        if day.day != today || !open {
            return Err((333, format!("{} 不在交易时段", ExchangeTimeNs(now_ns))));
        }
        let number = self.held(tape, user, series, day.index, now_ns)?;
        let Some(desk) = self.desks.get(user) else { return Err((408, "没有登录".to_owned())) };
        let last = row.map_or(f64::NAN, |r| of.cell(ghtrader_core::Column::LastPrice, r));
        let last = if last.is_finite() { last } else { day.reference(of) };
        let price = limit_ticks.map_or(last, |t| of.spec.ticks_to_price(t));
        let hold = desk.ledger.check(number, side, offset, lots, price).map_err(|refusal| match refusal {
            Refusal::InsufficientMargin { needed_cny, available_cny } => {
                (413, format!("资金不足: 需要 {needed_cny:.2}, 可用 {available_cny:.2}"))
            }
            Refusal::NothingToClose { lots, free_lots } => {
                let separate = matches!(ask.exchange.as_str(), "SHFE" | "INE");
                let (code, what) = match offset {
                    Offset::CloseToday => (414, "平今手数超过今仓持仓量"),
                    _ if separate => (415, "平昨手数超过昨仓持仓量"),
                    _ => (416, "平仓手数超过持仓量"),
                };
                (code, format!("{what}: {lots} 超过 {free_lots}"))
            }
        })?;
        let limit_ticks = limit_ticks.map(|t| i32::try_from(t).unwrap_or(i32::MAX));
        Ok(Taken { series, hold, order: NewOrder { id: 0, side, lots, limit_ticks, tif, post_only: false, offset } })
    }

    /// Limit in ticks and life of an order.
    fn terms_of(
        &self,
        ask: &Ask,
        of: &crate::tape::Series,
        row: Option<usize>,
        side: Side,
    ) -> Result<(Option<i64>, Tif), No> {
        use ghtrader_core::Column;
        let text = &ask.text;
        let unknown = || {
            let (p, t, v) = (&text.price_type, &text.time_condition, &text.volume_condition);
            (337, format!("不支持的报单类型 {p} {t} {v}"))
        };
        let tif = match (text.time_condition.as_str(), text.volume_condition.as_str()) {
            ("GFD", "ANY") if text.price_type == "LIMIT" => Tif::Day,
            ("IOC", "ANY") => Tif::Immediate,
            ("IOC", "ALL") => Tif::FillOrKill,
            _ => return Err(unknown()),
        };
        let opposite = |level: usize| {
            let column = if side == Side::Buy { Column::ask_price(level) } else { Column::bid_price(level) };
            let price = row.map_or(f64::NAN, |r| of.cell(column, r));
            of.spec.price_to_ticks(price).ok_or_else(|| (335, "对手方没有报价".to_owned()))
        };
        let limit = match text.price_type.as_str() {
            "LIMIT" => {
                let price = ask.limit_price.filter(|p| p.is_finite());
                let price = price.ok_or_else(|| (412, "限价单没有价格".to_owned()))?;
                let ticks = of.spec.price_to_ticks(price).filter(|t| i32::try_from(*t).is_ok());
                let tick = &of.spec.price_tick_text;
                Some(ticks.ok_or_else(|| (412, format!("价格 {price} 不是最小变动价位 {tick} 的整数倍")))?)
            }
            "ANY" => None,
            "BEST" => Some(opposite(0)?),
            "FIVELEVEL" => Some((0..of.levels).rev().find_map(|l| opposite(l).ok()).map_or_else(|| opposite(0), Ok)?),
            _ => return Err(unknown()),
        };
        Ok((limit, tif))
    }

    /// A contract's number in a user's ledger, with a matching for the present day.
    fn held(&mut self, tape: &Tape, user: &str, series: usize, day: usize, now_ns: i64) -> Result<usize, No> {
        let of = &tape.series[series];
        let contract = of.contract.as_ref().ok_or_else(|| (409, "合约不存在".to_owned()))?;
        let today: TradingDay = tape.days[day];
        let prepared = self.prepared.entry((series, day)).or_insert_with(|| {
            let rows = of.days.iter().find(|d| d.index == day).map_or(0..0, |d| d.rows.clone());
            let double_sided = is_double_sided(of.variety.exchange(), today);
            let spec = PrepareSpec::of_day(&tape.calendar, &of.variety, today, &of.spec, double_sided);
            let view = of.ticks.view().slice(rows);
            PreparedDay::prepare(&view, &spec).map(Arc::new).map_err(|e| e.to_string())
        });
        let prepared = prepared.clone().map_err(|reason| (409, format!("合约不可交易: {reason}")))?;
        let Some(desk) = self.desks.get_mut(user) else { return Err((408, "没有登录".to_owned())) };
        if !desk.held.contains_key(&series) {
            let terms = self.accounts.terms.of(contract, today, of.spec.multiplier);
            let terms = terms.map_err(|e| (409, format!("合约不可交易: {e}")))?;
            let number = desk.ledger.add_contract(terms);
            let marked = of.shown(now_ns);
            if let Some(row) = marked.checked_sub(1) {
                desk.ledger.mark(number, of.cell(ghtrader_core::Column::LastPrice, row));
            }
            desk.held.insert(series, Held { number, market: None, changed: 0, begun: (0, 0), marked });
        }
        let Some(held) = desk.held.get_mut(&series) else { return Err((409, "合约不存在".to_owned())) };
        if held.market.is_none() {
            let from = of.days.iter().find(|d| d.index == day).map_or(0, |d| d.rows.start);
            let row = held.marked.saturating_sub(from).min(prepared.rows());
            held.market = Some(Market { day: prepared, from, row, matching: Matching::new(self.config) });
        }
        Ok(held.number)
    }

    /// Asks for the end of an order.
    pub(crate) fn cancel(&mut self, tape: &Tape, user: &str, order_id: &str) {
        let now_ns = self.now_ns(tape);
        let Some(desk) = self.desks.get_mut(user) else { return };
        let number = desk.by_id.get(order_id).copied();
        match number.filter(|n| desk.orders.get(n).is_some_and(|o| o.alive)) {
            Some(number) => desk.cancel(number, now_ns),
            None => desk.notify(Level::Warning, 420, format!("撤单失败,报单 {order_id} 不存在或已结束")),
        }
    }

    /// Pays money in, or takes it out.
    pub(crate) fn transfer(&mut self, user: &str, amount_cny: f64) -> bool {
        let Some(desk) = self.desks.get_mut(user) else { return false };
        if !amount_cny.is_finite() || amount_cny < 0.0 && -amount_cny > desk.ledger.available_cny() {
            desk.notify(Level::Warning, 413, "转账失败,可用资金不足");
            return false;
        }
        desk.ledger.deposit(amount_cny);
        if amount_cny < 0.0 {
            desk.withdraw_cny -= amount_cny;
        } else {
            desk.deposit_cny += amount_cny;
        }
        desk.touch_money();
        true
    }

    /// Tells the last settlement as a notice.
    pub(crate) fn tell_settlement(&mut self, user: &str) {
        let Some(desk) = self.desks.get_mut(user) else { return };
        let state = desk.ledger.state();
        let content = format!(
            "交易日 {}\n上日权益 {:.2}\n平仓盈亏 {:.2}\n持仓盈亏 {:.2}\n手续费 {:.2}\n权益 {:.2}\n保证金 {:.2}",
            desk.day,
            desk.pre_balance_cny,
            state.close_profit_cny,
            state.position_profit_cny,
            state.commission_cny,
            state.balance_cny,
            state.margin_cny
        );
        desk.tell(Notice { kind: "SETTLEMENT", level: Level::Info, code: 325, content });
    }
}

/// An order that the exchange takes.
struct Taken {
    series: usize,
    hold: ghtrader_exchange::Hold,
    order: NewOrder,
}

fn offset_of(text: &str) -> Option<Offset> {
    match text {
        "OPEN" => Some(Offset::Open),
        "CLOSE" => Some(Offset::Close),
        "CLOSETODAY" => Some(Offset::CloseToday),
        _ => None,
    }
}
