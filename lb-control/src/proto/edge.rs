//! `edge.proto`.

use std::time::Duration;

use super::{
    v1,
    wire::{WireError, address, each, name, nanos, required, text},
};
use crate::model::{
    BackendCount, BindingKey, Change, ClassCount, Counters, Delta, Drift, FromSwitch, Hello, Name,
    ReasonCount, ServiceCount, Stamp, ToSwitch,
};

mod probes;

impl From<FromSwitch> for v1::EdgeMessage {
    fn from(message: FromSwitch) -> Self {
        use v1::edge_message::Kind;
        let kind = match message {
            FromSwitch::Hello(hello) => Kind::Hello(v1::EdgeHello {
                name: hello.name.to_string(),
                term: hello.stamp.term,
                sequence: hello.stamp.sequence,
                generation: hello.generation,
                state: Some((&hello.state).into()),
                description: hello.description,
                probes: hello.probes,
            }),
            FromSwitch::Applied { stamp, generation, live_after } => Kind::Applied(v1::Applied {
                term: stamp.term,
                sequence: stamp.sequence,
                generation,
                live_after_nanos: nanos(live_after),
            }),
            FromSwitch::Refused { stamp, reason } => {
                Kind::Refused(v1::Refused { term: stamp.term, sequence: stamp.sequence, reason })
            }
            FromSwitch::Counters(counters) => Kind::Counters((&counters).into()),
            FromSwitch::Lacks(what) => Kind::Lacks(v1::Lacks { what }),
            FromSwitch::Drifted(Drift { changes, what, repaired }) => {
                Kind::Drifted(v1::Drifted { changes, what, repaired })
            }
            FromSwitch::Probed(reports) => Kind::Probed(reports.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::EdgeMessage> for FromSwitch {
    type Error = WireError;

    fn try_from(message: v1::EdgeMessage) -> Result<Self, WireError> {
        use v1::edge_message::Kind;
        let within = |kind: &'static str| move |error: WireError| error.within(kind);
        Ok(match required("kind", message.kind)? {
            Kind::Hello(hello) => Self::Hello(hello.try_into().map_err(within("hello"))?),
            Kind::Applied(applied) => Self::Applied {
                stamp: Stamp { term: applied.term, sequence: applied.sequence },
                generation: applied.generation,
                live_after: Duration::from_nanos(applied.live_after_nanos),
            },
            Kind::Refused(refused) => Self::Refused {
                stamp: Stamp { term: refused.term, sequence: refused.sequence },
                reason: text(refused.reason),
            },
            Kind::Counters(counters) => {
                Self::Counters(counters.try_into().map_err(within("counters"))?)
            }
            Kind::Lacks(lacks) => {
                Self::Lacks(lacks.what.into_iter().take(FromSwitch::MOST_LACKS).map(text).collect())
            }
            Kind::Drifted(v1::Drifted { changes, what, repaired }) => {
                Self::Drifted(Drift { changes, what: text(what), repaired })
            }
            Kind::Probed(reports) => Self::Probed(reports.into()),
        })
    }
}

impl TryFrom<v1::EdgeHello> for Hello {
    type Error = WireError;

    fn try_from(hello: v1::EdgeHello) -> Result<Self, WireError> {
        let state = required("state", hello.state)?;
        Ok(Self {
            name: name("name", &hello.name)?,
            stamp: Stamp { term: hello.term, sequence: hello.sequence },
            generation: hello.generation,
            state: state.try_into().map_err(|error: WireError| error.within("state"))?,
            description: text(hello.description),
            probes: hello.probes,
        })
    }
}

impl From<ToSwitch> for v1::EdgeCommand {
    fn from(message: ToSwitch) -> Self {
        use v1::edge_command::Kind;
        let kind = match message {
            ToSwitch::Apply(Delta { stamp, changes }) => Kind::Delta(v1::Delta {
                term: stamp.term,
                sequence: stamp.sequence,
                changes: changes.iter().map(v1::Change::from).collect(),
            }),
            ToSwitch::Probe(orders) => Kind::Probes(orders.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Delta> for Delta {
    type Error = WireError;

    fn try_from(delta: v1::Delta) -> Result<Self, WireError> {
        Ok(Self {
            stamp: Stamp { term: delta.term, sequence: delta.sequence },
            changes: each("changes", delta.changes, Change::try_from)?.into(),
        })
    }
}

impl From<&Counters> for v1::Counters {
    fn from(counters: &Counters) -> Self {
        Self {
            services: counters.services.iter().map(v1::ServiceCount::from).collect(),
            backends: counters.backends.iter().map(v1::BackendCount::from).collect(),
            classes: counters.classes.iter().map(v1::ClassCount::from).collect(),
            reasons: counters.reasons.iter().map(v1::ReasonCount::from).collect(),
            generation: counters.generation,
            remembered_flows: counters.remembered_flows,
            remembered_capacity: counters.remembered_capacity,
        }
    }
}

impl TryFrom<v1::Counters> for Counters {
    type Error = WireError;

    fn try_from(counters: v1::Counters) -> Result<Self, WireError> {
        Ok(Self {
            services: each("services", counters.services, ServiceCount::try_from)?,
            backends: backends(counters.backends)?,
            classes: each("classes", counters.classes, ClassCount::try_from)?,
            reasons: counters.reasons.into_iter().map(ReasonCount::from).collect(),
            generation: counters.generation,
            remembered_flows: counters.remembered_flows,
            remembered_capacity: counters.remembered_capacity,
        })
    }
}

impl From<&ServiceCount> for v1::ServiceCount {
    fn from(count: &ServiceCount) -> Self {
        Self {
            service: count.service.to_string(),
            new_connections: count.new_connections,
            refused_reset: count.refused_reset,
            refused_silent: count.refused_silent,
            no_backend: count.no_backend,
            broken: count.broken,
            remembered: count.remembered,
            not_remembered: count.not_remembered,
            moving: count.moving,
        }
    }
}

impl TryFrom<v1::ServiceCount> for ServiceCount {
    type Error = WireError;

    fn try_from(count: v1::ServiceCount) -> Result<Self, WireError> {
        Ok(Self {
            service: name("service", &count.service)?,
            new_connections: count.new_connections,
            refused_reset: count.refused_reset,
            refused_silent: count.refused_silent,
            no_backend: count.no_backend,
            broken: count.broken,
            remembered: count.remembered,
            not_remembered: count.not_remembered,
            moving: count.moving,
        })
    }
}

impl From<&BackendCount> for v1::BackendCount {
    fn from(count: &BackendCount) -> Self {
        Self {
            service: count.key.service.to_string(),
            backend: count.key.backend.to_string(),
            packets: count.packets,
            bytes: count.bytes,
            reply_packets: count.reply_packets,
            reply_bytes: count.reply_bytes,
            new_connections: count.new_connections,
            remembered_flows: count.remembered_flows,
            reachable: count.unreachable.is_none(),
            unreachable: count.unreachable.clone().unwrap_or_default(),
        }
    }
}

/// There may be many thousand each second: those of one service share its name.
fn backends(counts: Vec<v1::BackendCount>) -> Result<Vec<BackendCount>, WireError> {
    let mut last: Option<Name> = None;
    let mut shared = |service: &str| match &last {
        Some(name) if name.as_str() == service => Ok(name.clone()),
        _ => Ok(last.insert(name("service", service)?).clone()),
    };
    let counts = counts.into_iter().enumerate().map(|(index, count)| {
        let key = shared(&count.service)
            .and_then(|service| {
                Ok(BindingKey { service, backend: address("backend", &count.backend)? })
            })
            .map_err(|error: WireError| error.within(format!("backends[{index}]")))?;
        Ok(BackendCount {
            key,
            packets: count.packets,
            bytes: count.bytes,
            reply_packets: count.reply_packets,
            reply_bytes: count.reply_bytes,
            new_connections: count.new_connections,
            remembered_flows: count.remembered_flows,
            unreachable: (!count.reachable).then(|| text(count.unreachable)),
        })
    });
    counts.collect()
}

impl From<&ClassCount> for v1::ClassCount {
    fn from(count: &ClassCount) -> Self {
        Self { class: count.class.to_string(), admitted: count.admitted, refused: count.refused }
    }
}

impl TryFrom<v1::ClassCount> for ClassCount {
    type Error = WireError;

    fn try_from(count: v1::ClassCount) -> Result<Self, WireError> {
        Ok(Self {
            class: name("class", &count.class)?,
            admitted: count.admitted,
            refused: count.refused,
        })
    }
}

impl From<&ReasonCount> for v1::ReasonCount {
    fn from(count: &ReasonCount) -> Self {
        Self { reason: count.reason.clone(), fate: count.fate.clone(), packets: count.packets }
    }
}

impl From<v1::ReasonCount> for ReasonCount {
    fn from(count: v1::ReasonCount) -> Self {
        Self { reason: text(count.reason), fate: text(count.fate), packets: count.packets }
    }
}
