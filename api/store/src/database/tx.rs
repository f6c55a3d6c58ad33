//! A transaction as a piece of work sees it, and how it comes back. One that is given up in the middle is closed, never
//! handed on; nothing here commits by itself.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use sqlx::pool::PoolConnection;
use sqlx::{Postgres, Sqlite};

use crate::error::StoreError;
use crate::execute_on_both;

/// A transaction of either database. Ends by itself: committed when the work returned `Ok`, rolled back otherwise.
#[derive(Debug)]
pub enum Tx {
    /// Of the service's file.
    Sqlite(Held<Sqlite>),
    /// Of the service's schema.
    Postgres(Held<Postgres>),
}

/// A connection inside a transaction.
#[derive(Debug)]
pub struct Held<DB: sqlx::Database> {
    connection: PoolConnection<DB>,
    ended: bool,
}

impl<DB: sqlx::Database> Held<DB> {
    pub(super) fn new(connection: PoolConnection<DB>) -> Self {
        Self { connection, ended: false }
    }

    /// The connection, for sqlx's `execute` and `fetch_…`.
    pub fn connection(&mut self) -> &mut DB::Connection {
        &mut self.connection
    }
}

impl<DB: sqlx::Database> Drop for Held<DB> {
    fn drop(&mut self) {
        // Given up in the middle: a time-out, a panic. Such a connection must not go back to the pool, and the pool
        // must not wait for it: closing is bounded, a rollback on a stopped server is not.
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// A transaction that is lent to a piece of work, and comes back when the work drops it. Owned, because a future that
/// borrows its argument cannot be spawned: the compiler cannot yet say that it is `Send` for every lifetime.
#[derive(Debug)]
pub struct Lent {
    /// `None` only while dropping.
    tx: Option<Tx>,
    home: Arc<Mutex<Option<Tx>>>,
}

impl Lent {
    pub(super) fn new(tx: Tx) -> (Self, Arc<Mutex<Option<Tx>>>) {
        let home = Arc::new(Mutex::new(None));
        (Self { tx: Some(tx), home: Arc::clone(&home) }, home)
    }
}

impl Deref for Lent {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        self.tx.as_ref().expect("given back on drop only")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Tx {
        self.tx.as_mut().expect("given back on drop only")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A poisoned home is one that nobody reads any more; then the connection closes with the transaction.
        if let Ok(mut home) = self.home.lock() {
            *home = self.tx.take();
        }
    }
}

/// The transaction that a piece of work has given back.
///
/// # Errors
/// The work kept it beyond its own end: nothing of it is committed.
pub(super) fn given_back(home: &Mutex<Option<Tx>>) -> Result<Tx, StoreError> {
    let back = home.lock().ok().and_then(|mut home| home.take());
    back.ok_or_else(|| StoreError::away("a transaction that its work did not give back"))
}

impl Tx {
    pub(super) async fn run(&mut self, statement: &'static str) -> Result<(), StoreError> {
        execute_on_both!(self, c => sqlx::query(statement).execute(c)).map(drop)
    }

    pub(super) async fn end(&mut self, statement: &'static str) -> Result<(), StoreError> {
        self.run(statement).await?;
        match self {
            Self::Sqlite(held) => held.ended = true,
            Self::Postgres(held) => held.ended = true,
        }
        Ok(())
    }
}
