//! Core modules written by hand, which do what no SDK would let them do.

use ghtrader_plugin::{Finding, pack};

/// A manifest that tells the truth about [`Guest::default`].
pub(crate) const MANIFEST: &str = r#"
[plugin]
name = "echo"
role = "feature"
version = "0.1.0"
description = "Returns its input."
contract = "0.1.0-next"
inputs = ["last_price"]
warmup_rows = 0

[[output]]
name = "echo"
unit = "CNY"

[limits]
memory_mib = 16
live_call_cpu_ms = 5
block_call_cpu_ms = 200
output_mib = 1
"#;

/// A feature whose functions are WAT bodies. By default it returns its rows, bit by bit.
pub(crate) struct Guest<'a> {
    /// World whose metadata are embedded.
    pub world: &'a str,
    /// Limits of the memory.
    pub memory: &'a str,
    /// Body of `init`; `$ok` is the address of a truthful answer.
    pub init: &'a str,
    /// Body of `boundary`.
    pub boundary: &'a str,
    /// Body of `compute`, with `$rows` and `$words`; `$answer` writes a result of a pointer and a length.
    pub compute: &'a str,
    /// More functions.
    pub more: &'a str,
}

impl Default for Guest<'_> {
    fn default() -> Self {
        Self {
            world: "feature-plugin",
            memory: "1",
            init: "(i32.const 0)",
            boundary: "",
            compute: "(call $answer (local.get $rows) (local.get $words))",
            more: "",
        }
    }
}

impl Guest<'_> {
    /// The core module with its component metadata.
    pub(crate) fn module(&self) -> Vec<u8> {
        let Self { world: _, memory, init, boundary, compute, more } = self;
        let text = format!(
            r#"(module
  (import "ghtrader:plugin/log@0.1.0-next" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") {memory})
  ;; A truthful `ok(description)` at 0: inputs at 32, outputs at 40, warm-up 0.
  (data (i32.const 4) "\20\00\00\00\01\00\00\00\28\00\00\00\01\00\00\00\00\00\00\00")
  (data (i32.const 32) "\40\00\00\00\0a\00\00\00\50\00\00\00\04\00\00\00\54\00\00\00\03\00\00\00")
  (data (i32.const 64) "last_price")
  (data (i32.const 80) "echoCNY")
  (data (i32.const 128) "panicked at src/lib.rs:7:9: planted")
  (global $next (mut i32) (i32.const 4096))
  (func $alloc (export "cabi_realloc") (param $old i32) (param i32 i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
    (global.set $next (i32.add (local.get $at) (local.get $size)))
    (if (i32.gt_u (global.get $next) (i32.mul (memory.size) (i32.const 65536)))
      (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16)))))))
    (local.get $at))
  ;; ok(list) or, with a discriminant of 1, err(other(text)) at 256; frees what was allocated for the call.
  (func $answer (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 256) (i32.const 0))
    (i32.store (i32.const 260) (local.get $at))
    (i32.store (i32.const 264) (local.get $len))
    (global.set $next (i32.const 4096))
    (i32.const 256))
  (func $error (param $at i32) (param $len i32) (result i32)
    (i32.store (i32.const 256) (i32.const 1))
    (i32.store (i32.const 260) (i32.const 2))
    (i32.store (i32.const 264) (local.get $at))
    (i32.store (i32.const 268) (local.get $len))
    (global.set $next (i32.const 4096))
    (i32.const 256))
  {more}
  (func (export "ghtrader:plugin/feature@0.1.0-next#init") (param i32 i32 i32 i32 f64 f64) (result i32) {init})
  (func (export "ghtrader:plugin/feature@0.1.0-next#boundary") (param i32) {boundary})
  (func (export "ghtrader:plugin/feature@0.1.0-next#compute") (param $rows i32) (param $words i32) (result i32)
    {compute}))"#
        );
        embed(&text, self.world)
    }

    /// The artefact with the truthful manifest.
    pub(crate) fn artefact(&self) -> Vec<u8> {
        self.with_manifest(MANIFEST).unwrap_or_else(|f| panic!("{f:#?}"))
    }

    pub(crate) fn with_manifest(&self, manifest: &str) -> Result<Vec<u8>, Vec<Finding>> {
        pack(&self.module(), manifest, None)
    }
}

/// A core module from its text, with the metadata of a world.
pub(crate) fn embed(text: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut resolve = wit_parser::Resolve::new();
    let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/next");
    let (package, _) = resolve.push_dir(wit).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, wit_component::StringEncoding::UTF8).unwrap();
    module
}
