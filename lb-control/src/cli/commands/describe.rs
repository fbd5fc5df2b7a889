//! `sluice describe`: everything that is known of one thing, on a page.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use super::{
    counters, events,
    get::{backend_state, backends_table, drift, policy, refill},
    names::Named,
};
use crate::{
    cli::{
        Failure,
        args::{DescribeArgs, DescribeWhat},
        client::{Client, Control},
        human,
        output::Output,
        table::Table,
        views::{
            BackendDescription, BackendView, CountersView, EventView, HeldView, ServiceDescription,
            ServiceView, SwitchDescription, SwitchView, WordView,
        },
    },
    model::Name,
    proto::v1::{BackendRequest, CountersRequest, EventsRequest, ListRequest, StatusRequest},
};

pub async fn describe(
    client: &Client,
    args: &DescribeArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    match &args.what {
        DescribeWhat::Backend { service, address } => {
            let view = backend(client, service, *address, args.events).await?;
            if out.is_json() { out.document(&view) } else { out.text(&backend_page(&view)) }
        }
        DescribeWhat::Service { name } => {
            let view = service(client, name, args.events).await?;
            if out.is_json() { out.document(&view) } else { out.text(&service_page(&view)) }
        }
        DescribeWhat::Switch { name } => {
            let view = switch(client, name, args.events).await?;
            if out.is_json() { out.document(&view) } else { out.text(&switch_page(&view)) }
        }
    }
}

async fn backend(
    client: &Client,
    service: &Name,
    address: SocketAddr,
    count: usize,
) -> Result<BackendDescription, Failure> {
    let (service_name, backend) = (service.to_string(), address.to_string());
    let request = BackendRequest { service: service_name.clone(), backend: backend.clone() };
    let call = async |mut control: Control| control.describe_backend(request).await;
    let named = Named { service: Some(service), backend: Some(address), ..Named::default() };
    let description = match client.call(call).await {
        Ok(description) => description,
        Err(failed) => return Err(named.explain(client, failed).await),
    };
    let wanted = EventsRequest { service: service_name, backend, ..EventsRequest::default() };
    let events = events::last(client, wanted, count).await?;
    Ok(BackendDescription::new(description, events))
}

async fn service(
    client: &Client,
    name: &Name,
    count: usize,
) -> Result<ServiceDescription, Failure> {
    let list = client
        .call(async |mut control: Control| control.list_services(ListRequest::default()).await)
        .await?;
    let mut views = list.services.into_iter().map(ServiceView::from);
    let named = Named { service: Some(name), ..Named::default() };
    let Some(service) = views.find(|view| view.name == name.as_str()) else {
        return Err(gone(&named, client, &format!("service `{name}`")).await);
    };
    let request = ListRequest { service: name.to_string() };
    let list =
        client.call(async |mut control: Control| control.list_backends(request).await).await?;
    let counters = client
        .call(async |mut control: Control| control.get_counters(CountersRequest::default()).await)
        .await?;
    let wanted = EventsRequest { service: name.to_string(), ..EventsRequest::default() };
    Ok(ServiceDescription {
        service,
        backends: list.backends.into_iter().map(BackendView::from).collect(),
        counters: CountersView::from(counters).of_service(name.as_str()),
        alarms: alarms(client, &format!("service `{name}`")).await?,
        events: events::last(client, wanted, count).await?,
    })
}

async fn switch(client: &Client, name: &Name, count: usize) -> Result<SwitchDescription, Failure> {
    let list = client
        .call(async |mut control: Control| control.list_switches(ListRequest::default()).await)
        .await?;
    let mut views = list.switches.into_iter().map(SwitchView::from);
    let named = Named { switch: Some(name), ..Named::default() };
    let Some(switch) = views.find(|view| view.name == name.as_str()) else {
        return Err(gone(&named, client, &format!("switch `{name}`")).await);
    };
    let request = CountersRequest { switch_name: name.to_string() };
    let counters =
        client.call(async |mut control: Control| control.get_counters(request).await).await?;
    let wanted = EventsRequest { switch_name: name.to_string(), ..EventsRequest::default() };
    Ok(SwitchDescription {
        switch,
        counters: counters.into(),
        alarms: alarms(client, &format!("switch `{name}`")).await?,
        events: events::last(client, wanted, count).await?,
    })
}

/// What was not found, or was gone when it was looked for again.
async fn gone(named: &Named<'_>, client: &Client, what: &str) -> Failure {
    let failure = named.look(client).await;
    failure.unwrap_or_else(|| Failure::Failed(format!("{what} has just come or gone: try again")))
}

