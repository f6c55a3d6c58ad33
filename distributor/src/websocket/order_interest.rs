//! Every order of a book, kept only while somebody follows it order by order: ask the book thread, wait, let go.
//!
//! One request a book is under way at a time, so that an answer is always the answer to the last one. Orders that nobody
//! follows any more are kept for [`LINGER_NS`], so that a client that comes back finds its chain. Never blocks.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use book::order_interest::{OrderInterest, OrderInterestSender};
use book::{BookIndex, Nanos};

use crate::ids::ClientId;
use crate::market::{Market, OrdersOf};
use crate::topics::channel::Channel;
use crate::websocket::requests::{Context, Refusal, Subscribe, Symbols};
use crate::websocket::shard::Shard;
use crate::websocket::wanted_orders::AskedOnce;

/// How long orders are kept that nobody follows.
const LINGER_NS: u64 = 10_000_000_000;

/// Snapshots that wait for orders, of all clients; beyond it `SNAPSHOT_UNAVAILABLE`.
const ASKED_ONCE_MAX: usize = 65_536;

impl Shard {
    /// From now on orders come for the asking alone.
    pub(super) fn keep_orders_on_request(&mut self, sender: OrderInterestSender) {
        self.market = Market::on_order_interest();
        self.interests.sender = Some(sender);
    }

    /// Whether a channel of the book can be shown, once the book can.
    pub(super) fn may_follow(&self, book: BookIndex, channel: Channel) -> bool {
        self.interests.may_follow(&self.market, book, channel)
    }

    fn are_wanted(&self, book: BookIndex) -> bool {
        self.market.book(book).order_topics > 0 || self.interests.once.contains_key(&book)
    }

    /// Somebody began or ended to need a book's orders.
    pub(super) fn on_need_of_orders(&mut self, book: BookIndex) {
        let wanted = self.are_wanted(book);
        match self.market.book(book).orders {
            OrdersOf::Absent if wanted => self.request(book, true, OrdersOf::Asked),
            OrdersOf::Here if !wanted && !self.market.book(book).orders_idle => {
                self.market.book_mut(book).orders_idle = true;
                self.interests.idle.push((book, self.now_ns));
            }
            // The answer to what was asked last comes first.
            OrdersOf::Absent | OrdersOf::Here | OrdersOf::Asked | OrdersOf::Leaving => {}
        }
    }

    fn request(&mut self, book: BookIndex, orders: bool, then: OrdersOf) {
        let Some(sender) = &mut self.interests.sender else { return };
        match sender.ask(OrderInterest { book_id: self.market.view(book).book_id, orders }) {
            Ok(()) => self.market.book_mut(book).orders = then,
            Err(_) => self.interests.refused = true, // asked again at the next tick
        }
    }

    /// A picture of the book is whole, with its orders or without. `answers`: the book thread has answered the last request.
    #[cold]
    pub(super) fn on_orders_whole(&mut self, book: BookIndex, answers: bool) {
        if answers {
            let state = &mut self.market.book_mut(book).orders;
            let came = *state == OrdersOf::Asked;
            *state = if came { OrdersOf::Here } else { OrdersOf::Absent };
            self.metrics.order_books.set(self.metrics.order_books.get() + u64::from(came));
        }
        if self.may_follow(book, Channel::Mbo) {
            self.give_asked_once(book);
        }
        self.on_need_of_orders(book);
    }

    /// Lets orders go that nobody has followed for long, and asks for what found no room.
    pub(super) fn look_at_order_interests(&mut self) {
        if std::mem::take(&mut self.interests.refused) {
            self.market.indices().for_each(|book| self.on_need_of_orders(book));
        }
        let mut n = 0;
        while n < self.interests.idle.len() {
            let (book, since_ns) = self.interests.idle[n];
            let wanted = self.are_wanted(book);
            if !wanted && self.now_ns.saturating_sub(since_ns) >= LINGER_NS {
                self.request(book, false, OrdersOf::Leaving);
            }
            let left = self.market.book(book).orders == OrdersOf::Leaving;
            if left {
                self.metrics.order_books.set(self.metrics.order_books.get().saturating_sub(1));
            }
            if wanted || left {
                self.market.book_mut(book).orders_idle = false;
                self.interests.idle.swap_remove(n);
            } else {
                n += 1;
            }
        }
    }

    /// A snapshot of a book whose orders are not here yet: it is sent when they are.
    pub(super) fn ask_once(
        &mut self,
        client: ClientId,
        book: BookIndex,
        (channel, asked): (Channel, &Subscribe),
        context: &Context,
        time_in_ns: Nanos,
    ) -> Result<(), Refusal> {
        if self.interests.once_count >= ASKED_ONCE_MAX {
            return Err(Refusal::new("SNAPSHOT_UNAVAILABLE", "too many snapshots wait for orders: ask again"));
        }
        let asked = Subscribe { symbols: Symbols::Listed(Vec::new()), ..asked.clone() };
        let one = AskedOnce { client, channel, asked, context: context.clone(), time_in_ns };
        self.interests.once.entry(book).or_default().push(one);
        self.interests.once_count += 1;
        self.on_need_of_orders(book);
        Ok(())
    }

    fn give_asked_once(&mut self, book: BookIndex) {
        for one in self.interests.once.remove(&book).unwrap_or_default() {
            let AskedOnce { client, channel, asked, context, time_in_ns } = one;
            self.interests.once_count -= 1;
            self.get_snapshot(client, book, (channel, &asked), &context, time_in_ns);
        }
    }

    /// A client is gone: nothing is sent to whoever gets its place.
    pub(super) fn forget_asked_once(&mut self, client: ClientId) {
        if self.interests.once_count == 0 {
            return;
        }
        let mut count = 0;
        self.interests.once.retain(|_, asked| {
            asked.retain(|one| one.client != client);
            count += asked.len();
            !asked.is_empty()
        });
        self.interests.once_count = count;
    }
}
