//! Every reachable state, by every event that can happen in it, against what must always hold.

use super::*;
use std::collections::{BTreeSet, HashMap, VecDeque};

const A: LineupId = Digest([1; 32]);
const B: LineupId = Digest([2; 32]);
const C: LineupId = Digest([3; 32]);
const GENERATION: u64 = 7;

fn policy(prove_ticks: u64, rebuilds: usize) -> Policy {
    Policy { prove_ticks, backoff_ns: 200_000_000, rebuilds, window_ns: 600_000_000_000, on_halt: Orders::Cancel }
}

/// What the service and its threads hold, as far as effects and events say.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct World {
    armed: Option<Seat>,
    shadow: bool,
    /// The standby's seat, and whether a live instance sits there.
    standby: Option<bool>,
    /// The active lineup has a live instance.
    dead: bool,
    /// The variety counts the ticks of a prove phase.
    proof: bool,
    rebuilding: bool,
    /// A resumed lineup's instance is on its way to its seat.
    reseating: Option<OperationId>,
    preparing: BTreeSet<OperationId>,
}

impl World {
    /// Events of the host's own that can come now.
    fn possible(&self, next_id: OperationId) -> Vec<Event> {
        let mut events = vec![Event::SourceEnded, Event::Degraded(true)];
        if !self.dead {
            events.push(Event::Faulted { seat: Seat::Active, id: next_id });
        }
        for id in &self.preparing {
            events.extend([Event::Prepared { id: *id }, Event::PrepareFailed { id: *id }]);
        }
        if self.armed.is_some() {
            events.extend([Event::Swapped, Event::Missed]);
        }
        if self.shadow {
            events.push(Event::Faulted { seat: Seat::Shadow, id: next_id });
        }
        if self.standby.is_some() {
            events.extend([Event::Faulted { seat: Seat::Standby, id: next_id }, Event::StandbyExpired]);
        }
        if self.rebuilding {
            events.extend([Event::Reseated, Event::RebuildFailed { id: next_id }]);
        }
        if let Some(id) = self.reseating {
            events.extend([Event::Reseated, Event::PrepareFailed { id }]);
        }
        if self.proof {
            events.extend([Event::Proved { alive: true }, Event::Proved { alive: false }]);
        }
        events
    }

    fn happened(&mut self, event: &Event, proves: bool) {
        match event {
            Event::Prepared { id } | Event::PrepareFailed { id } => {
                self.preparing.remove(id);
                if matches!(event, Event::PrepareFailed { .. }) {
                    self.reseating = self.reseating.filter(|due| due != id);
                }
            }
            Event::Swapped => {
                let outgoing = !self.dead;
                let incoming = if self.armed.take() == Some(Seat::Shadow) {
                    self.shadow = false;
                    self.proof = proves;
                    true
                } else {
                    self.proof = false;
                    self.standby == Some(true)
                };
                self.standby = Some(outgoing);
                self.dead = !incoming;
                self.rebuilding = false;
                self.reseating = None;
            }
            Event::Faulted { seat: Seat::Active, .. } => (self.dead, self.proof) = (true, false),
            Event::Proved { .. } => self.proof = false,
            Event::Faulted { seat: Seat::Shadow, .. } => self.shadow = false,
            Event::Faulted { seat: Seat::Standby, .. } => self.standby = None,
            Event::Reseated => (self.rebuilding, self.reseating, self.dead) = (false, None, false),
            Event::RebuildFailed { .. } => self.rebuilding = false,
            _ => {}
        }
    }

