//! `show server real`: what real servers are doing.
//!
//! Its layout differs between releases of the software: what is relied on is that a
//! server begins with a line that names it, and that its ports are rows under a heading
//! which has the words `Port`, `CurConn` and `TotConn` where the columns are.

use std::net::Ipv4Addr;

use super::{
    super::config::{Activity, PortDoing, real_address},
    running::port,
};

/// Words for a port, or a server, that is unbound or deleted when its connections have
/// ended.
const GOING: [&str; 4] = ["awu", "awd", "awaitunbind", "awaitdelete"];

/// Where the columns are.
struct Columns {
    current: usize,
    total: usize,
}

/// Reads what is said of real servers of ours.
pub(super) fn parse(lines: &[String]) -> Activity {
    let mut activity = Activity::default();
    let mut server: Option<Ipv4Addr> = None;
    let mut columns: Option<Columns> = None;
    for line in lines {
        if let Some(name) = named(line) {
            server = real_address(&name);
            if let Some(address) = server {
                let doing = activity.reals.entry(address).or_default();
                doing.going |= is_going(line);
            }
            continue;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let at = |heading: &str| words.iter().position(|word| word.eq_ignore_ascii_case(heading));
        if let (Some(current), Some(total)) = (at("CurConn"), at("TotConn")) {
            columns = Some(Columns { current, total });
            continue;
        }
        let Some(doing) = server.and_then(|address| activity.reals.get_mut(&address)) else {
            continue;
        };
        let number = |at: usize| words.get(at).and_then(|word| word.parse().ok());
        let row = columns.as_ref().and_then(|columns| {
            let port = port(words.first()?)?;
            Some((port, number(columns.current)?, number(columns.total)?))
        });
        match row {
            Some((port, connections, total)) => {
                let going = is_going(line);
                doing.ports.insert(port, PortDoing { connections, total, going });
            }
            // A line of its own about the server, such as its state.
            None if words.iter().any(|word| word.to_ascii_lowercase().starts_with("state")) => {
                doing.going |= is_going(line);
            }
            None => {}
        }
    }
    activity
}

/// The name in `Name : web1  IP: 198.51.100.3`, or in `Name:web1 …`.
fn named(line: &str) -> Option<String> {
    let (heading, rest) = line.split_once(':')?;
    let heading = heading.trim();
    let is = heading.eq_ignore_ascii_case("name") || heading.eq_ignore_ascii_case("server name");
    let name = rest.split_whitespace().next()?;
    is.then(|| name.trim_end_matches(',').to_owned())
}

fn is_going(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_');
    words.any(|word| {
        let word = word.to_ascii_lowercase().replace(['-', '_'], "");
        GOING.contains(&word.as_str())
    })
}
