//! HAProxy's agent-check: a line of text that an application answers with when
//! it is connected to (HAProxy's configuration manual, section 5.2,
//! `agent-check`). It comes beside the health check:
//!
//! | word | what it does |
//! | --- | --- |
//! | `up` | ends `down`, `failed` and `stopped` |
//! | `down`, `failed` (`fail`), `stopped` | the application has failed |
//! | `ready` | ends `drain` and `maint` |
//! | `drain`, `maint` | no new connections |
//! | `75%` | it gets that share of its weight |
//! | `maxconn:N` | nothing: nobody here queues connections |
//!
//! Words are separated by blanks or commas; what follows ` #` is the cause. What
//! an answer leaves out stays as it was, and so does everything while nothing
//! answers: whether a server can be reached is the health check's business.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tracing::{info, warn};

use crate::{
    agent::word::{By, Said, Word},
    config::{AgentBind, AgentPoll},
    model::{Application, Availability},
};

/// The longest answer that is read, in bytes.
const LONGEST: usize = 1024;
/// The most characters of a cause that are kept.
const MOST_CAUSE: usize = 200;

/// One answer; None for what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Answer {
    /// The word where it is not `up`.
    down: Option<Option<&'static str>>,
    /// The word where it is not `ready`.
    held: Option<Option<&'static str>>,
    percent: Option<u32>,
    cause: String,
}

/// Understands what is to be understood: other words are left out, as HAProxy
/// does.
fn parse(bytes: &[u8]) -> Answer {
    let line = bytes.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let blank = |c: char| c == ' ' || c == '\t' || c == ',';
    let mut answer = Answer::default();
    let mut rest = text.trim_start_matches(blank);
    while !rest.is_empty() {
        if let Some(cause) = rest.strip_prefix('#') {
            let plain = cause.trim().chars().filter(|c| !c.is_control());
            answer.cause = plain.take(MOST_CAUSE).collect();
            break;
        }
        let end = rest.find(blank).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        rest = after.trim_start_matches(blank);
        match word.to_ascii_lowercase().as_str() {
            "up" => answer.down = Some(None),
            "down" => answer.down = Some(Some("down")),
            "fail" | "failed" => answer.down = Some(Some("failed")),
            "stopped" => answer.down = Some(Some("stopped")),
            "ready" => answer.held = Some(None),
            "drain" => answer.held = Some(Some("drain")),
            "maint" => answer.held = Some(Some("maint")),
            word => {
                let percent =
                    word.strip_suffix('%').filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
                if let Some(percent) = percent.and_then(|number| number.parse::<u32>().ok()) {
                    answer.percent = Some(percent.min(Application::MOST_PERCENT));
                }
            }
        }
    }
    answer
}

/// What answers so far come to.
#[derive(Debug, Default)]
struct State {
    down: Option<String>,
    held: Option<String>,
    percent: Option<u32>,
}

impl State {
    fn take(&mut self, answer: Answer) {
        let Answer { down, held, percent, cause } = answer;
        let with_cause = |word: Option<&str>| {
            word.map(|word| match cause.as_str() {
                "" => format!("agent check: {word}"),
                cause => format!("agent check: {word}: {cause}"),
            })
        };
        if let Some(down) = down {
            self.down = with_cause(down);
        }
        if let Some(held) = held {
            self.held = with_cause(held);
        }
        self.percent = percent.or(self.percent);
    }

    fn said(&self) -> Said {
        let availability = match (self.down.clone(), self.held.clone()) {
            (Some(cause), _) => Availability::Failed { cause },
            (None, Some(cause)) => Availability::Drain { cause },
            (None, None) => Availability::Ready,
        };
        Said { availability, percent: self.percent, ..Said::default() }
    }
}

/// Asks for ever; keeps what the answers come to at `index` of `words`.
pub(super) async fn run(
    bind: AgentBind,
    poll: AgentPoll,
    index: usize,
    words: watch::Sender<Vec<Word>>,
) {
    let address = SocketAddr::new(poll.address.unwrap_or(bind.address.ip()), poll.port);
    let mut state = State::default();
    let mut answers = true;
    let mut ticks = interval(poll.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answer = timeout(poll.timeout, ask(address, &poll.send)).await;
        match answer.unwrap_or_else(|_| Err(late(poll.timeout))) {
            Ok(bytes) => {
                if !std::mem::replace(&mut answers, true) {
                    info!("the agent check of {address} answers again");
                }
                state.take(parse(&bytes));
                words.send_if_modified(|words| {
                    let before = words[index].clone();
                    words[index].say(By::AgentCheck, |said| *said = state.said());
                    words[index] != before
                });
            }
            Err(error) => {
                if std::mem::replace(&mut answers, false) {
                    warn!(
                        "the agent check of {address} does not answer, its last word stands: {error}"
                    );
                }
            }
        }
    }
}

