//! Programs of the operator's: health checks, and adapters of switches.
//!
//! They run without a shell, in a process group of their own, with nothing of ours
//! open but what they are given, and none of our capabilities. Dropped, a running
//! program is killed with its group.

use std::{
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    process::Command,
    time::timeout,
};

/// The end of what it says that is kept for people, in bytes.
const TAIL: usize = 4096;
/// The most characters of its last line that are shown.
const SHOWN: usize = 200;
/// How long its output may be held open by what it has left running.
const LINGER: Duration = Duration::from_millis(100);

/// How a program ended, and its last line.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) last_line: String,
}

impl Ended {
    /// Nothing where the exit status is 0, else how it failed: its last words first.
    pub(crate) fn judge(&self, program: &str) -> Result<(), String> {
        if self.status.success() {
            return Ok(());
        }
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("{program} exited with {code}"),
            (None, Some(signal)) => format!("{program} was ended by signal {signal}"),
            (None, None) => format!("{program} failed"),
        };
        let said = &self.last_line;
        Err(if said.is_empty() { how } else { format!("{said} ({how})") })
    }
}

/// Runs a program to its end, both outputs as one.
///
/// # Errors
/// It cannot be run.
pub(crate) async fn run(command: &mut Command) -> io::Result<Ended> {
    let (output, write) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(write.try_clone()?).stderr(write);
    let mut running = Running::start(command)?;
    let mut output = receiver(output)?;
    let mut tail = Tail::default();
    let status = tokio::select! {
        status = running.child.wait() => status?,
        () = tail.fill(&mut output) => running.child.wait().await?,
    };
    running.ended();
    drop(timeout(LINGER, tail.fill(&mut output)).await);
    Ok(Ended { status, last_line: tail.last_line() })
}

/// Runs a program that reads `question` and answers with `most` bytes at the most;
/// the last line is that of its standard error.
///
/// # Errors
/// It cannot be run, or answers more than that.
pub(crate) async fn ask(
    command: &mut Command,
    question: &[u8],
    most: usize,
) -> io::Result<(Vec<u8>, Ended)> {
    let (answers, write_answer) = io::pipe()?;
    let (words, write_words) = io::pipe()?;
    let (read_question, questions) = io::pipe()?;
    command.stdin(read_question).stdout(write_answer).stderr(write_words);
    let mut running = Running::start(command)?;
    let mut answers = receiver(answers)?;
    let mut words = receiver(words)?;
    let mut questions = pipe::Sender::from_owned_fd(OwnedFd::from(questions))?;
    let mut answer = Vec::new();
    let mut tail = Tail::default();
    let put = async {
        // One that does not read is judged by what it answers.
        drop(questions.write_all(question).await);
        drop(questions);
        io::Result::Ok(())
    };
    let get = async {
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let read = (&mut answers).take(limit).read_to_end(&mut answer).await?;
        if read > most {
            return Err(io::Error::other(format!("it answers more than {most} bytes")));
        }
        Ok(())
    };
    let say = async { io::Result::Ok(tail.fill(&mut words).await) };
    let ((), (), (), status) = tokio::try_join!(put, get, say, running.child.wait())?;
    running.ended();
    Ok((answer, Ended { status, last_line: tail.last_line() }))
}

fn receiver(read: io::PipeReader) -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(OwnedFd::from(read))
}

/// A program that has not ended.
struct Running {
    child: tokio::process::Child,
    group: Group,
}

impl Running {
    /// Starts it, and lets go of our ends of what it was given.
    fn start(command: &mut Command) -> io::Result<Self> {
        command.process_group(0);
        // SAFETY: between fork and exec it makes one system call, and allocates nothing.
        unsafe { command.pre_exec(drop_capabilities) };
        let child = command.spawn();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = child?;
        let group = Group(child.id());
        Ok(Self { child, group })
    }

    /// Its number may be another's from now on.
    fn ended(&mut self) {
        self.group.0 = None;
    }
}

/// Our own ambient ones, which programs that are started would inherit.
fn drop_capabilities() -> io::Result<()> {
    // SAFETY: prctl with these arguments touches no memory.
    let done =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A process group whose leader nobody has waited for yet.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // The leader is a zombie at the least, so that the number is its own.
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}

/// The end of what a program has put out.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    /// Reads to the end.
    async fn fill(&mut self, from: &mut pipe::Receiver) {
        let mut buffer = [0; TAIL];
        while let Ok(read @ 1..) = from.read(&mut buffer).await {
            self.add(&buffer[..read]);
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let too_many = self.0.len().saturating_sub(TAIL);
        self.0.drain(..too_many);
    }

    /// The last line with something in it, bounded and plain.
    fn last_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        last.trim().chars().filter(|c| !c.is_control()).take(SHOWN).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fuzzed_words_of_programs() {
        let input = "one\n\x1b[31mred\r\n\n";
        crate::testing::Fuzz::new("program").with(input).words(&["\n", "\x1b["]).run(|bytes| {
            let mut tail = Tail::default();
            bytes.chunks(100).for_each(|bytes| tail.add(bytes));
            let line = tail.last_line();
            assert!(tail.0.len() <= TAIL && line.chars().count() <= SHOWN);
            assert!(!line.chars().any(char::is_control), "{line:?}");
        });
    }

    #[tokio::test]
    async fn a_program_is_asked_and_answers_with_so_much_at_the_most() {
        let sh = |script: &str| {
            let mut command = Command::new("/bin/sh");
            command.args(["-c", script]);
            command
        };
        let (answer, ended) =
            ask(&mut sh("tr a-z A-Z; echo well >&2"), b"question", 8).await.unwrap();
        assert_eq!((answer.as_slice(), ended.last_line.as_str()), (&b"QUESTION"[..], "well"));
        assert_eq!(ended.judge("sh"), Ok(()));
        let error = ask(&mut sh("tr a-z A-Z"), b"question", 7).await.unwrap_err();
        assert_eq!(error.to_string(), "it answers more than 7 bytes");
        // It reads nothing of a question that fills more than a pipe.
        let (_, ended) = ask(&mut sh("exit 3"), &[b'x'; 1 << 20], 7).await.unwrap();
        assert_eq!(ended.judge("sh"), Err("sh exited with 3".to_owned()));
    }
}
