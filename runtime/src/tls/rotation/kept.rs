//! The authorities with their keys, as they are kept in a Secret.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::{Authority, Leaf, TlsError};
use super::{Held, Lifetimes, Next, Previous, State, Step};

/// Authorities with their keys. The one that signed before has none any more: nothing more is signed with it.
#[derive(Debug, Default)]
pub struct Kept {
    current: Option<Signing>,
    next: Option<(Signing, Option<Duration>)>,
    previous: Option<Previous>,
}

#[derive(Debug)]
struct Signing {
    authority: Authority,
    made: Duration,
}

impl Kept {
    /// Reads the data of a Secret. Empty data holds nothing.
    pub fn from_data<'a>(read: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, TlsError> {
        let text = |name: &'static str| match read(name) {
            Some(bytes) => std::str::from_utf8(bytes).map(Some).map_err(|_| TlsError::Pem(name)),
            None => Ok(None),
        };
        let time = |name| match text(name)? {
            Some(text) => {
                text.parse().map(|millis| Some(Duration::from_millis(millis))).map_err(|_| TlsError::Pem(name))
            }
            None => Ok(None),
        };
        let signing = |certificate: &'static str, key: &'static str, made: &'static str| match text(certificate)? {
            Some(pem) => {
                let authority = Authority::from_pem(pem, text(key)?.ok_or(TlsError::Pem(key))?)?;
                Ok::<_, TlsError>(Some(Signing { authority, made: time(made)?.ok_or(TlsError::Pem(made))? }))
            }
            None => Ok(None),
        };
        let next = signing("next.crt", "next.key", "next.made")?;
        let announced = time("next.announced")?;
        let previous = match text("previous.crt")? {
            Some(certificate) => Some(Previous {
                certificate: certificate.to_owned(),
                ended: time("previous.ended")?.ok_or(TlsError::Pem("previous.ended"))?,
            }),
            None => None,
        };
        Ok(Self {
            current: signing("ca.crt", "ca.key", "ca.made")?,
            next: next.map(|next| (next, announced)),
            previous,
        })
    }

    /// The data of the Secret. Times are milliseconds since 1970.
    pub fn to_data(&self) -> BTreeMap<&'static str, String> {
        let Self { current, next, previous } = self;
        let time = |time: &Duration| time.as_millis().to_string();
        let mut data = BTreeMap::new();
        let mut signing = |signing: &Signing, [certificate, key, made]: [&'static str; 3]| {
            data.insert(certificate, signing.authority.certificate_pem().to_owned());
            data.insert(key, signing.authority.key_pem());
            data.insert(made, time(&signing.made));
        };
        if let Some(current) = current {
            signing(current, ["ca.crt", "ca.key", "ca.made"]);
        }
        if let Some((next, _)) = next {
            signing(next, ["next.crt", "next.key", "next.made"]);
        }
        if let Some(announced) = next.as_ref().and_then(|(_, announced)| announced.as_ref()) {
            data.insert("next.announced", time(announced));
        }
        if let Some(Previous { certificate, ended }) = previous {
            data.insert("previous.crt", certificate.clone());
            data.insert("previous.ended", time(ended));
        }
        data
    }

    /// What [`super::evaluate`] takes.
    pub fn state(&self) -> State {
        let public = |signing: &Signing| super::Authority {
            certificate: signing.authority.certificate_pem().to_owned(),
            made: signing.made,
        };
        State {
            current: self.current.as_ref().map(public),
            next: self.next.as_ref().map(|(next, announced)| Next { authority: public(next), announced: *announced }),
            previous: self.previous.clone(),
        }
    }

    /// What is kept after a step. Steps that change nothing here, or that do not fit what is kept, leave it as it is.
    pub fn after(self, step: Step, name: &str, lifetimes: &Lifetimes, now: Duration) -> Result<Self, TlsError> {
        let make =
            || Ok::<_, TlsError>(Signing { authority: Authority::generate(name, lifetimes.authority)?, made: now });
        let Self { current, next, previous } = self;
        Ok(match (step, current, next) {
            (Step::MakeFirst, None, next) => Self { current: Some(make()?), next, previous },
            (Step::MakeNext, current, None) => Self { current, next: Some((make()?, None)), previous },
            (Step::Announce, current, Some((next, None))) => Self { current, next: Some((next, Some(now))), previous },
            (Step::Promote, Some(old), Some((new, Some(_)))) => {
                let certificate = old.authority.certificate_pem().to_owned();
                Self { current: Some(new), next: None, previous: Some(Previous { certificate, ended: now }) }
            }
            (Step::Retire, current, next) => Self { current, next, previous: None },
            (_, current, next) => Self { current, next, previous },
        })
    }

    /// A leaf of the current authority; none where there is no authority yet.
    pub fn leaf(&self, names: &[String], life: Duration, now: Duration) -> Result<Option<(Leaf, Held)>, TlsError> {
        let Some(Signing { authority, .. }) = &self.current else { return Ok(None) };
        let held = Held { issuer: authority.certificate_pem().to_owned(), made: now };
        Ok(Some((authority.leaf(names, life)?, held)))
    }
}
