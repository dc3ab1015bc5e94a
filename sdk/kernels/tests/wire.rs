//! The packed layout: every action and event survives, and the words are those of the contract.

use ghtrader_kernels::wire::{Action, Boundary, Event, Offset, Order, RejectReason, Side, Tif, entries};
use proptest::prelude::*;

fn order() -> impl Strategy<Value = Order> {
    let limit = prop_oneof![Just(None), (-1e9..1e9_f64).prop_map(Some), Just(Some(f64::INFINITY)), Just(Some(-0.0))];
    let flags = (any::<bool>(), 0..4_usize, 0..3_usize, any::<bool>());
    (any::<u64>(), any::<u32>(), any::<u32>(), limit, flags).prop_map(
        |(client_id, contract, lots, limit_cny, (sell, offset, tif, post_only))| Order {
            client_id,
            contract,
            side: if sell { Side::Sell } else { Side::Buy },
            offset: [Offset::Auto, Offset::Open, Offset::Close, Offset::CloseToday][offset],
            lots,
            limit_cny,
            tif: [Tif::Day, Tif::Immediate, Tif::FillOrKill][tif],
            post_only,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        order().prop_map(Action::Place),
        any::<u64>().prop_map(|client_id| Action::Cancel { client_id }),
        (any::<u32>(), any::<i64>()).prop_map(|(contract, lots)| Action::Target { contract, lots }),
        any::<i64>().prop_map(|ts_ns| Action::WakeAt { ts_ns }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        any::<u64>().prop_map(|client_id| Event::Accepted { client_id }),
        (any::<u64>(), any::<u32>(), any::<u32>(), -1e9..1e9_f64).prop_map(
            |(client_id, lots, remaining_lots, price_cny)| Event::Filled { client_id, lots, remaining_lots, price_cny }
        ),
        (any::<u64>(), any::<u32>())
            .prop_map(|(client_id, remaining_lots)| Event::Cancelled { client_id, remaining_lots }),
        (any::<u64>(), 0..RejectReason::ALL.len())
            .prop_map(|(client_id, i)| Event::Rejected { client_id, reason: RejectReason::ALL[i] }),
        any::<u32>().prop_map(|contract| Event::ContractChanged { contract }),
        any::<i64>().prop_map(|ts_ns| Event::Woke { ts_ns }),
        Just(Event::Gap),
        (0..Boundary::ALL.len()).prop_map(|i| Event::Boundary(Boundary::ALL[i])),
    ]
}

proptest! {
    #[test]
    fn an_action_survives_the_wire(action in action()) {
        prop_assert_eq!(Action::decode(&action.encode()), Some(action));
    }

    #[test]
    fn an_event_survives_the_wire(event in event()) {
        prop_assert_eq!(Event::decode(&event.encode()), Some(event));
    }

    /// Decoding is exact: whatever decodes as an action encodes to the same words (a NaN limit apart).
    #[test]
    fn no_two_words_mean_one_action(kind in 0..6_u64, rest in any::<u64>(), b in any::<u64>(), c in any::<u64>(), d in any::<u64>()) {
        for head in [kind | rest << 8, kind, kind | (rest & 1) << 8 | (rest >> 1 & 3) << 16 | (rest >> 3 & 1) << 32] {
            for words in [[head, b, c, d], [head, b, c, 0], [head, b, 0, 0], [head, b & 0xffff_ffff, c, 0]] {
                if let Some(action) = Action::decode(&words) && !f64::from_bits(words[3]).is_nan() {
                    prop_assert_eq!(action.encode(), words);
                }
            }
        }
    }
}

/// The numbers stand in `wit/v0.1.0/plugin.wit`; changing one is a change of the contract.
#[test]
fn words_are_those_of_the_contract() {
    let place = Action::Place(Order {
        client_id: 7,
        contract: 2,
        side: Side::Sell,
        offset: Offset::CloseToday,
        lots: 5,
        limit_cny: Some(70_010.0),
        tif: Tif::Immediate,
        post_only: true,
    });
    assert_eq!(place.encode(), [0x1_0103_0101, 7, 5 << 32 | 2, 70_010_f64.to_bits()]);
    assert_eq!(Action::Cancel { client_id: 7 }.encode(), [2, 7, 0, 0]);
    assert_eq!(Action::Target { contract: 1, lots: -3 }.encode(), [3, 1, (-3_i64) as u64, 0]);
    assert_eq!(Action::WakeAt { ts_ns: 9 }.encode(), [4, 9, 0, 0]);
    let filled = Event::Filled { client_id: 7, lots: 1, remaining_lots: 4, price_cny: 1.5 };
    assert_eq!(filled.encode(), [2, 7, 4 << 32 | 1, 1.5_f64.to_bits()]);
    assert_eq!(Event::Rejected { client_id: 7, reason: RejectReason::Other }.encode(), [255 << 8 | 4, 7, 0, 0]);
    assert_eq!(Event::Boundary(Boundary::Roll).encode(), [2 << 8 | 8, 0, 0, 0]);
    for (number, reason) in (1..=10).zip(RejectReason::ALL) {
        assert_eq!(Event::Rejected { client_id: 0, reason }.encode()[0] >> 8, number, "{}", reason.name());
    }
    for (number, kind) in (0..).zip(Boundary::ALL) {
        assert_eq!(Event::Boundary(kind).encode()[0] >> 8, number);
    }
}

#[test]
fn unknown_kinds_are_skipped_and_unknown_reasons_are_other() {
    assert_eq!(Event::decode(&[9, 0, 0, 0]), None);
    assert_eq!(
        Event::decode(&[99 << 8 | 4, 3, 0, 0]),
        Some(Event::Rejected { client_id: 3, reason: RejectReason::Other })
    );
    assert_eq!(Event::decode(&[77 << 8 | 8, 0, 0, 0]), Some(Event::Boundary(Boundary::Other)));
    assert_eq!(Action::decode(&[0, 0, 0, 0]), None);
    assert_eq!(Action::decode(&[2 << 8 | 1, 0, 0, 0]), None, "side 2");
    assert_eq!(Action::decode(&[1 | 1 << 33, 0, 0, 0]), None, "an unused bit");
    assert_eq!(entries(&[1, 2, 3, 4, 5]), [[1, 2, 3, 4]]);
}
