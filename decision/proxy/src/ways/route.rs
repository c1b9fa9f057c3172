//! Which tool an endpoint belongs to, and whether a host may be reached beside the tools.

use aegis_decision::codes::Code;
use aegis_decision::egress::Egress;
use aegis_decision::tool::{Class, Scheme, Tool};
use jiff::Timestamp;

use super::site::Site;
use crate::state::View;

/// The tool whose endpoint a URL is below, and the path under it, which starts with `/`. Of two tools on one host the
/// longer base path wins.
pub fn tool<'a, 'b>(tools: &'a [Tool], scheme: Scheme, site: &Site, path: &'b str) -> Option<(&'a Tool, &'b str)> {
    tools
        .iter()
        .filter(|tool| tool.endpoint.scheme == scheme && is_at(tool, site))
        .filter_map(|tool| Some((tool, below(path, &tool.endpoint.base_path)?)))
        .max_by_key(|(tool, _)| tool.endpoint.base_path.len())
}

/// What is left of a path after a base path: whole segments only.
fn below<'a>(path: &'a str, base: &str) -> Option<&'a str> {
    match path.strip_prefix(base)? {
        "" => Some("/"),
        rest => rest.starts_with('/').then_some(rest),
    }
}

/// Whether a tool's endpoint has this host and port.
pub fn is_at(tool: &Tool, site: &Site) -> bool {
    tool.endpoint.port == site.port && site.is_host(&tool.endpoint.host)
}

/// Whether a connection to a host may be open now: the host is an egress entry's, no tool's, the agent is in good
/// standing, and what is known is as fresh as a Read demands.
pub fn egress<'a>(view: &'a View, site: &Site, now: Timestamp) -> Result<&'a Egress, Code> {
    let bundle = &view.policy.bundle;
    if bundle.source().tools.iter().any(|tool| is_at(tool, site)) {
        return Err(Code::TunnelToTool);
    }
    let mut entries = bundle.agent().egress.iter();
    let entry = entries.find(|entry| entry.admits(&site.host, site.port)).ok_or(Code::UnknownHost)?;
    view.may_still_send(Class::Read, now)?;
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aegis_decision::tool::{Endpoint, Limits};

    fn at(name: &str, scheme: Scheme, host: &str, port: u16, base_path: &str) -> Tool {
        Tool {
            name: name.to_owned(),
            uid: String::new(),
            endpoint: Endpoint { scheme, host: host.to_owned(), port, base_path: base_path.to_owned() },
            tls: None,
            headers: Vec::new(),
            credential: None,
            allow_private_addresses: false,
            operations: Vec::new().into(),
            limits: Limits { request_bytes: 1, response_bytes: 1, concurrency: 1 },
        }
    }

    #[test]
    fn a_url_belongs_to_the_tool_with_the_longest_base_path() {
        let tools = [
            at("root", Scheme::Http, "erp.example", 8000, ""),
            at("v1", Scheme::Http, "erp.example", 8000, "/v1"),
            at("deep", Scheme::Http, "erp.example", 8000, "/v1/deep"),
            at("secure", Scheme::Https, "erp.example", 443, "/v1"),
            at("literal", Scheme::Http, "::1", 80, ""),
        ];
        let found = |scheme, text: &str, path| {
            let site = Site::parse(text, Some(80)).unwrap();
            tool(&tools, scheme, &site, path).map(|(tool, rest)| (tool.name.clone(), rest))
        };
        for (text, path, name, rest) in [
            ("erp.example:8000", "/x", "root", "/x"),
            ("ERP.example:8000", "/v1", "v1", "/"),
            ("erp.example:8000", "/v1/orders/7", "v1", "/orders/7"),
            ("erp.example:8000", "/v1//orders", "v1", "//orders"),
            ("erp.example:8000", "/v1x/orders", "root", "/v1x/orders"),
            ("erp.example:8000", "/v1/deep/x", "deep", "/x"),
            ("erp.example:8000", "/v1/deeper", "v1", "/deeper"),
            ("[0:0::1]", "/x", "literal", "/x"),
        ] {
            assert_eq!(found(Scheme::Http, text, path), Some((name.to_owned(), rest)), "{text}{path}");
        }
        assert_eq!(found(Scheme::Https, "erp.example:443", "/v1/x"), Some(("secure".to_owned(), "/x")));
        for (scheme, text, path) in [
            (Scheme::Http, "erp.example:443", "/v1/x"),
            (Scheme::Https, "erp.example:443", "/v2/x"),
            (Scheme::Http, "erp.example", "/x"),
            (Scheme::Http, "erp.example.evil:8000", "/x"),
            (Scheme::Https, "erp.example:8000", "/x"),
        ] {
            assert_eq!(found(scheme, text, path), None, "{text}{path}");
        }
    }
}
