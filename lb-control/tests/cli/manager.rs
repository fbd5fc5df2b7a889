//! A manager that gives the same answers always.

use lb_control::proto::v1::{self, control_server::Control};
use tonic::{Request, Response, Status};

/// A manager with service `www`, whose one backend is on one switch.
pub(crate) struct Manager;

fn done(live: bool) -> v1::ChangeReply {
    let error = if live { "" } else { "not acknowledged yet" };
    let switch = v1::SwitchOutcome {
        name: "edge1".to_owned(),
        live,
        live_after_nanos: 180_000,
        error: error.to_owned(),
    };
    v1::ChangeReply { message: "done".to_owned(), switches: vec![switch] }
}

/// What it exports.
pub(crate) const INTENT: &str = "[[service]]\nname = \"www\"\n[[service.backend]]\nweight = 100\n";

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Control for Manager {
    async fn status(&self, _: Request<v1::StatusRequest>) -> Reply<v1::StatusReply> {
        Ok(Response::new(v1::StatusReply { term: 5, ..Default::default() }))
    }

    async fn list_services(&self, _: Request<v1::ListRequest>) -> Reply<v1::ServiceList> {
        let service = v1::Service { name: "www".to_owned(), ..Default::default() };
        let view = v1::ServiceView { service: Some(service), ..Default::default() };
        Ok(Response::new(v1::ServiceList { services: vec![view] }))
    }

    async fn list_backends(&self, request: Request<v1::ListRequest>) -> Reply<v1::BackendList> {
        if !["", "www"].contains(&request.into_inner().service.as_str()) {
            return Err(Status::not_found("no such service"));
        }
        let backend = "10.0.0.11:80".to_owned();
        let view = v1::BackendView { backend, ..Default::default() };
        // More than a pipe holds.
        Ok(Response::new(v1::BackendList { backends: vec![view; 10_000] }))
    }

    async fn list_switches(&self, _: Request<v1::ListRequest>) -> Reply<v1::SwitchList> {
        let view = v1::SwitchView { name: "edge1".to_owned(), ..Default::default() };
        Ok(Response::new(v1::SwitchList { switches: vec![view] }))
    }

    async fn compare_switch(
        &self,
        request: Request<v1::SwitchRequest>,
    ) -> Reply<v1::SwitchComparison> {
        if request.into_inner().name != "edge1" {
            return Err(Status::not_found("no such switch"));
        }
        let alteration = v1::Alteration {
            action: "add".to_owned(),
            what: "backend".to_owned(),
            service: "www".to_owned(),
            name: "10.0.0.11:80".to_owned(),
            before: String::new(),
            after: "serve, weight 100".to_owned(),
        };
        let alterations = vec![alteration];
        Ok(Response::new(v1::SwitchComparison { alterations, connected: false }))
    }

    async fn list_classes(&self, _: Request<v1::ListRequest>) -> Reply<v1::ClassList> {
        Ok(Response::new(v1::ClassList::default()))
    }

    async fn describe_backend(
        &self,
        request: Request<v1::BackendRequest>,
    ) -> Reply<v1::BackendDescription> {
        let request = request.into_inner();
        if (request.service.as_str(), request.backend.as_str()) != ("www", "10.0.0.11:80") {
            return Err(Status::not_found("no such backend"));
        }
        let view = v1::BackendView { state: "down".to_owned(), ..Default::default() };
        Ok(Response::new(v1::BackendDescription { view: Some(view), ..Default::default() }))
    }

    async fn add(&self, request: Request<v1::AddRequest>) -> Reply<v1::ChangeReply> {
        match request.into_inner().service.as_str() {
            "www" => Err(Status::already_exists("it is there already")),
            _ => Err(Status::not_found("no such service")),
        }
    }

    async fn remove(&self, _: Request<v1::RemoveRequest>) -> Reply<v1::ChangeReply> {
        Err(Status::not_found("no such backend"))
    }

    async fn set_weight(&self, _: Request<v1::WeightRequest>) -> Reply<v1::ChangeReply> {
        Ok(Response::new(done(false)))
    }

    async fn drop(&self, request: Request<v1::DropRequest>) -> Reply<v1::ChangeReply> {
        match request.into_inner().class.as_str() {
            "" => Ok(Response::new(done(true))),
            _ => Err(Status::not_found("no such class")),
        }
    }

    async fn thaw(&self, _: Request<v1::ThawRequest>) -> Reply<v1::ChangeReply> {
        Err(Status::failed_precondition("service `www` is not frozen"))
    }

    async fn export(&self, _: Request<v1::ExportRequest>) -> Reply<v1::ExportReply> {
        Ok(Response::new(v1::ExportReply { toml: INTENT.to_owned() }))
    }

    /// The weight in the file is the only thing that differs, and 7 is refused.
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Reply<v1::ApplyReply> {
        let v1::ApplyRequest { toml, file, dry_run, prune } = request.into_inner();
        if toml == INTENT {
            let change = v1::ChangeReply { message: "nothing to change".to_owned(), ..done(true) };
            let change = Some(change).filter(|_| !dry_run).or_else(|| Some(Default::default()));
            return Ok(Response::new(v1::ApplyReply { alterations: Vec::new(), change }));
        }
        if toml.contains("weight = 7") || !(dry_run || prune) {
            return Err(Status::invalid_argument(format!("{file}:5:10: no")));
        }
        let alteration = v1::Alteration {
            action: "change".to_owned(),
            what: "backend".to_owned(),
            service: "www".to_owned(),
            name: "10.0.0.11:80".to_owned(),
            before: "weight 100".to_owned(),
            after: "weight 5".to_owned(),
        };
        let change = if dry_run {
            v1::ChangeReply { message: "1 change to make".to_owned(), switches: Vec::new() }
        } else {
            v1::ChangeReply { message: "1 change made".to_owned(), ..done(true) }
        };
        let reply = v1::ApplyReply { alterations: vec![alteration], change: Some(change) };
        Ok(Response::new(reply))
    }

    async fn get_counters(&self, _: Request<v1::CountersRequest>) -> Reply<v1::Counters> {
        std::future::pending().await
    }

    type WatchEventsStream = tokio_stream::Iter<std::vec::IntoIter<Result<v1::Event, Status>>>;

    async fn watch_events(&self, _: Request<v1::EventsRequest>) -> Reply<Self::WatchEventsStream> {
        let event = |sequence| Ok(v1::Event { sequence, ..Default::default() });
        Ok(Response::new(tokio_stream::iter(vec![event(1), event(2)])))
    }
}
