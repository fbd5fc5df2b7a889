//! The XDP edge. What it holds is what the kernel's tables have; the cable is its
//! connection to the manager.

mod impostor;

use std::{
    fs,
    mem::offset_of,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use aya::maps::{Array, Map, MapData};
use lab::{Device, Fault, Host, Lab, Process, Relay, eventually};
use lb_common::abi::{
    ABI_VERSION, Backend, MAX_BACKENDS, MAX_SERVICES, Service, backend_state, maps, words,
};
use serde_json::Value;

use crate::switch::{API, Can, Holds, Standing, Switch, Tamper, Trouble, WWW, noisy};
use impostor::Impostor;

const NAME: &str = "trial";
/// How long the program takes to be verified, on a machine that has other work.
const START: Duration = Duration::from_secs(120);
/// A row that no binding has.
const FREE: u32 = MAX_BACKENDS - 1;

pub struct Trial {
    // Dropped in this order.
    impostor: Option<Impostor>,
    edge: Option<Process>,
    relay: Relay,
    host: Host,
    manager: SocketAddr,
    config: PathBuf,
    pins: PathBuf,
    /// Pinned by somebody else.
    theirs: PathBuf,
    vips: Vec<(String, SocketAddr)>,
}

/// A row of a table, as bytes.
type Row = [u8; 64];
const _: () = assert!(size_of::<Backend>() == 64 && size_of::<Service>() == 64);

/// Bytes of a field of a row.
fn field<const N: usize>(row: &Row, offset: usize) -> Result<[u8; N]> {
    let bytes = row.get(offset..offset + N).context("a field beyond its row")?;
    Ok(bytes.try_into()?)
}

fn number(row: &Row, offset: usize) -> Result<u32> {
    field(row, offset).map(u32::from_ne_bytes)
}

fn address(row: &Row, ip: usize, port: usize) -> Result<SocketAddr> {
    let ip = IpAddr::from(Ipv6Addr::from(field::<16>(row, ip)?)).to_canonical();
    Ok((ip, u16::from_be_bytes(field(row, port)?)).into())
}

impl Trial {
    fn table<const N: usize>(&self, name: &str) -> Result<Array<MapData, [u8; N]>> {
        let pin = self.pins.join(format!("v{ABI_VERSION}")).join(name);
        let map = MapData::from_pin(&pin).with_context(|| pin.display().to_string())?;
        Ok(Array::try_from(Map::from_map_data(map)?)?)
    }

    /// First row of the copy that packets read.
    fn live(&self, rows: u32) -> Result<u32> {
        let generation = self.table::<8>(maps::WORDS)?.get(&words::GENERATION, 0)?;
        Ok(if u64::from_ne_bytes(generation).is_multiple_of(2) { 0 } else { rows })
    }

    /// A service's id; None where the edge has it not.
    fn service(&self, name: &str) -> Result<Option<u32>> {
        let vip = self.vips.iter().find(|(known, _)| known == name).context("no such service")?.1;
        let (table, first) = (self.table::<64>(maps::SERVICES)?, self.live(MAX_SERVICES)?);
        for id in 0..MAX_SERVICES {
            let row = table.get(&(first + id), 0)?;
            let is_used = row[offset_of!(Service, mode)] != 0;
            if is_used && address(&row, offset_of!(Service, vip), offset_of!(Service, port))? == vip
            {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// A service's bindings by row.
    fn rows(&self, service: &str) -> Result<Vec<(u32, Row)>> {
        let Some(service) = self.service(service)? else { return Ok(Vec::new()) };
        let (table, first) = (self.table::<64>(maps::BACKENDS)?, self.live(MAX_BACKENDS)?);
        let mut rows = Vec::new();
        for id in first..first + MAX_BACKENDS {
            let row: Row = table.get(&id, 0)?;
            let is_free = row[offset_of!(Backend, state)] == backend_state::FREE;
            if !is_free && number(&row, offset_of!(Backend, service))? == service {
                rows.push((id, row));
            }
        }
        Ok(rows)
    }

    fn find(&self, service: &str, server: SocketAddr) -> Result<(u32, Row)> {
        for (id, row) in self.rows(service)? {
            if backend(&row)? == server {
                return Ok((id, row));
            }
        }
        bail!("{server} is not there")
    }

    fn spawn(&mut self) -> Result<()> {
        let args = ["edge", "--config", &self.config.display().to_string()];
        self.edge = Some(self.host.spawn("sluice-edge", lab::binary()?, &args)?);
        Ok(())
    }

    fn last_words(&self) -> String {
        self.edge.as_ref().map(Process::log_tail).unwrap_or_default()
    }
}

fn backend(row: &Row) -> Result<SocketAddr> {
    address(row, offset_of!(Backend, addr), offset_of!(Backend, port))
}

impl Switch for Trial {
    const CAN: Can = Can {
        weights: Some(65_535),
        breaks: true,
        admission: true,
        drop_servers: false,
        proxy: false,
        servers: None,
        answers: true,
        drains: true,
        // A flow at rest is in no table; agents know, and there is none here.
        counts: false,
        forgets: true,
        // A delta is live as a whole or not at all: neighbours would be refused too.
        refuses: false,
        cable: true,
    };

    fn start(lab: &Lab) -> Result<Self> {
        let manager = lab.manager_address();
        let relay = Relay::start(lab.edge().netns(), Device::Tcp(manager))?;
        let (config, pins) = (lab.directory().join("trial.toml"), lab.pins());
        fs::write(
            &config,
            format!(
                "[edge]\nname = \"{NAME}\"\ninterfaces = [\"eth0\"]\nverify = \"1s\"\n\
                 pin = \"{}\"\nflow_key = \"{}\"\nmanager = \"{}\"\n",
                pins.display(),
                lab.directory().join("flow.key").display(),
                relay.address()
            ),
        )?;
        let theirs = lab.bpffs().join("theirs");
        let pin = theirs.display().to_string();
        let create = "type array key 4 value 4 entries 1 name theirs";
        let update = "key 0 0 0 0 value 1 2 3 4";
        for words in
            [format!("map create {pin} {create}"), format!("map update pinned {pin} {update}")]
        {
            let words: Vec<_> = words.split(' ').collect();
            lab.edge().run("bpftool", &words)?.stdout()?;
        }
        let vips = [WWW, API].map(|name| (name.to_owned(), lab.vip(name))).to_vec();
        let host = lab.edge().clone();
        let (impostor, edge) = (None, None);
        Ok(Self { impostor, edge, relay, host, manager, config, pins, theirs, vips })
    }

    fn settings(&self) -> String {
        String::new()
    }

    fn attach(&mut self, lab: &mut Lab) -> Result<()> {
        if self.edge.is_none() {
            self.spawn()?;
        }
        eventually(START, "the edge to connect", || {
            let switches = lab.sluice_json(&["get", "switches"])?;
            let trial = switches.as_array().into_iter().flatten().find(|one| one["name"] == NAME);
            ensure!(trial.is_some_and(|trial| trial["connected"] == true), "{switches}");
            Ok(Some(()))
        })
        .with_context(|| format!("{}\n--- edge\n{}", lab.last_words(), self.last_words()))
    }

    fn holds(&self, _lab: &Lab, service: &str) -> Result<Holds> {
        let standing = |(_, row): (u32, Row)| {
            let standing = match row[offset_of!(Backend, state)] {
                backend_state::SERVING => {
                    Standing::Serves { weight: number(&row, offset_of!(Backend, weight))? }
                }
                backend_state::DRAINING => Standing::Drains,
                backend_state::BROKEN => Standing::Broken,
                other => bail!("state {other}"),
            };
            Ok((backend(&row)?, standing))
        };
        self.rows(service)?.into_iter().map(standing).collect()
    }

    fn others(&self) -> Result<String> {
        let pin = self.theirs.display().to_string();
        let map = self.host.run("bpftool", &["-j", "map", "dump", "pinned", &pin])?.stdout()?;
        let map: Value = serde_json::from_str(&map)?;
        let routes = self.host.run("ip", &["route"])?.stdout()?;
        Ok(format!("{map}\n{routes}"))
    }

    /// Without a process and all that was pinned, its program has gone.
    fn reboot(&mut self) -> Result<()> {
        self.edge.take().context("it does not run")?.kill()?;
        fs::remove_dir_all(&self.pins)?;
        self.spawn()?;
        eventually(START, "the edge to start", || {
            self.table::<8>(maps::WORDS)?;
            Ok(Some(()))
        })
        .with_context(|| self.last_words())
    }

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()> {
        let (id, row) = match tamper {
            Tamper::Weight(server) => {
                let (id, mut row) = self.find(service, server)?;
                row[offset_of!(Backend, weight)..][..4].copy_from_slice(&17_u32.to_ne_bytes());
                (id, row)
            }
            Tamper::Delete(server) => (self.find(service, server)?.0, [0; 64]),
            Tamper::Stranger(server) => {
                let others = self.rows(service)?;
                let (id, mut row) = *others.first().context("the service has no binding")?;
                let IpAddr::V4(ip) = server.ip() else { bail!("{server} is not IPv4") };
                row[offset_of!(Backend, addr)..][..16]
                    .copy_from_slice(&ip.to_ipv6_mapped().octets());
                (id / MAX_BACKENDS * MAX_BACKENDS + FREE, row)
            }
        };
        Ok(self.table::<64>(maps::BACKENDS)?.set(id, row, 0)?)
    }

    fn refuse(&mut self, _refuse: bool) -> Result<&'static str> {
        bail!("an edge that refuses something of a delta refuses all of it")
    }

    fn trouble(&mut self, trouble: Trouble) -> Result<()> {
        self.impostor = None;
        self.relay.set(match trouble {
            Trouble::None => Fault::None,
            Trouble::Silence => Fault::Silence,
            // The second binding of `api`, by its port.
            Trouble::CutInDelta => Fault::Cut { word: b":8081", times: 2 },
            // The edge hears noise, and the manager hears it under the edge's name.
            Trouble::Noise(noise) => {
                self.impostor = Some(Impostor::start(&self.host, self.manager, Some(noise)));
                Fault::Impostor(noisy(noise))
            }
            Trouble::PromptInName => {
                self.impostor = Some(Impostor::start(&self.host, self.manager, None));
                Fault::Impostor(std::sync::Arc::new(|_| Ok(())))
            }
        });
        Ok(())
    }

    fn cuts(&self) -> usize {
        self.relay.cuts()
    }
}
