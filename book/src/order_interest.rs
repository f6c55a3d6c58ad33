//! What a reader asks of the book thread: to be told every order of a book, or no longer.
//!
//! Who asks about a book waits for the answer, which comes in its ring of updates (the end of a snapshot or of orders that says
//! so, [`Mark::answers`](crate::slot::Mark::answers)), before it asks about that book again. So a queue with
//! a place for each book is never full. Never blocks; allocates at construction only.

use std::fmt;
use std::sync::Arc;

use crate::ring::Notifier;
use crate::types::BookId;

/// What a reader wants to be told of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderInterest {
    /// The book.
    pub book_id: BookId,
    /// Every order from now on, or none any more.
    pub orders: bool,
}

/// The reader's end.
pub struct OrderInterestSender {
    queue: rtrb::Producer<OrderInterest>,
    notifier: Arc<Notifier>,
}

/// The book thread's end.
pub struct OrderInterestReceiver {
    queue: rtrb::Consumer<OrderInterest>,
}

/// No room: the reader asked again about a book before it had the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request found no room: only one at a time may wait for each book")
    }
}

impl std::error::Error for NoRoom {}

/// A queue of requests about at most `books_max` books. `notifier` is the book thread's, which may sleep when one comes.
#[must_use]
pub fn order_interest(books_max: usize, notifier: Arc<Notifier>) -> (OrderInterestSender, OrderInterestReceiver) {
    let (sender, receiver) = rtrb::RingBuffer::new(books_max.max(1));
    (OrderInterestSender { queue: sender, notifier }, OrderInterestReceiver { queue: receiver })
}

impl OrderInterestSender {
    /// Asks, and wakes the book thread if it sleeps.
    ///
    /// # Errors
    /// [`NoRoom`]: nothing was asked; later there is room again.
    pub fn ask(&mut self, interest: OrderInterest) -> Result<(), NoRoom> {
        self.queue.push(interest).map_err(|_| NoRoom)?;
        self.notifier.notify();
        Ok(())
    }
}

impl OrderInterestReceiver {
    /// Whether nobody asked.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The next request.
    #[inline]
    pub fn take(&mut self) -> Option<OrderInterest> {
        self.queue.pop().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_arrives_in_order_and_a_full_queue_says_so() {
        let (mut sender, mut receiver) = order_interest(2, Notifier::new());
        let interest = |book, orders| OrderInterest { book_id: BookId(book), orders };
        assert!(receiver.is_empty());
        assert_eq!(
            [sender.ask(interest(1, true)), sender.ask(interest(2, true)), sender.ask(interest(3, true))],
            [Ok(()), Ok(()), Err(NoRoom)]
        );
        assert_eq!(
            [receiver.take(), receiver.take(), receiver.take()],
            [Some(interest(1, true)), Some(interest(2, true)), None]
        );
        assert_eq!(sender.ask(interest(1, false)), Ok(()));
    }
}
