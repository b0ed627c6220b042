//! Which addresses this server calls: nobody outside may make it knock at doors of the network that it stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

/// Networks that are not called where nobody says otherwise: this machine, its neighbours, and what is no address of one
/// machine. As the configuration has them.
pub const DENIED: [&str; 29] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/127",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
    "fc00::/7",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

/// Addresses of IPv4 behind a translator (RFC 6052).
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// The addresses that may be called: all but the denied ones, and of those the ones that are allowed all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Networks that are not called.
    pub denied: Vec<IpNet>,
    /// Networks that are called though they lie in a denied one.
    pub allowed: Vec<IpNet>,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { denied: DENIED.iter().filter_map(|network| network.parse().ok()).collect(), allowed: Vec::new() }
    }
}

impl Addresses {
    /// All addresses.
    #[must_use]
    pub const fn all() -> Self {
        Self { denied: Vec::new(), allowed: Vec::new() }
    }

    /// Whether this one may be called. An address of IPv4 in the clothes of one of IPv6 is looked at as what it is.
    #[must_use]
    pub fn may_call(&self, address: IpAddr) -> bool {
        let within = |networks: &[IpNet], address| networks.iter().any(|network| network.contains(&address));
        let address = plain(address);
        within(&self.allowed, address) || !within(&self.denied, address)
    }
}

fn plain(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if TRANSLATED.contains(&address) => {
            let [.., a, b, c, d] = address.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Addresses, DENIED};

    fn may_call(addresses: &Addresses, text: &str) -> bool {
        addresses.may_call(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn private_addresses_are_not_called_in_any_clothes() {
        let addresses = Addresses::default();
        assert_eq!(addresses.denied.len(), DENIED.len(), "each is a network");
        for denied in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "2002:7f00:1::",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(!may_call(&addresses, denied), "{denied}");
        }
        for open in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"] {
            assert!(may_call(&addresses, open), "{open}");
        }
    }

    #[test]
    fn what_is_allowed_goes_before_what_is_denied() {
        let allowed = vec!["10.1.2.3/32".parse().unwrap()];
        let addresses = Addresses { allowed, ..Addresses::default() };
        assert!(may_call(&addresses, "10.1.2.3") && may_call(&addresses, "::ffff:10.1.2.3"));
        assert!(!may_call(&addresses, "10.1.2.4"));
        assert!(may_call(&Addresses::all(), "127.0.0.1"));
    }
}
