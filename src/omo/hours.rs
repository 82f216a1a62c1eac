//! Pure: when a store is open, and how much of a time that is.
//!
//! Hours are Japan's, which has had one offset and no summer time since 1951. A store that tells no hours is taken as one that
//! is always open: nobody is made to wait for hours that nobody knows.

use std::{collections::BTreeSet, fmt};

use jiff::{civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::clock::Millis;

const MINUTE_MS: i64 = 60 * 1_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
const JAPAN_MS: i64 = 9 * 60 * MINUTE_MS;
/// Minutes of a day.
const DAY_MINUTES: u16 = 24 * 60;
/// Times a store may open on one day.
const MAX_A_DAY: usize = 4;
/// Days on which it may be closed.
const MAX_CLOSED: usize = 366;
/// A store that is not open for so many days is not waited for.
const LOOK_AHEAD_DAYS: i64 = 400;

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A time of day, to the minute: `09:30`; `24:00` is the end of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "10:00")]
pub struct TimeOfDay(u16);

impl TryFrom<String> for TimeOfDay {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let read = |text: &str| {
            let (hours, minutes) = text.split_once(':')?;
            let digits =
                [hours, minutes].iter().all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()));
            if !digits {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            let all = hours * 60 + minutes;
            (minutes < 60 && all <= DAY_MINUTES).then_some(Self(all))
        };
        read(&text).ok_or_else(|| "a time of day is like 09:30, at most 24:00".to_owned())
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> Self {
        format!("{:02}:{:02}", time.0 / 60, time.0 % 60)
    }
}

/// A day: `2027-01-01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, example = "2027-01-01")]
pub struct Day(Date);

impl TryFrom<String> for Day {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let read: Option<Date> = (text.len() == 10).then(|| text.parse().ok()).flatten();
        read.map(Self).ok_or_else(|| "a day is like 2027-01-01".to_owned())
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0.to_string()
    }
}

impl Day {
    /// Days since 1970-01-01.
    fn number(self) -> i64 {
        self.0.to_zoned(TimeZone::UTC).map_or(i64::MAX, |zoned| zoned.timestamp().as_millisecond().div_euclid(DAY_MS))
    }
}

/// A store is open on this day of the week, from then to then.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// Which day.
    pub day: Weekday,
    /// From.
    pub opens: TimeOfDay,
    /// Until, the same day; later than `opens`.
    pub closes: TimeOfDay,
}

/// When a store is open, in Japan's time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Up to 4 times a day that do not overlap; a day that is missing is a closed one. Nothing at all: not told.
    pub weekly: Vec<Opening>,
    /// Closed all day, whatever the week says; up to 366.
    #[serde(default)]
    pub closed_dates: BTreeSet<Day>,
}

impl Hours {
    /// In order, or what is wrong.
    ///
    /// # Errors
    /// Beginning with the field's name.
    pub(super) fn check(mut self) -> Result<Self, String> {
        self.weekly.sort();
        if self.weekly.iter().any(|one| one.opens >= one.closes) {
            return Err(
                "hours.weekly: a store opens before it closes; what goes on after midnight is of the next day".into()
            );
        }
        let overlap = |pair: &[Opening]| pair[0].day == pair[1].day && pair[1].opens < pair[0].closes;
        if self.weekly.windows(2).any(overlap) {
            return Err("hours.weekly: the times of one day must not overlap".into());
        }
        let too_many = |n: &[Opening]| n[0].day == n[MAX_A_DAY].day;
        if self.weekly.windows(MAX_A_DAY + 1).any(too_many) {
            return Err(format!("hours.weekly: at most {MAX_A_DAY} times a day"));
        }
        if self.closed_dates.len() > MAX_CLOSED {
            return Err(format!("hours.closed_dates: at most {MAX_CLOSED}"));
        }
        Ok(self)
    }

