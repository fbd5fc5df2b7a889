//! `sluice notify`

use std::{io, path::Path};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::timeout,
};

use crate::{
    agent::notify::request::{LONGEST, Request},
    cli::{
        Failure,
        args::{Global, NotifyArgs},
        output::Output,
        views::NotifyView,
    },
    config::{self, NotifySettings},
};

pub async fn notify(global: &Global, args: &NotifyArgs, out: &mut Output) -> Result<(), Failure> {
    let request = request(args).map_err(Failure::Usage)?;
    let line = format!("{request}\n");
    if line.len() > LONGEST {
        return Err(Failure::Usage(format!("a cause has {} bytes at the most", LONGEST - 128)));
    }
    let socket = match (&args.socket, &global.config) {
        (Some(socket), _) => socket.clone(),
        (None, Some(file)) => {
            let agent = config::load(file)?.agent;
            agent.and_then(|agent| agent.notify).unwrap_or_default().socket
        }
        (None, None) => NotifySettings::default().socket,
    };
    let answer = timeout(global.timeout, ask(&socket, &line)).await;
    let answer = answer
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(|error| unreachable(&socket, &error))?;
    let message = match answer.trim_end().split_once(' ') {
        Some(("ok", message)) => message.to_owned(),
        Some(("error", wrong)) => return Err(Failure::Failed(wrong.to_owned())),
        _ => {
            let shown = socket.display();
            return Err(Failure::Failed(format!("what answers at {shown} is no agent of sluice")));
        }
    };
    let view = NotifyView { event: request.to_string(), message };
    if out.is_json() {
        out.document(&view)
    } else {
        out.line(&format!("{}: {}", view.event, view.message))
    }
}

/// What the arguments ask for, understood as the agent will understand it.
fn request(args: &NotifyArgs) -> Result<Request, String> {
    use clap::ValueEnum as _;
    let event = args.event.to_possible_value().map(|word| word.get_name().to_owned());
    let argument = args.argument.join(" ");
    if argument.starts_with('@') {
        return Err("name what is meant by --service and --backend, not by @".to_owned());
    }
    let line = format!("{} {argument}", event.unwrap_or_default());
    let request: Request = line.parse()?;
    Ok(Request { service: args.service.clone(), backend: args.backend, ..request })
}

async fn ask(socket: &Path, line: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    match BufReader::new(stream).read_line(&mut answer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

fn unreachable(socket: &Path, error: &io::Error) -> Failure {
    let shown = socket.display();
    let remedy = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ": is `sluice agent` running, and is this its [agent.notify] socket?"
        }
        io::ErrorKind::PermissionDenied => {
            ": its group may send events too, or set `mode` in [agent.notify]"
        }
        _ => "",
    };
    Failure::Unreachable(format!("the agent at {shown} cannot be reached: {error}{remedy}"))
}
