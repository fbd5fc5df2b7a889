use super::*;

const DOMAIN: &str = "sluice.internal";

fn made() -> (tempfile::TempDir, Made) {
    let directory = tempfile::tempdir().unwrap();
    let made = init(directory.path(), DOMAIN, 365).unwrap();
    (directory, made)
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn what_is_issued_says_who_it_is_for() {
    let (directory, authority) = made();
    assert!(authority.shown.is_authority);
    let hosts = ["198.51.100.1".to_owned(), "manager.example".to_owned()];
    let manager = issue(directory.path(), &name("m"), Holder::Manager, &hosts, 90).unwrap();
    assert_eq!(manager.shown.identities, ["spiffe://sluice.internal/manager/m", "manager.example"]);
    let agent = issue(directory.path(), &name("web-1"), Holder::Agent, &[], 90).unwrap();
    assert_eq!(agent.shown.identities, ["spiffe://sluice.internal/agent/web-1"]);
    assert!(!agent.shown.is_authority);
    for made in [&authority, &manager, &agent] {
        assert_eq!((mode(&made.key), mode(&made.cert)), (0o600, 0o644));
        assert!(made.shown.begins < SystemTime::now());
    }
    let left = agent.shown.ends.duration_since(SystemTime::now()).unwrap();
    assert!(left > DAY * 89 && left <= DAY * 90, "{left:?}");
    assert_eq!(show(&agent.cert).unwrap().identities, agent.shown.identities);
}

#[test]
fn nothing_outlives_the_authority() {
    let (directory, authority) = made();
    let agent = issue(directory.path(), &name("web-1"), Holder::Agent, &[], 9999).unwrap();
    assert_eq!(agent.shown.ends, authority.shown.ends);
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_half_done() {
    let (directory, authority) = made();
    let before = fs::read(&authority.key).unwrap();
    let error = init(directory.path(), DOMAIN, 1).unwrap_err();
    assert!(error.to_string().contains("ca.key is there already"), "{error}");
    assert_eq!(fs::read(&authority.key).unwrap(), before);

    let taken = directory.path().join("web-1.pem");
    fs::write(&taken, "mine").unwrap();
    let error = issue(directory.path(), &name("web-1"), Holder::Agent, &[], 1).unwrap_err();
    assert!(error.to_string().contains("web-1.pem is there already"), "{error}");
    assert_eq!(fs::read_to_string(&taken).unwrap(), "mine");
    assert!(!directory.path().join("web-1.key").exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
}

#[test]
fn what_cannot_be_done_is_said() {
    let (directory, authority) = made();
    let fails = |name: &str, holder, hosts: &[String]| {
        let name = name.parse().unwrap();
        format!("{:#}", issue(directory.path(), &name, holder, hosts, 1).unwrap_err())
    };
    assert!(fails("m", Holder::Manager, &[]).contains("--host"));
    assert!(fails("ca", Holder::Agent, &[]).contains("the authority itself"));
    assert!(fails("m", Holder::Manager, &["ä".to_owned()]).contains("no host name"));
    assert!(
        format!("{:#}", init(directory.path(), "a/b", 1).unwrap_err()).contains("trust domain")
    );

    let (other, _) = made();
    fs::copy(other.path().join("ca.key"), &authority.key).unwrap();
    assert!(fails("a", Holder::Agent, &[]).contains("do not go together"));
    fs::write(&authority.key, "nothing").unwrap();
    assert!(fails("a", Holder::Agent, &[]).contains("cannot be used"));
    fs::remove_file(&authority.cert).unwrap();
    assert!(fails("a", Holder::Agent, &[]).contains("sluice certs init"));
    assert!(format!("{:#}", show(&authority.key).unwrap_err()).contains("no certificate"));
}
