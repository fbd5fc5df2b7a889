//! Who may do what: the rules of `[[manager.allow]]`, as far as a peer has
//! proved who it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    net::IpAddr,
    time::Duration,
};

use super::{
    Command, Core, Event, Peer, Refusal, RefusalKind, SessionId, crowd::Crowd, notices::Notices,
};
use crate::{
    config::{AllowSettings, LimitSettings, Role},
    model::{AgentBinding, BindingKey, Identity, Name, Origin},
};

/// How long a peer that sent too much is not let in again.
const PENALTY: Duration = Duration::from_secs(10);
/// Peers whose penalty is remembered.
const PENALTIES: usize = 1024;

/// Rules, and those they are for.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    /// None: peers prove nothing, so that everybody who is there may do everything.
    rules: Option<Vec<AllowSettings>>,
    limits: LimitSettings,
    crowd: Crowd,
    /// Sessions that are ended from our side and may still have something to say.
    ended: BTreeSet<SessionId>,
    /// Until when somebody is not let in.
    penalties: BTreeMap<Origin, Duration>,
    notices: Notices,
}

/// What somebody wants. What is `None` is not asked for.
struct Want<'a> {
    role: Role,
    name: Option<&'a Name>,
    bind: Option<&'a AgentBinding>,
}

impl Authority {
    pub(super) fn new(rules: Option<Vec<AllowSettings>>, limits: LimitSettings) -> Self {
        Self {
            rules,
            limits,
            crowd: Crowd::default(),
            ended: BTreeSet::new(),
            penalties: BTreeMap::new(),
            notices: Notices::default(),
        }
    }

    /// Nothing that this session says counts any more.
    pub(super) fn has_ended(&self, session: SessionId) -> bool {
        self.ended.contains(&session)
    }

    pub(super) fn end(&mut self, session: SessionId) {
        if self.crowd.leave(session) {
            self.ended.insert(session);
        }
    }

    pub(super) fn forget(&mut self, session: SessionId) {
        self.crowd.leave(session);
        self.ended.remove(&session);
    }

    /// Whoever opened no session has proved nothing.
    fn origin(&self, session: SessionId) -> Origin {
        self.crowd.origin(session).cloned().unwrap_or_default()
    }

    /// Whether one more session may begin.
    fn open(&mut self, session: SessionId, origin: Origin, now: Duration) -> Result<(), String> {
        self.penalties.retain(|_, until| *until > now);
        let refusal = if let Some(until) = self.penalties.get(&origin) {
            let left = (*until - now).as_secs() + 1;
            Some(format!("{origin} has sent too much: it may come back in {left} s"))
        } else {
            self.crowded(&origin)
        };
        self.crowd.enter(session, origin);
        refusal.map_or(Ok(()), Err)
    }

    fn crowded(&self, origin: &Origin) -> Option<String> {
        let LimitSettings { sessions_per_identity, sessions_per_source, .. } = self.limits;
        let certified = matches!(origin.identity, Identity::Certificate(_));
        let theirs = self.crowd.of_identity(&origin.identity);
        if certified && theirs >= to_usize(sessions_per_identity) {
            return Some(format!(
                "{} has {sessions_per_identity} sessions already, which is \
                 manager.limits.sessions_per_identity",
                origin.identity
            ));
        }
        if self.crowd.of_source(origin.source) >= to_usize(sessions_per_source) {
            let source = origin.source.map_or("the local socket".to_owned(), |ip| ip.to_string());
            return Some(format!(
                "{source} has {sessions_per_source} sessions already, which is \
                 manager.limits.sessions_per_source"
            ));
        }
        None
    }

    fn punish(&mut self, origin: Origin, now: Duration) {
        if self.penalties.len() < PENALTIES {
            self.penalties.insert(origin, now + PENALTY);
        }
    }

    /// Whether the rules let somebody do what he wants.
    ///
    /// # Errors
    /// What is missing in the rules.
    fn allows(&self, origin: &Origin, want: &Want<'_>) -> Result<(), String> {
        let Some(rules) = self.rules.as_ref().filter(|_| origin.identity != Identity::Local) else {
            return Ok(());
        };
        let plays =
            |role: Role| role == want.role || (role, want.role) == (Role::Operator, Role::Viewer);
        let theirs = |rule: &AllowSettings| {
            plays(rule.role) && origin.identity.names().iter().any(|name| rule.identity.takes(name))
        };
        let mut missing = Vec::new();
        for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| theirs(rule)) {
            match shortfall(rule, origin, want) {
                None => return Ok(()),
                Some(what) => {
                    missing.push(format!("rule {} of [[manager.allow]] {what}", index + 1))
                }
            }
        }
        if !missing.is_empty() {
            missing.truncate(4);
            return Err(missing.join("; "));
        }
        let role = want.role.name();
        Err(match origin.identity.names().first() {
            Some(name) => {
                format!("no [[manager.allow]] has identity = \"{name}\" with role = \"{role}\"")
            }
            None => "[[manager.allow]] goes by the URI and DNS names of certificates".to_owned(),
        })
    }
}

/// Why a rule is not enough, where it is not.
fn shortfall(rule: &AllowSettings, origin: &Origin, want: &Want<'_>) -> Option<String> {
    let list = |items: &[String]| items.join(", ");
    fn shown<T: Display>(items: &[T]) -> Vec<String> {
        items.iter().map(ToString::to_string).take(10).collect()
    }
    if !rule.sources.is_empty()
        && !origin.source.is_some_and(|ip| rule.sources.iter().any(|p| p.takes(ip)))
    {
        return Some(format!("is for connections from {}", list(&shown(&rule.sources))));
    }
    if let Some(name) = want.name
        && !rule.names.is_empty()
        && !rule.names.iter().any(|pattern| pattern.takes(name.as_str()))
    {
        return Some(format!("is for the name {}", list(&shown(&rule.names))));
    }
    let AgentBinding { key: BindingKey { service, backend }, weight, .. } = want.bind?;
    if !rule.services.is_empty() && !rule.services.contains(service) {
        return Some(format!("is for service {}", list(&shown(&rule.services))));
    }
    if !rule.addresses.is_empty() && !rule.addresses.iter().any(|p| p.takes(backend.ip())) {
        return Some(format!("is for backends in {}", list(&shown(&rule.addresses))));
    }
    let most = rule.max_weight.filter(|most| weight > most)?;
    Some(format!("is for weights up to {most}, not {weight}"))
}

