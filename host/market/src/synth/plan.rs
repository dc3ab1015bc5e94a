//! Which contracts trade on which day, who is the main one, how open interest moves, and at which prices a day opens.

use super::path::{MovePath, RowClock};
use super::rng::Rng;
use super::{SynthError, SynthSpec};
use ghtrader_core::{
    Calendar, ContractId, ContractSpec, ExchangeTimeNs, NS_PER_S, Phase, SessionWindow, TradingDay, contract_spec,
    last_trading_day,
};

/// Trading days from one chance to roll to the next.
const CYCLE_DAYS: usize = 10;
/// The market starts inside a cycle, so that the first roll comes after the close of its seventh day.
const FIRST_CYCLE_OFFSET: usize = 3;
/// A main contract delivering later than this is not left yet.
const LARGEST_LEAD_MONTHS: i32 = 4;
/// Standard deviations of price steps between sessions, in millionths of the price.
const NIGHT_OPENING_PPM: i64 = 6_000;
const MORNING_OPENING_PPM: i64 = 3_000;
/// An auction snapshot precedes its window by 59.5 s.
const AUCTION_LEAD_NS: i64 = 119 * NS_PER_S / 2;

/// What the varieties differ in; figures of mid 2025, rounded.
#[derive(Debug)]
struct Profile {
    product: &'static str,
    first_price_ticks: i64,
    carry_ticks_per_month: i64,
    /// Rows of 10,000 in which the mid price moves by a tick.
    move_permyriad: u64,
    open_interest_lots: i64,
    /// Delivery months are those divisible by it.
    month_step: i32,
}

const PROFILES: [Profile; 3] = [
    Profile {
        product: "cu",
        first_price_ticks: 7_950,
        carry_ticks_per_month: 4,
        move_permyriad: 300,
        open_interest_lots: 310_000,
        month_step: 1,
    },
    Profile {
        product: "au",
        first_price_ticks: 38_500,
        carry_ticks_per_month: 60,
        move_permyriad: 1_200,
        open_interest_lots: 260_000,
        month_step: 2,
    },
    Profile {
        product: "ag",
        first_price_ticks: 8_800,
        carry_ticks_per_month: 12,
        move_permyriad: 500,
        open_interest_lots: 450_000,
        month_step: 2,
    },
];

/// The role of a contract on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Left at the roll before; nearer delivery.
    Former,
    Main,
    Next,
    Far,
}

/// One contract on one day, all that its rows depend on besides the seed.
#[derive(Debug, Clone)]
pub(super) struct DayPlan {
    pub(super) contract: ContractId,
    pub(super) day: TradingDay,
    pub(super) windows: Vec<SessionWindow>,
    pub(super) contract_spec: ContractSpec,
    /// Time of the row that resets the day, before its first auction.
    pub(super) reset_ns: i64,
    /// For each window the time of the auction snapshot before it.
    pub(super) auctions_ns: Vec<Option<i64>>,
    /// Best bid at the day's opening.
    pub(super) open_ticks: i64,
    /// Step of the price between night and morning.
    pub(super) morning_gap_ticks: i64,
    pub(super) open_interest: (i64, i64),
    /// The main contract by plan: the one with the most open interest at the last close, as the schedule will find.
    pub(super) main: bool,
    /// Deep book, frequent trades.
    pub(super) liquid: bool,
    pub(super) rows_target: u64,
    /// Rows of the continuous sessions; auctions and the reset row come on top.
    pub(super) continuous_rows: usize,
}

impl DayPlan {
    pub(super) fn stream(&self, seed: u64, name: &str) -> Rng {
        Rng::named(seed, &[&self.contract.to_string(), &self.day.to_string(), name])
    }

    pub(super) fn clock(&self, seed: u64) -> RowClock {
        let slots: i64 = self.windows.iter().map(|w| (w.end_ns - w.start_ns) / (NS_PER_S / 2)).sum();
        RowClock::new(self.stream(seed, "clock"), self.rows_target, slots as u64)
    }

    pub(super) fn path(&self, seed: u64, law: &MovePath) -> MovePath {
        law.start(self.stream(seed, "path"))
    }

    /// All rows, the reset row and auctions included.
    pub(super) fn rows(&self) -> usize {
        1 + self.auctions_ns.iter().flatten().count() + self.continuous_rows
    }
}

