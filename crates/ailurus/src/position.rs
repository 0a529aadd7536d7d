//! Places in a partition as people name them, for `consume --offset` and `group reset --to`.
//!
//! `earliest`, `latest`, `committed`, `42`, `-10` (ten before the end), `@TIME`; a range is `FROM:UNTIL`, the end not
//! included. The other names of rpk (`start`, `end`) and kcat (`beginning`, `stored`, `s@`, `e@`) are understood.

use crate::units::parse_time;

/// One place, not yet resolved against a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// The first record that is still there.
    Earliest,
    /// Behind the last record that can be read.
    Latest,
    /// Where the group committed.
    Committed,
    /// This offset.
    Offset(i64),
    /// So many records before the end.
    BeforeEnd(i64),
    /// The first record with this timestamp (milliseconds since 1970) or a later one.
    Time(i64),
}

/// From a place up to another; without the other, without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: Position,
    pub(crate) until: Option<Position>,
}

impl Position {
    /// `now` in milliseconds is what relative times count from.
    pub(crate) fn parse(text: &str, now: i64) -> Result<Position, String> {
        match text {
            "earliest" | "start" | "beginning" | "oldest" => return Ok(Position::Earliest),
            "latest" | "end" | "newest" => return Ok(Position::Latest),
            "committed" | "stored" => return Ok(Position::Committed),
            _ => {}
        }
        if let Some(time) = text.strip_prefix('@').or_else(|| text.strip_prefix("s@")) {
            return Ok(Position::Time(parse_time(time, now)?));
        }
        match text.parse::<i64>() {
            Ok(offset) if text.starts_with('-') => Ok(Position::BeforeEnd(-offset)),
            Ok(offset) => Ok(Position::Offset(offset)),
            Err(_) => Err(format!(
                "\"{text}\" is no position; write earliest, latest, an offset like 42, -10 for ten before the end, or \
                 @TIME like @2026-01-31T12:00:00Z or @-15m"
            )),
        }
    }
}

impl Range {
    pub(crate) fn parse(text: &str, now: i64) -> Result<Range, String> {
        if let Some(until) = text.strip_prefix("e@") {
            let until = Some(Position::Time(parse_time(until, now)?));
            return Ok(Range { from: Position::Earliest, until });
        }
        let whole = Position::parse(text, now);
        if let Ok(from) = whole {
            return Ok(Range { from, until: None });
        }
        // Times contain colons too: the first split that makes sense on both sides is meant.
        let splits = text.match_indices(':').map(|(at, _)| (&text[..at], &text[at + 1..]));
        let range = splits.filter_map(|(from, until)| Self::of(from, until, now)).next();
        range.map_or_else(|| whole.map(|from| Range { from, until: None }), Ok)
    }

    fn of(from: &str, until: &str, now: i64) -> Option<Range> {
        let from = if from.is_empty() { Position::Earliest } else { Position::parse(from, now).ok()? };
        let until = if until.is_empty() { None } else { Some(Position::parse(until, now).ok()?) };
        Some(Range { from, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_100_000;

    #[test]
    fn positions() {
        let cases = [
            ("earliest", Position::Earliest),
            ("start", Position::Earliest),
            ("end", Position::Latest),
            ("stored", Position::Committed),
            ("42", Position::Offset(42)),
            ("-10", Position::BeforeEnd(10)),
            ("@1700000000000", Position::Time(1_700_000_000_000)),
            ("@-100s", Position::Time(1_700_000_000_000)),
            ("s@1700000000000", Position::Time(1_700_000_000_000)),
        ];
        for (text, position) in cases {
            assert_eq!(Position::parse(text, NOW), Ok(position), "{text}");
        }
        for bad in ["", "first", "4.2", "@", "@noon", "99999999999999999999"] {
            assert!(Position::parse(bad, NOW).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        let range = |text| Range::parse(text, NOW).map(|r| (r.from, r.until));
        assert_eq!(range("3:10"), Ok((Position::Offset(3), Some(Position::Offset(10)))));
        assert_eq!(range(":end"), Ok((Position::Earliest, Some(Position::Latest))));
        assert_eq!(range("-5:"), Ok((Position::BeforeEnd(5), None)));
        assert_eq!(range("latest"), Ok((Position::Latest, None)));
        let noon = Position::Time(1_700_000_000_000);
        assert_eq!(range("@2023-11-14T22:13:20Z"), Ok((noon, None)));
        assert_eq!(range("@2023-11-14T22:13:20Z:@-100s"), Ok((noon, Some(noon))));
        assert_eq!(range("e@1700000000000"), Ok((Position::Earliest, Some(noon))));
        assert!(range("3:x").is_err());
    }
}
