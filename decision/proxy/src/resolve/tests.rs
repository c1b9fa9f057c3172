//! Address rules as tables (THR-6).

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

/// THR-6: with the table above at least 200 literals, each in the spelling that a resolver or an agent may use.
#[test]
fn literals_of_forbidden_places_are_never_public() {
    use Class::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Unspecified};
    let v4 = [
        ("127.0.0.0", Loopback),
        ("127.1.2.3", Loopback),
        ("10.0.0.1", Private),
        ("10.96.0.1", Private),
        ("10.96.0.10", Private),
        ("10.244.1.7", Private),
        ("10.128.0.1", Private),
        ("172.16.0.0", Private),
        ("172.17.0.1", Private),
        ("172.20.0.1", Private),
        ("172.31.255.254", Private),
        ("192.168.0.0", Private),
        ("192.168.65.254", Private),
        ("192.168.255.255", Private),
        ("100.64.0.1", Private),
        ("100.96.0.1", Private),
        ("100.127.255.254", Private),
        ("169.254.0.0", LinkLocal),
        ("169.254.1.1", LinkLocal),
        ("169.254.20.10", LinkLocal),
        ("169.254.255.255", LinkLocal),
        ("169.254.169.254", Metadata),
        ("169.254.170.2", Metadata),
        ("169.254.170.23", Metadata),
        ("100.100.100.200", Metadata),
        ("192.0.0.192", Metadata),
        ("168.63.129.16", Metadata),
        ("0.0.0.0", Unspecified),
        ("0.0.0.1", Unspecified),
        ("0.255.255.255", Unspecified),
        ("224.0.0.0", Multicast),
        ("224.0.0.251", Multicast),
        ("224.0.0.252", Multicast),
        ("239.255.255.250", Multicast),
        ("255.255.255.255", Multicast),
        ("192.0.0.0", Reserved),
        ("192.0.0.8", Reserved),
        ("192.0.0.170", Reserved),
        ("192.0.2.0", Reserved),
        ("192.0.2.255", Reserved),
        ("192.88.99.2", Reserved),
        ("198.18.0.0", Reserved),
        ("198.19.255.254", Reserved),
        ("198.51.100.0", Reserved),
        ("203.0.113.255", Reserved),
        ("240.0.0.0", Reserved),
        ("250.1.1.1", Reserved),
        ("8.8.4.4", Public),
        ("93.184.216.34", Public),
    ];
    let mut count = 0;
    for (text, class) in v4 {
        let address: Ipv4Addr = text.parse().unwrap();
        let [a, b, c, d] = address.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        for spelling in [
            text.to_owned(),
            format!("::ffff:{text}"),
            format!("::FFFF:{high:x}:{low:x}"),
            format!("0:0:0:0:0:ffff:{high:04x}:{low:04x}"),
            format!("64:ff9b::{text}"),
            format!("64:ff9b::{high:x}:{low:x}"),
            format!("::ffff:0:{text}"),
        ] {
            let address = spelling.parse().unwrap();
            assert_eq!(classify(address), class, "{spelling}");
            assert_eq!(host(&spelling), Ok(Host::Address(address)), "{spelling}");
            count += 1;
        }
        // Tunnels that hide it are reserved as a whole.
        for tunnel in
            [format!("2002:{high:x}:{low:x}::1"), format!("2001:0:{high:x}:{low:x}::"), format!("64:ff9b:1::{text}")]
        {
            assert_eq!(classify(tunnel.parse().unwrap()), Reserved, "{tunnel}");
            count += 1;
        }
    }
    assert!(count >= 200, "{count}");
}

#[test]
fn literals_of_other_places_have_their_class_in_any_case() {
    use Class::{LinkLocal, Loopback, Metadata, Multicast, Private, Public, Reserved, Unspecified};
    let v6 = [
        ("::1", Loopback),
        ("0:0:0:0:0:0:0:1", Loopback),
        ("0000:0000:0000:0000:0000:0000:0000:0001", Loopback),
        ("::", Unspecified),
        ("fc00::", Private),
        ("fd00::10", Private),
        ("fd12:3456:789a::1", Private),
        ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Private),
        ("fe80::", LinkLocal),
        ("fe80::a9fe:a9fe", LinkLocal),
        ("febf:ffff::", LinkLocal),
        ("fec0::", Private),
        ("feff::1", Private),
        ("fd00:ec2::254", Metadata),
        ("fd00:0ec2:0:0:0:0:0:254", Metadata),
        ("fd00:ec2::253", Metadata),
        ("fd20:ce::254", Metadata),
        ("ff00::", Multicast),
        ("ff02::fb", Multicast),
        ("ff05::2", Multicast),
        ("2001:db8::", Reserved),
        ("2001:10::1", Reserved),
        ("2001:20::1", Reserved),
        ("2001:1ff:ffff::", Reserved),
        ("2002::", Reserved),
        ("3fff:fff:ffff::", Reserved),
        ("100::", Reserved),
        ("64:ff9b:1::", Reserved),
        ("64:ff9b:0:0:0:1:a00:1", Reserved),
        ("200::1", Reserved),
        ("5f00::1", Reserved),
        ("8000::", Reserved),
        ("e000::", Reserved),
        ("2001:200::1", Public),
        ("2400:cb00::1", Public),
        ("2620:fe::fe", Public),
        ("3ffe::1", Public),
    ];
    for (text, class) in v6 {
        assert_eq!(classify(text.parse().unwrap()), class, "{text}");
        assert_eq!(classify(text.to_ascii_uppercase().parse().unwrap()), class, "{text}");
    }
}
