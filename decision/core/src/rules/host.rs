//! Hosts of URLs, read so that no two parsers take one text for different hosts.
//!
//! Syntax is WHATWG's (`url`), and what its parser would mend is refused: white space, backslashes, missing slashes,
//! percent signs in a host, other spellings of an IPv4 address, letters that IDNA maps to others. A tool's own parser
//! may mend such a text in another way, or not at all, and would go to another host than the one that was judged.

use std::net::IpAddr;

use url::Url;

use crate::policy::Normalize;

/// Longest name in bytes, and longest label (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;
/// Longest text in bytes that is read as a host: such a name as it may be written. No work is done on longer ones.
const MAX_WRITTEN: usize = 1_024;

/// A host in the one spelling that is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Host {
    /// IDNA ASCII form in lower case, without a dot at its end.
    Name(String),
    /// An address. One of IPv4 is never one of IPv6, mapped or not.
    Address(IpAddr),
}

impl Host {
    /// The host of a URL, or the one that the text itself is, with or without a port.
    pub(super) fn of(text: &str) -> Option<Self> {
        if text.contains("://") { Self::of_url(text) } else { Self::of_authority(text) }
    }

    /// The host of an absolute `http` or `https` URL without user information.
    pub(super) fn of_url(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let plain = !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\');
        if !plain || !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
            return None;
        }
        // To a parser that knows only `/`, an `@` behind `?` or `#` would end user information.
        if rest.split('/').next()?.contains('@') {
            return None;
        }
        let host = Self::of_authority(rest.split(['/', '?', '#']).next()?)?;
        // Both readings of where the host begins and ends must agree.
        let parsed = Url::parse(text).ok()?;
        (Self::parse(parsed.host_str()?)? == host).then_some(host)
    }

    /// The host before an optional port of 1 to 65535.
    fn of_authority(text: &str) -> Option<Self> {
        let end_of_address = if text.starts_with('[') { text.find(']')? } else { 0 };
        let (host, port) = match text.get(end_of_address..)?.find(':') {
            Some(colon) => text.split_at_checked(end_of_address.checked_add(colon)?)?,
            None => (text, ":1"),
        };
        let port = port.strip_prefix(':')?;
        let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
        if is_port { Self::parse(host) } else { None }
    }

    /// A host by itself: a name, an IPv4 address in its usual form, or an IPv6 address in brackets.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Percent signs would be decoded; an IPv6 address with a zone is none of ours to compare.
        if text.len() > MAX_WRITTEN || text.contains('%') {
            return None;
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        match url::Host::parse(text).ok()? {
            url::Host::Domain(ascii) => name(text, ascii),
            url::Host::Ipv4(address) => (address.to_string() == text).then_some(Self::Address(address.into())),
            url::Host::Ipv6(address) => Some(Self::Address(address.into())),
        }
    }

    /// The names above a name, nearest first: `b.c` and `c` of `a.b.c`. None of an address.
    pub(super) fn parents(&self) -> impl Iterator<Item = &str> {
        let own = match self {
            Self::Name(name) => Some(name.as_str()),
            Self::Address(_) => None,
        };
        std::iter::successors(own, |name| name.split_once('.').map(|(_, parent)| parent)).skip(1)
    }

    /// As shown in digests: the name, or the address without brackets.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// The name, if each of its labels is one and stands for itself: ASCII labels but for case, others but for simple lower
