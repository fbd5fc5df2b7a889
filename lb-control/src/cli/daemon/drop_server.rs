//! `sluice drop-server`

use caps::Capability;

use super::{Failure, go_on, signals};
use crate::{
    cli::args::{DropMode, DropServerArgs},
    drop_server::{self, Mode, Settings},
    privilege,
};

pub fn drop_server(args: &DropServerArgs) -> Result<(), Failure> {
    let mode = match args.mode {
        DropMode::Reset => Mode::Reset,
        DropMode::Hold => Mode::Hold { time: args.hold, most: args.most },
    };
    let settings = Settings { listen: args.listen.clone(), mode, metrics: args.metrics };
    let mut ports = args.listen.iter().chain(&args.metrics).map(|address| address.port());
    privilege::keep_only(if ports.any(|port| (1..1024).contains(&port)) {
        &[Capability::CAP_NET_BIND_SERVICE]
    } else {
        &[]
    });
    go_on(async {
        let shutdown = signals::shutdown()?;
        Ok(drop_server::run(&settings, shutdown).await?)
    })
}
