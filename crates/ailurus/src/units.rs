//! Times as people write them: `90s`, `2026-01-31T12:00Z`; times and sizes as people read them.

use std::time::Duration;

/// `250ms`, `90s`, `15m`, `2h`, `7d`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text)?;
    let milliseconds = match unit.to_ascii_lowercase().as_str() {
        "ms" => 1,
        "" | "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("\"{unit}\" is no unit of time; write for example 500ms, 90s, 15m, 2h or 7d")),
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).ok_or_else(|| format!("{text} is too long"))
}

fn split_unit(text: &str) -> Result<(u64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number = text[..end].parse().map_err(|_| format!("\"{text}\" does not start with a number that fits"))?;
    Ok((number, text[end..].trim()))
}

/// A point in time in milliseconds since 1970: milliseconds (13 digits) or seconds (10 digits), RFC 3339
/// (`2026-01-31T12:00:00Z`, `2026-01-31 12:00+01:00`), a date in UTC, or `-15m`: that long before `now`.
pub(crate) fn parse_time(text: &str, now: i64) -> Result<i64, String> {
    if let Some(ago) = text.strip_prefix('-') {
        return Ok(now - parse_duration(ago)?.as_millis() as i64);
    }
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        let number: i64 = text.parse().map_err(|_| format!("{text} is too large for a time"))?;
        return Ok(if text.len() <= 10 { number * 1000 } else { number });
    }
    let timestamp: Option<jiff::Timestamp> = text.parse().ok();
    let date = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    timestamp.or_else(|| date().map(|zoned| zoned.timestamp())).map(|t| t.as_millisecond()).ok_or_else(|| {
        format!("\"{text}\" is no time; write 2026-01-31T12:00:00Z, 2026-01-31, milliseconds since 1970, or -15m")
    })
}

/// `2026-01-31T12:00:00.123Z`, or the number itself where no calendar has it.
pub(crate) fn show_time(unix_ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(unix_ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => unix_ms.to_string(),
    }
}

/// `0 B`, `1.5 KiB`, `12.0 GiB`.
pub(crate) fn show_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let step = (63 - bytes.leading_zeros()) as usize / 10;
    format!("{:.1} {}", bytes as f64 / (1u64 << (10 * step)) as f64, UNITS[step - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        let shown = [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (12 << 30, "12.0 GiB"), (u64::MAX, "16.0 EiB")];
        for (bytes, text) in shown {
            assert_eq!(show_bytes(bytes), text);
        }
    }

    #[test]
    fn durations() {
        let cases = [("250ms", 250), ("90s", 90_000), ("90", 90_000), ("15m", 900_000), ("7d", 604_800_000)];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        assert!(parse_duration("3 weeks").is_err());
    }

    #[test]
    fn times() {
        let now = 1_700_000_100_000;
        let cases = [
            ("1700000000000", 1_700_000_000_000),
            ("1700000000", 1_700_000_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-14T23:13:20+01:00", 1_700_000_000_000),
            ("2023-11-14", 1_699_920_000_000),
            ("-100s", 1_700_000_000_000),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_time(text, now), Ok(ms), "{text}");
        }
        assert!(parse_time("yesterday", now).is_err());
        assert_eq!(show_time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(show_time(i64::MAX), i64::MAX.to_string());
    }
}
