//! What `init` said must be what the manifest promised.

use crate::host::Plugin;
use crate::manifest::{OutputPromise, Role};
use crate::sandbox::Sandbox;
use crate::{OutputColumn, Params, PluginFault, manifest_check};

pub(super) struct Promise<'a> {
    plugin: &'a Plugin,
    /// The instance has default parameters, for which every promise holds to the letter.
    defaults: bool,
    broken: Vec<String>,
}

impl<'a> Promise<'a> {
    pub(super) fn of(plugin: &'a Plugin, params: &Params) -> Self {
        let defaults = plugin.manifest().param.iter().all(|p| params.get(&p.name) == Some(&p.default));
        Self { plugin, defaults, broken: Vec::new() }
    }

    pub(super) fn inputs(&mut self, said: &[String]) -> &mut Self {
        let about = &self.plugin.manifest().plugin;
        let free = about.role == Role::Strategy && !self.defaults;
        if !free && *said != about.inputs {
            self.broken.push(format!("init reads {said:?}, the manifest promises {:?}", about.inputs));
        }
        for unknown in said.iter().filter(|name| !manifest_check::is_known_input(about.role, name)) {
            self.broken.push(format!("init reads `{unknown}`, which is no column"));
        }
        if said.is_empty() {
            self.broken.push("init reads no column".to_owned());
        }
        self
    }

    pub(super) fn outputs(&mut self, said: &[OutputColumn]) -> &mut Self {
        let manifest = self.plugin.manifest();
        let same = |(s, p): (&OutputColumn, &OutputPromise)| s.name == p.name && s.unit == p.unit;
        let agree = said.len() == manifest.output.len() && said.iter().zip(&manifest.output).all(same);
        let free = manifest.plugin.dynamic_outputs && !self.defaults;
        if !free && !agree {
            let list = |names: Vec<String>| names.join(", ");
            self.broken.push(format!(
                "init gives the outputs [{}], the manifest promises [{}]",
                list(said.iter().map(|c| format!("{} {}", c.name, c.unit)).collect()),
                list(manifest.output.iter().map(|c| format!("{} {}", c.name, c.unit)).collect()),
            ));
        }
        if said.is_empty() {
            self.broken.push("init gives no output".to_owned());
        }
        self
    }

    pub(super) fn at_most(&mut self, what: &str, said: u32, promised: Option<u32>) -> &mut Self {
        let promised = promised.unwrap_or(0);
        if said > promised {
            self.broken.push(format!("init says {what} = {said}, the manifest promises at most {promised}"));
        }
        self
    }

    pub(super) fn kept<F>(&mut self, sandbox: &mut Sandbox<F>) -> Result<(), PluginFault> {
        if self.broken.is_empty() {
            return Ok(());
        }
        Err(sandbox.broke_contract("init", 0..0, self.broken.join("; ")))
    }
}
