//! One request: a line `EVENT [@SERVICE[/ADDRESS]] [ARGUMENT]`.

use std::{fmt, net::SocketAddr, str::FromStr};

use crate::model::{Application, Name, Weight};

/// The longest line, its end included, in bytes.
pub(crate) const LONGEST: usize = 1024;
/// The most characters of a cause that are kept.
const MOST_CAUSE: usize = 256;

/// What happened, and to what of the agent's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) event: Event,
    /// None: every service.
    pub(crate) service: Option<Name>,
    /// None: every backend of the service.
    pub(crate) backend: Option<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Ready,
    Drain { cause: String },
    Leave { cause: String },
    Failed { cause: String },
    Weight(Share),
    Load(f64),
}

/// A weight, or a share of the one that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Whole(Weight),
    Percent(u32),
}

impl Request {
    pub(crate) fn means(&self, service: &Name, backend: SocketAddr) -> bool {
        self.service.as_ref().is_none_or(|name| name == service)
            && self.backend.is_none_or(|address| address == backend)
    }

    /// `@www/10.0.0.11:80`; empty: everything.
    pub(crate) fn target(&self) -> String {
        match (&self.service, self.backend) {
            (None, _) => String::new(),
            (Some(service), None) => format!("@{service}"),
            (Some(service), Some(backend)) => format!("@{service}/{backend}"),
        }
    }
}

impl FromStr for Request {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (word, mut rest) = split(line.trim());
        let (mut service, mut backend) = (None, None);
        if let Some(target) = rest.strip_prefix('@') {
            let (target, after) = split(target);
            (service, backend) = parse_target(target)?;
            rest = after;
        }
        let event = match word {
            "ready" if rest.is_empty() => Event::Ready,
            "ready" => return Err(format!("`ready` stands alone, without `{}`", shown(rest))),
            "drain" => Event::Drain { cause: cause(rest) },
            "leave" => Event::Leave { cause: cause(rest) },
            "failed" => match cause(rest) {
                cause if cause.is_empty() => {
                    return Err("say why, such as: failed the disk is full".to_owned());
                }
                cause => Event::Failed { cause },
            },
            "weight" => Event::Weight(rest.parse()?),
            "load" => Event::Load(parse_load(rest)?),
            "" => return Err("an empty line: send an event, such as: ready".to_owned()),
            _ => {
                return Err(format!(
                    "there is no event `{}`: ready, drain, leave, failed, weight, load",
                    shown(word)
                ));
            }
        };
        Ok(Self { event, service, backend })
    }
}

fn split(text: &str) -> (&str, &str) {
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim_start())
}

fn parse_target(text: &str) -> Result<(Option<Name>, Option<SocketAddr>), String> {
    let (service, backend) = match text.split_once('/') {
        Some((service, backend)) => (service, Some(backend)),
        None => (text, None),
    };
    let name = service.parse().map_err(|error| format!("@{}: {error}", shown(service)))?;
    let backend = backend.map(|text| {
        text.parse().map_err(|_| {
            format!("`{}` is not ADDRESS:PORT, such as @www/192.0.2.1:80", shown(text))
        })
    });
    Ok((Some(name), backend.transpose()?))
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "a weight is 0 to 65535, or a share of it such as 50%, up to {}%, not `{}`",
                Application::MOST_PERCENT,
                shown(text)
            )
        };
        match text.strip_suffix('%') {
            None => text.parse().map(Self::Whole).map_err(|_| wrong()),
            Some(percent) => match percent.parse() {
                Ok(percent) if percent <= Application::MOST_PERCENT => Ok(Self::Percent(percent)),
                _ => Err(wrong()),
            },
        }
    }
}

/// A load, 0 or more.
pub(crate) fn parse_load(text: &str) -> Result<f64, String> {
    let load: Option<f64> = text.parse().ok();
    load.filter(|load| load.is_finite() && *load >= 0.0).ok_or_else(|| {
        format!("a load is a number, 0 or more, such as 0.75, not `{}`", shown(text))
    })
}

/// Text for people, bounded, and without characters that a terminal obeys.
pub(super) fn cause(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).collect();
    // Written at the beginning, it would be taken for a target.
    let begun = plain.trim_start_matches(|c: char| c.is_whitespace() || c == '@');
    let cut: String = begun.chars().take(MOST_CAUSE).collect();
    cut.trim_end().to_owned()
}

