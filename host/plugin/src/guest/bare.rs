//! A component that is nothing but its core module: called as that, by the canonical ABI written out here.
//!
//! The engine's own way into a component looks a function up at each call and keeps books for tasks and resources that no
//! plugin has: some 200 ns, where a core function takes 30. What is called is the same code under the same limits. Layouts
//! follow the component model's canonical ABI for 32-bit memories (component-model, `CanonicalABI.md`).

use super::Refusal;
use crate::contract::Answered;
use crate::params::ParamValue;
use crate::sandbox::{Guarded, LogLevel, TooMuch, cut};
use crate::{Answer, FeatureDescription, Instrument, LabelDescription, OutputColumn, Params, StrategyDescription};
use std::cell::Cell;
use wasmtime::{Caller, Instance, Linker, Memory, Store, TypedFunc, WasmParams, WasmResults, format_err};

/// Bytes of a parameter in a list: name at 0, kind of the value at 8, value at 16.
const PARAM_BYTES: usize = 24;
const WORD_BYTES: usize = 8;

/// Memory of a guest and the way to ask for more of it.
pub(crate) struct Bare {
    memory: Memory,
    realloc: TypedFunc<(u32, u32, u32, u32), u32>,
}

/// A function of the contract, with what has to be told once its result was read.
pub(crate) struct BareFn<P> {
    function: TypedFunc<P, u32>,
    done: Option<TypedFunc<u32, ()>>,
}

/// Arguments of `init`: parameters and symbol, each an address and a length, then price tick and multiplier.
pub(crate) type InitParams = (u32, u32, u32, u32, f64, f64);

impl<P: WasmParams> BareFn<P> {
    /// Looks a function of the role's interface up.
    pub(crate) fn find(
        store: &mut Store<Guarded>,
        instance: &Instance,
        interface: &str,
        name: &str,
    ) -> wasmtime::Result<Self> {
        let function = function(store, instance, &format!("{interface}#{name}"))?;
        let done = instance.get_typed_func(&mut *store, &format!("cabi_post_{interface}#{name}")).ok();
        Ok(Self { function, done })
    }

    /// Calls, has the result read, and lets the guest take it back.
    pub(crate) fn call<R>(
        &self,
        store: &mut Store<Guarded>,
        memory: Memory,
        params: P,
        read: impl FnOnce(Reader<'_>) -> wasmtime::Result<R>,
    ) -> wasmtime::Result<R> {
        let at = self.function.call(&mut *store, params)?;
        let left = Cell::new(store.data().output_bytes);
        let result = read(Reader { bytes: memory.data(&*store), at, left: &left })?;
        if let Some(done) = &self.done {
            done.call(store, at)?;
        }
        Ok(result)
    }
}

/// Looks up a function without a result in memory.
pub(crate) fn function<P: WasmParams, R: WasmResults>(
    store: &mut Store<Guarded>,
    instance: &Instance,
    name: &str,
) -> wasmtime::Result<TypedFunc<P, R>> {
    instance.get_typed_func(store, name)
}

impl Bare {
    pub(crate) fn find(store: &mut Store<Guarded>, instance: &Instance) -> wasmtime::Result<Self> {
        let memory = instance.get_memory(&mut *store, "memory");
        Ok(Self {
            memory: memory.ok_or_else(|| format_err!("the module exports no memory"))?,
            realloc: function(store, instance, "cabi_realloc")?,
        })
    }

    pub(crate) fn memory(&self) -> Memory {
        self.memory
    }

    /// Room for a value of the guest's: where it is, and its bytes.
    fn room<'a>(
        &self,
        store: &'a mut Store<Guarded>,
        align: usize,
        bytes: usize,
    ) -> wasmtime::Result<(usize, &'a mut [u8])> {
        let at = self.realloc.call(&mut *store, (0, 0, align as u32, u32::try_from(bytes)?))? as usize;
        let place = at.checked_add(bytes).and_then(|end| self.memory.data_mut(store).get_mut(at..end));
        match place {
            Some(place) if at.is_multiple_of(align) => Ok((at, place)),
            _ => Err(format_err!("realloc gave {bytes} bytes at {at}, outside its memory or not aligned to {align}")),
        }
    }

