//! Guest functions of a checked type, called with borrowed rows.
#![expect(unsafe_code, reason = "a checked function is called with borrowed rows; see `GuestFn::call`")]

use super::Code;
use crate::sandbox::Guarded;
use std::marker::PhantomData;
use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Func, Instance, Lift, Lower, TypedFunc};

/// Types of a guest function whose parameters may borrow.
pub(crate) trait Signature {
    type Params<'a>: ComponentNamedList + Lower;
    type Return: ComponentNamedList + Lift + 'static;
}

/// Names a signature.
macro_rules! signature {
    ($name:ident, $params:ty, $return:ty) => {
        pub(super) struct $name;
        impl crate::guest::Signature for $name {
            type Params<'a> = $params;
            type Return = $return;
        }
    };
}
pub(crate) use signature;

/// A fresh instance, for looking its functions up.
pub(crate) struct Lookup<'a> {
    pub(crate) code: &'a Code,
    pub(crate) running: Running,
}

/// An instance, as its code was compiled.
pub(crate) enum Running {
    Component(Instance),
    Module(wasmtime::Instance),
}

/// A guest function of a checked signature.
pub(crate) struct GuestFn<S>(Func, PhantomData<fn() -> S>);

impl<S: Signature> GuestFn<S> {
    /// Looks a function up and checks its type.
    pub(crate) fn find(store: &mut Store<Guarded>, lookup: &Lookup<'_>, name: &str) -> wasmtime::Result<Self> {
        let index = lookup.code.function(name)?;
        let Running::Component(instance) = &lookup.running else {
            return Err(wasmtime::format_err!("`{name}` of a module has no component type"));
        };
        let typed = instance.get_typed_func::<S::Params<'static>, S::Return>(&mut *store, index)?;
        Ok(Self(*typed.func(), PhantomData))
    }

    pub(crate) fn call(&self, store: &mut Store<Guarded>, params: S::Params<'_>) -> wasmtime::Result<S::Return> {
        // SAFETY: `find` has checked the function against the same types with another lifetime, which is no part of a component type.
        let typed = unsafe { TypedFunc::<S::Params<'_>, S::Return>::new_unchecked(self.0) };
        typed.call(store, params)
    }
}
