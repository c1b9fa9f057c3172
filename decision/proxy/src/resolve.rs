//! Where a connection may go: a host is resolved once, every address is classified, and exactly such an address is
//! dialled (INV-36, THR-6). No second look-up, so a name that flips between two answers gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_resolver::TokioResolver;

/// Most addresses of one name that are tried, in the order of the answer.
const MAX_ADDRESSES: usize = 8;

/// Why there is nowhere to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The host is an address in a spelling that parsers disagree about, such as `0x7f.1`.
    #[error("host is an unusual spelling of an address")]
    Ambiguous,
    /// The resolver knows no address.
    #[error("host cannot be resolved")]
    Unknown,
    /// An address that may not be dialled.
    #[error("host has a forbidden address: {}", .0.as_str())]
    Forbidden(Class),
}

/// What kind of place an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The public Internet.
    Public,
    /// This machine.
    Loopback,
    /// RFC 1918, carrier-grade NAT (RFC 6598) or an IPv6 unique local address (RFC 4193).
    Private,
    /// RFC 3927 or `fe80::/10`.
    LinkLocal,
    /// A cloud's instance metadata service: credentials of the node.
    Metadata,
    /// `0.0.0.0/8` or `::`.
    Unspecified,
    /// Multicast or broadcast.
    Multicast,
    /// Documentation, benchmarks, reserved ranges, and tunnels that hide another address.
    Reserved,
}

impl Class {
    /// The name used in errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link-local",
            Self::Metadata => "metadata service",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Reserved => "reserved",
        }
    }

    /// Whether it may be dialled. A tool's `allowPrivateAddresses` never opens the metadata service.
    pub fn may_be_dialled(self, allow_private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Loopback | Self::Private | Self::LinkLocal => allow_private,
            Self::Metadata | Self::Unspecified | Self::Multicast | Self::Reserved => false,
        }
    }
}

