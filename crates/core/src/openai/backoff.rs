//! How long to wait before a request is made again.

use ureq::http::HeaderMap;

use crate::http::header_text;

/// Exponential back-off with equal jitter ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015): half of the
/// pause is fixed, half is random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first_ms: u64,
    pub(super) max_ms: u64,
    pub(super) seed: u64,
}

impl Backoff {
    /// The pause after failure number `failures` (from 1), in milliseconds.
    pub(super) fn pause_ms(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(32);
        let pause = self.first_ms.saturating_mul(1 << doublings).min(self.max_ms);
        let random = split_mix(self.seed.wrapping_add(u64::from(failures)));
        let half = pause / 2;
        pause - half + random % (half + 1)
    }
}

/// How long the server asks to wait, in milliseconds: `retry-after-ms`, or `Retry-After` in seconds or as a date that
/// counts from the answer's own `Date` (RFC 9110, 10.2.3).
pub(super) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    if let Some(ms) = header_text(headers, "retry-after-ms").and_then(|ms| ms.parse().ok()) {
        return Some(ms);
    }
    let text = header_text(headers, "retry-after")?;
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let until = seconds_of_date(text)?;
    let now = seconds_of_date(header_text(headers, "date")?)?;
    Some(until.saturating_sub(now).saturating_mul(1_000))
}

/// The next number of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
fn split_mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the form that RFC 9110, 5.6.7 prefers.
fn seconds_of_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let words: Vec<&str> = text.split_once(", ")?.1.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year): (u64, u64) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [hour, minute, second] = clock[..] else {
        return None;
    };
    if !(1970..=9_999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    // Days since 0000-03-01, in years that begin in March, so that a leap day is the last day of its year.
    let year_from_march = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year_from_march / 4 - year_from_march / 100 + year_from_march / 400;
    let days = 365 * year_from_march + leap_days + (153 * month_from_march + 2) / 5 + day - 1;
    // That day is 719,468 days before 1970-01-01.
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_within_their_jitter_and_stop_at_the_cap() {
        let backoff = Backoff {
            first_ms: 100,
            max_ms: 1_000,
            seed: 7,
        };
        for (failures, most) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1_000),
            (4_000_000_000, 1_000),
        ] {
            let pause = backoff.pause_ms(failures);
            assert!((most / 2..=most).contains(&pause), "{failures}: {pause}");
            assert_eq!(pause, backoff.pause_ms(failures));
        }
        let other = Backoff { seed: 8, ..backoff };
        assert!((1..9).any(|failures| backoff.pause_ms(failures) != other.pause_ms(failures)));
        let none = Backoff {
            first_ms: 0,
            ..backoff
        };
        assert_eq!(none.pause_ms(3), 0);
    }

    #[test]
    fn a_server_says_how_long_in_three_forms() {
        let asked = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            retry_after_ms(&map)
        };
        assert_eq!(asked(&[("retry-after", "3")]), Some(3_000));
        assert_eq!(asked(&[("retry-after", "3"), ("retry-after-ms", "20")]), Some(20));
        assert_eq!(
            asked(&[
                ("retry-after", "Fri, 01 Mar 2024 00:00:05 GMT"),
                ("date", "Thu, 29 Feb 2024 23:59:50 GMT"),
            ]),
            Some(15_000)
        );
        assert_eq!(asked(&[("retry-after", "Fri, 01 Mar 2024 00:00:05 GMT")]), None);
        assert_eq!(asked(&[("retry-after", "soon")]), None);
        assert_eq!(asked(&[("retry-after", "99999999999999999999")]), None);
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(seconds_of_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        // The example of RFC 9110.
        assert_eq!(
            seconds_of_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(
            seconds_of_date("Thu, 29 Feb 2024 12:00:00 GMT"),
            Some(1_709_208_000)
        );
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
        ] {
            assert_eq!(seconds_of_date(text), None, "{text:?}");
        }
    }
}
