//! A balancer that is told weights by DFP, and knows services and servers from its own
//! configuration. It carries no packets, and lets a server that it was told nothing of
//! serve nobody.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Answers, Lab, Netns, Report};
use lb_control::dfp::{Message, Messages};
use tokio_util::{bytes::BytesMut, codec::Decoder as _};

use crate::{
    simulated,
    switch::{API, Can, Holds, Noise, Standing, Staying, Switch, Tamper, Trouble},
};

/// Where the manager listens for balancers.
const AGENT: &str = "127.0.0.1:8080";
/// Seconds of silence after which the balancer connects anew.
const KEEPALIVE: u32 = 4;
/// Between two tries.
const RETRY: Duration = Duration::from_secs(1);
/// How often it looks whether it is to do something else.
const LOOK: Duration = Duration::from_millis(20);
/// A server of somebody else's, and its weight by configuration.
const THEIRS: (&str, u16) = ("192.0.2.9:80", 7);
/// An IP protocol number.
const TCP: u8 = 6;

pub struct Trial {
    balancer: Arc<Balancer>,
    /// The port of API's servers; all others are WWW's.
    api: u16,
    /// Host of the drop server, which the balancer has in WWW.
    sink: IpAddr,
}

struct Balancer {
    netns: Netns,
    state: Mutex<State>,
    stop: AtomicBool,
}

#[derive(Default)]
struct State {
    weights: BTreeMap<SocketAddr, u16>,
    trouble: Option<Trouble>,
    cuts: usize,
    /// The present connection is given up.
    hang_up: bool,
}

impl Balancer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects over and over.
    fn run(&self) {
        while !self.stop.load(Ordering::SeqCst) {
            // Why a connection ended is nothing that a balancer acts on.
            drop(self.speak());
            let ended = Instant::now();
            while ended.elapsed() < RETRY && !self.stop.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
            }
        }
    }

    fn speak(&self) -> Result<()> {
        self.state().hang_up = false;
        let mut agent = self.netns.enter(|| Ok(TcpStream::connect(AGENT)?))?;
        agent.set_write_timeout(Some(Duration::from_secs(2)))?;
        let trouble = self.state().trouble.clone();
        match trouble {
            Some(Trouble::Noise(noise)) => return make_noise(noise, agent),
            Some(Trouble::PromptInName) => return Ok(agent.write_all(&TORN)?),
            _ => {}
        }
        agent.set_read_timeout(Some(LOOK))?;
        agent.write_all(&Message::Parameters { keepalive: Some(KEEPALIVE) }.encode())?;
        let (mut bytes, mut heard) = (BytesMut::new(), Instant::now());
        let mut buffer = [0; 4096];
        while !self.stop.load(Ordering::SeqCst) && !self.state().hang_up {
            if matches!(self.state().trouble, Some(Trouble::Silence)) {
                heard = Instant::now();
                thread::sleep(LOOK);
                continue;
            }
            match agent.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            while let Some(message) = Messages.decode(&mut bytes)? {
                heard = Instant::now();
                self.hear(message)?;
            }
            let silence = Duration::from_secs(KEEPALIVE.into());
            ensure!(heard.elapsed() < silence, "nothing was heard for {silence:?}");
        }
        Ok(())
    }

    fn hear(&self, message: Message) -> Result<()> {
        let Message::PreferenceInformation(loads) = message else {
            bail!("{} is not an agent's", message.name())
        };
        let mut state = self.state();
        for load in loads {
            for preference in &load.preferences {
                let server = SocketAddr::from((preference.server, load.port));
                ensure!(load.protocol == TCP && preference.bind_id == 0, "{load:?}");
                let before = state.weights.insert(server, preference.weight);
                let is_new = before != Some(preference.weight);
                if is_new && matches!(state.trouble, Some(Trouble::CutInDelta)) {
                    state.trouble = None;
                    state.cuts += 1;
                    bail!("cut");
                }
            }
        }
        Ok(())
    }
}

/// A message that claims more than anybody sends, questions without end, and a right
/// header with nonsense.
fn make_noise(noise: Noise, mut to: TcpStream) -> Result<()> {
    const HUGE: [u8; 8] = [1, 0, 2, 1, 0xff, 0xff, 0xff, 0xff];
    const BINARY: [u8; 8] = [1, 0, 2, 1, 0, 0, 0x40, 0];
    let piece = match noise {
        Noise::Huge => [&HUGE[..], &[b'A'; 16 << 10]].concat(),
        Noise::Endless => Message::Parameters { keepalive: Some(1) }.encode().repeat(1 << 10),
        Noise::Binary => {
            let mut random = fastrand::Rng::with_seed(7);
            let nonsense = std::iter::repeat_with(|| random.u8(..)).take((16 << 10) - 8);
            BINARY.into_iter().chain(nonsense).collect()
        }
    };
    // 64 MiB is without end for whoever gives up before.
    for _ in 0..1 << 12 {
        to.write_all(&piece)?;
    }
    Ok(())
}