/// The manager's alarms that speak of something.
async fn alarms(client: &Client, of: &str) -> Result<Vec<String>, Failure> {
    let call = async |mut control: Control| control.status(StatusRequest {}).await;
    let mut alarms = client.call(call).await?.alarms;
    alarms.retain(|alarm| alarm.contains(of));
    Ok(alarms)
}

const EMPTY: &str = "";

/// Lines of `Name:  value`.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let value = if value.is_empty() { "-" } else { value };
        // Nothing fails that writes into a string.
        let label = format!("{name}:");
        let _ = writeln!(self.0, "{label:<14}{value}");
    }

    fn lines(&mut self, name: &str, values: &[String]) {
        self.line(name, values.first().map_or("none", String::as_str));
        for value in values.iter().skip(1) {
            let _ = writeln!(self.0, "{EMPTY:<14}{value}");
        }
    }

    fn section(&mut self, title: &str, table: &Table) {
        let body = if table.is_empty() { "none\n".to_owned() } else { table.render(false) };
        let _ = write!(self.0, "\n{title}:\n{body}");
    }

    fn events(&mut self, events: &[EventView]) {
        self.section("Last events", &events::events_table(events));
    }
}

fn age(seconds: f64) -> String {
    human::age(Duration::from_secs_f64(seconds))
}

fn latency(seconds: f64) -> String {
    human::latency(Duration::from_secs_f64(seconds))
}

fn backend_page(view: &BackendDescription) -> String {
    let backend = &view.backend;
    let mut page = Page::default();
    page.line("Service", &backend.service);
    page.line("Address", &backend.address);
    page.line("State", &format!("{}, for {}", backend_state(backend), age(backend.since_seconds)));
    page.line("Reason", backend.reason.as_deref().unwrap_or_default());
    if let Some(why) = &backend.unreachable {
        page.line("Unreachable", why);
    }
    let effective = match backend.effective_weight {
        same if same == backend.weight => String::new(),
        less => format!(", of which switches hold {less}"),
    };
    page.line("Weight", &format!("{}{effective}", backend.weight));
    page.line("Comes from", &view.source);
    let agent = view.agent_session.as_ref().map(|agent| {
        let leaving = if agent.leaving { ", leaves" } else { "" };
        let (heard, timeout) = (latency(agent.heard_seconds), latency(agent.timeout_seconds));
        format!("{}, heard {heard} ago, lost after {timeout}{leaving}", agent.name)
    });
    page.line("Agent", &agent.unwrap_or_default());
    page.line(
        "Check",
        &match &view.check {
            None if view.agent_session.is_some() => "nothing reported yet".to_owned(),
            None => String::new(),
            Some(word) => health(word),
        },
    );
    let application = view.application.as_ref().map(|application| {
        let cause = application.cause.iter().map(|cause| format!(": {cause}"));
        let weight = application.weight.iter().map(|weight| format!(", weight {weight}"));
        let percent = Some(application.weight_percent).filter(|percent| *percent != 100);
        let percent = percent.map(|percent| format!(", {percent}% of its weight"));
        let rest: String = cause.chain(weight).chain(percent).collect();
        format!("{}{rest}", application.word)
    });
    page.line("Application", &application.unwrap_or_default());
    let probe = view.probe.as_ref().map(|probe| match &probe.last {
        None => format!("{}: not answered yet", probe.address),
        Some(word) => format!("{}: {}, {} in a row", probe.address, health(word), probe.run),
    });
    page.line("Probe", &probe.unwrap_or_default());
    page.line("Connections", &backend.connections.to_string());
    page.line("Load", &backend.load.map(|load| format!("{load:.2}")).unwrap_or_default());
    if let Some(id) = &backend.server_id {
        page.line("Server ID", id);
    }
    page.section("Switches", &held_table(&view.switches));
    page.events(&view.events);
    page.0
}

fn health(word: &WordView) -> String {
    match (&word.cause, word.healthy) {
        (_, true) => "healthy".to_owned(),
        (None, false) => "unhealthy".to_owned(),
        (Some(cause), false) => format!("unhealthy: {cause}"),
    }
}

