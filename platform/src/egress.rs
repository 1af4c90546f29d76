//! Which addresses outgoing requests may reach: everything public, nothing private, unless the operator exempts it.
//!
//! Guarantee (design promise 6): an address inside, or leading by translation into, a network that is not globally
//! routable is refused in every form, whether a URL spells it out or a name resolves to it. Callers ask
//! [`EgressPolicy::check_host_literal`] of the URL's host and [`EgressPolicy::permits`] of every address that they
//! connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use url::Host;

/// Name of the setting that exempts networks.
const SETTING: &str = "TOUCHSTONE_EGRESS_ALLOW";

/// IPv4 networks that are not public (IANA special-purpose address registry, RFC 6890 and its updates).
const PRIVATE_V4: &[Ipv4Net] = &[
    v4(0, 0, 0, 0, 8),        // this network
    v4(10, 0, 0, 0, 8),       // private
    v4(100, 64, 0, 0, 10),    // carrier-grade translation
    v4(127, 0, 0, 0, 8),      // loopback
    v4(168, 63, 129, 16, 32), // host agent of one cloud, a public number that is only reached from inside
    v4(169, 254, 0, 0, 16),   // link-local, cloud metadata
    v4(172, 16, 0, 0, 12),    // private
    v4(192, 0, 0, 0, 24),     // protocol assignments
    v4(192, 0, 2, 0, 24),     // documentation
    v4(192, 88, 99, 0, 24),   // 6to4 relays, deprecated
    v4(192, 168, 0, 0, 16),   // private
    v4(198, 18, 0, 0, 15),    // benchmarking
    v4(198, 51, 100, 0, 24),  // documentation
    v4(203, 0, 113, 0, 24),   // documentation
    v4(224, 0, 0, 0, 4),      // multicast
    v4(240, 0, 0, 0, 4),      // reserved, broadcast
];

/// IPv6 networks of which nothing is public, or whose addresses lead into a local translator.
const PRIVATE_V6: &[Ipv6Net] = &[
    v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),  // local-use NAT64
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),      // discard
    v6([0x100, 0, 0, 1, 0, 0, 0, 0], 64),      // dummy prefix
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),     // protocol assignments, Teredo, benchmarking, ORCHID
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), // documentation
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),     // documentation
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),     // segment routing
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),      // unique local
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),     // link-local
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),     // site-local, deprecated
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),      // multicast
];

/// The setting of exempted networks is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{SETTING}: `{entry}` is neither a network nor an address. Expected a comma-separated list, such as `127.0.0.0/8,::1/128`"
)]
pub struct EgressSettingError {
    entry: String,
}

/// An outgoing request would reach an address that is not public.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address {0} is not public")]
pub struct PrivateAddress(pub IpAddr);

/// What outgoing requests may reach. The default exempts nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    allow: Vec<IpNet>,
}

impl EgressPolicy {
    /// A policy that exempts these networks from the ban.
    pub fn new(allow: Vec<IpNet>) -> Self {
        Self { allow }
    }

    /// Parses the setting `TOUCHSTONE_EGRESS_ALLOW`: networks or single addresses, separated by commas; empty is none.
    pub fn parse(setting: &str) -> Result<Self, EgressSettingError> {
        let entries = setting.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let network = |entry: &str| {
            let single = || entry.parse::<IpAddr>().map(IpNet::from);
            entry.parse::<IpNet>().or_else(|_| single()).map_err(|_| EgressSettingError { entry: entry.to_owned() })
        };
        entries.map(network).collect::<Result<_, _>>().map(Self::new)
    }

    /// Whether a connection to `address` may be made. IPv4 mapped into IPv6 is judged as
    /// the IPv4 address that it reaches.
    pub fn permits(&self, address: IpAddr) -> bool {
        let reached = match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        };
        self.allow.iter().any(|network| network.contains(&address) || network.contains(&reached)) || is_public(reached)
    }

    /// Refuses a URL's host that is the literal of an address which may not be reached. Names pass: what they resolve to
    /// is checked when connecting. The URL parser has already turned octal, hexadecimal and short spellings into
    /// addresses.
    pub fn check_host_literal(&self, host: &Host<&str>) -> Result<(), PrivateAddress> {
        let address = match host {
            Host::Domain(_) => return Ok(()),
            Host::Ipv4(address) => IpAddr::V4(*address),
            Host::Ipv6(address) => IpAddr::V6(*address),
        };
        if self.permits(address) { Ok(()) } else { Err(PrivateAddress(address)) }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !PRIVATE_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            let translated = translated_v4(address);
            let embedded = translated.into_iter().chain(tunnelled_v4(address));
            let is_routed = translated.is_some()
                || (global_unicast(address) && !PRIVATE_V6.iter().any(|network| network.contains(&address)));
            is_routed && embedded.map(IpAddr::V4).all(is_public)
        }
    }
}

