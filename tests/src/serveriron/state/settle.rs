//! What ends when its last connection has ended.

use super::{BindKey, Life, State};

impl State {
    /// Lets go of what waits for nothing any more. To be called after every
    /// change, and now and then for `server force-delete`.
    pub(crate) fn settle(&mut self) {
        if self.running.force_delete {
            self.kill_overdue();
        }
        let counts = &self.counts;
        let idle = |which: &dyn Fn(&BindKey) -> bool| !counts.keys().any(which);
        let running = &mut self.running;
        running
            .binds
            .retain(|_, bind| !bind.life.leaving || counts.contains_key(&bind.binding.key()));
        for (name, real) in &mut running.reals {
            real.ports.retain(|port, found| {
                !(found.life.leaving && idle(&|key| key.0 == *name && key.1 == *port))
            });
        }
        for (name, server) in &mut running.virtuals {
            server.ports.retain(|port, found| {
                !(found.life.leaving && idle(&|key| key.2 == *name && key.3 == *port))
            });
        }
        let announcements = &mut self.announcements;
        let mut gone = |name: &str| {
            announcements.push(format!("Server {name} successfully deleted."));
        };
        running.reals.retain(|name, real| {
            let ends = real.life.leaving && idle(&|key| key.0 == *name);
            if ends {
                gone(name);
            }
            !ends
        });
        running.virtuals.retain(|name, server| {
            let ends = server.life.leaving && idle(&|key| key.2 == *name);
            if ends {
                gone(name);
            }
            !ends
        });
    }

    /// `server force-delete`: sessions of what was deleted or disabled longer
    /// ago than it takes are killed.
    fn kill_overdue(&mut self) {
        let overdue = |life: Life| {
            !life.serves()
                && self.now.saturating_duration_since(life.since) >= self.force_delete_after
        };
        let doomed: Vec<BindKey> = self
            .counts
            .keys()
            .filter(|key| self.lives_of(key).into_iter().flatten().any(overdue))
            .cloned()
            .collect();
        for key in doomed {
            self.break_connections(|binding| binding.key() == key);
        }
    }

    /// Of everything that connections of this binding hang on.
    fn lives_of(&self, key: &BindKey) -> [Option<Life>; 5] {
        let (real, real_port, server, port) = key;
        let real = self.running.reals.get(real);
        let server = self.running.virtuals.get(server);
        let bind = self.running.binds.values().find(|bind| bind.binding.key() == *key);
        [
            real.map(|real| real.life),
            real.and_then(|real| real.ports.get(real_port)).map(|port| port.life),
            server.map(|server| server.life),
            server.and_then(|server| server.ports.get(port)).map(|port| port.life),
            bind.map(|bind| bind.life),
        ]
    }
}
