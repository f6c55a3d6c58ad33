//! Answers to requests: subscribing, unsubscribing, lists and snapshots.
//!
//! One reply per symbol; a refused one touches nothing else.

use book::{BookIndex, Nanos};
use serde::Serialize;

use crate::encode::Moment;
use crate::ids::{ClientId, SubscriptionId, TopicId};
use crate::metrics::Refused;
use crate::topics::channel::Channel;
use crate::topics::topic::{Follower, Key, Topic};
use crate::websocket::frame::close;
use crate::websocket::replies::{
    self, Ended, Following, FollowingFeed, List, Listed, Nothing, Reply, SnapshotComes, Time,
};
use crate::websocket::requests::{self, AnyChannel, Body, Context, Refusal, Subscribe, Symbols, Which};
use crate::websocket::session::HeartbeatTimer;
use crate::websocket::shard::Shard;
use crate::websocket::subscriptions::{Subscription, Wildcard};

/// Malformed requests of a connection before it is closed with 4400.
const MALFORMED_MAX: u32 = 10;

impl Shard {
    /// Requests that waited for the rate limit.
    pub(super) fn release_limited(&mut self) {
        let mut n = 0;
        while n < self.clients.limited.len() {
            let client = self.clients.limited[n];
            while let Some(session) = self.clients.get_mut(client) {
                if session.waiting.is_empty() || !session.requests.take(self.now_ns) {
                    break;
                }
                let Some((time_in_ns, text)) = session.waiting.pop_front() else { break };
                self.on_request(client, &text, time_in_ns);
            }
            if self.clients.get(client).is_some_and(|session| !session.waiting.is_empty()) {
                n += 1;
            } else {
                self.clients.limited.swap_remove(n);
            }
        }
    }

    pub(super) fn on_request(&mut self, client: ClientId, text: &str, time_in_ns: Nanos) {
        self.metrics.requests.add(1);
        let (context, body) = requests::parse(text);
        if body.as_ref().is_ok_and(|body| !self.may_ask(client, body, &context, time_in_ns)) {
            return;
        }
        match body {
            Ok(Body::Subscribe(asked)) => self.on_subscribe(client, &asked, context, time_in_ns),
            Ok(Body::Unsubscribe(which)) => self.on_unsubscribe(client, which, &context, time_in_ns),
            Ok(Body::Snapshot(asked)) => self.on_get_snapshot(client, &asked, &context, time_in_ns),
            Ok(Body::List) => self.on_list(client, &context, time_in_ns),
            Ok(Body::Ping) => self.reply(client, &context, time_in_ns, &Nothing {}),
            Ok(Body::Auth(shown)) => self.on_auth(client, shown, context, time_in_ns),
            Err(refusal) => {
                self.refuse(client, &context, time_in_ns, &refusal, None);
                if refusal.code == "MALFORMED" {
                    self.on_malformed(client);
                }
            }
        }
    }

    fn on_malformed(&mut self, client: ClientId) {
        self.metrics.count(Refused::Malformed);
        let Some(session) = self.clients.get_mut(client) else { return };
        session.malformed += 1;
        if session.malformed >= MALFORMED_MAX {
            self.close(client, close::MALFORMED, "too many malformed requests");
        }
    }

    pub(super) fn reply(&mut self, client: ClientId, context: &Context, time_in_ns: Nanos, result: &impl Serialize) {
        let time_out = self.time_written(client);
        let time_in = Time { ns: time_in_ns, ..time_out };
        self.say(client, &Reply::new(context, result, time_in, time_out));
        self.send_if_large();
    }

    pub(super) fn refuse(
        &mut self,
        client: ClientId,
        context: &Context,
        time_in_ns: Nanos,
        refusal: &Refusal,
        symbol: Option<&str>,
    ) {
        self.metrics.count(Refused::Request);
        let time_out = self.time_written(client);
        let time_in = Time { ns: time_in_ns, ..time_out };
        self.say(client, &replies::Refused::new(context, refusal, symbol, time_in, time_out));
        self.send_if_large();
    }

