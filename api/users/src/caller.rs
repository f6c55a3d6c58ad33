//! Where a request comes from: the address and the program that log-ins, limits and the list of sessions speak of. Reads
//! no header by itself and trusts none.

use std::net::{IpAddr, Ipv6Addr};

/// Bytes of a `User-Agent` that are kept.
const USER_AGENT_BYTES_MAX: usize = 200;

/// Who calls, as far as the network knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client's address.
    pub address: IpAddr,
    /// Its `User-Agent`: printable, at most 200 bytes, may be empty.
    pub user_agent: String,
}

impl Caller {
    /// A caller at `address`; of `user_agent` the printable part is kept.
    #[must_use]
    pub fn new(address: IpAddr, user_agent: &str) -> Self {
        let user_agent = user_agent.chars().filter(|one| !one.is_control());
        let user_agent = user_agent.scan(0, |bytes, one| {
            *bytes += one.len_utf8();
            (*bytes <= USER_AGENT_BYTES_MAX).then_some(one)
        });
        Self { address: address.to_canonical(), user_agent: user_agent.collect() }
    }

    /// What stands for the caller in limits: an IPv4 address, or the /64 of an IPv6 one, since one line has that many.
    #[must_use]
    pub fn network(&self) -> String {
        match self.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_line_are_one_network() {
        let network = |text: &str| Caller::new(text.parse().unwrap(), "").network();
        assert_eq!(network("192.0.2.1"), "192.0.2.1");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff:1:2:3"));
        assert_ne!(network("2001:db8:1:2::4"), network("2001:db8:1:3::4"));
    }

    #[test]
    fn of_a_user_agent_the_printable_beginning_is_kept() {
        let agent = |text: &str| Caller::new([192, 0, 2, 1].into(), text).user_agent;
        assert_eq!(agent("curl/8\r\n\u{1b}[31m"), "curl/8[31m");
        assert_eq!(agent(&"ş".repeat(500)).len(), 200);
    }
}
