//! The market's clock: which step is the present one.

use crate::hub::Hub;
use ghtrader_core::{ErrorClass, Problem};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Steps between two looks at whether the server ends.
const BATCH: usize = 256;
const LONGEST_SLEEP: Duration = Duration::from_millis(50);

/// How fast the market runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many seconds of market time a second; 0 stands still. Time outside sessions passes at once.
    Times(f64),
    /// As fast as all clients keep up with, one step after the other.
    Max,
}

impl FromStr for Speed {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(times) if times.is_finite() && times >= 0.0 => Ok(Self::Times(times)),
            _ => Err(Problem::new(
                "bad_speed",
                ErrorClass::User,
                format!("the speed `{text}` is no number from 0 on and not `max`"),
                "give 1 for real time, 0 for a market that stands still, or max",
            )),
        }
    }
}

/// Runs the clock until the market or the server ends.
pub(crate) fn run(hub: &Hub, speed: Speed) {
    match speed {
        Speed::Times(times) => by_time(hub, times),
        Speed::Max => by_pace(hub),
    }
}

fn by_time(hub: &Hub, times: f64) {
    let steps = &hub.tape.steps;
    let from = hub.news().step;
    let origin = steps.get(from).map_or(0, |s| s.session_ns);
    let begun = Instant::now();
    let mut at = from;
    while !hub.has_ended() && times > 0.0 {
        // Market time that has passed; it may be more than any market has.
        let passed = begun.elapsed().as_nanos() as f64 * times;
        let due = |step: usize| steps.get(step).is_some_and(|s| (s.session_ns - origin) as f64 <= passed);
        let before = at;
        while at - before < BATCH && due(at + 1) {
            at += 1;
        }
        if at > before {
            hub.step_to(at);
            continue;
        }
        let Some(next) = steps.get(at + 1) else { return };
        let left_ns = ((next.session_ns - origin) as f64 - passed) / times;
        std::thread::sleep(Duration::from_nanos(left_ns.min(1e12) as u64).min(LONGEST_SLEEP));
    }
}

fn by_pace(hub: &Hub) {
    while hub.news().step + 1 < hub.tape.steps.len() {
        if !hub.pace.wait(hub.news().count, || hub.has_ended()) {
            return;
        }
        // Bytes of an order may lie unread behind the frame that made its client's other line ready: everybody looks
        // at his connection once more before time goes on.
        let count = hub.tell();
        if !hub.pace.wait(count, || hub.has_ended()) {
            return;
        }
        let news = hub.news();
        if news.count == count {
            hub.step_to(news.step + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!("max".parse::<Speed>(), Ok(Speed::Max));
        assert_eq!("0".parse::<Speed>(), Ok(Speed::Times(0.0)));
        assert_eq!("1.5".parse::<Speed>(), Ok(Speed::Times(1.5)));
        for text in ["", "-1", "nan", "inf", "fast", "MAX"] {
            assert_eq!(text.parse::<Speed>().unwrap_err().code, "bad_speed", "{text}");
        }
    }
}
