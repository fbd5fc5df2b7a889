//! When something that was named does not exist: what was meant?

use std::{fmt::Display, net::SocketAddr};

use crate::{
    cli::{
        Failure,
        client::{CallFailure, Client, Control},
    },
    config::nearest,
    model::{DEFAULT_CLASS, Name},
    proto::v1::ListRequest,
};

/// What a command named.
#[derive(Default)]
pub(super) struct Named<'a> {
    pub(super) service: Option<&'a Name>,
    pub(super) backend: Option<SocketAddr>,
    pub(super) class: Option<&'a Name>,
    pub(super) switch: Option<&'a Name>,
}

impl Named<'_> {
    /// The failure, in terms of what there is instead of what was not found.
    pub(super) async fn explain(&self, client: &Client, failed: CallFailure) -> Failure {
        if !failed.not_found {
            return failed.failure;
        }
        self.look(client).await.unwrap_or(failed.failure)
    }

    /// The first name that the manager does not know. Nothing, too, where
    /// the manager cannot be asked.
    pub(super) async fn look(&self, client: &Client) -> Option<Failure> {
        if let Some(service) = self.service {
            let there = services(client).await?;
            if !there.contains(&service.to_string()) {
                return Some(unknown(&format!("no service `{service}`"), service, &there));
            }
            if let Some(backend) = self.backend {
                let there = backends(client, service).await?;
                if !there.contains(&backend.to_string()) {
                    let what = format!("no backend {backend} in service `{service}`");
                    return Some(unknown(&what, &backend, &there));
                }
            }
        }
        if let Some(class) = self.class {
            let there = classes(client).await?;
            if !there.contains(&class.to_string()) {
                return Some(unknown(&format!("no class `{class}`"), class, &there));
            }
        }
        if let Some(switch) = self.switch {
            let there = switches(client).await?;
            if !there.contains(&switch.to_string()) {
                return Some(unknown(&format!("no switch `{switch}`"), switch, &there));
            }
        }
        None
    }
}

async fn services(client: &Client) -> Option<Vec<String>> {
    let call = async |mut control: Control| control.list_services(ListRequest::default()).await;
    let list = client.call(call).await.ok()?;
    let name = |view: crate::proto::v1::ServiceView| view.service.map(|service| service.name);
    Some(list.services.into_iter().filter_map(name).collect())
}

async fn backends(client: &Client, service: &Name) -> Option<Vec<String>> {
    let request = ListRequest { service: service.to_string() };
    let call = async |mut control: Control| control.list_backends(request).await;
    let list = client.call(call).await.ok()?;
    Some(list.backends.into_iter().map(|view| view.backend).collect())
}

async fn classes(client: &Client) -> Option<Vec<String>> {
    let call = async |mut control: Control| control.list_classes(ListRequest::default()).await;
    let list = client.call(call).await.ok()?;
    let name = |view: crate::proto::v1::ClassView| view.class.map(|class| class.name);
    let mut names: Vec<String> = list.classes.into_iter().filter_map(name).collect();
    if !names.iter().any(|name| name == DEFAULT_CLASS) {
        names.push(DEFAULT_CLASS.to_owned());
    }
    Some(names)
}

async fn switches(client: &Client) -> Option<Vec<String>> {
    let call = async |mut control: Control| control.list_switches(ListRequest::default()).await;
    let list = client.call(call).await.ok()?;
    Some(list.switches.into_iter().map(|view| view.name).collect())
}

/// What is not there, the nearest that is, and what else is.
fn unknown(what: &str, given: &impl Display, there: &[String]) -> Failure {
    const MOST: usize = 20;
    let given = given.to_string();
    let mut text = format!("there is {what}");
    text += &match nearest(&given, there.iter().map(String::as_str)) {
        Some(guess) => format!(": did you mean `{guess}`? There are: "),
        None => "; there are: ".to_owned(),
    };
    text += &match there.len() {
        0 => "none".to_owned(),
        1..=MOST => there.join(", "),
        more => format!("{}, and {} more", there[..MOST].join(", "), more - MOST),
    };
    Failure::Failed(text)
}