fn to_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Core {
    /// A connection is there; nothing is known but who is at its other end.
    pub(super) fn opened(&mut self, session: SessionId, origin: Origin) {
        if let Err(why) = self.authority.open(session, origin.clone(), self.now) {
            self.close(session, why.clone());
            self.tell_of_peer("peer.limited", &origin, None, why);
        }
    }

    /// Somebody has not come as far as to a session.
    pub(super) fn stranger(&mut self, source: IpAddr, reason: &str) {
        let origin = Origin { source: Some(source), ..Origin::default() };
        let message = format!("{source} was sent away before it could say anything: {reason}");
        self.tell_of_peer("peer.refused", &origin, None, message);
    }

    /// A peer sends more than it may.
    pub(super) fn excess(&mut self, session: SessionId) {
        let origin = self.authority.origin(session);
        let who = match self.sessions.get(&session) {
            Some(Peer::Agent(name)) => format!("agent `{name}` of {origin}"),
            Some(Peer::Switch(name)) => format!("switch `{name}` of {origin}"),
            None => origin.to_string(),
        };
        let why = format!(
            "{who} sends more than {} messages a second, which is \
             manager.limits.messages_per_second: its session is ended for {} s",
            self.authority.limits.messages_per_second,
            PENALTY.as_secs()
        );
        self.authority.punish(origin.clone(), self.now);
        let peer = self.sessions.get(&session).cloned();
        self.close(session, why.clone());
        self.tell_of_peer("peer.limited", &origin, None, why);
        match peer {
            Some(Peer::Agent(name)) => self.agent_closed(&name),
            Some(Peer::Switch(name)) => self.switch_closed(&name),
            None => {}
        }
    }

    /// Whether a session may be an agent, or an edge, of this name, that asks
    /// for so many bindings. One that may not is ended.
    pub(super) fn lets_in(
        &mut self,
        session: SessionId,
        role: Role,
        name: &Name,
        binds: usize,
        holder: Option<SessionId>,
    ) -> bool {
        let origin = self.authority.origin(session);
        let what = role.name();
        let most = self.authority.limits.binds_per_agent;
        let refusal = if let Err(missing) =
            self.authority.allows(&origin, &Want { role, name: Some(name), bind: None })
        {
            Some(("peer.refused", format!("{origin} may not be {what} `{name}`: {missing}")))
        } else if binds > to_usize(most) {
            let why = format!(
                "{what} `{name}` of {origin} asks for {binds} bindings, and may have {most}, \
                 which is manager.limits.binds_per_agent"
            );
            Some(("peer.limited", why))
        } else {
            let holder = holder.map(|session| self.authority.origin(session).identity);
            holder
                .filter(|holder| self.authority.rules.is_some() && *holder != origin.identity)
                .map(|holder| {
                    let why = format!(
                        "{origin} may not be {what} `{name}`: {holder} is connected by that name"
                    );
                    ("peer.refused", why)
                })
        };
        let Some((kind, why)) = refusal else { return true };
        self.close(session, why.clone());
        self.tell_of_peer(kind, &origin, None, why);
        false
    }

    /// Whether an agent may have what it asks for.
    ///
    /// # Errors
    /// For the agent, and published: what is missing in the rules.
    pub(super) fn may_bind(
        &mut self,
        session: SessionId,
        agent: &Name,
        bind: &AgentBinding,
    ) -> Result<(), String> {
        let origin = self.authority.origin(session);
        let want = Want { role: Role::Agent, name: Some(agent), bind: Some(bind) };
        let Err(missing) = self.authority.allows(&origin, &want) else { return Ok(()) };
        let why = format!("{origin} may not bind {} as agent `{agent}`: {missing}", bind.key);
        self.tell_of_peer("binding.refused", &origin, Some(&bind.key), why.clone());
        Err(why)
    }

    /// Whether somebody may give a command.
    ///
    /// # Errors
    /// For him, and published: what is missing in the rules.
    pub(super) fn may_command(&mut self, by: &Origin, command: &Command) -> Result<(), Refusal> {
        let (role, what) = match command {
            Command::Look | Command::Apply { dry_run: true, .. } => (Role::Viewer, "look"),
            _ => (Role::Operator, "change anything"),
        };
        let want = Want { role, name: None, bind: None };
        let Err(missing) = self.authority.allows(by, &want) else { return Ok(()) };
        let message = format!("{by} may not {what}: {missing}");
        self.tell_of_peer("peer.refused", by, None, message.clone());
        Err(Refusal { kind: RefusalKind::Denied, message })
    }

    /// Publishes what a peer did wrong, unless that was told lately.
    fn tell_of_peer(
        &mut self,
        kind: &'static str,
        origin: &Origin,
        key: Option<&BindingKey>,
        message: String,
    ) {
        *self.refusals.entry(kind).or_default() += 1;
        let Some(message) = self.authority.notices.take(kind, origin, message, self.now) else {
            return;
        };
        self.publish(Event {
            kind,
            service: key.map(|key| key.service.clone()),
            backend: key.map(|key| key.backend),
            message,
            ..Event::default()
        });
    }
}