    fn on_subscribe(&mut self, client: ClientId, asked: &Subscribe, mut context: Context, time_in_ns: Nanos) {
        let channel = match asked.channel {
            AnyChannel::Data(channel) => channel,
            other => return self.on_subscribe_feed(client, other, asked.interval_s, &context, time_in_ns),
        };
        if channel == Channel::Mbo && !self.config.orders {
            context.warnings.push("this server keeps no queues (book.queues = false): mbo has no orders".to_owned());
        }
        let Symbols::Listed(names) = &asked.symbols else {
            return self.on_subscribe_all(client, channel, asked, &context, time_in_ns);
        };
        let mut may_look = true;
        for name in names {
            match self.market.find(name) {
                Some(book) => self.subscribe_and_reply(client, book, (channel, asked), &context, time_in_ns),
                None => self.refuse_symbol(client, &context, time_in_ns, name, &mut may_look),
            }
        }
    }

    /// Every symbol, also those that come later.
    fn on_subscribe_all(
        &mut self,
        client: ClientId,
        channel: Channel,
        asked: &Subscribe,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let Some(session) = self.clients.get_mut(client) else { return };
        let subscriptions = &mut session.subscriptions;
        if let Some(have) = subscriptions.wildcard(asked.channel) {
            let refusal = already(subscriptions.wildcards[have].sub_id);
            return self.refuse(client, context, time_in_ns, &refusal, Some("*"));
        }
        let sub_id = subscriptions.next_sub_id();
        let mut later = asked.clone();
        later.from = None;
        subscriptions.wildcards.push(Wildcard { sub_id, req_id: context.req_id, channel, asked: later });
        self.clients.wildcards += 1;
        let books: Vec<BookIndex> = self.market.listed().collect();
        let mut result = Following::wildcard(channel, asked, sub_id);
        (result.symbols, result.epoch) = (Some(books.len()), Some(self.epoch));
        self.reply(client, context, time_in_ns, &result);
        let quiet = Context { warnings: Vec::new(), ..context.clone() };
        for book in books {
            self.subscribe_and_reply(client, book, (channel, asked), &quiet, time_in_ns);
        }
    }

    /// `heartbeat` and `system`.
    fn on_subscribe_feed(
        &mut self,
        client: ClientId,
        channel: AnyChannel,
        interval_s: u8,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let now_ns = self.now_ns;
        let Some(session) = self.clients.get_mut(client) else { return };
        let is_heartbeat = channel == AnyChannel::Heartbeat;
        let have = if is_heartbeat { session.heartbeat.map(|timer| timer.sub_id) } else { session.system_sub_id };
        if let Some(sub_id) = have {
            return self.refuse(client, context, time_in_ns, &already(sub_id), None);
        }
        let sub_id = session.subscriptions.next_sub_id();
        if is_heartbeat {
            session.heartbeat = Some(HeartbeatTimer { sub_id, interval_s, next_ns: now_ns });
        } else {
            session.system_sub_id = Some(sub_id);
        }
        self.reply(client, context, time_in_ns, &following_feed(channel, interval_s, sub_id));
    }

    pub(super) fn subscribe_and_reply(
        &mut self,
        client: ClientId,
        book: BookIndex,
        asked: (Channel, &Subscribe),
        context: &Context,
        time_in_ns: Nanos,
    ) {
        match self.subscribe(client, book, asked) {
            Ok(id) => match self.describe(client, id) {
                Some(result) => self.reply(client, context, time_in_ns, &result),
                None => self.broken(client),
            },
            Err(refusal) => {
                let ticker = self.market.book(book).ticker.clone();
                self.refuse(client, context, time_in_ns, &refusal, Some(&ticker));
            }
        }
    }

