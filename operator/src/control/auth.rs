//! Who calls: the agent of a token that is bound to this connection's key.

use std::sync::Arc;

use aegis_decision::jws::thumbprint;
use aegis_decision::token::AgentClaims;
use aegis_runtime::serve::{PeerKey, Stranger};
use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jiff::Timestamp;

use super::{Control, Refusal};

/// `aud` of agent tokens for the control service.
pub const AUDIENCE: &str = "aegis-control";

/// A caller that proved itself: token verified, bound to the connection, agent known.
pub struct Caller(pub AgentClaims);

impl FromRequestParts<Arc<Control>> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, control: &Arc<Control>) -> Result<Self, Refusal> {
        let PeerKey(key) = *parts.extensions.get::<PeerKey>().ok_or(Refusal::Unauthenticated)?;
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return Err(Refusal::Unauthenticated) };
        let token =
            value.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).ok_or(Refusal::Unauthenticated)?;
        let claims = AgentClaims::verify(token, &control.public, AUDIENCE, &thumbprint(&key), Timestamp::now())
            .map_err(|error| {
                tracing::info!(%error, "token refused");
                Refusal::Unauthenticated
            })?;
        if control.hub.view(&claims.agent.uid).is_none() {
            return Err(Refusal::UnknownAgent);
        }
        if let Some(stranger) = parts.extensions.get::<Stranger>() {
            stranger.proven();
        }
        Ok(Self(claims))
    }
}
