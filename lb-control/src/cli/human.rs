//! Quantities as people read them.

use std::time::Duration;

/// One figure: `12s`, `3m`, `5h`, `2d`; the unit changes at two of the next.
pub fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Three figures: `180 µs`, `1.25 ms`, `3.40 s`.
pub fn latency(latency: Duration) -> String {
    let nanos = latency.as_nanos() as f64;
    let (value, unit) = match latency.as_nanos() {
        0..1_000 => (nanos, "ns"),
        1_000..1_000_000 => (nanos / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos / 1e6, "ms"),
        _ => (nanos / 1e9, "s"),
    };
    let digits = match value {
        _ if unit == "ns" => 0,
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// Powers of 1024: `512 B`, `1.5 KiB`, `20 GiB`.
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 10.0);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `50%`, `12.5%`; as many digits as the share has.
pub fn percent(percent: f64) -> String {
    let text = format!("{percent:.4}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A rate: whole numbers where there are many, else one digit after the point.
pub fn rate(rate: f64) -> String {
    if rate == 0.0 || rate >= 100.0 { format!("{rate:.0}") } else { format!("{rate:.1}") }
}

/// `1 policy`, `2 classes`, `0 services`.
pub fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ if what.ends_with('s') => format!("{number} {what}es"),
        _ if what.ends_with('y') => format!("{number} {}ies", what.trim_end_matches('y')),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let ages = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7_199, "119m"),
            (7_200, "2h"),
            (172_800, "2d"),
        ];
        for (seconds, text) in ages {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn latencies() {
        let latencies = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_250, "1.25 µs"),
            (180_000, "180 µs"),
            (12_340_000, "12.3 ms"),
            (3_400_000_000, "3.40 s"),
        ];
        for (nanos, text) in latencies {
            assert_eq!(latency(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn quantities() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(1023.0), "1023 B");
        assert_eq!(bytes(1536.0), "1.5 KiB");
        assert_eq!(bytes(20.0 * 1024.0 * 1024.0), "20 MiB");
        assert_eq!(percent(50.0), "50%");
        assert_eq!(percent(12.5), "12.5%");
        assert_eq!(percent(0.0), "0%");
        assert_eq!(rate(0.0), "0");
        assert_eq!(rate(0.5), "0.5");
        assert_eq!(rate(12_345.6), "12346");
    }
}
