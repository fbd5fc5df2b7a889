//! A connection to the manager, for one command.

use std::{path::PathBuf, time::Duration};

use tonic::{Code, Response, Status, transport::Channel};

use super::{Failure, args::Global};
use crate::{
    config::{self, TlsSettings},
    proto::v1::control_client::ControlClient,
    transport::{self, Target},
};

/// Where the manager is, and how to reach it.
#[derive(Debug)]
pub struct Reach {
    pub target: String,
    pub tls: Option<TlsSettings>,
}

impl Reach {
    /// From the command line, then the file, then the defaults.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let settings = match &global.config {
            Some(path) => config::load(path)?,
            None => config::Settings::default(),
        };
        let target = match &global.manager {
            Some(manager) => manager.clone(),
            None => format!("unix:{}", settings.manager.socket.display()),
        };
        target.parse::<Target>().map_err(|error| Failure::Usage(error.to_string()))?;
        let tls = tls(global)?.or(settings.tls);
        Ok(Self { target, tls })
    }
}

/// The TLS settings of the command line, when there are any.
pub fn tls(global: &Global) -> Result<Option<TlsSettings>, Failure> {
    match (&global.tls_ca, &global.tls_cert, &global.tls_key) {
        (None, None, None) if global.tls_server_name.is_none() => Ok(None),
        (Some(ca), Some(cert), Some(key)) => Ok(Some(TlsSettings {
            ca: PathBuf::clone(ca),
            cert: PathBuf::clone(cert),
            key: PathBuf::clone(key),
            server_name: global.tls_server_name.clone(),
        })),
        _ => Err(Failure::Usage(
            "TLS needs all of --tls-ca, --tls-cert and --tls-key, or a file with [tls] by --config"
                .to_owned(),
        )),
    }
}

/// The calls that a manager takes.
pub type Control = ControlClient<Channel>;

/// A connected manager.
pub struct Client {
    control: Control,
    target: String,
    /// Over the network without TLS.
    plain: bool,
    timeout: Duration,
}

impl Client {
    pub async fn connect(global: &Global) -> Result<Self, Failure> {
        let reach = Reach::new(global)?;
        let connecting = transport::connect(&reach.target, reach.tls.as_ref());
        let channel = tokio::time::timeout(global.timeout, connecting)
            .await
            .unwrap_or_else(|_| {
                let limit = humantime::format_duration(global.timeout);
                Err(anyhow::anyhow!("no connection to {} within {limit}", reach.target))
            })
            .map_err(|error| unreachable(&reach.target, &format!("{error:#}")))?;
        Ok(Self {
            control: ControlClient::new(channel),
            plain: reach.tls.is_none() && !reach.target.starts_with("unix:"),
            target: reach.target,
            timeout: global.timeout,
        })
    }

    /// Calls, and waits as long as `--timeout` says.
    pub async fn call<T>(
        &self,
        call: impl AsyncFnOnce(Control) -> Result<Response<T>, Status>,
    ) -> Result<T, CallFailure> {
        self.call_within(Some(self.timeout), call).await
    }

    /// Calls, and waits for `limit`, or as long as the connection lives.
    pub async fn call_within<T>(
        &self,
        limit: Option<Duration>,
        call: impl AsyncFnOnce(Control) -> Result<Response<T>, Status>,
    ) -> Result<T, CallFailure> {
        let call = call(self.control.clone());
        let answer = match limit {
            None => call.await,
            Some(limit) => tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
                let limit = humantime::format_duration(limit);
                let message = format!(
                    "no answer from {} within {limit}: what was asked may still be done",
                    self.target
                );
                Err(Status::deadline_exceeded(message))
            }),
        };
        answer.map(Response::into_inner).map_err(|status| self.failure(status))
    }

    /// What a call's status means for a script.
    pub fn failure(&self, status: Status) -> CallFailure {
        let mut text = transport::call_failure(&status);
        // Who wants TLS hangs up, and may be faster than it can say so.
        let hung_up = ["broken pipe", "connection reset"]
            .iter()
            .any(|sign| text.to_ascii_lowercase().contains(sign));
        if self.plain && hung_up {
            text += " (if the other side wants TLS with a certificate: add [tls])";
        }
        let failure = match status.code() {
            Code::DeadlineExceeded => Failure::NotLive(text),
            // Also what a connection that breaks during a call ends with.
            Code::Unavailable => unreachable(
                &self.target,
                &format!("the connection to {} broke: {text}", self.target),
            ),
            Code::Unimplemented => Failure::Failed(format!(
                "the manager at {} does not know this command: it is older than this program",
                self.target
            )),
            _ => Failure::Failed(text),
        };
        CallFailure { not_found: status.code() == Code::NotFound, failure }
    }
}

/// Why a call failed, before anybody has looked for what was meant.
pub struct CallFailure {
    pub failure: Failure,
    /// Something that was named does not exist.
    pub not_found: bool,
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Self {
        failure.failure
    }
}

fn unreachable(target: &str, reason: &str) -> Failure {
    let hint = if reason.contains("Permission denied") {
        "run this as root, or as a user who may write to the socket"
    } else if target.starts_with("unix:") {
        "start a manager by `sluice run --config FILE`, or point to one by --manager or --config"
    } else {
        "is a manager running there?"
    };
    Failure::Unreachable(format!("{reason}; {hint}"))
}
