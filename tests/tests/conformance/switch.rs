//! What the suite asks of a switch on trial.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use anyhow::Result;
use lab::{Answers, Builder, Crowd, Lab, Report, nat};

/// The service of most cases.
pub const WWW: &str = "www";
/// The one that a switch can be brought to refuse servers for.
pub const API: &str = "api";

/// What a switch has ways to do.
#[derive(Clone, Copy, Debug)]
pub struct Can {
    /// Its largest weight; None: all servers get the same.
    pub weights: Option<u32>,
    /// Whether connections of a removed server can be broken.
    pub breaks: bool,
    /// Whether it refuses a share of new connections itself.
    pub admission: bool,
    /// Whether a drop server can do that for it. Where neither is so, it is an alarm.
    pub drop_servers: bool,
    /// Whether it is a proxy: it takes a client's connection first, and one that is
    /// refused or broken then ends, instead of being reset.
    pub proxy: bool,
    /// The most servers of one service; None: more than anybody has.
    pub servers: Option<usize>,
    /// Whether it can be asked what it holds. One that cannot is told it, and its
    /// silence is nothing new.
    pub answers: bool,
    /// Whether a server that drains or is out is something else to it than one of
    /// weight 0. Where it is not, such servers are not in [`Switch::holds`].
    pub drains: bool,
    /// Whether it knows when a server has no connection left.
    pub counts: bool,
    /// Whether what it holds is gone when it starts anew.
    pub forgets: bool,
    /// Whether it can be brought to refuse a change, and its neighbours not.
    pub refuses: bool,
    /// Whether there is a cable to the manager that can be cut, be silent, or lead to
    /// somebody else.
    pub cable: bool,
}

/// A server, as the switch's own tools show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Serves {
        weight: u32,
    },
    /// Keeps its connections.
    Drains,
    /// Gets none and has none.
    Broken,
}

pub type Holds = BTreeMap<SocketAddr, Standing>;

/// What somebody else does to it, by its own tools.
#[derive(Clone, Copy, Debug)]
pub enum Tamper {
    /// Of a server that it holds. Half of it where it has no weights: the server is
    /// switched off.
    Weight(SocketAddr),
    Delete(SocketAddr),
    /// A server that looks like one of ours.
    Stranger(SocketAddr),
}

/// What is wrong between a switch and its manager. The manager has heard good things
/// through the same cable before.
#[derive(Clone, Debug)]
pub enum Trouble {
    None,
    /// Connections stand, and nothing is said.
    Silence,
    /// Once, the connection is cut after a part of a delta of several changes.
    CutInDelta,
    /// It answers with this, whatever it is asked.
    Noise(Noise),
    /// It answers rightly, but a name that it says looks like the end of an answer.
    PromptInName,
}

/// Answers that no switch gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    /// One line of many megabytes.
    Huge,
    /// Lines without end.
    Endless,
    Binary,
}

/// Connections that stay open.
pub trait Staying {
    /// Has each of them ask once more.
    fn ask(&mut self) -> Report;
    fn on(&self, server: &str) -> u64;
}

impl Staying for Crowd {
    fn ask(&mut self) -> Report {
        Crowd::ask(self)
    }

    fn on(&self, server: &str) -> u64 {
        self.spread().of(server)
    }
}

/// A real or simulated switch of a lab's edge host.
///
/// What it does to clients is seen through real ones; where no packet can go through
/// it, [`visit`](Self::visit) and [`stay`](Self::stay) ask it instead.
pub trait Switch: Sized {
    const CAN: Can;

    /// A lab for it: three servers, and services [`WWW`] and [`API`].
    fn lab() -> Builder {
        let probed = "health = { interval = \"200ms\", timeout = \"1s\" }";
        Lab::build()
            .servers(3)
            .external()
            .service(nat(WWW).settings(probed))
            .service(nat(API).settings(probed))
    }

    /// Starts it, empty, with both services.
    fn start(lab: &Lab) -> Result<Self>;

    /// `kind` and `[switch.options]` of its `[[switch]]`, or nothing, where
    /// [`attach`](Self::attach) brings it to the manager.
    fn settings(&self) -> String;

    /// The manager has started.
    fn attach(&mut self, _lab: &mut Lab) -> Result<()> {
        Ok(())
    }

    /// What it holds of a service, by its own tools. Drop servers are left out.
    fn holds(&self, lab: &Lab, service: &str) -> Result<Holds>;

    /// Everything on it that the manager must leave alone, as text that is the same
    /// as long as it is left alone. There is something.
    fn others(&self) -> Result<String>;

    /// It loses power and comes back, at once.
    fn reboot(&mut self) -> Result<()>;

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()>;

    /// From now on it refuses servers of [`API`], or does so no more. It may start
    /// anew for that. Returns its words.
    fn refuse(&mut self, refuse: bool) -> Result<&'static str>;

    fn trouble(&mut self, trouble: Trouble) -> Result<()>;

    /// Connections that were cut by [`Trouble::CutInDelta`].
    fn cuts(&self) -> usize;

    /// New connections, one after the other.
    fn visit(&self, lab: &Lab, service: &str, count: usize) -> Result<Answers> {
        lab.get_many(service, count)
    }

    /// Connections that stay.
    fn stay(&self, lab: &Lab, service: &str, count: usize) -> Result<Box<dyn Staying>> {
        Ok(Box::new(lab.crowd(service, count)?))
    }
}

/// Answers a connection with noise, until nobody listens.
pub fn make_noise(noise: Noise, mut to: impl std::io::Write) -> std::io::Result<()> {
    /// A gigabyte is without end for whoever gives up before.
    const PIECES: usize = 1 << 16;
    let piece = match noise {
        Noise::Huge => vec![b'A'; 16 << 10],
        Noise::Endless => b"1\n".repeat(8 << 10),
        Noise::Binary => {
            let mut random = fastrand::Rng::with_seed(7);
            std::iter::repeat_with(|| random.u8(..)).take(16 << 10).collect()
        }
    };
    for _ in 0..PIECES {
        to.write_all(&piece)?;
    }
    Ok(())
}

/// What answers in a switch's place.
pub type Impostor = Arc<dyn Fn(std::net::TcpStream) -> std::io::Result<()> + Send + Sync>;

/// An impostor that makes noise.
pub fn noisy(noise: Noise) -> Impostor {
    Arc::new(move |stream| make_noise(noise, stream))
}