/// What somebody sent, short enough to be repeated to them.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(weight) => write!(f, "{weight}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// The line, without its end.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, argument) = match &self.event {
            Event::Ready => ("ready", String::new()),
            Event::Drain { cause } => ("drain", cause.clone()),
            Event::Leave { cause } => ("leave", cause.clone()),
            Event::Failed { cause } => ("failed", cause.clone()),
            Event::Weight(share) => ("weight", share.to_string()),
            Event::Load(load) => ("load", load.to_string()),
        };
        f.write_str(word)?;
        for part in [self.target(), argument] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(event: Event, service: Option<&str>, backend: Option<&str>) -> Request {
        Request {
            event,
            service: service.map(|name| name.parse().unwrap()),
            backend: backend.map(|address| address.parse().unwrap()),
        }
    }

    #[test]
    fn lines_are_understood() {
        let cause = |text: &str| text.to_owned();
        let table = [
            ("ready", request(Event::Ready, None, None)),
            ("  ready @www  \r\n", request(Event::Ready, Some("www"), None)),
            ("drain", request(Event::Drain { cause: cause("") }, None, None)),
            ("leave  for good", request(Event::Leave { cause: cause("for good") }, None, None)),
            (
                "failed @www/[2001:db8::1]:80 the  disk @home is full",
                request(
                    Event::Failed { cause: cause("the  disk @home is full") },
                    Some("www"),
                    Some("[2001:db8::1]:80"),
                ),
            ),
            ("weight 0", request(Event::Weight(Share::Whole(0)), None, None)),
            ("weight @www 65535", request(Event::Weight(Share::Whole(65535)), Some("www"), None)),
            ("weight 150%", request(Event::Weight(Share::Percent(150)), None, None)),
            ("load 0.75", request(Event::Load(0.75), None, None)),
        ];
        for (line, expected) in table {
            assert_eq!(line.parse().as_ref(), Ok(&expected), "{line}");
            assert_eq!(expected.to_string().parse(), Ok(expected), "written and read again");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let table = [
            ("", "an empty line"),
            ("READY", "there is no event `READY`: ready, drain, leave, failed, weight, load"),
            ("ready now", "`ready` stands alone, without `now`"),
            ("failed", "say why, such as: failed the disk is full"),
            ("failed @www", "say why"),
            (
                "weight",
                "a weight is 0 to 65535, or a share of it such as 50%, up to 10000%, not ``",
            ),
            ("weight 65536", "a weight is 0 to 65535"),
            ("weight -1", "a weight is 0 to 65535"),
            ("weight 10001%", "a weight is 0 to 65535"),
            ("load NaN", "a load is a number, 0 or more, such as 0.75, not `NaN`"),
            ("load inf", "a load is a number"),
            ("load -0.1", "a load is a number"),
            ("drain @", "@: "),
            ("drain @www/here", "`here` is not ADDRESS:PORT"),
            ("drain @www/", "`` is not ADDRESS:PORT"),
        ];
        for (line, start) in table {
            let error = line.parse::<Request>().unwrap_err();
            assert!(error.starts_with(start), "{line}: {error}");
        }
    }

    #[test]
    fn causes_are_bounded_and_plain() {
        let line = format!("failed \u{1b}[31mred{}", "x".repeat(2000));
        let Ok(Request { event: Event::Failed { cause }, .. }) = line.parse() else { panic!() };
        assert_eq!(cause.chars().count(), MOST_CAUSE);
        assert!(cause.starts_with("[31mredxx"), "{cause}");
    }

    proptest! {
        #[test]
        fn any_line_is_taken_or_refused(line in "(ready|drain|failed|weight|load)?.{0,40}") {
            if let Ok(request) = line.parse::<Request>() {
                // What was understood is understood the same way again.
                prop_assert_eq!(request.to_string().parse(), Ok(request));
            }
        }
    }

    #[test]
    fn fuzzed_notify() {
        crate::testing::Fuzz::new("notify")
            .words(&["ready", "drain ", "leave ", "failed ", "weight ", "load ", "@www", "/", "%"])
            .run(|bytes| {
                let Ok(line) = std::str::from_utf8(bytes) else { return };
                match line.parse::<Request>() {
                    Ok(request) => {
                        let again = request.to_string();
                        assert_eq!(again.parse(), Ok(request), "{again:?}");
                    }
                    Err(error) => {
                        assert!(error.chars().count() < 300, "{error}");
                        assert!(!error.contains(char::is_control), "{error:?}");
                    }
                }
            });
    }
}
