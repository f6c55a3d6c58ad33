//! Sockets only: knows nothing of what a datagram holds.

pub mod kernel_drops;
pub mod udp;
