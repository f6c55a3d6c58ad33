//! A closed set of names as an enum: one table of variant and name, so that writing and reading cannot disagree.
//!
//! Never accepts a name that is not in the table.

/// An enum whose variants have names: `name`, `from_name`, `names`, `ALL`.
#[macro_export]
macro_rules! named_enum {
    ($(#[$of:meta])* $kind:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $($(#[$doc])* $variant,)*
        }

        impl $kind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name outside.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// The one called `name`.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }

            /// All names, for an error.
            #[must_use]
            pub fn names() -> String {
                [$($name),*].join(", ")
            }
        }
    };
}
