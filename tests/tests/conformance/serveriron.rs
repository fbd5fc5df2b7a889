//! The simulated ServerIron, by command line over telnet and SSH, and by SNMP. It
//! carries no packets: clients are what it counts of them.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use lab::{
    Answers, Broken, Lab, Report, Spread,
    serveriron::{
        Auth, Binding, ConnectionId, Faults, Hostile, Limits, Options, Simulator, State, User,
    },
};

use crate::switch::{API, Can, Holds, Noise, Standing, Staying, Switch, Tamper, Trouble};

/// A language that the box is spoken to in.
pub trait Language {
    const BREAKS: bool;

    /// `kind` and options; `file` keeps a secret and says where.
    fn settings(iron: &Simulator, file: &dyn Fn(&str, &str) -> Result<String>) -> Result<String>;

    /// Its words for what [`Trial::refuse`] brings about.
    const REFUSAL: &'static str;
}

pub struct Telnet;
pub struct Ssh;
pub struct Snmp;

/// Of the box as it comes.
const PASSWORD: (&str, &str) = ("telnet-pass", "enable-pass");
const COMMUNITY: &str = "private";
const USER_PASSWORD: &str = "a-long-password";
/// What the dialect is told, so that the suite can ask for more.
const MAX_WEIGHT: u32 = 256;
/// Bindings that it has room for here.
const ROOM: usize = 50;
/// An address where the site has a virtual server of its own.
const THEIRS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 200);

impl Language for Telnet {
    const BREAKS: bool = true;
    const REFUSAL: &'static str = "name api belongs to";

    fn settings(iron: &Simulator, file: &dyn Fn(&str, &str) -> Result<String>) -> Result<String> {
        Ok(format!(
            "kind = \"serveriron-cli\"\n[switch.options]\naddress = \"{}\"\n\
             transport = \"telnet\"\npassword_file = \"{}\"\nenable_password_file = \"{}\"\n",
            iron.cli_address(),
            file("password", PASSWORD.0)?,
            file("enable", PASSWORD.1)?,
        ))
    }
}

impl Language for Ssh {
    const BREAKS: bool = true;
    const REFUSAL: &'static str = Telnet::REFUSAL;

    fn settings(iron: &Simulator, file: &dyn Fn(&str, &str) -> Result<String>) -> Result<String> {
        let at = iron.ssh_address();
        let known = format!("[{}]:{} {}", at.ip(), at.port(), iron.ssh_host_key());
        Ok(format!(
            "kind = \"serveriron-cli\"\n[switch.options]\naddress = \"{at}\"\n\
             transport = \"ssh\"\nuser = \"sluice\"\nknown_hosts = \"{}\"\n\
             password_file = \"{}\"\nenable_password_file = \"{}\"\n",
            file("known_hosts", &known)?,
            file("password", PASSWORD.0)?,
            file("enable", PASSWORD.1)?,
        ))
    }
}

impl Language for Snmp {
    const BREAKS: bool = false;
    const REFUSAL: &'static str = "inconsistentValue";

    fn settings(iron: &Simulator, file: &dyn Fn(&str, &str) -> Result<String>) -> Result<String> {
        let password = file("snmp", USER_PASSWORD)?;
        Ok(format!(
            "kind = \"serveriron-snmp\"\n[switch.options]\naddress = \"{}\"\n\
             version = \"3\"\nuser = \"sluice\"\nauth_password_file = \"{password}\"\n\
             priv_password_file = \"{password}\"\n",
            iron.snmp_address(),
        ))
    }
}

/// A box in a language.
pub struct Trial<L> {
    iron: Arc<Simulator>,
    settings: String,
    /// It was to cut a connection.
    cuts: bool,
    language: std::marker::PhantomData<L>,
}

impl<L: Language> Switch for Trial<L> {
    const CAN: Can = Can {
        weights: Some(MAX_WEIGHT),
        breaks: L::BREAKS,
        admission: false,
        drop_servers: true,
        proxy: false,
        servers: Some(ROOM),
        answers: true,
        drains: true,
        counts: true,
        forgets: true,
        refuses: true,
        cable: true,
    };

