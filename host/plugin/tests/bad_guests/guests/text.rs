//! Core modules written by hand, which do what no SDK would let them do.

use ghtrader_plugin::{Finding, pack};

/// A manifest that tells the truth about the default [`Guest`] of a role.
pub(crate) fn manifest(role: &str, contract: &str) -> String {
    let (rows, outputs) = match role {
        "feature" => ("warmup_rows = 0", "[[output]]\nname = \"echo\"\nunit = \"CNY\"\n"),
        "label" => ("lookahead_rows = 2", "[[output]]\nname = \"echo\"\nunit = \"CNY\"\n"),
        _ => ("warmup_rows = 0", ""),
    };
    format!(
        r#"
[plugin]
name = "echo"
role = "{role}"
version = "0.1.0"
description = "Written by hand."
contract = "{contract}"
inputs = ["last_price"]
{rows}

{outputs}
[limits]
memory_mib = 16
live_call_cpu_ms = 5
block_call_cpu_ms = 200
output_mib = 1
"#
    )
}

/// A guest whose functions are WAT bodies. By default a feature or label returns its rows, bit by bit, and a strategy takes a lot
/// at every row whose price divides by seven ticks.
#[derive(Clone)]
pub(crate) struct Guest {
    /// `feature`, `label` or `strategy`.
    pub(crate) role: &'static str,
    /// Version of the contract.
    pub(crate) contract: &'static str,
    /// Limits of the memory.
    pub(crate) memory: &'static str,
    /// Body of `init`; 0 is the address of a truthful answer.
    pub(crate) init: &'static str,
    /// Body of a feature's `boundary`.
    pub(crate) boundary: &'static str,
    /// Body of `compute`, with `$rows`, `$words` and a label's `$emit`; `$answer` writes a result of a pointer and a length.
    pub(crate) compute: &'static str,
    /// What a strategy does with a new block; `$keep` puts the rows at 4096.
    pub(crate) load: &'static str,
    /// Body of `run`, with `$start` and `$until`; `$act` writes an outcome whose words stand at 1024, `$place` a market order there.
    pub(crate) run: &'static str,
    /// More functions.
    pub(crate) more: &'static str,
    /// Body of the function that the host asks for memory.
    pub(crate) alloc: &'static str,
}

pub(crate) const RUN: &str = "(local $row i32) (local.set $row (local.get $start))
    (block $end (loop $rows
      (br_if $end (i32.ge_u (local.get $row) (local.get $until)))
      (if (i64.eqz (i64.rem_u (i64.trunc_sat_f64_u (f64.div (call $price (local.get $row)) (f64.const 10))) (i64.const 7)))
        (then (call $place (i64.const 0)) (return (call $act (local.get $row) (i32.const 4)))))
      (local.set $row (i32.add (local.get $row) (i32.const 1))) (br $rows)))
    (call $act (local.get $until) (i32.const 0))";

impl Default for Guest {
    fn default() -> Self {
        Self {
            role: "feature",
            contract: "0.1.0",
            memory: "1",
            init: "(i32.const 0)",
            boundary: "",
            compute: "(call $answer (local.get $rows) (local.get $words))",
            load: "(call $keep (local.get $rows) (local.get $words))",
            run: RUN,
            more: "",
            alloc: "(call $take (local.get $size))",
        }
    }
}

impl Guest {
    pub(crate) fn label() -> Self {
        Self { role: "label", compute: "(call $answer (local.get $rows) (local.get $emit))", ..Self::default() }
    }

    pub(crate) fn strategy() -> Self {
        Self { role: "strategy", ..Self::default() }
    }

