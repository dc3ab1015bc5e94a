//! The table of bad guests, each beside a good one.

use crate::guests::{self, Guest, When};
use crate::walk::walk;
use ghtrader_plugin::{Fixture, HostConfig, Limits, Plugin, PluginHost, Splits};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// With a wall limit that a busy machine does not meet.
fn host() -> PluginHost {
    let limits = Limits { wall_limit_ms: 60_000, ..Limits::default() };
    PluginHost::new(HostConfig { limits, ..HostConfig::default() }).unwrap()
}

/// Runs the good plugin tick by tick until the bad one is done; all its runs must be the first one's.
fn beside(good: &Plugin, fixture: &Fixture, bad: impl FnOnce() -> Vec<&'static str> + Send) -> Vec<&'static str> {
    let expected = good.trace(fixture, Splits::Single).unwrap().digest();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let bad = scope.spawn(|| {
            let codes = bad();
            done.store(true, Ordering::Release);
            codes
        });
        loop {
            // Once more behind the end: nothing may be left over.
            let last = done.load(Ordering::Acquire) || bad.is_finished();
            assert_eq!(good.trace(fixture, Splits::Single).unwrap().digest(), expected, "the good plugin was harmed");
            if last {
                return bad.join().unwrap();
            }
        }
    })
}

/// C-44, C-46, F-03, B-19: each ends as what it is, and the plugin beside it does not notice.
#[test]
fn every_bad_guest_ends_as_its_code_and_harms_nobody() {
    let (host, fixture) = (host(), walk());
    let [strategy, feature] = [Guest::strategy(), Guest::default()].map(|g| host.load(&g.artefact()).unwrap());
    assert!(strategy.trace(&fixture, Splits::Whole).unwrap().count() > 50);
    let (table, mut wrong) = (guests::all(), Vec::new());
    for (i, guest) in table.iter().enumerate() {
        let good = if i % 2 == 0 { &strategy } else { &feature };
        let began = Instant::now();
        let codes = beside(good, &fixture, || guest.misbehave(&host, &fixture));
        if codes != guest.codes {
            wrong.push(format!("{}: {codes:?}, due are {:?}", guest.name, guest.codes));
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{}: {:?}", guest.name, began.elapsed());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_is_as_long_as_it_says() {
    let table = guests::all();
    let names: BTreeSet<&str> = table.iter().map(|g| g.name).collect();
    assert_eq!(names.len(), table.len(), "two lines have one name");
    for (when, least) in
        [(When::Packing, 8), (When::Reading, 25), (When::Start, 15), (When::Call, 40), (When::Admission, 12)]
    {
        let found = table.iter().filter(|g| g.when == when).count();
        assert!(found >= least, "{when:?}: {found}");
    }
}

/// What goes wrong in a call or over a fixture passes every check before: nothing else is wrong with these guests.
#[test]
fn what_goes_wrong_late_is_in_order_before() {
    let host = host();
    for guest in guests::all() {
        if let Some(artefact) = guest.loadable() {
            host.load(artefact).unwrap_or_else(|f| panic!("{}: {f:#?}", guest.name));
        }
    }
}