    /// Hands words over.
    pub(crate) fn words(&self, store: &mut Store<Guarded>, words: &[u64]) -> wasmtime::Result<(u32, u32)> {
        let (at, place) = self.room(store, WORD_BYTES, words.len() * WORD_BYTES)?;
        let (places, _) = place.as_chunks_mut();
        places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
        Ok((at as u32, words.len() as u32))
    }

    /// Hands words over, or says that there are none: present, address, length.
    pub(crate) fn some_words(
        &self,
        store: &mut Store<Guarded>,
        words: Option<&[u64]>,
    ) -> wasmtime::Result<(u32, u32, u32)> {
        let Some(words) = words else { return Ok((0, 0, 0)) };
        let (at, len) = self.words(store, words)?;
        Ok((1, at, len))
    }

    fn text(&self, store: &mut Store<Guarded>, text: &str) -> wasmtime::Result<(u32, u32)> {
        let (at, place) = self.room(store, 1, text.len())?;
        place.copy_from_slice(text.as_bytes());
        Ok((at as u32, text.len() as u32))
    }

    /// Hands over what `init` takes.
    pub(crate) fn init(
        &self,
        store: &mut Store<Guarded>,
        params: &Params,
        of: &Instrument,
    ) -> wasmtime::Result<InitParams> {
        let count = params.iter().count();
        let (list, _) = self.room(store, WORD_BYTES, count * PARAM_BYTES)?;
        for (i, (name, value)) in params.iter().enumerate() {
            let (name_at, name_bytes) = self.text(store, name)?;
            let (kind, value) = match value {
                ParamValue::Integer(v) => (0, v.cast_unsigned()),
                ParamValue::Number(v) => (1, v.to_bits()),
                ParamValue::Text(v) => {
                    let (at, bytes) = self.text(store, v)?;
                    (2, u64::from(at) | u64::from(bytes) << 32)
                }
                ParamValue::Flag(v) => (3, u64::from(*v)),
            };
            let words = [u64::from(name_at) | u64::from(name_bytes) << 32, kind, value];
            let place = &mut self.memory.data_mut(&mut *store)[list + i * PARAM_BYTES..][..PARAM_BYTES];
            place.copy_from_slice(words.map(u64::to_le_bytes).as_flattened());
        }
        let (symbol, symbol_bytes) = self.text(store, &of.symbol)?;
        Ok((list as u32, count as u32, symbol, symbol_bytes, of.price_tick, of.multiplier))
    }
}

/// A result in a guest's memory; nothing of it is trusted.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: u32,
    /// Bytes that may still be copied out.
    left: &'a Cell<usize>,
}

