//! `sluice events`

use std::collections::VecDeque;

use crate::{
    cli::{
        Failure,
        args::EventsArgs,
        client::{Client, Control},
        output::Output,
        table::Table,
        views::EventView,
    },
    model::Name,
    proto::v1::EventsRequest,
};

use super::names::Named;

pub async fn events(client: &Client, args: &EventsArgs, out: &mut Output) -> Result<(), Failure> {
    let named =
        Named { service: args.service.as_ref(), switch: args.switch.as_ref(), ..Named::default() };
    if let Some(failure) = named.look(client).await {
        return Err(failure);
    }
    let request = EventsRequest {
        follow: args.follow,
        after_sequence: args.after,
        service: args.service.as_ref().map(Name::to_string).unwrap_or_default(),
        backend: args.backend.map(|address| address.to_string()).unwrap_or_default(),
        switch_name: args.switch.as_ref().map(Name::to_string).unwrap_or_default(),
    };
    let call = async |mut control: Control| control.watch_events(request).await;
    let mut stream = client.call(call).await?;
    let mut past = Vec::new();
    if args.follow && !out.is_json() {
        out.line(&line(&["TIME", "KIND", "SERVICE", "BACKEND", "SWITCH", "MESSAGE"]))?;
    }
    while let Some(event) = stream.message().await.map_err(|status| client.failure(status))? {
        let view = EventView::from(event);
        match (args.follow, out.is_json()) {
            (false, _) => past.push(view),
            (true, true) => out.record(&view)?,
            (true, false) => out.line(&line(&cells(&view).each_ref().map(String::as_str)))?,
        }
    }
    if args.follow {
        return Err(Failure::Unreachable("the manager ended the stream of events".to_owned()));
    }
    if out.is_json() {
        return out.document(&past);
    }
    out.table(&events_table(&past))
}

pub(super) fn events_table(views: &[EventView]) -> Table {
    let mut table = Table::new(&[
        "+NUMBER", "+FOLLOWS", "TIME", "KIND", "SERVICE", "BACKEND", "SWITCH", "MESSAGE",
    ]);
    for view in views {
        let numbers = [Some(view.sequence), view.cause];
        let numbers = numbers.map(|number| number.map(|n| n.to_string()).unwrap_or_default());
        table.row(numbers.into_iter().chain(cells(view)));
    }
    table
}

/// The last events that are kept of what a request names.
pub(super) async fn last(
    client: &Client,
    request: EventsRequest,
    count: usize,
) -> Result<Vec<EventView>, Failure> {
    let call = async |mut control: Control| control.watch_events(request).await;
    let mut stream = client.call(call).await?;
    let mut last = VecDeque::new();
    while let Some(event) = stream.message().await.map_err(|status| client.failure(status))? {
        last.push_back(EventView::from(event));
        if last.len() > count {
            last.pop_front();
        }
    }
    Ok(last.into())
}

fn cells(view: &EventView) -> [String; 6] {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        view.time.clone(),
        view.kind.clone(),
        or_none(&view.service),
        or_none(&view.backend),
        or_none(&view.switch),
        view.message.clone(),
    ]
}

/// A row of a table whose other rows are not known yet.
fn line(cells: &[&str; 6]) -> String {
    let cells = cells.map(|cell| if cell.is_empty() { "-" } else { cell });
    let [time, kind, service, backend, switch, message] = cells;
    format!("{time:<24}  {kind:<20}  {service:<12}  {backend:<21}  {switch:<10}  {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_from_what_is_in_the_wide_table() {
        let event = crate::proto::v1::Event {
            sequence: 6,
            kind: "binding.down".to_owned(),
            cause: 5,
            message: "gone".to_owned(),
            ..Default::default()
        };
        let views = [EventView::from(event)];
        assert_eq!(
            events_table(&views).render(true),
            "\
NUMBER  FOLLOWS  TIME                      KIND          SERVICE  BACKEND  SWITCH  MESSAGE
6       5        1970-01-01T00:00:00.000Z  binding.down  -        -        -       gone
"
        );
        assert!(events_table(&views).render(false).starts_with("TIME "));
    }

    #[test]
    fn columns_hold() {
        let header = line(&["TIME", "KIND", "SERVICE", "BACKEND", "SWITCH", "MESSAGE"]);
        let row = line(&["2026-01-02T03:04:05.678Z", "agent.lost", "www", "10.0.0.11:80", "", "x"]);
        assert_eq!(header.find("MESSAGE"), row.find('x'));
    }
}