    fn subscribe(
        &mut self,
        client: ClientId,
        book: BookIndex,
        (channel, asked): (Channel, &Subscribe),
    ) -> Result<SubscriptionId, Refusal> {
        let gone = || Refusal::new("SUBSCRIPTION_LIMIT", "the connection is closing");
        let session = self.clients.get(client).ok_or_else(gone)?;
        if let Some(one) = session.subscriptions.find(channel, book).and_then(|id| session.subscriptions.get(id)) {
            return Err(already(one.sub_id));
        }
        if session.subscriptions.len() >= self.config.subscriptions_max {
            let message = format!("at most {} subscriptions on a connection", self.config.subscriptions_max);
            return Err(Refusal::new("SUBSCRIPTION_LIMIT", message));
        }
        let (depth, conflate_ms, rfc3339) = (asked.depth, asked.conflate_ms, session.rfc3339);
        let key = Key { book, channel, depth, conflate_ms, rfc3339 };
        let known = self.topics.find(&key);
        self.check_cursor(known, book, channel, asked)?;
        let topic = known.unwrap_or_else(|| self.add_topic(key));
        let session = self.clients.get_mut(client).ok_or_else(gone)?;
        let sub_id = session.subscriptions.next_sub_id();
        let id = session.subscriptions.insert(Subscription {
            sub_id,
            topic,
            position: self.topics.followers(topic).len() as u32,
            channel,
            book,
            snapshot: asked.snapshot,
            once: false,
            policy: asked.policy,
            gap_from: None,
            due: false,
        });
        let gauge = &self.metrics.subscriptions[channel.index()];
        gauge.set(gauge.get() + 1);
        // At once where no snapshot comes first, unless the book is just being rebuilt or its orders have to come.
        let may_be_live = self.market.may_show(book) && self.may_follow(book, channel);
        let live = (!asked.snapshot || asked.from.is_some()) && may_be_live;
        self.follow(topic, Follower { client, subscription: id, live });
        Ok(id)
    }

    /// A subscription that goes on from a cursor needs the chain to be exactly there.
    fn check_cursor(
        &self,
        known: Option<TopicId>,
        book: BookIndex,
        channel: Channel,
        asked: &Subscribe,
    ) -> Result<(), Refusal> {
        let Some((epoch, seq)) = asked.from else { return Ok(()) };
        let head = known.and_then(|id| self.topics.get(id)).filter(|topic| topic.live > 0);
        let head = head.map_or_else(|| self.market.seq(book), |topic| topic.head);
        if (epoch, seq) != (self.epoch, head) || !self.market.may_show(book) || !self.may_follow(book, channel) {
            self.metrics.resumes_refused.add(1);
            let message = "replay is not offered yet and the chain has moved on: subscribe without from";
            return Err(Refusal::new("REPLAY_UNAVAILABLE", message));
        }
        self.metrics.resumes_exact.add(1);
        Ok(())
    }

    fn follow(&mut self, id: TopicId, follower: Follower) {
        let Some(topic) = self.topics.get_mut(id) else { return self.broken(follower.client) };
        if follower.live && topic.live == 0 {
            let book = topic.key.book;
            topic.refresh(self.market.view(book), self.market.seq(book));
        }
        let position = topic.follow(follower);
        if !follower.live {
            self.set_due(follower.client, follower.subscription, id, position);
        }
    }

    fn add_topic(&mut self, key: Key) -> TopicId {
        let id = self.topics.add(Topic::new(key, self.market.view(key.book), self.market.seq(key.book)));
        let book = self.market.book_mut(key.book);
        book.topics.push(id);
        if key.channel == Channel::Mbo {
            book.order_topics += 1;
            self.on_need_of_orders(key.book);
        }
        id
    }

