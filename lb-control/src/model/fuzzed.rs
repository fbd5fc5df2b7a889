//! Any text for a value.

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use super::{Name, Pattern, Prefix, ServerId, Vip};
use crate::{testing::Fuzz, transport::Target};

/// What is taken is written as it is read, and what is not is said in few words.
fn value<T>(text: &str)
where
    T: Debug + Display + PartialEq + FromStr<Err: Debug + Display>,
{
    match text.parse::<T>() {
        Ok(value) => assert_eq!(value.to_string().parse::<T>().unwrap(), value, "{text:?}"),
        Err(error) => {
            let error = error.to_string();
            assert!(error.chars().count() < 400, "{error}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }
}

#[test]
fn fuzzed_values() {
    Fuzz::new("values")
        .words(&[
            "*",
            "/32",
            "/128",
            "::",
            "[",
            "]:",
            ":80",
            "spiffe://",
            "unix:",
            "255.255.255.255",
        ])
        .run(|bytes| {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            value::<Name>(text);
            value::<Vip>(text);
            value::<Prefix>(text);
            value::<Pattern>(text);
            value::<ServerId>(text);
            value::<Target>(text);
        });
}