/// There are no names in DFP: a TLV whose end is not that of its message.
const TORN: [u8; 16] = [1, 0, 3, 1, 0, 0, 0, 16, 1, 1, 0, 12, 0, 0, 0, 4];

impl Trial {
    fn is_of(&self, server: SocketAddr, service: &str) -> bool {
        (server.port() == self.api) == (service == API)
    }

    fn serving(&self, service: &str) -> Vec<(SocketAddr, u32)> {
        let state = self.balancer.state();
        let of_it = state.weights.iter().filter(|(server, _)| self.is_of(**server, service));
        of_it.map(|(server, weight)| (*server, u32::from(*weight))).collect()
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.balancer.stop.store(true, Ordering::SeqCst);
    }
}

impl Switch for Trial {
    const CAN: Can = Can {
        weights: Some(65_535),
        breaks: false,
        admission: false,
        drop_servers: true,
        proxy: false,
        servers: None,
        answers: false,
        drains: false,
        counts: false,
        forgets: true,
        // It has no word for no.
        refuses: false,
        cable: true,
    };

    fn start(lab: &Lab) -> Result<Self> {
        let balancer = Arc::new(Balancer {
            netns: lab.edge().netns().clone(),
            state: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let running = Arc::clone(&balancer);
        thread::spawn(move || running.run());
        Ok(Self { balancer, api: lab.backend(API, 0).port(), sink: lab.edge().address(false) })
    }

    fn settings(&self) -> String {
        format!(
            "kind = \"dfp\"\n[switch.options]\nlisten = \"{AGENT}\"\n\
             balancers = [\"127.0.0.0/8\"]\n"
        )
    }

    fn holds(&self, _lab: &Lab, service: &str) -> Result<Holds> {
        let serving = self.serving(service).into_iter();
        let real = serving.filter(|(server, weight)| server.ip() != self.sink && *weight > 0);
        Ok(real.map(|(server, weight)| (server, Standing::Serves { weight })).collect())
    }

    fn others(&self) -> Result<String> {
        let (server, weight) = THEIRS;
        let told = self.balancer.state().weights.get(&server.parse()?).copied();
        Ok(format!("{server} weighs {weight}, and was told {told:?}"))
    }

    fn reboot(&mut self) -> Result<()> {
        let mut state = self.balancer.state();
        state.weights.clear();
        state.hang_up = true;
        Ok(())
    }

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()> {
        let mut state = self.balancer.state();
        let weights = &mut state.weights;
        match tamper {
            Tamper::Weight(server) => *weights.get_mut(&server).context("no such server")? = 17,
            Tamper::Delete(server) => {
                weights.remove(&server);
            }
            Tamper::Stranger(server) => bail!("{server} of {service} is nobody's to mend"),
        }
        Ok(())
    }

    fn refuse(&mut self, _refuse: bool) -> Result<&'static str> {
        bail!("DFP has no word for no")
    }

    fn trouble(&mut self, trouble: Trouble) -> Result<()> {
        let mut state = self.balancer.state();
        // Silence and a cut come upon a connection that stands.
        let stands = |trouble: &Trouble| {
            matches!(trouble, Trouble::None | Trouble::Silence | Trouble::CutInDelta)
        };
        state.hang_up |= !stands(&trouble);
        state.trouble = Some(trouble);
        Ok(())
    }

    fn cuts(&self) -> usize {
        self.balancer.state().cuts
    }

    fn visit(&self, lab: &Lab, service: &str, count: usize) -> Result<Answers> {
        Ok(simulated::answers(lab, &simulated::pick(&self.serving(service), 0.0, count)))
    }

    fn stay(&self, lab: &Lab, service: &str, count: usize) -> Result<Box<dyn Staying>> {
        let picked = simulated::pick(&self.serving(service), 0.0, count);
        let name = |server: Option<SocketAddr>| {
            let name = server.and_then(|server| simulated::server_name(lab, server));
            name.context("a client is not let in")
        };
        let stay = Stay { open: picked.into_iter().map(name).collect::<Result<_>>()? };
        Ok(Box::new(stay))
    }
}

/// Clients that stay: a weight takes no connection from anybody.
struct Stay {
    open: Vec<String>,
}

impl Staying for Stay {
    fn ask(&mut self) -> Report {
        Report { answers: self.open.len() as u64, ..Report::default() }
    }

    fn on(&self, server: &str) -> u64 {
        self.open.iter().filter(|name| *name == server).count() as u64
    }
}
