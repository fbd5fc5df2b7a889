//! Clients of a switch that no packet goes through: they go where it says.

use std::{net::SocketAddr, time::Duration};

use lab::{Answers, Lab};

/// Multiples of the golden ratio's fraction spread evenly, however many they are.
const STRIDE: f64 = 0.618_033_988_749_895;

/// Where so many clients go: by weight, and None where one is refused.
pub fn pick(serving: &[(SocketAddr, u32)], refused: f64, count: usize) -> Vec<Option<SocketAddr>> {
    let all: f64 = serving.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let one = |number: usize| {
        let place = (number as f64 * STRIDE).fract();
        let mut left = (place - refused) / (1.0 - refused) * all;
        let mut servers = serving.iter().filter(|_| place >= refused);
        let found = servers.find(|(_, weight)| {
            left -= f64::from(*weight);
            left < 0.0
        });
        found.map(|(server, _)| *server)
    };
    (1..=count).map(one).collect()
}

/// What they get there. Whoever comes to none of the lab's servers is refused.
pub fn answers(lab: &Lab, picked: &[Option<SocketAddr>]) -> Answers {
    let named = picked.iter().flatten().filter_map(|server| server_name(lab, *server));
    let names: Vec<_> = named.collect();
    let refused = (picked.len() - names.len()) as u64;
    let spread = names.into_iter().collect();
    Answers { spread, refused, failed: Vec::new(), slowest_refusal: Duration::ZERO }
}

/// The lab's server with this address.
pub fn server_name(lab: &Lab, server: SocketAddr) -> Option<String> {
    let found = lab.servers().iter().find(|host| host.address(false) == server.ip());
    found.map(|host| host.name().to_owned())
}
