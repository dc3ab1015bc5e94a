//! What goes wrong in a call.

use crate::guests::{Guest, instrument, manifest};
use ghtrader_plugin::{Boundary, FeatureInstance, HostConfig, Limits, Params, PluginFault, PluginHost};
use std::time::{Duration, Instant};

fn start(host: &PluginHost, guest: &Guest) -> Box<dyn FeatureInstance> {
    let plugin = host.load(&guest.artefact()).unwrap_or_else(|f| panic!("{f:#?}"));
    plugin.feature(&Params::new(), &instrument()).unwrap()
}

/// With a wall limit that a busy machine does not meet.
fn host() -> PluginHost {
    let limits = Limits { wall_limit_ms: 60_000, ..Limits::default() };
    PluginHost::new(HostConfig { limits, ..HostConfig::default() }).unwrap()
}

fn bits(out: &[f64]) -> Vec<u64> {
    out.iter().map(|v| v.to_bits()).collect()
}

/// Calls a guest whose `compute` goes wrong with 100 rows; gives its fault.
#[track_caller]
fn check(guest: &Guest, code: &str) -> PluginFault {
    let host = host();
    let mut neighbour = start(&host, &Guest::default());
    let mut bad = start(&host, guest);
    let rows: Vec<u64> = (0..100).map(|i| f64::from(i).to_bits()).collect();
    let began = Instant::now();
    let mut out = vec![7.0];
    let fault = bad.compute(&rows, &mut out).expect_err("no fault");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(fault.code(), code, "{fault}");
    assert_eq!(out, [7.0], "a fault left output behind");
    assert_eq!(fault.at().unwrap().rows, 0..100);
    let again = Instant::now();
    assert_eq!(bad.compute(&rows, &mut out).unwrap_err(), fault, "a retired instance gives the same fault");
    assert_eq!(bad.boundary(Boundary::Session).unwrap_err(), fault);
    assert!(again.elapsed() < Duration::from_secs(1));
    for lives in [neighbour.as_mut(), start(&host, &Guest::default()).as_mut()] {
        out.clear();
        lives.compute(&rows, &mut out).unwrap();
        assert_eq!(bits(&out), rows, "a neighbour was harmed");
    }
    fault
}

/// P-28
#[test]
fn a_trap_carries_the_last_log_lines() {
    let compute = "(call $log (i32.const 2) (i32.const 128) (i32.const 35)) unreachable";
    let fault = check(&Guest { compute, ..Guest::default() }, "plugin_trapped");
    let text = fault.to_string();
    assert!(text.contains("src/lib.rs:7:9: planted") && text.contains("rows 0..100"), "{text}");
}

#[test]
fn an_endless_loop_meets_its_deadline() {
    let fault = check(&Guest { compute: "(loop (br 0)) unreachable", ..Guest::default() }, "plugin_deadline");
    assert!(matches!(fault, PluginFault::Deadline { used_ms, limit_ms: 200, .. } if used_ms >= 200), "{fault}");
}

#[test]
fn one_row_has_the_live_limit() {
    let host = host();
    let mut bad = start(&host, &Guest { compute: "(loop (br 0)) unreachable", ..Guest::default() });
    let fault = bad.compute(&[0], &mut Vec::new()).unwrap_err();
    assert!(matches!(fault, PluginFault::Deadline { limit_ms: 5, .. }), "{fault}");
    let mut bad = start(&host, &Guest { boundary: "(loop (br 0))", ..Guest::default() });
    assert_eq!(bad.boundary(Boundary::Roll).unwrap_err().code(), "plugin_deadline");
}

#[test]
fn memory_is_bounded() {
    let four_gib = "(drop (memory.grow (i32.const 65535))) (call $answer (local.get $rows) (local.get $words))";
    let fault = check(&Guest { compute: four_gib, ..Guest::default() }, "plugin_memory");
    assert!(
        matches!(fault, PluginFault::Memory { limit, wanted, .. } if limit == 16 << 20 && wanted == 1 << 32),
        "{fault}"
    );

    // A leak ends at the limit, wherever it is; until then every answer is right.
    let leak = "(drop (memory.grow (i32.const 8))) (call $answer (local.get $rows) (local.get $words))";
    let mut leaking = start(&host(), &Guest { compute: leak, ..Guest::default() });
    let mut calls = 0;
    let fault = loop {
        let mut out = Vec::new();
        match leaking.compute(&[calls], &mut out) {
            Ok(()) => assert_eq!(bits(&out), [calls]),
            Err(fault) => break fault,
        }
        calls += 1;
    };
    assert_eq!((fault.code(), calls), ("plugin_memory", 31));
    assert_eq!(fault.at().unwrap().rows, 31..32);
    assert!(leaking.memory_bytes().unwrap() <= 16 << 20);
}

