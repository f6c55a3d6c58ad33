//! The public socket `/ws/v2`: connections, handshakes, requests, and one thread's turn from the ring to the sockets.
//!
//! [`shard`] is the turn; [`publish`] goes from what changed to frames, [`snapshots`] to those for whom a snapshot is due,
//! [`connections`] from sockets to messages, [`answers`] from requests to replies, [`admit`] from credentials to those who may
//! go on.

mod admit;
mod answers;
mod clients;
mod connections;
mod door;
pub mod frame;
pub mod handshake;
mod order_interest;
mod publish;
mod replies;
pub mod requests;
mod session;
pub mod shard;
mod snapshots;
mod subscriptions;
mod system;
mod unknown_symbol;
mod wanted_orders;
