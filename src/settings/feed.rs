//! `[feed]`: where ticks come from. Opens nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::loopback;

/// Where ticks come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// The simulated exchange, over a real loopback socket.
    #[default]
    Sim,
    /// BISTECH ITCH or NASDAQ ITCH 5.0 in MoldUDP64 from a UDP socket.
    Itch,
    /// A recorded file.
    Replay,
}

/// Message protocol of a live line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// BISTECH ITCH 2112.
    #[default]
    Bistech,
    /// NASDAQ TotalView-ITCH 5.0.
    Itch50,
}

/// `[feed]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Feed {
    /// `sim`, `itch` or `replay`.
    pub source: SourceKind,
    /// `bistech` or `itch50`, for a live line.
    pub protocol: Protocol,
    /// Address and port to receive on; port 0 picks a free one (source `sim`).
    pub listen: SocketAddr,
    /// Multicast group to join; empty = unicast.
    pub group: Option<Ipv4Addr>,
    /// Address of the interface to join the group on; 0.0.0.0 = the system's choice.
    pub interface: Ipv4Addr,
    /// Address of the retransmission server (MoldUDP64 requests); empty = gaps are final. Source `sim` brings its own.
    pub request_server: Option<SocketAddr>,
    /// CSV file `symbol,price` with the base prices of the day, which no ITCH feed carries; empty = changes are shown
    /// from the second day on. Source `sim` brings its own.
    pub references: Option<PathBuf>,
    /// Socket receive buffer, bytes (the kernel may give less: `bist doctor`).
    pub receive_buffer_bytes: usize,
    /// How long a hole may wait for its packets, milliseconds.
    pub gap_timeout_ms: u64,
    /// Silence after which the feed is called stale, milliseconds.
    pub stale_ms: u64,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            source: SourceKind::Sim,
            protocol: Protocol::Bistech,
            listen: loopback(0),
            group: None,
            interface: Ipv4Addr::UNSPECIFIED,
            request_server: None,
            references: None,
            receive_buffer_bytes: 4 << 20,
            gap_timeout_ms: 200,
            stale_ms: 5_000,
        }
    }
}
