//! `[feed]`: where ticks come from. Opens nothing.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
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

impl SourceKind {
    /// The word in a configuration and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Itch => "itch",
            Self::Replay => "replay",
        }
    }

    /// The source of a word of a configuration.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Sim, Self::Itch, Self::Replay].into_iter().find(|source| source.name() == name)
    }
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

/// One of `feed.lines`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedLine {
    /// Address and port to receive on.
    pub address: SocketAddrV4,
    /// Multicast group to join; absent = unicast.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Ipv4Addr>,
    /// Address of the interface to join the group on; absent = the system's choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Ipv4Addr>,
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
    /// Lines of one partition, A and B, all with the same messages; empty = the one of `listen`, `group`, `interface`.
    pub lines: Vec<FeedLine>,
    /// Addresses that may send on the lines, beside the request server; empty = any.
    pub sources: Vec<Ipv4Addr>,
    /// Most numbers that a session can leap ahead; farther ahead it counts as begun anew.
    pub jump_max: u64,
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
            lines: Vec::new(),
            sources: Vec::new(),
            jump_max: 1_000_000,
            request_server: None,
            references: None,
            receive_buffer_bytes: 4 << 20,
            gap_timeout_ms: 200,
            stale_ms: 5_000,
        }
    }
}
