//! Which addresses may be connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which servers may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Only those with a globally reachable address: nobody who controls a
    /// name or a redirect gets at what is near this process.
    Public,
    /// Any, such as one in the same private network.
    Any,
}

impl Reach {
    /// The reach of whoever may, or may not, connect to private addresses.
    #[must_use]
    pub fn new(allow_private: bool) -> Self {
        if allow_private {
            Self::Any
        } else {
            Self::Public
        }
    }

    pub(crate) fn refuses(self) -> fn(IpAddr) -> bool {
        match self {
            Self::Public => |ip| !is_global(ip),
            Self::Any => |_| false,
        }
    }
}

// After the IANA IPv4 and IPv6 Special-Purpose Address Registries, with
// multicast. The two blocks of protocol assignments have parts that are
// registered as globally reachable. They are refused with the rest: some are
// anycast, answered by the network that one is in, and none has a web server.

/// What is not globally reachable, as network and length of its prefix.
const REFUSED_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    (Ipv4Addr::new(10, 0, 0, 0), 8),      // private use
    (Ipv4Addr::new(100, 64, 0, 0), 10),   // between a carrier and its customers
    (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local
    (Ipv4Addr::new(172, 16, 0, 0), 12),   // private use
    (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 and 6a44 relays
    (Ipv4Addr::new(192, 168, 0, 0), 16),  // private use
    (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
];

/// All that is global unicast. What lies outside is special or unassigned.
const GLOBAL_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What of it is not globally reachable.
const REFUSED_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments, Teredo
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// IPv4 behind a translator (RFC 6052).
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let is_in = |(network, length): (Ipv4Addr, u32)| {
        (ip.to_bits() ^ network.to_bits()).leading_zeros() >= length
    };
    !REFUSED_V4.into_iter().any(is_in)
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let is_in = |(network, length): (Ipv6Addr, u32)| {
        (ip.to_bits() ^ network.to_bits()).leading_zeros() >= length
    };
    // Both lead to the IPv4 address that they hold.
    if ip.to_ipv4_mapped().is_some() || is_in(NAT64) {
        let [.., a, b, c, d] = ip.octets();
        return is_global_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(GLOBAL_V6) && !REFUSED_V6.into_iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First and last address of each range, and its neighbours where these
    /// are global.
    const RANGES: [[&str; 4]; 30] = [
        ["", "0.0.0.0", "0.255.255.255", "1.0.0.0"],
        ["9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0"],
        [
            "100.63.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "100.128.0.0",
        ],
        [
            "126.255.255.255",
            "127.0.0.0",
            "127.255.255.255",
            "128.0.0.0",
        ],
        [
            "169.253.255.255",
            "169.254.0.0",
            "169.254.255.255",
            "169.255.0.0",
        ],
        [
            "172.15.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "172.32.0.0",
        ],
        ["191.255.255.255", "192.0.0.0", "192.0.0.255", "192.0.1.0"],
        ["192.0.1.255", "192.0.2.0", "192.0.2.255", "192.0.3.0"],
        [
            "192.88.98.255",
            "192.88.99.0",
            "192.88.99.255",
            "192.88.100.0",
        ],
        [
            "192.167.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "192.169.0.0",
        ],
        [
            "198.17.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.20.0.0",
        ],
        [
            "198.51.99.255",
            "198.51.100.0",
            "198.51.100.255",
            "198.51.101.0",
        ],
        [
            "203.0.112.255",
            "203.0.113.0",
            "203.0.113.255",
            "203.0.114.0",
        ],
        ["223.255.255.255", "224.0.0.0", "239.255.255.255", ""],
        ["", "240.0.0.0", "255.255.255.255", ""],
        // Unspecified, loopback, and what once was IPv4 in IPv6.
        ["", "::", "::ffff:ffff", ""],
        ["", "::ffff:0.0.0.0", "::ffff:255.255.255.255", ""],
        ["", "64:ff9b::", "64:ff9b::255.255.255.255", ""],
        ["", "64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", ""],
        ["", "100::", "100::ffff:ffff:ffff:ffff", ""],
        ["", "100:0:0:1::", "100::1:ffff:ffff:ffff:ffff", ""],
        [
            "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001::",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:200::",
        ],
        [
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
        ],
        [
            "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2002::",
            "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2003::",
        ],
        [
            "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff:1000::",
        ],
        ["", "5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""],
        ["", "fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""],
        ["", "fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""],
        ["", "fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""],
        ["", "ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""],
    ];

    fn refuses(reach: Reach, ip: &str) -> bool {
        (reach.refuses())(ip.parse().unwrap())
    }

    #[test]
    fn each_special_range_is_refused_to_its_ends_and_no_further() {
        for [before, first, last, after] in RANGES {
            for ip in [first, last] {
                assert!(refuses(Reach::Public, ip), "{ip}");
                assert!(!refuses(Reach::Any, ip), "{ip}");
            }
            for ip in [before, after].into_iter().filter(|ip| !ip.is_empty()) {
                assert!(!refuses(Reach::Public, ip), "{ip}");
            }
        }
    }

    #[test]
    fn an_address_within_a_special_range_is_refused() {
        for ip in [
            "127.0.0.1",
            "169.254.169.254", // the metadata of an instance
            "169.254.170.2",   // the credentials of a container
            "192.0.0.8",
            "192.0.0.9",
            "192.0.0.10",
            "192.0.0.170",
            "192.0.0.171",
            "192.88.99.2",
            "::1",
            "2001:1::1",
            "2001:1::2",
            "2001:1::3",
            "2001:2::1",
            "2001:3::1",
            "2001:4:112::1",
            "2001:10::1",
            "2001:20::1",
            "2001:30::1",
            "fd00:ec2::254", // the metadata of an instance
        ] {
            assert!(refuses(Reach::Public, ip), "{ip}");
        }
    }

    #[test]
    fn only_global_unicast_is_allowed() {
        for (refused, allowed) in [
            ("1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2000::"),
            ("4000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert!(refuses(Reach::Public, refused), "{refused}");
            assert!(!refuses(Reach::Public, allowed), "{allowed}");
        }
        for ip in ["8.8.8.8", "2606:4700:4700::1111"] {
            assert!(!refuses(Reach::Public, ip), "{ip}");
        }
    }

    #[test]
    fn a_special_range_that_is_globally_reachable_is_allowed() {
        for ip in [
            "192.31.196.1",
            "192.52.193.1",
            "192.175.48.1",
            "2620:4f:8000::1",
        ] {
            assert!(!refuses(Reach::Public, ip), "{ip}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_address_is_judged_as_itself() {
        for [before, first, last, after] in RANGES {
            for (ip, refused) in [(before, false), (first, true), (last, true), (after, false)] {
                let Ok(v4) = ip.parse::<Ipv4Addr>() else {
                    continue;
                };
                for ip in [format!("::ffff:{v4}"), format!("64:ff9b::{v4}")] {
                    assert_eq!(refuses(Reach::Public, &ip), refused, "{ip}");
                }
                // Nobody routes these any more, whatever they hold.
                let [a, b, c, d] = v4.octets();
                for ip in [
                    format!("::{v4}"),
                    format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::1"),
                ] {
                    assert!(refuses(Reach::Public, &ip), "{ip}");
                }
            }
        }
    }
}
