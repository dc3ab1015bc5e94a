//! Programs that are killed between journal, send and answer.

use super::*;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What a child process of these tests is told to do.
const TASK: &str = "TRADE_LINE_TASK";

/// A process that trades until it is killed; it does nothing when the tests run.
#[test]
fn child_process() {
    let Ok(task) = std::env::var(TASK) else { return };
    let task: Value = serde_json::from_str(&task).expect("a task");
    let text = |key: &str| task[key].as_str().expect("a text").to_owned();
    let mut trader = trader(Path::new(&text("journal")), &text("url")).expect("a trader");
    ready(&mut trader);
    match text("do").as_str() {
        "write" => {
            let written = trader.desk().expect("a desk").write(buy(1, ASK)).expect("a journal");
            println!("\nat {}", written.order_id());
            std::thread::sleep(Duration::from_secs(600));
            written.send();
        }
        "send" => {
            println!("\nready");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).expect("a word");
            let id = insert(&mut trader, buy(1, ASK));
            println!("\nat {id}");
            std::thread::sleep(Duration::from_secs(600));
        }
        _ => {
            println!("\nready");
            loop {
                if let Ok(desk) = trader.desk() {
                    desk.insert(buy(1, BID - 100.0)).expect("a journal");
                }
                trader.turn(Duration::from_millis(1)).expect("a turn");
            }
        }
    }
}

struct Killed {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Killed {
    fn start(world: &World, task: &str, url: &str) -> Self {
        let task = json!({ "do": task, "journal": world.journal(), "url": url });
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "killed::child_process", "--nocapture"])
            .env(TASK, task.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this program again");
        let said = BufReader::new(child.stdout.take().expect("stdout"));
        Self { child, said }
    }

    /// The rest of the next line that begins with a word.
    fn hears(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.said.read_line(&mut line).expect("stdout"), 0, "the child has ended without `{word}`");
            if let Some(rest) = line.strip_prefix(word) {
                return rest.trim().to_owned();
            }
        }
    }

    fn goes(&mut self) {
        use std::io::Write as _;
        writeln!(self.child.stdin.as_mut().expect("stdin"), "go").expect("a child that listens");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // SIGKILL on this system.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// T-22, DC-20: killed between journal and send. The order is unknown, then lost; it is never sent.
#[test]
fn a_program_that_is_killed_before_it_sends() {
    let world = World::new(2_000, &["--speed", "1"]);
    let mut child = Killed::start(&world, "write", &world.url());
    let id = child.hears("at ");
    drop(child);
    let unresolved = unresolved_orders(&world.journal()).expect("the journal");
    assert_eq!(unresolved.iter().map(|o| o.order_id.as_str()).collect::<Vec<_>>(), [id.as_str()]);
    let mut trader = world.trader();
    let own: Vec<OwnOrder> = trader.line().own_orders().cloned().collect();
    assert_eq!(
        own.iter().map(|o| (o.order_id.as_str(), o.state)).collect::<Vec<_>>(),
        [(id.as_str(), OrderState::Unknown)]
    );
    reaches(&mut trader, &own[0].order_id, OrderState::Lost);
    assert_eq!(world.broker().orders, []);
}

/// T-22, T-23, DC-20: killed between send and answer. The next life finds the order by its id, once.
#[test]
fn a_program_that_is_killed_before_it_hears() {
    let world = World::new(2_000, &["--speed", "1"]);
    let cable = Cable::to(&world.url());
    let mut child = Killed::start(&world, "send", &cable.url(&world.url()));
    child.hears("ready");
    cable.hold_answers(true);
    child.goes();
    let id = child.hears("at ");
    let patience = Instant::now() + LONG;
    while world.broker().trades.is_empty() {
        assert!(Instant::now() < patience, "the order does not fill");
    }
    drop(child);
    let mut trader = world.trader();
    let events = ready(&mut trader);
    let own: OrderId = trader.line().own_orders().next().expect("an order").order_id.clone();
    assert_eq!(own.as_str(), id);
    assert_eq!(told(&events, &own), [OrderState::Unknown, OrderState::Filled]);
    assert_eq!((trader.line().filled_lots(&id), long(&trader).today), (1, 1));
    let broker = world.broker();
    assert_eq!((broker.orders.len(), broker.trades.len()), (1, 1));
}

/// T-22, T-23, DC-20: killed at any moment, over and over: the broker has no order twice and none that is not written
/// down, and every order that is written down is resolved or lost.
#[test]
fn a_program_that_is_killed_at_any_moment() {
    let world = World::new(4_000, &["--speed", "1"]);
    let (mut all_written, mut all_arrived) = (0, 0);
    for round in 0..8_u64 {
        let mut child = Killed::start(&world, "loop", &world.url());
        child.hears("ready");
        // Moments that fall between journal, send and answer are hit by their number.
        std::thread::sleep(Duration::from_micros(700 * round * round + 311 * round));
        drop(child);
        let mut trader = world.trader();
        until(&mut trader, "every order's fate", |t| {
            t.line().is_logged_in()
                && t.line().own_orders().all(|o| !matches!(o.state, OrderState::Unknown | OrderState::Journaled))
        });
        let lost: Vec<OrderId> =
            trader.line().own_orders().filter(|o| o.state == OrderState::Lost).map(|o| o.order_id.clone()).collect();
        let at_broker: Vec<String> = world.broker().orders.into_iter().map(|o| o.order_id).collect();
        for id in lost {
            assert!(!at_broker.iter().any(|b| b == id.as_str()), "{id} is there and counts as lost");
            assert!(trader.settle_lost(&id, "not at the broker").expect("a journal"));
        }
        let written: BTreeSet<String> = trader.line().own_orders().map(|o| o.order_id.as_str().to_owned()).collect();
        let unwritten: Vec<&String> = at_broker.iter().filter(|id| !written.contains(*id)).collect();
        assert!(unwritten.is_empty(), "round {round}: {unwritten:?} are at the broker and not in the journal");
        (all_written, all_arrived) = (written.len(), at_broker.len());
        ready(&mut trader);
    }
    assert!(all_written >= all_arrived && all_arrived > 0, "{all_arrived} of {all_written} arrived");
    eprintln!("{all_arrived} of {all_written} orders arrived");
    assert_eq!(unresolved_orders(&world.journal()).expect("the journal"), []);
}
