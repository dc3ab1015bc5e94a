//! The ledger as an order's owner meets it: closing rules, money for opening, round trips.
#![allow(clippy::unwrap_used, reason = "a test")]

use ghtrader_exchange::{
    Account, AccountConfig, CloseFirst, FeeRate, FeeRates, Hold, Offset, Refusal, Side, Terms, Trade,
};

fn terms(contract: &str, close_rate: f64, close_today_rate: f64) -> Terms {
    let rate = |rate| FeeRate { rate, per_lot_cny: 0.0 };
    Terms {
        contract: contract.parse().unwrap(),
        multiplier: 5.0,
        fees: FeeRates { open: rate(0.0001), close: rate(close_rate), close_today: rate(close_today_rate) },
        margin_rates: (0.1, 0.1),
    }
}

fn trade(side: Side, offset: Offset, lots: u32, price_cny: f64) -> Trade {
    Trade { contract: 0, side, offset, lots, price_cny, ts_ns: 0 }
}

/// Three lots of yesterday and two of today, all long, bought at 100 and 110.
fn three_old_two_new(config: AccountConfig, terms: Terms) -> Account {
    let mut account = Account::new(config).unwrap();
    account.add_contract(terms);
    account.fill(&trade(Side::Buy, Offset::Auto, 3, 100.0), &mut Vec::new());
    account.mark(0, 105.0);
    account.settle();
    account.fill(&trade(Side::Buy, Offset::Open, 2, 110.0), &mut Vec::new());
    assert_eq!(account.lots(0, Side::Buy), (2, 3));
    account
}

fn legs(account: &mut Account, side: Side, lots: u32) -> Vec<(Offset, u32)> {
    let booking = account.fill(&trade(side, Offset::Auto, lots, 120.0), &mut Vec::new());
    booking.legs().map(|leg| (leg.offset, leg.lots)).collect()
}

/// B-12
#[test]
fn auto_closes_in_order_then_opens() {
    use Offset::{Close, CloseToday, Open};
    let cases = [
        (CloseFirst::Today, "cu2602", 0.0, vec![(CloseToday, 2), (Close, 3)]),
        (CloseFirst::Yesterday, "cu2602", 0.0, vec![(Close, 3), (CloseToday, 2)]),
        (CloseFirst::Cheapest, "cu2602", 0.0, vec![(CloseToday, 2), (Close, 3)]),
        (CloseFirst::Cheapest, "cu2602", 0.01, vec![(Close, 3), (CloseToday, 2)]),
        // Elsewhere the lots do not differ: first in, first out.
        (CloseFirst::Today, "DCE.m2609", 0.0, vec![(Close, 3), (CloseToday, 2)]),
    ];
    for (close_first, contract, close_today, want) in cases {
        let config = AccountConfig { close_first, ..AccountConfig::new(1e6) };
        let mut account = three_old_two_new(config, terms(contract, 0.001, close_today));
        assert_eq!(legs(&mut account, Side::Sell, 5), want, "{close_first} {contract}");
        assert_eq!(account.net_lots(0), 0);
        let mut account = three_old_two_new(config, terms(contract, 0.001, close_today));
        assert_eq!(legs(&mut account, Side::Sell, 6).last(), Some(&(Open, 1)), "{close_first} {contract}");
        assert_eq!(account.net_lots(0), -1);
    }
}

/// B-12: lots in a working closing order are not there for another, nor for `auto`.
#[test]
fn frozen_lots_are_kept() {
    let mut account = three_old_two_new(AccountConfig::new(1e6), terms("cu2602", 0.0, 0.0));
    let check = |account: &Account, offset, lots| account.check(0, Side::Sell, offset, lots, 120.0);
    let hold: Hold = check(&account, Offset::Close, 2).unwrap();
    account.hold(&hold, 2);
    assert_eq!(check(&account, Offset::Close, 2), Err(Refusal::NothingToClose { lots: 2, free_lots: 1 }));
    assert_eq!(check(&account, Offset::CloseToday, 3), Err(Refusal::NothingToClose { lots: 3, free_lots: 2 }));
    assert_eq!(legs(&mut account, Side::Sell, 4), [(Offset::CloseToday, 2), (Offset::Close, 1), (Offset::Open, 1)]);
    account.release(&hold, 2);
    let booking = account.fill(&trade(Side::Sell, Offset::Close, 2, 120.0), &mut Vec::new());
    assert_eq!(booking.legs().map(|l| (l.offset, l.lots)).collect::<Vec<_>>(), [(Offset::Close, 2)]);
    assert_eq!((account.lots(0, Side::Buy), account.lots(0, Side::Sell)), ((0, 0), (1, 0)));
}

