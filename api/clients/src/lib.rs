//! What a gateway sees of the services: for each a trait of its client, the shapes of its answers, and its REST paths
//! over any such client.
//!
//! Never holds a service's state, a book, a table or a socket: in one process the service itself is the client, and over
//! a network a client is another implementation of the same trait.

pub mod market_data;
pub mod users;
