//! Clocks for the reference: minutes are counted from a Monday, and summer time is the European Union's rule written out.

use aegis_decision::policy::Window;

const DAY: i64 = 24 * 60;

/// Minutes since Monday the 3rd of January 2000 in UTC, of `YYYY-MM-DDTHH:MM:SSZ` with or without an offset instead.
pub fn minutes(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let marks = [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')];
    if !text.is_ascii()
        || marks.iter().any(|(at, mark)| text.chars().nth(*at).map(|c| c.to_ascii_uppercase()) != Some(*mark))
    {
        return None;
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let local = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)? * DAY + hour * 60 + minute;
    match text.get(19..)?.to_ascii_uppercase().as_str() {
        "Z" => Some(local),
        offset if offset.len() == 6 => {
            let minutes = number(20, 22)? * 60 + number(23, 25)?;
            Some(if offset.starts_with('-') { local + minutes } else { local - minutes })
        }
        _ => None,
    }
}

/// Days since the 3rd of January 2000, counted one year and one month at a time.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let months = |year| [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let month = usize::try_from(month).ok()?;
    if !(1..=12).contains(&month) || !(1..=months(year)[month - 1]).contains(&day) {
        return None;
    }
    let years: i64 = (2000..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    Some(years + months(year)[..month - 1].iter().sum::<i64>() + day - 3)
}

/// Minutes that the zone's clocks are before UTC.
fn offset(minutes: i64, zone: &str) -> i64 {
    match zone {
        "UTC" => 0,
        "Asia/Kolkata" => 5 * 60 + 30,
        "Europe/Zurich" => {
            // From 01:00 UTC on the last Sunday of March to 01:00 UTC on the last Sunday of October.
            let last_sunday = |year: i64, month: i64| {
                let end = days(year, month, 31).unwrap();
                (end - (end + 1).rem_euclid(7)) * DAY + 60
            };
            let summer = (2000..2100).any(|year| (last_sunday(year, 3)..last_sunday(year, 10)).contains(&minutes));
            if summer { 120 } else { 60 }
        }
        _ => unreachable!("the generator makes no other zones"),
    }
}

/// Walks back minute by minute to where the window would have begun.
pub fn is_within(minutes: i64, window: &Window) -> bool {
    let local = minutes + offset(minutes, &window.time_zone);
    let clock = |text: &str| text[..2].parse::<i64>().unwrap() * 60 + text[3..].parse::<i64>().unwrap();
    let (start, end) = match &window.hours {
        Some(hours) => (clock(&hours[..5]), clock(&hours[6..])),
        None => (0, DAY),
    };
    let length = if end > start { end - start } else { end + DAY - start };
    (local - length + 1..=local).any(|minute| {
        let begins = minute.rem_euclid(DAY) == start;
        let day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
            [usize::try_from(minute.div_euclid(DAY).rem_euclid(7)).unwrap()];
        begins && (window.days.is_empty() || window.days.iter().any(|listed| listed.as_str() == day))
    })
}
