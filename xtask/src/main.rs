//! Everything that needs privilege, a BPF compiler or another program.
//!
//! This file is the command line; each command has a file of its own.

mod bench;
mod bpf;
mod build;
mod debian;
mod demo;
mod experiment;
mod fuzz;
mod labs;
mod run;
mod setup;
mod simulate;
mod story;
mod test;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what building and testing need, or say what is missing
    #[command(after_help = "Example:\n  # cargo xtask setup")]
    Setup,
    /// Build `sluice` with the XDP program in it
    #[command(after_help = "Example:\n  $ cargo xtask build --release")]
    Build(BuildArgs),
    /// Run every check and test of the project, as root
    #[command(
        after_help = "Examples:\n  # cargo xtask test\n  # cargo xtask test scenarios drain\n\n\
                            The second runs one step, and of it the tests whose name holds `drain`."
    )]
    Test(TestArgs),
    /// Show the main job in a lab of network namespaces, step by step, as root
    #[command(after_help = "Examples:\n  # cargo xtask demo\n  # cargo xtask demo --keep")]
    Demo(DemoArgs),
    /// Measure packets, commits, the manager and its switches, as root
    #[command(after_help = "Examples:\n  # cargo xtask bench\n  # cargo xtask bench commits\n  \
                      # cargo xtask bench packets/established/ipip\n\n\
                      What is measured is called GROUP/NAME; the groups are `packets`, `veth`, `commits`, `edge`,\n\
                      `live`, `manager`, `adapters` and `refusals`.")]
    Bench(BenchArgs),
    /// Send random packets through the XDP program and a model of it, as root, or
    /// random bytes through every other parser
    #[command(
        after_help = "Examples:\n  # cargo xtask fuzz\n  # cargo xtask fuzz --seed 7 --packets 1000000\n  \
                      $ cargo xtask fuzz --parsers\n  \
                      $ cargo xtask fuzz --parsers=wire --inputs 5000000\n\n\
                      An input that a parser fails at is kept in lb-control/tests/corpus."
    )]
    Fuzz(FuzzArgs),
    /// Run the decision core through simulated faults, and judge every history
    #[command(
        after_help = "Examples:\n  $ cargo xtask simulate\n  $ cargo xtask simulate --seed 7 --seeds 1\n\n\
                      Runs in release, on all cores. At a failure it prints what happened before, the \
                      invariant that does not hold, and the seed: the second example runs one history \
                      again, exactly as it was."
    )]
    Simulate(SimulateArgs),
    /// Try on a large scale what is claimed, as root
    #[command(subcommand)]
    Experiment(ExperimentCommand),
    /// Put labs up and take them down, as root
    #[command(subcommand)]
    Lab(LabCommand),
    /// Remove abandoned and kept labs, and everything that was built
    #[command(after_help = "Example:\n  $ cargo xtask clean")]
    Clean,
}

#[derive(Args)]
struct BuildArgs {
    /// Optimised, for a real host
    #[arg(long)]
    release: bool,
}

#[derive(Args)]
struct TestArgs {
    /// Run this step only
    step: Option<test::Step>,
    /// Run only tests whose name holds this
    #[arg(requires = "step")]
    filter: Option<String>,
}

#[derive(Args)]
struct BenchArgs {
    /// Measure only what has this in its name
    filter: Option<String>,
}

#[derive(Args)]
struct FuzzArgs {
    /// Decides every packet or input [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How many
    #[arg(long, default_value_t = 10_000_000, conflicts_with = "parsers")]
    packets: u64,
    /// Fuzz what reads bytes in user space, or only what has this in its name; needs no root
    #[arg(long, value_name = "FILTER", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    parsers: Option<String>,
    /// How many, for each parser
    #[arg(long, default_value_t = 100_000, requires = "parsers")]
    inputs: u64,
}

#[derive(Args)]
struct SimulateArgs {
    /// Decides all of the first history; the next ones are of the next numbers [default: by the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How many histories
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
}

#[derive(Args)]
struct DemoArgs {
    /// Leave the lab up at the end and say how to enter it
    #[arg(long)]
    keep: bool,
}

#[derive(Subcommand)]
enum ExperimentCommand {
    /// Thousands of live connections through hundreds of random changes, kills and a flood
    #[command(after_help = "Examples:\n  # cargo xtask experiment consistency\n  \
                            # cargo xtask experiment consistency --seed 7 --changes 1000\n\n\
                            Fails when a connection broke that no change was to break, or when \
                            none did without tracking. Writes target/experiments/consistency.json.")]
    Consistency(experiment::Consistency),
}

#[derive(Subcommand)]
enum LabCommand {
    /// Put a lab up and leave it: a client, an edge and servers, with `sluice` running
    #[command(after_help = "Example:\n  # cargo xtask lab up --servers 5 --mode nat")]
    Up {
        /// Web servers
        #[arg(long, default_value_t = 3)]
        servers: usize,
        /// How the service `www` reaches them
        #[arg(long, value_enum, default_value = "l2")]
        mode: labs::Mode,
    },
    /// Take down the labs that were left up or abandoned
    #[command(after_help = "Example:\n  # cargo xtask lab down")]
    Down,
    /// List labs
    #[command(after_help = "Example:\n  $ cargo xtask lab list")]
    List,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Setup => setup::everything(),
        Command::Build(args) => build::command(args.release),
        Command::Test(args) => test::command(args.step, args.filter.as_deref()),
        Command::Demo(args) => demo::command(args.keep),
        Command::Bench(args) => bench::command(args.filter.as_deref()),
        Command::Simulate(args) => simulate::command(args.seed, args.seeds),
        Command::Fuzz(args) => match &args.parsers {
            Some(filter) => fuzz::parsers(args.seed, args.inputs, filter),
            None => fuzz::packets(args.seed, args.packets),
        },
        Command::Experiment(ExperimentCommand::Consistency(args)) => experiment::consistency(&args),
        Command::Lab(LabCommand::Up { servers, mode }) => labs::up(servers, mode),
        Command::Lab(LabCommand::Down) => labs::down(),
        Command::Lab(LabCommand::List) => labs::list(),
        Command::Clean => labs::down().and_then(|()| build::clean()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
