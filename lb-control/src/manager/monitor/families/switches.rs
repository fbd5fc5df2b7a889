//! How switches follow the manager.

use crate::{
    core::{BUCKETS, SwitchTotals},
    metrics::{self, Kind, Page},
};

pub(super) fn switches(page: &mut Page, switches: &[SwitchTotals]) {
    states(page, switches);
    deltas(page, switches);
    let counted: Vec<_> = switches
        .iter()
        .filter_map(|switch| Some((switch.name.as_str(), switch.counters.as_deref()?)))
        .collect();
    metrics::counted(page, &counted);
}

fn states(page: &mut Page, switches: &[SwitchTotals]) {
    let mut family = page.gauge("sluice_switch_connected", "Whether a switch has a session.");
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.connected);
    }
    let mut family = page.gauge(
        "sluice_switch_in_step",
        "Whether a switch is connected, takes changes, and acknowledges them in time.",
    );
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.in_step);
    }
    let mut family =
        page.gauge("sluice_switch_generation", "Number of the configuration that packets see.");
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.generation);
    }
}

fn deltas(page: &mut Page, switches: &[SwitchTotals]) {
    let mut family = page.counter("sluice_switch_deltas_sent_total", "Deltas sent to a switch.");
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.deltas.sent);
    }
    let mut family =
        page.counter("sluice_switch_deltas_refused_total", "Deltas that a switch refused.");
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.deltas.refused);
    }
    let mut family =
        page.counter("sluice_switch_changes_total", "Changes in the deltas that became live.");
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.deltas.changes);
    }
    let mut family = page.counter(
        "sluice_switch_drifts_total",
        "How often a switch was found changed behind the manager's back.",
    );
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.drifts.times);
    }
    let mut family = page.counter(
        "sluice_switch_drifted_changes_total",
        "Changes found that were made behind the manager's back.",
    );
    for switch in switches {
        family.sample(&[("switch", switch.name.as_str())], switch.drifts.changes);
    }
    let mut family = page.family(
        Kind::Histogram,
        "sluice_switch_delta_live_seconds",
        "From a delta's being sent to its being live on a switch, acknowledgement included.",
    );
    for switch in switches {
        let deltas = &switch.deltas;
        let buckets = BUCKETS.into_iter().zip(deltas.within);
        family.histogram(&[("switch", switch.name.as_str())], buckets, (deltas.live, deltas.total));
    }
}
