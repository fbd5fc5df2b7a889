//! A session from login to its end.

use std::{io, sync::Arc, sync::atomic::Ordering};

use super::{
    shell::{Mode, Shell, Then},
    telnet,
    terminal::{Echo, Line, Stream, Terminal},
};
use crate::serveriron::{Hostile, Login, Lost, device::Device};

/// Wrong passwords before the box hangs up.
const ATTEMPTS: usize = 3;
const WRONG: &str = "Error - Incorrect username or password.\n";
const CHUNK: usize = 4096;

/// Serves one telnet connection, login included.
pub(super) async fn telnet(device: Arc<Device>, stream: impl Stream) -> io::Result<()> {
    let mut terminal = Terminal::new(stream, Arc::clone(&device), true);
    terminal.wait_out_hang().await;
    terminal.raw(telnet::GREETING).await?;
    terminal.say(&format!("{}\nUser Access Verification\n\n", device.options.banner)).await?;
    let Some(mode) = login(&device, &mut terminal).await? else { return Ok(()) };
    converse(Shell::new(device, "telnet@", mode), terminal).await
}

/// Serves one SSH channel, whose client is known.
pub(super) async fn ssh(device: Arc<Device>, stream: impl Stream) -> io::Result<()> {
    let mut terminal = Terminal::new(stream, Arc::clone(&device), false);
    terminal.wait_out_hang().await;
    terminal.say(&device.options.banner).await?;
    let mode = match device.options.login {
        Login::Password(_) => Mode::User,
        Login::Name { .. } => Mode::Privileged,
    };
    converse(Shell::new(device, "SSH@", mode), terminal).await
}

/// Asks who it is; `None` after too many wrong answers.
async fn login<S: Stream>(device: &Device, terminal: &mut Terminal<S>) -> io::Result<Option<Mode>> {
    for _ in 0..ATTEMPTS {
        match &device.options.login {
            Login::Password(password) => {
                if ask(terminal, "Please Enter Password: ", Echo::Hidden).await? == *password {
                    terminal.say("\nUser login successful.\n\n").await?;
                    return Ok(Some(Mode::User));
                }
            }
            Login::Name { name, password } => {
                let given = ask(terminal, "Please Enter Login Name: ", Echo::Letters).await?;
                let secret = ask(terminal, "Please Enter Password: ", Echo::Hidden).await?;
                if given == *name && secret == *password {
                    terminal.say("\n").await?;
                    return Ok(Some(Mode::Privileged));
                }
            }
        }
        terminal.say(WRONG).await?;
    }
    Ok(None)
}

async fn ask<S: Stream>(
    terminal: &mut Terminal<S>,
    question: &str,
    echo: Echo,
) -> io::Result<String> {
    terminal.prompt(question).await?;
    loop {
        if let Line::Entered(line) = terminal.line(echo).await? {
            return Ok(line);
        }
    }
}

/// Prompts, reads, does, until the end. An error is a lost connection.
async fn converse<S: Stream>(mut shell: Shell, mut terminal: Terminal<S>) -> io::Result<()> {
    let device = Arc::clone(&shell.device);
    device.logins.fetch_add(1, Ordering::Relaxed);
    terminal.listen();
    loop {
        terminal.wait_out_hang().await;
        terminal.prompt(&shell.prompt()).await?;
        let line = read(&shell, &mut terminal).await?;
        if line.trim().is_empty() {
            continue;
        }
        device.commands.fetch_add(1, Ordering::Relaxed);
        let (lost, refusal, hostile) = {
            let mut faults = device.faults();
            let refusal = faults.refusal(&line).map(str::to_owned);
            (faults.count(), refusal, faults.hostile.clone())
        };
        if lost == Some(Lost::Command) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        if let Some(hostile) = hostile {
            lie(&mut terminal, &hostile).await?;
            continue;
        }
        if let Some(words) = refusal {
            terminal.say(&format!("{words}\n")).await?;
            continue;
        }
        let reaction = device
            .process(|| {
                let reaction = shell.run(&line);
                (reaction.changes, reaction)
            })
            .await;
        let Some(reaction) = reaction.filter(|_| lost != Some(Lost::Answer)) else {
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        if shell.paging {
            terminal.page(&reaction.text).await?;
        } else {
            terminal.say(&reaction.text).await?;
        }
        match reaction.then {
            Then::Prompt => {}
            Then::Close => return Ok(()),
            Then::AskPassword => {
                let given = ask(&mut terminal, "Password:", Echo::Hidden).await?;
                if device.options.enable_password.as_ref() == Some(&given) {
                    shell.enable();
                } else {
                    terminal.say(WRONG).await?;
                }
            }
        }
    }
}

/// A command line, with help on the way to it.
async fn read<S: Stream>(shell: &Shell, terminal: &mut Terminal<S>) -> io::Result<String> {
    let mut typed = String::new();
    loop {
        match terminal.edit(typed, Echo::Letters).await? {
            Line::Entered(line) => return Ok(line),
            Line::Help(line) => {
                terminal.say(&shell.help(&line)).await?;
                terminal.prompt(&format!("{}{line}", shell.prompt())).await?;
                typed = line;
            }
        }
    }
}

async fn lie<S: Stream>(terminal: &mut Terminal<S>, hostile: &Hostile) -> io::Result<()> {
    match hostile {
        Hostile::Huge(length) => {
            let chunk = [b'x'; CHUNK];
            let mut left = *length;
            while left > 0 {
                let part = chunk.get(..left.min(CHUNK)).unwrap_or(&chunk);
                terminal.raw(part).await?;
                left -= part.len();
            }
            terminal.raw(b"\r\n").await
        }
        Hostile::Endless => loop {
            terminal.say("server real endless 192.0.2.1\n port http\n!\n").await?;
        },
        Hostile::Binary => {
            let every: Vec<u8> = (0..=255).collect();
            for _ in 0..16 {
                terminal.raw(&every).await?;
            }
            terminal.raw(b"\r\n").await
        }
        Hostile::Bytes(bytes) => terminal.raw(bytes).await,
    }
}
