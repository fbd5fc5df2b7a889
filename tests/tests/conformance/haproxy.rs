//! HAProxy from the distribution, by its Runtime API over TCP.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use lab::{Device, Fault, Haproxy, Lab, Proxy, Relay};

use crate::switch::{API, Can, Holds, Standing, Switch, Tamper, Trouble, WWW, noisy};

pub struct Trial {
    haproxy: Haproxy,
    relay: Relay,
    proxies: Vec<Proxy>,
}

impl Trial {
    fn told(&self, command: &str, answer: &str) -> Result<()> {
        let said = self.haproxy.ask(command)?;
        ensure!(said.contains(answer), "{command}: {said}");
        Ok(())
    }
}

impl Switch for Trial {
    const CAN: Can = Can {
        weights: Some(256),
        breaks: true,
        admission: false,
        drop_servers: true,
        proxy: true,
        servers: None,
        answers: true,
        drains: true,
        counts: true,
        forgets: true,
        refuses: true,
        cable: true,
    };

    fn start(lab: &Lab) -> Result<Self> {
        let mut proxies = [WWW, API].map(|name| Proxy::new(name, Some(lab.vip(name)))).to_vec();
        // The site's own, for when all others are gone: never asked here.
        "server own 127.0.0.1:1 weight 7 backup disabled".clone_into(&mut proxies[0].lines);
        let haproxy = Haproxy::start(lab.edge(), "haproxy", &proxies)?;
        let relay = Relay::start(lab.edge().netns(), Device::Unix(haproxy.socket()))?;
        Ok(Self { haproxy, relay, proxies })
    }

    fn settings(&self) -> String {
        format!(
            "kind = \"haproxy\"\n[switch.options]\naddress = \"{}\"\n\
             backends = {{ {WWW} = \"be_{WWW}\", {API} = \"be_{API}\" }}\n",
            self.relay.address()
        )
    }

    fn holds(&self, lab: &Lab, service: &str) -> Result<Holds> {
        let servers = self.haproxy.servers(&format!("be_{service}"))?;
        let ours = servers.into_iter().filter(|server| server.name.starts_with("sluice-"));
        let real = ours.filter(|server| lab.edge().address(false) != server.address.ip());
        let standing = |server: &lab::ProxyServer| match server {
            _ if server.maintenance => Standing::Broken,
            _ if server.draining => Standing::Drains,
            _ => Standing::Serves { weight: server.weight },
        };
        Ok(real.map(|server| (server.address, standing(&server))).collect())
    }

    fn others(&self) -> Result<String> {
        let state = self.haproxy.ask("show servers state")?;
        let others = state.lines().filter(|line| line.contains(" own "));
        // All but the time since the last change.
        let steady = |line: &str| -> String {
            let cells = line.split(' ').enumerate().filter(|(column, _)| *column != 9);
            cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(" ")
        };
        Ok(others.map(steady).collect::<Vec<_>>().join("\n"))
    }

    fn reboot(&mut self) -> Result<()> {
        self.haproxy.restart(&self.proxies)
    }

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()> {
        let name = |address: std::net::SocketAddr| {
            format!("be_{service}/sluice-{}-{}", address.ip(), address.port())
        };
        match tamper {
            Tamper::Weight(server) => {
                self.told(&format!("set server {} weight 17", name(server)), "")
            }
            Tamper::Delete(server) => {
                self.told(&format!("set server {} state maint", name(server)), "")?;
                self.told(&format!("del server {}", name(server)), "Server deleted.")
            }
            Tamper::Stranger(server) => {
                self.told(&format!("add server {} {server} weight 1", name(server)), "New server")?;
                self.told(&format!("set server {} state ready", name(server)), "")
            }
        }
    }

    fn refuse(&mut self, refuse: bool) -> Result<&'static str> {
        let balance = if refuse { "balance source" } else { "" };
        let api = self.proxies.iter_mut().find(|proxy| proxy.name == API).context("no api")?;
        balance.clone_into(&mut api.lines);
        self.haproxy.restart(&self.proxies)?;
        Ok("Backend must use a dynamic load balancing to support dynamic servers.")
    }

    fn trouble(&mut self, trouble: Trouble) -> Result<()> {
        self.relay.set(match trouble {
            Trouble::None => Fault::None,
            Trouble::Silence => Fault::Silence,
            Trouble::CutInDelta => Fault::Cut { word: b"add server ", times: 3 },
            Trouble::Noise(noise) => Fault::Impostor(noisy(noise)),
            Trouble::PromptInName => Fault::Impostor(Arc::new(odd_names)),
        });
        Ok(())
    }

    fn cuts(&self) -> usize {
        self.relay.cuts()
    }
}

/// Speaks as HAProxy does, of a server with a prompt in its name.
fn odd_names(stream: TcpStream) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    for line in BufReader::new(stream).lines() {
        let reply = match line?.as_str() {
            "prompt" => "",
            "show info" => "Name: HAProxy\nVersion: 2.6\nPid: 1\nUptime_sec: 1\n",
            "show backend" => "# name\nbe_www\n",
            "show servers state" => {
                "1\n# be_name srv_name srv_addr srv_port srv_admin_state srv_uweight\n\
                 be_www sluice-\n> 192.0.2.1-80 192.0.2.1 80 0 1\n"
            }
            _ => "# pxname,svname,addr,scur,stot\nbe_www,sluice-\n> x,192.0.2.1:80,0,0\n",
        };
        write!(writer, "{reply}\n> ")?;
    }
    Ok(())
}
