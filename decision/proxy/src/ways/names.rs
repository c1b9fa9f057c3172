//! How many names below a wildcard may be asked for. Each of them reaches the wildcard's own name servers, so it can
//! carry what the agent likes (THR-4): 63 bytes a name, 30 names at once, then one a second. Names that were asked for
//! lately cost nothing: the resolver has them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::egress::Egress;
use tokio::time::Instant;

use super::bucket::Bucket;

/// Longest part below the wildcard, in bytes.
const MAX_BELOW_BYTES: usize = 63;
/// New names at once.
const BURST: u32 = 30;
/// New names a second.
const PER_SECOND: u32 = 1;
/// Names that are remembered.
const MAX_KNOWN: usize = 256;
/// Time that a name is remembered after it was last asked for.
const KNOWN_TIME: Duration = Duration::from_mins(5);

/// The names below wildcards that were asked for lately, by every way in.
#[derive(Debug)]
pub struct Names(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    known: HashMap<String, Instant>,
    new: Bucket,
}

impl Default for Names {
    fn default() -> Self {
        Self(Mutex::new(Inner { known: HashMap::new(), new: Bucket::new(BURST, PER_SECOND, Instant::now()) }))
    }
}

impl Names {
    /// Whether a host that this entry admits may be resolved now, or the code that tells why not. An exact name always may.
    pub fn admit(&self, entry: &Egress, host: &str, now: Instant) -> Result<(), Code> {
        let Some(parent) = entry.host.strip_prefix("*.") else { return Ok(()) };
        let below = host.len().saturating_sub(parent.len()).saturating_sub(1);
        if below > MAX_BELOW_BYTES {
            return Err(Code::UnknownHost);
        }
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Inner { known, new } = &mut *inner;
        known.retain(|_, asked| now.saturating_duration_since(*asked) < KNOWN_TIME);
        if let Some(asked) = known.get_mut(host) {
            *asked = now;
            return Ok(());
        }
        if known.len() >= MAX_KNOWN || !new.take(now) {
            return Err(Code::TooManyCalls);
        }
        known.insert(host.to_owned(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(host: &str) -> Egress {
        Egress { host: host.to_owned(), ports: vec![443], reason: String::new() }
    }

    #[test]
    fn little_can_be_said_in_names_below_a_wildcard() {
        let (names, wild, start) = (Names::default(), entry("*.api.example"), Instant::now());
        // THR-4: a megabyte in a minute, as long and as fast as it goes.
        let mut said = 0;
        for chunk in 0..16_645_u64 {
            let now = start + Duration::from_micros(chunk * 60_000_000 / 16_645);
            if names.admit(&wild, &format!("{chunk:063}.api.example"), now).is_ok() {
                said += 63;
            }
        }
        assert!((5000..6000).contains(&said), "{said} of {} bytes", 16_645 * 63);
        let later = start + Duration::from_hours(1);
        let long = format!("{0}.{0}.api.example", "x".repeat(32));
        assert_eq!(names.admit(&wild, &long, later), Err(Code::UnknownHost));
    }

    #[test]
    fn a_known_name_and_an_exact_one_are_free() {
        let (names, start) = (Names::default(), Instant::now());
        let wild = entry("*.api.example");
        for number in 0..30 {
            assert_eq!(names.admit(&wild, &format!("n{number}.api.example"), start), Ok(()));
        }
        assert_eq!(names.admit(&wild, "n30.api.example", start), Err(Code::TooManyCalls));
        assert_eq!(names.admit(&wild, "n7.api.example", start), Ok(()));
        assert_eq!(names.admit(&entry("api.example"), "api.example", start), Ok(()));
        assert_eq!(names.admit(&wild, "n30.api.example", start + Duration::from_secs(1)), Ok(()));
    }
}
