//! `Tool` to the core's tool.

use aegis_decision::tool::{Credential, Header, Limits, Scheme, Tls, Tool};
use kube::ResourceExt as _;

use super::{Invalid, endpoint, operation, text};
use crate::api;
use crate::schema::RESERVED_HEADERS;

/// Name that the sidecar's own paths begin with.
const RESERVED_NAME: &str = "aegis";

/// The tool.
pub fn tool(resource: &api::Tool) -> Result<Tool, Invalid> {
    let api::ToolSpec {
        endpoint,
        tls,
        headers,
        credential,
        allow_private_addresses,
        operations,
        // Only Deny can be written.
        unlisted: api::tool::Unlisted::Deny,
        limits,
    } = &resource.spec;
    let name = text::label(&resource.name_any(), "metadata.name")?;
    if name == RESERVED_NAME {
        return Err(Invalid::new("metadata.name", "is reserved for the sidecar's own paths"));
    }
    let endpoint = endpoint::endpoint(endpoint, "spec.endpoint")?;
    if tls.is_some() && endpoint.scheme == Scheme::Http {
        return Err(Invalid::new("spec.tls", "is given for an endpoint that is not https"));
    }
    let credential = credential.as_ref().map(lower_credential).transpose()?;
    let headers = lower_headers(headers, credential.as_ref())?;
    Ok(Tool {
        name,
        uid: resource.uid().unwrap_or_default(),
        endpoint,
        tls: tls.as_ref().map(|api::tool::Tls { ca_bundle, server_name }| Tls {
            ca_bundle: ca_bundle.clone().map(Into::into),
            server_name: server_name.clone(),
        }),
        headers,
        credential,
        allow_private_addresses: *allow_private_addresses,
        operations: operation::operations(operations)?.into(),
        limits: lower_limits(*limits)?,
    })
}

fn lower_headers(headers: &[api::tool::Header], credential: Option<&Credential>) -> Result<Vec<Header>, Invalid> {
    text::unique(
        headers.iter().enumerate().map(|(at, header)| (header.name.as_str(), format!("spec.headers[{at}].name"))),
    )?;
    headers
        .iter()
        .enumerate()
        .map(|(at, api::tool::Header { name, value })| {
            let field = format!("spec.headers[{at}]");
            if credential.is_some_and(|credential| credential.header == *name) {
                return Err(Invalid::new(format!("{field}.name"), "is the credential's header"));
            }
            let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value;
            if value.is_empty() || value.len() > 512 || !visible {
                return Err(Invalid::new(format!("{field}.value"), "is not 1 to 512 visible ASCII characters"));
            }
            Ok(Header { name: header_name(name, &format!("{field}.name"))?, value: value.clone() })
        })
        .collect()
}

fn lower_credential(credential: &api::tool::Credential) -> Result<Credential, Invalid> {
    let api::tool::Credential { secret_ref: api::tool::SecretRef { name: secret, key }, name, scheme } = credential;
    // The key becomes the name of a file in the sidecar.
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if key.is_empty() || key.len() > 253 || !plain || key.starts_with('.') {
        return Err(Invalid::new("spec.credential.secretRef.key", "is no key of a Secret"));
    }
    let word = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if scheme.as_deref().is_some_and(|scheme| !word(scheme) || scheme.len() > 32) {
        return Err(Invalid::new("spec.credential.scheme", "is not one word such as Bearer"));
    }
    Ok(Credential {
        secret: text::bounded(secret, 253, "spec.credential.secretRef.name")?,
        key: key.clone(),
        header: header_name(name, "spec.credential.name")?,
        scheme: scheme.clone(),
    })
}

fn header_name(name: &str, field: &str) -> Result<String, Invalid> {
    if !text::is_label(name) {
        return Err(Invalid::new(field, "is no header name in lower case"));
    }
    if RESERVED_HEADERS.contains(&name) || name.starts_with("aegis-") {
        return Err(Invalid::new(field, "is set by the sidecar or belongs to the connection"));
    }
    Ok(name.to_owned())
}

fn lower_limits(limits: api::tool::Limits) -> Result<Limits, Invalid> {
    let api::tool::Limits { request_bytes, response_bytes, concurrency } = limits;
    if !(1..=16_777_216).contains(&request_bytes) {
        return Err(Invalid::new("spec.limits.requestBytes", "does not lie between 1 and 16777216"));
    }
    if !(1..=67_108_864).contains(&response_bytes) {
        return Err(Invalid::new("spec.limits.responseBytes", "does not lie between 1 and 67108864"));
    }
    if !(1..=1024).contains(&concurrency) {
        return Err(Invalid::new("spec.limits.concurrency", "does not lie between 1 and 1024"));
    }
    Ok(Limits { request_bytes, response_bytes, concurrency })
}
