//! Steps, written.

use std::{collections::BTreeMap, sync::Arc};

use async_snmp::Client;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    super::{
        config::{Bind, Config, real_name},
        driver::Outcome,
        steps::Step,
    },
    read::{self, Rows, failure},
    tables::{self, Pdu},
};
use crate::switch::Failure;

/// Requests that are under way at once.
const WINDOW: usize = 8;
/// Rows that are tried for a binding, where others take them first.
const TRIES: usize = 3;

/// Takes steps: those that do not need each other, several at a time.
pub(super) async fn run(
    client: &Client,
    steps: &[Step],
    config: &mut Config,
    rows: &mut Rows,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let mut waves: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        waves.entry(rank(step, config)).or_default().push(step);
    }
    let weights: BTreeMap<_, _> = steps.iter().filter_map(weight).collect();
    for wave in waves.into_values() {
        let mut tasks = Tasks::new(client);
        for step in wave {
            match step {
                // A row that is made has its weight from the beginning.
                Step::Weigh(real, _) if !config.reals.contains_key(real) => {}
                Step::Weigh(real, weight)
                    if config.reals.get(real).is_some_and(|real| real.weight == *weight) => {}
                // No object does that, and the capabilities say so.
                Step::Break(_) => outcome.taken.push(step.clone()),
                Step::Bind(binds) => {
                    for bind in binds {
                        bind_one(*bind, config, rows, &mut tasks, &mut outcome);
                    }
                }
                Step::Unbind(bind) => {
                    let row = rows.iter().find(|(_, held)| **held == Some(*bind));
                    if let Some((&index, _)) = row {
                        tasks.set(step.clone(), tables::unbind(index), index);
                    }
                }
                _ => {
                    let weight = match step {
                        Step::AddReal(real) => weights.get(real).copied(),
                        _ => None,
                    };
                    if let Some(pdu) = tables::set(step, config, weight) {
                        tasks.set(step.clone(), pdu, 0);
                    }
                }
            }
        }
        tasks.finish(config, rows, &weights, &mut outcome).await?;
    }
    Ok(outcome)
}

fn weight(step: &Step) -> Option<(std::net::Ipv4Addr, u32)> {
    match step {
        Step::Weigh(real, weight) => Some((*real, *weight)),
        _ => None,
    }
}

/// The wave of a step: what a step needs is in an earlier one.
fn rank(step: &Step, config: &Config) -> usize {
    match step {
        Step::Port(server, false) if config.enabled(*server).is_some() => 0,
        Step::AddReal(_) => 1,
        Step::Weigh(..) => 2,
        Step::Port(..) => 3,
        Step::AddVirtual(..) => 4,
        Step::AddVirtualPort(_) => 5,
        Step::Bind(_) => 6,
        Step::Break(_) => 7,
        Step::Unbind(_) => 8,
        Step::RemovePort(_) => 9,
        Step::RemoveReal(_) => 10,
        Step::RemoveVirtualPort(_) => 11,
        Step::RemoveVirtual(_) => 12,
    }
}

fn bind_one(
    bind: Bind,
    config: &Config,
    rows: &mut Rows,
    tasks: &mut Tasks,
    outcome: &mut Outcome,
) {
    let Some(name) = config.virtual_name(*bind.service.ip()) else {
        outcome.refusals.push(format!("{}: its virtual server is not there", bind.service));
        return;
    };
    let Some(indexes) = free(rows) else {
        let full = "its table of bindings is full";
        outcome.refusals.push(format!("{} to {}: {full}", bind.service, bind.server));
        return;
    };
    // Spoken for, also where another is taken in the end.
    for index in &indexes {
        rows.insert(*index, None);
    }
    tasks.bind(bind, name.to_owned(), indexes);
}

/// Free indexes, at random: another manager that looks for some finds others.
fn free(rows: &Rows) -> Option<Vec<u32>> {
    let free: Vec<_> = (1..=tables::BINDS).filter(|index| !rows.contains_key(index)).collect();
    let few = fastrand::choose_multiple(&free, TRIES).into_iter().copied().collect::<Vec<_>>();
    (!few.is_empty()).then_some(few)
}

