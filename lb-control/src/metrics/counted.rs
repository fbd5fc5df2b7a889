//! What switches count.

use super::Page;
use crate::model::{BackendCount, Counters, ServiceCount};

/// Counters, and the switch that has counted them.
pub type Counted<'a> = [(&'a str, &'a Counters)];

/// Writes what switches have counted.
pub fn counted(page: &mut Page, counted: &Counted<'_>) {
    flows(page, counted);
    services(page, counted);
    backends(page, counted);
    classes(page, counted);
    reasons(page, counted);
}

fn flows(page: &mut Page, counted: &Counted<'_>) {
    let mut family = page.gauge("sluice_switch_remembered_flows", "Flows that are remembered.");
    for (switch, counters) in counted {
        family.sample(&[("switch", *switch)], counters.remembered_flows);
    }
    let mut family =
        page.gauge("sluice_switch_remembered_flows_limit", "Flows that can be remembered.");
    for (switch, counters) in counted {
        family.sample(&[("switch", *switch)], counters.remembered_capacity);
    }
}

fn services(page: &mut Page, counted: &Counted<'_>) {
    let mut counter = |name, help, value: fn(&ServiceCount) -> u64| {
        let mut family = page.counter(name, help);
        for (switch, counters) in counted {
            for count in &counters.services {
                let labels = [("switch", *switch), ("service", count.service.as_str())];
                family.sample(&labels, value(count));
            }
        }
    };
    counter(
        "sluice_service_new_connections_total",
        "New connections that a service let in.",
        |count| count.new_connections,
    );
    counter(
        "sluice_service_no_backend_packets_total",
        "Packets answered by RST because no backend owns them.",
        |count| count.no_backend,
    );
    counter(
        "sluice_service_broken_packets_total",
        "Packets to broken backends, answered by RST.",
        |count| count.broken,
    );
    counter(
        "sluice_service_remembered_connections_total",
        "Connections remembered because a change put them at risk.",
        |count| count.remembered,
    );
    counter(
        "sluice_service_not_remembered_connections_total",
        "New connections sent to their settled backend for lack of room.",
        |count| count.not_remembered,
    );
    let mut family = page.counter(
        "sluice_service_refused_connections_total",
        "New connections that a service refused, by how.",
    );
    for (switch, counters) in counted {
        for count in &counters.services {
            for (verdict, refused) in
                [("reset", count.refused_reset), ("silent", count.refused_silent)]
            {
                let service = count.service.as_str();
                let labels = [("switch", *switch), ("service", service), ("verdict", verdict)];
                family.sample(&labels, refused);
            }
        }
    }
    let mut family = page.gauge(
        "sluice_service_moving",
        "Whether a switch tracks connections that a change has put at risk.",
    );
    for (switch, counters) in counted {
        for count in &counters.services {
            let labels = [("switch", *switch), ("service", count.service.as_str())];
            family.sample(&labels, count.moving);
        }
    }
}

fn backends(page: &mut Page, counted: &Counted<'_>) {
    let rows: Vec<_> = counted
        .iter()
        .flat_map(|(switch, counters)| counters.backends.iter().map(|count| (*switch, count)))
        .map(|(switch, count)| (switch, count, count.key.backend.to_string()))
        .collect();
    let mut family =
        page.counter("sluice_backend_new_connections_total", "New connections sent to a backend.");
    for (switch, count, backend) in &rows {
        family.sample(&labels(switch, count, backend), count.new_connections);
    }
    let mut traffic = |name, help, value: fn(&BackendCount) -> [u64; 2]| {
        let mut family = page.counter(name, help);
        for (switch, count, backend) in &rows {
            for (direction, value) in ["to_backend", "to_client"].into_iter().zip(value(count)) {
                let labels = [
                    ("switch", *switch),
                    ("service", count.key.service.as_str()),
                    ("backend", backend.as_str()),
                    ("direction", direction),
                ];
                family.sample(&labels, value);
            }
        }
    };
    traffic(
        "sluice_backend_packets_total",
        "Packets of a backend's connections; to clients in mode nat only.",
        |count| [count.packets, count.reply_packets],
    );
    traffic(
        "sluice_backend_bytes_total",
        "Bytes of a backend's connections; to clients in mode nat only.",
        |count| [count.bytes, count.reply_bytes],
    );
    let mut family = page.gauge(
        "sluice_backend_remembered_flows",
        "Flows to a backend that are remembered and not closing.",
    );
    for (switch, count, backend) in &rows {
        family.sample(&labels(switch, count, backend), count.remembered_flows);
    }
    let mut family =
        page.gauge("sluice_backend_reachable", "Whether a switch can send packets to a backend.");
    for (switch, count, backend) in &rows {
        family.sample(&labels(switch, count, backend), count.unreachable.is_none());
    }
}

fn labels<'a>(
    switch: &'a str,
    count: &'a BackendCount,
    backend: &'a str,
) -> [(&'static str, &'a str); 3] {
    [("switch", switch), ("service", count.key.service.as_str()), ("backend", backend)]
}

fn classes(page: &mut Page, counted: &Counted<'_>) {
    let mut family =
        page.counter("sluice_class_connections_total", "New connections of a class, by outcome.");
    for (switch, counters) in counted {
        for count in &counters.classes {
            for (outcome, number) in [("admitted", count.admitted), ("refused", count.refused)] {
                let class = count.class.as_str();
                let labels = [("switch", *switch), ("class", class), ("outcome", outcome)];
                family.sample(&labels, number);
            }
        }
    }
}

fn reasons(page: &mut Page, counted: &Counted<'_>) {
    let mut family =
        page.counter("sluice_packets_total", "Packets, by why and how they left the program.");
    for (switch, counters) in counted {
        for count in &counters.reasons {
            let labels = [("switch", *switch), ("reason", &*count.reason), ("fate", &*count.fate)];
            family.sample(&labels, count.packets);
        }
    }
}
