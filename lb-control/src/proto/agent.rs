//! `agent.proto`.

use std::time::Duration;

use super::{
    v1,
    wire::{WireError, each, key, name, parse, required, server_id, server_id_text, text, weight},
};
use crate::model::{
    AgentBinding, AgentHello, Application, Availability, BackendReport, FromAgent, Heartbeat,
    ServerEnd, ToAgent,
};

/// Heartbeat intervals that make sense, in milliseconds.
const INTERVAL: std::ops::RangeInclusive<u32> = 10..=60_000;

impl TryFrom<v1::AgentMessage> for FromAgent {
    type Error = WireError;

    fn try_from(message: v1::AgentMessage) -> Result<Self, WireError> {
        use v1::agent_message::Kind;
        let within = |kind: &'static str| move |error: WireError| error.within(kind);
        Ok(match required("kind", message.kind)? {
            Kind::Hello(hello) => Self::Hello(hello.try_into().map_err(within("hello"))?),
            Kind::Heartbeat(heartbeat) => {
                Self::Heartbeat(heartbeat.try_into().map_err(within("heartbeat"))?)
            }
            Kind::Leave(leave) => Self::Leave { cause: text(leave.cause) },
            Kind::Closed(closed) => Self::Closed {
                key: key(&closed.service, &closed.backend).map_err(within("closed"))?,
                connections: closed.connections,
                heartbeat: closed.heartbeat,
            },
        })
    }
}

impl TryFrom<v1::AgentHello> for AgentHello {
    type Error = WireError;

    fn try_from(hello: v1::AgentHello) -> Result<Self, WireError> {
        if !INTERVAL.contains(&hello.interval_ms) {
            let (least, most) = INTERVAL.into_inner();
            let reason =
                format!("a heartbeat interval is {least} to {most} ms, not {}", hello.interval_ms);
            return Err(WireError::new("interval_ms", reason));
        }
        let bind = |bind: v1::BindRequest| {
            Ok(AgentBinding {
                key: key(&bind.service, &bind.backend)?,
                weight: weight(bind.weight)?,
                server_id: server_id(&bind.server_id)?,
            })
        };
        Ok(Self {
            name: name("name", &hello.name)?,
            boot: hello.boot_id,
            binds: each("binds", hello.binds, bind)?,
            interval: Duration::from_millis(hello.interval_ms.into()),
        })
    }
}

impl TryFrom<v1::Heartbeat> for Heartbeat {
    type Error = WireError;

    fn try_from(heartbeat: v1::Heartbeat) -> Result<Self, WireError> {
        let report = |report: v1::BackendReport| {
            if !(report.load.is_finite() && report.load >= 0.0) {
                return Err(WireError::new(
                    "load",
                    format!("a load is 0 or more, not {}", report.load),
                ));
            }
            let application = application(&report)?;
            Ok(BackendReport {
                key: key(&report.service, &report.backend)?,
                health: if report.healthy { Ok(()) } else { Err(text(report.cause)) },
                connections: report.connections,
                load: report.load,
                application,
            })
        };
        Ok(Self {
            sequence: heartbeat.sequence,
            reports: each("backends", heartbeat.backends, report)?,
        })
    }
}

/// What a report says of the application.
fn application(report: &v1::BackendReport) -> Result<Application, WireError> {
    use v1::Availability as Wire;
    let cause = || text(report.availability_cause.clone());
    let availability = match Wire::try_from(report.availability) {
        Ok(Wire::Unspecified | Wire::Ready) => Availability::Ready,
        Ok(Wire::Drain) => Availability::Drain { cause: cause() },
        Ok(Wire::Leave) => Availability::Leave { cause: cause() },
        Ok(Wire::Failed) => Availability::Failed { cause: cause() },
        Err(_) => {
            let reason = format!("{} is none that this version knows", report.availability);
            return Err(WireError::new("availability", reason));
        }
    };
    let percent = report.weight_percent.unwrap_or(100);
    let most = Application::MOST_PERCENT;
    if percent > most {
        let reason = format!("a share of a weight is 0 to {most} percent, not {percent}");
        return Err(WireError::new("weight_percent", reason));
    }
    Ok(Application { availability, weight: report.weight.map(weight).transpose()?, percent })
}

