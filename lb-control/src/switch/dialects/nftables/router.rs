//! This host as a switch: what its table holds, and how that changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::{Duration, Instant},
};

use super::{
    Options,
    attribute::Attribute,
    conntrack,
    delta::{comment, delta},
    dump::{Dump, handle, totals},
    key::{Family, Path},
    link::{Error, Kernel, Link, Message},
    recognise::{Making, recognise},
    ruleset::{Ruleset, fronts},
    uapi::*,
};
use crate::{
    model::{BindingKey, Name, Phase},
    switch::{Count, Failure, Plan, PlannedService},
};

/// How often a change is tried anew because others change the ruleset meanwhile.
const TRIES: usize = 8;
/// Counting connections takes one part of so many of the time, where there are many.
const CENSUS: u32 = 20;
/// Between two counts while nothing leaves: each looks into all of conntrack's buckets,
/// and a change that comes meanwhile waits.
const LEISURE: Duration = Duration::from_secs(10);

pub(super) struct Router {
    options: Options,
    timeout: Duration,
    pub(super) link: Option<Box<dyn Kernel>>,
    held: Option<Held>,
    /// What was read or made last.
    expected: Option<Plan>,
    /// Bindings that are gone, and whose connections are to go.
    gone: BTreeSet<Path>,
    connections: BTreeMap<Path, u64>,
    next_census: Instant,
}

/// What the kernel holds.
struct Held {
    /// Of the ruleset, when this was so.
    generation: u32,
    table: Table,
}

enum Table {
    Missing,
    /// Not as we would make it.
    Altered,
    Ours {
        handle: u64,
        seed: u32,
        plan: Plan,
    },
}

impl Router {
    pub(super) fn new(options: Options, timeout: Duration) -> Self {
        Self {
            options,
            timeout,
            link: None,
            held: None,
            expected: None,
            gone: BTreeSet::new(),
            connections: BTreeMap::new(),
            next_census: Instant::now(),
        }
    }

    /// A table that somebody has changed is made anew with the plan that is next, so
    /// that all of it changes at once. If nothing else in the plan is to change, that
    /// is now.
    pub(super) fn read(&mut self) -> Result<Plan, Failure> {
        let plan = self.look().map_err(|error| self.lost(error))?;
        let known = self.expected.as_ref() == Some(&plan);
        if known && matches!(self.held, Some(Held { table: Table::Altered, .. })) {
            tracing::warn!(table = self.options.table, "somebody has changed it: it is made anew");
            self.change(plan.clone()).map_err(|error| self.lost(error))?;
        }
        self.expected = Some(plan.clone());
        Ok(plan)
    }

