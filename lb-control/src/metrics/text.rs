//! Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// The format's media type.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family's samples are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows. Its name ends in `_total`.
    Counter,
    Gauge,
    /// Its name ends in its unit.
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Count(u64),
    Float(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Count(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Self::Count(holds.into())
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<Duration> for Value {
    /// In seconds.
    fn from(duration: Duration) -> Self {
        Self::Float(duration.as_secs_f64())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Float(value) if value.is_nan() => f.write_str("NaN"),
            Self::Float(value) if value.is_infinite() => {
                f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" })
            }
            Self::Float(value) => write!(f, "{value}"),
        }
    }
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// A page of families.
#[derive(Debug, Default)]
pub struct Page(String);

impl Page {
    /// Begins a family. Without a sample, nothing is written of it.
    pub fn family(&mut self, kind: Kind, name: &'static str, help: &'static str) -> Family<'_> {
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        Family { page: self, kind, name, help, begun: false }
    }

    pub fn counter(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(Kind::Counter, name, help)
    }

    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> Family<'_> {
        self.family(Kind::Gauge, name, help)
    }

    pub fn text(self) -> String {
        self.0
    }
}

/// A family of samples that are told apart by labels.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut Page,
    kind: Kind,
    name: &'static str,
    help: &'static str,
    begun: bool,
}

impl Family<'_> {
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Into<Value>) {
        self.line("", labels, None, value.into());
    }

    /// `buckets`: the upper end of each, in order, and how many are in it and in
    /// none before. `count` and `total` are of all, also of those beyond the last.
    pub fn histogram(
        &mut self,
        labels: Labels<'_>,
        buckets: impl IntoIterator<Item = (Duration, u64)>,
        (count, total): (u64, Duration),
    ) {
        let mut within = 0;
        for (end, more) in buckets {
            within += more;
            let end = Value::from(end).to_string();
            self.line("_bucket", labels, Some(&end), within.into());
        }
        self.line("_bucket", labels, Some("+Inf"), count.into());
        self.line("_sum", labels, None, total.into());
        self.line("_count", labels, None, count.into());
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, end: Option<&str>, value: Value) {
        let text = &mut self.page.0;
        // Nothing fails that writes into a string.
        if !std::mem::replace(&mut self.begun, true) {
            let help = escape(self.help, false);
            let _ = write!(text, "# HELP {} {help}\n# TYPE {0} {}\n", self.name, self.kind.name());
        }
        let _ = write!(text, "{}{suffix}", self.name);
        let mut before = '{';
        for (name, label) in labels.iter().copied().chain(end.map(|end| ("le", end))) {
            let _ = write!(text, "{before}{name}=\"{}\"", escape(label, true));
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

fn escape(text: &str, quote: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if quote => escaped.push_str("\\\""),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_the_format_has_it() {
        let mut page = Page::default();
        let mut family = page.counter("a_total", "What \"a\" is:\n\\ escaped.");
        family.sample(&[], 3_u64);
        family.sample(&[("x", "1"), ("y", "a\\b\"c\nd")], u64::MAX);
        page.gauge("empty", "Nothing.");
        let mut family = page.gauge("b", "B.");
        family.sample(&[], true);
        family.sample(&[("x", "")], 0.000_412);
        family.sample(&[], f64::NAN);
        family.sample(&[], f64::NEG_INFINITY);
        let buckets = [(Duration::from_micros(250), 2), (Duration::from_secs(1), 1)];
        page.family(Kind::Histogram, "c_seconds", "C.").histogram(
            &[("x", "1")],
            buckets,
            (4, Duration::from_millis(7_500)),
        );
        assert_eq!(
            page.text(),
            r#"# HELP a_total What "a" is:\n\\ escaped.
# TYPE a_total counter
a_total 3
a_total{x="1",y="a\\b\"c\nd"} 18446744073709551615
# HELP b B.
# TYPE b gauge
b 1
b{x=""} 0.000412
b NaN
b -Inf
# HELP c_seconds C.
# TYPE c_seconds histogram
c_seconds_bucket{x="1",le="0.00025"} 2
c_seconds_bucket{x="1",le="1"} 3
c_seconds_bucket{x="1",le="+Inf"} 4
c_seconds_sum{x="1"} 7.5
c_seconds_count{x="1"} 4
"#
        );
    }
}
