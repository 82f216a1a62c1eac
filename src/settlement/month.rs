//! Pure: Japan's months and days.

use std::fmt;

use jiff::{
    Timestamp,
    civil::Date,
    tz::{TimeZone, offset},
};

use super::{SettlementError, terms::invalid};
use crate::clock::Millis;

/// Japan has had one offset and no summer time since 1951.
fn japan() -> TimeZone {
    TimeZone::fixed(offset(9))
}

/// The first moment of a day.
fn begins(day: Date) -> Millis {
    day.to_zoned(japan()).map_or(Millis(i64::MAX), |zoned| Millis(zoned.timestamp().as_millisecond()))
}

/// The day of a moment.
pub(super) fn day_of(at: Millis) -> Date {
    let at = Timestamp::from_millisecond(at.0).unwrap_or_default();
    japan().to_datetime(at).date()
}

/// The last millisecond of the `days`-th day from a moment's day on, that day counted.
pub(super) fn end_of_day(from: Millis, days: i32) -> Millis {
    let day = day_of(from).saturating_add(jiff::Span::new().days(i64::from(days)));
    Millis(begins(day).0.saturating_sub(1))
}

/// A month: `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month(Date);

impl Month {
    /// Reads a month.
    ///
    /// # Errors
    /// [`SettlementError::Invalid`] when it is none.
    pub fn parse(text: &str) -> Result<Self, SettlementError> {
        let known = |(year, month): (&str, &str)| {
            let digits =
                year.len() == 4 && month.len() == 2 && [year, month].concat().bytes().all(|b| b.is_ascii_digit());
            let day = digits.then(|| Date::new(year.parse().ok()?, month.parse().ok()?, 1).ok()).flatten();
            // Farther off nobody has sold anything.
            day.filter(|day| (2000..=2999).contains(&day.year()))
        };
        match text.split_once('-').and_then(known) {
            Some(day) => Ok(Self(day)),
            None => invalid("period must be a month like 2026-11"),
        }
    }

    /// The first moment after it.
    pub(super) fn end(self) -> Millis {
        begins(self.0.last_of_month().saturating_add(jiff::Span::new().days(1)))
    }

    /// Its last day.
    pub(super) fn last_day(self) -> Date {
        self.0.last_of_month()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().expect("a time").as_millisecond())
    }

    #[test]
    fn months_are_japans() {
        let month = Month::parse("2026-12").expect("a month");
        assert_eq!(begins(month.0), at("2026-11-30T15:00:00Z"));
        assert_eq!(month.end(), at("2026-12-31T15:00:00Z"));
        assert_eq!(month.to_string(), "2026-12");
        for wrong in ["2026-13", "2026-1", "26-01", "2026-01-01", "", "+026-01", "9999-12"] {
            assert!(Month::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_day_of_the_stream_is_the_first_of_sixty() {
        // A stream at 23:30 in Japan on 1 November: the 60th day is 30 December.
        let stream = at("2026-11-01T14:30:00Z");
        assert_eq!(end_of_day(stream, 60), Millis(at("2026-12-30T15:00:00Z").0 - 1));
        assert_eq!(end_of_day(stream, 1), Millis(at("2026-11-01T15:00:00Z").0 - 1));
    }
}