    /// The `result` of a subscription; `None`: there is none, or its topic is gone.
    fn describe(&self, client: ClientId, id: SubscriptionId) -> Option<Following> {
        let one = self.clients.get(client)?.subscriptions.get(id)?;
        let topic = self.topics.get(one.topic)?;
        let (ticker, key) = (self.market.book(one.book).ticker.clone(), topic.key);
        let mut result =
            Following::of(one.channel, ticker, key.depth, one.snapshot, key.conflate_ms, one.policy, one.sub_id);
        (result.epoch, result.seq) = (Some(self.epoch), Some(topic.head));
        Some(result)
    }

    fn on_unsubscribe(&mut self, client: ClientId, which: Which, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.clients.get(client) else { return };
        match which {
            Which::SubId(number) => self.unsubscribe_number(client, number, context, time_in_ns),
            Which::Named(AnyChannel::Data(channel), Symbols::Listed(names)) => {
                for name in names {
                    self.unsubscribe_name(client, channel, &name, context, time_in_ns);
                }
            }
            Which::Named(channel @ AnyChannel::Data(_), Symbols::All) => {
                match session.subscriptions.wildcard(channel) {
                    Some(n) => self.unsubscribe_wildcard(client, n, context, time_in_ns),
                    None => {
                        let refusal = Refusal::new("NOT_SUBSCRIBED", "no wildcard of this channel");
                        self.refuse(client, context, time_in_ns, &refusal, Some("*"));
                    }
                }
            }
            Which::Named(channel, _) => self.unsubscribe_feed(client, channel, context, time_in_ns),
        }
    }

    fn unsubscribe_number(&mut self, client: ClientId, number: u64, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.clients.get(client) else { return };
        let sub_id = u32::try_from(number).unwrap_or(0); // 0 is never given out
        let subscriptions = &session.subscriptions;
        if let Some(id) = subscriptions.by_sub_id(sub_id) {
            self.unsubscribe_and_reply(client, id, context, time_in_ns);
        } else if let Some(n) = subscriptions.wildcards.iter().position(|wildcard| wildcard.sub_id == sub_id) {
            self.unsubscribe_wildcard(client, n, context, time_in_ns);
        } else if session.heartbeat.is_some_and(|timer| timer.sub_id == sub_id) {
            self.unsubscribe_feed(client, AnyChannel::Heartbeat, context, time_in_ns);
        } else if session.system_sub_id == Some(sub_id) {
            self.unsubscribe_feed(client, AnyChannel::System, context, time_in_ns);
        } else {
            let refusal = Refusal::new("NOT_SUBSCRIBED", format!("no subscription {number}"));
            self.refuse(client, context, time_in_ns, &refusal, None);
        }
    }

    fn unsubscribe_name(
        &mut self,
        client: ClientId,
        channel: Channel,
        name: &str,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let Some(session) = self.clients.get(client) else { return };
        match self.market.find(name).and_then(|book| session.subscriptions.find(channel, book)) {
            Some(id) => self.unsubscribe_and_reply(client, id, context, time_in_ns),
            None => {
                let refusal = Refusal::new("NOT_SUBSCRIBED", format!("no subscription of {} {name}", channel.name()));
                self.refuse(client, context, time_in_ns, &refusal, Some(name));
            }
        }
    }

    fn unsubscribe_feed(&mut self, client: ClientId, channel: AnyChannel, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.clients.get_mut(client) else { return };
        let (channel, sub_id) = if channel == AnyChannel::Heartbeat {
            ("heartbeat", session.heartbeat.take().map(|timer| timer.sub_id))
        } else {
            ("system", session.system_sub_id.take())
        };
        match sub_id {
            Some(sub_id) => self.reply(client, context, time_in_ns, &Ended { channel, symbol: None, sub_id }),
            None => {
                let refusal = Refusal::new("NOT_SUBSCRIBED", format!("no subscription of {channel}"));
                self.refuse(client, context, time_in_ns, &refusal, None);
            }
        }
    }

