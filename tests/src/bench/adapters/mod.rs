//! How long 1, 10, 100 and 1,000 changes of bindings take on each adapter, and a
//! switch that is filled again after a reboot. Adapters are driven as the manager's
//! session does; what is behind them is real, or the simulated ServerIron at the
//! original's pace and at none, which leaves what is ours.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `trial` | an adapter that is changed, timed, and read back |
//! | `external` | switches that are read, and forget at a reboot |
//! | `balancer` | DFP, and a balancer that listens to it |
//! | `edge` | the XDP edge |
//! | `refusals` | what of a share that is refused lands at a drop server |

mod balancer;
mod edge;
mod external;
pub(super) mod refusals;
mod trial;

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context as _, Result};
use lb_control::model::{Binding, BindingKey, Change, Mode, Name, Phase, ServiceSpec, Vip};
use serde_json::{Value, json};

use self::trial::{COUNTS, SERVERS};
use super::{Filter, commits::ip};
use crate::packet::routed;

const SERVICE: &str = "www";
const VIP: &str = "203.0.113.10:80";
/// What one change takes on the original switch: 20 to 25 ms.
const ORIGINAL: Duration = Duration::from_millis(22);

/// What is measured, and how, in a network namespace of its own.
struct Case {
    name: &'static str,
    /// It mostly waits for its switch, so that others can be measured meanwhile.
    waits: bool,
    measure: fn() -> Result<Took>,
}

static CASES: [Case; 9] = [
    Case { name: "xdp", waits: false, measure: edge::measure },
    Case { name: "nftables", waits: false, measure: external::nftables },
    Case { name: "haproxy", waits: false, measure: external::haproxy },
    Case { name: "dfp", waits: false, measure: balancer::measure },
    Case { name: "command", waits: false, measure: external::command },
    Case {
        name: "serveriron-cli, 0 ms an operation",
        waits: false,
        measure: || external::command_line(Duration::ZERO),
    },
    Case {
        name: "serveriron-snmp, 0 ms an operation",
        waits: false,
        measure: || external::snmp(Duration::ZERO),
    },
    Case {
        name: "serveriron-cli, 22 ms an operation",
        waits: true,
        measure: || external::command_line(ORIGINAL),
    },
    Case {
        name: "serveriron-snmp, 22 ms an operation",
        waits: true,
        measure: || external::snmp(ORIGINAL),
    },
];

/// Of one adapter, medians.
struct Took {
    /// For so many changes as [`COUNTS`] has.
    changes: [Duration; COUNTS.len()],
    /// For all bindings, after a reboot.
    refill: Duration,
}

/// One line of the table.
pub(super) struct Row {
    case: &'static str,
    took: Took,
}

/// Those that the filter takes.
pub(super) fn measure(filter: &Filter) -> Result<Vec<Row>> {
    let cases = CASES.iter().filter(|case| filter.takes("adapters", case.name));
    let (slow, fast): (Vec<_>, Vec<_>) = cases.partition(|case| case.waits);
    if !slow.is_empty() {
        eprintln!("what takes 22 ms an operation takes about two minutes, beside the others");
    }
    thread::scope(|scope| {
        let slow: Vec<_> = slow.into_iter().map(|case| scope.spawn(move || case.run())).collect();
        let mut rows = fast.into_iter().map(Case::run).collect::<Result<Vec<_>>>()?;
        for case in slow {
            match case.join() {
                Ok(row) => rows.push(row?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(rows)
    })
}

impl Case {
    fn run(&self) -> Result<Row> {
        eprintln!("changes of bindings, {}", self.name);
        let took = routed(self.measure).context(self.name)?;
        Ok(Row { case: self.name, took })
    }
}

fn service() -> Result<ServiceSpec> {
    Ok(ServiceSpec::tcp(SERVICE.parse::<Name>()?, VIP.parse::<Vip>()?, Mode::L2))
}

/// Gives the first servers a weight.
fn binds(servers: u16, weight: u16) -> Vec<Change> {
    let bind = |server| Change::PutBinding(key(server), Binding::new(weight, Phase::Serve));
    (0..servers).map(bind).collect()
}

fn key(server: u16) -> BindingKey {
    let service = SERVICE.parse().expect("a valid name");
    BindingKey { service, backend: SocketAddr::from((ip(server), 80)) }
}

pub(super) fn print(rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    let counts = COUNTS
        .map(|count| {
            let count = format!("{count} changes");
            format!("{count:>17}")
        })
        .concat();
    let refill = format!("refill of {SERVERS}");
    println!("\n{:36}{counts}{refill:>17}", "ms (ms a change)");
    let original = Took {
        changes: COUNTS.map(|count| ORIGINAL * u32::from(count)),
        refill: ORIGINAL * u32::from(SERVERS),
    };
    let lines = rows.iter().map(|Row { case, took }| (*case, took));
    for (case, took) in lines.chain([("original switch, 22 ms a change", &original)]) {
        let all = COUNTS.into_iter().zip(took.changes).chain([(SERVERS, took.refill)]);
        let cells = all.map(|(count, time)| {
            let ms = time.as_secs_f64() * 1e3;
            let cell = format!("{} ({})", shown(ms), shown(ms / f64::from(count)));
            format!("{cell:>17}")
        });
        println!("{case:36}{}", cells.collect::<String>());
    }
}

/// With as many decimals as mean something.
fn shown(ms: f64) -> String {
    let decimals = match ms {
        100.0.. => 0,
        1.0.. => 1,
        _ => 3,
    };
    format!("{ms:.decimals$}")
}

pub(super) fn rows(rows: &[Row]) -> Vec<Value> {
    let row = |Row { case, took }: &Row| {
        let changes = COUNTS.into_iter().zip(took.changes);
        let changes = changes.map(|(count, time)| json!({"count": count, "ns": ns(time)}));
        json!({
            "case": case,
            "changes": changes.collect::<Vec<_>>(),
            "refilled": SERVERS,
            "refill_ns": ns(took.refill),
        })
    };
    rows.iter().map(row).collect()
}

fn ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}
