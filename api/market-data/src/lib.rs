//! The market-data service of the slow path: the view of the books, its queries, and the service's own port.
//!
//! Reads what the view thread copied out of the update ring and has no way back: nothing here can slow, stop or change
//! the fast path. Never decodes a feed, never sees an order book of the book thread, never keeps a lock while it waits,
//! formats or writes to a socket.
//!
//! Read in this order: [`view`] (the thread that keeps the copy), [`directory`] (symbols by name), `query` (what is
//! copied for an answer), `shape` and `text` (the copy as the outside sees it), [`service`] (the queries), [`routes`].

pub mod directory;
pub mod health;
mod query;
pub mod routes;
pub mod service;
mod shape;
mod text;
pub mod view;