fn held_table(views: &[HeldView]) -> Table {
    let mut table = Table::new(&[
        "SWITCH",
        "STATE",
        "HOLDS",
        "SINCE",
        "LIVE AFTER",
        "DELTA",
        "GENERATION",
        "NEW",
        "PACKETS",
        "BYTES",
    ]);
    for view in views {
        let state = match (view.connected, view.in_step) {
            (false, _) => "lost",
            (true, true) => "in step",
            (true, false) => "behind",
        };
        let holds = view.phase.map_or("nothing".to_owned(), |phase| {
            format!("{phase}, weight {}", view.weight.unwrap_or_default())
        });
        let live = view.live.as_ref();
        let counters = view.counters.as_ref();
        table.row([
            view.switch.clone(),
            state.to_owned(),
            holds,
            live.map(|live| age(live.since_seconds)).unwrap_or_default(),
            live.and_then(|live| live.live_after_seconds).map(latency).unwrap_or_default(),
            live.map(|live| format!("{}/{}", live.term, live.sequence)).unwrap_or_default(),
            live.map(|live| live.generation.to_string()).unwrap_or_default(),
            counters.map(|count| count.new_connections.to_string()).unwrap_or_default(),
            counters.map(|count| count.packets.to_string()).unwrap_or_default(),
            counters.map(|count| human::bytes(count.bytes as f64)).unwrap_or_default(),
        ]);
    }
    table
}

fn service_page(view: &ServiceDescription) -> String {
    let service = &view.service;
    let mut page = Page::default();
    page.line("Service", &service.name);
    page.line("Address", &format!("{} {}", service.address, service.protocol));
    page.line("Mode", service.mode);
    page.line("State", if service.moving { "moving" } else { "at rest" });
    page.line(
        "Backends",
        &format!("{} of {} active", service.backends_active, service.backends_total),
    );
    page.line("Ring", &format!("{} slots", service.ring_size));
    page.line("Affinity", service.affinity);
    if service.protocol != "tcp" {
        let idle = service.udp_idle_seconds;
        let ids = match service.server_id_bytes {
            0 => String::new(),
            bytes => format!(", server ids of {}", human::count(bytes.into(), "byte")),
        };
        page.line("UDP", &format!("{}, idle after {idle}s{ids}", service.udp));
    }
    page.line("Echo", if service.answers_echo { "answered" } else { "passed" });
    let refused: Vec<_> = service.policies.iter().map(policy).collect();
    page.lines("Refused", &refused);
    page.lines("Alarms", &view.alarms);
    page.section("Backends", &backends_table(&view.backends));
    page.section("Counters", &counters::services(&view.counters, |count| count.to_string()));
    page.events(&view.events);
    page.0
}

fn switch_page(view: &SwitchDescription) -> String {
    let (switch, counters) = (&view.switch, &view.counters);
    let mut page = Page::default();
    page.line("Switch", &switch.name);
    page.line("Description", &switch.description);
    page.line("State", if switch.connected { "connected" } else { "lost" });
    page.line("Generation", &switch.generation.to_string());
    let behind = match switch.sequence_sent.saturating_sub(switch.sequence_live) {
        0 => "in step".to_owned(),
        behind => format!("{behind} behind"),
    };
    let last = switch.last_live_seconds.map(|after| format!(", live after {}", latency(after)));
    page.line(
        "Last delta",
        &format!("{}/{}, {behind}{}", switch.term, switch.sequence_live, last.unwrap_or_default()),
    );
    let drift = switch
        .last_drift
        .as_ref()
        .map(|last| format!("{}, {} in all: {}", drift(last), switch.drifts, last.what));
    page.line("Drift", drift.as_deref().unwrap_or("never"));
    page.line("Error", switch.last_error.as_deref().unwrap_or("none"));
    if let Some(lag) = switch.lag_seconds {
        page.line("Lag", &latency(lag));
    }
    if let Some(last) = &switch.last_refill {
        page.line("Last refill", &refill(last));
    }
    for what in &switch.lacks {
        page.line("Lacks", what);
    }
    page.line(
        "Flows",
        &format!("{} of {} remembered", counters.remembered_flows, counters.remembered_capacity),
    );
    let moving = counters.services.iter().filter(|count| count.moving);
    page.lines("Moving", &moving.map(|count| count.service.clone()).collect::<Vec<_>>());
    let lost = counters.backends.iter().filter_map(|count| {
        let why = count.unreachable.as_ref()?;
        Some(format!("{}/{}: {why}", count.service, count.backend))
    });
    page.lines("Unreachable", &lost.collect::<Vec<_>>());
    page.lines("Alarms", &view.alarms);
    let count = |count: u64| count.to_string();
    page.section("Services", &counters::services(counters, count));
    page.section(
        "Backends",
        &counters::backends(counters, count, |bytes| human::bytes(bytes as f64)),
    );
    page.section("Packets", &counters::reasons(counters, count, false));
    page.events(&view.events);
    page.0
}

#[cfg(test)]
mod tests;
