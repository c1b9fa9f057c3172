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

/// A host as a tool declares it, or an agent names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host<'a> {
    /// An address in its usual spelling.
    Address(IpAddr),
    /// A name: ASCII letters, digits, `-`, `_` and dots, in any order.
    Name(&'a str),
}

/// Reads a host: an address in its one usual spelling, or a name. What ends in a number is no name (WHATWG URL,
/// "ends in a number"): `getaddrinfo` would take `127.1`, `0x7f.0.0.1` and `2130706433` for addresses.
pub fn host(text: &str) -> Result<Host<'_>, ResolveError> {
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
mod tests;
