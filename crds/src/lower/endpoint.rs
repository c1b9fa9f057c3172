//! An upstream's URL, read by hand: one spelling for each address, and nothing that two readers could understand
//! differently (no user, no query, no fragment, no empty or dotted segment, no escapes, no short forms of addresses).

use std::net::{Ipv4Addr, Ipv6Addr};

use aegis_decision::tool::{Endpoint, Scheme};

use super::Invalid;
use super::text::is_label;

/// Reads `scheme://host[:port][/path]`.
pub(super) fn endpoint(text: &str, field: &str) -> Result<Endpoint, Invalid> {
    let (scheme, default_port, rest) = if let Some(rest) = text.strip_prefix("https://") {
        (Scheme::Https, 443, rest)
    } else if let Some(rest) = text.strip_prefix("http://") {
        (Scheme::Http, 80, rest)
    } else {
        return Err(Invalid::new(field, "does not begin with http:// or https://"));
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (host, port) = split_port(authority).ok_or_else(|| Invalid::new(field, "has no proper host and port"))?;
    let host = parse_host(host)
        .ok_or_else(|| Invalid::new(field, "has no host name or address that is written canonically"))?;
    let port = match port {
        None => default_port,
        Some(digits) => parse_port(digits).ok_or_else(|| Invalid::new(field, "has no port between 1 and 65535"))?,
    };
    let base_path = parse_path(path).ok_or_else(|| {
        Invalid::new(field, "has a path with empty or dotted segments, escapes, a query or a fragment")
    })?;
    Ok(Endpoint { scheme, host, port, base_path })
}

/// Host (with its brackets) and port, if one is given.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let end_of_host = if authority.starts_with('[') {
        authority.find(']')?.checked_add(1)?
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at_checked(end_of_host)?;
    if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) }
}

fn parse_port(digits: &str) -> Option<u16> {
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| canonical)
}

fn parse_host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[') {
        let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(address.to_string());
    }
    // A host that ends in a number is an address for every resolver, and some know short and octal forms of it.
    let last = text.rsplit('.').next()?;
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        let address: Ipv4Addr = text.parse().ok()?;
        return Some(address.to_string());
    }
    (text.len() <= 253 && text.split('.').all(is_label)).then(|| text.to_owned())
}

/// The path without the slash at its end.
fn parse_path(path: &str) -> Option<String> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let Some(inner) = path.strip_prefix('/') else {
        return path.is_empty().then(String::new);
    };
    let proper = inner.split('/').all(|segment| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte))
    });
    proper.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("http://erp.example", "http", "erp.example", 80, "")]
    #[test_case("https://erp.example/", "https", "erp.example", 443, "")]
    #[test_case("http://127.0.0.1:8000/api/v1/", "http", "127.0.0.1", 8000, "/api/v1")]
    #[test_case("https://[2001:db8::1]:8443", "https", "2001:db8::1", 8443, "")]
    #[test_case("https://[2001:0db8::0001]", "https", "2001:db8::1", 443, "")]
    fn is_read(text: &str, scheme: &str, host: &str, port: u16, base_path: &str) {
        let read = endpoint(text, "spec.endpoint").unwrap();
        assert_eq!(
            (read.scheme.as_str(), read.host.as_str(), read.port, read.base_path.as_str()),
            (scheme, host, port, base_path)
        );
    }

    #[test_case("ftp://erp.example")]
    #[test_case("erp.example")]
    #[test_case("http://")]
    #[test_case("http:///path")]
    #[test_case("http://user@erp.example")]
    #[test_case("http://user:word@erp.example")]
    #[test_case("http://erp.example:")]
    #[test_case("http://erp.example:0")]
    #[test_case("http://erp.example:080")]
    #[test_case("http://erp.example:65536")]
    #[test_case("http://erp.example:80:80")]
    #[test_case("http://ERP.example")]
    #[test_case("http://erp.example.")]
    #[test_case("http://-erp.example")]
    #[test_case("http://erp..example")]
    #[test_case("http://127.1"; "short address")]
    #[test_case("http://0177.0.0.1"; "octal address")]
    #[test_case("http://2130706433"; "address as one number")]
    #[test_case("http://10.0.0.0x1"; "hexadecimal address")]
    #[test_case("http://[::1"; "open bracket")]
    #[test_case("http://[::1]x"; "text after bracket")]
    #[test_case("http://::1"; "no brackets")]
    #[test_case("http://erp.example?x=1")]
    #[test_case("http://erp.example/a?x=1"; "query after path")]
    #[test_case("http://erp.example/a#x")]
    #[test_case("http://erp.example//a"; "empty segment")]
    #[test_case("http://erp.example/a/../b"; "dotted segment")]
    #[test_case("http://erp.example/%2e"; "escape")]
    #[test_case("http://erp.example\\a"; "backslash")]
    fn is_refused_without_its_value(text: &str) {
        let invalid = endpoint(text, "spec.endpoint").unwrap_err();
        assert_eq!(invalid.field, "spec.endpoint");
        assert!(!invalid.reason.contains("erp.example"), "{}", invalid.reason);
    }
}
