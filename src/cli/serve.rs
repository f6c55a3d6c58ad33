//! `bist serve`: its flags, and the flags of every command that runs the platform. Starts nothing itself.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;

use super::sim::SimFlags;
use super::{name, put};
use crate::platform::roles::Role;
use crate::settings::{Layout, Pin, Protocol, SourceKind, Wait};

/// `bist serve`
#[derive(Debug, Default, Args)]
pub struct Serve {
    /// Parts to run (repeatable).
    #[arg(long, value_enum, value_name = "PART")]
    pub target: Vec<Role>,

    /// Source of the market data.
    #[arg(long, value_enum)]
    pub source: Option<SourceKind>,

    /// Message protocol of a live line.
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,

    /// Address and port to receive MoldUDP64 on.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    /// Multicast group to join.
    #[arg(long, value_name = "ADDR")]
    pub group: Option<Ipv4Addr>,

    /// Address of the interface for the group; the system chooses when omitted.
    #[arg(long, value_name = "ADDR", requires = "group")]
    pub interface: Option<Ipv4Addr>,

    /// Server that answers MoldUDP64 retransmission requests.
    #[arg(long, value_name = "ADDR:PORT")]
    pub request_server: Option<SocketAddr>,

    #[command(flatten)]
    pub sim: SimFlags,

    #[command(flatten)]
    pub common: Common,
}

/// Flags of every command that runs the platform.
#[derive(Debug, Default, Args)]
pub struct Common {
    /// Keep the hot threads on their own cores.
    #[arg(long, value_enum)]
    pub pin: Option<Pin>,

    /// How an idle thread waits.
    #[arg(long, value_enum)]
    pub wait: Option<Wait>,

    /// One thread per hot stage, or one thread for all of them.
    #[arg(long, value_enum)]
    pub layout: Option<Layout>,

    /// Address and port of REST and the web page [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR:PORT")]
    pub api_listen: Option<SocketAddr>,

    /// Address and port of the WebSocket server [default: 127.0.0.1:8083].
    #[arg(long, value_name = "ADDR:PORT")]
    pub market_data_listen: Option<SocketAddr>,

    /// Address and port of user management [default: 127.0.0.1:8081].
    #[arg(long, value_name = "ADDR:PORT")]
    pub users_listen: Option<SocketAddr>,

    /// Address and port of metrics and health [default: 127.0.0.1:9464].
    #[arg(long, value_name = "ADDR:PORT")]
    pub admin_listen: Option<SocketAddr>,
}

impl Common {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = Vec::new();
        put(&mut flags, "threads.pin", self.pin.map(name).as_ref());
        put(&mut flags, "threads.wait", self.wait.map(name).as_ref());
        put(&mut flags, "threads.layout", self.layout.map(name).as_ref());
        put(&mut flags, "api.listen", self.api_listen.as_ref());
        put(&mut flags, "market_data.listen", self.market_data_listen.as_ref());
        put(&mut flags, "users.listen", self.users_listen.as_ref());
        put(&mut flags, "admin.listen", self.admin_listen.as_ref());
        flags
    }
}

impl Serve {
    /// As configuration overrides.
    pub fn overrides(&self) -> Vec<(&'static str, String)> {
        let mut flags = self.common.overrides();
        flags.extend(self.sim.overrides());
        put(&mut flags, "feed.source", self.source.map(name).as_ref());
        put(&mut flags, "feed.protocol", self.protocol.map(name).as_ref());
        put(&mut flags, "feed.listen", self.listen.as_ref());
        put(&mut flags, "feed.group", self.group.as_ref());
        put(&mut flags, "feed.interface", self.interface.as_ref());
        put(&mut flags, "feed.request_server", self.request_server.as_ref());
        flags
    }
}
