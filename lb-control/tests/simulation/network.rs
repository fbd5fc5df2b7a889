//! Streams between the manager and its peers. What a stream carries arrives in
//! order, but for heartbeats and counters, which may also be lost or come
//! twice. A stream that loses anything else is over, and each end learns of it
//! at its own time.

use std::time::Duration;

use lb_control::{
    core::{Input, SessionId},
    model::{FromAgent, FromSwitch, ToAgent, ToSwitch},
};

use crate::{
    judge::Outcome,
    world::{Event, World},
};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Agent(usize),
    Edge(usize),
}

#[derive(Clone, Debug)]
pub enum Message {
    FromAgent(FromAgent),
    FromSwitch(FromSwitch),
    /// With the step of the core in which it was said.
    ToAgent(ToAgent, u64),
    ToSwitch(ToSwitch),
}

impl Message {
    fn may_be_lost(&self) -> bool {
        matches!(
            self,
            Self::FromAgent(FromAgent::Heartbeat(_)) | Self::FromSwitch(FromSwitch::Counters(_))
        )
    }
}

/// One connection, whose index is its session's number.
#[derive(Clone, Debug)]
pub struct Stream {
    pub who: Who,
    /// The life of the manager that it leads to.
    pub manager: u64,
    pub open_at_manager: bool,
    pub open_at_peer: bool,
    /// Nothing passes any more.
    broken: bool,
    /// When the last message that keeps its place arrives, there and back.
    last_at: [Duration; 2],
}

impl World {
    /// A new stream; None where the manager cannot be reached.
    pub fn open(&mut self, who: Who) -> Option<usize> {
        if self.manager.core.is_none() || self.cut.contains(&who) {
            return None;
        }
        self.streams.push(Stream {
            who,
            manager: self.manager.life,
            open_at_manager: true,
            open_at_peer: true,
            broken: false,
            last_at: [self.now; 2],
        });
        Some(self.streams.len() - 1)
    }

    pub fn send(&mut self, stream: usize, to_manager: bool, message: Message) {
        let delay = self.delay();
        let lost = !self.calm && self.rng.u32(0..400) == 0;
        let repeated = !self.calm && self.chance(2);
        let in_order = !message.may_be_lost();
        let way = &mut self.streams[stream];
        if way.broken || (lost && !in_order) {
            return;
        }
        if lost {
            self.note(|| format!("stream {stream} breaks: {message:?} is lost"));
            return self.break_stream(stream);
        }
        // Nothing overtakes what keeps its place.
        let last_at = &mut way.last_at[usize::from(to_manager)];
        let at = (self.now + delay).max(*last_at + Duration::from_micros(1));
        if in_order {
            *last_at = at;
        }
        if repeated && !in_order {
            let message = message.clone();
            let again = at + self.between(0, 3_000);
            self.at(again, Event::Arrive { stream, to_manager, message });
        }
        self.at(at, Event::Arrive { stream, to_manager, message });
    }

    /// Most messages are quick, and some take long.
    pub fn delay(&mut self) -> Duration {
        if !self.calm && self.chance(3) { self.between(5, 2_500) } else { self.between(0, 5) }
    }

    /// Nothing passes any more, and each end learns of it in its own time.
    pub fn break_stream(&mut self, stream: usize) {
        if std::mem::replace(&mut self.streams[stream].broken, true) {
            return;
        }
        for by_manager in [true, false] {
            let delay = self.between(10, 4_000);
            self.after(delay, Event::Noticed { stream, by_manager });
        }
    }

    pub fn break_streams_of(&mut self, who: Who) {
        for stream in 0..self.streams.len() {
            let way = &self.streams[stream];
            if way.who == who && (way.open_at_manager || way.open_at_peer) {
                self.break_stream(stream);
            }
        }
    }

    /// One end closes. The other hears what was sent before, and then of the end.
    pub fn hang_up(&mut self, stream: usize, by_manager: bool) {
        let delay = self.delay();
        let way = &mut self.streams[stream];
        if by_manager {
            way.open_at_manager = false;
        } else {
            way.open_at_peer = false;
        }
        if !way.broken {
            let at = (self.now + delay).max(way.last_at[usize::from(!by_manager)]);
            self.at(at, Event::Noticed { stream, by_manager: !by_manager });
        }
    }

    pub fn manager_hears(&mut self, stream: usize, message: Message) -> Outcome {
        if !self.is_met(stream) {
            return Ok(());
        }
        if let Some(later) = self.manager.paused_until(self.now) {
            self.at(later, Event::Arrive { stream, to_manager: true, message });
            return Ok(());
        }
        let session = SessionId(stream as u64);
        match message {
            Message::FromAgent(message) => self.feed(Input::Agent { session, message }),
            Message::FromSwitch(message) => {
                if let (FromSwitch::Applied { stamp, .. }, Who::Edge(edge)) =
                    (&message, self.streams[stream].who)
                {
                    self.judge.acknowledged(*stamp, &self.edges[edge])?;
                }
                self.feed(Input::Switch { session, message })
            }
            Message::ToAgent(..) | Message::ToSwitch(_) => Ok(()),
        }
    }

    pub fn manager_notices(&mut self, stream: usize) -> Outcome {
        if !self.is_met(stream) {
            return Ok(());
        }
        if let Some(later) = self.manager.paused_until(self.now) {
            self.at(later, Event::Noticed { stream, by_manager: true });
            return Ok(());
        }
        self.streams[stream].open_at_manager = false;
        self.note(|| format!("the manager learns that stream {stream} is over"));
        self.feed(Input::Closed { session: SessionId(stream as u64) })
    }

    /// Whether the manager that is there has this stream open.
    fn is_met(&self, stream: usize) -> bool {
        let way = &self.streams[stream];
        way.open_at_manager && way.manager == self.manager.life && self.manager.core.is_some()
    }

    pub fn peer_hears(&mut self, stream: usize, message: Message) -> Outcome {
        let way = &self.streams[stream];
        if !way.open_at_peer {
            return Ok(());
        }
        match (way.who, message) {
            (Who::Agent(agent), Message::ToAgent(message, step)) => {
                self.agent_hears(agent, message, step)
            }
            (Who::Edge(edge), Message::ToSwitch(ToSwitch::Apply(delta))) => {
                self.edge_hears(edge, stream, delta)
            }
            (Who::Edge(edge), Message::ToSwitch(ToSwitch::Probe(orders))) => {
                self.edge_is_asked(edge, stream, orders)
            }
            _ => Ok(()),
        }
    }

    pub fn peer_notices(&mut self, stream: usize) -> Outcome {
        if !std::mem::replace(&mut self.streams[stream].open_at_peer, false) {
            return Ok(());
        }
        match self.streams[stream].who {
            Who::Agent(agent) => self.agent_lost_stream(agent, stream),
            Who::Edge(edge) => self.edge_lost_stream(edge, stream),
        }
        Ok(())
    }

    pub fn heal(&mut self, who: Who) -> Outcome {
        if self.cut.remove(&who) {
            self.note(|| format!("{who:?} can reach the manager again"));
        }
        Ok(())
    }
}