impl<'a> Reader<'a> {
    fn slice(self, at: u32, bytes: usize, align: u32) -> wasmtime::Result<&'a [u8]> {
        if !at.is_multiple_of(align) {
            return Err(format_err!("pointer {at} not aligned to {align}"));
        }
        self.bytes
            .get(at as usize..)
            .and_then(|rest| rest.get(..bytes))
            .ok_or_else(|| format_err!("{bytes} bytes at {at} are out of bounds of memory"))
    }

    /// Memory that will be copied out, as far as the limit allows.
    fn output(self, at: u32, bytes: usize, align: u32) -> wasmtime::Result<&'a [u8]> {
        let slice = self.slice(at, bytes, align)?;
        self.left.set(self.left.get().checked_sub(bytes).ok_or(TooMuch)?);
        Ok(slice)
    }

    fn word(self, at: u32) -> wasmtime::Result<u32> {
        let bytes = self.slice(at, 4, 4)?;
        Ok(bytes.first_chunk().map_or(0, |b| u32::from_le_bytes(*b)))
    }

    /// The word at an offset of the result.
    pub(crate) fn field(self, offset: u32) -> wasmtime::Result<u32> {
        self.word(self.at.checked_add(offset).ok_or_else(|| format_err!("pointer {} out of bounds", self.at))?)
    }

    /// The list at an offset of the result, as 8-byte words.
    pub(crate) fn list(self, offset: u32) -> wasmtime::Result<&'a [[u8; WORD_BYTES]]> {
        let (at, len) = (self.field(offset)?, self.field(offset + 4)?);
        let bytes = (len as usize).checked_mul(WORD_BYTES).ok_or_else(|| format_err!("a list of {len} words"))?;
        Ok(self.output(at, bytes, WORD_BYTES as u32)?.as_chunks().0)
    }

    fn text(self, at: u32) -> wasmtime::Result<String> {
        let (text, bytes) = (self.word(at)?, self.word(at + 4)?);
        Ok(std::str::from_utf8(self.output(text, bytes as usize, 1)?)?.to_owned())
    }

    fn texts<const N: usize>(self, offset: u32) -> wasmtime::Result<Vec<[String; N]>> {
        let (list, len) = (self.field(offset)?, self.field(offset + 4)?);
        let each = 8 * N as u32;
        let end = len.checked_mul(each).and_then(|bytes| list.checked_add(bytes));
        self.output(list, end.map_or(usize::MAX, |end| (end - list) as usize), 4)?;
        let row = |i: u32| {
            let mut row = [const { String::new() }; N];
            for (k, text) in row.iter_mut().enumerate() {
                *text = self.text(list + i * each + 8 * k as u32)?;
            }
            Ok(row)
        };
        (0..len).map(row).collect()
    }

    /// The result's value, or the guest's refusal.
    pub(crate) fn answer<T>(self, value: impl FnOnce(Self) -> wasmtime::Result<T>) -> Answered<T> {
        match self.slice(self.at, 4, 4)?[0] {
            0 => Ok(Ok(value(self)?)),
            1 => {
                let answer = match self.field(4)? as u8 {
                    0 => Answer::InvalidInput,
                    1 => Answer::NotReady,
                    2 => Answer::Other,
                    other => return Err(format_err!("unexpected discriminant: {other}")),
                };
                Ok(Err(Refusal { answer, message: self.text(self.at + 8)? }))
            }
            other => Err(format_err!("unexpected discriminant: {other}")),
        }
    }

    fn inputs(self) -> wasmtime::Result<Vec<String>> {
        Ok(self.texts::<1>(4)?.into_iter().map(|[name]| name).collect())
    }

    fn outputs(self) -> wasmtime::Result<Vec<OutputColumn>> {
        Ok(self.texts::<2>(12)?.into_iter().map(|[name, unit]| OutputColumn { name, unit }).collect())
    }

    pub(crate) fn feature(self) -> wasmtime::Result<FeatureDescription> {
        Ok(FeatureDescription { inputs: self.inputs()?, outputs: self.outputs()?, warmup_rows: self.field(20)? })
    }

    pub(crate) fn label(self) -> wasmtime::Result<LabelDescription> {
        Ok(LabelDescription { inputs: self.inputs()?, outputs: self.outputs()?, lookahead_rows: self.field(20)? })
    }

    pub(crate) fn strategy(self) -> wasmtime::Result<StrategyDescription> {
        Ok(StrategyDescription { inputs: self.inputs()?, warmup_rows: self.field(12)? })
    }
}

/// Gives a module its one import.
pub(crate) fn link(linker: &mut Linker<Guarded>, contract: &str) -> wasmtime::Result<()> {
    linker.func_wrap(&format!("ghtrader:plugin/log@{contract}"), "write", log)?;
    Ok(())
}

fn log(mut caller: Caller<'_, Guarded>, level: u32, at: u32, bytes: u32) -> wasmtime::Result<()> {
    let level = match level {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        other => return Err(format_err!("unexpected discriminant: {other}")),
    };
    let memory = caller.get_export("memory").and_then(wasmtime::Extern::into_memory);
    let memory = memory.ok_or_else(|| format_err!("the module exports no memory"))?;
    let (data, guarded) = memory.data_and_store_mut(&mut caller);
    let text = data.get(at as usize..).and_then(|rest| rest.get(..bytes as usize));
    let text = text.ok_or_else(|| format_err!("{bytes} bytes at {at} are out of bounds of memory"))?;
    // Cut before it is copied: a guest may log its whole memory.
    let line = cut(std::str::from_utf8(text)?, guarded.log.line_bytes());
    guarded.log.write(level, line);
    Ok(())
}
