//! Steps, written.

use std::{collections::BTreeMap, future::Future, net::Ipv4Addr, sync::Arc};

use async_snmp::Client;
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    super::{
        config::{Bind, Config},
        driver::Outcome,
        steps::Step,
    },
    Session, binding,
    read::{Rows, failure},
    tables::{self, Pdu},
};
use crate::switch::Failure;

/// Requests that are under way at once.
const WINDOW: usize = 8;

/// Takes steps: those that do not need each other, several at a time.
pub(super) async fn run(
    session: &Session,
    steps: &[Step],
    config: &mut Config,
    rows: &mut Rows,
) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let weights: BTreeMap<_, _> = steps.iter().filter_map(weight).collect();
    let held: BTreeMap<Bind, u32> =
        rows.iter().filter_map(|(index, bind)| bind.map(|bind| (bind, *index))).collect();
    for wave in waves(steps, config) {
        let mut sets = Window::default();
        let mut add = |step: Step, pdu: Pdu| {
            let client = session.writes.clone();
            sets.add(async move { Ok((step, set(&client, &pdu).await?)) });
        };
        let mut binds = Vec::new();
        for step in wave {
            match step {
                // A row that is made has its weight from the beginning.
                Step::Weigh(real, _) if !config.reals.contains_key(real) => {}
                Step::Weigh(real, weight)
                    if config.reals.get(real).is_some_and(|real| real.weight == *weight) => {}
                // No object does that, and the capabilities say so.
                Step::Break(_) => outcome.taken.push(step.clone()),
                Step::Bind(pairs) => binds.extend(pairs),
                Step::Unbind(bind) => {
                    if let Some(index) = held.get(bind) {
                        add(step.clone(), tables::unbind(*index));
                    }
                }
                _ => {
                    let weight = match step {
                        Step::AddReal(real) => weights.get(real).copied(),
                        _ => None,
                    };
                    if let Some(pdu) = tables::set(step, config, weight) {
                        add(step.clone(), pdu);
                    }
                }
            }
        }
        for (step, set) in sets.finish().await? {
            if let Err(words) = set {
                outcome.refusals.push(format!("{}: {words}", subject(&step)));
                continue;
            }
            config.take(&step);
            match &step {
                Step::AddReal(address) => {
                    if let Some(weight) = weights.get(address) {
                        config.take(&Step::Weigh(*address, *weight));
                    }
                }
                Step::Unbind(bind) => {
                    held.get(bind).map(|index| rows.remove(index));
                }
                _ => {}
            }
            outcome.taken.push(step);
        }
        binding::make(session, binds, config, rows, &mut outcome).await?;
    }
    Ok(outcome)
}

fn weight(step: &Step) -> Option<(Ipv4Addr, u32)> {
    match step {
        Step::Weigh(real, weight) => Some((*real, *weight)),
        _ => None,
    }
}

/// Steps that do not need each other, one after the other.
pub(super) fn waves<'a>(steps: &'a [Step], config: &Config) -> Vec<Vec<&'a Step>> {
    let mut waves: BTreeMap<usize, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        waves.entry(rank(step, config)).or_default().push(step);
    }
    waves.into_values().collect()
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

/// Requests, of which some are under way at once. Dropped, they are given up.
pub(super) struct Window<T> {
    turns: Arc<Semaphore>,
    tasks: JoinSet<Result<T, Failure>>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(WINDOW)), tasks: JoinSet::new() }
    }
}

impl<T: Send + 'static> Window<T> {
    pub fn add(&mut self, request: impl Future<Output = Result<T, Failure>> + Send + 'static) {
        let turns = Arc::clone(&self.turns);
        self.tasks.spawn(async move {
            let _turn = turns.acquire().await;
            request.await
        });
    }

    /// What became of all of them; or the first failure, which is that of the others too.
    pub async fn finish(mut self) -> Result<Vec<T>, Failure> {
        let mut all = Vec::with_capacity(self.tasks.len());
        while let Some(done) = self.tasks.join_next().await {
            all.push(done.map_err(|error| Failure::Lost(error.to_string()))??);
        }
        Ok(all)
    }
}

/// What a refusal is about.
pub(super) fn subject(step: &Step) -> String {
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

/// Sets objects. The box may refuse that, in its own words.
pub(super) async fn set(client: &Client, pdu: &Pdu) -> Result<Result<(), String>, Failure> {
    match client.set_many(pdu).await.map_err(|error| failure(&error)) {
        Ok(_) => Ok(Ok(())),
        Err(Failure::Refused(words)) => Ok(Err(words)),
        Err(failure) => Err(failure),
    }
}
