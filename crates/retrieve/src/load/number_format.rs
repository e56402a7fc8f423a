//! Numbers of a spreadsheet as people see them: dates by their format, percentages, no digits that are noise.

/// What a number format makes of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum NumberFormat {
    #[default]
    Number,
    Percent,
    Date,
    Time,
    DateTime,
    /// Hours may be more than a day.
    Duration,
}

impl NumberFormat {
    /// The format of one of the ids that are built in (ECMA-376 part 1, section 18.8.30).
    pub(super) fn built_in(id: u32) -> Self {
        match id {
            9 | 10 => Self::Percent,
            14..=17 | 27..=31 | 34..=36 | 50..=58 => Self::Date,
            18..=21 | 32 | 33 => Self::Time,
            22 => Self::DateTime,
            45..=47 => Self::Duration,
            _ => Self::Number,
        }
    }

    /// The format of a format code such as `yyyy-mm-dd` or `0.0%`.
    pub(super) fn of_code(code: &str) -> Self {
        let (mut date, mut time, mut elapsed, mut percent) = (false, false, false, false);
        let mut months = false;
        let mut chars = code.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    let _quoted = chars.by_ref().find(|c| *c == '"');
                }
                '\\' | '_' | '*' => {
                    let _literal = chars.next();
                }
                '[' => {
                    let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                    let inside = inside.to_ascii_lowercase();
                    elapsed |= !inside.is_empty()
                        && ["h", "m", "s"]
                            .iter()
                            .any(|unit| inside.trim_matches(|c| unit.contains(c)).is_empty());
                }
                // The first section is that of positive numbers.
                ';' => break,
                'y' | 'Y' | 'd' | 'D' => date = true,
                'h' | 'H' | 's' | 'S' => time = true,
                'm' | 'M' => months = true,
                '%' => percent = true,
                // "General" and exponents have letters of their own.
                'G' | 'g' | 'E' | 'e'
                    if !date && !time && code.to_ascii_lowercase().starts_with("general") =>
                {
                    return Self::Number;
                }
                _ => {}
            }
        }
        match (date || months && !time, time, elapsed, percent) {
            (_, _, true, _) => Self::Duration,
            (true, true, ..) => Self::DateTime,
            (true, false, ..) => Self::Date,
            (false, true, ..) => Self::Time,
            (_, _, _, true) => Self::Percent,
            _ => Self::Number,
        }
    }

    /// Whether it makes a number something else than a plain one.
    pub(super) fn show(self, value: f64, is_1904: bool) -> String {
        let date = |value: f64| days_to_date(value, is_1904);
        let shown = match self {
            Self::Number => None,
            Self::Percent => Some(format!("{}%", plain(value * 100.0))),
            Self::Date => date(value),
            Self::Time if value >= 1.0 => date(value).map(|date| format!("{date} {}", clock(value.fract()))),
            Self::Time => (0.0..1.0).contains(&value).then(|| clock(value)),
            Self::DateTime => date(value).map(|date| format!("{date} {}", clock(value.fract()))),
            Self::Duration => (0.0..1e7).contains(&value).then(|| clock(value)),
        };
        shown.unwrap_or_else(|| plain(value))
    }
}

/// A number with 15 digits, as spreadsheets keep them.
pub(super) fn plain(value: f64) -> String {
    let rounded = format!("{value:.14e}").parse::<f64>().unwrap_or(value);
    if rounded != 0.0 && !(1e-9..1e21).contains(&rounded.abs()) {
        return format!("{rounded:e}");
    }
    // A zero has no sign.
    format!("{}", if rounded == 0.0 { 0.0 } else { rounded })
}

/// `13:05:00`; hours go on beyond 24.
fn clock(days: f64) -> String {
    let seconds = (days * 86_400.0).round() as u64;
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// The date of a number of days since the epoch of the workbook; `None` outside the years 1900 to 9999.
///
/// In the system of 1900 day 60 is a 29th of February that never was, so that days from then on count one too many
/// (ECMA-376 part 1, section 18.17.4.1). The calendar is H. Hinnant's `civil_from_days`.
fn days_to_date(value: f64, is_1904: bool) -> Option<String> {
    if !(0.0..2_958_466.0).contains(&value) {
        return None;
    }
    // A clock that rounds up to midnight is not shown as the next day; seconds are whole anyway.
    let days = value.floor() as i64;
    let since_1970 = match (is_1904, days) {
        (true, days) => days - 24_107,
        (false, days) if days < 60 => days - 25_568,
        (false, days) => days - 25_569,
    };
    let shifted = since_1970 + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_understood() {
        for (code, expected) in [
            ("General", NumberFormat::Number),
            ("0.00", NumberFormat::Number),
            ("#,##0.00 \"days\"", NumberFormat::Number),
            ("[Red]0;[Blue]-0", NumberFormat::Number),
            ("[$-409]d\\-mmm\\-yy", NumberFormat::Date),
            ("yyyy-mm-dd", NumberFormat::Date),
            ("mmmm", NumberFormat::Date),
            ("m/d/yy h:mm", NumberFormat::DateTime),
            ("h:mm AM/PM", NumberFormat::Time),
            ("[h]:mm:ss", NumberFormat::Duration),
            ("0.0%", NumberFormat::Percent),
            ("_-* #,##0.00\\ \"€\"", NumberFormat::Number),
            ("0.00E+00", NumberFormat::Number),
        ] {
            assert_eq!(NumberFormat::of_code(code), expected, "{code}");
        }
    }

    #[test]
    fn values_are_shown_as_people_see_them() {
        for (format, value, expected) in [
            (NumberFormat::Date, 45_615.0, "2024-11-19"),
            (NumberFormat::Date, 1.0, "1900-01-01"),
            (NumberFormat::Date, 59.0, "1900-02-28"),
            (NumberFormat::Date, 61.0, "1900-03-01"),
            (NumberFormat::Date, 2_958_465.0, "9999-12-31"),
            (NumberFormat::Date, 1e9, "1000000000"),
            (NumberFormat::Date, -1.0, "-1"),
            (NumberFormat::DateTime, 45_615.562_5, "2024-11-19 13:30:00"),
            (NumberFormat::Time, 0.5, "12:00:00"),
            (NumberFormat::Duration, 1.5, "36:00:00"),
            (NumberFormat::Percent, 0.255, "25.5%"),
            (NumberFormat::Number, 0.1 + 0.2, "0.3"),
            (NumberFormat::Number, 1e300, "1e300"),
            (NumberFormat::Number, -0.0, "0"),
            (NumberFormat::Date, f64::NAN, "NaN"),
        ] {
            assert_eq!(format.show(value, false), expected);
        }
        assert_eq!(NumberFormat::Date.show(0.0, true), "1904-01-01");
    }
}
