//! `show running-config`.

use std::{borrow::Cow, fmt::Write as _};

use super::{Bind, Config, Predictor, State};

/// Pairs of a `bind` line.
pub(crate) const PAIRS: usize = 4;

impl State {
    /// The text, in lines that end in `\n`.
    pub fn running_config(&self) -> String {
        let mut config = Cow::Borrowed(&self.running);
        if self.hide_leaving {
            config.to_mut().drop_leaving();
        }
        config.text()
    }
}

impl Config {
    fn text(&self) -> String {
        let mut text = "!\n".to_owned();
        if self.predictor != Predictor::default() {
            line(&mut text, &format!("server predictor {}", self.predictor.word()));
        }
        if self.force_delete {
            line(&mut text, "server force-delete");
        }
        for (name, real) in &self.reals {
            line(&mut text, &format!("server real {name} {}", real.address));
            if !real.life.enabled {
                line(&mut text, " disable");
            }
            if real.weight != 1 {
                line(&mut text, &format!(" weight {}", real.weight));
            }
            if real.max_connections != 1_000_000 {
                line(&mut text, &format!(" max-conn {}", real.max_connections));
            }
            default_port(&mut text, real.default_disabled);
            for (port, found) in &real.ports {
                port_line(&mut text, *port, found.life.enabled);
                if let Some(url) = &found.url {
                    line(&mut text, &format!(" port {} url \"{url}\"", port_name(*port)));
                }
            }
            line(&mut text, "!");
        }
        for (name, server) in &self.virtuals {
            line(&mut text, &format!("server virtual {name} {}", server.address));
            if !server.life.enabled {
                line(&mut text, " disable");
            }
            if let Some(predictor) = server.predictor {
                line(&mut text, &format!(" predictor {}", predictor.word()));
            }
            default_port(&mut text, server.default_disabled);
            for (port, found) in &server.ports {
                port_line(&mut text, *port, found.life.enabled);
            }
            for port in server.ports.keys() {
                self.bind_lines(&mut text, name, *port);
            }
            line(&mut text, "!");
        }
        line(&mut text, "end");
        text
    }

    fn bind_lines(&self, text: &mut String, virtual_server: &str, port: u16) {
        let binds: Vec<&Bind> = self
            .binds
            .values()
            .filter(|bind| bind.binding.virtual_server == virtual_server)
            .filter(|bind| bind.binding.virtual_port == port)
            .collect();
        for pairs in binds.chunks(PAIRS) {
            let mut bind = format!(" bind {}", port_name(port));
            for pair in pairs {
                let real_port = port_name(pair.binding.real_port);
                let _ = write!(bind, " {} {real_port}", pair.binding.real_server);
            }
            line(text, &bind);
        }
    }
}

impl Predictor {
    /// As commands have it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::LeastConnections => "least-conn",
            Self::RoundRobin => "round-robin",
            Self::Weighted => "weighted",
        }
    }
}

/// As the box shows a port: the one that has a name, by its name.
pub(crate) fn port_name(port: u16) -> Cow<'static, str> {
    match port {
        80 => Cow::Borrowed("http"),
        port => Cow::Owned(port.to_string()),
    }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn default_port(text: &mut String, disabled: bool) {
    if disabled {
        line(text, " port default disable");
    }
}

fn port_line(text: &mut String, port: u16, enabled: bool) {
    let disable = if enabled { "" } else { " disable" };
    line(text, &format!(" port {}{disable}", port_name(port)));
}
