//! Datagrams that the kernel dropped, read from its own table: for the scrape, never for the feed thread.

use std::net::SocketAddr;

/// Datagrams that the kernel dropped on the sockets bound to `address`, because their receive buffer was full.
///
/// Reads `/proc/net/udp`. `None` where there is no such file, and now and then while other sockets come and go: the
/// kernel hands the table out in pieces.
#[must_use]
pub fn kernel_drops(address: SocketAddr) -> Option<u64> {
    parse_drops(&std::fs::read_to_string("/proc/net/udp").ok()?, address)
}

fn parse_drops(table: &str, address: SocketAddr) -> Option<u64> {
    let SocketAddr::V4(address) = address else { return None };
    // The kernel prints the address as the number its bytes make in the machine's order.
    let wanted = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let mut sum = None;
    for line in table.lines().skip(1) {
        let mut fields = line.split_ascii_whitespace();
        if fields.nth(1) == Some(&wanted)
            && let Some(drops) = fields.last().and_then(|drops| drops.parse::<u64>().ok())
        {
            sum = Some(sum.unwrap_or(0) + drops);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_what_it_dropped() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
            101: 0100007F:5209 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 12 2 0000000000000000 7\n\
            102: 0100007F:5209 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 13 2 0000000000000000 5\n\
            103: 0100007F:520A 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 14 2 0000000000000000 9\n";
        if cfg!(target_endian = "little") {
            assert_eq!(parse_drops(table, "127.0.0.1:21001".parse().unwrap()), Some(12));
            assert_eq!(parse_drops(table, "127.0.0.1:1".parse().unwrap()), None);
        }
        if cfg!(target_os = "linux") {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            let address = socket.local_addr().unwrap();
            // Other tests open and close sockets meanwhile.
            assert_eq!((0..1_000).find_map(|_| kernel_drops(address)), Some(0));
        }
    }
}