/// What became of one request: the row that a binding has, where it is one.
type Done = (Step, Result<u32, Failure>);

/// Requests under way.
struct Tasks {
    client: Client,
    window: Arc<Semaphore>,
    tasks: JoinSet<Done>,
}

impl Tasks {
    fn new(client: &Client) -> Self {
        let window = Arc::new(Semaphore::new(WINDOW));
        Self { client: client.clone(), window, tasks: JoinSet::new() }
    }

    fn set(&mut self, step: Step, pdu: Pdu, index: u32) {
        let (client, window) = (self.client.clone(), self.window.clone());
        self.tasks.spawn(async move {
            let _turn = window.acquire().await;
            let set = set(&client, &pdu).await;
            (step, set.map(|()| index))
        });
    }

    fn bind(&mut self, bind: Bind, name: String, indexes: Vec<u32>) {
        let (client, window) = (self.client.clone(), self.window.clone());
        self.tasks.spawn(async move {
            let _turn = window.acquire().await;
            (Step::Bind(vec![bind]), make(&client, bind, &name, &indexes).await)
        });
    }

    async fn finish(
        mut self,
        config: &mut Config,
        rows: &mut Rows,
        weights: &BTreeMap<std::net::Ipv4Addr, u32>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        while let Some(done) = self.tasks.join_next().await {
            let (step, result) = done.map_err(|error| Failure::Lost(error.to_string()))?;
            let index = match result {
                Ok(index) => index,
                Err(Failure::Refused(words)) => {
                    outcome.refusals.push(format!("{}: {words}", subject(&step)));
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            config.take(&step);
            match &step {
                Step::AddReal(address) => {
                    if let Some(weight) = weights.get(address) {
                        config.take(&Step::Weigh(*address, *weight));
                    }
                }
                Step::Bind(binds) => {
                    rows.insert(index, binds.first().copied());
                }
                Step::Unbind(_) => {
                    rows.remove(&index);
                }
                _ => {}
            }
            outcome.taken.push(step);
        }
        Ok(())
    }
}

/// What a refusal is about.
fn subject(step: &Step) -> String {
    match step {
        Step::AddReal(address)
        | Step::Weigh(address, _)
        | Step::Break(address)
        | Step::RemoveReal(address) => format!("real server {address}"),
        Step::Port(server, _) | Step::RemovePort(server) => format!("port {server}"),
        Step::AddVirtual(address, name) => format!("virtual server {name} {address}"),
        Step::RemoveVirtual(address) => format!("virtual server {address}"),
        Step::AddVirtualPort(service) | Step::RemoveVirtualPort(service) => {
            format!("virtual port {service}")
        }
        Step::Bind(binds) => binds
            .iter()
            .map(|bind| format!("binding of {} to {}", bind.service, bind.server))
            .collect::<Vec<_>>()
            .join(", "),
        Step::Unbind(bind) => format!("binding of {} to {}", bind.service, bind.server),
    }
}

async fn set(client: &Client, pdu: &Pdu) -> Result<(), Failure> {
    client.set_many(pdu).await.map(|_| ()).map_err(|error| failure(&error))
}

/// Makes a binding's row, and looks whether it is ours: another manager may take the
/// same index at the same time.
async fn make(client: &Client, bind: Bind, name: &str, indexes: &[u32]) -> Result<u32, Failure> {
    let ours = (name.to_owned(), real_name(*bind.server.ip()));
    let mut refusal = Failure::Refused("no row is free".into());
    for &index in indexes {
        let set = set(client, &tables::bind(bind, name, index)).await;
        let owner = read::owner(client, index).await?;
        match set {
            Ok(()) if owner.as_ref() == Some(&ours) => return Ok(index),
            Ok(()) => refusal = Failure::Refused(format!("row {index} is another's now")),
            // Nobody has it: it is not the index that is refused.
            Err(Failure::Refused(words)) if owner.is_none() => return Err(Failure::Refused(words)),
            Err(Failure::Refused(words)) => refusal = Failure::Refused(words),
            Err(failure) => return Err(failure),
        }
    }
    Err(refusal)
}
