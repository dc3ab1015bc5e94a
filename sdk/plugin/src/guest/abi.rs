//! How values of the contract lie in a guest's memory: the component model's canonical ABI, as far as the contract uses it.
//!
//! A block, a list of events or a text comes as an address and a length, in memory that the host has asked for by
//! `cabi_realloc`; a result goes back as the address of a few words. The buffers are kept: bindings that allocate, copy and
//! free around every call take longer than most decisions.

use crate::{Instrument, OutputColumn, ParamValue, Params, PluginError};
use std::cell::{Cell, RefCell};
use std::ops::Deref;

/// Buffers that are kept between calls: a block, the one before it, events, and one to choose from.
const SPARES: usize = 4;
const WORD_BYTES: usize = 8;
/// Words of the longest result: a description with outputs.
const ANSWER_WORDS: usize = 6;
/// Words of a parameter in a list: its name, the kind of its value, the value.
const PARAM_WORDS: usize = 3;

/// A buffer that the host has filled.
#[derive(Debug, Default)]
pub struct Block {
    buffer: Vec<u64>,
    words: usize,
}

impl Deref for Block {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        &self.buffer[..self.words]
    }
}

/// Memory on its way: `lent` to the host, who fills it and names it in a call; `spare` between calls.
#[derive(Debug)]
struct Buffers {
    lent: Vec<Vec<u64>>,
    spare: Vec<Vec<u64>>,
}

thread_local! {
    static BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers { lent: Vec::new(), spare: Vec::new() }) };
    static ANSWER: Cell<[u32; ANSWER_WORDS]> = const { Cell::new([0; ANSWER_WORDS]) };
}

/// Gives the host memory, aligned to 8, which is as much as anything in the contract needs.
///
/// A host that makes a text longer asks again with what it has: the bytes are carried over.
pub fn realloc(old: *const u8, old_bytes: usize, align: usize, bytes: usize) -> *mut u8 {
    if bytes == 0 {
        // What the ABI wants: an aligned address that is never read.
        return std::ptr::without_provenance_mut(align);
    }
    let words = bytes.div_ceil(WORD_BYTES);
    let carried = take(old, old_bytes.div_ceil(WORD_BYTES));
    BUFFERS.with_borrow_mut(|buffers| {
        let spare = &mut buffers.spare;
        let fits = spare.iter().enumerate().filter(|(_, buffer)| buffer.len() >= words);
        let best = fits.min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
        let mut buffer = best.map_or_else(|| vec![0; words], |at| spare.swap_remove(at));
        buffer[..carried.len().min(words)].copy_from_slice(&carried[..carried.len().min(words)]);
        let address = buffer.as_mut_ptr();
        buffers.lent.push(buffer);
        address.cast()
    })
}

/// Takes memory back that the host has filled.
///
/// # Panics
/// For memory that was never lent, or is smaller: a host with another idea of the contract.
pub fn take(at: *const u8, words: usize) -> Block {
    if words == 0 {
        return Block::default();
    }
    BUFFERS.with_borrow_mut(|buffers| {
        let lent = buffers.lent.iter().position(|buffer| buffer.as_ptr().cast() == at && words <= buffer.len());
        let buffer = lent.map(|place| buffers.lent.swap_remove(place));
        #[expect(clippy::expect_used, reason = "there is no other answer to a host that breaks the contract")]
        Block { buffer: buffer.expect("memory that was lent to the host"), words }
    })
}

/// Keeps a buffer for the next call.
pub fn give_back(block: Block) {
    if block.buffer.is_empty() {
        return;
    }
    BUFFERS.with_borrow_mut(|buffers| {
        buffers.spare.push(block.buffer);
        if buffers.spare.len() > SPARES {
            let smallest = buffers.spare.iter().enumerate().min_by_key(|(_, buffer)| buffer.len()).map(|(at, _)| at);
            smallest.map(|at| buffers.spare.swap_remove(at));
        }
    });
}

fn text(at: *const u8, bytes: usize) -> String {
    let block = take(at, bytes.div_ceil(WORD_BYTES));
    let all: Vec<u8> = block.iter().flat_map(|word| word.to_le_bytes()).take(bytes).collect();
    give_back(block);
    // The ABI promises UTF-8.
    String::from_utf8_lossy(&all).into_owned()
}

/// Address and length of a list inside a word.
fn list_in(word: u64) -> (*const u8, usize) {
    (std::ptr::with_exposed_provenance(word as u32 as usize), (word >> 32) as usize)
}

/// Parameters, of which the host has written `count` at an address.
pub fn params(at: *const u8, count: usize) -> Params {
    let block = take(at, count * PARAM_WORDS);
    let (entries, _) = block.as_chunks::<PARAM_WORDS>();
    let params = entries.iter().map(|[name, kind, value]| {
        let (name_at, name_bytes) = list_in(*name);
        let value = match *kind as u8 {
            0 => ParamValue::Integer(value.cast_signed()),
            1 => ParamValue::Number(f64::from_bits(*value)),
            2 => {
                let (at, bytes) = list_in(*value);
                ParamValue::Text(text(at, bytes))
            }
            _ => ParamValue::Flag(*value as u8 != 0),
        };
        (text(name_at, name_bytes), value)
    });
    let params = params.collect();
    give_back(block);
    params
}

/// An instrument from its flattened fields.
pub fn instrument(symbol: *const u8, symbol_bytes: usize, price_tick: f64, multiplier: f64) -> Instrument {
    Instrument { symbol: text(symbol, symbol_bytes), price_tick, multiplier }
}

/// Address of a list for the host, who reads it before the next call.
pub fn list<T>(values: &[T]) -> [u32; 2] {
    [values.as_ptr().expose_provenance() as u32, values.len() as u32]
}

/// The inputs of a description. They are never freed: a description is made once an instance.
pub fn inputs(names: &[String]) -> [u32; 2] {
    let texts: Vec<[u32; 2]> = names.iter().map(|name| list(name.clone().leak().as_bytes())).collect();
    list(texts.leak())
}

/// The outputs of a description; as [`inputs`].
pub fn outputs(columns: &[OutputColumn]) -> [u32; 2] {
    let text = |text: &String| list(text.clone().leak().as_bytes());
    let columns: Vec<[[u32; 2]; 2]> = columns.iter().map(|c| [text(&c.name), text(&c.unit)]).collect();
    list(columns.leak())
}

/// A result of the contract's functions, as the words of its value behind a 0.
pub fn done(value: impl IntoIterator<Item = u32>) -> *const u32 {
    answer(0, value)
}

/// A refusal; its text lives until the instance ends, which is soon.
pub fn refused(error: PluginError) -> *const u32 {
    let (kind, message) = match error {
        PluginError::InvalidInput(message) => (0, message),
        PluginError::NotReady(message) => (1, message),
        PluginError::Other(message) => (2, message),
    };
    let [at, bytes] = list(message.leak().as_bytes());
    answer(1, [kind, at, bytes])
}

fn answer(case: u32, value: impl IntoIterator<Item = u32>) -> *const u32 {
    let mut words = [0; ANSWER_WORDS];
    words[0] = case;
    words[1..].iter_mut().zip(value).for_each(|(word, value)| *word = value);
    ANSWER.with(|answer| {
        answer.set(words);
        answer.as_ptr().cast_const().cast()
    })
}
