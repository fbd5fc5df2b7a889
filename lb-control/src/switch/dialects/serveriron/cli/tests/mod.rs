//! The command line, against peers that follow a script.

mod login;
mod parsing;
mod screen;
mod session;
mod telnet;

use std::{io, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    task::JoinHandle,
    time::sleep,
};

use super::{
    prompt::Host,
    screen::Screen,
    wire::{CHUNK, Wire},
};

/// For one command, in tests: longer than a nudge takes.
const PATIENCE: Duration = Duration::from_millis(1500);

/// One exchange: the line that must come (" " is a pager's answer, "" is nothing), and
/// what is said then, piece by piece.
type Exchange<'a> = (&'a str, &'a [&'a str]);

/// A screen in front of a peer that plays a script, and whatever it was told besides.
fn play(script: &[Exchange<'_>]) -> (Screen, JoinHandle<()>) {
    let (ours, theirs) = duplex(1 << 20);
    let script = script.iter().map(|(line, said)| {
        let said = said.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        ((*line).to_owned(), said)
    });
    let script: Vec<(String, Vec<Vec<u8>>)> = script.collect();
    let peer = tokio::spawn(follow(theirs, script));
    (Screen::new(Box::new(Plain(ours)), PATIENCE), peer)
}

async fn follow(mut stream: DuplexStream, script: Vec<(String, Vec<Vec<u8>>)>) {
    for (expected, said) in script {
        let mut line = Vec::new();
        let end = if expected == " " { b' ' } else { b'\r' };
        while !expected.is_empty() && line.last() != Some(&end) {
            let byte = stream.read_u8().await.expect("a line that the script expects");
            line.push(byte);
        }
        let line = String::from_utf8(line).expect("text");
        let shown = if expected == " " { line.as_str() } else { line.trim_end_matches('\r') };
        // "\r" alone is a return, which "CR" stands for.
        let expected = if expected == "CR" { "" } else { expected.as_str() };
        assert_eq!(shown, expected, "what was typed");
        for piece in said {
            stream.write_all(&piece).await.expect("it listens");
            // So that pieces come apart.
            sleep(Duration::from_millis(2)).await;
        }
    }
}

fn host() -> Host {
    Host::of_prompt("telnet@iron#").expect("a prompt").0
}

/// Nothing but text.
struct Plain(DuplexStream);

#[async_trait]
impl Wire for Plain {
    async fn read(&mut self, into: &mut Vec<u8>) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        let count = self.0.read(&mut chunk).await?;
        into.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }
}
