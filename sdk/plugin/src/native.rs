//! The same plugin as a process of this machine, driven call by call over a socket.
//!
//! This is how a host holds native code against the component, without linking it: the export macros put a function into
//! the crate that serves the contract's calls on standard input, which the host made a socket. Standard output stays the
//! author's own. Public for the export macros and the host alone.
//!
//! A frame is a number of words and the words; a text is its length in bytes and as many words as hold them. A request
//! begins with its [`Call`], an answer with 0, or with the number of an error and its text.

use crate::kernels::wire;
use crate::{
    Account, Feature, FeatureDriver, Instrument, Label, LabelDriver, OutputColumn, ParamValue, Params, PluginError,
    Strategy, StrategyDriver,
};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

/// Which function of the contract is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Call {
    /// Parameters and instrument → inputs, outputs (name, unit), reach in rows.
    Init = 1,
    /// The number of a border → nothing.
    Boundary = 2,
    /// Rows to answer (labels), then rows → values.
    Compute = 3,
    /// Rows → nothing.
    Load = 4,
    /// Start, until, the account, then events → row, actions.
    Run = 5,
}

/// Words on their way, read from the front.
#[derive(Debug, Default)]
pub struct Frame {
    words: Vec<u64>,
    at: usize,
}

impl Frame {
    /// A frame that begins with `first`.
    pub fn new(first: u64) -> Self {
        Self { words: vec![first], at: 0 }
    }

    /// Adds a word.
    #[must_use]
    pub fn word(mut self, word: u64) -> Self {
        self.words.push(word);
        self
    }

    /// Adds words, without their number.
    #[must_use]
    pub fn words(mut self, words: impl IntoIterator<Item = u64>) -> Self {
        self.words.extend(words);
        self
    }