impl From<&Availability> for v1::Availability {
    fn from(availability: &Availability) -> Self {
        match availability {
            Availability::Ready => Self::Ready,
            Availability::Drain { .. } => Self::Drain,
            Availability::Leave { .. } => Self::Leave,
            Availability::Failed { .. } => Self::Failed,
        }
    }
}

impl From<FromAgent> for v1::AgentMessage {
    fn from(message: FromAgent) -> Self {
        use v1::agent_message::Kind;
        let kind = match message {
            FromAgent::Hello(hello) => Kind::Hello(v1::AgentHello {
                name: hello.name.to_string(),
                boot_id: hello.boot,
                binds: hello.binds.iter().map(v1::BindRequest::from).collect(),
                interval_ms: millis(hello.interval),
            }),
            FromAgent::Heartbeat(heartbeat) => Kind::Heartbeat(v1::Heartbeat {
                sequence: heartbeat.sequence,
                backends: heartbeat.reports.into_iter().map(v1::BackendReport::from).collect(),
            }),
            FromAgent::Leave { cause } => Kind::Leave(v1::Leave { cause }),
            FromAgent::Closed { key, connections, heartbeat } => {
                Kind::Closed(v1::ConnectionsClosed {
                    service: key.service.to_string(),
                    backend: key.backend.to_string(),
                    connections,
                    heartbeat,
                })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl From<&AgentBinding> for v1::BindRequest {
    fn from(bind: &AgentBinding) -> Self {
        Self {
            service: bind.key.service.to_string(),
            backend: bind.key.backend.to_string(),
            weight: bind.weight.into(),
            server_id: server_id_text(bind.server_id),
        }
    }
}

impl From<BackendReport> for v1::BackendReport {
    fn from(report: BackendReport) -> Self {
        let application = report.application;
        Self {
            service: report.key.service.to_string(),
            backend: report.key.backend.to_string(),
            healthy: report.health.is_ok(),
            cause: report.health.err().unwrap_or_default(),
            connections: report.connections,
            load: report.load,
            availability: v1::Availability::from(&application.availability).into(),
            availability_cause: application.availability.cause().to_owned(),
            weight: application.weight.map(u32::from),
            weight_percent: Some(application.percent),
        }
    }
}

impl From<ToAgent> for v1::AgentReply {
    fn from(message: ToAgent) -> Self {
        use v1::agent_reply::Kind;
        let kind = match message {
            ToAgent::Welcome { timeout } => {
                Kind::Welcome(v1::Welcome { timeout_ms: millis(timeout) })
            }
            ToAgent::Refused { key, reason } => Kind::Refused(v1::BindRefused {
                service: key.service.to_string(),
                backend: key.backend.to_string(),
                reason,
            }),
            ToAgent::Notice { key, state, reason, end } => Kind::Notice(v1::BindingNotice {
                service: key.service.to_string(),
                backend: key.backend.to_string(),
                state: state.to_owned(),
                reason,
                end: end.map(v1::ServerEnd::from),
            }),
            ToAgent::Close { key, end, heartbeat } => Kind::Close(v1::CloseConnections {
                service: key.service.to_string(),
                backend: key.backend.to_string(),
                end: Some(end.into()),
                heartbeat,
            }),
        };
        Self { kind: Some(kind) }
    }
}

impl From<ServerEnd> for v1::ServerEnd {
    fn from(end: ServerEnd) -> Self {
        Self {
            local: end.local.to_string(),
            except: end.except.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<v1::ServerEnd> for ServerEnd {
    type Error = WireError;

    fn try_from(end: v1::ServerEnd) -> Result<Self, WireError> {
        Ok(Self {
            local: parse("local", &end.local)?,
            except: end.except.iter().map(|vip| parse("except", vip)).collect::<Result<_, _>>()?,
        })
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
