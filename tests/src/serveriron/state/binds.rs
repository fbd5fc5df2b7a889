//! Changes of bindings.

use super::{Bind, Binding, Life, Refusal, State, real::unknown_port};

/// The last index of SNMP's bind table.
pub(crate) const MAX_INDEX: u32 = 2048;

impl State {
    /// `bind PORT REAL PORT`, at the first free index.
    pub fn bind(&mut self, binding: Binding) -> Result<(), Refusal> {
        let free = (1..=MAX_INDEX).find(|index| !self.running.binds.contains_key(index));
        self.bind_at(free.ok_or(Refusal::Full("binds"))?, binding)
    }

    /// The same at an index that is free.
    pub fn bind_at(&mut self, index: u32, binding: Binding) -> Result<(), Refusal> {
        self.check_ends(&binding)?;
        if let Some(found) = self.running.bind_of(&binding) {
            let leaving = self.running.binds.get(&found).is_some_and(|bind| bind.life.leaving);
            if leaving {
                self.violation(format!("bind {binding} while its unbinding waits"));
            }
            return Ok(());
        }
        if self.running.binds.contains_key(&index) {
            let by = "another bind".to_owned();
            return Err(Refusal::Taken { what: "index", value: index.to_string(), by });
        }
        if self.running.binds.len() >= self.limits.binds {
            return Err(Refusal::Full("binds"));
        }
        self.running.binds.insert(index, Bind { binding, life: Life::new(self.now) });
        Ok(())
    }

    /// `no bind PORT REAL PORT`: it goes when its last connection has ended.
    pub fn unbind(&mut self, binding: &Binding) -> Result<(), Refusal> {
        let now = self.now;
        let index = self.running.bind_of(binding);
        let bind = index.and_then(|index| self.running.binds.get_mut(&index));
        bind.ok_or_else(|| Refusal::NotBound(binding.to_string()))?.life.leave(now);
        Ok(())
    }

    pub(super) fn leave_binds(&mut self, which: impl Fn(&Binding) -> bool) {
        let now = self.now;
        for bind in self.running.binds.values_mut().filter(|bind| which(&bind.binding)) {
            bind.life.leave(now);
        }
    }

    /// Both servers must have these ports, and not be on their way out.
    fn check_ends(&mut self, binding: &Binding) -> Result<(), Refusal> {
        let Binding { virtual_server, virtual_port, real_server, real_port } = binding;
        let unknown = |what, name: &String| Refusal::Unknown { what, name: name.clone() };
        let real = self.running.reals.get(real_server);
        let real = real.ok_or_else(|| unknown("real server", real_server))?;
        let end = real.ports.get(real_port);
        let end = end.ok_or_else(|| unknown_port(real_server, *real_port))?;
        let server = self.running.virtuals.get(virtual_server);
        let server = server.ok_or_else(|| unknown("virtual server", virtual_server))?;
        let begin = server.ports.get(virtual_port);
        let begin = begin.ok_or_else(|| unknown_port(virtual_server, *virtual_port))?;
        let lives = [real.life, end.life, server.life, begin.life];
        if lives.iter().any(|life| life.leaving) {
            self.violation(format!("bind {binding} while the deletion of an end waits"));
        }
        Ok(())
    }
}