fn late(limit: Duration) -> std::io::Error {
    let limit = humantime::format_duration(limit);
    std::io::Error::other(format!("no line within {limit}"))
}

/// A line, or what came of it when the other side ended.
async fn ask(address: SocketAddr, send: &str) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(send.as_bytes()).await?;
    let mut answer = Vec::new();
    let mut buffer = [0; LONGEST];
    while answer.len() < LONGEST && !answer.contains(&b'\n') {
        match stream.read(&mut buffer).await? {
            0 if answer.is_empty() => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            0 => break,
            read => answer.extend_from_slice(&buffer[..read]),
        }
    }
    answer.truncate(LONGEST);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::net::TcpListener;

    use super::*;

    /// State of a few answers in a row: failed, held, percent.
    fn after(answers: &[&[u8]]) -> (Option<String>, Option<String>, Option<u32>) {
        let mut state = State::default();
        answers.iter().for_each(|answer| state.take(parse(answer)));
        (state.down, state.held, state.percent)
    }

    #[test]
    fn words_combine_and_last() {
        let text = |text: &str| Some(text.to_owned());
        let table: [(&[&[u8]], _); 13] = [
            (&[b"up\n"], (None, None, None)),
            (&[b"75%\n"], (None, None, Some(75))),
            (&[b"UP,READY 50%\r\nignored 1%\n"], (None, None, Some(50))),
            (&[b"down # disk is full\n"], (text("agent check: down: disk is full"), None, None)),
            (&[b"down\n", b"75%\n"], (text("agent check: down"), None, Some(75))),
            (&[b"failed\n", b"up"], (None, None, None)),
            (&[b"stopped #a # b"], (text("agent check: stopped: a # b"), None, None)),
            (&[b"drain\n", b"up 20%\n"], (None, text("agent check: drain"), Some(20))),
            (&[b"maint # kernel\n"], (None, text("agent check: maint: kernel"), None)),
            (&[b"drain", b"ready"], (None, None, None)),
            // Without the blank it is a word that nobody knows.
            (&[b"down#full\n"], (None, None, None)),
            (&[b"maxconn:30 weight -5% 5%% 99999999999% %"], (None, None, None)),
            (&[b"4294967295%"], (None, None, Some(Application::MOST_PERCENT))),
        ];
        for (answers, expected) in table {
            let shown: Vec<_> = answers.iter().map(|a| String::from_utf8_lossy(a)).collect();
            assert_eq!(after(answers), expected, "{shown:?}");
        }
    }

    #[test]
    fn malformed_answers_say_nothing() {
        for bytes in [&b""[..], b"\n", b"\0up", b"\xff\xfe\x00", b"#", b",,, ,", &[b'%'; LONGEST]] {
            assert_eq!(parse(bytes), Answer::default(), "{}", String::from_utf8_lossy(bytes));
        }
        let answer = parse("down # \u{1b}[31mred".as_bytes());
        assert_eq!(answer.cause, "[31mred");
        assert_eq!(parse(&[&b"down # "[..], &[b'x'; 1000]].concat()).cause.len(), MOST_CAUSE);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let answer = parse(&bytes);
            prop_assert!(answer.percent.is_none_or(|p| p <= Application::MOST_PERCENT));
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut hello = [0; 3];
                stream.read_exact(&mut hello).await.unwrap();
                while stream.write_all(&hello).await.is_ok() {}
            }
        });
        assert_eq!(ask(address, "up ").await.unwrap().len(), LONGEST);
    }

    #[test]
    fn fuzzed_agent_check() {
        crate::testing::Fuzz::new("agent-check")
            .words(&[
                "up", "down", "failed", "stopped", "ready", "drain", "maint", "75%", "maxconn:",
                " #",
            ])
            .run(|bytes| {
                let answer = parse(bytes);
                assert!(answer.cause.chars().count() <= MOST_CAUSE);
                assert!(!answer.cause.contains(char::is_control), "{answer:?}");
                assert!(answer.percent.is_none_or(|share| share <= Application::MOST_PERCENT));
                let mut state = State::default();
                state.take(answer);
                drop(state.said());
            });
    }
}
