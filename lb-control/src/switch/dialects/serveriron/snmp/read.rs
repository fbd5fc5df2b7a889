//! Tables, read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use async_snmp::{Client, Error, ErrorKind, Oid, Value, WalkOptions};
use tokio::{time::timeout, try_join};

use super::{
    super::config::{Activity, Bind, Config, Doing, PortDoing, Real, Virtual},
    tables::{self, Column},
};
use crate::switch::Failure;

/// Rows of a table that are read: more is no table of such a box.
const ROWS: usize = 8192;
/// For a whole table, however slowly it comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// `snL4…DeleteState`: it waits to be unbound, or to be deleted.
const WAITS: [i64; 2] = [1, 2];

/// Rows of the table of bindings: each index that is taken, and by what, where that
/// makes sense.
pub(super) type Rows = BTreeMap<u32, Option<Bind>>;

/// Index and value of each row.
type Cells = Vec<(Vec<u32>, Value)>;

/// A failed request: the box's refusal, or a lost connection.
pub(super) fn failure(error: &Error) -> Failure {
    match error {
        Error::Snmp { status, oid, .. } => {
            let object = oid.as_deref().map(|oid| format!(" at {}", tables::name(oid)));
            Failure::Refused(format!("{status}{}", object.unwrap_or_default()))
        }
        Error::Exchange { source, .. } => failure(source),
        _ if error.kind() == ErrorKind::Auth => {
            Failure::Lost("it refuses the login, or is not who it should be".into())
        }
        _ => Failure::Lost(shown(error)),
    }
}

/// Without what a hostile answer may have put there.
fn shown(error: &Error) -> String {
    let text: String = error.to_string().chars().take(200).collect();
    text.escape_debug().to_string()
}

