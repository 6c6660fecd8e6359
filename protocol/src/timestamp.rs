//! RFC 3339 timestamps in UTC with milliseconds, from and to Unix time.

use crate::inline::{Inline, Invalid, text_traits};

const FORM: &str = "a timestamp is RFC 3339 in UTC, such as 2026-11-22T16:49:00.000Z";

/// A moment of the wall clock as it stands on the wire: `2026-11-22T16:49:00.000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Inline<24>);

impl Timestamp {
    /// Renders Unix milliseconds; years past 9999 stay at its end.
    #[must_use]
    pub fn from_unix_ms(unix_ms: u64) -> Self {
        let unix_ms = unix_ms.min(253_402_300_799_999);
        let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000);
        Self(Inline::new(&text).expect("the form has 24 bytes"))
    }

    /// Unix milliseconds.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        let number = |from: usize, to: usize| self.as_bytes()[from..to].iter().fold(0_u64, |n, digit| n * 10 + u64::from(digit - b'0'));
        let days = days_from_civil(number(0, 4), number(5, 7), number(8, 10));
        days * 86_400_000 + number(11, 13) * 3_600_000 + number(14, 16) * 60_000 + number(17, 19) * 1_000 + number(20, 23)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The text as ASCII bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::str::FromStr for Timestamp {
    type Err = Invalid;

    /// Accepts `YYYY-MM-DDThh:mm:ssZ` with up to three digits of a fraction, from 1970 on.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = Invalid { expected: FORM };
        let hold = |text: &str| Inline::new(text).map(Self).filter(|_| is_moment(text.as_bytes())).ok_or(invalid.clone());
        // Every delivered message has one of full length: it is checked in place.
        if text.len() == 24 {
            return hold(text);
        }
        let body = text.strip_suffix('Z').ok_or(invalid.clone())?;
        let (seconds, fraction) = body.split_once('.').unwrap_or((body, "0"));
        if fraction.is_empty() || fraction.len() > 3 {
            return Err(invalid);
        }
        hold(&format!("{seconds}.{fraction:0<3}Z"))
    }
}

text_traits!(Timestamp, r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,3})?Z$", FORM);

/// Whether these are `YYYY-MM-DDThh:mm:ss.mmmZ`, a day of the calendar and a time of day, from 1970 on.
fn is_moment(bytes: &[u8]) -> bool {
    let shaped = bytes.len() == 24
        && bytes.iter().zip(b"dddd-dd-ddTdd:dd:dd.dddZ").all(|(byte, form)| if *form == b'd' { byte.is_ascii_digit() } else { byte == form });
    if !shaped {
        return false;
    }
    let number = |from: usize, to: usize| bytes[from..to].iter().fold(0_u32, |n, digit| n * 10 + u32::from(digit - b'0'));
    let (year, month) = (number(0, 4), number(5, 7));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 31,
    };
    year >= 1970
        && (1..=12).contains(&month)
        && (1..=days).contains(&number(8, 10))
        && number(11, 13) < 24
        && number(14, 16) < 60
        && number(17, 19) < 60
}

/// Year, month and day of a number of days since 1970-01-01 (proleptic Gregorian; Howard Hinnant's `civil_from_days`).
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days since 1970-01-01; the inverse of [`civil_from_days`]. Out-of-range parts give some other day, never a panic.
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year.max(1) - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let month_index = (month + 9) % 12;
    let day_of_year = (153 * month_index + 2) / 5 + day.max(1) - 1;
    (era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_and_reads_known_moments() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_366_140_007, "2026-11-22T16:49:00.007Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_unix_ms(unix_ms).as_str(), text);
            assert_eq!(text.parse::<Timestamp>().unwrap().unix_ms(), unix_ms);
        }
        assert_eq!("2026-11-22T16:49:00Z".parse::<Timestamp>().unwrap().as_str(), "2026-11-22T16:49:00.000Z");
    }

    #[test]
    fn every_day_for_four_centuries_comes_back() {
        for day in 0..146_097_u64 {
            let stamp = Timestamp::from_unix_ms(day * 86_400_000);
            assert_eq!(stamp.unix_ms(), day * 86_400_000);
            assert_eq!(stamp.as_str().parse::<Timestamp>(), Ok(stamp));
        }
    }

    #[test]
    fn refuses_what_is_no_moment() {
        for bad in [
            "",
            "Z",
            "2026-02-31T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "2026-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01T00:00:00.1234Z",
            "2026-01-01t00:00:00Z",
            "0000-00-00T00:00:00Z",
            "2026-02-29T00:00:00.000Z",
            "2100-02-29T00:00:00.000Z",
            "2026-04-31T00:00:00.000Z",
            "2026-13-01T00:00:00.000Z",
            "2026-00-01T00:00:00.000Z",
            "2026-01-00T00:00:00.000Z",
            "2026-01-01T24:00:00.000Z",
            "2026-01-01T00:60:00.000Z",
            "1969-12-31T23:59:59.999Z",
            "2026-01-01T00:00:00.00éZ",
            "2026-01-01T00:00:00,000Z",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }
}