/// The law of the mid price for a specification.
pub(super) fn law(spec: &SynthSpec) -> Result<MovePath, SynthError> {
    Ok(MovePath::law(profile(spec)?.move_permyriad, spec.signal))
}

fn profile(spec: &SynthSpec) -> Result<&'static Profile, SynthError> {
    let shfe = spec.variety.exchange() == ghtrader_core::Exchange::Shfe;
    PROFILES
        .iter()
        .find(|p| shfe && p.product == spec.variety.product())
        .ok_or_else(|| SynthError::Variety { variety: spec.variety.clone() })
}

/// Where a contract stood at the end of a day.
#[derive(Debug, Clone, Copy)]
struct Close {
    month: Month,
    price_ticks: i64,
    open_interest: i64,
}

/// A delivery month counted from year 0.
type Month = i32;

fn month_of(day: TradingDay) -> Month {
    let (year, month, _) = day.ymd();
    year * 12 + month as i32 - 1
}

fn contract_of(spec: &SynthSpec, month: Month) -> Result<ContractId, SynthError> {
    let text = format!("{}{:02}{:02}", spec.variety, month.div_euclid(12) % 100, month.rem_euclid(12) + 1);
    text.parse().map_err(|_| SynthError::Variety { variety: spec.variety.clone() })
}

/// Share of the largest open interest in thousandths at the close of day `k` of a cycle (0 = the close before it).
///
/// The next contract overtakes the main one at the close of the last day, and what one role ends with is what its
/// heir begins with.
fn open_interest_share(role: Role, k: i64, Cycle { rolled_before, rolls, .. }: Cycle) -> i64 {
    let half = CYCLE_DAYS as i64 / 2;
    let (start, middle, end) = match role {
        Role::Former => (if rolled_before { 480 } else { 60 }, if rolled_before { 150 } else { 60 }, 60),
        Role::Main => (if rolled_before { 520 } else { 700 }, 700, if rolls { 480 } else { 700 }),
        Role::Next => (150, if rolls { 300 } else { 150 }, if rolls { 520 } else { 150 }),
        Role::Far => (60, 60, if rolls { 150 } else { 60 }),
    };
    if k <= half { start + (middle - start) * k / half } else { middle + (end - middle) * (k - half) / half }
}

/// Plans all symbol-days, by day, then by delivery. Later days never alter earlier ones.
pub(super) fn plan(spec: &SynthSpec, calendar: &Calendar, law: &MovePath) -> Result<Vec<DayPlan>, SynthError> {
    let profile = profile(spec)?;
    let step = profile.month_step;
    // The first main contract delivers next month at the earliest.
    let earliest = month_of(spec.first_day) + 1;
    let mut main_month = earliest + (step - 1 - earliest).rem_euclid(step);
    let mut planner = Planner { spec, calendar, law, profile, closes: Vec::new(), plans: Vec::new() };
    let (mut day, mut decided_on) = (spec.first_day, spec.first_day);
    let mut rolled_before = true;
    for index in 0..spec.days as usize {
        let k = (index + FIRST_CYCLE_OFFSET) % CYCLE_DAYS;
        // Whether a cycle ends with a roll is decided by the close before it, never by days to come.
        let rolls = main_month - month_of(decided_on) <= LARGEST_LEAD_MONTHS;
        planner.add_day(day, main_month, Cycle { k: k as i64, rolled_before, rolls })?;
        if k + 1 == CYCLE_DAYS {
            rolled_before = rolls;
            main_month += if rolls { step } else { 0 };
            decided_on = day;
        }
        if index + 1 < spec.days as usize {
            day = calendar.next_trading_day(day)?;
        }
    }
    Ok(planner.plans)
}

/// A stretch of [`CYCLE_DAYS`] that may end with a roll.
#[derive(Debug, Clone, Copy)]
struct Cycle {
    /// Closes since it began.
    k: i64,
    rolled_before: bool,
    rolls: bool,
}

struct Planner<'a> {
    spec: &'a SynthSpec,
    calendar: &'a Calendar,
    law: &'a MovePath,
    profile: &'static Profile,
    /// Ascending by month.
    closes: Vec<Close>,
    plans: Vec<DayPlan>,
}

