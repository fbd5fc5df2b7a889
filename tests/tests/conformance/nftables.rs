//! The kernel of a Linux router, as nft(8) shows it.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context as _, Result, bail};
use lab::{Builder, Host, Lab, nat};
use serde_json::Value;

use crate::switch::{API, Can, Holds, Standing, Switch, Tamper, Trouble, WWW};

/// Of somebody else.
const OTHERS: &str = "
table inet site {
    chain input {
        type filter hook input priority 0; policy accept;
        tcp dport 22 accept
    }
}
table ip sluice {
    set mine {
        type ipv4_addr
        elements = { 192.0.2.7 }
    }
}
";

pub struct Trial {
    router: Host,
    vips: [(&'static str, SocketAddr); 2],
    /// What somebody does to it.
    script: PathBuf,
}

impl Trial {
    fn nft(&self, args: &[&str]) -> Result<String> {
        self.router.run("nft", args)?.stdout()
    }

    fn run(&self, script: &str) -> Result<()> {
        fs::write(&self.script, script)?;
        self.nft(&["-f", &self.script.display().to_string()]).map(drop)
    }

    fn vip(&self, service: &str) -> Result<SocketAddr> {
        let found = self.vips.iter().find(|(name, _)| *name == service);
        found.map(|(_, vip)| *vip).with_context(|| format!("no service {service}"))
    }

    /// The elements of a set or map of ours.
    fn elements(&self, set: &str) -> Result<Vec<Value>> {
        let kind = if set.starts_with("bindings") { "set" } else { "map" };
        let shown = self.router.run("nft", &["-j", "list", kind, "inet", "sluice", set])?;
        let Ok(shown) = shown.stdout() else { return Ok(Vec::new()) };
        let shown: Value = serde_json::from_str(&shown)?;
        let objects = shown["nftables"].as_array().context("no objects")?;
        let elements = |object: &Value| {
            let set = object.get("set").or(object.get("map"))?;
            set["elem"].as_array().cloned()
        };
        Ok(objects.iter().find_map(elements).unwrap_or_default())
    }

    /// Intervals of a service by backend: first and last number.
    fn intervals(&self, service: &str) -> Result<Vec<(SocketAddr, u64, u64)>> {
        let pair = |element: Value| {
            let backend = backend(element[1]["concat"].as_array()?)?;
            let (key, range) = (&element[0], &element[0]["range"]);
            let first = key.as_u64().or(range[0].as_u64())?;
            Some((backend, first, key.as_u64().or(range[1].as_u64())?))
        };
        Ok(self.elements(&format!("servers-{service}"))?.into_iter().filter_map(pair).collect())
    }
}

/// `ADDRESS . PORT`
fn backend(parts: &[Value]) -> Option<SocketAddr> {
    let [address, port] = parts else { return None };
    let address: IpAddr = address.as_str()?.parse().ok()?;
    Some(SocketAddr::new(address, u16::try_from(port.as_u64()?).ok()?))
}

/// Service and backend of `ADDRESS . PROTOCOL . PORT . ADDRESS . PORT`.
fn path(key: &Value) -> Option<(SocketAddr, SocketAddr)> {
    let parts = key["concat"].as_array()?;
    let vip = backend(&[parts.first()?.clone(), parts.get(2)?.clone()])?;
    Some((vip, backend(parts.get(3..)?)?))
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
        counts: true,
        forgets: true,
        // The kernel has no reason to, and no cable.
        refuses: false,
        cable: false,
    };

    fn lab() -> Builder {
        let probed = "health = { interval = \"200ms\", timeout = \"1s\" }";
        Lab::build()
            .servers(3)
            .routed()
            .service(nat(WWW).settings(probed))
            .service(nat(API).settings(probed))
    }

    fn start(lab: &Lab) -> Result<Self> {
        let trial = Self {
            router: lab.edge().clone(),
            vips: [WWW, API].map(|service| (service, lab.vip(service))),
            script: lab.directory().join("script.nft"),
        };
        trial.run(OTHERS)?;
        Ok(trial)
    }

    fn settings(&self) -> String {
        "kind = \"nftables\"\n".to_owned()
    }

    fn holds(&self, _lab: &Lab, service: &str) -> Result<Holds> {
        let vip = self.vip(service)?;
        let of_service =
            |key: &Value| path(key).filter(|(front, _)| *front == vip).map(|(_, backend)| backend);
        let mut holds = Holds::new();
        for element in self.elements("bindings4")? {
            let backend = of_service(&element["elem"]["val"]);
            holds.extend(backend.map(|backend| (backend, Standing::Serves { weight: 0 })));
        }
        for (backend, first, last) in self.intervals(service)? {
            let weight = u32::try_from(last - first + 1)?;
            holds.insert(backend, Standing::Serves { weight });
        }
        for element in self.elements("leaving4")? {
            let Some(backend) = of_service(&element[0]) else { continue };
            let broken = element[1].get("goto").is_some();
            holds.insert(backend, if broken { Standing::Broken } else { Standing::Drains });
        }
        Ok(holds)
    }

    fn others(&self) -> Result<String> {
        let tables = self.nft(&["list", "tables"])?;
        let others = tables.lines().filter(|table| *table != "table inet sluice");
        let list = |table: &str| {
            self.nft(&[&["list"], &table.split_whitespace().collect::<Vec<_>>()[..]].concat())
        };
        others.map(list).collect()
    }

    fn reboot(&mut self) -> Result<()> {
        self.run(&format!("flush ruleset\n{OTHERS}"))
    }

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()> {
        let vip = self.vip(service)?;
        let map = format!("element inet sluice servers-{service}");
        let binding = |server: SocketAddr| {
            let (address, port) = (server.ip(), server.port());
            format!(
                "element inet sluice bindings4 {{ {} . tcp . {} . {address} . {port} }}\n",
                vip.ip(),
                vip.port()
            )
        };
        let interval = |server: SocketAddr| -> Result<(u64, u64)> {
            let intervals = self.intervals(service)?;
            let found = intervals.iter().find(|(backend, ..)| *backend == server);
            found.map(|(_, first, last)| (*first, *last)).context("it has no interval")
        };
        self.run(&match tamper {
            Tamper::Weight(server) => {
                let (first, last) = interval(server)?;
                let (address, port) = (server.ip(), server.port());
                format!(
                    "delete {map} {{ {first}-{last} }}\n\
                     add {map} {{ {first}-{} : {address} . {port} }}\n",
                    first + 16
                )
            }
            Tamper::Delete(server) => {
                let (first, last) = interval(server)?;
                format!("delete {}delete {map} {{ {first}-{last} }}\n", binding(server))
            }
            Tamper::Stranger(server) => format!("add {}", binding(server)),
        })
    }

    fn refuse(&mut self, _refuse: bool) -> Result<&'static str> {
        bail!("the kernel has no reason to refuse")
    }

    fn trouble(&mut self, _trouble: Trouble) -> Result<()> {
        bail!("there is no cable to the kernel")
    }

    fn cuts(&self) -> usize {
        0
    }
}