/// The class of an address. An IPv6 address that carries an IPv4 address is what the IPv4 address is.
pub fn classify(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(address: Ipv4Addr) -> Class {
    match address.octets() {
        // AWS, Azure, Google and others; AWS container credentials; Alibaba; Oracle; Azure's wire server.
        [169, 254, 169, 254]
        | [169, 254, 170, 2 | 23]
        | [100, 100, 100, 200]
        | [192, 0, 0, 192]
        | [168, 63, 129, 16] => Class::Metadata,
        [0, ..] => Class::Unspecified,
        [127, ..] => Class::Loopback,
        [10, ..] | [192, 168, ..] => Class::Private,
        [172, second, ..] if (16..32).contains(&second) => Class::Private,
        [100, second, ..] if (64..128).contains(&second) => Class::Private,
        [169, 254, ..] => Class::LinkLocal,
        [224..=239, ..] | [255, 255, 255, 255] => Class::Multicast,
        // IETF protocols, three documentation nets, 6to4 relays, benchmarks, class E.
        [192, 0, 0 | 2, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [240..=255, ..] => Class::Reserved,
        _ => Class::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> Class {
    let segments = address.segments();
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 0] => Class::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Class::Loopback,
        // IPv4-mapped, IPv4-translated (RFC 2765) and IPv4-compatible; NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => classify_v4(embedded(high, low)),
        // All of AWS's local services (instance metadata, pod identity, DNS, time), and Google's metadata service.
        [0xfd00, 0xec2, ..] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => Class::Metadata,
        [first, ..] if first & 0xfe00 == 0xfc00 => Class::Private,
        [first, ..] if first & 0xffc0 == 0xfe80 => Class::LinkLocal,
        // Site-local, deprecated by RFC 3879, still routed by some.
        [first, ..] if first & 0xffc0 == 0xfec0 => Class::Private,
        [first, ..] if first & 0xff00 == 0xff00 => Class::Multicast,
        // Global unicast, less documentation, benchmarks, ORCHID, Teredo and 6to4, which hide another address.
        [0x2001, 0x0db8 | 0..=0x1ff, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => Class::Reserved,
        [first, ..] if first & 0xe000 == 0x2000 => Class::Public,
        // Local NAT64 (RFC 8215), discard-only (RFC 6666) and all that is not assigned.
        _ => Class::Reserved,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

/// A host as a tool declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

/// Reads a host: an address in its one usual spelling, or a name. What ends in a number is no name (WHATWG URL,
/// "ends in a number"): `getaddrinfo` would take `127.1`, `0x7f.0.0.1` and `2130706433` for addresses.
fn host(text: &str) -> Result<Host<'_>, ResolveError> {
    if let Ok(address) = text.parse() {
        return Ok(Host::Address(address));
    }
    let last = text.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if number || !text.bytes().all(allowed) {
        return Err(ResolveError::Ambiguous);
    }
    Ok(Host::Name(text))
}

/// Resolves a host to addresses that may be dialled. One forbidden address refuses them all: an honest name has none.
pub async fn resolve(
    resolver: Option<&TokioResolver>,
    name: &str,
    port: u16,
    allow_private: bool,
) -> Result<Vec<SocketAddr>, ResolveError> {
    let found: Vec<IpAddr> = match host(name)? {
        Host::Address(address) => vec![address],
        Host::Name(name) => {
            let resolver = resolver.ok_or(ResolveError::Unknown)?;
            let answer = resolver.lookup_ip(name).await.map_err(|_| ResolveError::Unknown)?;
            answer.iter().take(MAX_ADDRESSES).collect()
        }
    };
    for address in &found {
        let class = classify(*address);
        if !class.may_be_dialled(allow_private) {
            return Err(ResolveError::Forbidden(class));
        }
    }
    if found.is_empty() {
        return Err(ResolveError::Unknown);
    }
    Ok(found.into_iter().map(|address| SocketAddr::new(address, port)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_class() {
        let table = [
            ("8.8.8.8", Class::Public),
            ("1.1.1.1", Class::Public),
            ("11.0.0.1", Class::Public),
            ("9.255.255.255", Class::Public),
            ("172.15.255.255", Class::Public),
            ("172.32.0.0", Class::Public),
            ("192.167.255.255", Class::Public),
            ("192.169.0.0", Class::Public),
            ("100.63.255.255", Class::Public),
            ("100.128.0.0", Class::Public),
            ("169.253.255.255", Class::Public),
            ("198.17.255.255", Class::Public),
            ("198.20.0.0", Class::Public),
            ("223.255.255.255", Class::Public),
            ("2606:4700:4700::1111", Class::Public),
            ("2a00:1450:4001:80b::200e", Class::Public),
            ("2001:4860:4860::8888", Class::Public),
            ("::ffff:8.8.8.8", Class::Public),
            ("64:ff9b::808:808", Class::Public),
            ("127.0.0.1", Class::Loopback),
            ("127.0.0.2", Class::Loopback),
            ("127.255.255.255", Class::Loopback),
            ("::1", Class::Loopback),
            ("::ffff:127.0.0.1", Class::Loopback),
            ("::ffff:7f00:1", Class::Loopback),
            ("::127.0.0.1", Class::Loopback),
            ("::ffff:0:127.0.0.1", Class::Loopback),
            ("64:ff9b::7f00:1", Class::Loopback),
            ("10.0.0.0", Class::Private),
            ("10.255.255.255", Class::Private),
            ("172.16.0.1", Class::Private),
            ("172.31.255.255", Class::Private),
            ("192.168.0.1", Class::Private),
            ("100.64.0.0", Class::Private),
            ("100.127.255.255", Class::Private),
            ("fc00::1", Class::Private),
            ("fdff:ffff::1", Class::Private),
            ("fec0::1", Class::Private),
            ("::ffff:10.0.0.1", Class::Private),
            ("64:ff9b::a00:1", Class::Private),
            ("::10.1.2.3", Class::Private),
            ("169.254.0.1", Class::LinkLocal),
            ("169.254.169.253", Class::LinkLocal),
            ("fe80::1", Class::LinkLocal),
            ("febf::1", Class::LinkLocal),
            ("169.254.169.254", Class::Metadata),
            ("169.254.170.2", Class::Metadata),
            ("169.254.170.23", Class::Metadata),
            ("100.100.100.200", Class::Metadata),
            ("192.0.0.192", Class::Metadata),
            ("168.63.129.16", Class::Metadata),
            ("::ffff:169.254.169.254", Class::Metadata),
            ("::ffff:a9fe:a9fe", Class::Metadata),
            ("64:ff9b::a9fe:a9fe", Class::Metadata),
            ("fd00:ec2::254", Class::Metadata),
            ("fd00:ec2::23", Class::Metadata),
            ("fd20:ce::254", Class::Metadata),
            ("0.0.0.0", Class::Unspecified),
            ("0.1.2.3", Class::Unspecified),
            ("::", Class::Unspecified),
            ("::ffff:0.0.0.0", Class::Unspecified),
            ("224.0.0.1", Class::Multicast),
            ("239.255.255.255", Class::Multicast),
            ("255.255.255.255", Class::Multicast),
            ("ff02::1", Class::Multicast),
            ("ff0e::1", Class::Multicast),
            ("192.0.0.1", Class::Reserved),
            ("192.0.2.1", Class::Reserved),
            ("198.51.100.1", Class::Reserved),
            ("203.0.113.1", Class::Reserved),
            ("198.18.0.1", Class::Reserved),
            ("198.19.255.255", Class::Reserved),
            ("192.88.99.1", Class::Reserved),
            ("240.0.0.1", Class::Reserved),
            ("255.255.255.254", Class::Reserved),
            ("2001:db8::1", Class::Reserved),
            ("2001::1", Class::Reserved),
            ("2001:0:4136:e378::1", Class::Reserved),
            ("2001:2::1", Class::Reserved),
            ("2002:7f00:1::1", Class::Reserved),
            ("2002:a9fe:a9fe::1", Class::Reserved),
            ("64:ff9b:1::7f00:1", Class::Reserved),
            ("100::1", Class::Reserved),
            ("3fff::1", Class::Reserved),
            ("4000::1", Class::Reserved),
        ];
        for (text, class) in table {
            assert_eq!(classify(text.parse().unwrap()), class, "{text}");
        }
        assert!(table.len() >= 60);
    }

    #[test]
    fn unusual_spellings_of_addresses_are_refused() {
        let spellings = [
            "0177.0.0.1",
            "0x7f.0.0.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "127.1",
            "127.0.1",
            "127.0.0.01",
            "0x7f.1",
            "0",
            "0x0",
            "1.2.3.4.5",
            "256.0.0.1",
            "169.254.43518",
            "0xa9fea9fe",
            "127.0.0.1.",
            "foo.0x7f",
            "example.1",
            "",
            ".",
            "127.0.0.1\0.example",
            "a b",
            "127。0。0。1",
            "%31",
            "[::1]",
            "1.1.1.1:80",
            "a/b",
            "a@b",
            "0X7F.1",
        ];
        for text in spellings {
            assert_eq!(host(text), Err(ResolveError::Ambiguous), "{text:?}");
        }
    }

    #[test]
    fn names_and_usual_addresses_are_read() {
        for name in ["example.com", "erp", "erp.shop.svc.cluster.local", "a1.b2c", "0xyz.example", "x-1.example."] {
            assert_eq!(host(name), Ok(Host::Name(name)));
        }
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(host(address), Ok(Host::Address(address.parse().unwrap())));
        }
    }

    #[test]
    fn private_is_opened_by_the_tool_and_the_rest_never() {
        for class in [Class::Loopback, Class::Private, Class::LinkLocal] {
            assert!(class.may_be_dialled(true) && !class.may_be_dialled(false));
        }
        for class in [Class::Metadata, Class::Unspecified, Class::Multicast, Class::Reserved] {
            assert!(!class.may_be_dialled(true));
        }
    }

    #[tokio::test]
    async fn one_forbidden_address_refuses_the_name() {
        // The hosts file knows `localhost`; no name server is asked.
        let resolver = TokioResolver::builder_tokio().unwrap().build().unwrap();
        let refused = resolve(Some(&resolver), "localhost", 80, false).await;
        assert_eq!(refused, Err(ResolveError::Forbidden(Class::Loopback)));
        let allowed = resolve(Some(&resolver), "localhost", 80, true).await.unwrap();
        assert!(allowed.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        assert_eq!(resolve(None, "example.com", 80, true).await, Err(ResolveError::Unknown));
    }
}
