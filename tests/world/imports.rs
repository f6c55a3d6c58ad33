//! Every name that the harness takes from the workspace's crates: who moves a module mends its path here, and nowhere else.

pub use book::market::{Limits, Market, OrderKey};
pub use book::metrics::{MetricSource, Sample, Value};
pub use book::order_interest::order_interest;
pub use book::ring::{Notifier, ring};
pub use book::worker::{BookWorker, Detail};
pub use book::{Nanos, Price};
pub use distributor::{Config as FanOutConfig, FanOut};
pub use feed_handler::decode::bistech::Decoder;
pub use feed_handler::feed::{FeedWorker, LiveOptions};
pub use feed_handler::net::udp::{Line as UdpLine, UdpOptions, UdpSource};
pub use feed_handler::sim::{Clock, Compression, Exchange, Output, SimConfig};
pub use feed_handler::wire::layout::moldudp64::Session;
pub use feed_handler::wire::moldudp64::{DATAGRAM_BYTES_MAX, PacketWriter, PushError};
