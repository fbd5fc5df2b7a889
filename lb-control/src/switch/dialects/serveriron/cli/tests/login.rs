use std::fs;

use tempfile::TempDir;

use super::{
    super::{login::login, options::Access, options::Options},
    *,
};
use crate::switch::Failure;

/// Access by telnet, with a user or none, and passwords `pass-one` and `pass-two`.
fn access(user: Option<&str>, enable: bool) -> (Access, TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, secret: &str| {
        let path = directory.path().join(name);
        fs::write(&path, secret).expect("write");
        path.display().to_string()
    };
    let mut options = toml::Table::new();
    options.insert("address".into(), "127.0.0.1:23".into());
    options.insert("transport".into(), "telnet".into());
    options.insert("password_file".into(), file("one", "pass-one\n").into());
    if let Some(user) = user {
        options.insert("user".into(), user.into());
    }
    if enable {
        options.insert("enable_password_file".into(), file("two", "pass-two\n").into());
    }
    let options: Options = options.try_into().expect("options");
    (options.check().expect("good options").0, directory)
}

const SKIP: Exchange<'static> =
    ("skip-page-display", &["skip-page-display\r\nDisable page display mode\r\niron#"]);

#[tokio::test]
async fn a_password_then_enable() {
    let (access, _files) = access(None, true);
    let (mut screen, peer) = play(&[
        ("", &["\r\nUser Access Verification\r\n\r\nPlease Enter Pass", "word: "]),
        ("pass-one", &["********\r\n\r\nUser login successful.\r\n\r\ntelnet@iron", ">"]),
        ("enable", &["enable\r\nPassword:"]),
        ("pass-two", &["********\r\ntelnet@iron#"]),
        ("skip-page-display", &["skip-page-display\r\nDisable page display mode\r\ntelnet@iron#"]),
    ]);
    let host = login(&mut screen, &access).await.expect("in");
    assert_eq!(host.name(), "iron");
    peer.await.expect("the script is played");
}

#[tokio::test]
async fn a_name_and_a_password() {
    let (access, _files) = access(Some("sluice"), false);
    let (mut screen, peer) = play(&[
        ("", &["User Access Verification\r\n\r\nPlease Enter Login Name: "]),
        ("sluice", &["sluice\r\nPlease Enter Password: "]),
        ("pass-one", &["\r\nServer x successfully deleted.\r\niron#"]),
        SKIP,
    ]);
    login(&mut screen, &access).await.expect("in");
    peer.await.expect("the script is played");
}

#[tokio::test]
async fn over_ssh_the_prompt_comes_first() {
    let (access, _files) = access(Some("sluice"), false);
    let (mut screen, peer) = play(&[
        ("", &["SSH@iron>"]),
        ("enable", &["enable\r\nSSH@iron#"]),
        ("skip-page-display", &["skip-page-display\r\nSSH@iron#"]),
    ]);
    login(&mut screen, &access).await.expect("in");
    peer.await.expect("the script is played");
}

/// What went wrong is said, without the passwords.
async fn refused(user: Option<&str>, enable: bool, script: &[Exchange<'_>]) -> String {
    let (access, _files) = access(user, enable);
    let (mut screen, _peer) = play(script);
    match login(&mut screen, &access).await.expect_err("it does not get in") {
        Failure::Lost(why) => {
            assert!(!why.contains("pass-one") && !why.contains("pass-two"), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn who_does_not_get_in_is_told_why() {
    let wrong: &[Exchange<'_>] = &[
        ("", &["Please Enter Login Name: "]),
        ("sluice", &["sluice\r\nPlease Enter Password: "]),
        ("pass-one", &["\r\nError - Incorrect username or password.\r\nPlease Enter Login Name: "]),
    ];
    let why = refused(Some("sluice"), false, wrong).await;
    assert_eq!(why, "it refuses the login: Error - Incorrect username or password.");

    let why = refused(None, false, &[("", &["Please Enter Login Name: "])]).await;
    assert!(why.contains("set user"), "{why}");

    let no_enable: &[Exchange<'_>] = &[("", &["iron>"]), ("enable", &["enable\r\nPassword:"])];
    let why = refused(None, false, no_enable).await;
    assert!(why.contains("set enable_password_file"), "{why}");

    let bad_enable: &[Exchange<'_>] = &[
        ("", &["iron>"]),
        ("enable", &["enable\r\nPassword:"]),
        ("pass-two", &["*****\r\nError - Incorrect username or password.\r\niron>"]),
    ];
    let why = refused(None, true, bad_enable).await;
    assert!(why.contains("refuses enable"), "{why}");

    let again: Exchange<'_> = ("pass-one", &["*****\r\nPlease Enter Password: "]);
    let mut endless = vec![("", ["Please Enter Password: "].as_slice())];
    endless.extend([again; 8]);
    let why = refused(None, false, &endless).await;
    assert!(why.contains("not content"), "{why}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let table = [
        ("address = '1.2.3.4:23'\ntransport = 'ssh'\npassword_env = 'P'", "user is missing"),
        (
            "address = '1.2.3.4:22'\ntransport = 'ssh'\nuser = 'u'\npassword_env = 'P'",
            "give host_key",
        ),
        ("address = '1.2.3.4:22'\ntransport = 'ssh'\nuser = 'u'\ninsecure = true", "give one"),
        (
            "address = '1.2.3.4:22'\ntransport = 'ssh'\nuser = 'u'\npassword_env = 'P'\n\
             host_key = 'MD5'",
            "no fingerprint",
        ),
        ("address = '1.2.3.4:23'\ntransport = 'telnet'\nknown_hosts = '/x'", "only SSH has it"),
        (
            "address = '1.2.3.4:23'\ntransport = 'telnet'\npassword_env = 'P'\n\
             password_file = 'F'",
            "leave one out",
        ),
        (
            "address = '1.2.3.4:23'\ntransport = 'telnet'\nvirtual_servers = { www = 'a b' }",
            "not the name of a virtual server",
        ),
        ("address = '1.2.3.4:23'\ntransport = 'telnet'\nmax_weight = 0", "no weight"),
    ];
    for (text, words) in table {
        let options: Options = toml::from_str(text).expect(text);
        let error = options.check().expect_err(text);
        assert!(error.contains(words), "{text}: {error}");
    }
    // A secret itself is no option, so that nobody writes it there.
    let inline = "address = '1.2.3.4:23'\ntransport = 'telnet'\npassword = 'x'";
    toml::from_str::<Options>(inline).expect_err("an unknown field");
}