    fn unsubscribe_and_reply(&mut self, client: ClientId, id: SubscriptionId, context: &Context, time_in_ns: Nanos) {
        let Some(one) = self.remove_subscription(client, id) else { return self.broken(client) };
        let ticker = self.market.book(one.book).ticker.clone();
        let ended = Ended { channel: one.channel.name(), symbol: Some(&ticker), sub_id: one.sub_id };
        self.reply(client, context, time_in_ns, &ended);
    }

    fn unsubscribe_wildcard(&mut self, client: ClientId, n: usize, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.clients.get_mut(client) else { return };
        let subscriptions = &mut session.subscriptions;
        let Wildcard { sub_id, channel, .. } = subscriptions.wildcards.swap_remove(n);
        let of_channel =
            |id: &SubscriptionId| subscriptions.get(*id).is_some_and(|one: &Subscription| one.channel == channel);
        let ids: Vec<SubscriptionId> = subscriptions.ids().filter(of_channel).collect();
        self.clients.wildcards -= 1;
        for id in ids {
            self.remove_subscription(client, id);
        }
        self.reply(client, context, time_in_ns, &Ended { channel: channel.name(), symbol: Some("*"), sub_id });
    }

    /// Ends a subscription; `None`: there was none at this place.
    pub(super) fn remove_subscription(&mut self, client: ClientId, id: SubscriptionId) -> Option<Subscription> {
        let one = self.clients.get_mut(client)?.subscriptions.remove(id)?;
        let gauge = &self.metrics.subscriptions[one.channel.index()];
        gauge.set(gauge.get().saturating_sub(1));
        let Some(left) = self.topics.unfollow(one.topic, one.position as usize) else {
            self.broken(client);
            return Some(one);
        };
        if let Some(Follower { client: other, subscription, .. }) = left.moved {
            let session = self.clients.get_mut(other);
            match session.and_then(|session| session.subscriptions.get_mut(subscription)) {
                Some(moved) => moved.position = one.position,
                None => self.broken(other),
            }
        }
        if let Some(key) = left.ended {
            self.on_topic_ended(one.topic, key);
        }
        Some(one)
    }

    fn on_topic_ended(&mut self, id: TopicId, key: Key) {
        let book = self.market.book_mut(key.book);
        book.topics.retain(|&have| have != id);
        if book.topics.is_empty() {
            book.events.clear();
        }
        if key.channel == Channel::Mbo {
            book.order_topics -= 1;
            self.on_need_of_orders(key.book);
        }
    }

    fn on_list(&mut self, client: ClientId, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.clients.get(client) else { return };
        let mut listed = Vec::new();
        if let Some(timer) = session.heartbeat {
            listed.push(Listed::Feed(following_feed(AnyChannel::Heartbeat, timer.interval_s, timer.sub_id)));
        }
        if let Some(sub_id) = session.system_sub_id {
            listed.push(Listed::Feed(following_feed(AnyChannel::System, 0, sub_id)));
        }
        let wildcards = session.subscriptions.wildcards.iter();
        listed.extend(wildcards.map(|one| Listed::Symbol(Following::wildcard(one.channel, &one.asked, one.sub_id))));
        for id in session.subscriptions.ids().filter(|&id| session.subscriptions.get(id).is_some()) {
            match self.describe(client, id) {
                Some(following) => listed.push(Listed::Symbol(following)),
                None => return self.broken(client),
            }
        }
        self.reply(client, context, time_in_ns, &List { subscriptions: listed });
    }

    fn on_get_snapshot(&mut self, client: ClientId, asked: &Subscribe, context: &Context, time_in_ns: Nanos) {
        let AnyChannel::Data(channel) = asked.channel else { return }; // OK because the request was checked
        match &asked.symbols {
            Symbols::Listed(names) => {
                let mut may_look = true;
                for name in names {
                    match self.market.find(name) {
                        Some(book) => self.get_snapshot(client, book, (channel, asked), context, time_in_ns),
                        None => self.refuse_symbol(client, context, time_in_ns, name, &mut may_look),
                    }
                }
            }
            Symbols::All => {
                for book in self.market.listed().collect::<Vec<_>>() {
                    self.get_snapshot(client, book, (channel, asked), context, time_in_ns);
                }
            }
        }
    }

