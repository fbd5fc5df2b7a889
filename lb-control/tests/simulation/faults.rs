//! What goes wrong, what operators ask for meanwhile, and how it ends.

use std::time::Duration;

use lb_control::{
    core::{Command, Input, RequestId},
    model::{BindingKey, Origin, Policy, Share},
};

use crate::{
    judge::Outcome,
    network::Who,
    scene,
    world::{Event, World},
};

impl World {
    /// One fault, and the next after a while.
    pub fn next_fault(&mut self) -> Outcome {
        if self.calm {
            return Ok(());
        }
        let pause = self.between(20, 1_500);
        self.after(pause, Event::Fault);
        let agent = self.rng.usize(0..scene::agents().len());
        let edge = self.rng.usize(0..self.edges.len());
        let server = self.one_of(scene::keys()).backend;
        match self.rng.u32(0..100) {
            0..10 => self.start_or_crash(agent),
            10..18 => {
                let pause = self.between(100, 6_000);
                self.freeze_agent(agent, pause);
            }
            18..22 => self.leave(agent),
            22..28 => {
                self.agents[agent].sick ^= true;
                self.send_heartbeat(agent);
            }
            28..33 => self.agents[agent].slow ^= true,
            33..43 => {
                if !self.dead.remove(&server) {
                    self.dead.insert(server);
                }
                self.note(|| format!("server {server} dies or comes back"));
            }
            43..51 => self.cut_off(Who::Agent(agent)),
            51..57 => self.cut_off(Who::Edge(edge)),
            57..63 => self.break_streams_of(Who::Agent(agent)),
            63..68 => self.break_streams_of(Who::Edge(edge)),
            68..75 => {
                let (empty, tampered) = (self.chance(30), self.chance(40));
                self.crash_edge(edge, empty);
                if tampered {
                    self.tamper(edge);
                }
                self.start_edge(edge);
            }
            75..77 => {
                let wiped = self.chance(25);
                self.tamper_live(edge, wiped);
            }
            77..79 => self.edges[edge].refuses ^= true,
            79..84 => self.edges[edge].slow ^= true,
            84..89 => {
                self.note(|| "the manager dies".to_owned());
                self.crash_manager()?;
                let pause = self.between(1, 4_000);
                self.after(pause, Event::StartManager);
            }
            89..93 => {
                let pause = self.between(100, 4_000);
                self.pause_manager(pause);
            }
            93..97 => self.manager.disk.fails ^= true,
            _ => self.manager.disk.hangs ^= true,
        }
        Ok(())
    }

    fn start_or_crash(&mut self, agent: usize) {
        if self.agents[agent].runs {
            self.crash_agent(agent);
        } else {
            self.start_agent(agent);
        }
    }

    fn cut_off(&mut self, who: Who) {
        self.note(|| format!("{who:?} cannot reach the manager"));
        self.cut.insert(who);
        self.break_streams_of(who);
        let pause = self.between(200, 6_000);
        self.after(pause, Event::Heal { who });
    }

    /// One command, and the next after a while.
    pub fn next_command(&mut self) -> Outcome {
        if self.calm {
            return Ok(());
        }
        let pause = self.between(50, 4_000);
        self.after(pause, Event::Command);
        if !self.manager.listens(self.now) {
            return Ok(());
        }
        let key = self.one_of(scene::keys());
        let command = self.command(key);
        self.ask(command)
    }

    fn ask(&mut self, command: Command) -> Outcome {
        let request = self.judge.next_request();
        self.feed(Input::Operator { request: RequestId(request), by: Origin::local(), command })
    }

    /// An operator lets go what the frozen services keep.
    pub fn thaw(&mut self) -> Outcome {
        for service in self.judge.frozen() {
            self.ask(Command::Thaw { service })?;
        }
        Ok(())
    }

    fn command(&mut self, key: BindingKey) -> Command {
        let weight = self.rng.u16(0..200);
        match self.rng.u32(0..11) {
            0..4 => Command::Remove {
                key,
                force: self.chance(30),
                deadline: self.rng.bool().then(|| Duration::from_secs(self.rng.u64(0..8))),
                wait: self.chance(30),
            },
            4..7 => Command::Add { key, weight, server_id: None },
            7..9 => Command::SetWeight { key, weight },
            9 => Command::Thaw { service: key.service },
            _ => {
                let refuse = Share::from_percent(f64::from(self.rng.u32(0..4)) * 25.0);
                let policy = Policy { refuse: refuse.unwrap_or(Share::NONE), ..Policy::default() };
                let class = self.rng.bool().then(|| scene::name("bots"));
                Command::Drop { service: key.service, class, policy }
            }
        }
    }

    /// Every fault ends. What is dead may stay so, and nobody is twice there.
    pub fn calm_down(&mut self) -> Outcome {
        self.calm = true;
        self.cut.clear();
        self.manager.disk.fails = false;
        self.manager.disk.hangs = false;
        for edge in 0..self.edges.len() {
            self.edges[edge].refuses = false;
            self.edges[edge].slow = false;
            self.start_edge(edge);
        }
        for agent in 0..self.agents.len() {
            self.agents[agent].slow = false;
            self.agents[agent].sick = false;
            let life = self.agents[agent].life;
            self.wake(agent, life)?;
            if agent >= scene::RESIDENTS {
                self.crash_agent(agent);
            } else if self.chance(70) {
                self.start_agent(agent);
            }
        }
        self.start_manager()
    }
}
