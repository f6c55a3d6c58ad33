//! Which books' orders were asked for, which are let go soon, and whose snapshots wait for them.
//!
//! A table; who is asked, and when, is decided in `order_interest`.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::collections::HashMap;

use book::order_interest::OrderInterestSender;
use book::{BookIndex, Nanos};

use crate::ids::ClientId;
use crate::market::{Market, OrdersOf};
use crate::topics::channel::Channel;
use crate::websocket::requests::{Context, Subscribe};

/// What the fan-out knows of its requests.
#[derive(Default)]
pub struct OrderInterests {
    /// `None`: every order comes unasked, or none ever does.
    pub sender: Option<OrderInterestSender>,
    /// Books whose orders nobody follows, and since when.
    pub idle: Vec<(BookIndex, Nanos)>,
    /// A request found no room.
    pub refused: bool,
    /// Snapshots that wait for orders, by book.
    pub once: HashMap<BookIndex, Vec<AskedOnce>>,
    /// How many they are.
    pub once_count: usize,
}

/// A client's request for one snapshot.
pub struct AskedOnce {
    /// Who asked.
    pub client: ClientId,
    /// Channel.
    pub channel: Channel,
    /// Parameters.
    pub asked: Subscribe,
    /// What the reply repeats.
    pub context: Context,
    /// When it was asked, our clock.
    pub time_in_ns: Nanos,
}

impl OrderInterests {
    /// Whether time has to be looked at.
    pub fn has_timers(&self) -> bool {
        self.refused || !self.idle.is_empty()
    }

    /// Whether a channel of the book can be shown, once the book can.
    pub fn may_follow(&self, market: &Market, book: BookIndex, channel: Channel) -> bool {
        if channel != Channel::Mbo || self.sender.is_none() {
            return true;
        }
        let book = market.book(book);
        book.orders == OrdersOf::Here && !book.orders_follow
    }
}