    pub(super) fn get_snapshot(
        &mut self,
        client: ClientId,
        book: BookIndex,
        (channel, asked): (Channel, &Subscribe),
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let Some(session) = self.clients.get(client) else { return };
        if let Some(id) = session.subscriptions.find(channel, book) {
            return self.get_snapshot_of(client, id, asked, context, time_in_ns);
        }
        let rfc3339 = session.rfc3339;
        if !self.market.may_show(book) {
            let refusal = Refusal::new("SNAPSHOT_UNAVAILABLE", "the symbol is being resynchronised: ask again");
            let ticker = self.market.book(book).ticker.clone();
            return self.refuse(client, context, time_in_ns, &refusal, Some(&ticker));
        }
        if !self.may_follow(book, channel) {
            if let Err(refusal) = self.ask_once(client, book, (channel, asked), context, time_in_ns) {
                let ticker = self.market.book(book).ticker.clone();
                self.refuse(client, context, time_in_ns, &refusal, Some(&ticker));
            }
            return;
        }
        let seq = self.market.seq(book);
        let key = Key { book, channel, depth: asked.depth, conflate_ms: 0, rfc3339 };
        self.reply_snapshot(client, &key, seq, context, time_in_ns);
        if self.egress.is_open(client) {
            let view = self.market.view(book);
            let moment = Moment { now_ns: self.wall_ns, epoch: self.epoch };
            let place = Topic::new(key, view, seq).write_snapshot(&mut self.egress.shared, view, moment);
            self.metrics.encoded_frames.add(1);
            self.metrics.sent_frames.add(1);
            self.egress.push(client, place);
            self.send_if_large();
        }
    }

    /// A snapshot of what the client follows: it fits its chain.
    fn get_snapshot_of(
        &mut self,
        client: ClientId,
        id: SubscriptionId,
        asked: &Subscribe,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let one = self.clients.get(client).and_then(|session| session.subscriptions.get(id));
        let Some(&Subscription { topic: topic_id, position, due, book, .. }) = one else { return self.broken(client) };
        let Some(topic) = self.topics.get(topic_id) else { return self.broken(client) };
        let (head, key) = (topic.head, topic.key);
        let mut context = context.clone();
        if asked.depth_stated && asked.depth != key.depth {
            context.warnings.push(format!("the depth of your subscription counts: {}", key.depth));
        }
        self.reply_snapshot(client, &key, head, &context, time_in_ns);
        if !due && self.market.may_show(book) {
            return self.push_snapshot(client, topic_id);
        }
        if let Some(one) = self.clients.get_mut(client).and_then(|session| session.subscriptions.get_mut(id)) {
            one.once = true;
        }
        self.set_due(client, id, topic_id, position as usize);
    }

    fn reply_snapshot(&mut self, client: ClientId, key: &Key, seq: u64, context: &Context, time_in_ns: Nanos) {
        let ticker = self.market.book(key.book).ticker.clone();
        let depth = (key.channel == Channel::Book).then_some(key.depth);
        let comes = SnapshotComes { channel: key.channel.name(), symbol: &ticker, depth, epoch: self.epoch, seq };
        self.reply(client, context, time_in_ns, &comes);
    }
}

fn following_feed(channel: AnyChannel, interval_s: u8, sub_id: u32) -> FollowingFeed {
    match channel {
        AnyChannel::Heartbeat => FollowingFeed { channel: "heartbeat", interval_s: Some(interval_s), sub_id },
        _ => FollowingFeed { channel: "system", interval_s: None, sub_id },
    }
}

fn already(sub_id: u32) -> Refusal {
    Refusal::new("ALREADY_SUBSCRIBED", format!("sub_id {sub_id} follows it already: unsubscribe it first"))
}
