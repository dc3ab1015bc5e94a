//! What shows only when a guest is run over a fixture: looks ahead, memories of how rows were cut, actions that no host takes.

use super::When::Admission;
use super::{BadGuest, Deed, Guest};

/// A strategy that acts once, at the third row of the block it was shown, with what is at 1024.
const ONCE: &str = "(if (i32.and (i32.eqz (global.get $done)) (i32.le_u (local.get $start) (i32.const 2)))
    (then (if (i32.gt_u (local.get $until) (i32.const 2))
      (then (global.set $done (i32.const 1)) (call $words) (return (call $act (i32.const 2) (i32.const 4)))))))
  (call $act (local.get $until) (i32.const 0))";

fn acting(more: &'static str) -> Guest {
    Guest { run: ONCE, more, ..Guest::strategy() }
}

pub(super) fn guests() -> Vec<BadGuest> {
    let lines: Vec<(&'static str, &'static [&'static str], Guest)> = vec![
        (
            "a feature that gives the next row's price",
            &["look_ahead"],
            Guest {
                compute: "(call $answer (i32.add (local.get $rows) (select (i32.const 8) (i32.const 0)
                    (i32.gt_u (local.get $words) (i32.const 1)))) (local.get $words))",
                ..Guest::default()
            },
        ),
        (
            "a feature that gives the block's last price",
            &["look_ahead"],
            Guest {
                compute: "(local $last i64) (local $at i32)
                    (local.set $at (i32.add (local.get $rows) (i32.shl (i32.sub (local.get $words) (i32.const 1)) (i32.const 3))))
                    (local.set $last (i64.load (local.get $at)))
                    (block $end (loop $more (i64.store (local.get $at) (local.get $last))
                      (br_if $end (i32.eq (local.get $at) (local.get $rows)))
                      (local.set $at (i32.sub (local.get $at) (i32.const 8))) (br $more)))
                    (call $answer (local.get $rows) (local.get $words))",
                ..Guest::default()
            },
        ),
        (
            "a feature that counts its calls",
            &["split_variant"],
            Guest {
                more: "(global $calls (mut i64) (i64.const 0))",
                compute: "(global.set $calls (i64.add (global.get $calls) (i64.const 1)))
                    (i64.store (local.get $rows) (global.get $calls))
                    (call $answer (local.get $rows) (local.get $words))",
                ..Guest::default()
            },
        ),
        (
            "a feature that behaves in single rows alone",
            &["split_variant"],
            Guest {
                compute: "(if (i32.gt_u (local.get $words) (i32.const 1))
                      (then (f64.store (local.get $rows) (f64.add (f64.load (local.get $rows)) (f64.const 1)))))
                    (call $answer (local.get $rows) (local.get $words))",
                ..Guest::default()
            },
        ),
        (
            "a feature that traps on the thousandth row",
            &["plugin_trapped"],
            Guest {
                more: "(global $seen (mut i32) (i32.const 0))",
                compute: "(global.set $seen (i32.add (global.get $seen) (local.get $words)))
                    (if (i32.ge_u (global.get $seen) (i32.const 1000)) (then unreachable))
                    (call $answer (local.get $rows) (local.get $words))",
                ..Guest::default()
            },
        ),
        (
            "a label that gives the last price it was shown",
            &["look_ahead"],
            Guest {
                init: "(i32.store (i32.const 20) (i32.const 2)) (i32.const 0)",
                compute: "(local $last i64) (local $i i32)
                    (local.set $last (i64.load (i32.add (local.get $rows) (i32.shl (i32.sub (local.get $words) (i32.const 1)) (i32.const 3)))))
                    (block $end (loop $more (br_if $end (i32.ge_u (local.get $i) (local.get $emit)))
                      (i64.store (i32.add (local.get $rows) (i32.shl (local.get $i) (i32.const 3))) (local.get $last))
                      (local.set $i (i32.add (local.get $i) (i32.const 1))) (br $more)))
                    (call $answer (local.get $rows) (local.get $emit))",
                ..Guest::label()
            },
        ),
        (
            "a label that remembers its calls",
            &["split_variant"],
            Guest {
                more: "(global $calls (mut i64) (i64.const 0))",
                compute: "(global.set $calls (i64.add (global.get $calls) (i64.const 1)))
                    (i64.store (local.get $rows) (global.get $calls))
                    (call $answer (local.get $rows) (local.get $emit))",
                ..Guest::label()
            },
        ),
        (
            "a strategy that buys before the price rises",
            &["look_ahead"],
            Guest {
                more: "(global $words (mut i32) (i32.const 0))",
                load: "(global.set $words (local.get $words)) (call $keep (local.get $rows) (local.get $words))",
                run: "(local $row i32) (local.set $row (local.get $start))
                    (block $end (loop $rows
                      (br_if $end (i32.ge_u (local.get $row) (local.get $until)))
                      (if (i32.lt_u (i32.add (local.get $row) (i32.const 1)) (global.get $words))
                        (then (if (f64.gt (call $price (i32.add (local.get $row) (i32.const 1))) (call $price (local.get $row)))
                          (then (call $place (i64.const 0)) (return (call $act (local.get $row) (i32.const 4)))))))
                      (local.set $row (i32.add (local.get $row) (i32.const 1))) (br $rows)))
                    (call $act (local.get $until) (i32.const 0))",
                ..Guest::strategy()
            },
        ),
        (
            "a strategy that hears from `until` what is to come",
            &["split_variant"],
            Guest {
                run: "(if (result i32) (i32.and (i32.sub (local.get $until) (local.get $start)) (i32.const 1))
                    (then (call $place (i64.const 0)) (call $act (local.get $start) (i32.const 4)))
                    (else (call $act (local.get $until) (i32.const 0))))",
                ..Guest::strategy()
            },
        ),
        (
            "a strategy that stands still",
            &["plugin_contract"],
            Guest { run: "(call $act (local.get $start) (i32.const 0))", ..Guest::strategy() },
        ),
        (
            "an action of no kind",
            &["plugin_contract"],
            acting("(global $done (mut i32) (i32.const 0)) (func $words (i64.store (i32.const 1024) (i64.const 9)))"),
        ),
        (
            "an action with bits that nobody named",
            &["plugin_contract"],
            acting(
                "(global $done (mut i32) (i32.const 0))
                 (func $words (call $place (i64.const 5)) (i64.store (i32.const 1024) (i64.const 0x8000000001000001)))",
            ),
        ),
        (
            "an order of no side",
            &["plugin_contract"],
            acting(
                "(global $done (mut i32) (i32.const 0))
                 (func $words (call $place (i64.const 5)) (i64.store (i32.const 1024) (i64.const 0x701)))",
            ),
        ),
        (
            "a target for a contract of 33 bits",
            &["plugin_contract"],
            acting(
                "(global $done (mut i32) (i32.const 0))
                 (func $words (i64.store (i32.const 1024) (i64.const 3)) (i64.store (i32.const 1032) (i64.const 0x100000000)))",
            ),
        ),
        (
            "an order under the host's own id",
            &["plugin_contract"],
            acting(
                "(global $done (mut i32) (i32.const 0))
                 (func $words (call $place (i64.const 5)) (i64.store (i32.const 1032) (i64.const 0)))",
            ),
        ),
        (
            "two working orders under one id",
            &["plugin_contract"],
            Guest {
                // Day orders far below the market, so that both stay.
                run: "(call $place (i64.const 5)) (i64.store (i32.const 1024) (i64.const 1))
                    (f64.store (i32.const 1048) (f64.const 10)) (call $act (local.get $start) (i32.const 4))",
                ..Guest::strategy()
            },
        ),
        (
            "a page more with each block",
            &["plugin_memory"],
            Guest { compute: "(drop (memory.grow (i32.const 1))) (call $answer (local.get $rows) (local.get $words))", ..Guest::default() },
        ),
    ];
    lines
        .into_iter()
        .map(|(name, codes, guest)| BadGuest { name, when: Admission, codes, deed: Deed::Admit(guest.artefact()) })
        .collect()
}
