//! The command line.

mod args;
mod client;
mod commands;
mod daemon;
mod failure;
mod human;
mod logging;
mod output;
mod table;
mod views;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::Builder;

pub use self::failure::Failure;
use self::{
    args::{Cli, Command, Global},
    client::Client,
    output::Output,
};

/// Runs the command line; the exit status is the process's.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match execute(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(message) = failure.message() {
                eprintln!("{message}");
            }
            ExitCode::from(failure.status())
        }
    }
}

fn execute(cli: &Cli) -> Result<(), Failure> {
    let global = &cli.global;
    let out = &mut Output::new(global.output);
    match &cli.command {
        Command::Run(args) => serve(global, || daemon::run(global, args)),
        Command::Manager => serve(global, || daemon::manager(global)),
        Command::Edge(args) => serve(global, || daemon::edge(global, args)),
        Command::Agent(args) => serve(global, || daemon::agent(global, args)),
        Command::Notify(args) => look(global, commands::notify(global, args, out)),
        Command::DropServer(args) => serve(global, || daemon::drop_server(args)),
        Command::Detach => serve(global, || daemon::detach(global)),
        Command::Certs(args) => commands::certs(&args.command, out),
        Command::Check { file } => commands::check(file, out),
        Command::Doctor(args) => look(global, commands::doctor(global, args, out)),
        Command::Trace(args) => look(global, commands::trace(global, args, out)),
        Command::Version => commands::version(out),
        Command::Status => ask(global, async |client| commands::status(client, out).await),
        Command::Get(args) => ask(global, async |client| commands::get(client, args, out).await),
        Command::Describe(args) => {
            ask(global, async |client| commands::describe(client, args, out).await)
        }
        Command::Add(args) => ask(global, async |client| commands::add(client, args, out).await),
        Command::Remove(args) => {
            ask(global, async |client| commands::remove(client, args, out).await)
        }
        Command::Weight(args) => {
            ask(global, async |client| commands::weight(client, args, out).await)
        }
        Command::Drop(args) => ask(global, async |client| commands::drop(client, args, out).await),
        Command::Thaw(args) => ask(global, async |client| commands::thaw(client, args, out).await),
        Command::Export => ask(global, async |client| commands::export(client, out).await),
        Command::Apply(args) => {
            ask(global, async |client| commands::apply(client, args, out).await)
        }
        Command::Diff(args) => ask(global, async |client| commands::diff(client, args, out).await),
        Command::Counters(args) => {
            ask(global, async |client| commands::counters(client, args, out).await)
        }
        Command::Events(args) => {
            ask(global, async |client| commands::events(client, args, out).await)
        }
    }
}

/// Runs what works in this process.
fn serve(global: &Global, role: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    logging::start(global, "info")?;
    role()
}

/// Runs what looks at this host.
fn look(global: &Global, task: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    logging::start(global, "warn")?;
    block_on(Builder::new_current_thread(), task)
}

/// Runs what asks the manager.
fn ask(
    global: &Global,
    command: impl AsyncFnOnce(&Client) -> Result<(), Failure>,
) -> Result<(), Failure> {
    logging::start(global, "warn")?;
    block_on(Builder::new_current_thread(), async {
        let client = Client::connect(global).await?;
        command(&client).await
    })
}

fn block_on(
    mut runtime: Builder,
    task: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(task)
}

#[cfg(test)]
mod tests;
