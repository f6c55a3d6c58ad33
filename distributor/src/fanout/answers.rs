//! Answers to requests: subscribing, unsubscribing, lists and snapshots.
//!
//! One reply per symbol; a refused one touches nothing else.

use book::Nanos;

use super::{Core, MALFORMED_MAX, TURN_BYTES};
use crate::frame::close;
use crate::json;
use crate::metrics::Refused;
use crate::request::{self, AnyChannel, Body, Context, Policy, Refusal, Subscribe, Symbols, Which};
use crate::session::{Beat, Subscription, Wildcard};
use crate::topic::{Channel, Follower, Key, Moment, Topic};

impl Core {
    /// Requests that waited for the rate limit.
    pub(super) fn release_limited(&mut self) {
        let mut n = 0;
        while n < self.limited.len() {
            let at = self.limited[n] as usize;
            while let Some(session) = self.sessions[at].as_mut() {
                if session.waiting.is_empty() || !session.requests.take(self.now_ns) {
                    break;
                }
                let Some((time_in_ns, text)) = session.waiting.pop_front() else { break };
                self.on_request(at, &text, time_in_ns);
            }
            if self.sessions[at].as_ref().is_some_and(|session| !session.waiting.is_empty()) {
                n += 1;
            } else {
                self.limited.swap_remove(n);
            }
        }
    }

    pub(super) fn on_request(&mut self, at: usize, text: &str, time_in_ns: Nanos) {
        self.metrics.requests.add(1);
        let (context, body) = request::parse(text);
        match body {
            Ok(Body::Subscribe(asked)) => self.on_subscribe(at, &asked, &context, time_in_ns),
            Ok(Body::Unsubscribe(which)) => self.on_unsubscribe(at, which, &context, time_in_ns),
            Ok(Body::Snapshot(asked)) => self.on_get_snapshot(at, &asked, &context, time_in_ns),
            Ok(Body::List) => self.on_list(at, &context, time_in_ns),
            Ok(Body::Ping) => self.reply(at, &context, time_in_ns, |out| json::raw(out, "{}")),
            Ok(Body::Auth) => {
                let mut context = context;
                context.warnings.push("this socket is public: no login is needed".to_owned());
                self.reply(at, &context, time_in_ns, |out| json::raw(out, "{}"));
            }
            Err(refusal) => {
                self.refuse(at, &context, time_in_ns, &refusal, None);
                if refusal.code == "MALFORMED" {
                    self.metrics.count(Refused::Malformed);
                    let Some(session) = self.sessions[at].as_mut() else { return };
                    session.malformed += 1;
                    if session.malformed >= MALFORMED_MAX {
                        self.close(at, close::MALFORMED, "too many malformed requests");
                    }
                }
            }
        }
    }

