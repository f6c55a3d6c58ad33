//! The tables of accounts, version by version. A file that has been released is never changed.

use api_store::{MigrationSet, ServiceName, SqlFile};

/// Whose stores.
pub const SERVICE: ServiceName = ServiceName::new("users");

/// All versions, for both databases.
pub const MIGRATIONS: MigrationSet = MigrationSet {
    sqlite: &[
        SqlFile { version: 1000, name: "accounts", sql: include_str!("../migrations/sqlite/1000_users.sql") },
        SqlFile {
            version: 1001,
            name: "audit of a user",
            sql: include_str!("../migrations/sqlite/1001_audit_of_user.sql"),
        },
    ],
    postgres: &[
        SqlFile { version: 1000, name: "accounts", sql: include_str!("../migrations/postgres/1000_users.sql") },
        SqlFile {
            version: 1001,
            name: "audit of a user",
            sql: include_str!("../migrations/postgres/1001_audit_of_user.sql"),
        },
    ],
};