    /// When it is open on a day (since 1970), in order.
    fn open_on(&self, day: i64) -> impl Iterator<Item = (i64, i64)> {
        // The first day of 1970 was a Thursday.
        let weekday = (day + 3).rem_euclid(7);
        let closed = self.closed_dates.iter().any(|closed| closed.number() == day);
        let begins = day * DAY_MS - JAPAN_MS;
        let at = move |time: TimeOfDay| begins + i64::from(time.0) * MINUTE_MS;
        let open = move |one: &&Opening| !closed && one.day as i64 == weekday;
        self.weekly.iter().filter(open).map(move |one| (at(one.opens), at(one.closes)))
    }

    /// When a store has been open for so long, from a moment on; 0: the moment at which it can begin.
    pub(super) fn after(&self, from: Millis, open_ms: i64) -> Millis {
        let today = (from.0 + JAPAN_MS).div_euclid(DAY_MS);
        let mut left = open_ms;
        for day in today..today + LOOK_AHEAD_DAYS {
            for (opens, closes) in self.open_on(day) {
                let begins = opens.max(from.0);
                if begins >= closes {
                    continue;
                }
                if left <= closes - begins {
                    return Millis(begins + left);
                }
                left -= closes - begins;
            }
        }
        // No hours are known, or it is closed for good.
        Millis(from.0.saturating_add(open_ms))
    }

    /// For how much of a time it was open; all of it where no hours are told, or where it was closed throughout.
    pub(super) fn open_between(&self, from: Millis, to: Millis) -> i64 {
        let whole = to.since(from).max(0);
        let (first, last) = ((from.0 + JAPAN_MS).div_euclid(DAY_MS), (to.0 + JAPAN_MS).div_euclid(DAY_MS));
        if last - first > LOOK_AHEAD_DAYS {
            return whole;
        }
        let open: i64 = (first..=last)
            .flat_map(|day| self.open_on(day))
            .map(|(opens, closes)| (closes.min(to.0) - opens.max(from.0)).max(0))
            .sum();
        if open == 0 { whole } else { open }
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).expect("names and texts are JSON"))
    }
}

impl TryFrom<String> for Hours {
    type Error = serde_json::Error;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text)
    }
}

/// A store that has prepared nothing yet is taken to need so long …
const UNKNOWN_PACE_MS: i64 = 30 * MINUTE_MS;
/// … and none to need less than this.
const LEAST_PACE_MS: i64 = 10 * MINUTE_MS;

