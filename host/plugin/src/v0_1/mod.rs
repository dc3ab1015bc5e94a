//! The contract `ghtrader:plugin@0.1.0`, behind the host's own traits.

mod bare;
mod component;
mod wit;

use crate::contract::{Contract, Either};
use crate::guest::write_log;
use crate::manifest::Role;
use crate::sandbox::Guarded;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, WasmStr};

/// The first released contract.
pub(crate) struct Released;

impl Contract for Released {
    const VERSION: &'static str = "0.1.0";
    const WIT: &'static str = include_str!("../../../../wit/v0.1.0/plugin.wit");
    const BARE: bool = true;
    const RELEASED: bool = true;
    type Feature = Either<component::Feature, bare::Feature>;
    type Label = Either<component::Label, bare::Label>;
    type Strategy = Either<component::Strategy, bare::Strategy>;

    fn link(linker: &mut Linker<Guarded>) -> wasmtime::Result<()> {
        linker.instance("ghtrader:plugin/log@0.1.0")?.func_wrap("write", log)
    }

    fn functions(role: Role) -> &'static [&'static str] {
        match role {
            Role::Feature => &["init", "boundary", "compute"],
            Role::Label => &["init", "compute"],
            Role::Strategy => &["init", "run"],
        }
    }
}

fn log(mut store: StoreContextMut<'_, Guarded>, (level, line): (wit::Level, WasmStr)) -> wasmtime::Result<()> {
    write_log(&mut store, level.into(), &line)
}