#[test]
fn opening_needs_money() {
    // A lot of 100 CNY × 5 holds 50 CNY of margin and costs 0.05.
    let mut account = Account::new(AccountConfig::new(100.1)).unwrap();
    account.add_contract(terms("cu2602", 0.0, 0.0));
    let hold = account.check(0, Side::Buy, Offset::Auto, 2, 100.0).unwrap();
    assert!(matches!(account.check(0, Side::Buy, Offset::Open, 3, 100.0), Err(Refusal::InsufficientMargin { .. })));
    account.hold(&hold, 2);
    assert!(matches!(account.check(0, Side::Buy, Offset::Open, 1, 100.0), Err(Refusal::InsufficientMargin { .. })));
    account.release(&hold, 2);
    account.fill(&trade(Side::Buy, Offset::Auto, 2, 100.0), &mut Vec::new());
    assert!((account.available_cny() - 0.0).abs() < 1e-9, "{}", account.available_cny());
    // Closing needs none, turning round only for what opens.
    assert!(account.check(0, Side::Sell, Offset::Auto, 2, 100.0).is_ok());
    assert!(account.check(0, Side::Sell, Offset::Auto, 3, 100.0).is_err());
    account.mark(0, 80.0);
    assert!(account.is_bust());
    account.mark(0, 95.0);
    assert!(!account.is_bust());
    let line = account.equity_line(0);
    assert!((line.base_cny + 80.0 * line.units - (100.0 - 200.0)).abs() < 1e-9, "{line:?}");
}

/// B-11
#[test]
fn large_side_holds_the_larger() {
    for (large_side, want) in [(true, 100.0), (false, 150.0)] {
        let mut account = Account::new(AccountConfig { large_side, ..AccountConfig::new(1e6) }).unwrap();
        account.add_contract(terms("cu2602", 0.0, 0.0));
        account.fill(&trade(Side::Buy, Offset::Open, 2, 100.0), &mut Vec::new());
        account.fill(&trade(Side::Sell, Offset::Open, 1, 100.0), &mut Vec::new());
        assert!((account.margin_cny() - want).abs() < 1e-9);
    }
}

/// Round trips pair first in with first out and carry the fees of both ends.
#[test]
fn round_trips() {
    let config = AccountConfig { broker_markup: 2.0, ..AccountConfig::new(1e6) };
    let mut account = Account::new(config).unwrap();
    account.add_contract(terms("cu2602", 0.0, 0.0002));
    let mut closed = Vec::new();
    for (side, lots, price_cny, ts_ns) in
        [(Side::Sell, 2, 100.0, 1), (Side::Sell, 1, 102.0, 2), (Side::Buy, 3, 101.0, 9)]
    {
        account.fill(&Trade { ts_ns, ..trade(side, Offset::Auto, lots, price_cny) }, &mut closed);
    }
    let seen: Vec<_> = closed.iter().map(|c| (c.opened, c.lots, c.open_ns, c.close_ns, c.profit_cny)).collect();
    assert_eq!(seen, [(Side::Sell, 2, 1, 9, -10.0), (Side::Sell, 1, 2, 9, 5.0)]);
    // Open 0.02 % and close 0.04 % of the turnover, the broker's markup in them.
    let fees: Vec<f64> = closed.iter().map(|c| c.fees_cny).collect();
    assert!((fees[0] - (1000.0 * 0.0002 + 1010.0 * 0.0004)).abs() < 1e-9, "{fees:?}");
    assert!((fees[0] + fees[1] - account.commission_cny()).abs() < 1e-9);
    assert!((account.equity_cny() - (1e6 - 5.0 - account.commission_cny())).abs() < 1e-6);
}