    pub(super) fn reply(&mut self, at: usize, context: &Context, time_in_ns: Nanos, result: impl FnOnce(&mut Vec<u8>)) {
        let (now_ns, rfc3339) = (self.now_ns, self.rfc3339(at));
        self.say(at, |out| {
            reply_head(out, context, true);
            json::raw(out, ",\"result\":");
            result(out);
            json::raw(out, ",\"warnings\":[");
            for (n, warning) in context.warnings.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                json::text(out, warning);
            }
            out.push(b']');
            reply_tail(out, time_in_ns, now_ns, rfc3339);
        });
        self.send_if_large();
    }

    pub(super) fn refuse(
        &mut self,
        at: usize,
        context: &Context,
        time_in_ns: Nanos,
        refusal: &Refusal,
        symbol: Option<&str>,
    ) {
        self.metrics.count(Refused::Request);
        let (now_ns, rfc3339) = (self.now_ns, self.rfc3339(at));
        self.say(at, |out| {
            reply_head(out, context, false);
            json::raw(out, ",\"error\":{\"code\":\"");
            json::raw(out, refusal.code);
            json::raw(out, "\",\"message\":");
            json::text(out, &refusal.message);
            json::raw(out, if refusal.retryable() { ",\"retryable\":true}" } else { ",\"retryable\":false}" });
            if let Some(symbol) = symbol {
                json::raw(out, ",\"symbol\":");
                json::text(out, symbol);
            }
            reply_tail(out, time_in_ns, now_ns, rfc3339);
        });
        self.send_if_large();
    }

    pub(super) fn send_if_large(&mut self) {
        if self.turn.len() > TURN_BYTES {
            self.send_all();
        }
    }

    pub(super) fn on_subscribe(&mut self, at: usize, asked: &Subscribe, context: &Context, time_in_ns: Nanos) {
        let channel = match asked.channel {
            AnyChannel::Data(channel) => channel,
            other => return self.on_subscribe_feed(at, other, asked, context, time_in_ns),
        };
        let mut context = context.clone();
        if channel == Channel::Mbo && !self.config.orders {
            context.warnings.push("this server keeps no queues (book.queues = false): mbo has no orders".to_owned());
        }
        let context = &context;
        match &asked.symbols {
            Symbols::Listed(names) => {
                for name in names {
                    match self.market.find(name) {
                        Some(book) => self.subscribe_and_reply(at, book, asked, context, time_in_ns),
                        None => self.refuse(at, context, time_in_ns, &no_symbol(name), Some(name)),
                    }
                }
            }
            Symbols::All => {
                let Some(session) = self.sessions[at].as_mut() else { return };
                if let Some(have) = session.wildcard(asked.channel) {
                    let refusal = already(session.wildcards[have].sub_id);
                    return self.refuse(at, context, time_in_ns, &refusal, Some("*"));
                }
                let sub_id = session.next_sub_id();
                let mut later = asked.clone();
                later.from = None;
                session.wildcards.push(Wildcard { sub_id, req_id: context.req_id, asked: later });
                self.wildcards_count += 1;
                let books: Vec<usize> =
                    (0..self.market.books.len()).filter(|&book| !self.market.books[book].ticker.is_empty()).collect();
                let epoch = self.epoch;
                self.reply(at, context, time_in_ns, |out| {
                    json::raw(out, "{\"channel\":\"");
                    json::raw(out, channel.name());
                    json::raw(out, "\",\"symbol\":\"*\",\"symbols\":");
                    json::integer(out, books.len());
                    effective(out, asked);
                    json::raw(out, ",\"sub_id\":");
                    json::integer(out, sub_id);
                    json::raw(out, ",\"epoch\":");
                    json::integer(out, epoch);
                    out.push(b'}');
                });
                let quiet = Context { warnings: Vec::new(), ..context.clone() };
                for book in books {
                    self.subscribe_and_reply(at, book, asked, &quiet, time_in_ns);
                }
            }
        }
    }

    /// `heartbeat` and `system`.
    pub(super) fn on_subscribe_feed(
        &mut self,
        at: usize,
        channel: AnyChannel,
        asked: &Subscribe,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let now_ns = self.now_ns;
        let Some(session) = self.sessions[at].as_mut() else { return };
        let have =
            if channel == AnyChannel::Heartbeat { session.beat.map(|beat| beat.sub_id) } else { session.system_sub_id };
        if let Some(sub_id) = have {
            return self.refuse(at, context, time_in_ns, &already(sub_id), None);
        }
        let sub_id = session.next_sub_id();
        let interval_s = asked.interval_s;
        if channel == AnyChannel::Heartbeat {
            session.beat = Some(Beat { sub_id, interval_s, next_ns: now_ns });
        } else {
            session.system_sub_id = Some(sub_id);
        }
        self.reply(at, context, time_in_ns, |out| feed_subscription(out, channel, interval_s, sub_id));
    }

    pub(super) fn subscribe_and_reply(
        &mut self,
        at: usize,
        book: usize,
        asked: &Subscribe,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let ticker = self.market.books[book].ticker.clone();
        match self.subscribe(at, book, asked) {
            Ok(place) => {
                let result = self.describe(at, place);
                self.reply(at, context, time_in_ns, |out| out.extend_from_slice(&result));
            }
            Err(refusal) => self.refuse(at, context, time_in_ns, &refusal, Some(&ticker)),
        }
    }

    pub(super) fn subscribe(&mut self, at: usize, book: usize, asked: &Subscribe) -> Result<u32, Refusal> {
        let AnyChannel::Data(channel) = asked.channel else {
            return Err(Refusal::new("CHANNEL_UNKNOWN", "this channel has no symbols"));
        };
        let Some(session) = self.sessions[at].as_mut() else {
            return Err(Refusal::new("SUBSCRIPTION_LIMIT", "the connection is closing"));
        };
        if let Some(&place) = session.by_key.get(&(channel, book as u32)) {
            let sub_id = session.subscription(place).map_or(0, |one| one.sub_id);
            return Err(already(sub_id));
        }
        if session.subscriptions_count() >= self.config.subscriptions_max {
            let message = format!("at most {} subscriptions on a connection", self.config.subscriptions_max);
            return Err(Refusal::new("SUBSCRIPTION_LIMIT", message));
        }
        let (depth, conflate_ms, rfc3339) = (asked.depth, asked.conflate_ms, session.rfc3339);
        let key = Key { book: book as u32, channel, depth, conflate_ms, rfc3339 };
        let known = self.keys.get(&key).copied();
        if let Some((epoch, seq)) = asked.from {
            let head = known.and_then(|id| self.topics[id as usize].as_ref()).filter(|topic| topic.live > 0);
            let head = head.map_or_else(|| self.market.seq(book), |topic| topic.head);
            if (epoch, seq) != (self.epoch, head) || !self.market.may_show(book) || !self.may_follow(book, channel) {
                self.metrics.resumes_refused.add(1);
                let message = "replay is not offered yet and the chain has moved on: subscribe without from";
                return Err(Refusal::new("REPLAY_UNAVAILABLE", message));
            }
            self.metrics.resumes_exact.add(1);
        }
        let id = known.unwrap_or_else(|| self.add_topic(key));
        let may_be_live = self.market.may_show(book) && self.may_follow(book, channel);
        let Some(topic) = self.topics[id as usize].as_mut() else {
            return Err(Refusal::new("SUBSCRIPTION_LIMIT", "the connection is closing"));
        };
        let position = topic.followers.len();
        let Some(session) = self.sessions[at].as_mut() else {
            return Err(Refusal::new("SUBSCRIPTION_LIMIT", "the connection is closing"));
        };
        let sub_id = session.next_sub_id();
        let place = session.insert(Subscription {
            sub_id,
            topic: id,
            position: position as u32,
            channel,
            book: book as u32,
            snapshot: asked.snapshot,
            once: false,
            policy: asked.policy,
            gap_from: None,
            due: false,
        });
        // At once where no snapshot comes first, unless the book is just being rebuilt or its orders have to come.
        let live = (!asked.snapshot || asked.from.is_some()) && may_be_live;
        if live && topic.live == 0 {
            topic.refresh(&self.market.replica.books()[book], self.market.seq(book));
        }
        topic.followers.push(Follower { connection: at as u32, subscription: place, live });
        topic.live += usize::from(live);
        let gauge = &self.metrics.subscriptions[channel.index()];
        gauge.set(gauge.get() + 1);
        if !live {
            self.set_due(at, place, id, position);
        }
        Ok(place)
    }

    pub(super) fn add_topic(&mut self, key: Key) -> u32 {
        let book = key.book as usize;
        let topic = Topic::new(key, &self.market.replica.books()[book], self.market.seq(book));
        let id = self.free_topics.pop().unwrap_or_else(|| {
            self.topics.push(None);
            self.topics.len() as u32 - 1
        });
        self.topics[id as usize] = Some(topic);
        self.keys.insert(key, id);
        self.market.books[book].topics.push(id);
        if key.channel == Channel::Mbo {
            self.market.books[book].order_topics += 1;
            self.on_need_of_orders(book);
        }
        id
    }

    /// The `result` of a subscription.
    pub(super) fn describe(&self, at: usize, place: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        let Some(one) = self.sessions[at].as_ref().and_then(|session| session.subscription(place)) else { return out };
        let Some(topic) = self.topics[one.topic as usize].as_ref() else { return out };
        json::raw(&mut out, "{\"channel\":\"");
        json::raw(&mut out, one.channel.name());
        json::raw(&mut out, "\",\"symbol\":");
        json::text(&mut out, &self.market.books[one.book as usize].ticker);
        parameters(&mut out, one.channel, topic.key.depth, one.snapshot, topic.key.conflate_ms, one.policy);
        json::raw(&mut out, ",\"sub_id\":");
        json::integer(&mut out, one.sub_id);
        json::raw(&mut out, ",\"epoch\":");
        json::integer(&mut out, self.epoch);
        json::raw(&mut out, ",\"seq\":");
        json::integer(&mut out, topic.head);
        out.push(b'}');
        out
    }

    pub(super) fn on_unsubscribe(&mut self, at: usize, which: Which, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.sessions[at].as_mut() else { return };
        match which {
            Which::SubId(number) => {
                let sub_id = u32::try_from(number).unwrap_or(0); // 0 is never given out
                if let Some(&place) = session.by_id.get(&sub_id) {
                    return self.unsubscribe_and_reply(at, place, context, time_in_ns);
                }
                if let Some(n) = session.wildcards.iter().position(|wildcard| wildcard.sub_id == sub_id) {
                    return self.unsubscribe_wildcard(at, n, context, time_in_ns);
                }
                let channel = if session.beat.is_some_and(|beat| beat.sub_id == sub_id) {
                    AnyChannel::Heartbeat
                } else if session.system_sub_id == Some(sub_id) {
                    AnyChannel::System
                } else {
                    let refusal = Refusal::new("NOT_SUBSCRIBED", format!("no subscription {number}"));
                    return self.refuse(at, context, time_in_ns, &refusal, None);
                };
                self.unsubscribe_feed(at, channel, context, time_in_ns);
            }
            Which::Named(AnyChannel::Data(channel), Symbols::Listed(names)) => {
                for name in names {
                    let book = self.market.find(&name);
                    let session = self.sessions[at].as_ref();
                    let place = book
                        .zip(session)
                        .and_then(|(book, session)| session.by_key.get(&(channel, book as u32)).copied());
                    match place {
                        Some(place) => self.unsubscribe_and_reply(at, place, context, time_in_ns),
                        None => {
                            let message = format!("no subscription of {} {name}", channel.name());
                            let refusal = Refusal::new("NOT_SUBSCRIBED", message);
                            self.refuse(at, context, time_in_ns, &refusal, Some(&name));
                        }
                    }
                }
            }
            Which::Named(channel @ AnyChannel::Data(_), Symbols::All) => match session.wildcard(channel) {
                Some(n) => self.unsubscribe_wildcard(at, n, context, time_in_ns),
                None => {
                    let refusal = Refusal::new("NOT_SUBSCRIBED", "no wildcard of this channel");
                    self.refuse(at, context, time_in_ns, &refusal, Some("*"));
                }
            },
            Which::Named(channel, _) => self.unsubscribe_feed(at, channel, context, time_in_ns),
        }
    }

    pub(super) fn unsubscribe_feed(&mut self, at: usize, channel: AnyChannel, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.sessions[at].as_mut() else { return };
        let (name, sub_id) = if channel == AnyChannel::Heartbeat {
            ("heartbeat", session.beat.take().map(|beat| beat.sub_id))
        } else {
            ("system", session.system_sub_id.take())
        };
        match sub_id {
            Some(sub_id) => self.reply(at, context, time_in_ns, |out| {
                json::raw(out, "{\"channel\":\"");
                json::raw(out, name);
                json::raw(out, "\",\"sub_id\":");
                json::integer(out, sub_id);
                out.push(b'}');
            }),
            None => {
                let refusal = Refusal::new("NOT_SUBSCRIBED", format!("no subscription of {name}"));
                self.refuse(at, context, time_in_ns, &refusal, None);
            }
        }
    }

    pub(super) fn unsubscribe_and_reply(&mut self, at: usize, place: u32, context: &Context, time_in_ns: Nanos) {
        let Some(one) = self.remove_subscription(at, place) else { return };
        let ticker = self.market.books[one.book as usize].ticker.clone();
        self.reply(at, context, time_in_ns, |out| unsubscribed(out, one.channel.name(), &ticker, one.sub_id));
    }

    pub(super) fn unsubscribe_wildcard(&mut self, at: usize, n: usize, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.sessions[at].as_mut() else { return };
        let wildcard = session.wildcards.swap_remove(n);
        self.wildcards_count -= 1;
        let AnyChannel::Data(channel) = wildcard.asked.channel else { return };
        let places: Vec<u32> = (0..session.subscriptions.len() as u32)
            .filter(|&place| session.subscription(place).is_some_and(|one| one.channel == channel))
            .collect();
        for place in places {
            self.remove_subscription(at, place);
        }
        self.reply(at, context, time_in_ns, |out| unsubscribed(out, channel.name(), "*", wildcard.sub_id));
    }

    pub(super) fn remove_subscription(&mut self, at: usize, place: u32) -> Option<Subscription> {
        let one = self.sessions[at].as_mut()?.remove(place)?;
        let gauge = &self.metrics.subscriptions[one.channel.index()];
        gauge.set(gauge.get().saturating_sub(1));
        let topic = self.topics[one.topic as usize].as_mut()?;
        let follower = topic.followers.swap_remove(one.position as usize);
        topic.live -= usize::from(follower.live);
        if let Some(moved) = topic.followers.get(one.position as usize) {
            let session = self.sessions[moved.connection as usize].as_mut();
            if let Some(moved) = session.and_then(|session| session.subscription_mut(moved.subscription)) {
                moved.position = one.position;
            }
        }
        if topic.followers.is_empty() {
            let key = topic.key;
            let book = &mut self.market.books[key.book as usize];
            book.topics.retain(|&id| id != one.topic);
            book.order_topics -= u32::from(key.channel == Channel::Mbo);
            if book.topics.is_empty() {
                book.fresh.clear();
            }
            self.keys.remove(&key);
            self.topics[one.topic as usize] = None;
            self.free_topics.push(one.topic);
            if key.channel == Channel::Mbo {
                self.on_need_of_orders(key.book as usize);
            }
        }
        Some(one)
    }

    pub(super) fn on_list(&mut self, at: usize, context: &Context, time_in_ns: Nanos) {
        let Some(session) = self.sessions[at].as_ref() else { return };
        let mut all = Vec::new();
        let comma = |all: &mut Vec<u8>| {
            if !all.is_empty() {
                all.push(b',');
            }
        };
        if let Some(beat) = session.beat {
            feed_subscription(&mut all, AnyChannel::Heartbeat, beat.interval_s, beat.sub_id);
        }
        if let Some(sub_id) = session.system_sub_id {
            comma(&mut all);
            feed_subscription(&mut all, AnyChannel::System, 0, sub_id);
        }
        for wildcard in &session.wildcards {
            let AnyChannel::Data(channel) = wildcard.asked.channel else { continue };
            comma(&mut all);
            json::raw(&mut all, "{\"channel\":\"");
            json::raw(&mut all, channel.name());
            json::raw(&mut all, "\",\"symbol\":\"*\"");
            effective(&mut all, &wildcard.asked);
            json::raw(&mut all, ",\"sub_id\":");
            json::integer(&mut all, wildcard.sub_id);
            all.push(b'}');
        }
        for place in 0..session.subscriptions.len() as u32 {
            if session.subscription(place).is_some() {
                comma(&mut all);
                all.extend_from_slice(&self.describe(at, place));
            }
        }
        self.reply(at, context, time_in_ns, |out| {
            json::raw(out, "{\"subscriptions\":[");
            out.extend_from_slice(&all);
            json::raw(out, "]}");
        });
    }

    pub(super) fn on_get_snapshot(&mut self, at: usize, asked: &Subscribe, context: &Context, time_in_ns: Nanos) {
        match &asked.symbols {
            Symbols::Listed(names) => {
                for name in names {
                    match self.market.find(name) {
                        Some(book) => self.get_snapshot(at, book, asked, context, time_in_ns),
                        None => self.refuse(at, context, time_in_ns, &no_symbol(name), Some(name)),
                    }
                }
            }
            Symbols::All => {
                for book in 0..self.market.books.len() {
                    if !self.market.books[book].ticker.is_empty() {
                        self.get_snapshot(at, book, asked, context, time_in_ns);
                    }
                }
            }
        }
    }

    pub(super) fn get_snapshot(
        &mut self,
        at: usize,
        book: usize,
        asked: &Subscribe,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let AnyChannel::Data(channel) = asked.channel else { return };
        let Some(session) = self.sessions[at].as_ref() else { return };
        let mut context = context.clone();
        if let Some(&place) = session.by_key.get(&(channel, book as u32)) {
            let Some(one) = session.subscription(place) else { return };
            let (id, position, due) = (one.topic, one.position as usize, one.due);
            let Some(topic) = self.topics[id as usize].as_ref() else { return };
            if asked.depth_stated && asked.depth != topic.key.depth {
                context.warnings.push(format!("the depth of your subscription counts: {}", topic.key.depth));
            }
            let (head, depth) = (topic.head, topic.key.depth);
            self.reply_snapshot(at, book, channel, depth, head, &context, time_in_ns);
            if !due && self.market.may_show(book) {
                self.push_snapshot(at, id);
            } else {
                if let Some(one) = self.sessions[at].as_mut().and_then(|session| session.subscription_mut(place)) {
                    one.once = true;
                }
                self.set_due(at, place, id, position);
            }
            return;
        }
        if !self.market.may_show(book) {
            let refusal = Refusal::new("SNAPSHOT_UNAVAILABLE", "the symbol is being resynchronised: ask again");
            let ticker = self.market.books[book].ticker.clone();
            return self.refuse(at, &context, time_in_ns, &refusal, Some(&ticker));
        }
        if !self.may_follow(book, channel) {
            if let Err(refusal) = self.ask_once(at, book, asked, &context, time_in_ns) {
                let ticker = self.market.books[book].ticker.clone();
                self.refuse(at, &context, time_in_ns, &refusal, Some(&ticker));
            }
            return;
        }
        let Some(session) = self.sessions[at].as_ref() else { return };
        let seq = self.market.seq(book);
        let key = Key { book: book as u32, channel, depth: asked.depth, conflate_ms: 0, rfc3339: session.rfc3339 };
        self.reply_snapshot(at, book, channel, asked.depth, seq, &context, time_in_ns);
        if self.outlets[at].open {
            let view = &self.market.replica.books()[book];
            let moment = Moment { now_ns: self.now_ns, epoch: self.epoch };
            let place = Topic::new(key, view, seq).write_snapshot(&mut self.turn, view, moment);
            self.metrics.encoded_frames.add(1);
            self.metrics.sent_frames.add(1);
            self.outlets[at].push(place);
            self.list(at);
            self.send_if_large();
        }
    }

    pub(super) fn reply_snapshot(
        &mut self,
        at: usize,
        book: usize,
        channel: Channel,
        depth: u8,
        seq: u64,
        context: &Context,
        time_in_ns: Nanos,
    ) {
        let ticker = self.market.books[book].ticker.clone();
        let epoch = self.epoch;
        self.reply(at, context, time_in_ns, |out| {
            json::raw(out, "{\"channel\":\"");
            json::raw(out, channel.name());
            json::raw(out, "\",\"symbol\":");
            json::text(out, &ticker);
            if channel == Channel::Book {
                json::raw(out, ",\"depth\":");
                json::integer(out, depth);
            }
            json::raw(out, ",\"epoch\":");
            json::integer(out, epoch);
            json::raw(out, ",\"seq\":");
            json::integer(out, seq);
            out.push(b'}');
        });
    }
}

