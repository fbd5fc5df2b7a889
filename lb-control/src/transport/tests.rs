use super::*;

#[test]
fn targets() {
    for good in [
        "unix:/run/sluice/sluice.sock",
        "127.0.0.1:7400",
        "[::1]:7400",
        "m-1.example:1",
    ] {
        assert_eq!(good.parse::<Target>().unwrap().to_string(), good);
    }
    assert_eq!(
        "unix:///run/x".parse::<Target>().unwrap(),
        Target::Unix("/run/x".into())
    );
    for bad in [
        "",
        "m",
        "m:",
        "m:0",
        ":1",
        "::1:7400",
        "[m]:1",
        "unix:x",
        "http://m:1",
        "m:65536",
    ] {
        assert!(bad.parse::<Target>().is_err(), "{bad}");
    }
}