    fn carry_out(&mut self, effect: &Effect) {
        match effect {
            Effect::Prepare { id, .. } => drop(self.preparing.insert(*id)),
            Effect::Discard { id } => drop(self.preparing.remove(id)),
            Effect::Install { .. } => self.shadow = true,
            Effect::Arm { seat, .. } => {
                assert_eq!(self.armed, None, "two swaps are armed");
                self.armed = Some(*seat);
            }
            Effect::Disarm => assert!(self.armed.take().is_some(), "nothing is armed"),
            Effect::Reseat { id } => self.reseating = Some(*id),
            Effect::Rebuild { after_ns, .. } => {
                assert!((1..=MAX_BACKOFF_NS).contains(after_ns));
                self.rebuilding = true;
            }
            Effect::Drop(Seat::Shadow) => self.shadow = false,
            Effect::Drop(Seat::Standby) => self.standby = None,
            Effect::Drop(Seat::Active) => panic!("the active seat is never emptied"),
            Effect::Halt(_) => {
                (self.rebuilding, self.reseating, self.dead, self.proof) = (false, None, true, false);
            }
            Effect::Stage { .. } | Effect::Ended { .. } | Effect::Began { .. } => {}
        }
    }
}

fn live(state: &State) -> Vec<OperationId> {
    let mut ids: Vec<_> = state.operation.iter().map(|o| o.id).chain(state.shadow.map(|(_, id)| id)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// What must hold between a state, an event that was taken, and what came of it.
fn check_step(before: &State, event: &Event, after: &State, effects: &[Effect], world: &World) {
    let context = || format!("{before:#?}\n--{event:?}->\n{after:#?}\n{effects:#?}\n{world:#?}");
    // One generation a swap, and a swap only when one was armed.
    let armed = before.operation.as_ref().is_some_and(|o| o.stage == Stage::Armed);
    let swapped = *event == Event::Swapped && armed;
    assert_eq!(after.generation, before.generation + u64::from(swapped), "{}", context());
    assert!(swapped || after.active == before.active, "{}", context());
    // Every operation ends exactly once, and none is lost.
    let mut known: BTreeSet<OperationId> = live(before).into_iter().collect();
    match event {
        Event::Deploy { id, .. }
        | Event::Promote { id, .. }
        | Event::Rollback { id, .. }
        | Event::Halt { id, .. }
        | Event::Resume { id, .. } => drop(known.insert(*id)),
        _ => {}
    }
    for effect in effects {
        match effect {
            Effect::Began { id, .. } => drop(known.insert(*id)),
            Effect::Ended { id, .. } => {
                assert!(known.remove(id), "op {id} ended twice or was never begun: {}", context())
            }
            _ => {}
        }
    }
    assert_eq!(known.into_iter().collect::<Vec<_>>(), live(after), "{}", context());
    // A halt is at once and lasts until somebody resumes.
    if let Event::Halt { .. } = event {
        assert!(after.run == Run::Halted && after.operation.is_none(), "{}", context());
        assert!(effects.iter().any(|e| matches!(e, Effect::Halt(_))), "{}", context());
    }
    if before.run == Run::Halted && after.run != Run::Halted {
        let resuming = before.operation.as_ref().is_some_and(|o| o.kind == Kind::Resume);
        assert!(*event == Event::Reseated && resuming, "{}", context());
    }
    // What the machine believes is what the threads hold.
    let now_armed = after.operation.as_ref().is_some_and(|o| o.stage == Stage::Armed);
    assert_eq!(world.armed.is_some(), now_armed, "{}", context());
    assert_eq!(world.shadow, after.shadow.is_some(), "{}", context());
    assert_eq!(world.standby.is_some(), after.standby.is_some(), "{}", context());
    // Whoever is said to decide does, and whoever is not does not; what is kept to go back to is alive.
    assert_eq!(world.dead, after.run != Run::Running, "{}", context());
    assert_ne!(world.standby, Some(false), "{}", context());
    // A prove phase ends.
    let proving = after.operation.as_ref().is_some_and(|o| o.stage == Stage::Proving);
    assert!(!proving || world.proof, "{}", context());
    let preparing = after.operation.as_ref().filter(|o| o.stage == Stage::Preparing).map(|o| o.id);
    assert!(world.preparing.iter().copied().eq(preparing), "{}", context());
    // Frozen is never for ever.
    assert!(after.run != Run::Frozen || world.rebuilding || world.armed.is_some(), "{}", context());
    // Nothing is armed in a halted variety.
    assert!(after.run != Run::Halted || world.armed.is_none(), "{}", context());
}

/// The same state with small numbers, so that equal situations are visited once.
fn canonical(state: &State, world: &World) -> (State, World) {
    let mut names: HashMap<OperationId, OperationId> = HashMap::new();
    let mut ids: Vec<OperationId> = live(state);
    ids.extend(&world.preparing);
    ids.sort_unstable();
    ids.dedup();
    for (small, id) in ids.into_iter().enumerate() {
        names.insert(id, small as u64 + 1);
    }
    let name = |id: OperationId| names.get(&id).copied().unwrap_or(id);
    let mut state = state.clone();
    state.generation = GENERATION;
    if let Some(operation) = &mut state.operation {
        operation.id = name(operation.id);
    }
    state.shadow = state.shadow.map(|(lineup, id)| (lineup, name(id)));
    let mut world = world.clone();
    world.preparing = world.preparing.iter().map(|id| name(*id)).collect();
    world.reseating = world.reseating.map(name);
    (state, world)
}

fn requests(state: &State, next_id: OperationId) -> Vec<Event> {
    let id = next_id;
    let swap = Swap::default();
    let later = Swap { at: At::Seq(99), orders: Orders::Flatten };
    let mut events = vec![Event::Halt { id, orders: Orders::Flatten }];
    for generation in [GENERATION, GENERATION - 1] {
        for lineup in [A, B, C] {
            events.push(Event::Deploy { id, lineup, shadow_only: true, swap, generation });
            events.push(Event::Deploy { id, lineup, shadow_only: false, swap, generation });
        }
        events.push(Event::Deploy { id, lineup: B, shadow_only: false, swap: later, generation });
        events.push(Event::Promote { id, swap, generation, gate_open: true });
        events.push(Event::Promote { id, swap: later, generation, gate_open: false });
        events.push(Event::Rollback { id, swap, generation });
        events.push(Event::Resume { id, generation });
    }
    events.extend(live(state).into_iter().map(|id| Event::Cancel { id }));
    events.push(Event::Cancel { id: 99 });
    events
}

/// C-05, C-07, C-08, C-47: every interleaving of requests, faults and news, until nothing new is met.
#[test]
fn every_reachable_state_keeps_what_must_hold() {
    let mut met = 0;
    let mut taken = 0;
    for policy in [policy(200, 2), policy(0, 2), policy(200, 0)] {
        let start = (State::new(GENERATION, A), World::default());
        let mut seen = std::collections::HashSet::from([start.clone()]);
        let mut queue = VecDeque::from([start]);
        while let Some((state, world)) = queue.pop_front() {
            let next_id = 10;
            for event in requests(&state, next_id).into_iter().chain(world.possible(next_id)) {
                let Ok((after, effects)) = state.step(&event, &policy, 0) else { continue };
                let mut then = world.clone();
                then.happened(&event, policy.prove_ticks > 0);
                effects.iter().for_each(|e| then.carry_out(e));
                check_step(&state, &event, &after, &effects, &then);
                taken += 1;
                let entry = canonical(&after, &then);
                if seen.insert(entry.clone()) {
                    assert!(seen.len() < 100_000, "the states do not end: {entry:#?}");
                    queue.push_back(entry);
                }
            }
            // News that cannot come any more, or is of another operation, changes nothing that counts.
            for event in [Event::Swapped, Event::Reseated, Event::Missed, Event::Prepared { id: 77 }] {
                let (after, _) = state.step(&event, &policy, 0).expect("news is always taken");
                let due = world.armed.is_some() || world.rebuilding || world.reseating.is_some();
                assert!(
                    due || (after.generation, after.active, after.run) == (state.generation, state.active, state.run)
                );
            }
        }
        met += seen.len();
    }
    eprintln!("{met} states, {taken} transitions");
    assert!(met > 500, "only {met} states were met");
}

fn drive(events: &[Event], policy: &Policy) -> (State, Vec<Effect>) {
    let mut state = State::new(GENERATION, A);
    let mut all = Vec::new();
    for event in events {
        let (next, effects) = state.step(event, policy, 0).expect("a request that is granted");
        state = next;
        all.extend(effects);
    }
    (state, all)
}

fn deploy(id: OperationId, lineup: LineupId, shadow_only: bool, generation: u64) -> Event {
    Event::Deploy { id, lineup, shadow_only, swap: Swap::default(), generation }
}

/// C-47
#[test]
fn a_fault_in_the_prove_phase_brings_the_old_lineup_back() {
    let fault = Event::Faulted { seat: Seat::Active, id: 2 };
    let events = [deploy(1, B, false, 7), Event::Prepared { id: 1 }, Event::Swapped, fault, Event::Swapped];
    let (state, effects) = drive(&events, &policy(200, 3));
    assert_eq!((state.generation, state.active, state.standby, state.run), (9, A, None, Run::Running));
    assert_eq!(effects.last(), Some(&Effect::Ended { id: 1, end: End::RolledBack(Reason::Faulted) }));
}

/// C-47: faults use up the rebuilds, then the standby, then the host halts.
#[test]
fn faults_rebuild_then_roll_back_then_halt() {
    let fault = |id| Event::Faulted { seat: Seat::Active, id };
    let mut events =
        vec![deploy(1, B, false, 7), Event::Prepared { id: 1 }, Event::Swapped, Event::Proved { alive: true }];
    events.extend([fault(2), Event::Reseated, fault(3), Event::Reseated, fault(4), Event::Swapped]);
    let (state, effects) = drive(&events, &policy(200, 2));
    assert_eq!((state.active, state.standby, state.run), (A, None, Run::Running));
    let waits: Vec<i64> = effects
        .iter()
        .filter_map(|e| if let Effect::Rebuild { after_ns, .. } = e { Some(*after_ns / 1_000_000) } else { None })
        .collect();
    assert_eq!(waits, [200, 400]);
    events.extend([fault(5), Event::RebuildFailed { id: 6 }, Event::RebuildFailed { id: 7 }]);
    let (state, effects) = drive(&events, &policy(200, 2));
    assert_eq!(state.run, Run::Halted);
    assert!(effects.contains(&Effect::Began { id: 7, kind: Kind::Halt, lineup: A, why: Reason::ActiveFaulted }));
}

/// C-04, C-10
#[test]
fn what_is_stale_or_in_the_way_is_refused_by_name() {
    let policy = policy(200, 3);
    let state = State::new(7, A);
    let stale = state.step(&deploy(1, B, true, 6), &policy, 0);
    assert_eq!(stale, Err(Refusal::GenerationStale { present: 7, given: 6 }));
    let (busy, _) = state.step(&deploy(1, B, false, 7), &policy, 0).expect("a first one");
    assert_eq!(busy.step(&deploy(2, C, false, 7), &policy, 0), Err(Refusal::OperationRunning { id: 1 }));
    let rollback = Event::Rollback { id: 2, swap: Swap::default(), generation: 7 };
    assert_eq!(state.step(&rollback, &policy, 0), Err(Refusal::NoStandby));
    let promote = Event::Promote { id: 2, swap: Swap::default(), generation: 7, gate_open: true };
    assert_eq!(state.step(&promote, &policy, 0), Err(Refusal::NoShadow));
    assert_eq!(state.step(&Event::Resume { id: 2, generation: 7 }, &policy, 0), Err(Refusal::NotHalted));
    assert_eq!(state.step(&Event::Cancel { id: 9 }, &policy, 0), Err(Refusal::OperationEnded { id: 9 }));
}

/// C-08
#[test]
fn a_halt_ends_what_is_under_way() {
    let (state, effects) = drive(
        &[deploy(1, B, false, 7), Event::Prepared { id: 1 }, Event::Halt { id: 2, orders: Orders::Flatten }],
        &policy(200, 3),
    );
    assert_eq!((state.run, state.operation, state.shadow), (Run::Halted, None, None));
    let ended = |id, end| Effect::Ended { id, end };
    assert!(effects.contains(&ended(1, End::Failed(Reason::Halted))) && effects.contains(&ended(2, End::Succeeded)));
    assert!(effects.contains(&Effect::Halt(Orders::Flatten)));
}
