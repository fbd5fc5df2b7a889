use std::{io::Read as _, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn all(port: u16) -> u64 {
    count(&[Meant::Port(port)]).unwrap().all
}

fn end(local: &str, except: &[&str]) -> Meant {
    let except = except.iter().map(|vip| vip.parse().unwrap()).collect();
    Meant::End(ServerEnd { local: local.parse().unwrap(), except })
}

#[tokio::test]
async fn counts_what_the_kernel_holds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(all(address.port()), 0);
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for number in 1..=40 {
        clients.push(TcpStream::connect(address).await.unwrap());
        servers.push(listener.accept().await.unwrap());
        assert_eq!(all(address.port()), number);
    }
    // Over IPv6, IPv4 clients included.
    let dual = TcpListener::bind("[::]:0").await.unwrap();
    let port = dual.local_addr().unwrap().port();
    let v4 = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let v6 = TcpStream::connect(("::1", port)).await.unwrap();
    assert_eq!(all(port), 2);
    drop((v4, v6));
    // The server is done with them, though the clients have not closed yet.
    drop(servers);
    none_left(address.port()).await;
    // Nor does what is left in TIME_WAIT count.
    drop(clients);
    none_left(address.port()).await;
}

/// A FIN takes its time to be acknowledged.
async fn none_left(port: u16) {
    let gone = async {
        while all(port) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(20), gone).await.expect("no connection left");
}

/// Services of one server on one port, each at an address of its own.
#[tokio::test]
async fn counts_each_services_own() {
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut open = Vec::new();
    for to in ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.1.1", "::1"] {
        open.push(TcpStream::connect((to, port)).await.unwrap());
    }
    let meant = [
        end(&format!("127.0.0.1:{port}"), &[]),
        end(&format!("[::1]:{port}"), &[]),
        end(&format!("127.0.0.0/24:{port}"), &[]),
        end(&format!("127.0.0.0/8:{port}"), &[&format!("127.0.0.0/24:{port}")]),
        end(&format!("127.0.0.3:{port}"), &[]),
        Meant::Port(port),
    ];
    let census = count(&meant).unwrap();
    assert_eq!(census, Census { each: vec![2, 1, 3, 1, 0, 5], all: 5 });
    // With any port there are also the clients' own ends.
    let census = count(&[end("127.0.1.1:*", &[])]).unwrap();
    assert_eq!(census.all, 1);
}

#[tokio::test]
async fn a_host_is_left_alone_with_itself_and_listeners_are_left_to_listen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let meant = ServerEnd { local: address.into(), except: Vec::new() };
    assert_eq!(close(&meant, soon()).unwrap(), 0);
    server.write_all(b"x").await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    TcpStream::connect(address).await.unwrap();
}

/// What it may do depends on who runs this: a connection is closed, or the
/// error is the one that the agent knows a remedy for.
#[tokio::test]
async fn what_is_closed_is_closed_at_both_ends() {
    let listener = TcpListener::bind("[::]:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let from = |source: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
        socket.connect(([127, 0, 0, 1], port).into())
    };
    let (doomed, other) = (from("127.0.0.5").await.unwrap(), from("127.0.0.1").await.unwrap());
    let (mut doomed, mut other) = (doomed.into_std().unwrap(), other.into_std().unwrap());
    let meant =
        ServerEnd { local: SocketAddr::from(([127, 0, 0, 1], port)).into(), except: vec![] };
    let fate = |client: &mut std::net::TcpStream| client.read(&mut [0; 1]).unwrap_err().kind();
    assert_eq!(close(&meant, Instant::now()).unwrap(), 0, "too late");
    assert_eq!(fate(&mut doomed), io::ErrorKind::WouldBlock);
    match close(&meant, soon()) {
        Ok(closed) => {
            assert_eq!(closed, 1, "the other is this host's own");
            assert_eq!(fate(&mut doomed), io::ErrorKind::ConnectionReset);
            assert_eq!(close(&meant, soon()).unwrap(), 0);
        }
        Err(error) => {
            let known = [io::ErrorKind::PermissionDenied, io::ErrorKind::Unsupported];
            assert!(known.contains(&error.kind()), "{error}");
            assert_eq!(fate(&mut doomed), io::ErrorKind::WouldBlock);
        }
    }
    assert_eq!(fate(&mut other), io::ErrorKind::WouldBlock);
}

#[test]
fn a_prefix_does_not_hold_the_hosts_own_addresses() {
    let own = BTreeSet::from(["10.0.0.5".parse().unwrap()]);
    let everything = end("0.0.0.0/0:*", &["203.0.113.10:80"]);
    let holds = |meant: &Meant, local: &str| meant.holds(local.parse().unwrap(), &own);
    assert!(holds(&everything, "203.0.113.10:81"));
    assert!(!holds(&everything, "203.0.113.10:80"), "another service's");
    assert!(!holds(&everything, "10.0.0.5:22"), "how the host is managed");
    assert!(holds(&end("10.0.0.5:8080", &[]), "10.0.0.5:8080"), "mode nat");
}

#[test]
fn fuzzed_sock_diag() {
    use netlink_packet_sock_diag::inet::{InetResponse, InetResponseHeader};

    let header = InetResponseHeader {
        family: AF_INET,
        state: 1,
        timer: None,
        socket_id: SocketId::new_v4(),
        recv_queue: 0,
        send_queue: 0,
        uid: 0,
        inode: 7,
    };
    let found = InetResponse { header, nlas: Default::default() };
    let message = SockDiagMessage::InetResponse(Box::new(found));
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), message.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let mut seen = 0;
    read(&bytes, &mut |_| seen += 1).unwrap();
    assert_eq!(seen, 1, "the message is one");
    crate::testing::Fuzz::new("sock-diag").with(bytes.repeat(3)).run(|bytes| {
        // Whatever it is of.
        drop(read(bytes, &mut |found| {
            local(&found.socket_id);
        }));
    });
}
