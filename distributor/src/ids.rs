//! Numbers of this crate's tables, each of a type of its own so that none is taken for another.

/// Place of a client among all connections of a fan-out thread. Given out again after the client has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(pub u32);

/// Place of a topic among all topics of a fan-out thread. Given out again after the last follower has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicId(pub u32);

/// Place of a subscription among those of one client; not the `sub_id` that the client knows. Given out again after it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u32);

macro_rules! indices {
    ($($id:ident)*) => {
        $(impl $id {
            /// The place as a number of this type; tables are bounded far below 2³².
            #[inline]
            #[must_use]
            pub const fn from_index(index: usize) -> Self {
                Self(index as u32)
            }

            /// As an index of a slice.
            #[inline]
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        })*
    };
}

indices! { ClientId TopicId SubscriptionId }
