//! Questions to a source that store nothing: has it rows of a span, and what are they like?

use super::download::source_trouble_kind;
use super::error::FetchError;
use super::{Source, TURN};
use ghtrader_core::ContractId;
use ghtrader_market::diff::{
    Failure, Instrument, Next, PageStep, RetryBudget, RetryPolicy, SourceError, TickPager, TickRow, Turn, chance,
};

/// What became of a question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer<T> {
    /// A row said so.
    Found(T),
    /// The source has been heard to the end of the span, and no row said so.
    Nothing,
    /// The source did not answer, as often as it was asked.
    Failed(String),
    /// Somebody wants this to end.
    Stopped,
}

/// Asks a source, within one budget of retries.
pub(crate) struct Prober<'p, 'a> {
    pub(crate) source: &'p mut Source<'a>,
    policy: RetryPolicy,
    budget: RetryBudget,
    /// Questions so far.
    pub(crate) questions: u64,
}

/// A failure that may pass, with its words.
type Trouble = (Failure, String);

impl<'p, 'a> Prober<'p, 'a> {
    pub(crate) fn new(source: &'p mut Source<'a>, policy: RetryPolicy) -> Self {
        Self { source, policy, budget: RetryBudget::new(policy), questions: 0 }
    }

    /// Asks for the contract itself; `Nothing` for one that the source does not know.
    pub(crate) fn told_of(&mut self, symbol: &ContractId) -> Result<Answer<Instrument>, FetchError> {
        self.patiently(|source| match super::download::told_of(source.client, symbol) {
            Ok(told) => Ok(Ok(Answer::Found(told))),
            Err(SourceError::UnknownSymbol { .. }) => Ok(Ok(Answer::Nothing)),
            Err(e) => trouble(e).map(Err),
        })
    }

    /// Asks for all that the source knows of something.
    pub(crate) fn instruments(&mut self, query: &str, subject: &str) -> Result<Answer<Vec<Instrument>>, FetchError> {
        self.patiently(|source| match source.client.instruments(query.to_owned(), subject) {
            Ok(found) => Ok(Ok(Answer::Found(found))),
            Err(e) => trouble(e).map(Err),
        })
    }

    /// Reads rows from one instant to another (ns, the second not included) until `look` has seen enough.
    pub(crate) fn rows<T>(
        &mut self,
        symbol: &ContractId,
        (start_ns, end_ns): (i64, i64),
        mut look: impl FnMut(&TickRow) -> Option<T>,
    ) -> Result<Answer<T>, FetchError> {
        self.questions += 1;
        self.patiently(|source| {
            let mut pager = TickPager::of_span(&symbol.to_string(), start_ns, end_ns);
            let result = loop {
                if source.stopping() {
                    break Ok(Answer::Stopped);
                }
                let turn = source.client.turn(TURN);
                let events = source.client.events();
                if let Turn::Closed(why) = turn {
                    break Err((Failure::Broken, why));
                }
                let now = source.client.now();
                let (rows, last) = match pager.step(source.client.line(), &events, now) {
                    PageStep::Waiting => continue,
                    PageStep::Rows(rows) => (rows, false),
                    PageStep::Last(rows) => (rows, true),
                    PageStep::Late => break Err((Failure::Timeout, "a page did not come in time".to_owned())),
                    PageStep::Missing { from, to } => {
                        // Another connection has a picture of its own.
                        source.client.close();
                        break Err((Failure::Broken, format!("rows {from} to {to} do not come, though later ones do")));
                    }
                };
                if let Some(found) = rows.iter().find_map(&mut look) {
                    break Ok(Answer::Found(found));
                }
                if last {
                    break Ok(Answer::Nothing);
                }
            };
            pager.close(source.client.line());
            Ok(result)
        })
    }

    /// Asks again as long as failures may pass.
    fn patiently<T>(
        &mut self,
        mut ask: impl FnMut(&mut Source<'a>) -> Result<Result<Answer<T>, Trouble>, FetchError>,
    ) -> Result<Answer<T>, FetchError> {
        if self.budget.begin(self.source.client.now()).is_err() {
            return Ok(Answer::Failed("the source was under maintenance for the questions before".to_owned()));
        }
        loop {
            if self.source.stopping() {
                return Ok(Answer::Stopped);
            }
            let opened = if self.source.client.is_open() { Ok(()) } else { self.source.client.open() };
            let asked = match opened {
                Ok(()) => ask(self.source)?,
                Err(e) => Err(trouble(e)?),
            };
            let (failure, error) = match asked {
                Ok(answer) => return Ok(answer),
                Err(trouble) => trouble,
            };
            let failure = failure.seen_at(&self.policy, self.source.client.login().wall_ns(), &error);
            match self.budget.failed(failure, self.source.client.now(), chance()) {
                Next::Again { after, reset } => {
                    tracing::warn!(%error, wait_s = after.as_secs_f64(), "the source failed");
                    if reset {
                        self.source.client.close();
                    }
                    self.source.wait(after)?;
                }
                Next::GiveUp(_) => return Ok(Answer::Failed(error)),
            }
        }
    }
}

fn trouble(e: SourceError) -> Result<Trouble, FetchError> {
    match source_trouble_kind(&e) {
        Some(failure) => Ok((failure, e.to_string())),
        None => Err(e.into()),
    }
}