/// How long a store needs for an order, by how long it needed for its last ones: the one in the middle.
pub(super) fn pace_ms(mut prepared: Vec<i64>) -> i64 {
    prepared.sort_unstable();
    let middle = prepared.len() / 2;
    let median = match prepared.len() {
        0 => return UNKNOWN_PACE_MS,
        n if n % 2 == 1 => prepared[middle],
        _ => prepared[middle - 1].midpoint(prepared[middle]),
    };
    median.max(LEAST_PACE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
    }

    fn hours(json: &str) -> Result<Hours, String> {
        serde_json::from_str::<Hours>(json).map_err(|error| error.to_string())?.check()
    }

    /// Weekdays 10 to 20, Saturday with a break, Sunday closed, and closed on Monday the 11th.
    fn ginza() -> Hours {
        let mut weekly: Vec<String> = ["mon", "tue", "wed", "thu", "fri"]
            .iter()
            .map(|day| format!(r#"{{"day":"{day}","opens":"10:00","closes":"20:00"}}"#))
            .collect();
        weekly.push(r#"{"day":"sat","opens":"14:00","closes":"18:00"}"#.into());
        weekly.push(r#"{"day":"sat","opens":"10:00","closes":"13:00"}"#.into());
        let text = format!(r#"{{"weekly":[{}],"closed_dates":["2027-01-11"]}}"#, weekly.join(","));
        hours(&text).expect("they are right")
    }

    #[test]
    fn work_goes_on_while_the_store_is_open() {
        let of = |from: &str, minutes: i64| ginza().after(at(from), minutes * MINUTE_MS);
        assert_eq!(of("2027-01-08T12:00:00+09:00", 30), at("2027-01-08T12:30:00+09:00"), "a Friday");
        assert_eq!(of("2027-01-08T03:00:00+09:00", 30), at("2027-01-08T10:30:00+09:00"), "before it opens");
        assert_eq!(of("2027-01-08T19:30:00+09:00", 30), at("2027-01-08T20:00:00+09:00"), "just in time");
        assert_eq!(of("2027-01-08T19:50:00+09:00", 30), at("2027-01-09T10:20:00+09:00"), "the rest on Saturday");
        assert_eq!(of("2027-01-09T12:50:00+09:00", 30), at("2027-01-09T14:20:00+09:00"), "after the break");
        // Sunday, and a Monday on which it is closed.
        assert_eq!(of("2027-01-09T17:50:00+09:00", 30), at("2027-01-12T10:20:00+09:00"));
        assert_eq!(of("2027-01-10T12:00:00+09:00", 0), at("2027-01-12T10:00:00+09:00"));
        let never = Hours::default();
        assert_eq!(never.after(Millis(5), 7), Millis(12), "no hours are no closing");
    }

    #[test]
    fn what_took_a_night_took_the_hours_around_it() {
        let open = |from: &str, to: &str| ginza().open_between(at(from), at(to)) / MINUTE_MS;
        assert_eq!(open("2027-01-07T19:50:00+09:00", "2027-01-08T10:20:00+09:00"), 30);
        assert_eq!(open("2027-01-09T12:00:00+09:00", "2027-01-09T15:00:00+09:00"), 120);
        assert_eq!(open("2027-01-10T12:00:00+09:00", "2027-01-10T12:05:00+09:00"), 5, "they worked on a Sunday");
    }

    #[test]
    fn hours_that_cannot_be_are_refused() {
        let one = |day: &str, opens: &str, closes: &str| {
            format!(r#"{{"day":"{day}","opens":"{opens}","closes":"{closes}"}}"#)
        };
        for weekly in [
            one("mon", "20:00", "10:00"),
            one("mon", "10:00", "10:00"),
            one("mon", "10:00", "24:01"),
            one("mon", "1:00", "10:00"),
            // More minutes than a number of this size holds.
            one("mon", "10:00", "65535:00"),
            one("mon", "-1:00", "+2:00"),
            one("mon", "10:60", "12:00"),
            one("mo", "10:00", "12:00"),
            [one("mon", "10:00", "13:00"), one("mon", "12:59", "15:00")].join(","),
            ["10", "11", "12", "13", "14"].map(|h| one("sun", &format!("{h}:00"), &format!("{h}:30"))).join(","),
        ] {
            assert!(hours(&format!(r#"{{"weekly":[{weekly}]}}"#)).is_err(), "{weekly}");
        }
        for day in ["2027-02-29", "2027-1-1", "today"] {
            assert!(hours(&format!(r#"{{"weekly":[],"closed_dates":["{day}"]}}"#)).is_err(), "{day}");
        }
        let whole = format!(r#"{{"weekly":[{},{}]}}"#, one("mon", "00:00", "24:00"), one("tue", "00:00", "01:00"));
        assert!(hours(&whole).is_ok());
        let stored = ginza().to_string();
        assert_eq!(Hours::try_from(stored).expect("as stored"), ginza());
    }

    #[test]
    fn the_pace_is_the_one_in_the_middle_within_bounds() {
        let minutes = |all: &[i64]| pace_ms(all.iter().map(|n| n * MINUTE_MS).collect()) / MINUTE_MS;
        assert_eq!(minutes(&[]), 30);
        assert_eq!(minutes(&[1, 2, 3]), 10);
        assert_eq!(minutes(&[50, 12, 14]), 14);
        assert_eq!(minutes(&[50, 12, 14, 20]), 17);
    }
}
