//! How many connections one address may have open.
//!
//! Guarantee: an address has at most its limit; a network of IPv6 that is given to one customer (/64) counts as one
//! address. Memory is that of the addresses that are connected. Exempt networks have no limit here: behind a reverse proxy
//! every connection has the proxy's address, and only the proxy knows whose it is.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Bits of an IPv6 address that name its network.
const NETWORK: u128 = !(u64::MAX as u128);

/// The connections that are open, by address.
#[derive(Debug)]
pub struct Peers {
    most: usize,
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    peers: Arc<Peers>,
    peer: Option<IpAddr>,
}

impl Peers {
    /// Lets an address have `most` connections, those of `exempt` networks any number.
    pub fn new(most: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, exempt, open: Mutex::default() })
    }

    /// A place for a connection from this address; none when it has too many.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        if self.exempt.iter().any(|network| network.contains(&peer)) {
            return Some(Place { peers: Arc::clone(self), peer: None });
        }
        let peer = match peer {
            IpAddr::V4(_) => peer,
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.entry(peer).or_default();
        if *own >= self.most {
            return None;
        }
        *own += 1;
        Some(Place { peers: Arc::clone(self), peer: Some(peer) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut open = self.peers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&peer) {
            *own -= 1;
            if *own == 0 {
                open.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn address_has_its_limit_and_others_have_theirs() {
        let peers = Peers::new(2, vec!["10.0.0.0/8".parse().unwrap()]);
        let mut places: Vec<_> = (0..2).map(|_| peers.enter(address("203.0.113.7")).unwrap()).collect();
        assert!(peers.enter(address("203.0.113.7")).is_none());
        assert!(peers.enter(address("::ffff:203.0.113.7")).is_none(), "the same address, mapped");
        places.push(peers.enter(address("203.0.113.8")).unwrap());
        places.extend((0..9).map(|_| peers.enter(address("10.1.2.3")).unwrap()));
        places.clear();
        assert!(peers.open.lock().unwrap().is_empty(), "nothing is left of those who went");
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_count_together() {
        let peers = Peers::new(1, Vec::new());
        let place = peers.enter(address("2001:db8:1:2::1")).unwrap();
        assert!(peers.enter(address("2001:db8:1:2:ffff::9")).is_none());
        assert!(peers.enter(address("2001:db8:1:3::1")).is_some());
        drop(place);
        assert!(peers.enter(address("2001:db8:1:2::2")).is_some());
    }
}
