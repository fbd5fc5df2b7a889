//! The socket for programs that speak `sd_notify` (sd_notify(3)), as their
//! `NOTIFY_SOCKET`. They speak of all of the agent's bindings, and hear no answer.
//!
//! | they say | it is taken for |
//! | --- | --- |
//! | `READY=1` | ready |
//! | `STOPPING=1` | leave |
//! | `ERRNO=N`, not 0 | failed |
//! | `WATCHDOG=trigger` | failed |
//! | `WATCHDOG_USEC=N` | from now on `WATCHDOG=1` is due every N microseconds: failed when it does not come, ready when it comes again |
//! | `STATUS=TEXT` | the cause of what else it says |
//! | `RELOADING=1` and others | nothing |

use std::time::Duration;

use tokio::{
    net::UnixDatagram,
    time::{Instant, sleep, sleep_until},
};
use tracing::{debug, warn};

use super::{
    Notes,
    request::{Event, Request, cause},
};
use crate::{config::NotifySettings, model::Availability, transport::unix};

/// The longest message, in bytes: that of systemd.
const LONGEST: usize = 4096;
/// The least time between two messages that are read.
const PACE: Duration = Duration::from_millis(1);

pub(super) struct Listener {
    socket: UnixDatagram,
    watchdog: Option<Duration>,
    _file: unix::SocketFile,
}

impl Listener {
    pub(super) fn open(settings: &NotifySettings) -> anyhow::Result<Self> {
        let (socket, file) = unix::listen_datagrams(
            &settings.systemd_socket,
            "agent.notify.systemd_socket",
            settings.mode.bits(),
        )?;
        Ok(Self { socket, watchdog: settings.watchdog, _file: file })
    }