fn no_symbol(name: &str) -> Refusal {
    let short: String = name.chars().take(32).collect();
    Refusal::new("SYMBOL_NOT_FOUND", format!("no symbol {short}; see /api/v1/market-data/symbols"))
}

fn already(sub_id: u32) -> Refusal {
    Refusal::new("ALREADY_SUBSCRIBED", format!("sub_id {sub_id} follows it already: unsubscribe it first"))
}

fn reply_head(out: &mut Vec<u8>, context: &Context, success: bool) {
    json::raw(out, "{\"method\":\"");
    json::raw(out, context.method);
    out.push(b'"');
    if let Some(req_id) = context.req_id {
        json::raw(out, ",\"req_id\":");
        json::integer(out, req_id);
    }
    json::raw(out, if success { ",\"success\":true" } else { ",\"success\":false" });
}

fn reply_tail(out: &mut Vec<u8>, time_in_ns: Nanos, time_out_ns: Nanos, rfc3339: bool) {
    json::raw(out, ",\"time_in\":");
    json::time(out, time_in_ns, rfc3339);
    json::raw(out, ",\"time_out\":");
    json::time(out, time_out_ns, rfc3339);
    out.push(b'}');
}

fn parameters(out: &mut Vec<u8>, channel: Channel, depth: u8, snapshot: bool, conflate_ms: u32, policy: Policy) {
    if channel == Channel::Book {
        json::raw(out, ",\"depth\":");
        json::integer(out, depth);
    }
    json::raw(out, if snapshot { ",\"snapshot\":true" } else { ",\"snapshot\":false" });
    json::raw(out, ",\"conflate_ms\":");
    json::integer(out, conflate_ms);
    json::raw(out, ",\"slow_reader\":\"");
    json::raw(out, policy.name());
    out.push(b'"');
}

fn effective(out: &mut Vec<u8>, asked: &Subscribe) {
    if let AnyChannel::Data(channel) = asked.channel {
        parameters(out, channel, asked.depth, asked.snapshot, asked.conflate_ms, asked.policy);
    }
}

fn feed_subscription(out: &mut Vec<u8>, channel: AnyChannel, interval_s: u8, sub_id: u32) {
    if channel == AnyChannel::Heartbeat {
        json::raw(out, "{\"channel\":\"heartbeat\",\"interval_s\":");
        json::integer(out, interval_s);
        json::raw(out, ",\"sub_id\":");
    } else {
        json::raw(out, "{\"channel\":\"system\",\"sub_id\":");
    }
    json::integer(out, sub_id);
    out.push(b'}');
}

pub(super) fn unsubscribed(out: &mut Vec<u8>, channel: &str, symbol: &str, sub_id: u32) {
    json::raw(out, "{\"channel\":\"");
    json::raw(out, channel);
    json::raw(out, "\",\"symbol\":");
    json::text(out, symbol);
    json::raw(out, ",\"sub_id\":");
    json::integer(out, sub_id);
    out.push(b'}');
}