/// All rows of a column.
async fn column(client: &Client, column: Column) -> Result<Cells, Failure> {
    let root = column.oid();
    let options = WalkOptions { result_limit: Some(ROWS), ..WalkOptions::default() };
    let walk = async {
        let mut cells = Vec::new();
        let mut walk = client.walk_with(root.clone(), options).map_err(|e| failure(&e))?;
        while let Some(binding) = walk.next().await {
            let binding = binding.map_err(|error| failure(&error))?;
            if let Some(index) = binding.oid.strip_prefix(&root) {
                cells.push((index.arcs().to_vec(), binding.value));
            }
            if cells.len() >= ROWS {
                return Err(Failure::Lost(format!(
                    "its table {} has more than {ROWS} rows",
                    tables::name(&root)
                )));
            }
        }
        Ok(cells)
    };
    let late = |_| Failure::Lost(format!("its tables are not read within {PATIENCE:?}"));
    match timeout(PATIENCE, walk).await.map_err(late)? {
        // To read is no part of what can be refused.
        Err(Failure::Refused(words)) => {
            Err(Failure::Lost(format!("it does not let read: {words}")))
        }
        other => other,
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_i32().map(i64::from).or_else(|| value.as_u64().and_then(|v| i64::try_from(v).ok()))
}

fn port(value: &Value) -> Option<u16> {
    number(value).and_then(|value| u16::try_from(value).ok())
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let fit = (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic());
    fit.then(|| text.to_owned())
}

/// The configuration, and the rows of its bindings.
pub(super) async fn config(client: &Client) -> Result<(Config, Rows), Failure> {
    let (names, weights, ports, virtuals, virtual_ports, rows) = try_join!(
        column(client, tables::REAL_NAME),
        column(client, tables::REAL_WEIGHT),
        column(client, tables::PORT_STATUS),
        column(client, tables::VIRTUAL_NAME),
        column(client, tables::VIRTUAL_PORT_STATUS),
        bind_cells(client),
    )?;
    let mut config = Config::default();
    for (index, value) in names {
        if let (Some(address), Some(name)) = (tables::address(&index), text(&value)) {
            config.reals.insert(address, Real { name, ..Real::new(address) });
        }
    }
    for (index, value) in weights {
        let real = tables::address(&index).and_then(|address| config.reals.get_mut(&address));
        let weight = number(&value).and_then(|weight| u32::try_from(weight).ok());
        if let (Some(real), Some(weight)) = (real, weight) {
            real.weight = weight;
        }
    }
    for (index, value) in ports {
        if let Some(at) = tables::address_and_port(&index)
            && let Some(real) = config.reals.get_mut(at.ip())
        {
            real.ports.insert(at.port(), number(&value) == Some(1));
        }
    }
    for (index, value) in virtuals {
        if let (Some(address), Some(name)) = (tables::address(&index), text(&value)) {
            config.virtuals.insert(address, Virtual { name, ports: BTreeSet::new() });
        }
    }
    for (index, _) in virtual_ports {
        if let Some(at) = tables::address_and_port(&index)
            && let Some(server) = config.virtuals.get_mut(at.ip())
        {
            server.ports.insert(at.port());
        }
    }
    let rows = rows.bindings(&config);
    config.binds = rows.values().flatten().copied().collect();
    Ok((config, rows))
}

/// The columns of the table of bindings.
struct BindCells {
    virtuals: Cells,
    virtual_ports: Cells,
    reals: Cells,
    real_ports: Cells,
}

async fn bind_cells(client: &Client) -> Result<BindCells, Failure> {
    let (virtuals, virtual_ports, reals, real_ports) = try_join!(
        column(client, tables::BIND_VIRTUAL),
        column(client, tables::BIND_VIRTUAL_PORT),
        column(client, tables::BIND_REAL),
        column(client, tables::BIND_REAL_PORT),
    )?;
    Ok(BindCells { virtuals, virtual_ports, reals, real_ports })
}

impl BindCells {
    fn bindings(self, config: &Config) -> Rows {
        let vips: BTreeMap<&str, Ipv4Addr> =
            config.virtuals.iter().map(|(at, server)| (server.name.as_str(), *at)).collect();
        let reals: BTreeMap<&str, Ipv4Addr> =
            config.reals.iter().map(|(at, real)| (real.name.as_str(), *at)).collect();
        #[derive(Default)]
        struct Row {
            service: (Option<Ipv4Addr>, Option<u16>),
            server: (Option<Ipv4Addr>, Option<u16>),
        }
        let mut rows: BTreeMap<u32, Row> = BTreeMap::new();
        let mut each = |cells: Cells, take: &dyn Fn(&mut Row, &Value)| {
            for (index, value) in cells {
                if let [index] = index.as_slice() {
                    take(rows.entry(*index).or_default(), &value);
                }
            }
        };
        each(self.virtuals, &|row, value| {
            row.service.0 = value.as_str().and_then(|name| vips.get(name).copied());
        });
        each(self.virtual_ports, &|row, value| row.service.1 = port(value));
        each(self.reals, &|row, value| {
            row.server.0 = value.as_str().and_then(|name| reals.get(name).copied());
        });
        each(self.real_ports, &|row, value| row.server.1 = port(value));
        let whole = |row: Row| {
            let service = SocketAddrV4::new(row.service.0?, row.service.1?);
            Some(Bind { service, server: SocketAddrV4::new(row.server.0?, row.server.1?) })
        };
        rows.into_iter().map(|(index, row)| (index, whole(row))).collect()
    }
}

/// What real servers are doing.
pub(super) async fn activity(client: &Client) -> Result<Activity, Failure> {
    let (reals, deleted, states, current, total, ports_deleted) = try_join!(
        column(client, tables::DOING_STATE),
        column(client, tables::REAL_DELETE),
        column(client, tables::DOING_PORT_STATE),
        column(client, tables::DOING_PORT_CURRENT),
        column(client, tables::DOING_PORT_TOTAL),
        column(client, tables::PORT_DELETE),
    )?;
    let mut activity = Activity::default();
    for (index, _) in reals {
        if let Some(address) = tables::address(&index) {
            activity.reals.insert(address, Doing::default());
        }
    }
    for (index, value) in deleted {
        let real = tables::address(&index).and_then(|address| activity.reals.get_mut(&address));
        if let Some(real) = real {
            real.going = number(&value).is_some_and(|state| WAITS.contains(&state));
        }
    }
    let mut each = |cells: Cells, take: &dyn Fn(&mut PortDoing, i64)| {
        for (index, value) in cells {
            if let Some(at) = tables::address_and_port(&index)
                && let Some(value) = number(&value)
            {
                let real = activity.reals.entry(*at.ip()).or_default();
                take(real.ports.entry(at.port()).or_default(), value);
            }
        }
    };
    each(states, &|port, state| port.going |= tables::GOING.contains(&state));
    each(ports_deleted, &|port, state| port.going |= WAITS.contains(&state));
    each(current, &|port, count| port.connections = u64::try_from(count).unwrap_or(0));
    each(total, &|port, count| port.total = u64::try_from(count).unwrap_or(0));
    Ok(activity)
}

/// Who has a row of the table of bindings: names of the virtual and the real server.
pub(super) type Owner = Option<(String, String)>;

/// Rows whose owners fit into one request.
pub(super) const OWNERS: usize = super::OBJECTS / 2;

/// Who has each of so many rows as [`OWNERS`], in their order.
pub(super) async fn owners(client: &Client, indexes: &[u32]) -> Result<Vec<Owner>, Failure> {
    let row = |index: &u32| [tables::BIND_VIRTUAL.at([*index]), tables::BIND_REAL.at([*index])];
    let objects: Vec<_> = indexes.iter().flat_map(row).collect();
    let values = get(client, &objects).await?;
    let owner = |row: &[Value]| {
        let [vip, real] = row else { return None };
        text(vip).zip(text(real))
    };
    Ok(values.chunks(2).map(owner).collect())
}

/// Values of objects, in their order; an object that is not there has an exception's.
pub(super) async fn get(client: &Client, objects: &[Oid]) -> Result<Vec<Value>, Failure> {
    let answer = client.get_many(objects).await.map_err(|error| failure(&error))?;
    let same = answer.varbinds.len() == objects.len()
        && answer.varbinds.iter().zip(objects).all(|(binding, object)| binding.oid == *object);
    if !same {
        return Err(Failure::Lost("it answers about objects that it was not asked for".into()));
    }
    Ok(answer.varbinds.into_iter().map(|binding| binding.value).collect())
}