    /// What cannot be done of it is refused, in words; the rest is done.
    pub(super) fn apply(&mut self, plan: &Plan) -> Result<(), Failure> {
        let (plan, unfit) = fit(plan);
        match self.change(plan) {
            Ok(()) if unfit.is_empty() => Ok(()),
            Ok(()) => Err(Failure::Refused(unfit.join("; "))),
            Err(error @ Error::Refused(..)) => {
                self.held = None;
                Err(Failure::Refused(explain(&error)))
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    pub(super) fn poll(&mut self) -> Result<Vec<Count>, Failure> {
        let Some(Held { table: Table::Ours { handle: known, .. }, .. }) = self.held else {
            return Ok(Vec::new());
        };
        match self.counts(known) {
            Ok(Some(counts)) => Ok(counts),
            Ok(None) => {
                self.held = None;
                Err(Failure::Rebooted(format!("table inet {} is gone", self.options.table)))
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    fn lost(&mut self, error: Error) -> Failure {
        self.link = None;
        self.held = None;
        Failure::Lost(explain(&error))
    }

    fn link(&mut self) -> io::Result<&mut dyn Kernel> {
        let link = match self.link.take() {
            Some(link) => link,
            None => Box::new(Link::open(self.timeout)?),
        };
        Ok(self.link.insert(link).as_mut())
    }

    /// Reads all anew.
    fn look(&mut self) -> Result<Plan, Error> {
        let name = self.options.table.clone();
        let (generation, dump) = Dump::read(self.link()?, &name)?;
        let Some(dump) = dump else {
            self.held = Some(Held { generation, table: Table::Missing });
            return Ok(Plan::default());
        };
        let seen = recognise(&name, &dump).ok_or(Error::Foreign(name))?;
        let as_asked = |making: &Making| making.masquerade == self.options.masquerade;
        let table = match seen.whole.filter(as_asked) {
            Some(Making { seed, .. }) => {
                Table::Ours { handle: dump.handle, seed, plan: seen.plan.clone() }
            }
            None => Table::Altered,
        };
        if seen.whole.is_some() && matches!(table, Table::Altered) {
            // Its options are others now.
            self.expected = Some(seen.plan.clone());
        }
        self.held = Some(Held { generation, table });
        Ok(seen.plan)
    }

    fn change(&mut self, plan: Plan) -> Result<(), Error> {
        for _ in 0..TRIES {
            if self.held.is_none() {
                self.look()?;
            }
            let Some(held) = self.held.take() else { continue };
            let (seed, old) = match &held.table {
                Table::Ours { seed, plan, .. } => (*seed, Some(plan)),
                Table::Missing | Table::Altered => (fastrand::u32(..), None),
            };
            let nothing = Plan::default();
            let (before, after) = differing(old.unwrap_or(&nothing), &plan);
            let (had, has) = (paths(&before), paths(&after));
            // Connections that were broken stay so when their backend is back.
            let back = |path: &&Path| {
                let was_broken = had.get(*path) == Some(&Phase::Break);
                let is_broken = has.get(*path) == Some(&Phase::Break);
                self.gone.contains(*path) || (was_broken && !is_broken)
            };
            let back: BTreeSet<_> = has.keys().filter(back).copied().collect();
            if !back.is_empty() {
                conntrack::census(self.link()?, &back)?;
                self.gone.retain(|path| !back.contains(path));
            }
            let steps = self.steps(&held.table, seed, (before, after));
            if !steps.is_empty() {
                match self.link()?.commit(held.generation, &steps) {
                    Ok(()) => {}
                    Err(Error::Changed) => continue,
                    Err(error) => return Err(error),
                }
            }
            self.gone.extend(had.keys().filter(|path| !has.contains_key(path)));
            // Counts of before know nothing of what begins until now.
            self.next_census = Instant::now();
            let known = match held.table {
                Table::Ours { handle, .. } => Some(handle),
                Table::Missing | Table::Altered => {
                    let table = self.options.table.clone();
                    handle(self.link()?, &table)?
                }
            };
            let Some(handle) = known else { continue };
            // If another change came between, the next one is refused, and looks anew.
            let next = held.generation.wrapping_add(1).max(1);
            let generation = if steps.is_empty() { held.generation } else { next };
            self.expected = Some(plan.clone());
            self.held = Some(Held { generation, table: Table::Ours { handle, seed, plan } });
            return Ok(());
        }
        Err(Error::Changed)
    }

    fn steps(
        &self,
        held: &Table,
        seed: u32,
        (before, after): (Services, Services),
    ) -> Vec<Message> {
        let (table, masquerade) = (&self.options.table, self.options.masquerade);
        let name = Attribute::text(TABLE_NAME, table);
        let mut steps = Vec::new();
        if matches!(held, Table::Altered) {
            steps.push(Message::delete(DELTABLE, format!("delete table {table}"), [name.clone()]));
        }
        let old = if matches!(held, Table::Ours { .. }) {
            Ruleset::of(before, masquerade, seed)
        } else {
            let label = comment(&Making { masquerade, seed }.label());
            let userdata = Attribute::bytes(TABLE_USERDATA, label);
            let new = [name, Attribute::u32(TABLE_FLAGS, 0), userdata];
            steps.push(Message::create(NEWTABLE, format!("add table {table}"), new));
            Ruleset::default()
        };
        steps.extend(delta(table, &old, &Ruleset::of(after, masquerade, seed)));
        steps
    }

    /// Whether somebody waits for connections to end.
    fn leaves(&self) -> bool {
        let Some(Held { table: Table::Ours { plan, .. }, .. }) = &self.held else { return false };
        let mut servers = plan.services.values().flat_map(|service| service.servers.values());
        servers.any(|server| server.phase == Phase::Drain)
    }

    /// None: it is not the table of before.
    fn counts(&mut self, known: u64) -> Result<Option<Vec<Count>>, Error> {
        let table = self.options.table.clone();
        let link = self.link()?;
        if handle(link, &table)? != Some(known) {
            return Ok(None);
        }
        let totals = totals(link, &table)?;
        if !self.gone.is_empty() || Instant::now() >= self.next_census {
            let begun = Instant::now();
            let gone = self.gone.clone();
            self.connections = conntrack::census(self.link()?, &gone)?;
            self.gone.clear();
            let pause = begun.elapsed() * (CENSUS - 1);
            let pause = if self.leaves() { pause } else { pause.max(LEISURE) };
            self.next_census = Instant::now() + pause;
        }
        let Some(Held { table: Table::Ours { plan, .. }, .. }) = &self.held else {
            return Ok(None);
        };
        let services = plan.services.iter();
        let names: BTreeMap<_, _> = services
            .flat_map(|(name, service)| fronts(service).map(move |front| (front, name)))
            .collect();
        let mut counts: BTreeMap<BindingKey, Count> = BTreeMap::new();
        for (path, total) in totals {
            let Some(&service) = names.get(&path.front) else { continue };
            let key = BindingKey { service: service.clone(), backend: path.backend };
            let empty = Count { key: key.clone(), connections: 0, total: 0 };
            let count = counts.entry(key).or_insert(empty);
            count.connections += self.connections.get(&path).copied().unwrap_or(0);
            count.total += total;
        }
        Ok(Some(counts.into_values().collect()))
    }
}

type Services<'a> = Vec<(&'a Name, &'a PlannedService)>;

/// The services that are not alike, as they are and as they are to be.
fn differing<'a>(old: &'a Plan, new: &'a Plan) -> (Services<'a>, Services<'a>) {
    let only = |these: &'a Plan, those: &Plan| {
        let differs = |(name, service): &(&Name, &PlannedService)| {
            those.services.get(*name) != Some(*service)
        };
        these.services.iter().filter(differs).collect()
    };
    (only(old, new), only(new, old))
}

fn paths(services: &Services<'_>) -> BTreeMap<Path, Phase> {
    let of = |service: &PlannedService| -> Vec<_> {
        let servers = |front| {
            let path = move |backend: &_| Path { front, backend: *backend };
            service.servers.iter().map(move |(backend, server)| (path(backend), server.phase))
        };
        fronts(service).flat_map(servers).collect()
    };
    services.iter().flat_map(|(_, service)| of(service)).collect()
}

/// What can be done of a plan, and what not.
fn fit(plan: &Plan) -> (Plan, Vec<String>) {
    let mut plan = plan.clone();
    let mut unfit = Vec::new();
    for (name, service) in &mut plan.services {
        let family = Family::of(service.address);
        service.servers.retain(|backend, _| {
            let same = Family::of(backend.ip()) == family;
            if !same {
                unfit.push(format!(
                    "backend {name}/{backend}: the kernel does not translate between IPv4 and IPv6"
                ));
            }
            same
        });
    }
    (plan, unfit)
}

fn explain(error: &Error) -> String {
    let (Error::Io(inner) | Error::Refused(inner, _)) = error else { return error.to_string() };
    match inner.raw_os_error() {
        Some(libc::EPERM) => format!("{error} (the manager needs CAP_NET_ADMIN)"),
        Some(libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT) => format!(
            "{error} (has the kernel nf_tables with NAT, reject, numgen and hash, and conntrack's \
             netlink?)"
        ),
        _ => error.to_string(),
    }
}