impl Planner<'_> {
    fn add_day(&mut self, day: TradingDay, main_month: Month, cycle: Cycle) -> Result<(), SynthError> {
        let Self { spec, calendar, law, profile, .. } = *self;
        let step = profile.month_step;
        let roles = [(Role::Former, -step), (Role::Main, 0), (Role::Next, step), (Role::Far, 2 * step)];
        let k = cycle.k;
        let windows = calendar.session_windows(&spec.variety, day);
        let contract_spec = contract_spec(&spec.variety, day)?;
        let phases = calendar.day_phases(&spec.variety, day);
        let auction = |w: &SessionWindow| {
            let t = w.start_ns - AUCTION_LEAD_NS;
            (phases.phase(t) == Phase::Auction).then_some(t)
        };
        let auctions_ns: Vec<Option<i64>> = windows.iter().map(auction).collect();
        let has_night = windows.first().is_some_and(|w| w.night);
        let reset_ns = if has_night {
            ExchangeTimeNs::from_cst(calendar.previous_trading_day(day)?, RESET_EVENING_NS).0
        } else {
            ExchangeTimeNs::from_cst(day, RESET_MORNING_NS).0
        };
        // News between sessions moves all months alike.
        let mut news = Rng::named(spec.seed, &[&spec.variety.to_string(), &day.to_string(), "news"]);
        let opening = news.bell(profile.first_price_ticks, NIGHT_OPENING_PPM);
        let morning = news.bell(profile.first_price_ticks, MORNING_OPENING_PPM);
        let morning = if has_night && auctions_ns.get(1).is_some_and(Option::is_some) { morning } else { 0 };
        let before = self.closes.clone();
        for (role, month) in roles.map(|(role, months)| (role, main_month + months)) {
            let contract = contract_of(spec, month)?;
            if last_trading_day(&contract, calendar).is_some_and(|last| last < day) {
                continue;
            }
            let share = |k: i64| open_interest_share(role, k, cycle);
            let noise =
                Rng::named(spec.seed, &[&contract.to_string(), &day.to_string(), "interest"]).bell(1_000, 2_000);
            let lots = |share: i64| share * profile.open_interest_lots / 1_000;
            let known = before.iter().find(|c| c.month == month);
            // A month seen for the first time opens at its carry over the latest one known.
            let opens_at = known.map(|c| c.price_ticks).unwrap_or_else(|| {
                let latest = before.last().map(|c| (c.month, c.price_ticks));
                let (near, price) = latest.unwrap_or((month_of(spec.first_day), profile.first_price_ticks));
                price + profile.carry_ticks_per_month * i64::from(month - near)
            });
            let main = role == Role::Main;
            let mut plan = DayPlan {
                contract,
                day,
                windows: windows.clone(),
                contract_spec: contract_spec.clone(),
                reset_ns,
                auctions_ns: auctions_ns.clone(),
                open_ticks: opens_at + opening,
                morning_gap_ticks: morning,
                open_interest: (known.map_or(lots(share(k)), |c| c.open_interest), lots(share(k + 1) + noise)),
                main,
                liquid: main || share(k) >= 300,
                rows_target: u64::from(spec.rows_per_day) * if main { 1_000 } else { share(k) as u64 } / 1_000,
                continuous_rows: 0,
            };
            let (rows, change) = walk(&plan, spec.seed, law);
            plan.continuous_rows = rows;
            let price_ticks = plan.open_ticks + morning + change;
            let close = Close { month, price_ticks, open_interest: plan.open_interest.1 };
            match self.closes.iter_mut().find(|c| c.month == month) {
                Some(known) => *known = close,
                None => self.closes.push(close),
            }
            self.plans.push(plan);
        }
        Ok(())
    }
}

const RESET_EVENING_NS: i64 = ((18 * 60 + 35) * 60 + 59) * NS_PER_S + 4 * NS_PER_S / 10;
const RESET_MORNING_NS: i64 = ((8 * 60 + 30) * 60 + 59) * NS_PER_S + 4 * NS_PER_S / 10;

/// Rows of a day and the change of the mid price over them in ticks, without making the rows.
fn walk(plan: &DayPlan, seed: u64, law: &MovePath) -> (usize, i64) {
    let (mut clock, mut path) = (plan.clock(seed), plan.path(seed, law));
    let (mut rows, mut change) = (0, 0);
    for window in &plan.windows {
        clock.each_row(window, |_, _| {
            rows += 1;
            change += path.step();
        });
    }
    (rows, change)
}
