//! Agents: processes beside servers, that can crash, freeze, leave and be slow.

use std::{collections::BTreeMap, time::Duration};

use lb_control::model::{
    AgentBinding, AgentHello, Application, BackendReport, BindingKey, CLOSE_WITHIN, FromAgent,
    Heartbeat, ToAgent,
};

use crate::{
    judge::Outcome,
    mutants::Mutant,
    network::{Message, Who},
    scene,
    world::{Event, World},
};

#[derive(Debug, Default)]
pub struct Agent {
    /// Its place in the cast.
    place: usize,
    pub runs: bool,
    /// Tells one process from the one before it.
    pub life: u64,
    boot: u64,
    sequence: u64,
    stream: Option<usize>,
    /// When each heartbeat of this process was sent.
    sent: BTreeMap<u64, Duration>,
    /// Stopped: it does nothing, and what it is sent waits.
    pub frozen: bool,
    inbox: Vec<(ToAgent, u64)>,
    pub leaving: bool,
    /// Takes its time to act on what it is asked.
    pub slow: bool,
    /// What its own check says, though the server answers.
    pub sick: bool,
}

impl Agent {
    pub fn new(place: usize) -> Self {
        Self { place, ..Self::default() }
    }

    pub fn binds(&self) -> &'static [BindingKey] {
        &scene::agents()[self.place].1
    }
}

impl World {
    /// A new process, where none runs.
    pub fn start_agent(&mut self, agent: usize) {
        let boot = self.rng.u64(1..u64::MAX);
        let of = &mut self.agents[agent];
        if of.runs {
            return;
        }
        *of = Agent { runs: true, life: of.life + 1, boot, ..Agent::new(agent) };
        let life = of.life;
        self.note(|| format!("agent {agent} starts with boot {boot}"));
        let delay = self.between(0, 1_500);
        self.after(delay, Event::Connect { who: Who::Agent(agent), life });
        self.after(delay, Event::Beat { agent, life });
    }

    /// The process is gone; its host says so to the other end.
    pub fn crash_agent(&mut self, agent: usize) {
        let of = &mut self.agents[agent];
        if !std::mem::replace(&mut of.runs, false) {
            return;
        }
        of.life += 1;
        if let Some(stream) = of.stream.take() {
            self.hang_up(stream, false);
        }
        self.note(|| format!("agent {agent} is gone"));
    }

    pub fn freeze_agent(&mut self, agent: usize, pause: Duration) {
        if !self.agents[agent].runs || self.agents[agent].frozen {
            return;
        }
        self.note(|| format!("agent {agent} freezes for {pause:?}"));
        self.agents[agent].frozen = true;
        let life = self.agents[agent].life;
        self.after(pause, Event::Wake { agent, life });
    }

    /// What waited is read in one go.
    pub fn wake(&mut self, agent: usize, life: u64) -> Outcome {
        if self.agents[agent].life != life || !self.agents[agent].frozen {
            return Ok(());
        }
        self.note(|| format!("agent {agent} wakes"));
        self.agents[agent].frozen = false;
        for (message, step) in std::mem::take(&mut self.agents[agent].inbox) {
            self.agent_hears(agent, message, step)?;
        }
        Ok(())
    }

    pub fn leave(&mut self, agent: usize) {
        let of = &mut self.agents[agent];
        if !of.runs || of.frozen || std::mem::replace(&mut of.leaving, true) {
            return;
        }
        let life = of.life;
        self.note(|| format!("agent {agent} leaves"));
        if let Some(stream) = self.agents[agent].stream {
            let cause = "told to stop".to_owned();
            self.send(stream, true, Message::FromAgent(FromAgent::Leave { cause }));
        }
        let stays = self.between(200, 7_000);
        self.after(stays, Event::Exit { agent, life });
    }

    pub fn exit(&mut self, agent: usize, life: u64) -> Outcome {
        if self.agents[agent].life == life {
            self.crash_agent(agent);
        }
        Ok(())
    }

    pub fn connect_agent(&mut self, agent: usize, life: u64) -> Outcome {
        let of = &self.agents[agent];
        if of.life != life || of.stream.is_some() {
            return Ok(());
        }
        let stream = if of.frozen { None } else { self.open(Who::Agent(agent)) };
        let Some(stream) = stream else {
            let delay = self.between(200, 1_500);
            self.after(delay, Event::Connect { who: Who::Agent(agent), life });
            return Ok(());
        };
        let of = &mut self.agents[agent];
        of.stream = Some(stream);
        let bind =
            |key: &BindingKey| AgentBinding { key: key.clone(), weight: 100, server_id: None };
        let hello = AgentHello {
            name: scene::agents()[agent].0.clone(),
            boot: of.boot,
            binds: of.binds().iter().map(bind).collect(),
            interval: scene::BEAT,
        };
        let leaving = of.leaving;
        self.send(stream, true, Message::FromAgent(FromAgent::Hello(hello)));
        if leaving {
            let cause = "told to stop".to_owned();
            self.send(stream, true, Message::FromAgent(FromAgent::Leave { cause }));
        }
        self.replay(agent, stream);
        self.send_heartbeat(agent);
        Ok(())
    }

