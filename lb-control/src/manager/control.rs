//! gRPC of the command line.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{declaration, engine::Handle, select::Selection, sessions::Door};
use crate::{
    core::{Command, Refusal, RefusalKind},
    model::{BindingKey, Name},
    proto::{WireError, v1},
};

/// Followers of events that there can be, on one listener.
const FOLLOWERS: usize = 256;
/// Events that may wait for a follower; the others wait in the ring.
const AHEAD: usize = 64;

/// Answers the command line.
pub(super) struct Control {
    handle: Handle,
    door: Door,
    room: Arc<Semaphore>,
}

type Reply<T> = Result<Response<T>, Status>;

impl Control {
    pub(super) fn new(handle: Handle, door: Door) -> Self {
        Self { handle, door, room: Arc::new(Semaphore::new(FOLLOWERS)) }
    }

    /// Refuses who may not even look.
    async fn may_look<R>(&self, request: &Request<R>) -> Result<(), Status> {
        let answer = self.handle.command(self.door.origin(request), Command::Look).await?;
        answer.map(drop).map_err(status)
    }

    async fn change<R>(&self, request: Request<R>) -> Reply<v1::ChangeReply>
    where
        Command: TryFrom<R, Error = WireError>,
    {
        let by = self.door.origin(&request);
        let command = Command::try_from(request.into_inner())?;
        let done = self.handle.command(by, command).await?.map_err(status)?;
        Ok(Response::new(done.into()))
    }

    /// Of the service that is asked for, or of all.
    async fn list<V: Send + 'static>(
        &self,
        request: Request<v1::ListRequest>,
        list: impl FnOnce(&crate::core::Core, Option<&Name>, std::time::Duration) -> Vec<V>
        + Send
        + 'static,
    ) -> Result<Vec<V>, Status> {
        self.may_look(&request).await?;
        let wanted = request.into_inner().wanted()?;
        let look = move |core: &crate::core::Core, now| {
            wanted.as_ref().map_or(Ok(()), |service| core.has_service(service))?;
            Ok(list(core, wanted.as_ref(), now))
        };
        self.handle.query(look).await?.map_err(|error: String| Status::not_found(error))
    }
}

fn status(refusal: Refusal) -> Status {
    let code = match refusal.kind {
        RefusalKind::NotFound => tonic::Code::NotFound,
        RefusalKind::Exists => tonic::Code::AlreadyExists,
        RefusalKind::Precondition => tonic::Code::FailedPrecondition,
        RefusalKind::Invalid => tonic::Code::InvalidArgument,
        RefusalKind::Denied => tonic::Code::PermissionDenied,
    };
    Status::new(code, refusal.message)
}

#[tonic::async_trait]
impl v1::control_server::Control for Control {
    async fn status(&self, request: Request<v1::StatusRequest>) -> Reply<v1::StatusReply> {
        self.may_look(&request).await?;
        let view = self.handle.query(|core, _| core.status()).await?;
        Ok(Response::new(v1::StatusReply {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_nanos: u64::try_from(self.handle.started.elapsed().as_nanos())
                .unwrap_or(u64::MAX),
            ..view.into()
        }))
    }

    async fn list_services(&self, request: Request<v1::ListRequest>) -> Reply<v1::ServiceList> {
        let services = self
            .list(request, |core, wanted, _| {
                let mut services = core.services();
                services.retain(|view| wanted.is_none_or(|service| view.spec.name == *service));
                services
            })
            .await?;
        Ok(Response::new(v1::ServiceList {
            services: services.into_iter().map(Into::into).collect(),
        }))
    }

    async fn list_backends(&self, request: Request<v1::ListRequest>) -> Reply<v1::BackendList> {
        let backends = self.list(request, |core, wanted, now| core.backends(wanted, now)).await?;
        Ok(Response::new(v1::BackendList {
            backends: backends.into_iter().map(Into::into).collect(),
        }))
    }

    async fn list_switches(&self, request: Request<v1::ListRequest>) -> Reply<v1::SwitchList> {
        self.may_look(&request).await?;
        let switches = self.handle.query(|core, now| core.switches(now)).await?;
        Ok(Response::new(v1::SwitchList {
            switches: switches.into_iter().map(Into::into).collect(),
        }))
    }

