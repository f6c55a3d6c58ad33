//! All clients of a fan-out thread by their place: sessions, sockets, and the lists of those for whom something is to be done.
//!
//! A table without rules: who is closed, and when, is decided elsewhere.

#![cfg_attr(not(test), deny(clippy::disallowed_types, clippy::disallowed_methods, clippy::disallowed_macros))]

use std::collections::VecDeque;

use mio::net::TcpStream;

use crate::ids::ClientId;
use crate::websocket::session::Session;

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    sessions: Vec<Option<Box<Session>>>,
    /// Beside `sessions`, place by place; apart from them because every write touches it.
    pub sockets: Vec<Option<TcpStream>>,
    free: Vec<ClientId>,
    /// Connections, whatever they are.
    open: usize,
    /// WebSockets.
    pub websockets: usize,
    /// Wildcards of all clients.
    pub wildcards: usize,
    /// Clients with snapshots due.
    pub due: VecDeque<ClientId>,
    /// Clients whose subscriptions are to be removed.
    pub leaving: Vec<ClientId>,
    /// Clients to be closed and forgotten.
    pub to_close: Vec<ClientId>,
    /// Clients that may have more to read.
    pub readable: Vec<ClientId>,
    /// Clients with requests that wait for the rate limit.
    pub limited: Vec<ClientId>,
}

impl Clients {
    /// A client, if the place has one.
    #[inline]
    #[must_use]
    pub fn get(&self, client: ClientId) -> Option<&Session> {
        self.sessions.get(client.index())?.as_deref()
    }

    /// The same, to change it.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, client: ClientId) -> Option<&mut Session> {
        self.sessions.get_mut(client.index())?.as_deref_mut()
    }

    /// A client and its socket.
    #[inline]
    #[must_use]
    pub fn with_socket(&mut self, client: ClientId) -> Option<(&mut Session, &mut TcpStream)> {
        let session = self.sessions.get_mut(client.index())?.as_deref_mut()?;
        Some((session, self.sockets.get_mut(client.index())?.as_mut()?))
    }

    /// Every place that was ever given out.
    pub fn ids(&self) -> impl Iterator<Item = ClientId> + use<> {
        (0..self.sessions.len()).map(ClientId::from_index)
    }

    /// Open connections, whatever they are.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// Whether the client wants times as text.
    #[must_use]
    pub fn rfc3339(&self, client: ClientId) -> bool {
        self.get(client).is_some_and(|session| session.rfc3339)
    }

    /// The place that the next client gets.
    #[must_use]
    pub fn next_id(&self) -> ClientId {
        self.free.last().copied().unwrap_or_else(|| ClientId::from_index(self.sessions.len()))
    }

    /// Takes a client in at [`Clients::next_id`].
    pub fn add(&mut self, session: Session, socket: TcpStream) -> ClientId {
        let client = self.free.pop().unwrap_or_else(|| {
            self.sessions.push(None);
            self.sockets.push(None);
            ClientId::from_index(self.sessions.len() - 1)
        });
        self.sessions[client.index()] = Some(Box::new(session));
        self.sockets[client.index()] = Some(socket);
        self.open += 1;
        client
    }

    /// Forgets a client and closes its socket; `None`: it was forgotten before.
    pub fn remove(&mut self, client: ClientId) -> Option<Box<Session>> {
        let session = self.sessions.get_mut(client.index())?.take()?;
        self.sockets[client.index()] = None;
        self.free.push(client);
        self.open -= 1;
        if session.is_websocket {
            self.websockets -= 1;
        }
        Some(session)
    }
}