    /// Somebody repeats, in a new session, what the agent said in another.
    fn replay(&mut self, agent: usize, stream: usize) {
        let last = self.agents[agent].sequence;
        if self.calm || last == 0 || !self.chance(10) {
            return;
        }
        let sequence = self.rng.u64(1..=last);
        let report = |key: &BindingKey| BackendReport {
            key: key.clone(),
            health: Ok(()),
            connections: 0,
            load: 0.0,
            application: Application::default(),
        };
        let reports = self.agents[agent].binds().iter().map(report).collect();
        let message = FromAgent::Heartbeat(Heartbeat { sequence, reports });
        self.send(stream, true, Message::FromAgent(message));
    }

    pub fn agent_lost_stream(&mut self, agent: usize, stream: usize) {
        if self.agents[agent].stream != Some(stream) {
            return;
        }
        self.agents[agent].stream = None;
        let life = self.agents[agent].life;
        let delay = self.between(100, 1_500);
        self.after(delay, Event::Connect { who: Who::Agent(agent), life });
    }

    pub fn beat(&mut self, agent: usize, life: u64) -> Outcome {
        if self.agents[agent].life == life {
            self.send_heartbeat(agent);
            self.after(scene::BEAT, Event::Beat { agent, life });
        }
        Ok(())
    }

    /// Says how its servers are, where it has a session.
    pub fn send_heartbeat(&mut self, agent: usize) {
        let connections = if self.calm { 0 } else { self.rng.u64(0..3) };
        let of = &self.agents[agent];
        let (Some(stream), false, true) = (of.stream, of.frozen, of.runs) else { return };
        let report = |key: &BindingKey| BackendReport {
            key: key.clone(),
            health: match of.sick || self.dead.contains(&key.backend) {
                true => Err("no answer".to_owned()),
                false => Ok(()),
            },
            connections,
            load: 0.5,
            application: Application::default(),
        };
        let reports = of.binds().iter().map(report).collect();
        let of = &mut self.agents[agent];
        of.sequence += 1;
        let sequence = of.sequence;
        of.sent.insert(sequence, self.now);
        let message = FromAgent::Heartbeat(Heartbeat { sequence, reports });
        self.send(stream, true, Message::FromAgent(message));
    }

    pub fn agent_hears(&mut self, agent: usize, message: ToAgent, step: u64) -> Outcome {
        if self.agents[agent].frozen {
            self.agents[agent].inbox.push((message, step));
            return Ok(());
        }
        let ToAgent::Close { key, heartbeat, .. } = message else { return Ok(()) };
        self.note(|| format!("agent {agent} is asked to close {key} as of heartbeat {heartbeat}"));
        let most = if self.agents[agent].slow { 3_000 } else { 5 };
        let (delay, life) = (self.between(0, most), self.agents[agent].life);
        self.after(delay, Event::Close { agent, life, key, heartbeat, asked: step });
        Ok(())
    }

    /// Closes connections, if the request still holds, and answers.
    pub fn close(
        &mut self,
        agent: usize,
        life: u64,
        key: BindingKey,
        heartbeat: u64,
        asked: u64,
    ) -> Outcome {
        let of = &self.agents[agent];
        if of.life != life {
            return Ok(());
        }
        if of.frozen {
            let delay = Duration::from_millis(20);
            self.after(delay, Event::Close { agent, life, key, heartbeat, asked });
            return Ok(());
        }
        let holds = of.sent.get(&heartbeat).is_some_and(|sent| self.now < *sent + CLOSE_WITHIN);
        if holds || self.mutant == Mutant::StaleClose {
            self.note(|| format!("agent {agent} closes the connections of {key}"));
            self.judge.server_side_closed(agent, &key, asked, &self.edges)?;
        }
        if let Some(stream) = self.agents[agent].stream {
            let connections = u64::from(holds);
            let answer = FromAgent::Closed { key, connections, heartbeat };
            self.send(stream, true, Message::FromAgent(answer));
        }
        Ok(())
    }
}