    /// Adds a text.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        let words = text.as_bytes().chunks(8).map(|part| {
            let mut bytes = [0; 8];
            bytes[..part.len()].copy_from_slice(part);
            u64::from_le_bytes(bytes)
        });
        let words: Vec<u64> = words.collect();
        self.word(text.len() as u64).words(words)
    }

    /// Takes the next word.
    ///
    /// # Errors
    /// `InvalidData` where there is none.
    pub fn take(&mut self) -> Result<u64> {
        let word = self.words.get(self.at).copied().ok_or_else(|| malformed("a frame ends early"))?;
        self.at += 1;
        Ok(word)
    }

    /// Takes a word as a smaller number.
    ///
    /// # Errors
    /// `InvalidData` where there is none that fits.
    pub fn take_small(&mut self) -> Result<u32> {
        u32::try_from(self.take()?).map_err(|_| malformed("a number is too large"))
    }

    /// Takes a text.
    ///
    /// # Errors
    /// `InvalidData` where there is none.
    pub fn take_text(&mut self) -> Result<String> {
        let length = self.take_small()? as usize;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend(self.take()?.to_le_bytes());
        }
        bytes.truncate(length);
        String::from_utf8(bytes).map_err(|_| malformed("a text is no UTF-8"))
    }

    /// What is left.
    pub fn rest(&self) -> &[u64] {
        self.words.get(self.at..).unwrap_or_default()
    }

    /// Sends the frame.
    ///
    /// # Errors
    /// The operating system's.
    pub fn send(&self, to: &mut impl Write) -> Result<()> {
        let mut bytes = Vec::with_capacity(8 * (self.words.len() + 1));
        bytes.extend((self.words.len() as u64).to_le_bytes());
        bytes.extend(self.words.iter().flat_map(|word| word.to_le_bytes()));
        to.write_all(&bytes)
    }

    /// Waits for a frame; `None` where the other side has ended.
    ///
    /// # Errors
    /// The operating system's; `UnexpectedEof` inside a frame.
    pub fn receive(from: &mut impl Read) -> Result<Option<Self>> {
        let mut head = [0; 8];
        match from.read_exact(&mut head) {
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            other => other?,
        }
        let length = u64::from_le_bytes(head).checked_mul(8).ok_or_else(|| malformed("a frame is too long"))?;
        let mut bytes = Vec::new();
        if from.take(length).read_to_end(&mut bytes)? as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let word = |part: &[u8; 8]| u64::from_le_bytes(*part);
        Ok(Some(Self { words: bytes.as_chunks().0.iter().map(word).collect(), at: 0 }))
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

/// Writes parameters behind a call, as [`Call::Init`] has them.
#[must_use]
pub fn write_params(mut frame: Frame, params: &Params) -> Frame {
    frame = frame.word(params.iter().count() as u64);
    for (name, value) in params.iter() {
        frame = frame.text(name);
        frame = match value {
            ParamValue::Integer(value) => frame.word(0).word(value.cast_unsigned()),
            ParamValue::Number(value) => frame.word(1).word(value.to_bits()),
            ParamValue::Flag(value) => frame.word(2).word(u64::from(*value)),
            ParamValue::Text(value) => frame.word(3).text(value),
        };
    }
    frame
}

fn read_params(frame: &mut Frame) -> Result<Params> {
    let mut params = Vec::new();
    for _ in 0..frame.take_small()? {
        let name = frame.take_text()?;
        let value = match frame.take()? {
            0 => ParamValue::Integer(frame.take()?.cast_signed()),
            1 => ParamValue::Number(f64::from_bits(frame.take()?)),
            2 => ParamValue::Flag(frame.take()? != 0),
            _ => ParamValue::Text(frame.take_text()?),
        };
        params.push((name, value));
    }
    Ok(params.into_iter().collect())
}

fn read_instrument(frame: &mut Frame) -> Result<Instrument> {
    Ok(Instrument {
        symbol: frame.take_text()?,
        price_tick: f64::from_bits(frame.take()?),
        multiplier: f64::from_bits(frame.take()?),
    })
}

/// A driver of one role, behind the calls.
trait Served: Sized {
    fn init(params: &Params, instrument: &Instrument) -> std::result::Result<Self, PluginError>;
    fn describe(&self) -> Frame;
    fn call(&mut self, call: u64, frame: &mut Frame) -> Result<std::result::Result<Frame, PluginError>>;
}

const DONE: u64 = 0;

fn described(inputs: &[String], outputs: &[OutputColumn], rows: u32) -> Frame {
    let mut frame = Frame::new(DONE).word(inputs.len() as u64);
    for input in inputs {
        frame = frame.text(input);
    }
    frame = frame.word(outputs.len() as u64);
    for output in outputs {
        frame = frame.text(&output.name).text(&output.unit);
    }
    frame.word(u64::from(rows))
}

fn values(values: &[f64]) -> Frame {
    Frame::new(DONE).words(values.iter().map(|value| value.to_bits()))
}

impl<F: Feature> Served for FeatureDriver<F> {
    fn init(params: &Params, instrument: &Instrument) -> std::result::Result<Self, PluginError> {
        Self::init(params, instrument)
    }

    fn describe(&self) -> Frame {
        let said = self.description();
        described(&said.inputs, &said.outputs, said.warmup_rows)
    }

    fn call(&mut self, call: u64, frame: &mut Frame) -> Result<std::result::Result<Frame, PluginError>> {
        if call == Call::Boundary as u64 {
            let kind = usize::try_from(frame.take()?).ok().and_then(|kind| wire::Boundary::ALL.get(kind));
            self.boundary(*kind.ok_or_else(|| malformed("there is no such border"))?);
            return Ok(Ok(Frame::new(DONE)));
        }
        frame.take()?;
        let mut out = Vec::new();
        Ok(self.compute(frame.rest(), &mut out).map(|()| values(&out)))
    }
}

impl<L: Label> Served for LabelDriver<L> {
    fn init(params: &Params, instrument: &Instrument) -> std::result::Result<Self, PluginError> {
        Self::init(params, instrument)
    }

    fn describe(&self) -> Frame {
        let said = self.description();
        described(&said.inputs, &said.outputs, said.lookahead_rows)
    }

    fn call(&mut self, _: u64, frame: &mut Frame) -> Result<std::result::Result<Frame, PluginError>> {
        let emit = frame.take_small()?;
        let mut out = Vec::new();
        Ok(self.compute(frame.rest(), emit, &mut out).map(|()| values(&out)))
    }
}

impl<S: Strategy> Served for StrategyDriver<S> {
    fn init(params: &Params, instrument: &Instrument) -> std::result::Result<Self, PluginError> {
        Self::init(params, instrument)
    }

    fn describe(&self) -> Frame {
        let said = self.description();
        described(&said.inputs, &[], said.warmup_rows)
    }

    fn call(&mut self, call: u64, frame: &mut Frame) -> Result<std::result::Result<Frame, PluginError>> {
        if call == Call::Load as u64 {
            return Ok(self.load(frame.rest().to_vec()).map(|_| Frame::new(DONE)));
        }
        let (start, until) = (frame.take_small()?, frame.take_small()?);
        let account = Account {
            contract: frame.take_small()?,
            long_lots: frame.take_small()?,
            short_lots: frame.take_small()?,
            balance_cny: f64::from_bits(frame.take()?),
            available_cny: f64::from_bits(frame.take()?),
            working_orders: frame.take_small()?,
        };
        let mut actions = Vec::new();
        let ran = self.run(start, until, &account, frame.rest(), &mut actions);
        Ok(ran.map(|at| Frame::new(DONE).word(u64::from(at)).words(actions)))
    }
}

fn refused(error: &PluginError) -> Frame {
    let kind = match error {
        PluginError::InvalidInput(_) => 1,
        PluginError::NotReady(_) => 2,
        PluginError::Other(_) => 3,
    };
    Frame::new(kind).text(error.message())
}

/// Answers calls until the other side ends. A panic ends the process, its message on standard error.
fn serve<D: Served>(stream: &mut (impl Read + Write)) -> Result<()> {
    let mut driver: Option<D> = None;
    while let Some(mut frame) = Frame::receive(stream)? {
        let call = frame.take()?;
        let answer = if call == Call::Init as u64 {
            let (params, instrument) = (read_params(&mut frame)?, read_instrument(&mut frame)?);
            D::init(&params, &instrument).map(|started| driver.insert(started).describe())
        } else {
            match &mut driver {
                Some(driver) => driver.call(call, &mut frame)?,
                None => Err(PluginError::NotReady("call `init` first".to_owned())),
            }
        };
        answer.unwrap_or_else(|error| refused(&error)).send(stream)?;
    }
    Ok(())
}

fn serve_on_stdin<D: Served>() -> Result<()> {
    let mut stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    serve::<D>(&mut stream)
}

/// Serves a feature on standard input, which must be a socket.
///
/// # Errors
/// The socket's.
pub fn serve_feature<F: Feature>() -> Result<()> {
    serve_on_stdin::<FeatureDriver<F>>()
}

/// Serves a label on standard input, which must be a socket.
///
/// # Errors
/// The socket's.
pub fn serve_label<L: Label>() -> Result<()> {
    serve_on_stdin::<LabelDriver<L>>()
}

/// Serves a strategy on standard input, which must be a socket.
///
/// # Errors
/// The socket's.
pub fn serve_strategy<S: Strategy>() -> Result<()> {
    serve_on_stdin::<StrategyDriver<S>>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ctx, Row, StrategyDescription};

    /// Buys on the first row of each block.
    struct Buyer;

    impl Strategy for Buyer {
        fn init(
            params: &Params,
            instrument: &Instrument,
        ) -> std::result::Result<(Self, StrategyDescription), PluginError> {
            params.integer_in::<u32>("lots", 1..=9)?;
            assert_eq!(instrument.symbol, "SHFE.cu2602");
            Ok((Self, StrategyDescription::new(["last_price"]).warmup_rows(7)))
        }

        fn on_tick(&mut self, tick: Row<'_>, ctx: &mut Ctx) {
            if tick.number(0) > 0.0 {
                ctx.buy(1).at(tick.number(0)).send();
            }
        }
    }

    fn init(lots: i64) -> Frame {
        let params = Params::new().with("lots", lots).with("on", true).with("name", "more than eight bytes");
        write_params(Frame::new(Call::Init as u64), &params).text("SHFE.cu2602").word(1.0_f64.to_bits()).word(0)
    }

    /// P-25
    #[test]
    fn a_process_answers_the_contracts_calls() {
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve::<StrategyDriver<Buyer>>(&mut theirs));
        let mut ask = |frame: Frame| {
            frame.send(&mut ours).unwrap();
            Frame::receive(&mut ours).unwrap().unwrap()
        };
        let mut early = ask(Frame::new(Call::Load as u64));
        assert_eq!((early.take().unwrap(), early.take_text().unwrap().as_str()), (2, "call `init` first"));
        assert_eq!(ask(init(10)).take().unwrap(), 1, "a parameter out of bounds is invalid input");
        let mut said = ask(init(3));
        assert_eq!((said.take().unwrap(), said.take().unwrap()), (0, 1));
        assert_eq!((said.take_text().unwrap().as_str(), said.rest()), ("last_price", [0, 7].as_slice()));
        let rows = [-1.0, 5.0, 6.0].map(f64::to_bits);
        assert_eq!(ask(Frame::new(Call::Load as u64).words(rows)).rest(), [0]);
        let account = [0, 0, 0, 0, 0, 0];
        let ran = ask(Frame::new(Call::Run as u64).word(0).word(3).words(account));
        assert_eq!((ran.rest()[..2].to_vec(), ran.rest().len()), (vec![0, 1], 2 + wire::WORDS));
        drop(ours);
        server.join().unwrap().unwrap();
    }

    #[test]
    fn half_a_frame_is_an_error_and_none_is_the_end() {
        let mut bytes = Vec::new();
        Frame::new(7).text("abc").send(&mut bytes).unwrap();
        assert!(Frame::receive(&mut &bytes[..0]).unwrap().is_none());
        assert!(Frame::receive(&mut &bytes[..12]).is_err());
        let mut frame = Frame::receive(&mut bytes.as_slice()).unwrap().unwrap();
        assert_eq!((frame.take().unwrap(), frame.take_text().unwrap().as_str()), (7, "abc"));
        assert!(frame.take().is_err() && Frame::new(u64::MAX).take_text().is_err());
    }
}