/// case, so that no letter was mapped to another and none was dropped.
fn name(written: &str, ascii: String) -> Option<Host> {
    let fits = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if ascii.len() > MAX_NAME || !ascii.split('.').all(fits) {
        return None;
    }
    let stands_for_itself = written.is_ascii() || {
        let (unicode, _) = idna::domain_to_unicode(&ascii);
        let lower = Normalize::Case.apply(written);
        let labels = || unicode.split('.').zip(ascii.split('.'));
        lower.split('.').count() == labels().count()
            && lower.split('.').zip(labels()).all(|(own, (unicode, ascii))| own == unicode || own == ascii)
    };
    stands_for_itself.then_some(Host::Name(ascii))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("https://shop.example", "shop.example")]
    #[test_case("HTTP://Shop.EXAMPLE:8080/a?b#c", "shop.example"; "case port path")]
    #[test_case("https://shop.example./", "shop.example"; "trailing dot")]
    #[test_case("https://shop.example?q=https://x.example", "shop.example"; "query at once")]
    #[test_case("https://shop.example#x", "shop.example"; "fragment at once")]
    #[test_case("https://shop.example/@x.example", "shop.example"; "at sign in the path")]
    #[test_case("https://bücher.example", "xn--bcher-kva.example"; "unicode")]
    #[test_case("https://BÜCHER.example", "xn--bcher-kva.example"; "unicode upper case")]
    #[test_case("https://XN--bcher-kva.example", "xn--bcher-kva.example"; "ascii form")]
    #[test_case("https://faß.example", "xn--fa-hia.example"; "non-transitional")]
    #[test_case("https://10.0.0.7:443", "10.0.0.7"; "ipv4")]
    #[test_case("https://[2001:DB8::1]:443/", "2001:db8::1"; "ipv6")]
    #[test_case("https://[::ffff:10.0.0.7]/", "::ffff:10.0.0.7"; "mapped ipv4 stays ipv6")]
    #[test_case("shop.example", "shop.example"; "bare")]
    #[test_case("shop.example.:25", "shop.example"; "bare with port")]
    #[test_case("localhost", "localhost"; "one label")]
    #[test_case("_dmarc.shop.example", "_dmarc.shop.example"; "underscore")]
    #[test_case("[::1]:80", "::1"; "bare ipv6")]
    fn names_the_host(text: &str, host: &str) {
        assert_eq!(Host::of(text).unwrap().text(), host);
    }

    #[test_case(""; "empty")]
    #[test_case("."; "dot")]
    #[test_case("https://"; "no host")]
    #[test_case("https:///shop.example"; "three slashes")]
    #[test_case("https:/shop.example"; "one slash")]
    #[test_case("//shop.example/"; "no scheme")]
    #[test_case("ftp://shop.example"; "other scheme")]
    #[test_case("javascript://shop.example/%0aalert(1)"; "script")]
    #[test_case("https://user@shop.example"; "user")]
    #[test_case("https://user:pass@shop.example"; "password")]
    #[test_case("https://@shop.example"; "empty user")]
    #[test_case("https://shop.example#@evil.example"; "user that holds a fragment")]
    #[test_case("https://shop.example?@evil.example/"; "user that holds a query")]
    #[test_case("user@shop.example"; "mail address")]
    #[test_case("https://good.example\\@evil.example"; "backslash")]
    #[test_case(" https://shop.example"; "leading space")]
    #[test_case("https://shop.exam\tple"; "tab")]
    #[test_case("https://shop.example/\u{a0}"; "no-break space")]
    #[test_case("https://shop%2eexample"; "percent")]
    #[test_case("https://shop.example:"; "empty port")]
    #[test_case("https://shop.example:0"; "port zero")]
    #[test_case("https://shop.example:65536"; "port too large")]
    #[test_case("https://shop.example:+80"; "signed port")]
    #[test_case("https://shop.example:80:90"; "two ports")]
    #[test_case("https://shop..example"; "empty label")]
    #[test_case("https://shop.example.."; "two dots at the end")]
    #[test_case("https://010.0.0.7"; "octal")]
    #[test_case("https://0xa000007"; "hexadecimal")]
    #[test_case("https://167772167"; "one number")]
    #[test_case("https://10.7"; "short address")]
    #[test_case("https://10.0.0.256"; "no address")]
    #[test_case("https://[::1"; "open bracket")]
    #[test_case("https://[fe80::1%25eth0]"; "zone")]
    #[test_case("::1"; "ipv6 without brackets")]
    #[test_case("https://ｓhop.example"; "full-width letter")]
    #[test_case("https://sh\u{ad}op.example"; "soft hyphen")]
    #[test_case("https://shop。example"; "ideographic dot")]
    #[test_case("https://o\u{212a}.example"; "kelvin sign")]
    #[test_case("https://xn--a.example"; "no punycode")]
    #[test_case("https://xn--shop-.example"; "punycode of ascii")]
    #[test_case("https://sh\u{200b}op.example"; "zero width space")]
    fn cannot_tell(text: &str) {
        assert_eq!(Host::of(text), None);
    }

    #[test]
    fn look_alikes_stay_apart() {
        // Cyrillic `а`, Greek `ο`, dotless `ı`: letters of other alphabets are other names.
        for look_alike in ["pаypal.example", "gοod.example", "mıne.example"] {
            let Some(Host::Name(name)) = Host::of(look_alike) else { panic!("{look_alike} is a name") };
            assert!(name.starts_with("xn--"), "{name}");
        }
    }

    /// Readings that parsers in use have: which characters they drop or turn, and where the host ends for them.
    fn readings(text: &str) -> Vec<String> {
        let mended: String = text.trim().chars().filter(|c| !c.is_control()).collect();
        let mut hosts = Vec::new();
        for text in [text.to_owned(), mended.clone(), mended.replace('\\', "/"), mended.replace("%2e", ".")] {
            let Some((_, rest)) = text.split_once(':') else { continue };
            let rest = rest.trim_start_matches('/');
            for ends in [&['/', '?', '#'][..], &['/'], &['/', '?', '#', ';', '\\']] {
                let authority = rest.split(ends).next().unwrap();
                for host in [authority.rsplit('@').next().unwrap(), authority.split('@').next().unwrap()] {
                    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
                    // A reading with such a character leads nowhere.
                    if !host.contains(['?', '#', '%', ';', '\\', ' ']) {
                        hosts.push(host.trim_end_matches('.').to_ascii_lowercase());
                    }
                }
            }
        }
        hosts
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 20_000, failure_persistence: None, ..Default::default() })]

        #[test]
        fn a_host_that_is_told_is_the_one_of_every_reading(
            start in proptest::sample::select(vec!["http://", "HTTPS://", "https:", "https:/", "https:///", "//"]),
            middle in "[ab0-2.:@\\\\%;\t -]{0,4}",
            host in proptest::sample::select(vec!["a.example", "b.example", "10.0.0.7", "A.Example."]),
            rest in "[ab.:@/?#\\\\%; \t]{0,12}",
        ) {
            let text = format!("{start}{middle}{host}{rest}");
            if let Some(told) = Host::of_url(&text) {
                for reading in readings(&text) {
                    proptest::prop_assert_eq!(&reading, &told.text(), "{}", &text);
                }
            }
        }
    }

    #[test]
    fn names_above_a_name_are_whole_labels() {
        let host = Host::of("a.b.example").unwrap();
        assert_eq!(host.parents().collect::<Vec<_>>(), ["b.example", "example"]);
        assert_eq!(Host::of("10.0.0.7").unwrap().parents().count(), 0);
    }
}