    async fn compare_switch(
        &self,
        request: Request<v1::SwitchRequest>,
    ) -> Reply<v1::SwitchComparison> {
        self.may_look(&request).await?;
        let name = request.into_inner().wanted()?;
        let seen = self.handle.query(move |core, _| core.beside(&name)).await?;
        let (alterations, connected) = seen.map_err(Status::not_found)?;
        let alterations = alterations.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::SwitchComparison { alterations, connected }))
    }

    async fn list_classes(&self, request: Request<v1::ListRequest>) -> Reply<v1::ClassList> {
        self.may_look(&request).await?;
        let classes = self.handle.query(|core, _| core.class_views()).await?;
        Ok(Response::new(v1::ClassList { classes: classes.into_iter().map(Into::into).collect() }))
    }

    async fn describe_backend(
        &self,
        request: Request<v1::BackendRequest>,
    ) -> Reply<v1::BackendDescription> {
        self.may_look(&request).await?;
        let key = BindingKey::try_from(request.into_inner())?;
        let seen = self.handle.query(move |core, now| core.inspect(&key, now)).await?;
        Ok(Response::new(seen.map_err(Status::not_found)?.into()))
    }

    async fn add(&self, request: Request<v1::AddRequest>) -> Reply<v1::ChangeReply> {
        self.change(request).await
    }

    async fn remove(&self, request: Request<v1::RemoveRequest>) -> Reply<v1::ChangeReply> {
        self.change(request).await
    }

    async fn set_weight(&self, request: Request<v1::WeightRequest>) -> Reply<v1::ChangeReply> {
        self.change(request).await
    }

    async fn thaw(&self, request: Request<v1::ThawRequest>) -> Reply<v1::ChangeReply> {
        self.change(request).await
    }

    async fn drop(&self, request: Request<v1::DropRequest>) -> Reply<v1::ChangeReply> {
        self.change(request).await
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Reply<v1::ExportReply> {
        self.may_look(&request).await?;
        let declared = self.handle.query(|core, _| core.declared()).await?;
        let toml = declaration::write(&declared)
            .map_err(|error| Status::internal(format!("the intent cannot be written: {error}")))?;
        Ok(Response::new(v1::ExportReply { toml }))
    }

    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Reply<v1::ApplyReply> {
        // Nothing is parsed for who may not even look.
        self.may_look(&request).await?;
        let by = self.door.origin(&request);
        let v1::ApplyRequest { toml, file, dry_run, prune } = request.into_inner();
        let classes = self.handle.query(|core, _| core.class_settings()).await?;
        let declared =
            declaration::read(&toml, &file, &classes).map_err(Status::invalid_argument)?;
        let command = Command::Apply { declared: Box::new(declared), dry_run, prune };
        let done = self.handle.command(by, command).await?.map_err(status)?;
        Ok(Response::new(done.into()))
    }

    async fn get_counters(&self, request: Request<v1::CountersRequest>) -> Reply<v1::Counters> {
        self.may_look(&request).await?;
        let wanted = request.into_inner().wanted()?;
        let counters = self.handle.query(move |core, _| core.counters(wanted.as_ref())).await?;
        Ok(Response::new((&counters.map_err(Status::not_found)?).into()))
    }

    type WatchEventsStream = ReceiverStream<Result<v1::Event, Status>>;

    async fn watch_events(
        &self,
        request: Request<v1::EventsRequest>,
    ) -> Reply<Self::WatchEventsStream> {
        self.may_look(&request).await?;
        let request = request.into_inner();
        let mut selection = Selection::new(&request)?;
        let place = Arc::clone(&self.room)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many follow the events already"))?;
        let log = Arc::clone(&self.handle.events);
        let (to, events) = mpsc::channel(AHEAD);
        let mut reader = log.read(request.after_sequence);
        // The manager's stop must not wait for a follower.
        let stopped = self.handle.stopped.clone();
        let follow = async move {
            let _place = place;
            loop {
                let batch = reader.take(&log);
                if batch.is_empty() && !(request.follow && reader.more().await) {
                    return;
                }
                for event in selection.take(batch, &log) {
                    if to.send(Ok(event)).await.is_err() {
                        return;
                    }
                }
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                () = follow => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(events)))
    }
}
