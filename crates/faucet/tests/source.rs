//! Whom a request comes from.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use offchain_codes::Coded;
use offchain_faucet::{Source, UnknownSource};
use proptest::prelude::*;

fn of(peer: &str, forwarded: Option<&str>, trusted: u8) -> Result<String, UnknownSource> {
    Source::of(peer, forwarded, trusted).map(|source| source.to_string())
}

#[test]
fn an_address_has_one_source() {
    for (peer, source) in [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:8080", "192.0.2.7"),
        (" 192.0.2.7\t", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2::/64"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("::1", "::/64"),
        ("[::1]:80", "::/64"),
        ("[fe80::1%2]:80", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("[::ffff:192.0.2.7]:80", "192.0.2.7"),
    ] {
        assert_eq!(of(peer, None, 0), Ok(source.to_owned()), "{peer}");
        assert_eq!(of("", Some(peer), 1), Ok(source.to_owned()), "{peer}");
    }
}

#[test]
fn what_is_no_address_is_nobody() {
    for text in [
        "",
        " ",
        "unknown",
        "_hidden",
        "localhost",
        "example.org:80",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.07",
        "192.0.2.7:",
        "192.0.2.7:65536",
        "[192.0.2.7]",
        "[::1",
        "[::1]:",
        "[::1]80",
        "fe80::1%eth0",
        "2001:db8::/64",
        "192.0.2.7 192.0.2.8",
        "for=192.0.2.7",
        "\"192.0.2.7\"",
    ] {
        assert_eq!(of(text, None, 0), Err(UnknownSource::Peer), "{text}");
        let forwarded = of("192.0.2.7", Some(text), 1);
        assert_eq!(forwarded, Err(UnknownSource::Forwarded), "{text}");
    }
}

#[test]
fn as_many_entries_are_believed_as_there_are_trusted_proxies() {
    let header = "203.0.113.1, 198.51.100.2:80,[2001:db8::3]:443";
    for (trusted, source) in [
        (0, "192.0.2.7"),
        (1, "2001:db8::/64"),
        (2, "198.51.100.2"),
        (3, "203.0.113.1"),
    ] {
        let found = of("192.0.2.7", Some(header), trusted);
        assert_eq!(found, Ok(source.to_owned()));
    }
    for (header, trusted, found) in [(Some(header), 4, 3), (Some(header), 255, 3), (None, 1, 0)] {
        let missing = UnknownSource::Missing {
            expected: trusted,
            found,
        };
        assert_eq!(of("192.0.2.7", header, trusted), Err(missing));
    }
    // Nothing is passed over, and what is not asked for is not read.
    let gap = Some("192.0.2.8,,192.0.2.9");
    assert_eq!(of("", gap, 2), Err(UnknownSource::Forwarded));
    assert_eq!(of("", Some("junk, 192.0.2.9"), 1), Ok("192.0.2.9".into()));
    assert_eq!(of("192.0.2.7", Some("junk"), 0), Ok("192.0.2.7".into()));
}

#[test]
fn an_exact_address_is_told_from_a_network() {
    let exact = Source::of("192.0.2.7", None, 0).unwrap();
    assert_eq!(exact.address(), Some("192.0.2.7"));
    assert_eq!(exact.as_str(), "192.0.2.7");
    let network = Source::of("::1", None, 0).unwrap();
    assert_eq!(network.address(), None);
    assert_eq!(network.as_str(), "::/64");
}

#[test]
fn an_error_says_what_was_expected() {
    let missing = UnknownSource::Missing {
        expected: 2,
        found: 1,
    };
    for (error, text) in [
        (
            UnknownSource::Peer,
            "expected an IP address at the other end of the connection",
        ),
        (
            missing,
            "expected at least 2 addresses in X-Forwarded-For, found 1",
        ),
        (
            UnknownSource::Forwarded,
            "expected an IP address from the outermost trusted proxy in X-Forwarded-For",
        ),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!((error.code(), error.retryable()), ("SourceUnknown", false));
    }
}

proptest! {
    #[test]
    fn every_spelling_of_an_ipv4_address_is_one_source(bits: u32, port: u16) {
        let address = Ipv4Addr::from_bits(bits);
        let mapped = address.to_ipv6_mapped();
        for text in [
            address.to_string(),
            format!("{address}:{port}"),
            mapped.to_string(),
            format!("[{mapped}]:{port}"),
        ] {
            prop_assert_eq!(of(&text, None, 0), Ok(address.to_string()));
        }
    }

    #[test]
    fn an_ipv6_source_is_its_first_half(bits: u128, other: u64, port: u16) {
        let address = Ipv6Addr::from_bits(bits);
        prop_assume!(IpAddr::V6(address).to_canonical().is_ipv6());
        let source = of(&address.to_string(), None, 0).unwrap();
        let network: Ipv6Addr = source.strip_suffix("/64").unwrap().parse().unwrap();
        prop_assert_eq!(&network.segments()[..4], &address.segments()[..4]);
        prop_assert_eq!(&network.segments()[4..], &[0; 4]);
        let neighbour = Ipv6Addr::from_bits(network.to_bits() | u128::from(other));
        if IpAddr::V6(neighbour).to_canonical().is_ipv6() {
            prop_assert_eq!(of(&format!("[{neighbour}]:{port}"), None, 0), Ok(source));
        }
    }

    #[test]
    fn what_a_client_writes_changes_nothing(written in ".{0,40}", client: u32, proxy: u32) {
        let [client, proxy] = [client, proxy].map(Ipv4Addr::from_bits);
        let header = format!("{written}, {client}, {proxy}");
        prop_assert_eq!(of("", Some(&header), 2), Ok(client.to_string()));
    }
}