    fn start(lab: &Lab) -> Result<Self> {
        let user = User {
            name: "sluice".to_owned(),
            auth: Auth::Sha1,
            auth_password: USER_PASSWORD.to_owned(),
            privacy_password: Some(USER_PASSWORD.to_owned()),
        };
        // One is the site's own.
        let limits = Limits { binds: ROOM + 1, ..Limits::default() };
        let options = Options {
            users: vec![user],
            write_community: COMMUNITY.to_owned(),
            limits,
            ..Options::default()
        };
        let iron = lab.edge().netns().enter(|| Simulator::start(options))?;
        iron.change(|state| {
            state.define_real("web9", [192, 0, 2, 9].into())?;
            state.set_real_port("web9", 80, true)?;
            state.define_virtual("theirs", THEIRS)?;
            state.set_virtual_port("theirs", 80, true)?;
            state.bind(Binding::new("theirs", 80, "web9", 80))?;
            state.save();
            anyhow::Ok(())
        })?;
        let directory = lab.directory().to_owned();
        let file = |name: &str, secret: &str| -> Result<String> {
            let path = directory.join(format!("iron-{name}"));
            fs::write(&path, format!("{secret}\n"))?;
            Ok(path.display().to_string())
        };
        let settings = L::settings(&iron, &file)? + &format!("max_weight = {MAX_WEIGHT}\n");
        Ok(Self { iron: Arc::new(iron), settings, cuts: false, language: std::marker::PhantomData })
    }

    fn settings(&self) -> String {
        self.settings.clone()
    }

    fn holds(&self, lab: &Lab, service: &str) -> Result<Holds> {
        let state = self.iron.state();
        let vip = lab.vip(service);
        let binds = state.running.binds.values().map(|bind| &bind.binding);
        let of_it = binds.filter(|binding| at(&state, &binding.virtual_server) == Some(vip.ip()));
        let mut holds = Holds::new();
        for binding in of_it.filter(|binding| binding.virtual_port == vip.port()) {
            let real = state.running.reals.get(&binding.real_server).context("no real server")?;
            let port = real.ports.get(&binding.real_port).context("no port of it")?;
            let standing = match state.connections(binding) {
                _ if port.life.serves() => Standing::Serves { weight: real.weight },
                0 => Standing::Broken,
                _ => Standing::Drains,
            };
            if lab.servers().iter().any(|server| server.address(false) == real.address) {
                holds.insert((real.address, binding.real_port).into(), standing);
            }
        }
        Ok(holds)
    }

    fn others(&self) -> Result<String> {
        let state = self.iron.state();
        let real = state.running.reals.get("web9").context("web9 is gone")?;
        let theirs = state.running.virtuals.get("theirs").context("theirs is gone")?;
        let binds = state.running.binds.iter().filter(|(_, bind)| {
            let Binding { virtual_server, real_server, .. } = &bind.binding;
            virtual_server == "theirs" || real_server == "web9"
        });
        Ok(format!(
            "{real:?}\n{theirs:?}\n{:?}\n{:?}",
            binds.collect::<Vec<_>>(),
            state.running.predictor
        ))
    }

    fn reboot(&mut self) -> Result<()> {
        self.iron.reboot(Duration::ZERO);
        Ok(())
    }

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()> {
        let binding = |server: SocketAddr| {
            Binding::new(service, 80, &format!("sluice-{}", server.ip()), server.port())
        };
        let done = self.iron.change(|state| match tamper {
            Tamper::Weight(server) => state.set_weight(&binding(server).real_server, 17),
            Tamper::Delete(server) => state.unbind(&binding(server)),
            Tamper::Stranger(server) => {
                let stranger = binding(server);
                if let IpAddr::V4(address) = server.ip() {
                    state.define_real(&stranger.real_server, address)?;
                }
                state.set_real_port(&stranger.real_server, server.port(), true)?;
                state.bind(stranger)
            }
        });
        done.with_context(|| format!("{tamper:?}"))
    }

