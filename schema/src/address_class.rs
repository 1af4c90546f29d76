//! Whether an IP address can be a customer's: public addresses against private, reserved and documentation ones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether the address is reachable from everywhere on the Internet, by IANA's special-purpose address registries for
/// IPv4 and IPv6. Any other identifies no customer: behind a proxy of the shop it is the same for everybody.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| is_public_v6(address), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_special = first == 0
        || first >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || (first == 100 && (64..128).contains(&second))
        || (first == 198 && (18..20).contains(&second))
        || (first == 192 && second == 0 && third == 0);
    !is_special
}

/// Global unicast (2000::/3) without the documentation prefixes.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    let is_documentation = (first == 0x2001 && second == 0xdb8) || first == 0x3fff;
    first & 0xe000 == 0x2000 && !is_documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_reserved_and_documentation_addresses_are_not_public() {
        let is_public = |text: &str| is_public(text.parse().unwrap());
        for text in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "192.0.2.7",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "64:ff9b::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_public(text), "{text}");
        }
        for text in ["8.8.8.8", "73.138.111.54", "172.32.0.1", "2a00:1450::5", "::ffff:8.8.8.8"] {
            assert!(is_public(text), "{text}");
        }
    }
}
