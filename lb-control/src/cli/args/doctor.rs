//! Arguments of `sluice doctor`.

use clap::Args;

use super::AgentArgs;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Show also what is well
    #[arg(short = 'v', long)]
    pub all: bool,
    // As the agent was started, so that its command line can be taken over.
    #[command(flatten)]
    pub agent: AgentArgs,
}
