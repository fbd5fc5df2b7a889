use std::{fs, net::SocketAddr, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{empty, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{ClientTlsConfig, Server},
};

use super::*;
use crate::proto::v1::{
    AgentMessage, AgentReply,
    agents_client::AgentsClient,
    agents_server::{Agents, AgentsServer},
};

#[test]
fn targets() {
    for good in ["unix:/run/sluice/sluice.sock", "127.0.0.1:7400", "[::1]:7400", "m-1.example:1"] {
        assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
    }
    assert_eq!("unix:///run/x".parse::<Target>().unwrap(), Target::Unix("/run/x".into()));
    for bad in ["", "m", "m:", "m:0", ":1", "::1:7400", "[m]:1", "unix:x", "http://m:1", "m:65536"]
    {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}

#[test]
fn backoff_grows_and_begins_anew() {
    let mut backoff = Backoff::new();
    let most: Duration = (0..100).map(|_| backoff.next_wait()).max().unwrap();
    assert!(most > Duration::from_secs(1) && most <= Duration::from_secs(5), "{most:?}");
    backoff.reset();
    assert!(backoff.next_wait() <= Duration::from_millis(100));
}

/// Answers every session with an end, so that a call tells whether a peer was
/// let in.
struct Door;

#[tonic::async_trait]
impl Agents for Door {
    type SessionStream = tokio_stream::Empty<Result<AgentReply, Status>>;

    async fn session(
        &self,
        _: Request<Streaming<AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        Ok(Response::new(empty()))
    }
}

async fn serve(tls: Option<&TlsSettings>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(AgentsServer::new(Door));
    let task = match tls {
        None => {
            let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
            tokio::spawn(async move { serving.await.unwrap() })
        }
        Some(tls) => {
            let stop = CancellationToken::new();
            let incoming = accept(listener, acceptor(tls).unwrap(), |_, _| {}, stop);
            let serving = server.serve_with_incoming(incoming);
            tokio::spawn(async move { serving.await.unwrap() })
        }
    };
    (address, task)
}

async fn knock(channel: Channel) -> Result<(), Status> {
    AgentsClient::new(channel).session(empty()).await.map(drop)
}

/// An authority and one certificate of it for `name`, as files.
struct Certificates {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), authority.pem()).unwrap();
        Self { directory, authority }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn issue(&self, name: &str) -> TlsSettings {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let (cert, key_file) =
            (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        fs::write(&cert, certificate.pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        TlsSettings { ca: self.path("ca.pem"), cert, key: key_file, server_name: None }
    }
}

#[tokio::test]
async fn both_sides_show_certificates() {
    let certificates = Certificates::new();
    let manager = certificates.issue("127.0.0.1");
    let agent = certificates.issue("agent.example");
    let (address, _server) = serve(Some(&manager)).await;
    let channel = connect(&address.to_string(), Some(&agent)).await.unwrap();
    knock(channel).await.unwrap();
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let certificates = Certificates::new();
    let manager = certificates.issue("127.0.0.1");
    let (address, _server) = serve(Some(&manager)).await;
    let ca = fs::read(&manager.ca).unwrap();
    let config = ClientTlsConfig::new()
        .domain_name("127.0.0.1")
        .ca_certificate(tonic::transport::Certificate::from_pem(ca));
    let endpoint =
        Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(config).unwrap();
    // In TLS 1.3 a client may think itself connected before it is refused.
    let refusal = match endpoint.connect().await {
        Ok(channel) => knock(channel).await.map_err(|status| call_failure(&status)),
        Err(error) => Err(cause(&error)),
    };
    let refusal = refusal.unwrap_err();
    assert!(refusal.contains("add [tls]"), "{refusal}");
}

#[tokio::test]
async fn strangers_are_told_what_is_wrong() {
    let certificates = Certificates::new();
    let manager = certificates.issue("manager.example");
    let agent = certificates.issue("agent.example");
    let (address, _server) = serve(Some(&manager)).await;
    let target = address.to_string();

    let error = connect(&target, Some(&agent)).await.unwrap_err().to_string();
    assert!(error.contains("tls.server_name"), "{error}");
    let named = TlsSettings { server_name: Some("manager.example".to_owned()), ..agent.clone() };
    knock(connect(&target, Some(&named)).await.unwrap()).await.unwrap();

    let elsewhere = Certificates::new();
    let stranger =
        TlsSettings { server_name: named.server_name.clone(), ..elsewhere.issue("agent.example") };
    let error = connect(&target, Some(&stranger)).await.unwrap_err().to_string();
    assert!(error.contains("authority in tls.ca"), "{error}");

    let (plain, _server) = serve(None).await;
    let error = connect(&plain.to_string(), Some(&named)).await.unwrap_err().to_string();
    assert!(error.contains("does not speak TLS"), "{error}");

    let failure = match connect(&target, None).await {
        Ok(channel) => call_failure(&knock(channel).await.unwrap_err()),
        Err(error) => error.to_string(),
    };
    assert!(failure.contains("add [tls]"), "{failure}");
}

#[tokio::test]
async fn the_listening_side_is_told_whom_it_refuses_and_silence_delays_nobody() {
    let certificates = Certificates::new();
    let manager = certificates.issue("127.0.0.1");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, mut refusals) = tokio::sync::mpsc::unbounded_channel();
    let refused = move |from: SocketAddr, why| told.send((from.ip(), why)).unwrap();
    let incoming = accept(listener, acceptor(&manager).unwrap(), refused, CancellationToken::new());
    let server = Server::builder().add_service(AgentsServer::new(Door));
    tokio::spawn(server.serve_with_incoming(incoming));

    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let agent = certificates.issue("agent.example");
    knock(connect(&address.to_string(), Some(&agent)).await.unwrap()).await.unwrap();
    drop(silent);
    let elsewhere = Certificates::new();
    let stranger = TlsSettings { ca: manager.ca.clone(), ..elsewhere.issue("agent.example") };
    if let Ok(channel) = connect(&address.to_string(), Some(&stranger)).await {
        knock(channel).await.unwrap_err();
    }
    let (from, why) = refusals.recv().await.unwrap();
    assert_eq!(from, address.ip());
    assert!(why.contains("invalid peer certificate"), "{why}");
    assert!(refusals.try_recv().is_err(), "who only looked is not told of");
}

#[tokio::test]
async fn files_are_looked_into() {
    let certificates = Certificates::new();
    let good = certificates.issue("127.0.0.1");
    let message = |tls: &TlsSettings| format!("{:#}", acceptor(tls).err().unwrap());

    let missing = TlsSettings { ca: "/nonexistent/ca.pem".into(), ..good.clone() };
    assert_eq!(
        message(&missing),
        "tls.ca: cannot read /nonexistent/ca.pem: No such file or directory (os error 2)"
    );
    let swapped = TlsSettings { cert: good.key.clone(), key: good.cert.clone(), ..good.clone() };
    assert!(message(&swapped).contains("holds no private key in PEM"), "{}", message(&swapped));
    let other = certificates.issue("other.example");
    let mixed = TlsSettings { key: other.key, ..good.clone() };
    assert!(message(&mixed).contains("do not go together"), "{}", message(&mixed));
}

#[tokio::test]
async fn nobody_there() {
    // A listener that is gone again: its port refuses.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = connect(&address.to_string(), None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot connect to {address}: Connection refused (os error 111)")
    );
    let error = connect("unix:/nonexistent/sluice.sock", None).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect to unix:/nonexistent/sluice.sock: No such file or directory (os error 2)"
    );
}
