//! The example of a switch's program, whose switch is a file. No packet goes through a
//! file: clients are what it says of them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    rc::Rc,
};

use anyhow::{Context as _, Result};
use lab::{Answers, Broken, Lab, Report};
use serde_json::{Value, json};

use crate::{
    simulated,
    switch::{API, Can, Holds, Noise, Standing, Staying, Switch, Tamper, Trouble},
};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/switch/switch.py");
/// Runs the example, and has its moods.
const MOODY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance/command/moody.py");
const REFUSAL: &str = "no route to the farm of api";

pub struct Trial {
    files: Files,
    connections: Connections,
}

/// Connections that stay, by service and server; each crowd has some of them.
type Connections = Rc<RefCell<BTreeMap<(String, SocketAddr), u64>>>;

/// What the program has.
#[derive(Clone)]
struct Files(PathBuf);

impl Files {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Whole or not at all.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let new = self.path(&format!("{name}.new"));
        fs::write(&new, text)?;
        fs::rename(&new, self.path(name)).with_context(|| new.display().to_string())
    }

    /// What the switch holds. One that has just started has no file.
    fn held(&self) -> Result<Value> {
        match fs::read(self.path("held.json")) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(json!({})),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes what it holds, while the program does not.
    fn change(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let lock = File::create(self.path("lock"))?;
        lock.lock()?;
        let mut held = self.held()?;
        change(&mut held);
        self.write("held.json", &held.to_string())
    }

    fn mood(&self, mood: Option<&str>) -> Result<()> {
        match (mood, self.path("mood")) {
            (Some(mood), _) => self.write("mood", mood),
            (None, path) if path.exists() => Ok(fs::remove_file(path)?),
            (None, _) => Ok(()),
        }
    }

    fn servers(&self, service: &str) -> Result<Vec<(SocketAddr, Standing)>> {
        let held = self.held()?;
        let servers = held["plan"]["services"][service]["servers"].as_object().cloned();
        let server = |(address, server): (String, Value)| {
            let weight = u32::try_from(server["weight"].as_u64().context("no weight")?)?;
            let standing = match server["phase"].as_str().context("no phase")? {
                "serve" => Standing::Serves { weight },
                "drain" => Standing::Drains,
                "break" => Standing::Broken,
                other => anyhow::bail!("phase {other}"),
            };
            Ok((address.parse::<SocketAddr>()?, standing))
        };
        servers.unwrap_or_default().into_iter().map(server).collect()
    }

    /// Where so many clients go.
    fn pick(&self, service: &str, count: usize) -> Result<Vec<Option<SocketAddr>>> {
        let held = self.held()?;
        let refused = held["plan"]["services"][service]["refuse"].as_f64().unwrap_or(0.0) / 1e6;
        let serving = |(address, standing): (SocketAddr, Standing)| match standing {
            Standing::Serves { weight } => Some((address, weight)),
            Standing::Drains | Standing::Broken => None,
        };
        let servers: Vec<_> = self.servers(service)?.into_iter().filter_map(serving).collect();
        Ok(simulated::pick(&servers, refused, count))
    }

    fn count(&self, connections: &Connections) -> Result<()> {
        let connections = connections.borrow();
        let counts = connections
            .iter()
            .map(|((service, server), count)| (format!("{service}/{server}"), Value::from(*count)));
        self.write("counts", &Value::from_iter(counts).to_string())
    }
}

impl Switch for Trial {
    const CAN: Can = Can {
        weights: Some(1000),
        breaks: true,
        admission: true,
        drop_servers: false,
        proxy: false,
        servers: Some(64),
        answers: true,
        drains: true,
        counts: true,
        forgets: true,
        refuses: true,
        cable: true,
    };

    fn start(lab: &Lab) -> Result<Self> {
        let files = Files(lab.directory().join("command"));
        fs::create_dir(&files.0)?;
        let theirs = json!({ "vlan": 7, "servers": ["192.0.2.9:80"] });
        let held = json!({ "start": "first", "plan": { "services": {} }, "theirs": theirs });
        files.write("held.json", &held.to_string())?;
        Ok(Self { files, connections: Connections::default() })
    }

    fn settings(&self) -> String {
        format!(
            "kind = \"command\"\n[switch.options]\n\
             command = [\"/usr/bin/python3\", \"-I\", \"-S\", \"{MOODY}\", \"{EXAMPLE}\", \"{}\"]\n\
             weights = 1000\ndrain = true\nbreaks = true\nadmission = true\ncounters = true\n",
            self.files.0.display()
        )
    }

