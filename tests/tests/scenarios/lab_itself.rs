//! The lab without `sluice`: what every other scenario takes for granted.

use anyhow::{Result, ensure};
use lab::{
    Client, Crowd, Lab, Spread, get_many, l2,
    serveriron::{Options, Simulator},
    wrk,
};

#[test]
fn servers_answer_their_names_and_refuse_elsewhere() -> Result<()> {
    let lab = Lab::build().clients(2).servers(2).service(l2("www")).prepare()?;
    for (index, server) in lab.servers().iter().enumerate() {
        let address = lab.backend("www", index);
        let answers = get_many(&lab.clients()[1], address, 5)?;
        answers.all_answered()?;
        ensure!(answers.spread.of(server.name()) == 5, "{}", answers.spread);
        let closed = Client::of(lab.client()).connect((address.ip(), 81).into())?;
        ensure!(closed.refused(), "{closed:?}");
    }
    Ok(())
}

#[test]
fn tools_measure_what_happens() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).prepare()?;
    let server = lab.backend("www", 0);
    let load = wrk(lab.client(), server, 4, 1)?;
    ensure!(load.requests > 100 && load.connect_errors + load.other_errors == 0, "{load:?}");
    let mut crowd = Crowd::gather(Client::of(lab.client()), server, 20)?;
    ensure!(crowd.spread() == std::iter::repeat_n("server-1".to_owned(), 20).collect::<Spread>());
    crowd.ask().untouched()?;
    Ok(())
}

#[test]
fn a_lab_leaves_nothing_behind() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).prepare()?;
    let directory = lab.directory().to_owned();
    let netns = lab.client().netns().name().to_owned();
    drop(lab);
    ensure!(!directory.exists());
    ensure!(!std::path::Path::new("/run/netns").join(netns).exists());
    Ok(())
}

#[test]
fn a_simulated_switch_lives_in_the_namespace_that_starts_it() -> Result<()> {
    let lab = Lab::build().servers(1).service(l2("www")).prepare()?;
    let edge = lab.edge();
    let address = edge.address(false);
    let iron =
        edge.netns().enter(|| Simulator::start(Options { address, ..Options::default() }))?;
    let client = Client::of(lab.client());
    for listener in [iron.cli_address(), iron.ssh_address()] {
        let found = client.connect(listener)?;
        ensure!(found.stream.is_ok(), "{found:?}");
    }
    let gone = iron.cli_address();
    drop(iron);
    let refused = client.connect(gone)?;
    ensure!(refused.refused(), "{refused:?}");
    Ok(())
}
