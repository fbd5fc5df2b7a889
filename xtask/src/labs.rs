//! Labs that people put up and take down.

use anyhow::Result;
use clap::ValueEnum;
use lab::{Lab, Standing, Whose, l2, nat};

use crate::{build, run::say, setup};

/// How a service reaches its servers.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Mode {
    L2,
    Nat,
}

/// `cargo xtask lab up`
pub fn up(servers: usize, mode: Mode) -> Result<()> {
    prepare("lab up")?;
    let service = match mode {
        Mode::L2 => l2("www"),
        Mode::Nat => nat("www"),
    };
    let lab = Lab::build().label("lab").servers(servers).service(service).start()?;
    let entry = how_to_enter(&lab)?;
    lab.keep()?;
    println!("{entry}");
    Ok(())
}

/// What a lab needs before it can be put up.
pub fn prepare(command: &str) -> Result<()> {
    setup::require_root(command)?;
    setup::lab()?;
    lab::use_binary(build::sluice()?);
    Ok(())
}

/// `cargo xtask lab down`
pub fn down() -> Result<()> {
    for Standing { id, whose } in lab::list() {
        if let Whose::Owned { pid } = whose {
            say(&format!("{id} stays: process {pid} is using it"));
            continue;
        }
        lab::take_down(&id)?;
        say(&format!("{id} is down"));
    }
    Ok(())
}

/// `cargo xtask lab list`
pub fn list() -> Result<()> {
    for Standing { id, whose } in lab::list() {
        match whose {
            Whose::Owned { pid } => println!("{id}, in use by process {pid}"),
            Whose::Kept => println!("{id}, left up"),
            Whose::Abandoned => println!("{id}, abandoned"),
        }
    }
    Ok(())
}

/// What a person types to look around in a lab that is left up.
pub fn how_to_enter(lab: &Lab) -> Result<String> {
    let vip = lab.vip("www");
    let client = lab.client().netns().name();
    let edge = lab.edge().netns().name();
    let directory = lab.directory().display();
    Ok(format!(
        "The lab is up. Look around:\n  \
         ip netns exec {client} curl http://{vip}/\n  \
         ip netns exec {edge} {sluice} --manager unix:{directory}/manager/sluice.sock get backends\n  \
         ip netns exec {edge} tcpdump -ni eth0\n  \
         ls {directory}          # configuration, logs, the pinned maps\n\
         Take it down:\n  \
         cargo xtask lab down",
        sluice = lab::binary()?.display()
    ))
}
