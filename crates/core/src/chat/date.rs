//! The date that a chat template may ask for.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// A date and time of day without a time zone, for `strftime_now` of chat templates.
///
/// Nothing reads the clock unless the caller says so: without a date, `strftime_now` does not exist, and templates that
/// can do without it take the date that is written in them.
///
/// ```
/// use ragtune_core::chat::ChatDate;
/// let date = ChatDate::new(2024, 7, 26)?.with_time(9, 5, 0)?;
/// assert_eq!(date.format("%d %b %Y, %A %H:%M").unwrap(), "26 Jul 2024, Friday 09:05");
/// # Ok::<(), ragtune_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatDate {
    year: i64,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl ChatDate {
    /// Midnight of a day of the Gregorian calendar.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a day that does not exist, or a year outside 1 to 9999.
    pub fn new(year: i64, month: u8, day: u8) -> Result<Self> {
        let exists = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        if !exists {
            return Err(Error::InvalidArgument {
                argument: "date",
                reason: format!("there is no day {year}-{month}-{day} between the years 1 and 9999"),
            });
        }
        Ok(Self {
            year,
            month,
            day,
            hour: 0,
            minute: 0,
            second: 0,
        })
    }

    /// The same day at this time.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a time that does not exist.
    pub fn with_time(mut self, hour: u8, minute: u8, second: u8) -> Result<Self> {
        if hour > 23 || minute > 59 || second > 59 {
            return Err(Error::InvalidArgument {
                argument: "time",
                reason: format!("there is no time {hour}:{minute}:{second}"),
            });
        }
        (self.hour, self.minute, self.second) = (hour, minute, second);
        Ok(self)
    }

    /// The moment so many seconds after 1970-01-01 00:00 UTC, in UTC.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a year outside 1 to 9999.
    pub fn from_unix(seconds: i64) -> Result<Self> {
        let (year, month, day) = civil(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        Self::new(year, month, day)?.with_time(
            (of_day / 3_600) as u8,
            (of_day / 60 % 60) as u8,
            (of_day % 60) as u8,
        )
    }

    /// The present moment in UTC, read from the system's clock.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the clock stands before 1970 or after 9999.
    pub fn now_utc() -> Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = since.ok().and_then(|since| i64::try_from(since.as_secs()).ok());
        Self::from_unix(seconds.unwrap_or(i64::MIN))
    }

    /// The date in a `strftime` format of C.
    ///
    /// # Errors
    /// The directive that is not known, such as `%Q`.
    pub fn format(&self, format: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let padded = !rest.starts_with('-');
            rest = rest.strip_prefix('-').unwrap_or(rest);
            let Some(directive) = rest.chars().next() else {
                return Err("%".to_owned());
            };
            rest = &rest[directive.len_utf8()..];
            self.directive(&mut out, directive, padded)?;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn directive(&self, out: &mut String, directive: char, padded: bool) -> Result<(), String> {
        let month = usize::from(self.month) - 1;
        let days = days_since_1970(self.year, self.month, self.day);
        let weekday = (days + 4).rem_euclid(7) as usize;
        let day_of_year = days - days_since_1970(self.year, 1, 1) + 1;
        let hour_of_twelve = match self.hour % 12 {
            0 => 12,
            hour => hour,
        };
        let mut number = |value: i64, width: usize| {
            let width = if padded { width } else { 0 };
            // Writing to a string cannot fail.
            let _ = write!(out, "{value:0width$}");
        };
        match directive {
            'Y' => number(self.year, 4),
            'y' => number(self.year % 100, 2),
            'm' => number(self.month.into(), 2),
            'd' => number(self.day.into(), 2),
            'H' => number(self.hour.into(), 2),
            'I' => number(hour_of_twelve.into(), 2),
            'M' => number(self.minute.into(), 2),
            'S' => number(self.second.into(), 2),
            'j' => number(day_of_year, 3),
            'w' => number(weekday as i64, 1),
            'u' => number(if weekday == 0 { 7 } else { weekday as i64 }, 1),
            'e' => {
                let width = if padded { 2 } else { 0 };
                let _ = write!(out, "{:width$}", self.day);
            }
            'B' => out.push_str(MONTHS[month]),
            'b' | 'h' => out.push_str(&MONTHS[month][..3]),
            'A' => out.push_str(DAYS[weekday]),
            'a' => out.push_str(&DAYS[weekday][..3]),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'F' => out.push_str(&self.format("%Y-%m-%d")?),
            'T' => out.push_str(&self.format("%H:%M:%S")?),
            'R' => out.push_str(&self.format("%H:%M")?),
            'D' => out.push_str(&self.format("%m/%d/%y")?),
            // A date without a zone writes nothing, as Python's does.
            'Z' | 'z' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            other => return Err(format!("%{other}")),
        }
        Ok(())
    }
}

fn days_in_month(year: i64, month: u8) -> u8 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, `days_from_civil`.
fn days_since_1970(year: i64, month: u8, day: u8) -> i64 {
    let (month, day) = (i64::from(month), i64::from(day));
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The same, `civil_from_days`.
fn civil(days: i64) -> (i64, u8, u8) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_are_inverse() {
        for days in -719_162..=200_000 {
            let (year, month, day) = civil(days);
            assert_eq!(days_since_1970(year, month, day), days);
        }
        assert_eq!(
            ChatDate::from_unix(1_700_000_000).unwrap().format("%F %T %a %j"),
            Ok("2023-11-14 22:13:20 Tue 318".to_owned())
        );
    }

    #[test]
    fn directives_are_those_of_c() {
        let date = ChatDate::new(2025, 1, 5).unwrap().with_time(0, 7, 9).unwrap();
        let all = "%y %-d %e %B %b %A %I:%M:%S %p %u %w %D%%%Z";
        assert_eq!(
            date.format(all),
            Ok("25 5  5 January Jan Sunday 12:07:09 AM 7 0 01/05/25%".to_owned())
        );
        assert_eq!(date.format("%Q"), Err("%Q".to_owned()));
        assert_eq!(date.format("100%"), Err("%".to_owned()));
    }

    #[test]
    fn days_that_do_not_exist_are_errors() {
        for (year, month, day) in [
            (2023, 2, 29),
            (2023, 13, 1),
            (2023, 0, 1),
            (0, 1, 1),
            (2023, 1, 0),
        ] {
            assert!(ChatDate::new(year, month, day).is_err());
        }
        assert!(ChatDate::new(2024, 2, 29).is_ok());
        assert!(ChatDate::from_unix(i64::MIN).is_err());
    }
}
