//! A bound for those who have not proven who they are: so many connections for each address. Whoever can reach a port can
//! open connections; this keeps one of them from taking every place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of strangers, by address.
#[derive(Debug)]
pub(crate) struct Strangers {
    each: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts against its address until it ends, or until [`Stranger::proven`]. An extension of every
/// request.
#[derive(Debug, Clone)]
pub struct Stranger(Arc<Mutex<Option<Counted>>>);

#[derive(Debug)]
struct Counted {
    strangers: Arc<Strangers>,
    address: IpAddr,
}

impl Strangers {
    pub(crate) fn new(each: usize) -> Arc<Self> {
        Arc::new(Self { each, counts: Mutex::default() })
    }

    /// None when the address has as many as it may.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Stranger> {
        // The same host, over either family of sockets.
        let address = address.to_canonical();
        let mut counts = lock(&self.counts);
        let count = counts.entry(address).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Stranger(Arc::new(Mutex::new(Some(Counted { strangers: Arc::clone(self), address })))))
    }
}

impl Stranger {
    /// The other end has shown who it is: it no longer counts.
    pub fn proven(&self) {
        lock(&self.0).take();
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = lock(&self.strangers.counts);
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// A count cannot be left half made.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_until_they_end_or_are_proven() {
        let strangers = Strangers::new(2);
        let [one, other]: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        let first = strangers.admit(one).unwrap();
        let second = strangers.admit("::ffff:192.0.2.1".parse().unwrap()).unwrap();
        assert!(strangers.admit(one).is_none());
        assert!(strangers.admit(other).is_some(), "another address has its own");
        first.proven();
        let third = strangers.admit(one).unwrap();
        assert!(strangers.admit(one).is_none());
        drop((first, second, third));
        assert!(lock(&strangers.counts).is_empty(), "nothing is kept of who has gone");
    }
}
