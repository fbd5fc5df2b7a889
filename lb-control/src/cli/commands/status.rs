//! `sluice status`

use std::time::Duration;

use crate::{
    cli::{
        Failure,
        client::{Client, Control},
        human,
        output::Output,
        views::StatusView,
    },
    proto::v1::StatusRequest,
};

pub async fn status(client: &Client, out: &mut Output) -> Result<(), Failure> {
    let call = async |mut control: Control| control.status(StatusRequest {}).await;
    let reply = client.call(call).await?;
    let view = StatusView::from(reply);
    if out.is_json() { out.document(&view) } else { out.text(&render(&view)) }
}

fn render(view: &StatusView) -> String {
    let age = |seconds: f64| human::age(Duration::from_secs_f64(seconds));
    let mut manager =
        format!("sluice {}, up {}, term {}", view.version, age(view.uptime_seconds), view.term);
    if view.learning_left_seconds > 0.0 {
        let left = Duration::from_secs_f64(view.learning_left_seconds.ceil());
        manager += &format!(", learning for {} more", human::age(left));
    }
    let mut text = format!(
        "MANAGER   {manager}\n\
         SERVICES  {}\n\
         BACKENDS  {} of {} active\n\
         AGENTS    {}\n\
         SWITCHES  {} of {} connected\n",
        view.services,
        view.backends_active,
        view.backends_total,
        view.agents,
        view.switches_connected,
        view.switches_total,
    );
    match view.alarms.as_slice() {
        [] => text += "ALARMS    none\n",
        [first, rest @ ..] => {
            text += &format!("ALARMS    {first}\n");
            for alarm in rest {
                text += &format!("          {alarm}\n");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_a_glance() {
        let mut view = StatusView {
            version: "0.1.0".to_owned(),
            term: 5,
            uptime_seconds: 200.0,
            learning_left_seconds: 0.0,
            services: 2,
            backends_active: 3,
            backends_total: 4,
            agents: 3,
            switches_connected: 1,
            switches_total: 1,
            alarms: Vec::new(),
        };
        assert_eq!(
            render(&view),
            "MANAGER   sluice 0.1.0, up 3m, term 5\n\
             SERVICES  2\n\
             BACKENDS  3 of 4 active\n\
             AGENTS    3\n\
             SWITCHES  1 of 1 connected\n\
             ALARMS    none\n"
        );
        view.learning_left_seconds = 2.5;
        view.alarms = vec!["one".to_owned(), "two".to_owned()];
        let text = render(&view);
        assert!(text.contains("term 5, learning for 3s more\n"), "{text}");
        assert!(text.ends_with("ALARMS    one\n          two\n"), "{text}");
    }
}