    fn holds(&self, _lab: &Lab, service: &str) -> Result<Holds> {
        Ok(self.files.servers(service)?.into_iter().collect())
    }

    fn others(&self) -> Result<String> {
        let held = self.files.held()?;
        Ok(held.get("theirs").map(Value::to_string).unwrap_or_default())
    }

    fn reboot(&mut self) -> Result<()> {
        let lock = File::create(self.files.path("lock"))?;
        lock.lock()?;
        Ok(fs::remove_file(self.files.path("held.json"))?)
    }

    fn tamper(&mut self, service: &str, tamper: Tamper) -> Result<()> {
        self.files.change(|held| {
            let servers = &mut held["plan"]["services"][service]["servers"];
            match tamper {
                Tamper::Weight(server) => servers[server.to_string()]["weight"] = 17.into(),
                Tamper::Delete(server) => {
                    servers.as_object_mut().and_then(|all| all.remove(&server.to_string()));
                }
                Tamper::Stranger(server) => {
                    servers[server.to_string()] = json!({ "weight": 1, "phase": "serve" });
                }
            }
        })
    }

    fn refuse(&mut self, refuse: bool) -> Result<&'static str> {
        let mood = format!("refuses {API} {REFUSAL}");
        self.files.mood(refuse.then_some(mood.as_str()))?;
        Ok(REFUSAL)
    }

    fn trouble(&mut self, trouble: Trouble) -> Result<()> {
        self.files.mood(match trouble {
            Trouble::None => None,
            Trouble::Silence => Some("silent"),
            Trouble::CutInDelta => Some("dying"),
            Trouble::Noise(Noise::Huge) => Some("huge"),
            Trouble::Noise(Noise::Endless) => Some("endless"),
            Trouble::Noise(Noise::Binary) => Some("binary"),
            Trouble::PromptInName => Some("odd name"),
        })
    }

    fn cuts(&self) -> usize {
        fs::read(self.files.path("cuts")).map_or(0, |cuts| cuts.len())
    }

    fn visit(&self, lab: &Lab, service: &str, count: usize) -> Result<Answers> {
        Ok(simulated::answers(lab, &self.files.pick(service, count)?))
    }

    fn stay(&self, lab: &Lab, service: &str, count: usize) -> Result<Box<dyn Staying>> {
        let mut open = Vec::new();
        for server in self.files.pick(service, count)? {
            let server = server.context("a client is not let in")?;
            let key = (service.to_owned(), server);
            *self.connections.borrow_mut().entry(key).or_default() += 1;
            let name = simulated::server_name(lab, server);
            open.push((server, name.with_context(|| format!("{server} is nobody's"))?));
        }
        self.files.count(&self.connections)?;
        let (files, connections) = (self.files.clone(), Rc::clone(&self.connections));
        Ok(Box::new(Stay { files, connections, service: service.to_owned(), open }))
    }
}

/// Clients that stay.
struct Stay {
    files: Files,
    connections: Connections,
    service: String,
    open: Vec<(SocketAddr, String)>,
}

impl Stay {
    fn closed(&self, server: SocketAddr) {
        let key = (self.service.clone(), server);
        if let Some(count) = self.connections.borrow_mut().get_mut(&key) {
            *count -= 1;
        }
    }
}

impl Staying for Stay {
    fn ask(&mut self) -> Report {
        // A file that cannot be read keeps nobody.
        let held: Holds =
            self.files.servers(&self.service).unwrap_or_default().into_iter().collect();
        let mut report = Report::default();
        for (server, name) in std::mem::take(&mut self.open) {
            match held.get(&server) {
                Some(Standing::Serves { .. } | Standing::Drains) => {
                    report.answers += 1;
                    self.open.push((server, name));
                }
                Some(Standing::Broken) | None => {
                    self.closed(server);
                    let error = std::io::ErrorKind::ConnectionReset;
                    report.broken.push(Broken { server: name, error });
                }
            }
        }
        report
    }

    fn on(&self, server: &str) -> u64 {
        self.open.iter().filter(|(_, name)| name == server).count() as u64
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        for (server, _) in &self.open {
            self.closed(*server);
        }
        self.files.count(&self.connections).expect("the lab's directory is there");
    }
}
