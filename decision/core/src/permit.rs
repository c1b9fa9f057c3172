//! The values without which nothing is sent. Their fields are private to this crate: only a decision makes them.
//!
//! Whoever has a permit can send what is in it:
//!
//! ```
//! use aegis_decision::call::Emitted;
//! use aegis_decision::permit::Permit;
//!
//! fn send(permit: Permit) -> Emitted {
//!     permit.into_emitted()
//! }
//! ```
//!
//! Nobody outside can make one, though every field is named and of the right type:
//!
//! ```compile_fail,E0451
//! use aegis_decision::call::Emitted;
//! use aegis_decision::permit::Permit;
//! use aegis_decision::tool::Class;
//!
//! fn forge(emitted: Emitted) -> Permit {
//!     Permit { emitted, tool: "shop".to_owned(), class: Class::Read, idempotency_key: None }
//! }
//! ```
//!
//! Nobody can change what was judged:
//!
//! ```compile_fail,E0616
//! use aegis_decision::permit::Permit;
//!
//! fn redirect(permit: &mut Permit, url: String) {
//!     permit.emitted.url = url;
//! }
//! ```
//!
//! It is spent once:
//!
//! ```compile_fail,E0382
//! use aegis_decision::call::Emitted;
//! use aegis_decision::permit::Permit;
//!
//! fn twice(permit: Permit) -> [Emitted; 2] {
//!     [permit.into_emitted(), permit.into_emitted()]
//! }
//! ```
//!
//! An approved call is not sent without its claim:
//!
//! ```compile_fail,E0616
//! use aegis_decision::permit::{OncePermit, Permit};
//!
//! fn unclaimed(once: OncePermit) -> Permit {
//!     once.permit
//! }
//! ```

use crate::approval::{ClaimError, ClaimReceipt, Release};
use crate::call::Emitted;
use crate::digest::Digest;
use crate::jws::KeySet;
use crate::tool::Class;

/// Leave to send one request, once: `forward` takes it by value.
#[derive(Debug)]
pub struct Permit {
    pub(crate) emitted: Emitted,
    pub(crate) tool: String,
    pub(crate) class: Class,
    pub(crate) idempotency_key: Option<String>,
}

impl Permit {
    /// The tool that the request goes to.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The operation's class.
    pub fn class(&self) -> Class {
        self.class
    }

    /// Key that the upstream gets as `Idempotency-Key`: the approval's uid, or the agent's own. None: the shell sends
    /// the decision's id for a Commit.
    pub fn idempotency_key(&self) -> Option<&str> {
        self.idempotency_key.as_deref()
    }

    /// Ends the permit: what is to be sent.
    pub fn into_emitted(self) -> Emitted {
        self.emitted
    }
}

/// Leave to send an approved request, if its approval can be claimed. Only [`OncePermit::claimed`] makes it a permit.
#[derive(Debug)]
pub struct OncePermit {
    pub(crate) permit: Permit,
    pub(crate) effect: Digest,
    pub(crate) release: Release,
}

impl OncePermit {
    /// The operation's class.
    pub fn class(&self) -> Class {
        self.permit.class
    }

    /// The release that allows it.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Digest of the effect, bound by the claim.
    pub fn effect(&self) -> Digest {
        self.effect
    }

    /// Turns into a permit by the control service's signed receipt for this request, effect and nonce.
    pub fn claimed(self, receipt: &str, nonce: &str, keys: &KeySet) -> Result<(Permit, ClaimReceipt), ClaimError> {
        let receipt = ClaimReceipt::verify(receipt, keys)?;
        if receipt.request_uid != self.release.request_uid
            || receipt.effect_digest != self.effect
            || receipt.nonce != nonce
        {
            return Err(ClaimError::OtherClaim);
        }
        let mut permit = self.permit;
        permit.idempotency_key = Some(self.release.request_uid);
        Ok((permit, receipt))
    }
}

/// Leave to read one fact. Made by the bundle from the tool's declaration, for Read operations only.
#[derive(Debug)]
pub struct FactPermit {
    pub(crate) name: String,
    pub(crate) tool: String,
    pub(crate) emitted: Emitted,
    pub(crate) timeout_seconds: u32,
}

impl FactPermit {
    /// Name of the fact.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tool that is read.
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// Time for the upstream to answer, in seconds.
    pub fn timeout_seconds(&self) -> u32 {
        self.timeout_seconds
    }

    /// Ends the permit: name and request.
    pub fn into_parts(self) -> (String, Emitted) {
        (self.name, self.emitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Encoding;

    /// The module's first `compile_fail` names every field, so that it can fail for privacy only. This keeps the list right.
    #[test]
    fn a_permit_has_the_fields_that_its_documentation_names() {
        let emitted = Emitted {
            method: "GET".to_owned(),
            url: "https://shop.example/".to_owned(),
            headers: Vec::new(),
            passed: Vec::new(),
            body: None,
            encoding: Encoding::Json,
        };
        let permit =
            Permit { emitted: emitted.clone(), tool: "shop".to_owned(), class: Class::Read, idempotency_key: None };
        assert_eq!((permit.tool(), permit.class(), permit.idempotency_key()), ("shop", Class::Read, None));
        assert_eq!(permit.into_emitted(), emitted);
    }
}
