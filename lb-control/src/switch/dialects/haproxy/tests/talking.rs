//! The device and a Runtime API that answers from a table.

use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
};

use super::{super::wire::PROMPT, *};

const OLD: &str = "be_www/sluice-127.0.0.1-18092";
const BROKEN: &str = "be_www/sluice-fd00:18::1-80";
/// Of a service that is in none of the plans.
const OTHER: &str = "api/sluice-127.0.0.1-18093";

#[derive(Clone, Default)]
struct Mood(Arc<Mutex<Talk>>);

#[derive(Default)]
struct Talk {
    /// What it says to commands that begin so, instead of what HAProxy says when all is
    /// well.
    odd: Vec<(String, String)>,
    told: Vec<String>,
}

impl Mood {
    fn says(&self, to: &str, reply: &str) {
        self.0.lock().unwrap().odd.push((to.to_owned(), reply.to_owned()));
    }

    fn says_what_it_should(&self) {
        self.0.lock().unwrap().odd.clear();
    }

    /// Commands that change something, since the last time.
    fn was_told(&self) -> Vec<String> {
        let told = std::mem::take(&mut self.0.lock().unwrap().told);
        told.into_iter().filter(|told| !told.starts_with("show") && told != "prompt").collect()
    }

    fn answer(&self, command: &str) -> String {
        let mut inside = self.0.lock().unwrap();
        inside.told.push(command.to_owned());
        let odd = inside.odd.iter().find(|(to, _)| command.starts_with(to.as_str()));
        if let Some((_, reply)) = odd {
            return reply.clone();
        }
        let table = [
            ("show info", INFO),
            ("show backend", "# name\nbe_www\n"),
            ("show servers state", STATE),
            ("show stat", STAT),
            ("add server", "New server registered.\n"),
            ("del server", "Server deleted.\n"),
        ];
        let reply = table.into_iter().find(|(to, _)| command.starts_with(to));
        reply.map_or("", |(_, reply)| reply).to_owned()
    }
}

async fn converse(stream: UnixStream, mood: Mood) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        writer.write_all(mood.answer(&line).as_bytes()).await?;
        writer.write_all(PROMPT).await?;
    }
    Ok(())
}

/// A device that has read it, and the directory of its socket.
async fn start() -> (Haproxy, Mood, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("haproxy.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mood = Mood::default();
    let answers = mood.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, answers.clone()));
        }
    });
    let options = format!("address = \"unix:{}\"\nbackends.www = \"be_www\"", socket.display());
    let mut device = device(&options).unwrap();
    let www = &device.read().await.unwrap().services[&"www".parse::<Name>().unwrap()];
    assert_eq!(www.servers.len(), 2);
    (device, mood, directory)
}

fn www(servers: &[(&str, PlannedServer)]) -> Plan {
    let service = PlannedService {
        address: "203.0.113.10".parse().unwrap(),
        port: 80,
        protocol: Protocol::Tcp,
        servers: servers.iter().map(|(address, server)| (at(address), *server)).collect(),
        refuse: Share::NONE,
        verdict: Verdict::default(),
    };
    Plan { services: [("www".parse().unwrap(), service)].into() }
}

fn deletions(told: &[String]) -> Vec<&str> {
    told.iter().filter_map(|told| told.strip_prefix("del server ")).collect()
}

#[tokio::test]
async fn who_has_connections_is_deleted_at_a_later_poll() {
    let (mut device, mood, _directory) = start().await;
    mood.says(&format!("del server {OLD}"), "Server still has connections attached to it.\n");
    assert_eq!(device.apply(&www(&[])).await, Ok(()), "to wait is no refusal");
    assert_eq!(deletions(&mood.was_told()), [OLD, BROKEN, OTHER]);
    for _ in 0..2 {
        device.poll().await.unwrap();
        assert_eq!(deletions(&mood.was_told()), [OLD], "again, and it alone");
    }
    mood.says_what_it_should();
    device.poll().await.unwrap();
    assert_eq!(deletions(&mood.was_told()), [OLD]);
    device.poll().await.unwrap();
    assert_eq!(mood.was_told(), [""; 0]);
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words_and_the_rest_is_done() {
    let (mut device, mood, _directory) = start().await;
    mood.says("add server be_www/sluice-192.0.2.7-80", "Too many servers.\n");
    mood.says("add server be_www/sluice-192.0.2.8-80", "Too many servers.\n");
    let serve = planned(3, Phase::Serve);
    let new = www(&[("192.0.2.7:80", serve), ("192.0.2.8:80", serve), ("192.0.2.9:80", serve)]);
    let Err(Failure::Refused(words)) = device.apply(&new).await else { panic!("it refuses") };
    assert!(words.contains("Too many servers") && words.contains("1 more refusal"), "{words}");
    let told = mood.was_told();
    assert!(told.contains(&"set server be_www/sluice-192.0.2.9-80 state ready".to_owned()));
    assert_eq!(deletions(&told), [OLD, BROKEN, OTHER]);
}

#[tokio::test]
async fn a_restart_is_told_and_what_waited_is_forgotten() {
    let (mut device, mood, _directory) = start().await;
    mood.says(&format!("del server {OLD}"), "Server still has connections attached to it.\n");
    device.apply(&www(&[])).await.unwrap();
    mood.says("show info", &INFO.replace("Pid: 20478", "Pid: 20479"));
    let polled = device.poll().await;
    assert!(matches!(&polled, Err(Failure::Rebooted(_))), "{polled:?}");
    mood.was_told();
    device.poll().await.unwrap();
    assert_eq!(mood.was_told(), [""; 0]);
}
