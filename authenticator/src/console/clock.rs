//! What time it is, and on which day that is.

use std::time::SystemTime;

/// Returns the seconds since 1970; 0 if the clock stands before that.
pub fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

const DAY: u64 = 24 * 60 * 60;

/// Returns year, month and day, the last two from 1, of a time in seconds since 1970, in UTC.
pub fn date(seconds: u64) -> (u64, u64, u64) {
    let (mut year, mut day) = (1970, seconds / DAY);
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let february = if days_of(year) == 366 { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < days {
            break;
        }
        day -= days;
        month += 1;
    }
    (year, month, day + 1)
}

/// Returns the day of a time in seconds since 1970, in UTC.
pub fn day(seconds: u64) -> String {
    // Of a time that nobody lives to see only the number means anything.
    if seconds / DAY > 400 * 366 {
        return format!("{seconds} seconds after 1970");
    }
    let (year, month, day) = date(seconds);
    format!("{year}-{month:02}-{day:02}")
}

fn days_of(year: u64) -> u64 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    if leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_as_its_day() {
        for (seconds, told) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (1_752_000_000, "2025-07-08"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
            (u64::MAX, "18446744073709551615 seconds after 1970"),
        ] {
            assert_eq!(day(seconds), told);
        }
    }
}