    pub(super) async fn serve(self, notes: Notes) {
        let mut watch = Watchdog { period: self.watchdog, due: None, missed: None };
        // One more byte than there may be tells what was cut off. File
        // descriptors that come along (`BARRIER=1`) are closed by the kernel.
        let mut buffer = vec![0; LONGEST + 1];
        loop {
            let received = tokio::select! {
                received = self.socket.recv(&mut buffer) => received,
                cause = watch.bites() => {
                    say(&notes, Event::Failed { cause });
                    continue;
                }
            };
            let length = match received {
                Ok(length) => length,
                Err(error) => {
                    warn!("the socket for sd_notify: {error}");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            match parse(&buffer[..length]) {
                Ok(message) => hear(&message, &mut watch, &notes, Instant::now()),
                Err(wrong) => debug!("a message of sd_notify is left out: {wrong}"),
            }
            sleep(PACE).await;
        }
    }
}

/// The last sign of life that a program owes.
#[derive(Default)]
struct Watchdog {
    /// None: it owes none.
    period: Option<Duration>,
    due: Option<Instant>,
    /// What was said when the last one was late.
    missed: Option<String>,
}

impl Watchdog {
    /// Ends when it is late, with the cause.
    async fn bites(&mut self) -> String {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
        self.due = None;
        let period = humantime::format_duration(self.period.unwrap_or_default());
        let cause = format!("no WATCHDOG=1 within {period}");
        self.missed = Some(cause.clone());
        cause
    }

    fn fed(&mut self, now: Instant) {
        self.due = self.period.map(|period| now + period);
    }
}

/// What is understood of one message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    ready: bool,
    stopping: bool,
    /// The program is alive, or (`trigger`) asks to be taken for dead.
    watchdog: Option<Beat>,
    period: Option<Duration>,
    errno: i32,
    status: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Beat {
    Alive,
    Trigger,
}

/// Assignments, one a line. What is not known has no meaning here.
fn parse(bytes: &[u8]) -> Result<Message, String> {
    if bytes.len() > LONGEST {
        return Err(format!("it has more than {LONGEST} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())?;
    let mut message = Message::default();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let wrong = || format!("{name}={} is none", cause(value));
        match (name, value) {
            ("READY", "1") => message.ready = true,
            ("STOPPING", "1") => message.stopping = true,
            ("STATUS", status) => message.status = cause(status),
            ("ERRNO", number) => message.errno = number.parse().map_err(|_| wrong())?,
            ("WATCHDOG", "1") => message.watchdog = Some(Beat::Alive),
            ("WATCHDOG", "trigger") => message.watchdog = Some(Beat::Trigger),
            ("WATCHDOG_USEC", number) => {
                let micros = number.parse().map_err(|_| wrong())?;
                message.period = Some(Duration::from_micros(micros));
            }
            _ => {}
        }
    }
    Ok(message)
}

/// Acts on a message: the worst that it says counts.
fn hear(message: &Message, watch: &mut Watchdog, notes: &Notes, now: Instant) {
    let Message { ready, stopping, ref watchdog, period, errno, ref status } = *message;
    if let Some(period) = period {
        // As for systemd, 0 and all ones switch it off. The longest is a day.
        let off = period.is_zero() || period == Duration::from_micros(u64::MAX);
        watch.period = (!off).then(|| period.min(Duration::from_secs(86_400)));
        watch.fed(now);
    }
    let because = |otherwise: String| if status.is_empty() { otherwise } else { status.clone() };
    if stopping {
        watch.due = None;
        say(notes, Event::Leave { cause: because("STOPPING=1".to_owned()) });
    } else if errno != 0 {
        let error = std::io::Error::from_raw_os_error(errno).to_string();
        say(notes, Event::Failed { cause: because(error) });
    } else if *watchdog == Some(Beat::Trigger) {
        say(notes, Event::Failed { cause: because("WATCHDOG=trigger".to_owned()) });
    } else if ready {
        watch.fed(now);
        say(notes, Event::Ready);
    } else if *watchdog == Some(Beat::Alive) {
        watch.fed(now);
        // It was only late: what it said itself stands.
        let missed = watch.missed.take();
        if missed.is_some_and(|cause| notes.last() == Availability::Failed { cause }) {
            say(notes, Event::Ready);
        }
    }
}

fn say(notes: &Notes, event: Event) {
    let request = Request { event, service: None, backend: None };
    if let Err(error) = notes.take(&request, "sd_notify") {
        debug!("{error}");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_understood() {
        let table: [(&str, Message); 6] = [
            (
                "READY=1\nSTATUS=Serving \u{1b}[1mall\n",
                Message { ready: true, status: "Serving [1mall".to_owned(), ..Message::default() },
            ),
            ("STOPPING=1", Message { stopping: true, ..Message::default() }),
            ("ERRNO=28", Message { errno: 28, ..Message::default() }),
            (
                "WATCHDOG=1\nWATCHDOG_USEC=3000000",
                Message {
                    watchdog: Some(Beat::Alive),
                    period: Some(Duration::from_secs(3)),
                    ..Message::default()
                },
            ),
            ("WATCHDOG=trigger", Message { watchdog: Some(Beat::Trigger), ..Message::default() }),
            ("MAINPID=7\nREADY=0\nRELOADING=1\nBARRIER=1\nX\n=\n", Message::default()),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn malformed_messages_are_left_out_whole() {
        for bytes in [
            &b"READY=1\nERRNO=many"[..],
            b"READY=1\nERRNO=99999999999",
            b"READY=1\nWATCHDOG_USEC=-1",
            b"READY=1\nWATCHDOG_USEC=99999999999999999999",
            b"READY=1\n\xff",
            &[b'A'; LONGEST + 1],
        ] {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(parse(&[b'A'; LONGEST]).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn fuzzed_sd_notify() {
        crate::testing::Fuzz::new("sd-notify")
            .words(&[
                "READY=1\n",
                "STOPPING=1\n",
                "STATUS=",
                "ERRNO=",
                "WATCHDOG=",
                "WATCHDOG_USEC=",
            ])
            .run(|bytes| {
                let Ok(message) = parse(bytes) else { return };
                assert!(!message.status.contains(char::is_control), "{message:?}");
                // Also what is done with it.
                let (words, _) = tokio::sync::watch::channel(Vec::new());
                let notes = Notes::new(&[], words, std::sync::Arc::default());
                hear(&message, &mut Watchdog::default(), &notes, Instant::now());
            });
    }
}
