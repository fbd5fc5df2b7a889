//! Both sockets, as programs use them.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixDatagram, UnixStream},
    },
};

use tokio::time::timeout;

use super::*;
use crate::{config::AgentCheck, model::Application};

struct Sockets {
    settings: NotifySettings,
    words: watch::Receiver<Vec<Word>>,
    heard: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
    _directory: tempfile::TempDir,
}

impl Sockets {
    fn open(change: impl FnOnce(&mut NotifySettings)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = NotifySettings {
            socket: directory.path().join("below/notify.sock"),
            systemd_socket: directory.path().join("systemd.sock"),
            ..NotifySettings::default()
        };
        change(&mut settings);
        let bind = |service: &str, address: &str| AgentBind {
            service: service.parse().unwrap(),
            address: address.parse().unwrap(),
            weight: 100,
            server_id: None,
            check: AgentCheck::default(),
            agent_check: None,
        };
        let binds = [bind("www", "192.0.2.1:80"), bind("api", "192.0.2.1:443")];
        let (to_words, words) = watch::channel(vec![Word::default(); binds.len()]);
        let heard = Arc::new(AtomicBool::new(true));
        let notes = Notes::new(&binds, to_words, Arc::clone(&heard));
        let mut tasks = JoinSet::new();
        serve(Some(&settings), &notes, &mut tasks).unwrap();
        Self { settings, words, heard, _tasks: tasks, _directory: directory }
    }

    /// Sends lines on one connection; the answers.
    async fn ask(&self, lines: &[u8]) -> Vec<String> {
        let (path, lines) = (self.settings.socket.clone(), lines.to_vec());
        let talk = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            // It may be closed before all is written.
            let _ = stream.write_all(&lines);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            BufReader::new(stream).lines().map_while(Result::ok).collect()
        };
        tokio::task::spawn_blocking(talk).await.unwrap()
    }

    fn notify(&self, message: &[u8]) {
        let socket = UnixDatagram::unbound().unwrap();
        socket.send_to(message, &self.settings.systemd_socket).unwrap();
    }

    fn application(&self, index: usize) -> Application {
        self.words.borrow()[index].application()
    }

    async fn wait(&mut self, what: &str, wanted: impl Fn(&Availability) -> bool) {
        let wanted = |words: &Vec<Word>| wanted(&words[0].application().availability);
        let waited = timeout(Duration::from_secs(20), self.words.wait_for(wanted)).await;
        waited.unwrap_or_else(|_| panic!("waited for {what}")).unwrap();
    }
}

fn failed(cause: &str) -> Availability {
    Availability::Failed { cause: cause.to_owned() }
}

#[test]
fn a_flood_is_not_logged_line_by_line() {
    let begun = Instant::now();
    let mut quota = Quota::default();
    let logged = (0..100).filter(|_| quota.take(begun).is_some()).count();
    assert_eq!(logged, 20);
    assert_eq!(quota.take(begun + Duration::from_secs(1)), Some(80));
    assert_eq!(quota.take(begun + Duration::from_secs(1)), Some(0));
}

#[tokio::test]
async fn each_line_is_answered_and_reaches_what_it_names() {
    let sockets = Sockets::open(|_| {});
    let answers = sockets
        .ask(b"weight 50\nfailed @www/192.0.2.1:80 the disk is full\nload @api 0.5\nready @wwww\n\xff\nstop\nweight @api 20%")
        .await;
    let expected = [
        "ok 2 bindings",
        "ok 1 binding",
        "ok 1 binding",
        "error nothing bound here is @wwww; this agent binds: www/192.0.2.1:80, api/192.0.2.1:443",
        "error a line is UTF-8 text",
        "error there is no event `stop`: ready, drain, leave, failed, weight, load",
        "ok 1 binding",
    ];
    assert_eq!(answers, expected);
    let availability = failed("the disk is full");
    assert_eq!(
        sockets.application(0),
        Application { availability, weight: Some(50), percent: 100 }
    );
    let api = Application { availability: Availability::Ready, weight: Some(50), percent: 20 };
    assert_eq!(sockets.application(1), api);
    assert_eq!(sockets.words.borrow()[1].load(), Some(0.5));
    sockets.heard.store(false, Ordering::Relaxed);
    let answers = sockets.ask(b"drain").await;
    assert_eq!(answers, ["ok 2 bindings; no manager is connected: it is told as soon as one is"]);
}

#[tokio::test]
async fn the_sockets_are_for_owner_and_group_and_replace_stale_ones() {
    let sockets = Sockets::open(|settings| {
        // Left behind by a process that was killed.
        drop(std::os::unix::net::UnixListener::bind(&settings.systemd_socket).unwrap());
    });
    for path in [&sockets.settings.socket, &sockets.settings.systemd_socket] {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660, "{}", path.display());
    }
    let notes = Notes::new(&[], watch::channel(Vec::new()).0, Arc::default());
    let error = serve(Some(&sockets.settings), &notes, &mut JoinSet::new()).unwrap_err();
    assert!(format!("{error:#}").contains("another process answers at"), "{error:#}");
}

#[tokio::test]
async fn a_line_without_end_and_a_crowd_are_cut_off() {
    let sockets = Sockets::open(|_| {});
    let answers = sockets.ask(&[b'a'; 100_000]).await;
    assert_eq!(answers.last().unwrap(), "error a line has 1024 bytes at the most");
    assert_eq!(answers.len(), 1);
    let crowd: Vec<_> =
        (0..64).map(|_| UnixStream::connect(&sockets.settings.socket).unwrap()).collect();
    let refused = sockets.ask(b"").await;
    assert_eq!(refused, ["error 64 connections are open: close some"]);
    drop(crowd);
    for _ in 0..100 {
        if sockets.ask(b"ready\n").await == ["ok 2 bindings"] {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is no room again");
}

#[tokio::test]
async fn programs_that_speak_sd_notify_are_understood() {
    let mut sockets = Sockets::open(|_| {});
    sockets.notify(b"ERRNO=28\nSTATUS=the disk is full");
    sockets.wait("the error", |now| *now == failed("the disk is full")).await;
    sockets.notify(&[b'x'; 5000]);
    sockets.notify(b"READY=1\nERRNO=x");
    sockets.notify(b"RELOADING=1");
    sockets.notify(b"READY=1");
    sockets.wait("ready", |now| *now == Availability::Ready).await;
    sockets.notify(b"STOPPING=1");
    let leaves = Availability::Leave { cause: "STOPPING=1".to_owned() };
    sockets.wait("the stop", |now| *now == leaves).await;
    assert_eq!(sockets.application(1).availability, leaves);
}

#[tokio::test]
async fn a_watchdog_that_is_late_is_a_failure_until_it_comes_again() {
    let mut sockets = Sockets::open(|_| {});
    sockets.notify(b"READY=1\nWATCHDOG_USEC=100000");
    sockets.wait("the watchdog", |now| *now == failed("no WATCHDOG=1 within 100ms")).await;
    sockets.notify(b"WATCHDOG=1");
    sockets.wait("a sign of life", |now| *now == Availability::Ready).await;
    sockets.wait("the watchdog again", |now| *now == failed("no WATCHDOG=1 within 100ms")).await;
    // What the application itself says is not undone by a sign of life.
    sockets.ask(b"failed the disk is full\n").await;
    sockets.notify(b"WATCHDOG=1");
    sockets.notify(b"WATCHDOG_USEC=0");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(sockets.application(0).availability, failed("the disk is full"));
}
