//! A host and a port as the agent writes them: in an absolute URL, a `CONNECT`, a Host header. Read once, strictly, into
//! the one form that everything is compared in (THR-5).

use std::net::IpAddr;

use crate::resolve::{self, Host};

/// Longest name in bytes (RFC 1035, 2.3.4, without the last dot).
const MAX_NAME_BYTES: usize = 253;
/// Longest label in bytes.
pub(crate) const MAX_LABEL_BYTES: usize = 63;

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// A name in lower case (IDNA form, no dot at its end), or an address in its usual form, without brackets.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

/// The text is not plainly one host with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not plainly one host with a port")]
pub struct NotASite;

impl Site {
    /// Reads `host`, `host:port` or `[v6]:port`; without a port it is the default, if there is one. No user, no zone, no
    /// percent sign, ASCII only: a name in another script is written in its IDNA form.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Self, NotASite> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(NotASite)?;
                let host: std::net::Ipv6Addr = host.parse().map_err(|_| NotASite)?;
                let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(NotASite)?) };
                (host.to_string(), port)
            }
            None => match text.split_once(':') {
                Some((host, port)) => (name(host)?, Some(port)),
                None => (name(text)?, None),
            },
        };
        let port = match port {
            Some(port) => number(port)?,
            None => default_port.ok_or(NotASite)?,
        };
        Ok(Self { host, port })
    }

    /// Of a name alone, such as a TLS server name.
    pub fn named(host: &str, port: u16) -> Result<Self, NotASite> {
        Ok(Self { host: name(host)?, port })
    }

    /// Whether this is a host as a tool declares it: the same name, or the same address in whatever spelling.
    pub fn is_host(&self, declared: &str) -> bool {
        self.host == declared
            || declared.parse::<IpAddr>().is_ok_and(|address| self.host.parse::<IpAddr>() == Ok(address))
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// A name or an IPv4 address.
fn name(text: &str) -> Result<String, NotASite> {
    match resolve::host(text).map_err(|_| NotASite)? {
        Host::Address(IpAddr::V4(address)) => Ok(address.to_string()),
        // Without brackets an IPv6 address and a port cannot be told apart.
        Host::Address(IpAddr::V6(_)) => Err(NotASite),
        Host::Name(name) => {
            let label = |label: &str| !label.is_empty() && label.len() <= MAX_LABEL_BYTES;
            let good = name.len() <= MAX_NAME_BYTES && name.split('.').all(label);
            if good { Ok(name.to_ascii_lowercase()) } else { Err(NotASite) }
        }
    }
}

/// 1 to 65535, digits only, no zero in front.
fn number(text: &str) -> Result<u16, NotASite> {
    if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotASite);
    }
    text.parse().map_err(|_| NotASite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// THR-5: at least 60 host strings.
    #[test]
    fn what_is_not_plainly_one_host_and_port_is_refused() {
        let long_label = format!("{}.example:443", "a".repeat(64));
        let long_name = format!("{}example:443", "abcdefg.".repeat(32));
        let refused = [
            // NUL, control characters, white space.
            "api.example\0:443",
            "api.example\0.evil.example:443",
            "\0api.example:443",
            "api.example:443\0",
            "api.example\r\n:443",
            "api.example:443\r\nhost: x",
            "api.example\t:443",
            " api.example:443",
            "api.example :443",
            "api.example: 443",
            "api.example:443 ",
            "api .example:443",
            "\u{7f}api.example:443",
            // Unicode: homoglyphs, full-width forms, other dots, invisible and turning characters, unconverted IDNA.
            "аpi.example:443",
            "api.exämple:443",
            "api。example:443",
            "api．example:443",
            "api｡example:443",
            "ａpi.example:443",
            "api.example：443",
            "api.example:４４３",
            "api\u{200b}.example:443",
            "api\u{ad}.example:443",
            "\u{202e}elpmaxe.ipa:443",
            "\u{feff}api.example:443",
            "ſ.example:443",
            "\u{212a}.example:443",
            "faß.example:443",
            "①.example:443",
            // Dots and labels.
            "api.example.:443",
            "api.example..:443",
            ".api.example:443",
            "api..example:443",
            ".:443",
            "..:443",
            long_label.as_str(),
            long_name.as_str(),
            // Users, paths, other parts of a URL.
            "user@api.example:443",
            "user:password@api.example:443",
            "api.example:443@evil.example",
            "api.example:443@evil.example:443",
            "api.example#@evil.example:443",
            "api.example/:443",
            "api.example:443/",
            "api.example:443/x",
            "api.example:443?x",
            "api.example\\.evil.example:443",
            "//api.example:443",
            "https://api.example:443",
            "api.example,evil.example:443",
            "api.example;evil.example:443",
            "*.example:443",
            "api.example%00.evil.example:443",
            "api%2eexample:443",
            "%61pi.example:443",
            "api.example%:443",
            // Ports.
            "api.example:",
            "api.example:0",
            "api.example:00443",
            "api.example:0443",
            "api.example:+443",
            "api.example:-443",
            "api.example:65536",
            "api.example:99999999999999999999",
            "api.example:443:443",
            "api.example::443",
            "api.example:0x1bb",
            "api.example:443.0",
            "api.example:https",
            ":443",
            "",
            ":",
            // Addresses in spellings that parsers read differently.
            "127.1:443",
            "2130706433:443",
            "0x7f.0.0.1:443",
            "0177.0.0.1:443",
            "127.0.0.1.:443",
            "::1:443",
            "::1",
            "[::1",
            "::1]:443",
            "[]:443",
            "[::1]443",
            "[::1]:",
            "[::1%25eth0]:443",
            "[fe80::1%eth0]:443",
            "[127.0.0.1]:443",
            "[api.example]:443",
            "[v1.x]:443",
            "[[::1]]:443",
        ];
        for text in refused {
            assert_eq!(Site::parse(text, Some(443)), Err(NotASite), "{text:?}");
        }
        assert!(refused.len() >= 60);
    }

    #[test]
    fn one_host_has_one_form() {
        for (text, host, port) in [
            ("api.example:443", "api.example", 443),
            ("API.Example:8443", "api.example", 8443),
            ("xn--exmple-cua.example", "xn--exmple-cua.example", 80),
            ("a_b.example:1", "a_b.example", 1),
            ("erp", "erp", 80),
            ("127.0.0.1:65535", "127.0.0.1", 65535),
            ("[::1]:80", "::1", 80),
            ("[0:0:0:0:0:0:0:1]", "::1", 80),
            ("[::FFFF:10.0.0.1]:1", "::ffff:10.0.0.1", 1),
        ] {
            let site = Site::parse(text, Some(80)).unwrap();
            assert_eq!((site.host.as_str(), site.port), (host, port), "{text}");
        }
        assert_eq!(Site::parse("erp", None), Err(NotASite), "CONNECT always has a port");
        let one = Site::parse("[::1]:80", None).unwrap();
        assert!(one.is_host("0:0:0:0:0:0:0:1") && !one.is_host("127.0.0.1") && !one.is_host("erp"));
    }

    proptest! {
        #[test]
        fn a_site_is_read_again_as_itself(text in "\\PC{0,40}", good in "[a-zA-Z0-9._:\\[\\]-]{0,24}") {
            for text in [text, good] {
                if let Ok(site) = Site::parse(&text, Some(80)) {
                    prop_assert_eq!(Site::parse(&site.to_string(), None), Ok(site.clone()));
                    prop_assert!(site.host.is_ascii() && site.port > 0);
                }
            }
        }
    }
}
