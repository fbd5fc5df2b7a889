use std::time::Duration;

use russh::{
    ChannelMsg, Disconnect,
    client::{self, AuthResult, Handle},
    keys::PublicKeyOrCertificate,
};
use tokio::runtime::Runtime;

use super::client::instant;
use crate::serveriron::{Login, Options, Simulator};

const PATIENCE: Duration = Duration::from_secs(10);

/// Trusts one host key.
struct Trusting(String);

impl client::Handler for Trusting {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.to_openssh().unwrap() == self.0,
            PublicKeyOrCertificate::Certificate(_) => false,
        })
    }
}

async fn connect(iron: &Simulator, key: &str) -> Result<Handle<Trusting>, russh::Error> {
    client::connect(std::sync::Arc::default(), iron.ssh_address(), Trusting(key.to_owned())).await
}

/// What the shell says up to `mark`.
async fn until(channel: &mut russh::Channel<client::Msg>, mark: &str) -> String {
    let mut heard = String::new();
    let reading = async {
        while !heard.contains(mark) {
            match channel.wait().await {
                Some(ChannelMsg::Data { data }) => heard.push_str(&String::from_utf8_lossy(&data)),
                Some(_) => {}
                None => panic!("the end, before {mark:?}; heard {heard:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect(mark);
    heard
}

#[test]
fn the_command_line_is_there_over_ssh() {
    let iron = instant();
    Runtime::new().unwrap().block_on(async {
        let mut client = connect(&iron, iron.ssh_host_key()).await.unwrap();
        let wrong = client.authenticate_password("anybody", "wrong").await.unwrap();
        assert!(matches!(wrong, AuthResult::Failure { .. }));
        let right = client.authenticate_password("anybody", "telnet-pass").await.unwrap();
        assert!(right.success());
        let mut channel = client.channel_open_session().await.unwrap();
        channel.request_pty(true, "vt100", 80, 24, 0, 0, &[]).await.unwrap();
        channel.request_shell(true).await.unwrap();
        until(&mut channel, "SSH@iron>").await;
        channel.data(&b"enable\r"[..]).await.unwrap();
        until(&mut channel, "Password:").await;
        channel.data(&b"enable-pass\r"[..]).await.unwrap();
        until(&mut channel, "SSH@iron#").await;
        channel.data(&b"conf t\rserver real a 198.51.100.1\r"[..]).await.unwrap();
        until(&mut channel, "SSH@iron(config-rs-a)#").await;
        assert!(iron.state().running.reals.contains_key("a"));
        iron.reboot(Duration::ZERO);
        let ended =
            tokio::time::timeout(PATIENCE, async { while channel.wait().await.is_some() {} });
        ended.await.expect("thrown out");
        assert!(iron.state().running.reals.is_empty());
    });
}

#[test]
fn a_named_user_is_past_enable_over_ssh_and_is_asked_for() {
    let login = Login::Name { name: "admin".to_owned(), password: "secret".to_owned() };
    let iron = Simulator::start(Options { login, ..Options::default() }.instant()).unwrap();
    Runtime::new().unwrap().block_on(async {
        let mut client = connect(&iron, iron.ssh_host_key()).await.unwrap();
        assert!(!client.authenticate_password("root", "secret").await.unwrap().success());
        assert!(client.authenticate_password("admin", "secret").await.unwrap().success());
        let mut channel = client.channel_open_session().await.unwrap();
        channel.request_shell(true).await.unwrap();
        until(&mut channel, "SSH@iron#").await;
        client.disconnect(Disconnect::ByApplication, "", "").await.unwrap();
    });
}

#[test]
fn each_box_has_a_host_key_of_its_own() {
    let (iron, other) = (instant(), instant());
    assert_ne!(iron.ssh_host_key(), other.ssh_host_key());
    let refused = Runtime::new().unwrap().block_on(connect(&iron, other.ssh_host_key()));
    assert!(refused.is_err());
}

#[test]
fn a_box_may_live_and_end_inside_an_asynchronous_test() {
    Runtime::new().unwrap().block_on(async {
        let iron = instant();
        assert!(connect(&iron, iron.ssh_host_key()).await.is_ok());
        drop(iron);
    });
}
