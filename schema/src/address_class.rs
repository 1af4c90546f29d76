//! Which IP addresses identify a connection on the Internet, and which do not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is private, loopback, reserved or meant for documentation. Many devices share such an address, so it
/// identifies none of them.
pub fn is_reserved(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_reserved_v4(address),
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or_else(|| is_reserved_v6(address), is_reserved_v4),
    }
}

/// IANA's special-purpose registry of IPv4, as far as it is not reachable from everywhere.
fn is_reserved_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    first == 0
        || first >= 240
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || (first == 100 && (64..128).contains(&second))
        || (first == 198 && (18..20).contains(&second))
        || (first == 192 && second == 0 && third == 0)
}

/// The same of IPv6: whatever is not global unicast, and documentation. An address that carries one of IPv4 (NAT64, 6to4) is
/// what that one is.
fn is_reserved_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, _, _, _, seventh, eighth] = address.segments();
    let is_global_unicast = first & 0xe000 == 0x2000;
    let is_documentation = (first == 0x2001 && second == 0xdb8) || first == 0x3fff;
    match (first, second) {
        (0x64, 0xff9b) => is_reserved_v4(v4(seventh, eighth)),
        (0x2002, _) => is_reserved_v4(v4(second, third)),
        _ => !is_global_unicast || is_documentation,
    }
}

fn v4(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reserved(address: &str) -> bool {
        is_reserved(address.parse().unwrap())
    }

    #[test]
    fn private_loopback_reserved_and_documentation_addresses_are_reserved() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.1.1",
            "172.31.255.254",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "3fff::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
        ] {
            assert!(reserved(address), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_not() {
        for address in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!reserved(address), "{address}");
        }
    }
}