#[test]
fn a_flood_of_log_lines_is_harmless() {
    let host = host();
    let flood = Guest {
        memory: "32",
        boundary: "(local $n i32)
            (loop (call $log (i32.const 1) (i32.const 65536) (i32.const 1048576))
              (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))",
        compute: "(local $n i32)
            (loop (call $log (i32.const 0) (i32.const 128) (i32.const 35))
              (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10000))))
            (call $answer (local.get $rows) (local.get $words))",
        ..Guest::default()
    };
    let mut noisy = start(&host, &flood);
    noisy.boundary(Boundary::Gap).unwrap();
    let mut out = Vec::new();
    noisy.compute(&[1, 2], &mut out).unwrap();
    assert_eq!(bits(&out), [1, 2]);

    let endless = "(loop (call $log (i32.const 1) (i32.const 128) (i32.const 35)) (br 0)) unreachable";
    let fault = check(&Guest { compute: endless, ..Guest::default() }, "plugin_deadline");
    assert!(fault.to_string().len() < 16 * 1024, "the fault carries the flood");
}

#[test]
fn the_number_of_values_is_exact() {
    for (compute, values) in [
        ("(call $answer (local.get $rows) (i32.const 99))", "99 values"),
        ("(call $answer (local.get $rows) (i32.const 101))", "101 values"),
    ] {
        let fault = check(&Guest { compute, ..Guest::default() }, "plugin_contract");
        assert!(fault.to_string().contains(values), "{fault}");
    }
}

#[test]
fn results_are_bounded() {
    // 2 MiB of values, and then some that would lie outside the memory.
    let compute = "(call $answer (i32.const 0) (i32.const 262144))";
    let fault = check(&Guest { memory: "40", compute, ..Guest::default() }, "plugin_output");
    assert!(fault.to_string().contains("1 MiB"), "{fault}");
}

#[test]
fn an_error_answer_leaves_the_instance_alive() {
    let odd = "(if (result i32) (i32.and (local.get $words) (i32.const 1))
        (then (call $error (i32.const 128) (i32.const 35)))
        (else (call $answer (local.get $rows) (local.get $words))))";
    let mut instance = start(&host(), &Guest { compute: odd, ..Guest::default() });
    for _ in 0..3 {
        let mut out = Vec::new();
        let fault = instance.compute(&[1, 2, 3], &mut out).unwrap_err();
        assert_eq!(fault.code(), "plugin_error");
        assert!(fault.is_recoverable() && fault.to_string().contains("planted"), "{fault}");
        instance.compute(&[1, 2], &mut out).unwrap();
        assert_eq!(bits(&out), [1, 2]);
    }
}

#[test]
fn every_bit_passes_through() {
    let rows = [0x7ff0_0000_0000_0001, 0xfff8_dead_beef_0001, 0x7ff4_0000_0000_0000, 1 << 63, u64::MAX, 0];
    let mut out = Vec::new();
    start(&host(), &Guest::default()).compute(&rows, &mut out).unwrap();
    assert_eq!(bits(&out), rows);
    let mut appended = vec![1.0];
    start(&host(), &Guest::default()).compute(&rows, &mut appended).unwrap();
    assert_eq!(bits(&appended[1..]), rows);
}

#[test]
fn part_of_a_row_is_the_hosts_own_mistake() {
    let manifest = manifest("feature", "0.1.0").replace("[\"last_price\"]", "[\"last_price\", \"volume\"]");
    let two = Guest {
        // A second input: the list has two entries, of which the second is `volume`.
        init: "(i32.store (i32.const 4) (i32.const 1024)) (i32.store (i32.const 8) (i32.const 2))
            (i32.store (i32.const 1024) (i32.const 64)) (i32.store (i32.const 1028) (i32.const 10))
            (i32.store (i32.const 1032) (i32.const 1040)) (i32.store (i32.const 1036) (i32.const 6))
            (i64.store (i32.const 1040) (i64.const 0x656d756c6f76)) (i32.const 0)",
        ..Guest::default()
    };
    let plugin = host().load(&two.with_manifest(&manifest).unwrap()).unwrap();
    let mut instance = plugin.feature(&Params::new(), &instrument()).unwrap();
    assert_eq!(instance.description().inputs, ["last_price", "volume"]);
    assert_eq!(instance.compute(&[1, 2, 3], &mut Vec::new()).unwrap_err().code(), "plugin_misuse");
    assert_eq!(plugin.strategy(&Params::new(), &instrument()).err().unwrap().code(), "plugin_contract");
}

#[test]
fn instances_are_counted() {
    let host = PluginHost::new(HostConfig { max_instances: 2, ..HostConfig::default() }).unwrap();
    let (first, _second) = (start(&host, &Guest::default()), start(&host, &Guest::default()));
    let full = host.load(&Guest::default().artefact()).unwrap_err();
    assert_eq!(full[0].code, "plugin_instances");
    drop(first);
    start(&host, &Guest::default());
}
