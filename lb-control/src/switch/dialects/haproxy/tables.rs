//! What HAProxy says of itself: `show info`, `show backend`, `show servers state`,
//! `show stat` (HAProxy management guide, sections 9.1 and 9.3).

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use crate::model::shown;

/// The version of `show servers state` that is understood; HAProxy raises it when
/// columns change their meaning.
const STATE_VERSION: &str = "1";

/// `srv_admin_state`: taken out by a command, and the same for a drain
/// (`SRV_ADMF_FMAINT` and `SRV_ADMF_FDRAIN`, include/haproxy/server-t.h).
const MAINTENANCE: u32 = 0x01;
const DRAIN: u32 = 0x08;

/// A start of HAProxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    pid: u64,
    began: Instant,
}

impl Boot {
    /// Whether `later` is the same one. Pids repeat in containers; the uptime is in
    /// whole seconds, and by a clock that people set.
    pub(super) fn is_still(self, later: Self) -> bool {
        const SLACK: Duration = Duration::from_secs(2);
        self.pid == later.pid && later.began.saturating_duration_since(self.began) <= SLACK
    }
}

/// From `show info`: the start, and the version.
pub(super) fn info(reply: &str, now: Instant) -> Result<(Boot, String), String> {
    let value = |field: &str| {
        let values = reply.lines().filter_map(|line| line.split_once(": "));
        let mut values = values.filter(|(name, _)| *name == field).map(|(_, value)| value.trim());
        values.next().ok_or_else(|| odd("show info", &format!("it has no {field}"), reply))
    };
    let number = |field: &str| {
        value(field)?
            .parse::<u64>()
            .map_err(|_| odd("show info", &format!("{field} is no number"), reply))
    };
    let began = now.checked_sub(Duration::from_secs(number("Uptime_sec")?)).unwrap_or(now);
    Ok((Boot { pid: number("Pid")?, began }, shown(value("Version")?)))
}

/// From `show backend`: the proxies that have servers.
pub(super) fn proxies(reply: &str) -> Result<BTreeSet<String>, String> {
    let mut lines = reply.lines();
    if lines.next() != Some("# name") {
        return Err(odd("show backend", "it does not begin with `# name`", reply));
    }
    Ok(lines.map(str::to_owned).collect())
}

/// A server, whoever made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) proxy: String,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) weight: u32,
    pub(super) admin: u32,
}

impl Server {
    /// It gets no connections: it is being made, broken, or waits to be deleted.
    pub(super) fn out(&self) -> bool {
        self.admin & MAINTENANCE != 0
    }

    pub(super) fn drains(&self) -> bool {
        self.admin & DRAIN != 0
    }
}

/// From `show servers state`: the servers whose names begin so.
pub(super) fn servers(reply: &str, prefix: &str) -> Result<Vec<Server>, String> {
    const WHAT: &str = "show servers state";
    let mut lines = reply.lines();
    if lines.next() != Some(STATE_VERSION) {
        return Err(odd(WHAT, "it does not begin with version 1", reply));
    }
    let rows = table(&mut lines, ' ').ok_or_else(|| odd(WHAT, "it has no header", reply))?;
    let columns = ["be_name", "srv_name", "srv_addr", "srv_port", "srv_admin_state", "srv_uweight"];
    let columns = columns.map(|name| rows.column(name));
    let [Some(proxy), Some(name), Some(host), Some(port), Some(admin), Some(weight)] = columns
    else {
        return Err(odd(WHAT, "columns are missing", reply));
    };
    let server = |cells: Vec<&str>| {
        Some(Server {
            proxy: (*cells.get(proxy)?).to_owned(),
            name: (*cells.get(name)?).to_owned(),
            address: SocketAddr::new(
                cells.get(host)?.parse::<IpAddr>().ok()?,
                cells.get(port)?.parse().ok()?,
            ),
            weight: cells.get(weight)?.parse().ok()?,
            admin: cells.get(admin)?.parse().ok()?,
        })
    };
    let ours = |cells: &Vec<&str>| cells.get(name).is_some_and(|name| name.starts_with(prefix));
    rows.rows(lines)
        .filter(ours)
        .map(|cells| {
            let line = cells.join(" ");
            server(cells).ok_or_else(|| odd(WHAT, "a line makes no sense", &line))
        })
        .collect()
}

/// What is counted of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) proxy: String,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) sessions: u64,
    pub(super) total: u64,
}

/// From `show stat`: the servers whose names begin so.
pub(super) fn counts(reply: &str, prefix: &str) -> Result<Vec<Counted>, String> {
    const WHAT: &str = "show stat";
    let mut lines = reply.lines();
    let rows = table(&mut lines, ',').ok_or_else(|| odd(WHAT, "it has no header", reply))?;
    let columns = ["pxname", "svname", "addr", "scur", "stot"].map(|name| rows.column(name));
    let [Some(proxy), Some(name), Some(address), Some(sessions), Some(total)] = columns else {
        return Err(odd(WHAT, "columns are missing", reply));
    };
    let counted = |cells: Vec<&str>| {
        Some(Counted {
            proxy: (*cells.get(proxy)?).to_owned(),
            name: (*cells.get(name)?).to_owned(),
            address: cells.get(address)?.parse().ok()?,
            sessions: cells.get(sessions)?.parse().ok()?,
            total: cells.get(total)?.parse().ok()?,
        })
    };
    let ours = |cells: &Vec<&str>| cells.get(name).is_some_and(|name| name.starts_with(prefix));
    rows.rows(lines)
        .filter(ours)
        .map(|cells| {
            let line = cells.join(",");
            counted(cells).ok_or_else(|| odd(WHAT, "a line makes no sense", &line))
        })
        .collect()
}

/// A table whose columns have names, in an order that changes with the version.
struct Table<'a> {
    columns: Vec<&'a str>,
    separator: char,
}

/// Reads the header: `# ` and the names of columns.
fn table<'a>(lines: &mut std::str::Lines<'a>, separator: char) -> Option<Table<'a>> {
    let header = lines.next()?.strip_prefix("# ")?;
    Some(Table { columns: header.split(separator).collect(), separator })
}

impl<'a> Table<'a> {
    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| *column == name)
    }

    fn rows(&self, lines: std::str::Lines<'a>) -> impl Iterator<Item = Vec<&'a str>> {
        let separator = self.separator;
        let filled = lines.filter(|line| !line.is_empty());
        filled.map(move |line| line.split(separator).collect())
    }
}

/// A reply that makes no sense.
fn odd(command: &str, what: &str, reply: &str) -> String {
    let first = reply.lines().next().unwrap_or_default();
    format!("`{command}` is not understood: {what}: {}", shown(first))
}
