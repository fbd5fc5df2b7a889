use super::*;
use crate::model::{Mode, Scope, ServiceSpec, Share, Verdict, Vip};

fn key(backend: &str) -> BindingKey {
    BindingKey { service: "www".parse().unwrap(), backend: backend.parse().unwrap() }
}

/// One of everything.
fn full() -> Intent {
    let mut intent = Intent { term: 7, ..Intent::default() };
    intent.adds.insert(key("192.0.2.1:80"), 50);
    intent.server_ids.insert(key("192.0.2.1:80"), "0a1b2c".parse().unwrap());
    intent.weights.insert(key("[2001:db8::1]:80"), 65_535);
    let deadline = Duration::from_millis(1500);
    intent.removals.insert(
        key("192.0.2.2:80"),
        Removal { boot: Some(u64::MAX), force: false, deadline, declared: false },
    );
    intent
        .removals
        .insert(key("192.0.2.3:80"), Removal { boot: None, force: true, deadline, declared: true });
    let policy = Policy {
        refuse: Share::from_ppm(1).unwrap(),
        verdict: Verdict::Silent,
        scope: Scope::Client,
    };
    let shop = crate::core::ServicePlan {
        spec: ServiceSpec {
            probe_path: true,
            ..ServiceSpec::tcp(
                "shop".parse().unwrap(),
                "203.0.113.40:80".parse::<Vip>().unwrap(),
                Mode::L2,
            )
        },
        health: Default::default(),
        slow_start: Default::default(),
        backends: BTreeMap::new(),
        policies: BTreeMap::new(),
    };
    intent.services.insert("shop".parse().unwrap(), Some(shop));
    intent.services.insert("api".parse().unwrap(), None);
    intent.drops.insert(("www".parse().unwrap(), "default".parse().unwrap()), policy);
    intent
}

#[test]
fn what_is_saved_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deeper/intent.json");
    let file = IntentFile::open(&path).unwrap();
    assert_eq!(file.load().unwrap(), Intent::default(), "none yet");
    for intent in [full(), Intent { term: 8, ..Intent::default() }, full()] {
        file.save(&intent).unwrap();
        assert_eq!(file.load().unwrap(), intent);
    }
    let files: Vec<_> =
        fs::read_dir(path.parent().unwrap()).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(files.len(), 2, "the file and its lock, nothing temporary: {files:?}");
}

#[test]
fn a_damaged_file_is_an_error_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("intent.json");
    let file = IntentFile::open(&path).unwrap();
    file.save(&full()).unwrap();
    let good = fs::read(&path).unwrap();
    let edited =
        String::from_utf8(good.clone()).unwrap().replace("\"weight\": 50", "\"weight\": 51");
    let newer =
        String::from_utf8(good.clone()).unwrap().replace("\"version\": 1", "\"version\": 2");
    let table: [(&[u8], &str); 5] = [
        (b"", "it is damaged"),
        (&good[..good.len() / 2], "it is damaged"),
        (b"\0\0\0\0", "it is damaged"),
        (edited.as_bytes(), "it is damaged or was edited: its checksum"),
        (newer.as_bytes(), "it is of version 2; this program reads version 1"),
    ];
    for (bytes, part) in table {
        fs::write(&path, bytes).unwrap();
        let error = format!("{:#}", file.load().unwrap_err());
        assert!(error.contains(part) && error.contains("move it away"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn every_byte_counts() {
    let good = encode(&full()).unwrap();
    for place in 0..good.len() {
        let mut bad = good.clone();
        bad[place] ^= 0x01;
        // White space may change; nothing that was said may.
        if let Ok(intent) = decode(&bad) {
            assert_eq!(intent, full(), "byte {place} of {}", good.len());
        }
    }
}

#[test]
fn one_manager_has_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("intent.json");
    let first = IntentFile::open(&path).unwrap();
    let error = IntentFile::open(&path).unwrap_err().to_string();
    assert!(error.starts_with("another manager is running"), "{error}");
    drop(first);
    IntentFile::open(&path).unwrap();
}

#[test]
fn a_save_that_fails_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("intent.json");
    let file = IntentFile::open(&path).unwrap();
    // A directory in its place cannot be replaced by a file.
    fs::create_dir(&path).unwrap();
    let error = format!("{:#}", file.save(&full()).unwrap_err());
    assert!(error.starts_with("cannot write the intent file"), "{error}");
    assert!(path.is_dir());
}

#[test]
fn fuzzed_intent() {
    let good = encode(&full()).unwrap();
    crate::testing::Fuzz::new("intent")
        .with(good)
        .words(&["\"version\": 1", "\"www\"", "null", "\"192.0.2.1:80\"", "[]", "{}", "\\u0000"])
        .run(|bytes| {
            if let Ok(intent) = decode(bytes) {
                assert_eq!(decode(&encode(&intent).unwrap()).unwrap(), intent);
            }
            // As if the checksum were right.
            let Ok(document) = serde_json::from_slice::<Document>(bytes) else { return };
            let Ok(intent) = Intent::try_from(document.intent) else { return };
            assert_eq!(decode(&encode(&intent).unwrap()).unwrap(), intent);
        });
}
