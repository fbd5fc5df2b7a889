//! A telnet client, and boxes to talk to.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::serveriron::{Options, Simulator};

/// The greeting of [`super::super::telnet`].
const OFFERS: &str = "\u{FFFD}\u{FFFD}\u{1}\u{FFFD}\u{FFFD}\u{3}";
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn instant() -> Simulator {
    Simulator::start(Options::default().instant()).unwrap()
}

pub(super) struct Client {
    stream: TcpStream,
    heard: String,
}

impl Client {
    pub(super) fn connect(iron: &Simulator) -> Self {
        let stream = TcpStream::connect(iron.cli_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        Self { stream, heard: String::new() }
    }

    /// Logged in and past `enable`.
    pub(super) fn enabled(iron: &Simulator) -> Self {
        let mut client = Self::connect(iron);
        client.until("Please Enter Password: ");
        client.say("telnet-pass");
        client.until("telnet@iron>");
        client.say("enable");
        client.until("Password:");
        client.say("enable-pass");
        client.until("telnet@iron#");
        client
    }

    /// Enabled, without pages, and in the configuration.
    pub(super) fn configuring(iron: &Simulator) -> Self {
        let mut client = Self::enabled(iron);
        client.command("skip-page-display", "telnet@iron#");
        client.command("configure terminal", "telnet@iron(config)#");
        client
    }

    pub(super) fn say(&mut self, line: &str) {
        self.raw(format!("{line}\r\n").as_bytes());
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Says a line, and gives what came between its echo and the next prompt.
    pub(super) fn command(&mut self, line: &str, prompt: &str) -> String {
        self.say(line);
        let answer = self.until(prompt);
        let answer = answer.strip_prefix(line).unwrap_or_else(|| panic!("no echo: {answer:?}"));
        answer.strip_prefix("\r\n").unwrap_or(answer).to_owned()
    }

    /// What comes before `mark`, which is taken too.
    pub(super) fn until(&mut self, mark: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.heard.find(mark) {
                let rest = self.heard.split_off(at + mark.len());
                let mut before = std::mem::replace(&mut self.heard, rest);
                before.truncate(at);
                return before.trim_start_matches(OFFERS).to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "no {mark:?} in {:?}", self.heard);
            if !self.hear() {
                panic!("hung up before {mark:?}; heard {:?}", self.heard);
            }
        }
    }

    /// Everything that comes within a while; `None` when the box hung up.
    pub(super) fn silence(&mut self, lasting: Duration) -> Option<String> {
        let begun = Instant::now();
        while begun.elapsed() < lasting {
            if !self.hear() {
                return None;
            }
        }
        Some(std::mem::take(&mut self.heard))
    }

    /// Waits for the box to hang up.
    pub(super) fn end(&mut self) -> String {
        let begun = Instant::now();
        while self.hear() {
            assert!(begun.elapsed() < PATIENCE, "not hung up; heard {:?}", self.heard);
        }
        std::mem::take(&mut self.heard)
    }

    /// False at the end.
    fn hear(&mut self) -> bool {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => return false,
            Ok(length) => self.heard.push_str(&String::from_utf8_lossy(&chunk[..length])),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        true
    }
}