    /// The core module.
    pub(crate) fn module(&self) -> Vec<u8> {
        let Self { role, contract, memory, init, boundary, compute, load, run, more, alloc } = self;
        let (instrument, account) = match *contract {
            "0.1.0" => ("i32 i32 f64 f64", "i32 i32 i32 f64 f64 i32"),
            _ => ("i32 i32 i32 i32 f64 f64", "i32 i32 i32 f64 f64 f64 i32"),
        };
        // Behind the inputs a strategy says its warm-up, the others their outputs.
        let outputs = if *role == "strategy" { r"\00\00\00\00" } else { r"\28\00\00\00\01\00\00\00\00\00\00\00" };
        let name = format!("ghtrader:plugin/{role}@{contract}");
        // The account follows rows (three), start and until.
        let passed: String = (5..5 + account.split(' ').count()).map(|i| format!("(local.get {i})")).collect();
        let functions = match *role {
            "feature" => format!(
                r#"(func (export "{name}#boundary") (param i32) {boundary})
  (func (export "{name}#compute") (param $rows i32) (param $words i32) (result i32) {compute})"#
            ),
            "label" => format!(
                r#"(func (export "{name}#compute") (param $rows i32) (param $words i32) (param $emit i32) (result i32)
    {compute})"#
            ),
            _ => format!(
                r#"(func $load (param $rows i32) (param $words i32) {load})
  (func $run (param $start i32) (param $until i32) (param {account}) (result i32) {run})
  (func (export "{name}#run") (param $has_rows i32) (param $rows i32) (param $words i32)
    (param $start i32) (param $until i32) (param {account})
    (param $has_events i32) (param $events i32) (param $event_words i32) (result i32)
    (if (local.get $has_rows) (then (call $load (local.get $rows) (local.get $words))))
    (call $run (local.get $start) (local.get $until) {passed}))"#
            ),
        };
        let text = format!(
            r#"(module
  (import "ghtrader:plugin/log@{contract}" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") {memory})
  ;; A truthful `ok(description)` at 0: inputs at 32, outputs at 40.
  (data (i32.const 4) "\20\00\00\00\01\00\00\00{outputs}")
  (data (i32.const 32) "\40\00\00\00\0a\00\00\00\50\00\00\00\04\00\00\00\54\00\00\00\03\00\00\00")
  (data (i32.const 64) "last_price")
  (data (i32.const 80) "echoCNY")
  (data (i32.const 128) "panicked at src/lib.rs:7:9: planted")
  (global $kept (mut i32) (i32.const 4096))
  (global $next (mut i32) (i32.const 4096))
  (global $orders (mut i64) (i64.const 0))
  (func $take (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))))
    (local.get $at))
  (func $alloc (export "cabi_realloc") (param $old i32) (param i32 i32) (param $size i32) (result i32) {alloc})
  ;; ok(list) or, with a discriminant of 1, err(other(text)) at 256; frees what was allocated for the call.
  (func $answer (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (local.get $at))
    (i32.store (i32.const 264) (local.get $len))
    (global.set $next (global.get $kept))
    (i32.const 256))
  (func $error (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 256) (i32.const 1))
    (i32.store (i32.const 260) (i32.const 2))
    (i32.store (i32.const 264) (local.get $at))
    (i32.store (i32.const 268) (local.get $len))
    (global.set $next (global.get $kept))
    (i32.const 256))
  ;; The block at 4096, and memory behind it for events.
  (func $keep (param $rows i32) (param $words i32)
    (memory.copy (i32.const 4096) (local.get $rows) (i32.shl (local.get $words) (i32.const 3)))
    (global.set $kept (i32.add (i32.const 4096) (i32.shl (local.get $words) (i32.const 3))))
    (global.set $next (global.get $kept)))
  (func $price (param $row i32) (result f64)
    (f64.load (i32.add (i32.const 4096) (i32.shl (local.get $row) (i32.const 3)))))
  ;; ok({{ at, actions: words words at 1024 }})
  (func $act (param $at i32) (param $words i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (local.get $at))
    (i32.store (i32.const 264) (i32.const 1024))
    (i32.store (i32.const 268) (local.get $words))
    (global.set $next (global.get $kept))
    (i32.const 256))
  ;; One lot at the market, at once; the side alternates. An id of 0 means the next free one.
  (func $place (param $id i64)
    (global.set $orders (i64.add (global.get $orders) (i64.const 1)))
    (i64.store (i32.const 1024) (i64.or (i64.const 0x1000001)
      (i64.shl (i64.and (global.get $orders) (i64.const 1)) (i64.const 8))))
    (i64.store (i32.const 1032) (select (global.get $orders) (local.get $id) (i64.eqz (local.get $id))))
    (i64.store (i32.const 1040) (i64.const 0x100000000))
    (i64.store (i32.const 1048) (i64.const 0x7ff8000000000000)))
  {more}
  (func (export "{name}#init") (param i32 i32) (param {instrument}) (result i32) {init})
  {functions})"#
        );
        wat::parse_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
    }

    /// The artefact with the truthful manifest.
    pub(crate) fn artefact(&self) -> Vec<u8> {
        self.with_manifest(&manifest(self.role, self.contract)).unwrap_or_else(|f| panic!("{f:#?}"))
    }

    pub(crate) fn with_manifest(&self, manifest: &str) -> Result<Vec<u8>, Vec<Finding>> {
        pack(&self.module(), manifest, None)
    }
}
