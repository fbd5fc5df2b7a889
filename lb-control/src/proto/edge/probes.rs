//! Probes that a switch is asked for, and what they have found.

use std::time::Duration;

use crate::{
    model::{ProbeId, ProbeOrder, ProbeOrders, ProbePath, Probed},
    proto::{
        common::mode,
        v1,
        wire::{WireError, address, each, nanos, parse, text},
    },
};

impl From<ProbeOrders> for v1::ProbeOrders {
    fn from(orders: ProbeOrders) -> Self {
        Self {
            start: orders.start.into_iter().map(Into::into).collect(),
            stop: orders.stop.into_iter().map(|ProbeId(probe)| probe).collect(),
        }
    }
}

impl TryFrom<v1::ProbeOrders> for ProbeOrders {
    type Error = WireError;

    fn try_from(orders: v1::ProbeOrders) -> Result<Self, WireError> {
        Ok(Self {
            start: each("start", orders.start, ProbeOrder::try_from)?,
            stop: orders.stop.into_iter().map(ProbeId).collect(),
        })
    }
}

impl From<ProbeOrder> for v1::ProbeOrder {
    fn from(order: ProbeOrder) -> Self {
        Self {
            probe: order.probe.0,
            mode: v1::Mode::from(order.path.mode).into(),
            to: order.path.to.to_string(),
            via: order.path.via.to_string(),
            interval_nanos: nanos(order.interval),
            timeout_nanos: nanos(order.timeout),
            rise: order.rise,
            fall: order.fall,
        }
    }
}

impl TryFrom<v1::ProbeOrder> for ProbeOrder {
    type Error = WireError;

    fn try_from(order: v1::ProbeOrder) -> Result<Self, WireError> {
        Ok(Self {
            probe: ProbeId(order.probe),
            path: ProbePath {
                mode: mode(order.mode)?,
                to: address("to", &order.to)?,
                via: parse("via", &order.via)?,
            },
            interval: Duration::from_nanos(order.interval_nanos),
            timeout: Duration::from_nanos(order.timeout_nanos),
            rise: order.rise,
            fall: order.fall,
        })
    }
}

impl From<Vec<Probed>> for v1::ProbeReports {
    fn from(reports: Vec<Probed>) -> Self {
        let report = |Probed { probe, outcome, run }: Probed| v1::ProbeReport {
            probe: probe.0,
            healthy: outcome.is_ok(),
            cause: outcome.err().unwrap_or_default(),
            run,
        };
        Self { reports: reports.into_iter().map(report).collect() }
    }
}

impl From<v1::ProbeReports> for Vec<Probed> {
    fn from(reports: v1::ProbeReports) -> Self {
        let report = |report: v1::ProbeReport| Probed {
            probe: ProbeId(report.probe),
            outcome: if report.healthy { Ok(()) } else { Err(text(report.cause)) },
            run: report.run,
        };
        reports.reports.into_iter().map(report).collect()
    }
}