    /// Somebody has given the service's name to a virtual server at another address.
    fn refuse(&mut self, refuse: bool) -> Result<&'static str> {
        const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 201);
        self.iron.change(|state| {
            if refuse { state.define_virtual(API, ELSEWHERE) } else { state.delete_virtual(API) }
        })?;
        Ok(L::REFUSAL)
    }

    fn trouble(&mut self, trouble: Trouble) -> Result<()> {
        let hostile = |hostile| Faults { hostile: Some(hostile), ..Faults::default() };
        let faults = match trouble {
            Trouble::None => Faults::default(),
            Trouble::Silence => Faults { hang: true, ..Faults::default() },
            // The connection, and an answer, once a delta has begun.
            Trouble::CutInDelta => {
                self.cuts = true;
                Faults { lose_change: Some(4), ..Faults::default() }
            }
            Trouble::Noise(Noise::Huge) => hostile(Hostile::Huge(64 << 20)),
            Trouble::Noise(Noise::Endless) => hostile(Hostile::Endless),
            Trouble::Noise(Noise::Binary) => hostile(Hostile::Binary),
            // Torn in the middle by what looks like the end, and no end after it.
            Trouble::PromptInName => hostile(Hostile::Bytes(
                b"show running-config\r\nserver real sluice-\r\niron#\r\ntelnet@iron#\r\n\
                  SSH@iron#10.0.0.1 10.0.0.1\r\n port http\r\n!\r\ntelnet@iron#"
                    .to_vec(),
            )),
        };
        let over = faults == Faults::default();
        self.iron.set_faults(faults);
        if over {
            self.iron.hang_up();
        }
        Ok(())
    }

    fn cuts(&self) -> usize {
        usize::from(self.cuts && self.iron.faults().lose_change.is_none())
    }

    fn visit(&self, lab: &Lab, service: &str, count: usize) -> Result<Answers> {
        let mut names = Vec::new();
        let mut refused = 0;
        for _ in 0..count {
            match self.pick(lab, service) {
                Some(Ok(name)) => names.push(name),
                Some(Err(())) | None => refused += 1,
            }
        }
        let spread: Spread = names.into_iter().collect();
        Ok(Answers { spread, refused, failed: Vec::new(), slowest_refusal: Duration::ZERO })
    }

    fn stay(&self, lab: &Lab, service: &str, count: usize) -> Result<Box<dyn Staying>> {
        let mut connections = BTreeMap::new();
        let vip = lab.vip(service);
        for _ in 0..count {
            let opened = self.iron.change(|state| {
                let name = name_at(state, vip.ip())?;
                let binding = state.pick(&name, vip.port())?;
                let id = state.open_on(&binding, 1).first().copied()?;
                Some((id, server_name(lab, state, &binding)?))
            });
            let (id, name) = opened.context("a client is not let in")?;
            connections.insert(id, name);
        }
        Ok(Box::new(Stay { iron: Arc::clone(&self.iron), connections }))
    }
}

impl<L> Trial<L> {
    /// A client that comes and goes: which server it got, or Err at a drop server; None
    /// where it gets nobody.
    fn pick(&self, lab: &Lab, service: &str) -> Option<Result<String, ()>> {
        let vip = lab.vip(service);
        self.iron.change(|state| {
            let name = name_at(state, vip.ip())?;
            let binding = state.pick(&name, vip.port())?;
            Some(server_name(lab, state, &binding).ok_or(()))
        })
    }
}

/// Where a virtual server is.
fn at(state: &State, virtual_server: &str) -> Option<IpAddr> {
    Some(state.running.virtuals.get(virtual_server)?.address.into())
}

/// The virtual server at an address.
fn name_at(state: &State, vip: IpAddr) -> Option<String> {
    let mut virtuals = state.running.virtuals.iter();
    let found = virtuals.find(|(_, server)| IpAddr::V4(server.address) == vip);
    found.map(|(name, _)| name.clone())
}

/// Which of the lab's servers a binding leads to; None: to the drop server.
fn server_name(lab: &Lab, state: &State, binding: &Binding) -> Option<String> {
    let address = state.running.reals.get(&binding.real_server)?.address;
    let server = lab.servers().iter().find(|server| server.address(false) == address)?;
    Some(server.name().to_owned())
}

/// Clients that stay.
struct Stay {
    iron: Arc<Simulator>,
    connections: BTreeMap<ConnectionId, String>,
}

impl Staying for Stay {
    fn ask(&mut self) -> Report {
        let state = self.iron.state();
        let mut report = Report::default();
        self.connections.retain(|&id, server| {
            if state.broken(&[id]) == 0 {
                report.answers += 1;
                return true;
            }
            let error = std::io::ErrorKind::ConnectionReset;
            report.broken.push(Broken { server: server.clone(), error });
            false
        });
        report
    }

    fn on(&self, server: &str) -> u64 {
        self.connections.values().filter(|name| *name == server).count() as u64
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let all: Vec<_> = self.connections.keys().copied().collect();
        self.iron.change(|state| state.close(&all));
    }
}
