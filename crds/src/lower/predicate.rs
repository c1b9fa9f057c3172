//! Predicates that are objects of their own to core values: documents, hosts, windows of the week.

use aegis_decision::policy::{Day, Predicate, Window};

use super::{Invalid, text};
use crate::api::predicate::{self, Document, HostIn, Within};

/// A document of a registry's entry.
pub(super) fn document(one: &Document, at: &str) -> Result<Predicate, Invalid> {
    let Document { registry, key, name } = one;
    Ok(Predicate::Document {
        registry: registry.clone(),
        key: key.as_deref().map(|path| text::path(path, &format!("{at}.key"))).transpose()?,
        name: text::name(name, &format!("{at}.name"))?,
    })
}

/// Hosts, at most 64 names. Whether each is one is found when the policy is compiled.
pub(super) fn host_in(one: &HostIn, at: &str) -> Result<Predicate, Invalid> {
    let HostIn { names, registry } = one;
    if names.is_empty() && registry.is_none() {
        return Err(Invalid::new(at, "has neither names nor registry"));
    }
    if names.len() > 64 {
        return Err(Invalid::new(format!("{at}.names"), "has more than 64 names"));
    }
    for (place, name) in names.iter().enumerate() {
        text::bounded(name, 255, &format!("{at}.names[{place}]"))?;
    }
    Ok(Predicate::HostIn { names: names.clone(), registry: registry.clone() })
}

/// A window of the week. Whether hours and zone exist is found when the policy is compiled.
pub(super) fn within(one: &Within, at: &str) -> Result<Predicate, Invalid> {
    let Within { days, hours, time_zone } = one;
    if days.is_empty() && hours.is_none() {
        return Err(Invalid::new(at, "has neither days nor hours"));
    }
    let days: Vec<Day> = days.iter().map(|day| lower_day(*day)).collect();
    text::unique(days.iter().enumerate().map(|(place, day)| (day.as_str(), format!("{at}.days[{place}]"))))?;
    Ok(Predicate::Within(Window {
        days,
        hours: hours.clone(),
        time_zone: text::bounded(time_zone, 64, &format!("{at}.timeZone"))?,
    }))
}

fn lower_day(day: predicate::Day) -> Day {
    match day {
        predicate::Day::Mon => Day::Mon,
        predicate::Day::Tue => Day::Tue,
        predicate::Day::Wed => Day::Wed,
        predicate::Day::Thu => Day::Thu,
        predicate::Day::Fri => Day::Fri,
        predicate::Day::Sat => Day::Sat,
        predicate::Day::Sun => Day::Sun,
    }
}