/// 2000::/3 is all that has been given out for global unicast, so whatever else there is or will be is refused.
fn global_unicast(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xe000 == 0x2000
}

/// The IPv4 address that a translator would reach for NAT64 (64:ff9b::/96) and 6to4 (2002::/16). A translator under a
/// prefix of the operator's own cannot be told from a public address: it must not lead to private networks.
fn translated_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

/// The IPv4 address of an ISATAP interface, which a router of any prefix would tunnel to (RFC 5214).
fn tunnelled_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        [.., 0 | 0x200, 0x5efe, high, low] => Some(joined(high, low)),
        _ => None,
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = segments;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &EgressPolicy, url: &str) -> Result<(), PrivateAddress> {
        let url = url::Url::parse(url).unwrap();
        policy.check_host_literal(&url.host().unwrap())
    }

    #[test]
    fn addresses_that_are_not_public_are_refused() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "192.168.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "::ffff:0.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "100:0:0:1::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:a9fe:a9fe::1",
            "2002:808:808::5efe:10.0.0.1",
            "2a00:1450::5efe:10.0.0.1",
            "2a00:1450::200:5efe:127.0.0.1",
            "fe80::5efe:8.8.8.8",
            "168.63.129.16",
            "3fff::1",
            "5f00::1",
            "4000::1",
            "fc00::1",
            "fd12:3456::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!EgressPolicy::default().permits(address.parse().unwrap()), "{address} is reached");
        }
    }

    #[test]
    fn public_addresses_are_reached() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2a00:1450::5efe:8.8.8.8",
            "168.63.129.15",
            "168.63.129.17",
        ] {
            assert!(EgressPolicy::default().permits(address.parse().unwrap()), "{address} is refused");
        }
    }

    #[test]
    fn literals_in_any_spelling_are_refused_when_private() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "0177.0.0.1",
            "127.0.0.1.",
            "0",
            "0.0.0.0",
            "10.1",
            "0xa9fea9fe",
            "2852039166",
            "169.254.169.254",
            "127.0.0.1:8080",
            "user@127.0.0.1",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:7f00:0001]",
            "[::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[fe80::1]",
            "[fd00::1]:8080",
            "[2002:7f00:1::]",
        ] {
            assert!(check(&EgressPolicy::default(), &format!("http://{host}/hook")).is_err(), "{host} passes");
        }
    }

    #[test]
    fn names_and_public_literals_pass_the_literal_check() {
        for host in [
            "example.com",
            "localhost",
            "127.0.0.1.example.com",
            "8.8.8.8",
            "134744072",
            "[2606:4700::1]",
            "[::ffff:8.8.8.8]",
        ] {
            assert_eq!(check(&EgressPolicy::default(), &format!("https://{host}/hook")), Ok(()), "{host}");
        }
    }

    #[test]
    fn exempted_networks_are_reached_and_nothing_else() {
        let policy = EgressPolicy::parse(" 127.0.0.0/8, ::1 ,fd00::/8,").unwrap();
        for reached in ["127.0.0.1", "127.9.9.9", "::1", "fd00::1", "::ffff:127.0.0.1", "8.8.8.8"] {
            assert!(policy.permits(reached.parse().unwrap()), "{reached}");
        }
        for refused in ["10.0.0.1", "fe80::1", "::", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1"] {
            assert!(!policy.permits(refused.parse().unwrap()), "{refused}");
        }
        assert_eq!(check(&policy, "http://127.1:8080/"), Ok(()));
    }

    #[test]
    fn setting_is_parsed_or_refused_by_name() {
        assert_eq!(EgressPolicy::parse(""), Ok(EgressPolicy::default()));
        for wrong in ["localhost", "10.0.0.0/33", "10.0.0.0/8,x", "10.0.0.0/8;::1"] {
            let error = EgressPolicy::parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with("TOUCHSTONE_EGRESS_ALLOW: ") && error.contains("127.0.0.0/8"), "{error}");
        }
    }
}
